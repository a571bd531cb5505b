/* xacthuc-bench peers as a whole, with what software there is: a machine may have none of it. */
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/xt-peers-XXXXXX"; /* TMPDIR of what is run */

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s-%s", folder, name);
    return path;
}

static pid_t start_peers(const char *line)
{
    char words[1024];
    char *arguments[32] = {"xacthuc-bench", "peers"};
    unsigned count = 2;
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < 31);
        arguments[count++] = word;
    }
    const char *program = getenv("XT_BENCH");
    assert_non_null(program);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int out = open(in_folder("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
            setenv("TMPDIR", folder, 1) != 0) {
            _exit(126);
        }
        (void)execv(program, arguments);
        _exit(127);
    }
    return child;
}

static int finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 1U << 20);
    assert_true(file != NULL && text != NULL);
    (void)!fread(text, 1, (1U << 20) - 1, file);
    (void)fclose(file);
    return text;
}

static void nap(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Processes that run in the folder, or in what was it. */
static unsigned processes(void)
{
    unsigned count = 0;
    DIR *all = opendir("/proc");
    assert_non_null(all);
    for (struct dirent *entry = readdir(all); entry != NULL; entry = readdir(all)) {
        char path[300];
        char where[512];
        (void)snprintf(path, sizeof(path), "/proc/%s/cwd", entry->d_name);
        ssize_t size = readlink(path, where, sizeof(where) - 1);
        count += size > 0 && strncmp(where, folder, strlen(folder)) == 0;
    }
    (void)closedir(all);
    return count;
}

static unsigned entries(void)
{
    unsigned count = 0;
    DIR *all = opendir(folder);
    assert_non_null(all);
    for (struct dirent *entry = readdir(all); entry != NULL; entry = readdir(all)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(all);
    return count;
}

static void assert_nothing_left(void)
{
    for (unsigned i = 0; i < 400 && processes() > 0; i++) {
        nap(25);
    }
    assert_int_equal(processes(), 0);
    assert_int_equal(entries(), 0);
}

/* The part of the result that is about one peer, as a text of its own. */
static char *part_of(const char *result, const char *name)
{
    char start[64];
    (void)snprintf(start, sizeof(start), "{\"name\":\"%s\"", name);
    const char *from = strstr(result, start);
    assert_non_null(from);
    const char *to = strstr(from + 1, "{\"name\":");
    char *part = strndup(from, to == NULL ? strlen(from) : (size_t)(to - from));
    assert_non_null(part);
    return part;
}

static double number_in(const char *part, const char *name)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(part, quoted);
    if (at == NULL) {
        fail_msg("no %s in %s", name, part);
        return 0;
    }
    return strtod(at + strlen(quoted), NULL);
}

static void check_peer(const char *result, const char *name)
{
    char *part = part_of(result, name);
    if (strstr(part, "\"state\":\"missing\"") != NULL) {
        print_message("%s is not installed\n", name);
        assert_non_null(strstr(part, "\"packages\":\""));
        assert_null(strstr(part, "\"rounds\":")); /* nothing is made up */
    } else {
        if (strstr(part, "\"state\":\"measured\"") == NULL) {
            fail_msg("%s", part);
        }
        assert_true(number_in(part, "right_share") == 1);
        assert_true(number_in(part, "requests_per_s") > 0);
        assert_true(number_in(part, "cpu_us_per_request") > 0);
        assert_true(number_in(part, "p99_us") > 0);
        assert_true(number_in(part, "right") > 0 && number_in(part, "errors") == 0);
        assert_true(number_in(part, "memory_bytes") > 100000);
        assert_non_null(strstr(part, "\"ratio\":{\"requests_per_s\":{\"median\":"));
    }
    free(part);
}

static void all_that_is_installed_answers_right_and_is_gone_afterwards(void **state)
{
    (void)state;
    char line[512];
    (void)snprintf(line, sizeof(line),
                   "--count 5000 --seed 3 --seconds 1 --rounds 1 --quiet --json %s --markdown %s",
                   in_folder("json"), in_folder("markdown"));
    int status = finish(start_peers(line));
    if (status != 0) {
        fail_msg("%s", read_text(in_folder("out")));
    }
    assert_nothing_left();
    char *result = read_text(in_folder("json"));
    static const char *const names[] = {"xacthuc", "nginx", "redis", "postgres", "slapd"};
    assert_non_null(strstr(result, "\"format\":\"xacthuc-peers/1\""));
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        check_peer(result, names[i]);
    }
    char *own = part_of(result, "xacthuc");
    assert_non_null(strstr(own, "\"state\":\"measured\""));
    free(own);
    free(result);
    char *markdown = read_text(in_folder("markdown"));
    assert_non_null(strstr(markdown, "\n| xacthuc "));
    free(markdown);
}

static void an_interruption_leaves_no_process_and_no_folder(void **state)
{
    (void)state;
    static const unsigned delays_ms[] = {150, 2500}; /* while loading, while measuring */
    for (unsigned i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
        pid_t child = start_peers("--count 20000 --seconds 60 --quiet");
        nap(delays_ms[i]);
        assert_int_equal(kill(child, SIGINT), 0);
        assert_int_equal(finish(child), 1);
        char *said = read_text(in_folder("out"));
        assert_non_null(strstr(said, "interrupted"));
        free(said);
        assert_nothing_left();
    }
}

static void being_killed_leaves_no_process(void **state)
{
    (void)state;
    pid_t child = start_peers("--count 5000 --seconds 60 --quiet");
    for (unsigned i = 0; i < 400 && processes() < 2; i++) {
        nap(25);
    }
    assert_true(processes() > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(finish(child), 128 + SIGKILL);
    for (unsigned i = 0; i < 1400 && processes() > 0; i++) { /* xacthuc drains */
        nap(25);
    }
    assert_int_equal(processes(), 0);
    char command[128]; /* only what nobody could clear away any more */
    (void)snprintf(command, sizeof(command), "rm -rf %s/xacthuc-peers-*", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

static void wrong_usage_is_told_before_anything_happens(void **state)
{
    (void)state;
    static const char *const lines[] = {"--only nginx,apache", "--count 0", "--rounds 21",
                                        "--seconds x",         "--what",    "more"};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(finish(start_peers(lines[i])), 2);
    }
    assert_int_equal(finish(start_peers("--only xacthuc --xacthuc /surely/not/there")), 1);
    char *said = read_text(in_folder("out"));
    assert_non_null(strstr(said, "give --xacthuc"));
    free(said);
    assert_nothing_left();
}

static void a_kept_folder_stays_and_a_full_one_is_refused(void **state)
{
    (void)state;
    char line[256];
    char path[256];
    (void)snprintf(line, sizeof(line),
                   "--only xacthuc --count 100 --seconds 1 --rounds 1 --keep %s/kept", folder);
    assert_int_equal(finish(start_peers(line)), 0);
    (void)snprintf(path, sizeof(path), "%s/kept/xacthuc/serve.log", folder);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(processes(), 0);
    assert_int_equal(finish(start_peers(line)), 1);
    char *said = read_text(in_folder("out"));
    assert_non_null(strstr(said, "give a new or empty folder"));
    free(said);
    assert_int_equal(access(path, F_OK), 0); /* untouched */
    (void)snprintf(line, sizeof(line), "rm -rf %s/kept", folder);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c) */
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(in_folder("out"));
    (void)unlink(in_folder("json"));
    (void)unlink(in_folder("markdown"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_told_before_anything_happens),
        cmocka_unit_test(all_that_is_installed_answers_right_and_is_gone_afterwards),
        cmocka_unit_test(an_interruption_leaves_no_process_and_no_folder),
        cmocka_unit_test(being_killed_leaves_no_process),
        cmocka_unit_test(a_kept_folder_stays_and_a_full_one_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
