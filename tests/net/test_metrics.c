/* /metrics of the real server: numbers that add up with what was sent, over all workers; traces. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/trace.h"
#include "tests/net/deployment.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

static void get_metrics(const struct server *server, struct scrape *scrape)
{
    struct test_client *client = connect_plain(server->admin_port);
    struct test_response response;
    char type[128];
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    assert_true(response.chunked);
    assert_string_equal(test_response_field(&response, "Content-Type", type, sizeof(type)),
                        "text/plain; version=0.0.4; charset=utf-8");
    scrape_read(scrape, response.body);
    test_response_release(&response);
    test_client_close(client);
}

/* ---- the real server -------------------------------------------------------------------------- */

static const char nobody[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}";

static void ask(struct test_client *client, const char *body, int status, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        struct test_response response;
        assert_int_equal(verify(client, body, &response), status);
        test_response_release(&response);
    }
}

static void request(const struct server *server, const char *partner, const char *bytes, int status)
{
    struct test_client *client = connect_as(server, partner);
    struct test_response response;
    assert_true(test_client_send_text(client, bytes));
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, status);
    test_response_release(&response);
    test_client_close(client);
}

/* Somebody of the register with his right name. */
static void write_right_question(char *body, size_t size)
{
    for (unsigned n = 0;; n++) {
        char *line = person_line(n), id[16], name[256];
        bool alive = strstr(line, "\"status\":\"alive\"") != NULL;
        member_of(line, "id", id, sizeof(id));
        member_of(line, "full_name", name, sizeof(name));
        free(line);
        if (alive) {
            snprintf(
                body, size,
                "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"%s\"}}", id,
                name);
            return;
        }
    }
}

#define REQUESTS(labels) "xacthuc_requests_total{route=" labels "}"

static void numbers_add_up_with_what_was_sent(void **state)
{
    (void)state;
    struct server server;
    struct scrape before, after;
    char right[600];
    server_start(&server, NULL);
    write_right_question(right, sizeof(right));
    get_metrics(&server, &before);
    assert_true(value_of(&before, "xacthuc_ready") == 1);
    assert_true(value_of(&before, REQUESTS("\"/v1/verify\",result=\"verified\",code=\"200\"")) ==
                0);

    struct test_client *demo = connect_as(&server, "demo"), *wide = connect_as(&server, "wide");
    ask(demo, right, 200, 30);
    ask(demo, nobody, 200, 20);
    ask(wide, right, 200, 7);
    ask(demo, "{", 400, 3);
    ask(demo, "{\"id\":\"001099000001\",\"purpose\":\"x\",\"claims\":{\"sex\":\"male\"}}", 403, 2);
    test_client_close(demo);
    test_client_close(wide);
    request(&server, "demo", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404);
    request(&server, "demo", "GET /v1/verify HTTP/1.1\r\nHost: a\r\n\r\n", 405);
    request(&server, "demo", "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", 200);
    request(&server, "demo", "NONSENSE\r\n\r\n", 400);
    char error[TEST_ERROR_MAX];
    struct test_client_options stranger = options_as(&server, NULL);
    struct test_client *client = test_client_open(&stranger, error);
    if (client != NULL) { /* with TLS 1.3 the refusal comes after its own handshake */
        assert_true(test_client_wait_closed(client));
        test_client_close(client);
    }
    sleep_ms(50);

    get_metrics(&server, &after);
    no_series_is_there_twice(&after);
    const struct {
        const char *text;
        double value;
    } expected[] = {
        {REQUESTS("\"/v1/verify\",result=\"verified\",code=\"200\""), 37},
        {REQUESTS("\"/v1/verify\",result=\"not_verified\",code=\"200\""), 20},
        {REQUESTS("\"/v1/verify\",result=\"refused\",code=\"400\""), 3},
        {REQUESTS("\"/v1/verify\",result=\"refused\",code=\"403\""), 2},
        {REQUESTS("\"/v1/verify\",result=\"refused\",code=\"405\""), 1},
        {REQUESTS("\"/v1/verify\",result=\"failed\",code=\"500\""), 0},
        {REQUESTS("\"other\",result=\"refused\",code=\"404\""), 1},
        {REQUESTS("\"other\",result=\"refused\",code=\"400\""), 1},
        {REQUESTS("\"/openapi.json\",result=\"answered\",code=\"2xx\""), 1},
        {OF_PARTNER("demo", "result=\"verified\",code=\"200\""), 30},
        {OF_PARTNER("demo", "result=\"not_verified\",code=\"200\""), 20},
        {OF_PARTNER("demo", "result=\"refused\",code=\"400\""), 3},
        {OF_PARTNER("demo", "result=\"refused\",code=\"403\""), 2},
        {OF_PARTNER("wide", "result=\"verified\",code=\"200\""), 7},
        {"xacthuc_request_duration_seconds_count{route=\"/v1/verify\"}", 63},
        {"xacthuc_connections_accepted_total{listener=\"api\"}", 7},
        {"xacthuc_tls_handshakes_total{result=\"full\"}", 6},
        {"xacthuc_tls_handshakes_total{result=\"resumed\"}", 0},
        {"xacthuc_tls_handshakes_total{result=\"refused\"}", 1},
        {"xacthuc_generation{worker=\"0\"}", 1},
        {"xacthuc_people{worker=\"0\"}", 20000},
        {"xacthuc_partners{worker=\"0\"}", 3},
        {"xacthuc_process_up{process=\"worker\",worker=\"0\"}", 1},
        {"xacthuc_process_restarts_total{process=\"worker\",worker=\"0\"}", 0},
        {"xacthuc_overload_total{reason=\"request_refused\"}", 0},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        double value = value_of(&after, expected[i].text);
        if (value != expected[i].value) {
            fail_msg("%s is %g and not %g", expected[i].text, value, expected[i].value);
        }
    }
    assert_true(sum_of(&after, "xacthuc_partner_requests_total{partner=\"narrow\"") == 0);
    assert_true(sum_of(&after, "xacthuc_request_duration_seconds_sum{route=\"/v1/verify\"") > 0);
    /* Each of the requests came after the answer to the one before. */
    assert_true(value_of(&after, "xacthuc_turn_duration_seconds_count") >=
                value_of(&before, "xacthuc_turn_duration_seconds_count") + 62);
    assert_true(value_of(&after, "xacthuc_turn_duration_seconds_sum") > 0);
    assert_true(sum_of(&after, "xacthuc_received_bytes_total{listener=\"api\"") > 10000);
    assert_true(sum_of(&after, "xacthuc_sent_bytes_total{listener=\"api\"") > 10000);
    assert_true(sum_of(&after, "xacthuc_process_resident_memory_bytes{process=\"worker\"") > 1e6);
    scrape_free(&before);
    scrape_free(&after);
    assert_int_equal(server_stop(&server), 0);
}

static void resumed_sessions_and_pipelined_requests_are_counted(void **state)
{
    (void)state;
    struct server server;
    struct scrape scrape;
    struct xt_failure failure;
    struct test_response response;
    char error[TEST_ERROR_MAX], batch[8192] = "";
    server_start(&server, NULL);
    struct test_client_options options = options_as(&server, "demo");
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority,
                                        .resume = true};
    assert_int_equal(xt_tls_client(&files, &options.context, &failure), XT_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct test_client *client = test_client_open(&options, error);
        assert_non_null(client);
        ask(client, nobody, 200, 1);
        test_client_close(client);
    }
    xt_tls_context_close(options.context);
    for (unsigned i = 0; i < 12; i++) {
        char one[512];
        snprintf(one, sizeof(one),
                 "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 strlen(nobody), nobody);
        strcat(batch, one);
    }
    struct test_client *client = connect_as(&server, "demo");
    assert_true(test_client_send_text(client, batch));
    for (unsigned i = 0; i < 12; i++) {
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, 200);
        test_response_release(&response);
    }
    get_metrics(&server, &scrape);
    assert_true(value_of(&scrape, "xacthuc_tls_handshakes_total{result=\"full\"}") == 2);
    assert_true(value_of(&scrape, "xacthuc_tls_handshakes_total{result=\"resumed\"}") == 2);
    assert_true(value_of(&scrape, OF_PARTNER("demo", "result=\"not_verified\",code=\"200\"")) ==
                15);
    assert_true(value_of(&scrape, "xacthuc_request_duration_seconds_count{route=\"/v1/verify\"}") ==
                15);
    assert_true(value_of(&scrape, "xacthuc_connections{worker=\"0\",listener=\"api\"}") +
                    value_of(&scrape, "xacthuc_connections{worker=\"1\",listener=\"api\"}") ==
                1);
    scrape_free(&scrape);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

/* Every metric stands in the table of net/METRICS.md, and nothing else does. */
static void every_metric_is_documented(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    char path[512], row[160];
    const char *source = getenv("XT_SOURCE_ROOT");
    assert_non_null(source);
    snprintf(path, sizeof(path), "%s/net/METRICS.md", source);
    char *document = read_text(path);
    server_start(&server, NULL);
    struct test_client *client = connect_plain(server.admin_port);
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    for (const char *at = response.body; (at = strstr(at, "# TYPE ")) != NULL; at += 7) {
        size_t name = name_length(at + 7);
        snprintf(row, sizeof(row), "| `%.*s` | %.*s |", (int)name, at + 7,
                 (int)strcspn(at + 8 + name, "\n"), at + 8 + name);
        if (strstr(document, row) == NULL) {
            fail_msg("not in net/METRICS.md: %s", row);
        }
    }
    for (const char *at = document; (at = strstr(at, "\n| `xacthuc_")) != NULL; at++) {
        snprintf(row, sizeof(row), "# TYPE %.*s ", (int)name_length(at + 4), at + 4);
        if (strstr(response.body, row) == NULL && strstr(row, "xacthuc_writer_") == NULL) {
            fail_msg("documented and not told: %s", row);
        }
    }
    test_response_release(&response);
    free(document);
    assert_true(test_client_request(client, "POST", "/metrics", NULL, "", &response));
    assert_int_equal(response.status, 405);
    test_response_release(&response);
    assert_true(test_client_send_text(client, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_response(client, true, &response));
    assert_int_equal(response.status, 200);
    test_response_release(&response);
    test_client_close(client);

    client = connect_plain(server.admin_port); /* HTTP/1.0 knows no chunks: the end is the end */
    assert_true(test_client_send_text(client, "GET /metrics HTTP/1.0\r\n\r\n"));
    assert_true(test_client_response(client, false, &response));
    assert_false(response.chunked);
    struct scrape scrape;
    scrape_read(&scrape, response.body);
    assert_true(scrape.count > 50);
    scrape_free(&scrape);
    test_response_release(&response);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- several workers -------------------------------------------------------------------------- */

#define CONNECTIONS 16 /* the kernel spreads them over the workers; that all go to one: 2^-15 */

static void wait_until_ready(const struct server *server)
{
    for (double end_s = now_s() + 5;; sleep_ms(20)) {
        struct test_client *client = connect_plain(server->admin_port);
        struct test_response response;
        bool ready = test_client_request(client, "GET", "/readyz", NULL, NULL, &response) &&
                     response.status == 200;
        test_response_release(&response);
        test_client_close(client);
        if (ready || now_s() > end_s) {
            assert_true(ready);
            return;
        }
    }
}

static void connect_all(const struct server *server, struct test_client *clients[CONNECTIONS])
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        clients[i] = connect_as(server, "demo");
        ask(clients[i], nobody, 200, 2);
    }
}

static void close_all(struct test_client *clients[CONNECTIONS])
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        test_client_close(clients[i]);
    }
}

static void killed_workers_take_no_numbers_with_them(void **state)
{
    (void)state;
    static const char *const arguments[] = {"--workers", "2", NULL};
    struct server server;
    struct test_client *clients[CONNECTIONS];
    struct scrape scrape;
    server_start_with(&server, NULL, arguments);
    wait_until_ready(&server);
    double accepted = 0;
    for (unsigned round = 1; round <= 3; round++) {
        connect_all(&server, clients);
        get_metrics(&server, &scrape);
        assert_true(value_of(&scrape, OF_PARTNER("demo", "result=\"not_verified\",code=\"200\"")) ==
                    2.0 * CONNECTIONS * round);
        assert_true(value_of(&scrape, "xacthuc_request_duration_seconds_count{route="
                                      "\"/v1/verify\"}") == 2.0 * CONNECTIONS * round);
        assert_true(value_of(&scrape, "xacthuc_connections_accepted_total{listener=\"api\"}") ==
                    accepted + CONNECTIONS);
        accepted += CONNECTIONS;
        assert_true(sum_of(&scrape, "xacthuc_process_restarts_total{process=\"worker\"") ==
                    2 * (round - 1));
        const double first =
            value_of(&scrape, "xacthuc_connections{worker=\"0\",listener=\"api\"}");
        const double second =
            value_of(&scrape, "xacthuc_connections{worker=\"1\",listener=\"api\"}");
        assert_true(first > 0 && second > 0 && first + second == CONNECTIONS);
        assert_true(value_of(&scrape, "xacthuc_generation{worker=\"1\"}") == 1);
        assert_true(sum_of(&scrape, "xacthuc_process_up{process=\"worker\"") == 2);
        scrape_free(&scrape);
        pid_t pids[4];
        assert_int_equal(server_workers(&server, pids, 4), 2);
        kill(pids[0], SIGKILL);
        kill(pids[1], SIGKILL);
        close_all(clients);
        sleep_ms(50); /* until the supervisor has seen it */
        wait_until_ready(&server);
    }
    assert_int_equal(server_stop(&server), 0);
}

static void one_rate_holds_over_all_workers(void **state)
{
    (void)state;
    static const char *const arguments[] = {"--workers", "2", NULL};
    const unsigned per_second = 2, burst = 60;
    struct server server;
    struct test_client *clients[CONNECTIONS];
    struct scrape scrape;
    char path[512], *text = NULL;
    snprintf(path, sizeof(path), "%s/demo.json", deployment("DIR/partners"));
    char *before = read_text(path), *rights = strstr(before, "\"rights\"");
    assert_non_null(rights);
    assert_true(asprintf(&text, "%.*s\"rate\":{\"per_second\":%u,\"burst\":%u},%s",
                         (int)(rights - before), before, per_second, burst, rights) > 0);
    write_text(path, text);
    server_start_with(&server, NULL, arguments);
    wait_until_ready(&server);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        clients[i] = connect_as(&server, "demo");
    }
    double begin_s = now_s();
    unsigned taken = 0;
    for (unsigned i = 0; i < 10 * CONNECTIONS; i++) {
        struct test_response response;
        int status = verify(clients[i % CONNECTIONS], nobody, &response);
        assert_true(status == 200 || status == 429);
        taken += status == 200;
        test_response_release(&response);
    }
    assert_true(taken >= burst);
    assert_true(taken <= burst + 1 + per_second * (now_s() - begin_s));
    get_metrics(&server, &scrape);
    assert_true(value_of(&scrape, OF_PARTNER("demo", "result=\"refused\",code=\"429\"")) ==
                10.0 * CONNECTIONS - taken);
    scrape_free(&scrape);
    close_all(clients);
    write_text(path, before);
    free(before);
    free(text);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- the trace context ------------------------------------------------------------------------ */

static void only_good_trace_contexts_are_taken(void **state)
{
    (void)state;
    static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0G",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
    };
    struct xt_trace trace;
    assert_true(xt_trace_parse(xt_span_of_string(good), &trace));
    assert_true(xt_span_is(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_true(xt_span_is(trace.span_id, "00f067aa0ba902b7"));
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (xt_trace_parse(xt_span_of_string(bad[i]), &trace)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    for (size_t size = 0; size < sizeof(good) - 1; size++) {
        assert_false(xt_trace_parse(xt_span_of(good, size), &trace));
    }
}

static void a_refused_stranger_is_logged_with_its_trace(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    char path[512];
    snprintf(path, sizeof(path), "%s/narrow.json", deployment("DIR/partners"));
    char *partner = read_text(path);
    assert_int_equal(unlink(path), 0); /* his certificate is good and belongs to nobody */
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "narrow");
    static const char *const fields[] = {
        "Content-Type: application/json\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
        "Content-Type: application/json\r\n"
        "traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-0000000000000000-01\r\n",
        "Content-Type: application/json\r\n"
        "traceparent: 00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-00f067aa0ba902b7-01\r\n"
        "traceparent: 00-cccccccccccccccccccccccccccccccc-00f067aa0ba902b7-01\r\n",
    };
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        assert_true(
            test_client_request(client, "POST", "/v1/verify", fields[i], nobody, &response));
        assert_int_equal(response.status, 401);
        assert_null(strstr(response.head, "trace"));
        assert_null(strstr(response.body, "4bf92f"));
        test_response_release(&response);
    }
    test_client_close(client);
    assert_true(server_log_has("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
                               "\"span_id\":\"00f067aa0ba902b7\"",
                               2000));
    char *log = server_log();
    assert_non_null(strstr(log, "\"event\":\"request_refused\",\"code\":\"unknown_certificate\""));
    assert_null(strstr(log, "aaaaaaaa"));
    assert_null(strstr(log, "bbbbbbbb"));
    assert_null(strstr(log, "cccccccc"));
    assert_null(strstr(log, "001099000001"));
    free(log);
    write_text(path, partner);
    free(partner);
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_add_up_with_what_was_sent),
        cmocka_unit_test(resumed_sessions_and_pipelined_requests_are_counted),
        cmocka_unit_test(every_metric_is_documented),
        cmocka_unit_test(killed_workers_take_no_numbers_with_them),
        cmocka_unit_test(one_rate_holds_over_all_workers),
        cmocka_unit_test(only_good_trace_contexts_are_taken),
        cmocka_unit_test(a_refused_stranger_is_logged_with_its_trace),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
