/* SIGHUP and what changes in DIR while connections are open: all or nothing, and nobody is dropped. */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "tests/net/callers.h"
#include "tests/test.h"

#define CONNECTIONS 24 /* that all go to one of two workers: once in 2^23 */

static const char *const two_workers[] = {"--workers", "2", NULL};
static const char question[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}";

static unsigned count_in_log(const char *text)
{
    char *log = server_log();
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(log);
    return count;
}

/* SIGHUP; waits for one more of these events. */
static void hang_up(const struct server *server, const char *event)
{
    char text[128];
    snprintf(text, sizeof(text), "\"event\":\"%s\"", event);
    unsigned before = count_in_log(text);
    kill(server->pid, SIGHUP);
    for (double end = now_s() + 5; count_in_log(text) == before; sleep_ms(10)) {
        if (now_s() > end) {
            fail_msg("no %s after SIGHUP", event);
        }
    }
}

static void set(const char *lines)
{
    char *conf = read_text(deployment("DIR/xacthuc.conf"));
    char *changed = malloc(strlen(conf) + strlen(lines) + 1);
    assert_non_null(changed);
    sprintf(changed, "%s%s", conf, lines);
    write_text(deployment("DIR/xacthuc.conf"), changed);
    free(changed);
    free(conf);
}

static int ask(struct test_client *client)
{
    struct test_response response;
    int status = verify(client, question, &response);
    test_response_release(&response);
    return status;
}

/* Asks until it gets this status. */
static bool gets(struct test_client *client, int status, unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(10)) {
        if (ask(client) == status) {
            return true;
        }
    }
    return false;
}

static void open_all(const struct server *server, struct test_client *clients[CONNECTIONS])
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        clients[i] = connect_as(server, "demo");
        assert_int_equal(ask(clients[i]), 200);
    }
}

static void close_all(struct test_client *clients[CONNECTIONS])
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        test_client_close(clients[i]);
    }
}

/* A copy of a file of the deployment, to be put back with restore(). */
struct kept {
    const char *name;
    char *text;
};

static struct kept keep(const char *name)
{
    return (struct kept){.name = name, .text = read_text(deployment(name))};
}

static void restore(struct kept *kept)
{
    write_text(deployment(kept->name), kept->text);
    free(kept->text);
}

static void spki_of(const struct test_client *client, uint8_t spki[XT_SPKI_SHA256])
{
    assert_int_equal(xt_tls_peer_spki(test_client_tls(client), spki), XT_OK);
}

static void issue_server_certificate(void)
{
    static const char *const addresses[] = {"127.0.0.1", NULL};
    uint8_t spki[XT_SPKI_SHA256];
    struct xt_failure failure = {0};
    struct xt_certificate_request request = {.use = XT_CERTIFICATE_SERVER,
                                             .common_name = "other",
                                             .addresses = addresses,
                                             .not_before = time(NULL) - 60,
                                             .not_after = time(NULL) + 86400};
    unlink(deployment("DIR/server.crt"));
    unlink(deployment("DIR/keys/server.key"));
    if (xt_authority_issue(deployment("DIR/keys/ca.key"), deployment("DIR/ca.crt"), &request,
                           deployment("DIR/keys/server.key"), deployment("DIR/server.crt"), spki,
                           &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

static void new_certificate_is_for_new_connections(void **state)
{
    (void)state;
    struct server server;
    struct test_client *clients[CONNECTIONS], *fresh[CONNECTIONS];
    uint8_t before[XT_SPKI_SHA256], after[XT_SPKI_SHA256];
    server_start_with(&server, NULL, two_workers);
    open_all(&server, clients);
    spki_of(clients[0], before);
    issue_server_certificate();
    hang_up(&server, "reloaded");
    open_all(&server, fresh);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        spki_of(fresh[i], after);
        assert_memory_not_equal(before, after, sizeof(before));
        assert_int_equal(ask(clients[i]), 200);
    }
    close_all(clients);
    close_all(fresh);
    assert_int_equal(server_stop(&server), 0);
}

/* Each of these is refused by name, and everything goes on as before. */
static void bad_reload_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text; /* NULL: the key of a partner */
        const char *reason;
    } cases[] = {
        {"DIR/server.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
         "server.crt"},
        {"DIR/server.crt", "", "server.crt"},
        {"DIR/ca.crt", "nothing\n", "ca.crt"},
        {"DIR/keys/server.key", NULL, "does not belong to the first certificate"},
        {"DIR/revoked.crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
         "revoked.crl"},
        {"DIR/xacthuc.conf", "[limits]\nshoe_size = 43\n", "shoe_size"},
        {"DIR/xacthuc.conf", "[limits]\nidle_timeout = soon\n", "idle_timeout"},
    };
    struct server server;
    struct test_client *clients[CONNECTIONS];
    uint8_t before[XT_SPKI_SHA256], after[XT_SPKI_SHA256];
    char *client_key = read_text(deployment("issued/demo.key"));
    server_start_with(&server, NULL, two_workers);
    open_all(&server, clients);
    spki_of(clients[0], before);
    unlink(deployment("DIR/revoked.crl"));
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kept file = keep(cases[i].file);
        write_text(deployment(cases[i].file), cases[i].text != NULL ? cases[i].text : client_key);
        hang_up(&server, "reload_refused");
        char *log = server_log(), *line = NULL;
        for (char *at = log; (at = strstr(at, "\"event\":\"reload_refused\"")) != NULL; at++) {
            line = at;
        }
        *strchrnul(line, '\n') = '\0';
        if (strstr(line, cases[i].reason) == NULL) {
            fail_msg("case %u: %s", i, line);
        }
        free(log);
        for (unsigned j = 0; j < CONNECTIONS; j++) {
            assert_int_equal(ask(clients[j]), 200);
        }
        restore(&file); /* our client reads some of them, too */
        struct test_client *fresh = connect_as(&server, "demo");
        spki_of(fresh, after);
        assert_memory_equal(before, after, sizeof(before));
        assert_int_equal(ask(fresh), 200);
        test_client_close(fresh);
        if (strcmp(cases[i].file, "DIR/revoked.crl") == 0) {
            unlink(deployment("DIR/revoked.crl"));
        }
    }
    free(client_key);
    hang_up(&server, "reloaded");
    close_all(clients);
    assert_int_equal(server_stop(&server), 0);
}

static void limits_change_for_real(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    struct kept conf = {0};
    char *large = malloc(20001);
    assert_non_null(large);
    memset(large, ' ', 20000);
    large[20000] = '\0';
    server_start_with(&server, NULL, two_workers);
    conf = keep("DIR/xacthuc.conf");
    struct test_client *client = connect_as(&server, "demo");
    assert_int_equal(verify(client, large, &response), 400);
    test_response_release(&response);
    test_client_close(client);
    /* Lengths of headers and bodies: memory is measured by them, so that new processes take over. */
    set("body_bytes = 10000\n");
    pid_t before[4], now[4];
    assert_int_equal(server_workers(&server, before, 4), 2);
    hang_up(&server, "reloaded");
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        client = connect_as(&server, "demo");
        assert_int_equal(verify(client, large, &response), 413);
        test_response_release(&response);
        test_client_close(client);
    }
    for (double end = now_s() + 5;; sleep_ms(10)) {
        unsigned count = server_workers(&server, now, 4);
        if (count == 2 && now[0] != before[0] && now[0] != before[1] && now[1] != before[0] &&
            now[1] != before[1]) {
            break;
        }
        assert_true(now_s() < end);
    }
    /* Times are for the processes that are there, and for connections that are open. */
    struct test_client *idle = connect_as(&server, "demo");
    assert_int_equal(ask(idle), 200);
    set("idle_timeout = 1s\n");
    hang_up(&server, "reloaded");
    double begin = now_s();
    assert_true(test_client_wait_closed(idle));
    assert_true(now_s() - begin < 5);
    test_client_close(idle);
    pid_t after[4];
    assert_int_equal(server_workers(&server, after, 4), 2);
    assert_true((after[0] == now[0] && after[1] == now[1]) ||
                (after[0] == now[1] && after[1] == now[0]));
    restore(&conf);
    free(large);
    assert_int_equal(server_stop(&server), 0);
}

static int status_of_fields(struct test_client *client)
{
    static const char ten[] =
        "a: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n";
    struct test_response response;
    assert_true(test_client_request(client, "GET", "/nothing", ten, NULL, &response));
    int status = response.status;
    test_response_release(&response);
    return status;
}

static void limits_count_in_processes_that_stay(void **state)
{
    (void)state;
    enum { PLACES = 3 };
    static const char *const one_worker[] = {"--workers", "1", NULL};
    struct server server;
    struct test_client *clients[PLACES + 1];
    pid_t before, after;
    server_start_with(&server, NULL, one_worker);
    struct kept conf = keep("DIR/xacthuc.conf");
    assert_int_equal(server_workers(&server, &before, 1), 1);
    clients[0] = connect_as(&server, "demo");
    assert_int_equal(status_of_fields(clients[0]), 404);
    set("header_fields = 8\nconnections = 3\n");
    hang_up(&server, "reloaded");
    assert_int_equal(status_of_fields(clients[0]), 431); /* and it ends */
    test_client_close(clients[0]);
    for (unsigned i = 0; i < PLACES + 1; i++) {
        clients[i] = connect_as(&server, "demo");
        assert_int_equal(ask(clients[i]), 200);
    }
    assert_true(test_client_wait_closed(clients[0])); /* the oldest made room */
    for (unsigned i = 0; i < PLACES + 1; i++) {
        assert_true(i == 0 || ask(clients[i]) == 200);
        test_client_close(clients[i]);
    }
    assert_int_equal(server_workers(&server, &after, 1), 1);
    assert_int_equal(before, after);
    restore(&conf);
    assert_int_equal(server_stop(&server), 0);
}

static void what_only_a_start_can_change_is_told(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct kept conf = keep("DIR/xacthuc.conf");
    set("[server]\nworkers = 9\n");
    hang_up(&server, "reloaded");
    assert_true(server_log_has("\"event\":\"needs_restart\",\"setting\":\"workers\"", 1000));
    assert_int_equal(status_of(&server, "demo", question), 200);
    restore(&conf);
    assert_int_equal(server_stop(&server), 0);
}

/* The same on every worker, for those who are connected and for those who come. */
static void revoked_certificate_is_shut_out_on_open_connections(void **state)
{
    (void)state;
    struct server server;
    struct test_client *clients[CONNECTIONS];
    server_start_with(&server, NULL, two_workers);
    open_all(&server, clients);
    assert_int_equal(run(xacthuc(), "partner", "revoke", deployment("DIR"), "--cert",
                         deployment("issued/demo.crt"), NULL),
                     0);
    hang_up(&server, "reloaded");
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(ask(clients[i]), 401);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        char error[TEST_ERROR_MAX];
        struct test_response response = {0};
        struct test_client_options options = options_as(&server, "demo");
        struct test_client *client = test_client_open(&options, error);
        if (client != NULL) { /* with TLS 1.3 it is told with the first answer */
            assert_false(test_client_request(client, "GET", "/nothing", NULL, NULL, &response));
            test_client_close(client);
        }
    }
    assert_int_equal(status_of(&server, "wide", question), 200);
    /* A list that is gone would let everybody in again. */
    char *list = read_text(deployment("DIR/revoked.crl"));
    assert_int_equal(unlink(deployment("DIR/revoked.crl")), 0);
    hang_up(&server, "reload_refused");
    assert_true(server_log_has("revoked.crl is gone", 1000));
    struct kept conf = keep("DIR/xacthuc.conf");
    set("[server]\nrevocations =\n");
    hang_up(&server, "reloaded");
    assert_int_equal(status_of(&server, "demo", question), 200);
    restore(&conf);
    free(list);
    close_all(clients);
    assert_int_equal(server_stop(&server), 0);
}

static void partner_that_is_shut_out_is_so_on_every_worker_within_a_second(void **state)
{
    (void)state;
    struct server server;
    struct test_client *clients[CONNECTIONS];
    const char active[] = "\"state\": \"active\"";
    server_start_with(&server, NULL, two_workers);
    open_all(&server, clients);
    struct kept file = keep("DIR/partners/demo.json");
    char *at = strstr(file.text, active), *disabled = malloc(strlen(file.text) + 64);
    assert_non_null(at);
    assert_non_null(disabled);
    sprintf(disabled, "%.*s\"state\": \"disabled\"%s", (int)(at - file.text), file.text,
            at + strlen(active));
    write_text(deployment("DIR/partners/demo.json"), disabled);
    double begin = now_s();
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        assert_true(gets(clients[i], 403, 3000));
    }
    assert_true(now_s() - begin < 1);
    restore(&file);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        assert_true(gets(clients[i], 200, 3000));
    }
    free(disabled);
    close_all(clients);
    assert_int_equal(server_stop(&server), 0);
}

static void twenty_reloads_cost_no_answer(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 4);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(callers_wait(callers, 20, 5000));
        if (i % 5 == 0) {
            issue_server_certificate();
        }
        hang_up(&server, "reloaded");
    }
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_stop(&server), 0);
}

/* A worker that cannot take what the supervisor could goes on by the old until another is there. */
static struct callers_result replaced_for(int resource, rlim_t limit, const char *event)
{
    struct server server;
    pid_t pids[4], now[4];
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 4);
    assert_true(callers_wait(callers, 20, 5000));
    assert_int_equal(server_workers(&server, pids, 4), 2);
    struct rlimit limits;
    assert_int_equal(prlimit(pids[0], resource, NULL, &limits), 0);
    limits.rlim_cur = limit;
    assert_int_equal(prlimit(pids[0], resource, &limits, NULL), 0);
    issue_server_certificate();
    hang_up(&server, event);
    for (double end = now_s() + 10;; sleep_ms(10)) {
        unsigned count = server_workers(&server, now, 4);
        if (count == 2 && now[0] != pids[0] && now[1] != pids[0]) {
            break;
        }
        assert_true(now_s() < end);
    }
    assert_true(callers_wait(callers, 20, 5000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(server_stop(&server), 0);
    return result;
}

static void worker_without_memory_for_a_reload_is_replaced(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its allocator ends the process where others say no */
#endif
    /* No new map fits. */
    struct callers_result result = replaced_for(RLIMIT_AS, 1 << 20, "worker_refused");
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
}

static void worker_without_a_descriptor_for_a_reload_is_replaced(void **state)
{
    (void)state;
    /* It also makes room for new clients by closing idle ones. */
    assert_int_equal(replaced_for(RLIMIT_NOFILE, 5, "worker_leaving").wrong, 0);
}

/* The number is a name; what was checked is the content. Both generations here are valid ones. */
static void generation_that_was_exchanged_under_its_number_is_refused(void **state)
{
    (void)state;
    struct server server;
    pid_t pids[4];
    char checked[512], other[512], aside[512];
    snprintf(checked, sizeof(checked), "%s", deployment("DIR/identity/000002"));
    snprintf(other, sizeof(other), "%s", deployment("OTHER/identity/000002"));
    snprintf(aside, sizeof(aside), "%s", deployment("aside"));
    assert_int_equal(run("/bin/cp", "-a", deployment("DIR"), deployment("OTHER"), NULL), 0);
    assert_int_equal(
        run(xacthuc(), "import", deployment("OTHER"), deployment("people.ndjson"), NULL), 0);
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(server_workers(&server, pids, 4), 2);
    unsigned refused = count_in_log("\"event\":\"worker_refused\"");
    kill(pids[0], SIGSTOP);
    assert_int_equal(run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL),
                     0);
    assert_true(server_log_has("\"event\":\"generation_opened\"", 5000));
    for (double end = now_s() + 4; count_in_log("\"generation\":2") == 0; sleep_ms(10)) {
        assert_true(now_s() < end); /* the other worker has it, so this one was told */
    }
    assert_int_equal(rename(checked, aside), 0);
    assert_int_equal(rename(other, checked), 0);
    kill(pids[0], SIGCONT);
    for (double end = now_s() + 5; count_in_log("\"event\":\"worker_refused\"") == refused;
         sleep_ms(10)) {
        assert_true(now_s() < end);
    }
    assert_true(server_log_has("it was exchanged meanwhile", 1000));
    assert_int_equal(rename(checked, other), 0);
    assert_int_equal(rename(aside, checked), 0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(status_of(&server, "demo", question), 200);
    }
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_certificate_is_for_new_connections),
        cmocka_unit_test(bad_reload_changes_nothing),
        cmocka_unit_test(limits_change_for_real),
        cmocka_unit_test(limits_count_in_processes_that_stay),
        cmocka_unit_test(what_only_a_start_can_change_is_told),
        cmocka_unit_test(partner_that_is_shut_out_is_so_on_every_worker_within_a_second),
        cmocka_unit_test(twenty_reloads_cost_no_answer),
        cmocka_unit_test(worker_without_memory_for_a_reload_is_replaced),
        cmocka_unit_test(worker_without_a_descriptor_for_a_reload_is_replaced),
        cmocka_unit_test(generation_that_was_exchanged_under_its_number_is_refused),
        cmocka_unit_test(revoked_certificate_is_shut_out_on_open_connections),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
