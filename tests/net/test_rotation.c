/* New keys while the server runs: nobody's request is lost, what was sealed before still opens, and a
 * rotation that is killed leaves the old or the new state. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "tests/net/callers.h"
#include "tests/test.h"

#define ROUNDS 5
#define KILLS 30

static const char *const two_workers[] = {"--workers", "2", NULL};
static const char *const kinds[] = {"master", "audit", "tickets", "signing"};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- the commands ----------------------------------------------------------------------------- */

/* Runs a shell command with X and D set; gives what it wrote, to be freed. */
static char *shell(const char *command, int expected)
{
    char text[2048];
    snprintf(text, sizeof(text), "X='%s'; D='%s'; %s", xacthuc(), deployment("DIR"), command);
    char output[600];
    snprintf(output, sizeof(output), "%s", deployment("output"));
    char redirected[3000];
    snprintf(redirected, sizeof(redirected), "{ %s; } > %s 2>&1", text, output);
    int status = run("/bin/sh", "-c", redirected, NULL);
    char *got = read_text(output);
    if (status != expected) {
        fail_msg("%s: %d: %s", command, status, got);
    }
    return got;
}

static void does(const char *command, int expected)
{
    free(shell(command, expected));
}

static void rotate(const char *kind)
{
    char command[64];
    snprintf(command, sizeof(command), "$X keys rotate $D %s --json", kind);
    char *text = shell(command, 0);
    if (strstr(text, "\"server\":\"taken\"") == NULL) {
        fail_msg("%s", text);
    }
    free(text);
}

/* The row of a kind of keys that says `what` ("\"current\":true"), up to its end; to be freed. */
static char *row_with(const char *kind, const char *what)
{
    char start[64];
    char *list = shell("$X keys list $D --json", 0), *found = NULL;
    snprintf(start, sizeof(start), "{\"kind\":\"%s\"", kind);
    for (char *at = list; found == NULL && (at = strstr(at, start)) != NULL; at++) {
        char *end = strchr(at, '}');
        assert_non_null(end);
        char *row = strndup(at, (size_t)(end - at) + 1);
        assert_non_null(row);
        if (strstr(row, what) != NULL) {
            found = row;
        } else {
            free(row);
        }
    }
    if (found == NULL) {
        fail_msg("no %s with %s in %s", kind, what, list);
    }
    free(list);
    return found;
}

static void id_with(const char *kind, const char *what, char id[9])
{
    char *row = row_with(kind, what);
    member_of(row, "id", id, 9);
    free(row);
}

static void assert_verified(const struct server *server)
{
    char body[4096];
    struct test_response response;
    struct test_client *client = connect_as(server, "demo");
    verified_question(body, sizeof(body));
    assert_int_equal(verify(client, body, &response), 200);
    assert_non_null(strstr(response.body, "\"verdict\":\"verified\""));
    test_response_release(&response);
    test_client_close(client);
}

/* ---- rotation --------------------------------------------------------------------------------- */

static void requests_go_on_through_rotations_of_every_kind(void **state)
{
    (void)state;
    struct server server;
    pid_t before[8], after[8];
    char id[9], now[9];
    server_start_with(&server, NULL, two_workers);
    does("cp $D/keys/audit.pub $D/../kept.pub", 0);
    id_with("master", "\"current\":true", id);
    assert_int_equal(server_workers(&server, before, 8), 2);
    struct callers *callers = callers_start(&server, 4);
    assert_true(callers_wait(callers, 20, 5000));
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned j = 0; j < KINDS; j++) {
            rotate(kinds[j]);
            assert_true(callers_wait(callers, 20, 5000));
        }
    }
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_workers(&server, after, 8), 2);
    assert_memory_equal(before, after, 2 * sizeof(pid_t));
    /* The generation is under the first key still; the live store and new segments are not. */
    char *row = row_with("master", "\"generations\":1");
    assert_non_null(strstr(row, id));
    free(row);
    row = row_with("master", "\"live_store\":true");
    assert_non_null(strstr(row, "\"current\":true"));
    free(row);
    id_with("master", "\"current\":true", now);
    assert_string_not_equal(id, now);
    /* The log is one chain over all keys, for those who kept the first as well. */
    does("$X audit verify $D --quiet", 0);
    does("$X audit verify $D --quiet --public-key $D/../kept.pub", 0);
    assert_int_equal(server_stop(&server), 0);
    row = row_with("master", "\"current\":true"); /* workers went on in segments under it */
    assert_null(strstr(row, "\"audit_segments\":0"));
    free(row);
    does("$X audit verify $D --quiet --public-key $D/../kept.pub", 0);
}

static void a_subject_is_found_on_both_sides_of_a_rotation(void **state)
{
    (void)state;
    struct server server;
    char body[4096], id[16], command[256];
    server_start_with(&server, NULL, two_workers);
    verified_question(body, sizeof(body));
    member_of(body, "id", id, sizeof(id));
    snprintf(command, sizeof(command), "printf %%s %s | $X audit search $D --id - --json | wc -l",
             id);
    char *text = shell(command, 0);
    long before = strtol(text, NULL, 10);
    free(text);
    assert_verified(&server);
    rotate("master");
    sleep_ms(1500); /* until the workers write under the new key */
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
    text = shell(command, 0);
    assert_int_equal(strtol(text, NULL, 10), before + 2);
    free(text);
}

/* ---- tickets ---------------------------------------------------------------------------------- */

static bool ask_resuming(const struct server *server, struct xt_tls_context *context)
{
    char error[TEST_ERROR_MAX] = "", body[4096];
    struct test_client_options options = {.port = server->port, .context = context};
    struct test_client *client = test_client_open(&options, error);
    struct test_response response;
    if (client == NULL) {
        fail_msg("refused: %s", error);
    }
    verified_question(body, sizeof(body));
    assert_int_equal(verify(client, body, &response), 200);
    test_response_release(&response);
    bool resumed = xt_tls_resumed(test_client_tls(client));
    test_client_close(client);
    return resumed;
}

static void sessions_from_before_a_rotation_of_tickets_are_not_resumed_by_any_worker(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    struct test_client_options options = options_as(&server, "demo");
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority,
                                        .resume = true};
    struct xt_failure failure;
    struct xt_tls_context *sessions[8];
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(xt_tls_client(&files, &sessions[i], &failure), XT_OK);
        assert_false(ask_resuming(&server, sessions[i]));
        assert_true(ask_resuming(&server, sessions[i]));
    }
    rotate("master"); /* changes no ticket */
    for (unsigned i = 0; i < 8; i++) {
        assert_true(ask_resuming(&server, sessions[i]));
    }
    rotate("tickets");
    for (unsigned i = 0; i < 8; i++) {
        assert_false(ask_resuming(&server, sessions[i]));
        assert_true(ask_resuming(&server, sessions[i]));
        xt_tls_context_close(sessions[i]);
    }
    assert_int_equal(server_stop(&server), 0);
}

/* ---- signing ---------------------------------------------------------------------------------- */

/* The names in the published list, in its order, as asked for on a new connection. */
static unsigned published(const struct server *server, char names[10][48])
{
    struct test_response response;
    struct test_client *client = connect_as(server, "demo");
    assert_true(
        test_client_request(client, "GET", "/.well-known/jwks.json", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    unsigned count = 0;
    for (const char *at = response.body; (at = strstr(at, "\"kid\":\"")) != NULL; at++) {
        assert_true(count < 10);
        snprintf(names[count++], 48, "%.43s", at + 7);
    }
    test_response_release(&response);
    test_client_close(client);
    return count;
}

static void
the_next_signing_key_signs_everywhere_at_once_and_the_last_four_stay_published(void **state)
{
    (void)state;
    struct server server;
    char before[10][48], now[10][48], kid[48];
    pid_t workers[8], same[8];
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(server_workers(&server, workers, 8), 2);
    struct callers *callers = callers_start(&server, 2);
    unsigned reloads = server_log_count("\"event\":\"reloaded\"");
    for (unsigned i = 0; i < 6; i++) {
        unsigned count = published(&server, before);
        rotate("signing");
        char *row = row_with("signing", "\"current\":true");
        member_of(row, "kid", kid, sizeof(kid));
        free(row);
        for (unsigned j = 0; j < 8; j++) { /* whichever worker takes the connection */
            assert_int_equal(published(&server, now), count < 8 ? count + 1 : 8);
            assert_string_equal(now[0], kid);
            assert_string_equal(now[0], before[1]); /* it was the next one */
            assert_string_equal(now[2], before[0]); /* what it signed still verifies */
        }
        free(row_with("signing", "\"next\":true"));
    }
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_workers(&server, same, 8), 2);
    assert_memory_equal(workers, same, 2 * sizeof(pid_t));
    assert_int_equal(server_log_count("\"event\":\"reloaded\""), reloads); /* no SIGHUP */
    /* Gone, they go on until somebody says that it is meant; damaged, the old ones go on. */
    does("mv $D/keys/signing.key $D/../signing.copy", 0);
    assert_true(server_log_has("signing_key_missing", 5000));
    assert_int_equal(published(&server, now), 8); /* two of them sign tokens */
    rotate("master");
    assert_int_equal(published(&server, now), 8); /* two of them sign tokens */
    unsigned refused = server_log_count("keys_refused");
    does("echo current > $D/keys/.x && chmod 600 $D/keys/.x && mv $D/keys/.x $D/keys/signing.key",
         0);
    for (double end = now_s() + 5; server_log_count("keys_refused") == refused; sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_int_equal(published(&server, now), 8); /* two of them sign tokens */
    does("$X keys rotate $D signing", 1);
    does("mv $D/../signing.copy $D/keys/signing.key", 0);
    rotate("signing");
    assert_int_equal(published(&server, now), 8); /* two of them sign tokens */
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- imports, restarts, old keys -------------------------------------------------------------- */

static void an_old_key_opens_what_it_sealed_until_nothing_needs_it_and_it_is_retired(void **state)
{
    (void)state;
    struct server server;
    char old[9], current[9], command[128];
    id_with("master", "\"generations\":1", old);
    server_start_with(&server, NULL, two_workers);
    rotate("master");
    id_with("master", "\"current\":true", current);
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
    server_start_with(&server, NULL, two_workers); /* the old generation, by a new process */
    assert_verified(&server);

    snprintf(command, sizeof(command), "$X keys retire $D master %s", old);
    does(command, 1);
    does("$X import $D $D/../people.ndjson --quiet", 0);
    for (double end = now_s() + 10; !server_log_has("\"generation\":2", 1);) {
        assert_true(now_s() < end);
    }
    assert_verified(&server);
    char *row = row_with("master", "\"last_generation\":2");
    assert_non_null(strstr(row, current));
    free(row);
    does(command, 1); /* the generation before is kept */
    does("$X import $D $D/../people.ndjson --quiet", 0);
    does(command, 1); /* the audit log */
    char *text = shell("$X keys retire $D master 00000001 || true", 0);
    assert_non_null(strstr(text, "no key 00000001"));
    free(text);
    snprintf(command, sizeof(command), "$X keys retire $D master %s", current);
    does(command, 1); /* the current one, never */
    assert_int_equal(server_stop(&server), 0);

    does("sleep 1; $X audit expire $D --before $(date -u +%Y-%m-%dT%H:%M:%SZ)", 0);
    char *list = shell("$X keys list $D", 0);
    assert_non_null(strstr(list, "not needed by anything here"));
    free(list);
    server_start_with(&server, NULL, two_workers);
    snprintf(command, sizeof(command), "$X keys retire $D master %s --json", old);
    does(command, 0);
    assert_true(server_log_has("\"event\":\"keys_taken\"", 5000));
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
    server_start_with(&server, NULL, two_workers);
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
    list = shell("$X keys list $D", 0);
    assert_null(strstr(list, old));
    free(list);
    does("$X audit verify $D --quiet", 0);
}

static void
a_key_file_that_lacks_a_needed_key_or_is_damaged_is_refused_and_the_old_goes_on(void **state)
{
    (void)state;
    struct server server;
    does("cp -p $D/keys/master.keys $D/../master.copy", 0);
    server_start_with(&server, NULL, two_workers);
    unsigned refused = server_log_count("keys_refused");
    does("echo damaged > $D/keys/.x && chmod 600 $D/keys/.x && mv $D/keys/.x $D/keys/master.keys",
         0);
    for (double end = now_s() + 5; server_log_count("keys_refused") == refused; sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_verified(&server);
    does("$X keys rotate $D master", 1); /* and is not written to */
    refused = server_log_count("keys_refused");
    does("tail -n 1 $D/../master.copy | sed 's/^......../0000beef/' > $D/keys/.x && "
         "chmod 600 $D/keys/.x && mv $D/keys/.x $D/keys/master.keys",
         0);
    for (double end = now_s() + 5; server_log_count("keys_refused") == refused; sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_true(server_log_has("which the generation that is served needs", 1000));
    unsigned reloads = server_log_count("reload_refused");
    kill(server.pid, SIGHUP);
    for (double end = now_s() + 5; server_log_count("reload_refused") == reloads; sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_verified(&server);
    does("cp -p $D/../master.copy $D/keys/.x && mv $D/keys/.x $D/keys/master.keys", 0);
    rotate("master");
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- killed ----------------------------------------------------------------------------------- */

static void a_killed_rotation_leaves_the_old_or_the_new_state(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 2);
    for (unsigned i = 0; i < KILLS; i++) {
        struct timespec wait = {.tv_nsec = (long)(500 + 400 * i) * 1000};
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, 1);
            dup2(null, 2);
            execl(xacthuc(), "xacthuc", "keys", "rotate", deployment("DIR"), kinds[i % KINDS],
                  NULL);
            _exit(127);
        }
        int how;
        (void)nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &how, 0), child);
        does("$X keys list $D", 0);
    }
    for (unsigned i = 0; i < KINDS; i++) {
        rotate(kinds[i]);
    }
    does("test -z \"$(find $D/keys -name '.*')\"", 0); /* no key lies about */
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_log_count("worker_died"), 0);
    assert_int_equal(server_stop(&server), 0);
    does("$X audit verify $D --quiet --public-key $D/../kept.pub", 0);
    server_start_with(&server, NULL, two_workers);
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- memory ----------------------------------------------------------------------------------- */

#define PIECE (1 << 20)
#define MAPPING_MAX (1ULL << 30) /* larger ones are a sanitizer's shadow */

static uint8_t window[PIECE];

static bool mapping_has(int memory, uint64_t begin, uint64_t end, const uint8_t *key, size_t size)
{
    for (uint64_t at = begin; at < end; at += PIECE - size) {
        size_t most = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ssize_t got = pread(memory, window, most, (off_t)at);
        if (got > 0 && memmem(window, (size_t)got, key, size) != NULL) {
            return true;
        }
    }
    return false;
}

/* How many mappings of a process hold the key; fails where one would be in a core dump. Not the stack:
 * copies go through registers, which are wiped right after (xt_wipe_registers), but a signal in between puts
 * them there. No dump is made of it either, since these processes make none (assert_no_core). */
static unsigned hidden_copies(pid_t pid, const uint8_t *key, size_t size)
{
    char path[64], line[512];
    unsigned hidden = 0;
    unsigned long long from = 0, until = 0;
    bool holds = false;
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    FILE *maps = fopen(path, "r");
    assert_true(memory >= 0);
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long long a, b;
        char mode[8];
        if (sscanf(line, "%llx-%llx %7s", &a, &b, mode) == 3) {
            from = a;
            until = b;
            holds = mode[0] == 'r' && until - from < MAPPING_MAX && strstr(line, "[v") == NULL &&
                    strstr(line, "[stack]") == NULL && mapping_has(memory, from, until, key, size);
        } else if (holds && strncmp(line, "VmFlags:", 8) == 0) {
            hidden++;
            if (strstr(line, " dd") == NULL) {
                fail_msg(
                    "process %d (%zu bytes) has a key at %llx, where a core dump would have it: %s",
                    (int)pid, size, from, line);
            }
        }
    }
    fclose(maps);
    close(memory);
    return hidden;
}

static void assert_no_core(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
    char *limits = read_text(path);
    const char *core = strstr(limits, "Max core file size");
    unsigned long soft = 1, hard = 1;
    assert_non_null(core);
    assert_int_equal(sscanf(core + 18, " %lu %lu", &soft, &hard), 2);
    assert_true(soft == 0 && hard == 0);
    free(limits);
}

static void keys_are_in_no_memory_that_a_core_dump_would_have(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* makes mlock and what comes with it do nothing */
#endif
    if (geteuid() != 0) {
        skip(); /* the processes let nobody else of their user look */
    }
    struct server server;
    pid_t pids[8];
    uint8_t key[XT_KEY_BYTES];
    server_start_with(&server, NULL, two_workers);
    rotate("master"); /* so that keys came by every way */
    assert_verified(&server);
    char *text = read_text(deployment("DIR/keys/master.keys"));
    char *last = text + strlen(text) - 65; /* 64 digits and the newline */
    for (unsigned i = 0; i < sizeof(key); i++) {
        char pair[3] = {last[2 * i], last[2 * i + 1], '\0'};
        key[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    char *seed = read_text(deployment("DIR/keys/audit.key"));
    unsigned workers = server_workers(&server, pids, 4);
    assert_int_equal(workers, 2);
    unsigned all = workers + server_writers(&server, pids + workers, 4);
    assert_int_equal(all, 3);
    pids[all++] = server.pid;
    for (unsigned i = 0; i < all; i++) {
        assert_no_core(pids[i]);
        /* The writer too: it opens generations. */
        assert_true(hidden_copies(pids[i], key, sizeof(key)) > 0);
        /* As text, they were wiped. */
        assert_int_equal(hidden_copies(pids[i], (const uint8_t *)last, 64), 0);
        assert_int_equal(hidden_copies(pids[i], (const uint8_t *)seed + 9, 64), 0);
    }
    free(seed);
    free(text);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- credentials ------------------------------------------------------------------------------ */

/* As systemd gives them: the folder 0550 and files 0440, and none of the keys in DIR. */
static void keys_can_come_as_credentials_of_the_service_manager(void **state)
{
    (void)state;
    struct server server;
    does("mkdir -m 700 $D/../credentials && mv $D/keys/master.keys $D/keys/server.key "
         "$D/keys/audit.key $D/../credentials && chmod 440 $D/../credentials/* && "
         "chmod 550 $D/../credentials",
         0);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", deployment("credentials"), 1), 0);
    server_start_with(&server, NULL, two_workers);
    assert_verified(&server);
    does("$X audit verify $D --quiet", 0);
    char *text = shell("$X keys rotate $D master || true", 0);
    assert_non_null(strstr(text, "is a credential of the service manager"));
    free(text);
    rotate("tickets");
    kill(server.pid, SIGHUP);
    assert_true(server_log_has("\"event\":\"reloaded\"", 5000));
    assert_int_equal(server_stop(&server), 0);
    /* The audit key rotated at its source: its list has to come with it. */
    does("mkdir -p $D/../source/keys $D/../source/audit && chmod 700 $D/../credentials && "
         "cp $D/../credentials/audit.key $D/keys/audit.pub $D/../source/keys && "
         "chmod 600 $D/../source/keys/audit.key && "
         "env -u CREDENTIALS_DIRECTORY $X keys rotate $D/../source audit && "
         "cp $D/../source/keys/audit.key $D/../credentials",
         0);
    text = shell("$X serve $D 2>&1 || true", 0);
    assert_non_null(strstr(text, "keys/audit.pub lacks key"));
    free(text);
    does("cp $D/../source/keys/audit.pub $D/../credentials", 0);
    server_start_with(&server, NULL, two_workers);
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
    does("$X audit verify $D --quiet", 0);
    does("chmod 755 $D/../credentials", 0);
    text = shell("$X serve $D 2>&1 || true; $X audit verify $D --quiet 2>&1 || true", 0);
    char *told = strstr(text, "others can enter or write it");
    assert_non_null(told);
    assert_non_null(strstr(told + 1, "others can enter or write it"));
    free(text);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    does("$X serve $D", 1); /* without them there are no keys */
    does("chmod 700 $D/../credentials && chmod 600 $D/../credentials/* && "
         "mv $D/../credentials/* $D/keys",
         0);
    server_start_with(&server, NULL, two_workers);
    assert_verified(&server);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- the command itself ----------------------------------------------------------------------- */

static void wrong_usage_is_told_and_changes_nothing(void **state)
{
    (void)state;
    char *before = read_text(deployment("DIR/keys/master.keys"));
    static const char *const wrong[] = {
        "$X keys",
        "$X keys list",
        "$X keys rotate $D",
        "$X keys rotate $D passwords",
        "$X keys retire $D master",
        "$X keys retire $D audit 00000001",
        "$X keys retire $D signing 00000001",
        "$X keys retire $D master 1",
        "$X keys retire $D master 0000000G",
        "$X keys list $D --yes",
        "$X keys list $D more",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        does(wrong[i], 2);
    }
    does("$X keys list $D/nothing", 1);
    does("$X keys --help", 0);
    if (geteuid() == 0) { /* files that the server's user could not read */
        does("chown 12345 $D/keys && { $X keys rotate $D master; r=$?; chown 0 $D/keys; exit $r; }",
             1);
    }
    char *after = read_text(deployment("DIR/keys/master.keys"));
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void without_a_server_the_next_start_takes_the_new_keys(void **state)
{
    (void)state;
    struct server server;
    for (unsigned i = 0; i < KINDS; i++) {
        char command[64];
        snprintf(command, sizeof(command), "$X keys rotate $D %s --json", kinds[i]);
        char *text = shell(command, 0);
        assert_non_null(strstr(text, "\"server\":\"not_running\""));
        free(text);
    }
    server_start_with(&server, NULL, two_workers);
    assert_true(server_log_has("live_resealed", 5000));
    assert_verified(&server);
    char *row = row_with("master", "\"live_store\":true");
    assert_non_null(strstr(row, "\"current\":true"));
    free(row);
    assert_int_equal(server_stop(&server), 0);
    does("$X audit verify $D --quiet --public-key $D/../kept.pub", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_on_through_rotations_of_every_kind),
        cmocka_unit_test(a_subject_is_found_on_both_sides_of_a_rotation),
        cmocka_unit_test(sessions_from_before_a_rotation_of_tickets_are_not_resumed_by_any_worker),
        cmocka_unit_test(
            the_next_signing_key_signs_everywhere_at_once_and_the_last_four_stay_published),
        cmocka_unit_test(
            a_key_file_that_lacks_a_needed_key_or_is_damaged_is_refused_and_the_old_goes_on),
        cmocka_unit_test(a_killed_rotation_leaves_the_old_or_the_new_state),
        cmocka_unit_test(keys_are_in_no_memory_that_a_core_dump_would_have),
        cmocka_unit_test(without_a_server_the_next_start_takes_the_new_keys),
        cmocka_unit_test(an_old_key_opens_what_it_sealed_until_nothing_needs_it_and_it_is_retired),
        cmocka_unit_test(keys_can_come_as_credentials_of_the_service_manager),
        cmocka_unit_test(wrong_usage_is_told_and_changes_nothing),
    };
    return cmocka_run_group_tests_name("net/rotation", tests, deployment_make, deployment_remove);
}
