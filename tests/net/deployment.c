#include "tests/net/deployment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "tests/test.h"

#define ALL_CLAIMS                                                                                 \
    "full_name,date_of_birth,sex,phone,card_issued_on,card_expires_on,old_id,province,"            \
    "health_insurance,social_insurance,driving_licence,vehicle,passport,tax"

extern char **environ;

static char root[256];
static pid_t serving; /* 0: none; killed at the end if a failed test left it */
static char *initial_conf;

const char *deployment(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
    return path;
}

static const char *program_of(const char *variable)
{
    const char *path = getenv(variable);
    if (path == NULL) {
        fail_msg("%s is not set: run by meson test", variable);
    }
    return path;
}

const char *xacthuc(void)
{
    return program_of("XT_XACTHUC");
}

const char *bench(void)
{
    return program_of("XT_BENCH");
}

void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static pid_t start(char *const argv[], const char *output)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int error = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        fail_msg("cannot start %s: %s", argv[0], strerror(error));
    }
    return pid;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run(const char *program, ...)
{
    char *argv[64] = {strdup(program)};
    int count = 1, status = 0;
    va_list arguments;
    va_start(arguments, program);
    for (const char *argument; (argument = va_arg(arguments, const char *)) != NULL;) {
        assert_true(count < 63);
        argv[count++] = strdup(argument);
    }
    va_end(arguments);
    pid_t pid = start(argv, deployment("commands.log"));
    while (count > 0) {
        free(argv[--count]);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return exit_status(status);
}

void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return strdup("");
    }
    size_t size = 0, capacity = 1U << 16;
    char *text = malloc(capacity);
    assert_non_null(text);
    for (size_t got; (got = fread(text + size, 1, capacity - size - 1, file)) > 0;) {
        size += got;
        if (capacity - size < 2) {
            capacity *= 2;
            text = realloc(text, capacity);
            assert_non_null(text);
        }
    }
    text[size] = '\0';
    fclose(file);
    return text;
}

char *person_line(unsigned n)
{
    FILE *file = fopen(deployment("people.ndjson"), "r");
    char *line = NULL;
    size_t capacity = 0;
    assert_non_null(file);
    for (unsigned i = 0; i <= n; i++) {
        assert_true(getline(&line, &capacity, file) > 0);
    }
    fclose(file);
    return line;
}

void member_of(const char *line, const char *name, char *text, size_t size)
{
    char key[64];
    snprintf(key, sizeof(key), "\"%s\":\"", name);
    const char *at = strstr(line, key);
    if (at == NULL) {
        fail_msg("no member %s", name);
        return;
    }
    at += strlen(key);
    snprintf(text, size, "%.*s", (int)strcspn(at, "\""), at);
}

int deployment_make(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof(root), "%s/xacthuc-net-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(root) == NULL) {
        return 1;
    }
    xt_crypto_start();
    bool made =
        run(xacthuc(), "init", deployment("DIR"), NULL) == 0 &&
        run(bench(), "gen", "--count", PEOPLE, "--seed", SEED, "--out", deployment("people.ndjson"),
            NULL) == 0 &&
        run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL) == 0 &&
        run(xacthuc(), "partner", "add", deployment("DIR"), "demo", "--purpose", "demo.verify",
            "--claims", ALL_CLAIMS, "--right", "per_claim", "--issue", deployment("issued"),
            NULL) == 0 &&
        run(xacthuc(), "partner", "add", deployment("DIR"), "wide", "--purpose", "demo.verify",
            "--claims", ALL_CLAIMS, "--right", "per_claim,card_state,existence,advisory", "--issue",
            deployment("issued"), NULL) == 0 &&
        run(xacthuc(), "partner", "add", deployment("DIR"), "narrow", "--purpose", "narrow.purpose",
            "--claims", "full_name", "--issue", deployment("issued"), NULL) == 0;
    initial_conf = read_text(deployment("DIR/xacthuc.conf"));
    if (!made) {
        char *log = read_text(deployment("commands.log"));
        fprintf(stderr, "%s", log);
        free(log);
    }
    return made ? 0 : 1;
}

int deployment_remove(void **state)
{
    (void)state;
    char command[600];
    if (serving != 0) {
        kill(serving, SIGKILL);
        waitpid(serving, NULL, 0);
    }
    free(initial_conf);
    snprintf(command, sizeof(command), "chmod -R u+w '%s' && rm -rf '%s'", root, root);
    return run("/bin/sh", "-c", command, NULL);
}

/* ---- the server ------------------------------------------------------------------------------- */

char *server_log(void)
{
    return read_text(deployment("server.log"));
}

bool server_log_has(const char *text, unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0;; sleep_ms(5)) {
        char *log = server_log();
        bool has = strstr(log, text) != NULL;
        free(log);
        if (has || now_s() > end) {
            return has;
        }
    }
}

/* The port of the last "key":"127.0.0.1:PORT" in the log; 0: none after `after`. */
static unsigned logged_port(const char *log, const char *key)
{
    const char *at = log, *found = NULL;
    while ((at = strstr(at, key)) != NULL) {
        at += strlen(key);
        found = at;
    }
    return found == NULL ? 0 : (unsigned)strtoul(found, NULL, 10);
}

/* Children of the server by their name. */
static unsigned children_of(pid_t parent, const char *name, pid_t *pids, unsigned most)
{
    unsigned count = 0;
    DIR *list = opendir("/proc");
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL && count < most;) {
        char path[300], comm[32] = "";
        int pid = 0, ppid = 0;
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file == NULL) {
            continue;
        }
        char state = 'Z';
        bool read = fscanf(file, "%d (%31[^)]) %c %d", &pid, comm, &state, &ppid) == 4;
        fclose(file);
        if (read && ppid == parent && state != 'Z' && strcmp(comm, name) == 0) {
            pids[count++] = pid;
        }
    }
    closedir(list);
    return count;
}

unsigned server_workers(const struct server *server, pid_t *pids, unsigned most)
{
    return children_of(server->pid, "xacthuc-worker", pids, most);
}

unsigned server_writers(const struct server *server, pid_t *pids, unsigned most)
{
    return children_of(server->pid, "xacthuc-writer", pids, most);
}

bool server_wait_for_workers(const struct server *server, unsigned wanted, pid_t gone,
                             unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(5)) {
        pid_t pids[8];
        unsigned count = server_workers(server, pids, 8);
        bool there = count == wanted;
        for (unsigned i = 0; i < count; i++) {
            there = there && pids[i] != gone;
        }
        if (there) {
            return true;
        }
    }
    return false;
}

bool process_is_alive(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    char *stat = read_text(path);
    const char *state = strrchr(stat, ')');
    bool alive = state != NULL && state[2] != 'Z' && state[2] != 'X';
    free(stat);
    return alive;
}

bool wait_until_gone(pid_t pid, unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(5)) {
        if (!process_is_alive(pid)) {
            return true;
        }
    }
    return false;
}

unsigned server_log_count(const char *text)
{
    char *log = server_log();
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(log);
    return count;
}

void server_start(struct server *server, const char *limits)
{
    server_start_with(server, limits, NULL);
}

void server_start_with(struct server *server, const char *limits, const char *const *arguments)
{
    char *conf = malloc(strlen(initial_conf) + 4096);
    assert_non_null(conf);
    sprintf(conf, "%s\n[limits]\n%s", initial_conf, limits != NULL ? limits : "");
    write_text(deployment("DIR/xacthuc.conf"), conf);
    free(conf);
    char *before = server_log();
    size_t skip = strlen(before);
    free(before);
    char *argv[16] = {strdup(xacthuc()), "serve",       strdup(deployment("DIR")),
                      "--listen",        "127.0.0.1:0", "--admin",
                      "127.0.0.1:0",     NULL};
    for (unsigned i = 0; arguments != NULL && arguments[i] != NULL && i < 8; i++) {
        argv[7 + i] = (char *)(uintptr_t)arguments[i];
    }
    if (serving != 0) { /* of a test that failed */
        kill(serving, SIGKILL);
        waitpid(serving, NULL, 0);
    }
    server->pid = serving = start(argv, deployment("server.log"));
    free(argv[0]);
    free(argv[2]);
    for (double end = now_s() + 20;; sleep_ms(5)) {
        char *log = server_log();
        char *listening = strlen(log) > skip ? strstr(log + skip, "\"event\":\"listening\"") : NULL;
        if (listening != NULL && strchr(listening, '\n') != NULL) {
            server->port = logged_port(listening, "\"listen\":\"127.0.0.1:");
            server->admin_port = logged_port(listening, "\"admin\":\"127.0.0.1:");
            free(log);
            break;
        }
        if (now_s() > end || waitpid(server->pid, NULL, WNOHANG) != 0) {
            fail_msg("the server does not listen: %s", log + skip);
        }
        free(log);
    }
    assert_int_not_equal(server->port, 0);
    assert_int_not_equal(server->admin_port, 0);
}

void server_adopt(struct server *server, pid_t pid)
{
    server->pid = serving = pid;
}

int server_wait(struct server *server, unsigned timeout_ms)
{
    int status = 0;
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(5)) {
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            serving = 0;
            return exit_status(status);
        }
    }
    return -1;
}

int server_stop(struct server *server)
{
    kill(server->pid, SIGTERM);
    int status = server_wait(server, 35000);
    if (status < 0) {
        kill(server->pid, SIGKILL);
    }
    return status;
}

/* ---- clients ---------------------------------------------------------------------------------- */

struct test_client_options options_as(const struct server *server, const char *partner)
{
    static char certificate[512], key[512], authority[512];
    struct test_client_options options = {.port = server->port, .authority = authority};
    snprintf(authority, sizeof(authority), "%s", deployment("DIR/ca.crt"));
    if (partner != NULL) {
        snprintf(certificate, sizeof(certificate), "%s/issued/%s.crt", root, partner);
        snprintf(key, sizeof(key), "%s/issued/%s.key", root, partner);
        options.certificate = certificate;
        options.key = key;
    }
    return options;
}

struct test_client *connect_as(const struct server *server, const char *partner)
{
    char error[TEST_ERROR_MAX] = "";
    struct test_client_options options = options_as(server, partner);
    struct test_client *client = test_client_open(&options, error);
    if (client == NULL) {
        fail_msg("cannot connect as %s: %s", partner != NULL ? partner : "nobody", error);
    }
    return client;
}

struct test_client *connect_plain(unsigned port)
{
    char error[TEST_ERROR_MAX] = "";
    struct test_client_options options = {.port = port, .plain = true};
    struct test_client *client = test_client_open(&options, error);
    if (client == NULL) {
        fail_msg("cannot connect to port %u: %s", port, error);
    }
    return client;
}

int verify(struct test_client *client, const char *body, struct test_response *response)
{
    if (!test_client_request(client, "POST", "/v1/verify", "Content-Type: application/json\r\n",
                             body, response)) {
        fail_msg("no answer: %s", test_client_error(client));
    }
    return response->status;
}

int status_of(const struct server *server, const char *partner, const char *body)
{
    struct test_client *client = connect_as(server, partner);
    struct test_response response;
    int status = verify(client, body, &response);
    test_response_release(&response);
    test_client_close(client);
    return status;
}
