/* A partner whose answers mostly match in nothing is told of in the log, once, and counted; quotas are told in
 * the metrics. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/net/deployment.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

static const char *const two_workers[] = {"--workers", "2", NULL};
static const char settings[] = "idle_timeout = 75s\n[partners]\nmiss_alarm_percent = 60\n"
                               "miss_alarm_min = 40\nmiss_alarm_window = 60s\n";
static const char told[] = "\"event\":\"partner_misses_high\"";

static char right[300]; /* a question of which one claim matches */

/* So many questions about numbers that nobody has. */
static void ask_misses(struct test_client *client, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char body[200];
        struct test_response response;
        snprintf(body, sizeof(body),
                 "{\"id\":\"0010990%05u\",\"purpose\":\"demo.verify\","
                 "\"claims\":{\"full_name\":\"An\",\"sex\":\"male\"}}",
                 i);
        assert_int_equal(verify(client, body, &response), 200);
        test_response_release(&response);
    }
}

static void ask_right(struct test_client *client, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct test_response response;
        assert_int_equal(verify(client, right, &response), 200);
        test_response_release(&response);
    }
}

static double metric(const struct server *server, const char *series)
{
    struct test_client *client = connect_plain(server->admin_port);
    struct test_response response;
    struct scrape scrape;
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    scrape_read(&scrape, response.body);
    double value = value_of(&scrape, series);
    scrape_free(&scrape);
    test_response_release(&response);
    test_client_close(client);
    return value;
}

static void many_misses_are_told_once_and_without_a_number(void **state)
{
    (void)state;
    struct server server;
    char *line = person_line(5), id[16], birth[16];
    member_of(line, "id", id, sizeof(id));
    member_of(line, "date_of_birth", birth, sizeof(birth));
    free(line);
    snprintf(right, sizeof(right),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\","
             "\"date_of_birth\":\"%s\"}}",
             id, birth);
    server_start_with(&server, settings, two_workers);
    struct test_client *demo = connect_as(&server, "demo"), *wide = connect_as(&server, "wide");

    ask_misses(wide, 30); /* all of them, but too few to say anything */
    ask_right(demo, 60);
    ask_misses(demo, 60); /* half of them: below 60 in a hundred */
    assert_false(server_log_has(told, 2500));
    ask_misses(demo, 60);
    assert_true(server_log_has("\"event\":\"partner_misses_high\",\"partner\":\"demo\","
                               "\"answers\":180,\"misses\":120,\"window_s\":60",
                               5000));
    ask_misses(demo, 30);
    sleep_ms(2200);
    assert_int_equal(server_log_count(told), 1);
    char *log = server_log();
    assert_null(strstr(log, "0010990"));
    assert_null(strstr(log, id));
    free(log);
    assert_true(metric(&server, "xacthuc_partner_misses_total{partner=\"demo\"}") == 150);
    assert_true(metric(&server, "xacthuc_partner_misses_total{partner=\"wide\"}") == 30);
    assert_true(metric(&server, "xacthuc_partner_misses_total{partner=\"narrow\"}") == 0);
    test_client_close(demo);
    test_client_close(wide);
    assert_int_equal(server_stop(&server), 0);
}

/* Whoever tells the register what nobody has asks who is there. */
static void events_that_fit_nobody_are_misses(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    static char body[50 * 160];
    bool taken = false;
    assert_int_equal(run(xacthuc(), "partner", "add", deployment("DIR"), "reg", "--purpose",
                         "demo.verify", "--claims", "full_name", "--right", "registry", "--issue",
                         deployment("issued"), NULL),
                     0);
    for (unsigned i = 0; i < 50; i++) {
        char line[160];
        snprintf(line, sizeof(line),
                 "{\"event_id\":\"m%u\",\"type\":\"card_found\",\"id\":\"0010990%05u\","
                 "\"at\":\"2026-11-22T08:00:00Z\"}\n",
                 i, i);
        strcat(body, line);
    }
    server_start_with(&server, settings, two_workers);
    struct test_client *reg = connect_as(&server, "reg");
    for (double until = now_s() + 20; !taken && now_s() < until; sleep_ms(20)) {
        assert_true(test_client_request(reg, "POST", "/v1/events",
                                        "Content-Type: application/x-ndjson\r\n", body, &response));
        taken = strstr(response.body, "unknown_person") != NULL; /* else there is no base yet */
        test_response_release(&response);
    }
    assert_true(taken);
    assert_true(server_log_has("\"event\":\"partner_misses_high\",\"partner\":\"reg\"", 5000));
    assert_true(metric(&server, "xacthuc_partner_misses_total{partner=\"reg\"}") >= 40);
    test_client_close(reg);
    assert_int_equal(server_stop(&server), 0);
}

static void the_alarm_can_be_switched_off(void **state)
{
    (void)state;
    struct server server;
    unsigned before = server_log_count(told);
    server_start_with(&server,
                      "idle_timeout = 75s\n[partners]\nmiss_alarm_percent = 0\n"
                      "miss_alarm_min = 1\n",
                      two_workers);
    struct test_client *demo = connect_as(&server, "demo");
    ask_misses(demo, 100);
    sleep_ms(2200);
    assert_int_equal(server_log_count(told), before);
    /* Switched on, it does not count what was before. */
    char *conf = read_text(deployment("DIR/xacthuc.conf")), changed[16384];
    char *off = strstr(conf, "miss_alarm_percent = 0\nmiss_alarm_min = 1\n");
    assert_non_null(off);
    *off = '\0';
    snprintf(changed, sizeof(changed), "%smiss_alarm_percent = 60\nmiss_alarm_min = 40\n", conf);
    write_text(deployment("DIR/xacthuc.conf"), changed);
    free(conf);
    kill(server.pid, SIGHUP);
    assert_true(server_log_has("\"event\":\"reloaded\"", 5000));
    sleep_ms(2200);
    assert_int_equal(server_log_count(told), before);
    ask_misses(demo, 50);
    assert_true(server_log_has("\"answers\":50,\"misses\":50,", 5000));
    assert_int_equal(server_log_count(told), before + 1);
    test_client_close(demo);
    assert_int_equal(server_stop(&server), 0);
}

static void quotas_are_told_in_the_metrics(void **state)
{
    (void)state;
    struct server server;
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "demo", "--daily-quota", "50", NULL),
        0);
    server_start_with(&server, NULL, two_workers);
    struct test_client *demo = connect_as(&server, "demo");
    ask_misses(demo, 20);
    ask_misses(demo, 30);
    assert_true(metric(&server, "xacthuc_partner_quota_used_ids{partner=\"demo\"}") == 30);
    assert_true(metric(&server, "xacthuc_partner_quota_ids{partner=\"demo\"}") == 50);
    assert_true(metric(&server, "xacthuc_partner_quota_ids{partner=\"wide\"}") == 0);
    test_client_close(demo);
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_misses_are_told_once_and_without_a_number),
        cmocka_unit_test(the_alarm_can_be_switched_off),
        cmocka_unit_test(quotas_are_told_in_the_metrics),
        cmocka_unit_test(events_that_fit_nobody_are_misses),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
