/* POST /v1/events of the real server: what is acknowledged is so for everybody, once, whatever comes between
 * the lines and whoever is killed.
 * XT_TRIALS in the environment: how many times a card is lost (300; a soak takes 10000).
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/feed.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

#define EVENTS "/v1/events"
#define AT "\"at\":\"2026-11-22T08:00:00Z\""
#define NEW_ID "001099999001"
#define NEWER_ID "001099999002"
#define FIELDS "Content-Type: application/x-ndjson\r\n"

static const char *const two_workers[] = {"--workers", "2", NULL};
static struct server server;
static unsigned next_event; /* numbers of event_ids that were not used yet */

/* ---- what was answered -------------------------------------------------------------------------- */

#define SEQUENCES 200000
static uint8_t answered[SEQUENCES]; /* how many answers gave this sequence */
static uint64_t gone_sequence;      /* of an event for which there was nobody to answer */

static uint64_t number_of(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* Each line of an answer that has a sequence. */
static void keep_sequences(const char *text)
{
    for (const char *at = text; (at = strstr(at, "\"sequence\":")) != NULL; at++) {
        uint64_t sequence = number_of(at, "\"sequence\":");
        assert_in_range(sequence, 1, SEQUENCES - 1);
        answered[sequence]++;
    }
}

static bool hear(struct feed *feed, char line[FEED_LINE_MAX])
{
    bool heard = feed_line(feed, line);
    if (heard) {
        keep_sequences(line);
    }
    return heard;
}

static void post(const char *body, struct test_response *response)
{
    struct test_client *client = connect_as(&server, "reg");
    assert_true(test_client_request(client, "POST", EVENTS, FIELDS, body, response));
    keep_sequences(response->body);
    test_client_close(client);
}

/* The writer opens what is served a moment after the first start. */
static bool wait_until_events_are_taken(void)
{
    const char *line =
        "{\"event_id\":\"first\",\"type\":\"deceased\",\"id\":\"001099999777\"," AT "}";
    for (double until = now_s() + 20; now_s() < until; sleep_ms(20)) {
        struct test_response response;
        post(line, &response);
        bool taken = strstr(response.body, "unknown_person") != NULL;
        test_response_release(&response);
        if (taken) {
            return true;
        }
    }
    return false;
}

static int begin(void **state)
{
    if (deployment_make(state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "reg", "--purpose", "demo.verify",
            "--claims", "full_name", "--right", "registry,card_state", "--issue",
            deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start_with(&server, NULL, two_workers);
    return wait_until_events_are_taken() ? 0 : 1;
}

static int end(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

/* ---- telling and asking ------------------------------------------------------------------------- */

/* One event a line. data: "" or ",\"data\":{...}". */
static void write_event(char *line, size_t size, const char *event_id, const char *type,
                        const char *id, const char *data)
{
    int length =
        snprintf(line, size, "{\"event_id\":\"%s\",\"type\":\"%s\",\"id\":\"%s\"," AT "%s}\n",
                 event_id, type, id, data);
    assert_true(length > 0 && (size_t)length < size);
}

/* Tells one event under a new id; what comes of it has `wanted` in it. */
static void tell(const char *type, const char *id, const char *data, const char *wanted)
{
    char line[2048];
    char event_id[32];
    struct test_response response;
    snprintf(event_id, sizeof(event_id), "t%u", next_event++);
    write_event(line, sizeof(line), event_id, type, id, data);
    post(line, &response);
    assert_int_equal(response.status, 200);
    if (strstr(response.body, wanted) == NULL) {
        fail_msg("%s: %s", type, response.body);
    }
    test_response_release(&response);
}

/* Verifies as `wide`; the answer has `wanted` in it. */
static void ask(const char *id, const char *claims, const char *wanted)
{
    char body[512];
    struct test_response response;
    struct test_client *client = connect_as(&server, "wide");
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{%s}}", id,
             claims);
    assert_int_equal(verify(client, body, &response), 200);
    if (strstr(response.body, wanted) == NULL) {
        fail_msg("%s, not %s", response.body, wanted);
    }
    test_response_release(&response);
    test_client_close(client);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

/* ---- what events do ----------------------------------------------------------------------------- */

static void every_type_is_seen_in_the_next_answer(void **state)
{
    (void)state;
    const char *name = "\"full_name\":\"Nguy\xe1\xbb\x85n V\xc4\x83n An\"";
    ask(NEW_ID, name, "\"reason\":\"unknown\"");
    tell("registered", NEW_ID,
         ",\"data\":{\"full_name\":\"Nguy\xe1\xbb\x85n V\xc4\x83n An\","
         "\"date_of_birth\":\"1999-01-25\",\"sex\":\"male\"}",
         "\"applied\"");
    ask(NEW_ID, name, "\"verdict\":\"verified\"");
    tell("corrected", NEW_ID, ",\"data\":{\"full_name\":\"Tr\xe1\xba\xa7n B\xc3\xacnh\"}",
         "\"applied\"");
    ask(NEW_ID, name, "\"full_name\":\"mismatch\"");
    ask(NEW_ID, "\"full_name\":\"Tran Binh\"", "\"full_name\":\"m");
    tell("address_changed", NEW_ID, ",\"data\":{\"province\":\"079\"}", "\"applied\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"province\":\"match\"");
    tell("phone_linked", NEW_ID, ",\"data\":{\"phone\":\"0912345678\"}", "\"applied\"");
    ask(NEW_ID, "\"phone\":\"+84912345678\"", "\"phone\":\"match\"");
    tell("phone_unlinked", NEW_ID, ",\"data\":{\"phone\":\"0912345678\"}", "\"applied\"");
    ask(NEW_ID, "\"phone\":\"+84912345678\"", "\"phone\":\"not_held\"");
    tell("document_linked", NEW_ID, ",\"data\":{\"type\":\"tax\",\"number\":\"8123456789\"}",
         "\"applied\"");
    ask(NEW_ID, "\"tax\":\"8123456789\"", "\"tax\":\"match\"");
    tell("document_unlinked", NEW_ID, ",\"data\":{\"type\":\"tax\",\"number\":\"8123456789\"}",
         "\"applied\"");
    ask(NEW_ID, "\"tax\":\"8123456789\"", "\"tax\":\"not_held\"");
    tell("card_issued", NEW_ID, ",\"data\":{\"issued_on\":\"2024-05-01\"}", "\"applied\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"card\":\"valid\"");
    tell("card_lost", NEW_ID, "", "\"applied\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"card\":\"lost\"");
    tell("card_found", NEW_ID, ",\"data\":{}", "\"applied\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"card\":\"valid\"");
    tell("card_revoked", NEW_ID, "", "\"applied\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"card\":\"revoked\"");
    tell("number_replaced", NEW_ID, ",\"data\":{\"new_id\":\"" NEWER_ID "\"}", "\"applied\"");
    ask(NEWER_ID, "\"province\":\"079\"", "\"verdict\":\"verified\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"verdict\":\"verified\"");
    tell("deceased", NEWER_ID, "", "\"applied\"");
    ask(NEWER_ID, "\"province\":\"079\"", "\"reason\":\"deceased\"");
    ask(NEW_ID, "\"province\":\"079\"", "\"reason\":\"deceased\"");
}

/* The answer to a question of `claims` about an id, without what differs in any two. */
static void answer_of(const char *id, const char *claims, char *answer, size_t size)
{
    char body[512];
    struct test_response response;
    struct test_client *client = connect_as(&server, "wide");
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{%s}}", id,
             claims);
    assert_int_equal(verify(client, body, &response), 200);
    snprintf(answer, size, "%s", strstr(response.body, "\"verdict\""));
    test_response_release(&response);
    test_client_close(client);
}

static void set_old_numbers(const char *may)
{
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "wide", "--old-numbers", may, NULL), 0);
}

/* The number that was replaced above, and somebody's CMND. */
static void who_may_not_use_old_numbers_finds_nobody_by_them(void **state)
{
    (void)state;
    char id[16];
    char old_id[16];
    char unknown[256];
    char answer[256];
    char claims[64];
    unsigned n = 0;
    char *line = person_line(n);
    while (strstr(line, "\"old_id\"") == NULL || strstr(line, "\"sex\":\"male\"") == NULL ||
           strstr(line, "\"alive\"") == NULL) {
        free(line);
        line = person_line(++n);
    }
    member_of(line, "id", id, sizeof(id));
    member_of(line, "old_id", old_id, sizeof(old_id));
    free(line);
    snprintf(claims, sizeof(claims), "\"sex\":\"male\"");
    answer_of("001099999779", claims, unknown, sizeof(unknown));
    assert_non_null(strstr(unknown, "\"unknown\""));
    answer_of(old_id, claims, answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"verified\""));
    set_old_numbers("no");
    for (double until = now_s() + 10; strcmp(answer, unknown) != 0 && now_s() < until;) {
        answer_of(old_id, claims, answer, sizeof(answer));
    }
    assert_string_equal(answer, unknown);
    answer_of(NEW_ID, claims, answer, sizeof(answer));
    assert_string_equal(answer, unknown);
    answer_of(id, claims, answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"verified\""));
    answer_of(NEWER_ID, claims, answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"deceased\""));
    set_old_numbers("yes");
    for (double until = now_s() + 10; strstr(answer, "\"verified\"") == NULL && now_s() < until;) {
        answer_of(old_id, claims, answer, sizeof(answer));
    }
    assert_non_null(strstr(answer, "\"verified\""));
}

static void bad_lines_and_conflicts_stop_nothing(void **state)
{
    (void)state;
    char *line = person_line(40);
    char id[16];
    char body[4096];
    struct test_response response;
    member_of(line, "id", id, sizeof(id));
    free(line);
    snprintf(body, sizeof(body),
             "{\"event_id\":\"b1\",\"type\":\"phone_linked\",\"id\":\"%s\"," AT
             ",\"data\":{\"phone\":\"0987654321\"}}\r\n"
             "no event\n"
             "  \r\n"
             "{\"event_id\":\"b2\",\"type\":\"phone_linked\",\"id\":\"%s\"," AT
             ",\"data\":{\"phone\":\"0987654321\"}}\n"
             "{\"event_id\":\"b1\",\"type\":\"deceased\",\"id\":\"%s\"," AT "}\n"
             "{\"event_id\":\"b3\",\"type\":\"card_found\",\"id\":\"001099999777\"," AT "}\n"
             "{\"event_id\":\"b4\",\"type\":\"phone_linked\",\"id\":\"%s\"," AT
             ",\"data\":{\"phone\":\"12\"}}\n"
             "{\"event_id\":\"b5\",\"type\":\"phone_unlinked\",\"id\":\"%s\"," AT
             ",\"data\":{\"phone\":\"0987654321\"}}",
             id, id, id, id, id);
    post(body, &response);
    assert_int_equal(response.status, 200);
    assert_true(response.chunked);
    const char *const wanted[] = {
        "{\"line\":1,\"event_id\":\"b1\",\"status\":\"applied\",\"sequence\":",
        "{\"line\":2,\"status\":400,\"code\":\"invalid_event\",\"errors\":[{\"pointer\":\"\","
        "\"code\":\"malformed_json\"}]",
        "{\"line\":4,\"event_id\":\"b2\",\"status\":409,\"code\":\"phone_already_linked\"",
        "{\"line\":5,\"event_id\":\"b1\",\"status\":409,\"code\":\"event_id_reused\"",
        "{\"line\":6,\"event_id\":\"b3\",\"status\":409,\"code\":\"unknown_person\"",
        "{\"line\":7,\"status\":400,\"code\":\"invalid_event\",\"errors\":[{\"pointer\":"
        "\"/data/phone\",\"code\":\"bad_phone\"}]",
        "{\"line\":8,\"event_id\":\"b5\",\"status\":\"applied\",\"sequence\":",
        "{\"summary\":{\"lines\":7,\"applied\":2,\"duplicates\":0,\"conflicts\":3,\"errors\":2}}"
        "\n"};
    const char *at = response.body;
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strncmp(at, wanted[i], strlen(wanted[i])) != 0) {
            fail_msg("%s, not %s", at, wanted[i]);
        }
        at = strchr(at, '\n') + 1;
    }
    assert_string_equal(at, "");
    assert_null(strstr(response.body, id));
    assert_null(strstr(response.body, "0987654321"));
    test_response_release(&response);
    post(
        body,
        &response); /* once more: what was applied was, and conflicts may have become something else */
    assert_int_equal(count_of(response.body, "\"duplicate\""), 2);
    test_response_release(&response);
}

static void a_line_that_is_too_long_gets_its_own_answer(void **state)
{
    (void)state;
    size_t size = 300000;
    char *body = malloc(size + 600);
    struct test_response response;
    assert_non_null(body);
    memset(body, 'x', size);
    body[size] = '\n';
    write_event(body + size + 1, 599, "long", "card_lost", "001099999777", "");
    post(body, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "{\"line\":1,\"status\":413,\"code\":\"line_too_long\""));
    assert_non_null(
        strstr(response.body,
               "{\"line\":2,\"event_id\":\"long\",\"status\":409,\"code\":\"unknown_person\""));
    test_response_release(&response);
    free(body);
}

/* ---- how lines come ----------------------------------------------------------------------------- */

static void any_split_of_the_bytes_is_answered_the_same(void **state)
{
    (void)state;
    char body[600];
    struct test_client *client = connect_as(&server, "reg");
    write_event(body, sizeof(body), "s1", "card_lost", "001099999777", "");
    write_event(body + strlen(body), sizeof(body) - strlen(body), "s2", "deceased", "001099999778",
                "");
    size_t size = strlen(body);
    for (size_t split = 0; split <= size; split++) {
        char request[2048];
        char *cut;
        struct test_response response;
        bool chunked = split % 2 == 1 && split < size;
        int length =
            chunked ? snprintf(
                          request, sizeof(request),
                          "POST " EVENTS " HTTP/1.1\r\nHost: a\r\n" FIELDS
                          "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%.*s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                          split, (int)split, body, size - split, body + split)
                    : snprintf(request, sizeof(request),
                               "POST " EVENTS " HTTP/1.1\r\nHost: a\r\n" FIELDS
                               "Content-Length: %zu\r\n\r\n%s",
                               size, body);
        cut = chunked ? strstr(request, "\r\n\r\n") + 4 + split
                      : request + (size_t)length - size + split;
        assert_true(test_client_send(client, request, (size_t)(cut - request)));
        if (split % 16 == 0) {
            sleep_ms(2); /* so that the rest comes by itself, now and then */
        }
        assert_true(test_client_send(client, cut, (size_t)length - (size_t)(cut - request)));
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, 200);
        assert_non_null(strstr(response.body, "{\"line\":1,\"event_id\":\"s1\",\"status\":409,"
                                              "\"code\":\"unknown_person\""));
        assert_non_null(strstr(response.body, "{\"line\":2,\"event_id\":\"s2\",\"status\":409"));
        assert_non_null(strstr(response.body, "\"lines\":2,\"applied\":0"));
        test_response_release(&response);
    }
    test_client_close(client);
}

static void requests_behind_it_are_answered_after_it(void **state)
{
    (void)state;
    char line[600];
    char request[4096];
    struct test_response response;
    struct test_client *client = connect_as(&server, "reg");
    const char *question =
        "{\"id\":\"001099999777\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"A B\"}}";
    write_event(line, sizeof(line), "p1", "card_lost", "001099999777", "");
    snprintf(request, sizeof(request),
             "POST " EVENTS " HTTP/1.1\r\nHost: a\r\n" FIELDS "Content-Length: %zu\r\n\r\n%s"
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s"
             "POST " EVENTS " HTTP/1.1\r\nHost: a\r\n" FIELDS "Content-Length: 0\r\n\r\n"
             "POST " EVENTS " HTTP/1.1\r\nHost: a\r\n" FIELDS "Content-Length: %zu\r\n\r\n%s",
             strlen(line), line, strlen(question), question, strlen(line), line);
    assert_true(test_client_send_text(client, request));
    const char *const wanted[] = {"\"unknown_person\"", "\"not_verified\"",
                                  "{\"summary\":{\"lines\":0,", "\"unknown_person\""};
    for (unsigned i = 0; i < 4; i++) {
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, 200);
        assert_non_null(strstr(response.body, wanted[i]));
        test_response_release(&response);
    }
    test_client_close(client);
}

/* Whether the socket takes more within a while. */
static bool takes_more(const struct test_client *client)
{
    struct pollfd look = {.fd = test_client_socket(client), .events = POLLOUT};
    return poll(&look, 1, 300) == 1;
}

/* A client that sends and does not read is not read from, and gets every answer in order in the end. */
static void a_slow_reader_gets_every_answer_in_order(void **state)
{
    (void)state;
    enum { TOGETHER = 10, WIDTH = 1024, MOST = 200000 };
    static struct feed feed;
    char text[TOGETHER * WIDTH + 1];
    char line[FEED_LINE_MAX];
    unsigned sent = 0;
    int small = 65536;
    struct test_client *client = connect_as(&server, "reg");
    assert_int_equal(
        setsockopt(test_client_socket(client), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 1; i <= TOGETHER; i++) {
        text[i * WIDTH - 1] = '\n';
    }
    feed_open(&feed, client, EVENTS);
    for (; sent < MOST && takes_more(client); sent += TOGETHER) {
        assert_true(feed_send(&feed, text));
    }
    assert_in_range(sent, 1, MOST - 1); /* it has stopped reading */
    for (unsigned i = 1; i <= sent; i++) {
        assert_true(feed_line(&feed, line));
        assert_int_equal(number_of(line, "\"line\":"), i);
    }
    feed_end(&feed);
    assert_true(feed_line(&feed, line));
    assert_int_equal(number_of(line, "\"lines\":"), sent);
    assert_false(feed_line(&feed, line));
    assert_true(feed.ended);
    test_client_close(client);
}

/* ---- who may ------------------------------------------------------------------------------------ */

static void without_the_right_nothing_is_taken(void **state)
{
    (void)state;
    char line[600];
    struct test_response response;
    write_event(line, sizeof(line), "r1", "card_lost", "001099999777", "");
    struct test_client *client = connect_as(&server, "demo");
    assert_true(test_client_request(client, "POST", EVENTS, FIELDS, line, &response));
    assert_int_equal(response.status, 403);
    assert_non_null(strstr(response.body, "\"endpoint_not_permitted\""));
    test_response_release(&response);
    test_client_close(client);
    client = connect_as(&server, "reg");
    assert_true(test_client_request(client, "POST", EVENTS, "Content-Type: application/json\r\n",
                                    line, &response));
    assert_int_equal(response.status, 415);
    test_response_release(&response);
    test_client_close(client);
    client = connect_as(&server, "reg");
    assert_true(test_client_request(client, "POST", EVENTS,
                                    FIELDS "Content-Digest: sha-256=:AAAA:\r\n", line, &response));
    assert_int_equal(response.status, 400);
    assert_non_null(strstr(response.body, "\"bad_content_digest\""));
    test_response_release(&response);
    test_client_close(client);
}

static void who_loses_the_right_is_told_so_once_and_the_stream_ends(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    char answer[FEED_LINE_MAX];
    bool refused = false;
    struct test_client *client = connect_as(&server, "reg");
    feed_open(&feed, client, EVENTS);
    write_event(line, sizeof(line), "m1", "card_lost", "001099999777", "");
    assert_true(feed_send(&feed, line) && feed_line(&feed, answer));
    assert_non_null(strstr(answer, "unknown_person"));
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "reg", "--right", "card_state", NULL),
        0);
    for (double until = now_s() + 10; !refused && now_s() < until; sleep_ms(20)) {
        assert_true(feed_send(&feed, line) && feed_line(&feed, answer));
        refused = strstr(answer, "\"status\":403,\"code\":\"endpoint_not_permitted\"") != NULL;
    }
    assert_true(refused);
    assert_true(feed_line(&feed, answer));
    assert_non_null(strstr(answer, "\"unread\":true"));
    assert_false(feed_line(&feed, answer));
    assert_true(feed.ended);
    test_client_close(client);
    assert_int_equal(run(xacthuc(), "partner", "set", deployment("DIR"), "reg", "--right",
                         "registry,card_state", NULL),
                     0);
    for (double until = now_s() + 10; refused && now_s() < until; sleep_ms(20)) {
        struct test_response response;
        post(line, &response);
        refused = response.status != 200 || strstr(response.body, "unknown_person") == NULL;
        test_response_release(&response);
    }
    assert_false(refused);
}

#define RATE_LINES 5

/* Until a second request at once is refused, or is not. */
static bool wait_until_rate_is(const char *rate, int status)
{
    char line[600];
    write_event(line, sizeof(line), "w1", "card_lost", "001099999777", "");
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "reg", "--rate", rate, NULL), 0);
    for (double until = now_s() + 10; now_s() < until; sleep_ms(20)) {
        struct test_response response;
        struct test_client *client = connect_as(&server, "reg");
        int last = 200;
        for (unsigned i = 0; i < 2 && last == 200; i++) {
            assert_true(test_client_request(client, "POST", EVENTS, FIELDS, line, &response));
            last = response.status;
            test_response_release(&response);
        }
        test_client_close(client);
        if (last == status) {
            return true;
        }
    }
    return false;
}

/* Each but the first, which its request pays for, takes one of the rate: they cannot come sooner. */
static void lines_over_the_rate_wait_and_are_answered(void **state)
{
    (void)state;
    char body[RATE_LINES * 300] = "";
    char line[300];
    struct test_response response;
    assert_true(wait_until_rate_is("2:1", 429));
    for (unsigned i = 0; i < RATE_LINES; i++) {
        write_event(line, sizeof(line), "w1", "card_lost", "001099999777", "");
        strcat(body, line);
    }
    sleep_ms(1100);
    double began = now_s();
    post(body, &response);
    double took = now_s() - began;
    assert_int_equal(response.status, 200);
    assert_int_equal(count_of(response.body, "\"unknown_person\""), RATE_LINES);
    assert_true(took > (RATE_LINES - 2) * 0.5);
    test_response_release(&response);
    assert_true(wait_until_rate_is("none", 200));
}

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
    char *person = person_line(42);
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

static void a_server_that_ends_says_what_it_did_not_read(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    feed_open(&feed, connect_as(&server, "reg"), EVENTS);
    write_event(line, sizeof(line), "end", "card_lost", "001099999777", "");
    assert_true(feed_send(&feed, line) && feed_line(&feed, line));
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "{\"summary\":{\"lines\":1,"));
    assert_non_null(strstr(line, "\"unread\":true"));
    assert_false(feed_line(&feed, line));
    assert_true(feed.ended);
    test_client_close(feed.client);
    assert_int_equal(server_wait(&server, 20000), 0);
    server_start_with(&server, "stream_timeout = 1500ms\n", two_workers);
}

/* The server of the test before has a short limit. */
static void a_stream_that_stands_still_is_cut_off(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    feed_open(&feed, connect_as(&server, "reg"), EVENTS);
    for (unsigned i = 0; i < 4; i++) {
        write_event(line, sizeof(line), "still", "card_lost", "001099999777", "");
        assert_true(feed_send(&feed, line) && feed_line(&feed, line));
        sleep_ms(500);
    }
    assert_false(feed_line(&feed, line));
    assert_false(feed.ended);
    test_client_close(feed.client);
}

/* Blank lines come all the time, and move nothing. */
static void blank_lines_keep_no_stream_open(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    bool open = true;
    feed_open(&feed, connect_as(&server, "reg"), EVENTS);
    for (double until = now_s() + 10; open && now_s() < until; sleep_ms(50)) {
        open = feed_send(&feed, "\n");
    }
    assert_false(open);
    assert_false(feed_line(&feed, line));
    assert_false(feed.ended);
    test_client_close(feed.client);
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

/* How many entries of the log have each sequence. */
static void count_logged(const char *found, uint8_t logged[SEQUENCES])
{
    for (const char *at = found; (at = strstr(at, "\"route\":\"events\"")) != NULL; at++) {
        const char *end = strchr(at, '\n');
        const char *here = strstr(at, "\"sequence\":");
        assert_non_null(end);
        uint64_t sequence = here != NULL && here < end ? number_of(here, "\"sequence\":") : 0;
        assert_true(sequence < SEQUENCES);
        logged[sequence]++; /* 0: was refused */
    }
}

/* Every answer that gave a sequence stands in the audit log once, nothing else does, and nothing personal. */
static void the_audit_log_has_every_event(void **state)
{
    (void)state;
    static uint8_t logged[SEQUENCES];
    char command[1024];
    unsigned acknowledged = 0;
    assert_int_equal(server_stop(&server), 0);
    snprintf(command, sizeof(command), "%s audit export %s > %s 2>&1", xacthuc(), deployment("DIR"),
             deployment("found.txt"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    char *found = read_text(deployment("found.txt"));
    count_logged(found, logged);
    for (unsigned i = 1; i < SEQUENCES; i++) {
        unsigned wanted = answered[i] + (i == gone_sequence);
        if (logged[i] != wanted) {
            fail_msg("sequence %u: %u entries, %u answers%s", i, logged[i], answered[i],
                     i == gone_sequence ? ", and a client that had gone" : "");
        }
        acknowledged += answered[i] > 0;
    }
    assert_int_equal(answered[gone_sequence], 1);
    assert_true(acknowledged >= TOLD + 2 * wanted_trials());
    assert_int_equal(count_of(found, "\"event\":\"card_found\""), wanted_trials() + 3);
    assert_int_equal(count_of(found, "\"event\":\"phone_linked\""), TOLD + 5);
    assert_non_null(strstr(found, "\"event\":\"deceased\",\"sequence\":"));
    assert_int_equal(count_of(found, "0977777777"), 0);
    assert_int_equal(count_of(found, NEW_ID), 0);
    free(found);
    snprintf(command, sizeof(command), "%s audit verify %s", xacthuc(), deployment("DIR"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    server_start_with(&server, NULL, two_workers);
    ask(NEW_ID, "\"province\":\"079\"",
        "\"reason\":\"deceased\""); /* and the register is what it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_seen_in_the_next_answer),
        cmocka_unit_test(who_may_not_use_old_numbers_finds_nobody_by_them),
        cmocka_unit_test(bad_lines_and_conflicts_stop_nothing),
        cmocka_unit_test(a_line_that_is_too_long_gets_its_own_answer),
        cmocka_unit_test(any_split_of_the_bytes_is_answered_the_same),
        cmocka_unit_test(requests_behind_it_are_answered_after_it),
        cmocka_unit_test(a_slow_reader_gets_every_answer_in_order),
        cmocka_unit_test(without_the_right_nothing_is_taken),
        cmocka_unit_test(who_loses_the_right_is_told_so_once_and_the_stream_ends),
        cmocka_unit_test(lines_over_the_rate_wait_and_are_answered),
        cmocka_unit_test(a_lost_card_is_refused_by_every_worker_right_after_the_acknowledgement),
        cmocka_unit_test(a_writer_that_is_killed_costs_nothing_and_does_nothing_twice),
        cmocka_unit_test(events_of_a_client_that_has_gone_are_written_down),
        cmocka_unit_test(a_server_that_ends_says_what_it_did_not_read),
        cmocka_unit_test(a_stream_that_stands_still_is_cut_off),
        cmocka_unit_test(blank_lines_keep_no_stream_open),
        cmocka_unit_test(the_audit_log_has_every_event),
        cmocka_unit_test(without_the_live_store_nobody_is_looked_up),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
