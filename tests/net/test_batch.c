/* POST /v1/verify/batch of the real server: every line its own answer, in order, by the same rules as a single
 * request, whatever changes meanwhile.
 * XT_LINES in the environment: how many generated lines are checked (100000; a soak takes 1000000).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "tests/net/feed.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

#define BATCH "/v1/verify/batch"
#define FIELDS "Content-Type: application/x-ndjson\r\n"
#define SHARE 16 /* XT_BATCH_SHARE: lists of one partner at a time */

static const char *const one_worker[] = {"--workers", "1", NULL};
static struct server server;
static char right_line[400]; /* a request of which every claim matches, and its line feed */
static char wrong_line[400];
static char person_id[16];

static int begin(void **state)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || deployment_make(state) != 0) {
        return 1;
    }
    char name[200];
    char *person = person_line(11);
    member_of(person, "id", person_id, sizeof(person_id));
    member_of(person, "full_name", name, sizeof(name));
    free(person);
    snprintf(right_line, sizeof(right_line),
             "{\"txn\":\"r\",\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":"
             "\"%s\"}}\n",
             person_id, name);
    snprintf(wrong_line, sizeof(wrong_line),
             "{\"txn\":\"w\",\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":"
             "\"Not He\"}}\n",
             person_id);
    if (run(xacthuc(), "partner", "add", deployment("DIR"), "two", "--purpose", "demo.verify",
            "--claims",
            "full_name,date_of_birth,sex,phone,card_issued_on,card_expires_on,old_id,province",
            "--right", "per_claim", "--issue", deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start_with(&server, NULL, one_worker);
    return 0;
}

static int end(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

static void set_partner(const char *partner, const char *option, const char *value)
{
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), partner, option, value, NULL), 0);
}

static uint64_t number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

static void post(const char *partner, const char *fields, const char *body,
                 struct test_response *response)
{
    struct test_client *client = connect_as(&server, partner);
    assert_true(test_client_request(client, "POST", BATCH, fields, body, response));
    test_client_close(client);
}

/* The whole answer to one list. */
static void expect(const char *partner, const char *fields, const char *body, const char *wanted)
{
    struct test_response response;
    post(partner, fields, body, &response);
    if (strstr(response.body, wanted) == NULL) {
        fail_msg("%s, not %s", response.body, wanted);
    }
    test_response_release(&response);
}

/* Asks until the answer has this. */
static bool comes(const char *partner, const char *body, const char *wanted)
{
    bool came = false;
    for (double until = now_s() + 10; !came && now_s() < until; sleep_ms(20)) {
        struct test_response response;
        post(partner, FIELDS, body, &response);
        came = strstr(response.body, wanted) != NULL;
        test_response_release(&response);
    }
    return came;
}

static double metric(const char *series)
{
    struct test_client *client = connect_plain(server.admin_port);
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

/* ---- lines -------------------------------------------------------------------------------------- */

/* more: other options. */
static void drive_lists(const char *limit, const char *value, const char *connections,
                        const char *more)
{
    char port[8];
    char command[4096];
    snprintf(port, sizeof(port), "%u", server.port);
    snprintf(command, sizeof(command),
             "%s batch --port %s --cert %s --key %s --ca %s --seed " SEED " --count " PEOPLE
             " --lines 50000 %s %s --connections %s %s > %s",
             bench(), port, deployment("issued/demo.crt"), deployment("issued/demo.key"),
             deployment("issued/ca.crt"), limit, value, connections, more,
             deployment("batch.json"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
}

static void every_generated_line_gets_the_right_answer_in_its_order(void **state)
{
    (void)state;
    const char *lines = getenv("XT_LINES");
    drive_lists("--total", lines != NULL ? lines : "100000", "4", "");
    char *result = read_text(deployment("batch.json"));
    assert_int_equal(number_of(result, "\"lines\":"),
                     strtoull(lines != NULL ? lines : "100000", NULL, 10));
    assert_int_equal(number_of(result, "\"wrong\":"), 0);
    free(result);
}

static void two_lists_share_a_worker(void **state)
{
    (void)state;
    drive_lists("--seconds", "2", "2", "");
    char *result = read_text(deployment("batch.json"));
    assert_true(number_of(result, "\"least\":") * 3 >= number_of(result, "\"most\":") * 2);
    free(result);
}

static void two_partners_share_a_worker_with_single_requests(void **state)
{
    (void)state;
    char more[1200];
    snprintf(more, sizeof(more), "--cert2 %s --key2 %s --probe 500", deployment("issued/two.crt"),
             deployment("issued/two.key"));
    drive_lists("--seconds", "2", "2", more);
    char *result = read_text(deployment("batch.json"));
    const char *shares = strstr(result, "\"lines_of_partners\":[");
    assert_non_null(shares);
    uint64_t first = number_of(shares, "["), second = number_of(shares, ",");
    assert_int_equal(first + second, number_of(result, "\"lines\":"));
    assert_true(first * 3 >= second * 2 && second * 3 >= first * 2);
    const char *probe = strstr(result, "\"probe\":{");
    assert_non_null(probe);
    assert_true(number_of(probe, "\"requests\":") > 100);
    assert_int_equal(number_of(probe, "\"failed\":"), 0);
    assert_non_null(strstr(probe, "\"late_us\":{\"p50\":"));
    free(result);
    /* With lists the loop goes on and on: there are as many turns as their time has. */
    assert_true(metric("xacthuc_turn_duration_seconds_count") > 200);
    assert_true(metric("xacthuc_turn_duration_seconds_sum") > 0.1);
}

static void a_bad_line_has_its_own_problem_and_the_rest_goes_on(void **state)
{
    (void)state;
    char body[4096];
    snprintf(
        body, sizeof(body),
        "\xef\xbb\xbf%s\n\r\n{\"id\":\"1\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"x\"}}"
        "\r\n"
        "nonsense\n{\"id\":\"%s\",\"purpose\":\"other\",\"claims\":{\"sex\":\"male\"}}\n%s%.*s",
        right_line, person_id, wrong_line, (int)strlen(right_line) - 1, right_line);
    struct test_response response;
    post("demo", FIELDS, body, &response);
    assert_int_equal(response.status, 200);
    const char *const wanted[] = {
        "{\"line\":1,\"txn\":\"r\",\"answer_id\":\"",
        "\"verdict\":\"verified\",\"claims\":{\"full_name\":\"match\"}}\n"
        "{\"line\":4,\"status\":400,\"code\":\"invalid_request\",\"errors\":[{\"pointer\":\"/id\","
        "\"code\":\"bad_id\"},{\"pointer\":\"/claims/"
        "sex\",\"code\":\"bad_value\"}],\"answer_id\":\"",
        "\n{\"line\":5,\"status\":400,\"code\":\"invalid_request\",\"errors\":[{\"pointer\":\"\","
        "\"code\":\"malformed_json\"}],\"answer_id\":\"",
        "\n{\"line\":6,\"status\":403,\"code\":\"purpose_not_permitted\",\"errors\":[{\"pointer\":"
        "\"/purpose\",\"code\":\"not_permitted\"}],\"answer_id\":\"",
        "\n{\"line\":7,\"txn\":\"w\",",
        "\n{\"line\":8,\"txn\":\"r\",", /* without a line feed */
        "\n{\"summary\":{\"lines\":6,\"verified\":2,\"not_verified\":1,\"errors\":3,"
        "\"mismatches\":{\"full_name\":1}}}\n"};
    const char *at = response.body;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const char *found = strstr(at, wanted[i]);
        if (found == NULL) {
            fail_msg("%s has no %s", at, wanted[i]);
        }
        at = found;
    }
    test_response_release(&response);
}

/* Whoever is not told which claim it was must not have it from the sums. */
static void without_per_claim_the_summary_tells_no_claims(void **state)
{
    (void)state;
    struct test_response response;
    char line[400];
    snprintf(line, sizeof(line),
             "{\"id\":\"%s\",\"purpose\":\"narrow.purpose\",\"claims\":{\"full_name\":\"Not He\"}}",
             person_id);
    post("narrow", FIELDS, line, &response);
    assert_non_null(
        strstr(response.body,
               "{\"summary\":{\"lines\":1,\"verified\":0,\"not_verified\":1,\"errors\":0}}"));
    assert_null(strstr(response.body, "mismatch"));
    test_response_release(&response);
}

static void a_list_goes_on_where_it_was_broken(void **state)
{
    (void)state;
    expect("demo", FIELDS "Resume-From: 1000001\r\n", right_line,
           "{\"line\":1000001,\"txn\":\"r\"");
    static const char *const bad[] = {"0", "01", "-1", "1x", "10000000000001", "1000000000001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char fields[200];
        snprintf(fields, sizeof(fields), FIELDS "Resume-From: %s\r\n", bad[i]);
        expect("demo", fields, right_line, "\"bad_resume_from\"");
    }
    expect("demo", FIELDS "Resume-From: 1\r\nResume-From: 2\r\n", right_line, "malformed_http");
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    expect("demo", "Content-Type: application/json\r\n", right_line, "\"unsupported_media_type\"");
    expect("demo", FIELDS "Content-Digest: sha-256=:AAAA:\r\n", right_line,
           "\"bad_content_digest\"");
    expect("demo", FIELDS, "",
           "{\"summary\":{\"lines\":0,\"verified\":0,\"not_verified\":0,\"errors\":0}}");
    struct test_client *client = connect_as(&server, NULL);
    struct test_response response;
    assert_true(test_client_request(client, "POST", BATCH, FIELDS, right_line, &response) ==
                    false ||
                response.status == 401);
    test_client_close(client);
}

/* ---- who may ------------------------------------------------------------------------------------ */

static void over_the_quota_a_line_is_refused_and_known_ids_go_on(void **state)
{
    (void)state;
    char body[4096] = "";
    for (unsigned i = 0; i < 4; i++) {
        char line[200];
        snprintf(line, sizeof(line),
                 "{\"id\":\"00109900000%u\",\"purpose\":\"narrow.purpose\",\"claims\":{\"full_"
                 "name\":\"A B\"}}\n",
                 i % 3);
        strcat(body, line);
    }
    set_partner("narrow", "--daily-quota", "2");
    assert_true(comes("narrow", body,
                      "{\"line\":3,\"status\":429,\"code\":\"quota_exceeded\",\"answer_id\""));
    expect("narrow", FIELDS, body,
           "{\"summary\":{\"lines\":4,\"verified\":0,\"not_verified\":3,\"errors\":1}}");
    set_partner("narrow", "--daily-quota", "none");
    assert_true(comes("narrow", body, "\"not_verified\":4,\"errors\":0"));
}

static void over_the_rate_lines_wait_and_none_is_refused(void **state)
{
    (void)state;
    char body[40 * sizeof(right_line)] = "";
    for (unsigned i = 0; i < 40; i++) {
        strcat(body, right_line);
    }
    struct test_response response;
    int status = 200;
    set_partner("demo", "--rate", "10:1");
    for (double until = now_s() + 10; status != 429 && now_s() < until;) { /* until it counts */
        post("demo", FIELDS, right_line, &response);
        status = response.status;
        test_response_release(&response);
    }
    assert_int_equal(status, 429);
    sleep_ms(150);
    double began = now_s();
    post("demo", FIELDS, body, &response);
    assert_non_null(strstr(response.body, "{\"summary\":{\"lines\":40,\"verified\":40,"));
    assert_true(now_s() - began >= 3.5); /* they cannot come sooner: 39 of them at 10 a second */
    test_response_release(&response);
    set_partner("demo", "--rate", "none");
    assert_true(comes("demo", body, "\"verified\":40"));
}

static void who_may_no_longer_ask_is_told_so_once_and_the_stream_ends(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    bool refused = false;
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    set_partner("demo", "--right", "card_state"); /* no longer per_claim: from the next line on */
    for (double until = now_s() + 10; !refused && now_s() < until; sleep_ms(20)) {
        assert_true(feed_send(&feed, right_line) && feed_line(&feed, line));
        refused = strstr(line, "\"claims\":") == NULL && strstr(line, "\"card\":") != NULL;
    }
    assert_true(refused);
    refused = false;
    assert_int_equal(run(xacthuc(), "partner", "disable", deployment("DIR"), "demo", NULL), 0);
    for (double until = now_s() + 10; !refused && now_s() < until; sleep_ms(20)) {
        assert_true(feed_send(&feed, right_line) && feed_line(&feed, line));
        refused = strstr(line, "\"status\":403,\"code\":\"partner_inactive\"") != NULL;
    }
    assert_true(refused);
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "\"errors\":1,"));
    assert_non_null(strstr(line, "\"unread\":true"));
    assert_false(feed_line(&feed, line));
    assert_true(feed.ended);
    test_client_close(feed.client);
    assert_int_equal(run(xacthuc(), "partner", "enable", deployment("DIR"), "demo", NULL), 0);
    set_partner("demo", "--right", "per_claim");
    assert_true(comes("demo", right_line, "\"full_name\":\"match\""));
}

static void one_partner_leaves_room_for_others(void **state)
{
    (void)state;
    static struct feed feeds[SHARE];
    char line[FEED_LINE_MAX];
    for (unsigned i = 0; i < SHARE; i++) {
        feed_open(&feeds[i], connect_as(&server, "demo"), BATCH);
    }
    expect("demo", FIELDS, right_line, "\"overloaded\"");
    expect("wide", FIELDS, right_line, "\"verified\":1,");
    for (unsigned i = 0; i < SHARE; i++) {
        assert_true(feed_send(&feeds[i], right_line) && feed_line(&feeds[i], line));
        assert_non_null(strstr(line, "\"verified\""));
        feed_end(&feeds[i]);
        assert_true(feed_line(&feeds[i], line));
        test_client_close(feeds[i].client);
    }
    assert_true(comes("demo", right_line, "\"verified\":1,"));
}

/* ---- what changes meanwhile --------------------------------------------------------------------- */

static void ask_on(struct feed *feed, uint64_t number)
{
    char line[FEED_LINE_MAX];
    assert_true(feed_send(feed, right_line) && feed_line(feed, line));
    assert_int_equal(number_of(line, "{\"line\":"), number);
    assert_non_null(strstr(line, "\"verdict\":\"verified\""));
}

static void a_list_goes_on_over_a_reload_and_another_generation(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    uint64_t number = 0;
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    ask_on(&feed, ++number);
    assert_int_equal(kill(server.pid, SIGHUP), 0);
    assert_true(server_log_has("\"event\":\"reloaded\"", 10000));
    ask_on(&feed, ++number);
    assert_int_equal(run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL),
                     0);
    bool switched = false;
    for (double until = now_s() + 20; !switched && now_s() < until; sleep_ms(20)) {
        ask_on(&feed, ++number);
        switched = metric("xacthuc_generation{worker=\"0\"}") == 2;
    }
    assert_true(switched);
    ask_on(&feed, ++number);
    feed_end(&feed);
    assert_true(feed_line(&feed, line));
    assert_int_equal(number_of(line, "{\"summary\":{\"lines\":"), number);
    test_client_close(feed.client);
}

/* Its summary says so, and whoever comes next takes the rest. */
static void expect_unread(int signal)
{
    static struct feed feed;
    char line[FEED_LINE_MAX];
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    ask_on(&feed, 1);
    assert_int_equal(kill(server.pid, signal), 0);
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "{\"summary\":{\"lines\":1,"));
    assert_non_null(strstr(line, "\"unread\":true"));
    assert_false(feed_line(&feed, line));
    assert_true(feed.ended);
    test_client_close(feed.client);
    assert_int_equal(server_wait(&server, 20000), 0);
}

static void a_server_that_leaves_says_what_it_did_not_read(void **state)
{
    (void)state;
    expect_unread(SIGUSR2); /* another one takes over */
    char *log = server_log();
    const char *upgraded = strstr(log, "\"event\":\"upgraded\"");
    assert_non_null(upgraded);
    server_adopt(&server, (pid_t)number_of(upgraded, "\"pid\":"));
    free(log);
    expect("demo", FIELDS "Resume-From: 2\r\n", right_line, "{\"line\":2,\"txn\":\"r\"");
    expect_unread(SIGTERM);
    server_start_with(&server, NULL, one_worker);
}

/* ---- what is written down ----------------------------------------------------------------------- */

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

#define SERIES "xacthuc_partner_requests_total{partner=\"wide\",route=\"/v1/verify/batch\",result="

/* The last test: it looks at the log of a server that has stopped. */
static void the_log_has_every_line_and_how_far_a_broken_list_came(void **state)
{
    (void)state;
    static struct feed feed;
    char command[1024], line[FEED_LINE_MAX];
    feed_open(&feed, connect_as(&server, "wide"), BATCH);
    for (unsigned i = 0; i < 7; i++) {
        assert_true(feed_send(&feed, i % 2 == 0 ? right_line : wrong_line) &&
                    feed_line(&feed, line));
    }
    assert_true(feed_send(&feed, "{}\n") && feed_line(&feed, line));
    test_client_close(feed.client); /* in the middle of it */
    assert_true(metric(SERIES "\"verified\",code=\"200\"}") == 4);
    assert_true(metric(SERIES "\"not_verified\",code=\"200\"}") == 3);
    assert_true(metric(SERIES "\"refused\",code=\"400\"}") == 1);
    assert_true(metric("xacthuc_partner_misses_total{partner=\"wide\"}") == 3);
    assert_int_equal(server_stop(&server), 0);
    snprintf(command, sizeof(command),
             "%s audit export %s | grep '\"partner\":\"wide\"' | tail -10 > %s", xacthuc(),
             deployment("DIR"), deployment("found.txt"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    char *found = read_text(deployment("found.txt"));
    assert_int_equal(count_of(found, "\"route\":\"verify_batch\""), 10);
    assert_int_equal(count_of(found, "\"subject\":"), 7);
    assert_int_equal(count_of(found, "\"verdict\":\"verified\""), 4);
    assert_int_equal(count_of(found, "\"full_name\":\"mismatch\""), 3);
    assert_int_equal(count_of(found, "\"code\":\"invalid_request\""), 1);
    for (unsigned i = 1; i <= 7; i++) {
        snprintf(line, sizeof(line), "\"line\":%u,\"verdict\"", i);
        assert_int_equal(count_of(found, line), 1);
    }
    assert_non_null(strstr(found, "\"code\":\"stream_broken\",\"line\":8}"));
    assert_null(strstr(found, person_id));
    free(found);
    snprintf(command, sizeof(command), "%s audit verify %s", xacthuc(), deployment("DIR"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    server_start_with(&server, NULL, one_worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_line_has_its_own_problem_and_the_rest_goes_on),
        cmocka_unit_test(without_per_claim_the_summary_tells_no_claims),
        cmocka_unit_test(a_list_goes_on_where_it_was_broken),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(over_the_quota_a_line_is_refused_and_known_ids_go_on),
        cmocka_unit_test(over_the_rate_lines_wait_and_none_is_refused),
        cmocka_unit_test(who_may_no_longer_ask_is_told_so_once_and_the_stream_ends),
        cmocka_unit_test(one_partner_leaves_room_for_others),
        cmocka_unit_test(every_generated_line_gets_the_right_answer_in_its_order),
        cmocka_unit_test(two_lists_share_a_worker),
        cmocka_unit_test(two_partners_share_a_worker_with_single_requests),
        cmocka_unit_test(a_list_goes_on_over_a_reload_and_another_generation),
        cmocka_unit_test(a_server_that_leaves_says_what_it_did_not_read),
        cmocka_unit_test(the_log_has_every_line_and_how_far_a_broken_list_came),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
