/* POST /v1/events of the real server: what each type does, how lines come and are answered, and who may. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/net/events_rig.h"

#define NEW_ID "001099999001"
#define NEWER_ID "001099999002"

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

/* Of P-256: the generator, and the same with a y that no point has. */
#define P256 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
#define RIGHT_KEY                                                                                  \
    P256 "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q"
#define WRONG_KEY                                                                                  \
    P256 "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9g"
#define REGISTERED(event_id, card_key, device_key)                                                 \
    "{\"event_id\":\"" event_id "\",\"type\":\"registered\",\"id\":\"001099999701\"," AT           \
    ",\"data\":{\"full_name\":\"Lê "                                                              \
    "Kín\",\"date_of_birth\":\"1999\",\"card\":{\"public_key\":\"" card_key                        \
    "\"},\"account\":{\"level\":1,\"devices\":[{\"device_id\":\"a\",\"public_key\":\"" device_key  \
    "\"}]}}}\n"
#define ISSUED(event_id, key)                                                                      \
    "{\"event_id\":\"" event_id "\",\"type\":\"card_issued\",\"id\":\"001099999701\"," AT          \
    ",\"data\":{\"issued_on\":\"2026-01-01\",\"public_key\":\"" key "\"}}\n"
#define REFUSED(line, pointer)                                                                     \
    "{\"line\":" line                                                                              \
    ",\"status\":400,\"code\":\"invalid_event\",\"errors\":[{\"pointer\":\"" pointer               \
    "\",\"code\":\"bad_key\",\"hint\":\"give the base64url text of "

static void a_key_that_nobody_can_sign_with_is_no_event(void **state)
{
    (void)state;
    struct test_response response;
    post(REGISTERED("k1", WRONG_KEY, RIGHT_KEY) REGISTERED("k2", RIGHT_KEY, WRONG_KEY)
             REGISTERED("k3", RIGHT_KEY, RIGHT_KEY) ISSUED("k4", WRONG_KEY)
                 ISSUED("k5", "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
                     ISSUED("k6", RIGHT_KEY),
         &response);
    assert_int_equal(response.status, 200);
    const char *const wanted[] = {REFUSED("1", "/data/card/public_key"),
                                  REFUSED("2", "/data/account/devices/0/public_key"),
                                  "{\"line\":3,\"event_id\":\"k3\",\"status\":\"applied\"",
                                  REFUSED("4", "/data/public_key"),
                                  REFUSED("5", "/data/public_key"),
                                  "{\"line\":6,\"event_id\":\"k6\",\"status\":\"applied\"",
                                  "{\"summary\":{\"lines\":6,\"applied\":2,\"duplicates\":0,"
                                  "\"conflicts\":0,\"errors\":4}}\n"};
    const char *at = response.body;
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strncmp(at, wanted[i], strlen(wanted[i])) != 0) {
            fail_msg("%s, not %s", at, wanted[i]);
        }
        at = strchr(at, '\n') + 1;
    }
    test_response_release(&response);
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

/* ---- how streams end ----------------------------------------------------------------------------- */

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

/* And nothing personal. */
static void the_audit_log_has_every_event(void **state)
{
    (void)state;
    unsigned acknowledged;
    char *found = audit_log_with_every_event(&acknowledged);
    assert_true(acknowledged > 0);
    assert_int_equal(count_of(found, "\"event\":\"card_found\""), 3);
    assert_int_equal(count_of(found, "\"event\":\"phone_linked\""), 5);
    assert_non_null(strstr(found, "\"event\":\"deceased\",\"sequence\":"));
    assert_int_equal(count_of(found, "0912345678"), 0);
    assert_int_equal(count_of(found, NEW_ID), 0);
    free(found);
    ask(NEW_ID, "\"province\":\"079\"",
        "\"reason\":\"deceased\""); /* and the register is what it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_seen_in_the_next_answer),
        cmocka_unit_test(who_may_not_use_old_numbers_finds_nobody_by_them),
        cmocka_unit_test(a_key_that_nobody_can_sign_with_is_no_event),
        cmocka_unit_test(bad_lines_and_conflicts_stop_nothing),
        cmocka_unit_test(a_line_that_is_too_long_gets_its_own_answer),
        cmocka_unit_test(any_split_of_the_bytes_is_answered_the_same),
        cmocka_unit_test(requests_behind_it_are_answered_after_it),
        cmocka_unit_test(a_slow_reader_gets_every_answer_in_order),
        cmocka_unit_test(without_the_right_nothing_is_taken),
        cmocka_unit_test(who_loses_the_right_is_told_so_once_and_the_stream_ends),
        cmocka_unit_test(lines_over_the_rate_wait_and_are_answered),
        cmocka_unit_test(a_server_that_ends_says_what_it_did_not_read),
        cmocka_unit_test(a_stream_that_stands_still_is_cut_off),
        cmocka_unit_test(blank_lines_keep_no_stream_open),
        cmocka_unit_test(the_audit_log_has_every_event),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
