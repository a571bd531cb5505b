/* Who has everything but the keys learns no number and no name: what a deployment at work leaves in its
 * folder, in the nameless files of an import, in the log of the server, in its audit log, and where a core
 * dump would be. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "tests/needles.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

#define EVERY 20 /* one in so many of the people is looked for */
#define ASKED 200
#define NOBODY "001099%06u" /* numbers that are asked for and not there, too */

static const char *const two_workers[] = {"--workers", "2", NULL};

static unsigned numbered(const char *id)
{
    struct xt_span text = xt_span_of_string(id);
    uint64_t number = 0;
    return xt_number_parse(text, &number) == XT_OK;
}

static void ask(struct test_client *client, const char *id, const char *name, const char *phone)
{
    char body[1024];
    struct test_response response;
    assert_true(numbered(id));
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"%s\","
             "\"phone\":\"%s\"}}",
             id, name, phone);
    assert_int_equal(verify(client, body, &response), 200);
    test_response_release(&response);
    /* What is refused says no more of it. */
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"purpose\":\"other\",\"claims\":{\"%s\":1}}", id,
             name);
    assert_int_equal(verify(client, body, &response), 400);
    needles_add_text(id);
    test_response_release(&response);
}

static void ask_about_people(const struct server *server)
{
    struct test_client *client = connect_as(server, "demo");
    for (unsigned i = 0; i < ASKED; i++) {
        char *line = person_line(i * EVERY), id[16], name[256], nobody[16];
        member_of(line, "id", id, sizeof(id));
        member_of(line, "full_name", name, sizeof(name));
        free(line);
        ask(client, id, name, "0912345678");
        snprintf(nobody, sizeof(nobody), NOBODY, i);
        ask(client, nobody, "Người Không Có Thật", "0987654321");
    }
    needles_add_text("Người Không Có Thật");
    test_client_close(client);
}

/* ---- a worker's death --------------------------------------------------------------------------- */

static void search_cores(const char *folder, struct needles_found *found, unsigned *cores)
{
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[XT_PATH_MAX];
        if (strncmp(entry->d_name, "core", 4) == 0) {
            struct stat about;
            (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            if (stat(path, &about) == 0 && S_ISREG(about.st_mode)) {
                needles_search_file(path, path, found);
                *cores += 1;
            }
        }
    }
    closedir(entries);
}

/* Dies as by a fault of ours, where the system would write a core dump if it might. */
static void abort_a_worker(const struct server *server)
{
    const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
    pid_t workers[2];
    assert_int_equal(server_workers(server, workers, 2), 2);
    (void)prlimit(workers[0], RLIMIT_CORE, &any, NULL); /* where we may give back what it gave up */
    kill(workers[0], SIGABRT);
    assert_true(server_wait_for_workers(server, 2, workers[0], 10000));
}

/* ---- an import under way ------------------------------------------------------------------------ */

/* Its nameless files, while it stands still; gives their bytes. */
static off_t search_nameless(pid_t pid, struct needles_found *found)
{
    char folder[64];
    off_t bytes = 0;
    (void)snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[XT_PATH_MAX], target[XT_PATH_MAX];
        struct stat about;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        ssize_t size = readlink(path, target, sizeof(target) - 1);
        if (size <= 0 || stat(path, &about) != 0 || !S_ISREG(about.st_mode)) {
            continue;
        }
        target[size] = '\0';
        if (about.st_nlink == 0 && strstr(target, "/identity/") != NULL && about.st_size > 0) {
            needles_search_file(path, target, found);
            bytes += about.st_size;
        }
    }
    closedir(entries);
    return bytes;
}

/* The same people over and over, until enough stands in its files; then it is looked at and killed. */
static void import_and_look(struct needles_found *found)
{
    int ends[2];
    char *text = read_text(deployment("people.ndjson"));
    size_t size = strlen(text);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        (void)dup2(ends[0], STDIN_FILENO);
        (void)dup2(quiet, STDOUT_FILENO);
        (void)dup2(quiet, STDERR_FILENO);
        execl(xacthuc(), "xacthuc", "import", deployment("DIR"), "-", "--max-rejects", "100000000",
              "--quiet", (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    off_t bytes = 0;
    for (unsigned i = 0; i < 50 && bytes < (off_t)size; i++) {
        for (size_t at = 0; at < size;) {
            ssize_t written = write(ends[1], text + at, size - at);
            assert_true(written > 0);
            at += (size_t)written;
        }
        struct needles_found now = {0};
        kill(pid, SIGSTOP);
        bytes = search_nameless(pid, &now);
        if (bytes >= (off_t)size) {
            *found = now;
        }
        kill(pid, SIGCONT);
    }
    assert_true(bytes >= (off_t)size);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ends[1]);
    free(text);
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static void nobody_without_the_keys_learns_a_number_or_a_name(void **state)
{
    (void)state;
    struct server server;
    struct needles_found found = {0};
    unsigned cores = 0;
    char *people = read_text(deployment("people.ndjson"));
    unsigned chosen = needles_add_people(people, strlen(people), EVERY);
    assert_int_equal(chosen, strtoul(PEOPLE, NULL, 10) / EVERY);
    needles_search((const uint8_t *)people, strlen(people), "the input", &found);
    assert_true(found.forms_long > 4 * chosen); /* they would be seen */
    free(people);

    assert_int_equal(chdir(deployment("")), 0); /* where a core dump would be */
    server_start_with(&server, NULL, two_workers);
    ask_about_people(&server);
    abort_a_worker(&server);
    ask_about_people(&server);
    found = (struct needles_found){0};
    import_and_look(&found);
    assert_true(found.files > 0);
    needles_assert_none(&found);
    assert_int_equal(server_stop(&server), 0);

    found = (struct needles_found){0};
    needles_search_folder(deployment("DIR"), &found);
    needles_search_file(deployment("server.log"), "server.log", &found);
    search_cores(deployment(""), &found, &cores);
    assert_int_equal(cores, 0);
    assert_true(found.files > 10);
    needles_assert_none(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_without_the_keys_learns_a_number_or_a_name)};
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
