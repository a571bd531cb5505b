/* The audit log of the real server: what is in it after whatever happened to the server or its disk.
 *
 * XT_KILLS in the environment: how many workers are killed under load (20; a soak takes 1000). */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/file.h"
#include "tests/net/callers.h"
#include "tests/test.h"

#define KILL_EVERY_MS 300 /* of four workers: each lives for longer than a quick death */
#define ANSWER_ID 26

static const char *const one_worker[] = {"--workers", "1", NULL};
static const char *const two_workers[] = {"--workers", "2", NULL};
static const char *const four_workers[] = {"--workers", "4", NULL};
static const char question[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"legal_basis\":\"consent\","
    "\"consent_ref\":\"C-17\",\"claims\":{\"full_name\":\"An\"}}";

/* ---- the log, as its commands show it ----------------------------------------------------------- */

/* What `xacthuc audit ACTION DIR` prints; the caller frees it. */
static char *audit(const char *action, int *code)
{
    char command[XT_PATH_MAX * 2 + 64];
    snprintf(command, sizeof(command), "'%s' audit %s '%s' 2>&1", xacthuc(), action,
             deployment("DIR"));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    assert_non_null(text);
    for (size_t got; (got = fread(text + size, 1, room - size - 1, pipe)) > 0;) {
        size += got;
        if (room - size < 4096) {
            room *= 2;
            text = realloc(text, room);
            assert_non_null(text);
        }
    }
    text[size] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    *code = WEXITSTATUS(status);
    return text;
}

static void is_sound(void)
{
    int code;
    char *text = audit("verify --quiet", &code);
    if (code != 0) {
        fail_msg("%s", text);
    }
    free(text);
}

/* All entries, oldest first; the caller frees them. */
static char *entries(void)
{
    int code;
    char *text = audit("export", &code);
    if (code != 0) {
        fail_msg("%s", text);
    }
    return text;
}

/* The line with this answer_id; NULL: there is none. The caller frees it. */
static char *entry_of(const char *all, const char *answer_id)
{
    const char *at = strstr(all, answer_id);
    if (at == NULL) {
        return NULL;
    }
    while (at > all && at[-1] != '\n') {
        at--;
    }
    return strndup(at, strcspn(at, "\n"));
}

static int by_text(const void *a, const void *b)
{
    return memcmp(a, b, ANSWER_ID);
}

/* Every answer_id of `answers` (a line each) stands in the log. Gives how many there were. */
static unsigned all_are_logged(const char *answers)
{
    char *all = entries();
    size_t count = 0, lines = 0;
    for (const char *at = all; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    char(*ids)[ANSWER_ID] = malloc((lines + 1) * sizeof(*ids));
    assert_non_null(ids);
    for (const char *at = all; (at = strstr(at, "\"answer_id\":\"")) != NULL && count < lines;) {
        at += strlen("\"answer_id\":\"");
        memcpy(ids[count++], at, ANSWER_ID);
    }
    qsort(ids, count, sizeof(*ids), by_text);
    unsigned told = 0;
    for (const char *at = answers; *at != '\0'; at += ANSWER_ID + 1, told++) {
        assert_true(strnlen(at, ANSWER_ID + 1) > ANSWER_ID && at[ANSWER_ID] == '\n');
        if (bsearch(at, ids, count, sizeof(*ids), by_text) == NULL) {
            fail_msg("answer %.26s left and is not in the log of %zu", at, count);
        }
    }
    free(ids);
    free(all);
    return told;
}

static unsigned segments(void)
{
    unsigned count = 0;
    DIR *folder = opendir(deployment("DIR/audit"));
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += strstr(entry->d_name, ".seg") != NULL;
    }
    closedir(folder);
    return count;
}

/* ---- what is written down ----------------------------------------------------------------------- */

/* Sends a request as written; gives its answer_id. */
static void answer_to(const struct server *server, const char *partner, const char *bytes,
                      int status, char id[ANSWER_ID + 1])
{
    struct test_client *client = connect_as(server, partner);
    struct test_response response;
    assert_true(test_client_send_text(client, bytes));
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, status);
    member_of(response.body, "answer_id", id, ANSWER_ID + 1);
    test_response_release(&response);
    test_client_close(client);
}

static void has(const char *all, const char *id, const char *const *texts)
{
    char *line = entry_of(all, id);
    if (line == NULL) {
        fail_msg("%s is not in the log", id);
    }
    for (; *texts != NULL; texts++) {
        if (strstr(line, *texts) == NULL) {
            fail_msg("no %s in %s", *texts, line);
        }
    }
    free(line);
}

static void every_answer_of_the_api_is_written_down_refusals_included(void **state)
{
    (void)state;
    struct server server;
    char verify_request[2048], yes[1024], ids[6][ANSWER_ID + 1];
    server_start_with(&server, NULL, two_workers);
    verified_question(yes, sizeof(yes));
    snprintf(verify_request, sizeof(verify_request),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(question), question);
    answer_to(&server, "demo", verify_request, 200, ids[0]);
    answer_to(&server, "narrow", verify_request, 403, ids[1]);
    answer_to(&server, "demo",
              "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
              "Content-Length: 2\r\n\r\n{}",
              400, ids[2]);
    answer_to(&server, "demo", "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, ids[3]);
    answer_to(&server, "demo", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, ids[4]);
    snprintf(verify_request, sizeof(verify_request),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(yes), yes);
    answer_to(&server, "demo", verify_request, 200, ids[5]);
    /* Probes and scrapes are the operator's own. */
    struct test_client *admin = connect_plain(server.admin_port);
    struct test_response response;
    assert_true(test_client_request(admin, "GET", "/healthz", NULL, NULL, &response));
    test_response_release(&response);
    test_client_close(admin);
    is_sound(); /* while it runs as well */
    assert_int_equal(server_stop(&server), 0);
    is_sound();
    char *all = entries();
    unsigned lines = 0;
    for (const char *at = all; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 6);
    has(all, ids[0],
        (const char *const[]){"\"partner\":\"demo\"", "\"purpose\":\"demo.verify\"",
                              "\"legal_basis\":\"consent\"", "\"consent_ref\":\"C-17\"",
                              "\"verdict\":\"not_verified\"", "\"status\":200",
                              "\"full_name\":\"mismatch\"", "\"subject\":", NULL});
    has(all, ids[1],
        (const char *const[]){"\"partner\":\"narrow\"", "\"purpose\":\"demo.verify\"",
                              "\"status\":403", "purpose_not_permitted", NULL});
    has(all, ids[2],
        (const char *const[]){"\"partner\":\"demo\"", "\"status\":400", "invalid_request", NULL});
    has(all, ids[3],
        (const char *const[]){"\"partner\":\"demo\"", "\"status\":404", "not_found", NULL});
    has(all, ids[4], (const char *const[]){"\"status\":505", "version_not_supported", NULL});
    has(all, ids[5],
        (const char *const[]){"\"verdict\":\"verified\"", "\"full_name\":\"match\"", NULL});
    assert_null(strstr(all, "001099000001"));
    free(all);
}

/* ---- what happens to workers -------------------------------------------------------------------- */

static unsigned kills(void)
{
    const char *text = getenv("XT_KILLS");
    return text == NULL ? 20 : (unsigned)strtoul(text, NULL, 10);
}

static void what_left_before_a_worker_was_killed_is_in_the_log(void **state)
{
    (void)state;
    struct server server;
    char *answers = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&answers, &size);
    assert_non_null(file);
    server_start_with(&server, "[audit]\nsync = answer\n", four_workers);
    struct callers *callers = callers_start(&server, 4);
    callers_note_answers(callers, file);
    unsigned seed = (unsigned)getpid();
    for (unsigned i = 0; i < kills(); i++) {
        pid_t pids[4];
        sleep_ms(KILL_EVERY_MS);
        unsigned count = server_workers(&server, pids, 4);
        assert_true(count > 0 || i == 0);
        if (count > 0) {
            kill(pids[(unsigned)rand_r(&seed) % count], SIGKILL);
        }
        assert_true(callers_wait(callers, 1, 20000));
    }
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong, 0);
    assert_int_equal(server_stop(&server), 0);
    fclose(file);
    is_sound();
    assert_true(all_are_logged(answers) > kills());
    free(answers);
    assert_int_equal(server_log_count("\"event\":\"audit_damaged\""), 0);
}

/* All processes at once, as a machine's end would have it but for what the disk had not got. */
static void a_start_after_the_end_of_everything_goes_on(void **state)
{
    (void)state;
    struct server server;
    char *answers = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&answers, &size);
    assert_non_null(file);
    for (unsigned i = 0; i < 3; i++) {
        pid_t pids[2];
        server_start_with(&server, NULL, two_workers);
        struct callers *callers = callers_start(&server, 2);
        callers_note_answers(callers, file);
        assert_true(callers_wait(callers, 50, 10000));
        unsigned count = server_workers(&server, pids, 2);
        kill(server.pid, SIGKILL);
        for (unsigned j = 0; j < count; j++) {
            kill(pids[j], SIGKILL);
        }
        callers_stop(callers);
        (void)server_wait(&server, 5000);
    }
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(server_stop(&server), 0);
    fclose(file);
    is_sound();
    assert_true(all_are_logged(answers) > 100);
    free(answers);
}

static void an_upgrade_and_other_settings_leave_no_gap(void **state)
{
    (void)state;
    struct server server;
    char *answers = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&answers, &size);
    assert_non_null(file);
    server_start_with(&server, "[audit]\nsync = answer\nsegment_size = 1\n", two_workers);
    struct callers *callers = callers_start(&server, 2);
    callers_note_answers(callers, file);
    assert_true(callers_wait(callers, 20, 10000));
    char *conf = read_text(deployment("DIR/xacthuc.conf"));
    char *at = strstr(conf, "sync = answer");
    assert_non_null(at);
    memcpy(at, "sync=interval", strlen("sync=interval"));
    write_text(deployment("DIR/xacthuc.conf"), conf);
    free(conf);
    kill(server.pid, SIGHUP);
    assert_true(server_log_has("\"event\":\"reloaded\"", 5000));
    kill(server.pid, SIGUSR2);
    assert_true(server_log_has("\"event\":\"upgraded\"", 20000));
    assert_true(callers_wait(callers, 200, 20000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.cut, 0);
    assert_int_equal(server_wait(&server, 20000), 0);
    char *log = server_log();
    const char *heir = strstr(log, "\"event\":\"upgraded\"");
    heir = heir == NULL ? NULL : strstr(heir, "\"pid\":");
    assert_non_null(heir);
    server_adopt(&server, (pid_t)strtol(heir + strlen("\"pid\":"), NULL, 10));
    free(log);
    assert_int_equal(server_stop(&server), 0);
    fclose(file);
    is_sound();
    assert_true(all_are_logged(answers) > 200);
    free(answers);
}

/* Asks until there are so many segments that were not there. */
static void fill_segments(const struct server *server, unsigned wanted)
{
    char url[64];
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", server->port);
    for (unsigned i = 0; i < 30 && segments() < wanted; i++) {
        assert_int_equal(
            run(bench(), "load", "--server", url, "--cert", deployment("issued/demo.crt"), "--key",
                deployment("issued/demo.key"), "--ca", deployment("DIR/ca.crt"), "--seed", SEED,
                "--count", PEOPLE, "--purpose", "demo.verify", "--connections", "8", "--pipeline",
                "4", "--requests", "1000", "--warmup", "0s", "--duration", "2s", "--quiet", NULL),
            0);
    }
    assert_true(segments() >= wanted);
}

static void a_large_segment_is_followed_by_another_and_old_ones_may_go(void **state)
{
    (void)state;
    struct server server;
    unsigned before = segments();
    /* The log is that of all tests here, and a full disk may have failed one. */
    unsigned failed = server_log_count("\"event\":\"checkpoint_failed\"");
    unsigned killed = server_log_count("\"event\":\"worker_killed\"");
    server_start_with(&server, "[audit]\nsegment_size = 1\n", one_worker);
    fill_segments(&server, before + 3);
    /* All but the open one, while the worker still tells of the one before. */
    char now[32];
    time_t seconds;
    struct tm utc;
    sleep_ms(2000);
    seconds = time(NULL) - 1;
    assert_true(strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc)) > 0);
    assert_int_equal(run(xacthuc(), "audit", "expire", deployment("DIR"), "--before", now, NULL),
                     0);
    unsigned left = segments();
    assert_true(left < before + 3);
    is_sound();
    fill_segments(&server, left + 1);
    sleep_ms(1500); /* a checkpoint follows each rotation */
    struct test_client *client = connect_as(&server, "demo");
    struct test_response response;
    assert_int_equal(verify(client, question, &response), 200);
    test_response_release(&response);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
    is_sound();
    assert_int_equal(server_log_count("\"event\":\"checkpoint_failed\""), failed);
    assert_int_equal(server_log_count("\"event\":\"worker_killed\""), killed);
}

/* ---- what happens to the disk ------------------------------------------------------------------- */

/* Asks until it gets this status; gives how often it got another. */
static unsigned until(struct test_client *client, int status, unsigned timeout_ms)
{
    unsigned others = 0;
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; others++) {
        struct test_response response;
        int got = verify(client, question, &response);
        if (got == 503) {
            assert_non_null(strstr(response.body, "\"code\":\"not_logged\""));
            assert_null(strstr(response.body, "verdict"));
        }
        test_response_release(&response);
        if (got == status) {
            return others;
        }
        assert_true(got == 200 || got == 503);
    }
    fail_msg("no answer %d in time", status);
    return 0;
}

static void asks_through_a_full_disk(const struct server *server, void (*fill)(void *),
                                     void (*empty)(void *), void *context)
{
    char *answers = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&answers, &size);
    assert_non_null(file);
    struct test_client *client = connect_as(server, "demo");
    for (unsigned round = 0; round < 2; round++) {
        until(client, 200, 5000);
        fill(context);
        /* What was set aside is used up first; every answer until then must be in the log. */
        for (unsigned i = 0;; i++) {
            struct test_response response;
            char id[ANSWER_ID + 1];
            int status = verify(client, question, &response);
            member_of(response.body, "answer_id", id, sizeof(id));
            test_response_release(&response);
            if (status == 503) {
                break;
            }
            assert_int_equal(status, 200);
            fprintf(file, "%s\n", id);
            assert_true(i < 100000);
        }
        assert_true(server_log_has("\"event\":\"audit_full\"", 1000));
        struct test_client *admin = connect_plain(server->admin_port);
        struct test_response response;
        assert_true(test_client_request(admin, "GET", "/metrics", NULL, NULL, &response));
        assert_non_null(strstr(response.body, "xacthuc_audit_full{worker=\"0\"} 1"));
        test_response_release(&response);
        assert_true(test_client_request(admin, "GET", "/readyz", NULL, NULL, &response));
        assert_int_equal(response.status, 503);
        assert_non_null(strstr(response.body, "\"audit_log_full\""));
        test_response_release(&response);
        test_client_close(admin);
        until(client, 503, 1000);
        empty(context);
        until(client, 200, 5000); /* on the same connection, by itself */
    }
    test_client_close(client);
    fclose(file);
    assert_true(all_are_logged(answers) > 0);
    free(answers);
}

static void limit_files(pid_t worker, rlim_t most)
{
    const struct rlimit limit = {most, RLIM_INFINITY};
    assert_int_equal(prlimit(worker, RLIMIT_FSIZE, &limit, NULL), 0);
}

/* A limit on the size of files shows only when the answer is made already. */
static void an_answer_that_cannot_be_written_down_never_leaves(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sandbox is open, so that the worker cuts its file and lives */
#endif
    struct server server;
    pid_t worker;
    server_start_with(&server, NULL, one_worker);
    assert_int_equal(server_workers(&server, &worker, 1), 1);
    struct test_client *client = connect_as(&server, "demo");
    until(client, 200, 5000);
    limit_files(worker, 400); /* two entries need more; so does the log on stderr */
    struct test_response response;
    assert_false(test_client_request(client, "POST", "/v1/verify",
                                     "Content-Type: application/json\r\n", question, &response));
    test_client_close(client);
    /* It may not cut its file: it ends, and what is torn is cut off before its successor starts. */
    assert_true(server_wait_for_workers(&server, 1, worker, 10000));
    client = connect_as(&server, "demo");
    until(client, 200, 5000);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
    is_sound();
}

static void fill_disk(void *context)
{
    int ballast = open(context, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(ballast >= 0);
    char page[4096] = {0};
    while (write(ballast, page, sizeof(page)) > 0) {
    }
    close(ballast);
}

static void empty_disk(void *context)
{
    assert_int_equal(unlink(context), 0);
}

static void a_full_disk_is_a_refusal_until_there_is_room(void **state)
{
    (void)state;
    struct server server;
    char ballast[XT_PATH_MAX];
    /* A disk of its own for the log. */
    assert_int_equal(mkdir(deployment("disk"), 0700), 0);
    if (mount("none", deployment("disk"), "tmpfs", 0, "size=12m,mode=700") != 0) {
        skip();
    }
    assert_int_equal(run("/bin/cp", "-a", deployment("DIR/audit/."), deployment("disk"), NULL), 0);
    assert_int_equal(mount(deployment("disk"), deployment("DIR/audit"), NULL, MS_BIND, NULL), 0);
    snprintf(ballast, sizeof(ballast), "%s", deployment("DIR/audit/.ballast"));
    server_start_with(&server, NULL, one_worker);
    asks_through_a_full_disk(&server, fill_disk, empty_disk, ballast);
    assert_int_equal(server_stop(&server), 0);
    is_sound();
    assert_int_equal(umount(deployment("DIR/audit")), 0);
    assert_int_equal(umount(deployment("disk")), 0);
}

static void a_server_does_not_start_on_a_log_that_was_bent(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, one_worker);
    struct test_client *client = connect_as(&server, "demo");
    until(client, 200, 5000);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(rename(deployment("DIR/audit/head"), deployment("DIR/audit.head")), 0);
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--listen", "127.0.0.1:0",
                         "--admin", "127.0.0.1:0", NULL),
                     1);
    assert_int_equal(rename(deployment("DIR/audit.head"), deployment("DIR/audit/head")), 0);
    is_sound();
}

/* ---- the suite ---------------------------------------------------------------------------------- */

int main(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) { /* who takes over is ours to wait for */
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_of_the_api_is_written_down_refusals_included),
        cmocka_unit_test(a_full_disk_is_a_refusal_until_there_is_room),
        cmocka_unit_test(what_left_before_a_worker_was_killed_is_in_the_log),
        cmocka_unit_test(a_start_after_the_end_of_everything_goes_on),
        cmocka_unit_test(an_upgrade_and_other_settings_leave_no_gap),
        cmocka_unit_test(a_large_segment_is_followed_by_another_and_old_ones_may_go),
        cmocka_unit_test(an_answer_that_cannot_be_written_down_never_leaves),
        cmocka_unit_test(a_server_does_not_start_on_a_log_that_was_bent),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
