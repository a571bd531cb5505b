/* POST /v1/events of the real server: what is acknowledged is so for everybody, once, whoever is killed or goes away.
 * XT_TRIALS in the environment: how many times a card is lost (300; a soak takes 10000).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/net/events_rig.h"
#include "tests/net/prometheus.h"

/* ---- everybody, at once ------------------------------------------------------------------------- */

#define CARDS 50
#define WORKERS 2
#define CONNECTIONS_MOST 400

/* People whose card is valid now. */
static unsigned find_cards(char ids[CARDS][16])
{
    unsigned found = 0;
    struct test_client *client = connect_as(&server, "wide");
    for (unsigned n = 100; found < CARDS && n < 400; n++) {
        char *line = person_line(n);
        char body[1024];
        struct test_response response;
        member_of(line, "id", ids[found], 16);
        free(line);
        snprintf(body, sizeof(body),
                 "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}",
                 ids[found]);
        assert_int_equal(verify(client, body, &response), 200);
        found += strstr(response.body, "\"card\":\"valid\"") != NULL;
        test_response_release(&response);
    }
    test_client_close(client);
    return found;
}

/* How many connections each worker has, by its own metrics. */
static void count_connections(unsigned counts[WORKERS])
{
    struct test_client *client = connect_plain(server.admin_port);
    struct test_response response;
    struct scrape scrape = {0};
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    scrape_read(&scrape, response.body);
    for (unsigned i = 0; i < WORKERS; i++) {
        char name[80];
        snprintf(name, sizeof(name), "xacthuc_connections{worker=\"%u\",listener=\"api\"}", i);
        counts[i] = (unsigned)value_of(&scrape, name);
    }
    scrape_free(&scrape);
    test_response_release(&response);
    test_client_close(client);
}

/* Until nobody else is connected: only then is it plain whose a new connection is. */
static void wait_for_connections(unsigned wanted)
{
    unsigned counts[WORKERS];
    for (double until = now_s() + 20; now_s() < until; sleep_ms(10)) {
        count_connections(counts);
        if (counts[0] + counts[1] == wanted) {
            return;
        }
    }
    fail_msg("%u connections, not %u", counts[0] + counts[1], wanted);
}

/* A connection of each worker. The kernel deals them out. */
static void connect_to_each(const char *partner, struct test_client *clients[WORKERS],
                            unsigned others)
{
    unsigned found = 0;
    clients[0] = clients[1] = NULL;
    for (unsigned i = 0; found < WORKERS && i < CONNECTIONS_MOST; i++) {
        unsigned before[WORKERS];
        unsigned after[WORKERS];
        wait_for_connections(others + found);
        count_connections(before);
        struct test_client *client = connect_as(&server, partner);
        wait_for_connections(others + found + 1);
        count_connections(after);
        unsigned worker = after[1] > before[1];
        assert_int_equal(after[worker], before[worker] + 1);
        assert_int_equal(after[!worker], before[!worker]);
        if (clients[worker] == NULL) {
            clients[worker] = client;
            found++;
        } else {
            test_client_close(client);
        }
    }
    assert_int_equal(found, WORKERS);
}

/* Asks every worker at the same time. */
static void expect_card(struct test_client *clients[WORKERS], const char *id, const char *wanted)
{
    char body[256];
    char request[512];
    struct test_response response;
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}", id);
    snprintf(request, sizeof(request),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(test_client_send_text(clients[i], request));
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(test_client_response(clients[i], false, &response));
        assert_int_equal(response.status, 200);
        if (strstr(response.body, wanted) == NULL) {
            fail_msg("worker %u: %s, not %s", i, response.body, wanted);
        }
        test_response_release(&response);
    }
}

static unsigned wanted_trials(void)
{
    const char *text = getenv("XT_TRIALS");
    return text == NULL ? 300 : (unsigned)strtoul(text, NULL, 10);
}

/* Told through one worker or the other, one card at a time, and asked of both at once. */
static void a_lost_card_is_refused_by_every_worker_right_after_the_acknowledgement(void **state)
{
    (void)state;
    static struct feed feeds[WORKERS];
    static char ids[CARDS][16];
    struct test_client *clients[WORKERS];
    struct test_client *tellers[WORKERS];
    assert_int_equal(find_cards(ids), CARDS);
    connect_to_each("wide", clients, 0);
    connect_to_each("reg", tellers, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        feed_open(&feeds[i], tellers[i], EVENTS);
    }
    for (unsigned trial = 0; trial < 2 * wanted_trials(); trial++) {
        bool lost = trial % 2 == 0;
        const char *id = ids[trial / 2 % CARDS];
        struct feed *feed = &feeds[trial / 2 % WORKERS];
        char text[256];
        char line[FEED_LINE_MAX];
        char event_id[32];
        snprintf(event_id, sizeof(event_id), "card-%u", trial);
        write_event(text, sizeof(text), event_id, lost ? "card_lost" : "card_found", id, "");
        assert_true(feed_send(feed, text));
        assert_true(hear(feed, line));
        assert_non_null(strstr(line, "\"applied\""));
        expect_card(clients, id, lost ? "\"card\":\"lost\"" : "\"card\":\"valid\"");
    }
    wait_for_connections(2 * WORKERS); /* nobody was replaced by another in between */
    for (unsigned i = 0; i < WORKERS; i++) {
        feed_end(&feeds[i]);
        test_client_close(tellers[i]);
        test_client_close(clients[i]);
    }
}

/* ---- deaths ------------------------------------------------------------------------------------- */

#define TOLD 3000
#define IN_ONE 60
#define GONE_PERSON 42 /* whose client goes away */

/* A phone that is linked and unlinked by turns: an event applied twice, or lost, would make the next one a
 * conflict. */
static void write_phone_events(char *text, size_t size, const char *id, unsigned from)
{
    text[0] = '\0';
    for (unsigned i = from; i < from + IN_ONE; i++) {
        char event_id[32];
        size_t at = strlen(text);
        snprintf(event_id, sizeof(event_id), "kill-%u", i);
        write_event(text + at, size - at, event_id, i % 2 == 0 ? "phone_linked" : "phone_unlinked",
                    id, ",\"data\":{\"phone\":\"0977777777\"}");
    }
}

static void kill_the_writer(void)
{
    pid_t pid = 0;
    for (double until = now_s() + 20; now_s() < until; sleep_ms(2)) {
        if (server_writers(&server, &pid, 1) == 1) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_true(wait_until_gone(pid, 10000));
            return;
        }
    }
    fail_msg("no writer came");
}

static void a_writer_that_is_killed_costs_nothing_and_does_nothing_twice(void **state)
{
    (void)state;
    static struct feed feed;
    static uint64_t sequences[TOLD];
    char text[IN_ONE * 200];
    char line[FEED_LINE_MAX];
    char id[16];
    char *person = person_line(41);
    member_of(person, "id", id, sizeof(id));
    free(person);
    feed_open(&feed, connect_as(&server, "reg"), EVENTS);
    for (unsigned told = 0; told < TOLD; told += IN_ONE) {
        write_phone_events(text, sizeof(text), id, told);
        if (told / IN_ONE % 8 == 2) {
            sleep_ms(600); /* one that dies young is not replaced at once */
        }
        assert_true(feed_send(&feed, text));
        if (told / IN_ONE % 8 == 2) {
            kill_the_writer();
        }
        for (unsigned i = told; i < told + IN_ONE; i++) {
            assert_true(hear(&feed, line));
            sequences[i] = number_of(line, "\"sequence\":");
            if (sequences[i] == 0 || (i > 0 && sequences[i] <= sequences[i - 1])) {
                fail_msg("%s after %lu", line, i > 0 ? (unsigned long)sequences[i - 1] : 0);
            }
        }
    }
    for (unsigned told = 0; told < TOLD; told += IN_ONE) { /* all of it again */
        write_phone_events(text, sizeof(text), id, told);
        assert_true(feed_send(&feed, text));
        for (unsigned i = told; i < told + IN_ONE; i++) {
            assert_true(hear(&feed, line));
            assert_non_null(strstr(line, "\"duplicate\""));
            assert_int_equal(number_of(line, "\"sequence\":"), sequences[i]);
        }
    }
    feed_end(&feed);
    assert_true(hear(&feed, line));
    assert_int_equal(number_of(line, "\"lines\":"), 2 * TOLD);
    assert_int_equal(number_of(line, "\"errors\":"), 0);
    test_client_close(feed.client);
}

static bool province_matches(const char *id)
{
    char body[256];
    struct test_response response;
    struct test_client *client = connect_as(&server, "wide");
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"province\":\"001\"}}", id);
    assert_int_equal(verify(client, body, &response), 200);
    bool matches = strstr(response.body, "\"province\":\"match\"") != NULL;
    test_response_release(&response);
    test_client_close(client);
    return matches;
}

/* What a client that went away has told is in the audit log all the same. */
static void events_of_a_client_that_has_gone_are_written_down(void **state)
{
    (void)state;
    char id[16];
    char line[600];
    char request[1200];
    char *person = person_line(GONE_PERSON);
    member_of(person, "id", id, sizeof(id));
    free(person);
    write_event(line, sizeof(line), "gone", "address_changed", id,
                ",\"data\":{\"province\":\"001\"}");
    snprintf(request, sizeof(request),
             "POST " EVENTS " HTTP/1.1\r\nHost: a\r\n" FIELDS
             "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n",
             strlen(line), line);
    struct test_client *client = connect_as(&server, "reg");
    assert_true(test_client_send_text(client, request));
    test_client_close(client);
    for (double until = now_s() + 10; now_s() < until; sleep_ms(20)) {
        if (province_matches(id)) {
            struct test_response response;
            post(line, &response);
            assert_non_null(strstr(response.body, "\"duplicate\""));
            gone_sequence = number_of(response.body, "\"sequence\":");
            assert_true(gone_sequence > 0);
            test_response_release(&response);
            return; /* what the log has of it is looked at once the server has stopped */
        }
    }
    fail_msg("it was not applied");
}

static int ask_status(void)
{
    return status_of(
        &server, "wide",
        "{\"id\":\"001099999777\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}");
}

/* New workers find no store: they answer 503, and others open it once it is there. */
static void without_the_live_store_nobody_is_looked_up(void **state)
{
    (void)state;
    pid_t workers[2];
    assert_int_equal(server_workers(&server, workers, 2), 2);
    assert_int_equal(ask_status(), 200);
    assert_int_equal(rename(deployment("DIR/live/live.mdb"), deployment("DIR/live/away")), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kill(workers[i], SIGKILL), 0);
    }
    assert_true(server_wait_for_workers(&server, 2, workers[0], 10000));
    assert_true(server_wait_for_workers(&server, 2, workers[1], 10000));
    assert_int_equal(ask_status(), 503);
    assert_true(server_log_has("live_not_opened", 1000));
    assert_int_equal(rename(deployment("DIR/live/away"), deployment("DIR/live/live.mdb")), 0);
    int status = 503;
    for (double until = now_s() + 20; status != 200 && now_s() < until; sleep_ms(50)) {
        status = ask_status();
    }
    assert_int_equal(status, 200);
    sleep_ms(3000); /* until the other one has been replaced, too */
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(ask_status(), 200);
    }
}

/* And nothing personal. */
static void the_audit_log_has_every_event(void **state)
{
    (void)state;
    unsigned acknowledged;
    char id[16];
    char *person = person_line(GONE_PERSON), *found = audit_log_with_every_event(&acknowledged);
    assert_int_equal(answered[gone_sequence], 1);
    assert_true(acknowledged >= TOLD + 2 * wanted_trials());
    assert_int_equal(count_of(found, "\"event\":\"card_found\""), wanted_trials());
    assert_int_equal(count_of(found, "\"event\":\"phone_linked\""), TOLD);
    assert_int_equal(count_of(found, "0977777777"), 0);
    member_of(person, "id", id, sizeof(id));
    assert_int_equal(count_of(found, id), 0);
    free(found);
    free(person);
    assert_true(province_matches(id)); /* and the register is what it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_card_is_refused_by_every_worker_right_after_the_acknowledgement),
        cmocka_unit_test(a_writer_that_is_killed_costs_nothing_and_does_nothing_twice),
        cmocka_unit_test(events_of_a_client_that_has_gone_are_written_down),
        cmocka_unit_test(the_audit_log_has_every_event),
        cmocka_unit_test(without_the_live_store_nobody_is_looked_up),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
