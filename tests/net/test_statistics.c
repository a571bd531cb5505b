/* GET /v1/statistics through the real binary over real TLS: who may, what is asked, what is told, and that
 * everybody is told the same whatever dies. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/statistics.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

static struct server server;

static int set_up(void **state)
{
    if (deployment_make(state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "counter", "--purpose", "a.b",
            "--claims", "full_name", "--right", "statistics,registry", "--issue",
            deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start(&server, NULL);
    return server_log_has("statistics_told", 10000) ? 0 : 1;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

/* Asks on a connection of its own. The caller releases the response. */
static int ask(const char *partner, const char *method, const char *target,
               struct test_response *response)
{
    struct test_client *client = connect_as(&server, partner);
    assert_true(test_client_request(client, method, target, NULL, NULL, response));
    int status = response->status;
    test_client_close(client);
    return status;
}

static char *told(const char *target)
{
    struct test_response response = {0};
    if (ask("counter", "GET", target, &response) != 200) {
        fail_msg("%s: %s", target, response.body);
    }
    char *body = strdup(response.body);
    test_response_release(&response);
    return body;
}

static void assert_refused(const char *partner, const char *target, int status, const char *code)
{
    struct test_response response = {0};
    char member[64];
    snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
    if (ask(partner, "GET", target, &response) != status || strstr(response.body, member) == NULL) {
        fail_msg("%.200s: %d %s", target, response.status, response.body);
    }
    test_response_release(&response);
}

static void only_the_right_opens_it(void **state)
{
    (void)state;
    assert_refused("demo", "/v1/statistics?by=sex", 403, "endpoint_not_permitted");
    assert_refused("demo", "/v1/statistics?x", 403, "endpoint_not_permitted");
    struct test_response response = {0};
    assert_int_equal(ask("counter", "POST", "/v1/statistics?by=sex", &response), 405);
    test_response_release(&response);
}

/* How many of the people that were imported count. */
static unsigned living(void)
{
    unsigned count = 0;
    char *people = read_text(deployment("people.ndjson"));
    for (const char *at = people; (at = strstr(at, "\"status\":\"alive\"")) != NULL; at++) {
        count++;
    }
    free(people);
    return count;
}

/* The sum of all numbers in the counts of an answer; none may be small. */
static unsigned long sum_of(const char *body)
{
    const char *at = strstr(body, "\"counts\":");
    unsigned long sum = 0;
    assert_non_null(at);
    for (at += strlen("\"counts\":"); *at != '\0';) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        if (end == at) {
            at++;
            continue;
        }
        assert_true(number >= XT_STATISTICS_SMALLEST);
        sum += number;
        at = end;
    }
    return sum;
}

static void totals_are_those_of_the_people(void **state)
{
    (void)state;
    char *all = told("/v1/statistics");
    char *sexes = told("/v1/statistics?by=sex");
    char *accounts = told("/v1/statistics?by=account");
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\"counts\":%u}", living());
    assert_non_null(strstr(all, wanted));
    assert_true(sum_of(sexes) == sum_of(all));
    assert_true(sum_of(accounts) == sum_of(all));
    assert_null(strstr(sexes, "null"));
    free(accounts);
    free(sexes);
    free(all);
}

static void every_table_that_is_offered_is_told(void **state)
{
    (void)state;
    unsigned offered = 0;
    char *all = told("/v1/statistics");
    for (unsigned by = 1; by < 1U << XT_BY_COUNT; by++) {
        char target[128] = "/v1/statistics?by=";
        for (unsigned d = 0; d < XT_BY_COUNT; d++) {
            if ((by & XT_BY_BIT(d)) != 0) {
                bool first = target[strlen(target) - 1] == '=';
                snprintf(target + strlen(target), sizeof(target) - strlen(target), "%s%s",
                         first ? "" : (d % 2 == 0 ? "," : "%2C"),
                         xt_dimension_name((enum xt_dimension)d));
            }
        }
        if (!xt_statistics_is_offered(by)) {
            assert_refused("counter", target, 400, "dimensions_not_offered");
            continue;
        }
        char *body = told(target);
        assert_true(sum_of(body) <= sum_of(all));
        assert_non_null(strstr(body, "\"suppressed_below\":10"));
        assert_int_equal(body[strlen(body) - 1], '}');
        free(body);
        offered++;
    }
    assert_int_equal(offered, XT_STATISTICS_TABLES - 1);
    free(all);
}

static void hostile_queries_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "?",           "?by",           "?by=",        "?by=sex&by=age", "?by=sex,sex",
        "?by=sex,",    "?by=,sex",      "?sex",        "?BY=sex",        "?by=Sex",
        "?by=sex%00",  "?by=%73ex",     "?by=sex%2",   "?by=sex%2C",     "?by=name",
        "?by=sex?",    "?by=sex&x=1",   "?x=1&by=sex", "?by=sex+age",    "?by=sex%20age",
        "?by=sex;age", "?by=province/", "?by=*",       "?by==sex",       "?by=sex,age,",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char target[128];
        snprintf(target, sizeof(target), "/v1/statistics%s", wrong[i]);
        assert_refused("counter", target, 400, "invalid_query");
    }
    static char large[9000];
    static const size_t sizes[] = {97, 500, 4000, 7000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(large, sizeof(large), "/v1/statistics?by=");
        memset(large + strlen(large), 'a', sizes[i]);
        assert_refused("counter", large, 400, "invalid_query");
    }
    memset(large + strlen(large), 'a', 8200 - strlen(large));
    assert_refused("counter", large, 414, "target_too_long");
    assert_refused("counter", "/v1/statistics/?by=sex", 404, "not_found");
    assert_refused("counter", "/openapi.json?by=sex", 400, "query_not_permitted");
}

/* The largest answers, one behind the other: each has its room, and HEAD has the length. */
static void large_answers_in_one_go_are_whole(void **state)
{
    (void)state;
    struct test_client *client = connect_as(&server, "counter");
    char *one = told("/v1/statistics?by=province,age,sex");
    char request[2048] = "";
    for (unsigned i = 0; i < 10; i++) {
        strcat(request, "GET /v1/statistics?by=province,age,sex HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_true(test_client_send_text(client, request));
    for (unsigned i = 0; i < 10; i++) {
        struct test_response response = {0};
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body, one);
        test_response_release(&response);
    }
    struct test_response head = {0};
    char length[32];
    char wanted[32];
    assert_true(test_client_send_text(
        client, "HEAD /v1/statistics?by=province,age,sex HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(test_client_response(client, true, &head));
    snprintf(wanted, sizeof(wanted), "%zu", strlen(one));
    assert_string_equal(test_response_field(&head, "Content-Length", length, sizeof(length)),
                        wanted);
    test_response_release(&head);
    free(one);
    test_client_close(client);
}

/* Sends an event about person n of the file; gives the status of the line. */
static bool lose_card(struct test_client *client, unsigned n)
{
    char *line = person_line(n);
    char id[16];
    char body[256];
    struct test_response response = {0};
    member_of(line, "id", id, sizeof(id));
    free(line);
    snprintf(body, sizeof(body),
             "{\"event_id\":\"e-%u\",\"type\":\"card_lost\",\"id\":\"%s\","
             "\"at\":\"2026-11-22T08:00:00Z\"}\n",
             n, id);
    assert_true(test_client_request(client, "POST", "/v1/events",
                                    "Content-Type: application/x-ndjson\r\n", body, &response));
    assert_int_equal(response.status, 200);
    bool applied = strstr(response.body, "\"applied\"") != NULL;
    test_response_release(&response);
    return applied;
}

/* What an event did is not to be seen in the tables of the same day; nor does a kill lose or change them. */
static void tables_stay_as_they_are_for_the_day(void **state)
{
    (void)state;
    pid_t pids[8];
    char *before = told("/v1/statistics?by=card");
    struct test_client *client = connect_as(&server, "counter");
    unsigned lost = 0;
    for (unsigned n = 0; n < 60; n++) {
        lost += lose_card(client, n);
    }
    test_client_close(client);
    assert_true(lost > 20);
    for (unsigned i = 0; i < 8; i++) { /* of all workers */
        char *after = told("/v1/statistics?by=card");
        assert_string_equal(after, before);
        free(after);
    }
    unsigned count = server_writers(&server, pids, 8);
    assert_int_equal(count, 1);
    unsigned ready = server_log_count("writer_ready");
    assert_int_equal(kill(pids[0], SIGKILL), 0);
    for (unsigned i = 0; i < 100 && server_log_count("writer_ready") == ready; i++) {
        sleep_ms(50);
    }
    assert_true(server_log_count("writer_ready") > ready);
    sleep_ms(1200); /* a tick of the new one */
    char *after = told("/v1/statistics?by=card");
    assert_string_equal(after, before);
    assert_int_equal(server_log_count("\"statistics_told\""), 1);
    assert_int_equal(server_log_count("statistics_failed"), 0);
    free(after);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_right_opens_it),
        cmocka_unit_test(totals_are_those_of_the_people),
        cmocka_unit_test(every_table_that_is_offered_is_told),
        cmocka_unit_test(hostile_queries_are_refused),
        cmocka_unit_test(large_answers_in_one_go_are_whole),
        cmocka_unit_test(tables_stay_as_they_are_for_the_day),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
