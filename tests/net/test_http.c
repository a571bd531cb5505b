/* Raw bytes in, statuses out, over the exchange alone: no socket. Every case is also played split in
 * two at every byte, and byte by byte: any split must be answered the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keyring.h"
#include "net/exchange.h"
#include "tests/test.h"

/* ---- a site of three targets ------------------------------------------------------------------ */

static void handle_echo(struct xt_call *call, struct xt_answer *answer)
{
    *answer = (struct xt_answer){.status = 200,
                                 .type = XT_TYPE_JSON,
                                 .body = xt_span_of(call->request->body, call->request->body_size)};
    memset(call->request->body + call->request->body_size, 0, XT_HTTP_BODY_PADDING);
    if (answer->body.size > 4096) {
        answer->body.size = 4096;
    }
}

static uint8_t document[40000];

static void handle_document(struct xt_call *call, struct xt_answer *answer)
{
    (void)call;
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_span_of(document, sizeof(document))};
}

static const struct xt_route list[] = {
    {"/", XT_GET | XT_HEAD | XT_OPTIONS, handle_echo},
    {"/echo", XT_POST | XT_OPTIONS, handle_echo},
    {"/document", XT_GET | XT_HEAD | XT_OPTIONS, handle_document},
};
static const struct xt_routes routes = {list, 3, XT_GET | XT_HEAD | XT_OPTIONS | XT_POST};

/* ---- playing bytes ---------------------------------------------------------------------------- */

struct rig {
    struct xt_settings settings;
    struct xt_service service;
    struct xt_http_shared shared;
};

static struct rig rig;

static int set_up(void **state)
{
    (void)state;
    xt_crypto_start();
    xt_settings_defaults(&rig.settings);
    if (xt_service_open(&rig.service, &rig.settings) != XT_OK) {
        return 1;
    }
    xt_service_set_time(&rig.service, 1795251600123, 1000);
    xt_http_shared_open(&rig.shared, &rig.settings);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    xt_http_shared_close(&rig.shared); /* aborts if a request's memory was not given back */
    xt_service_close(&rig.service);
    return 0;
}

struct play {
    struct xt_exchange exchange;
    bool closed, tls;
    uint8_t *output;
    size_t output_size;
};

#define OUTPUT_ALL (1U << 20)

static void play_open(struct play *play, bool tls)
{
    static uint8_t output[OUTPUT_ALL]; /* one play at a time */
    memset(play, 0, sizeof(*play));
    play->output = output;
    xt_exchange_open(&play->exchange, &rig.shared, &rig.service, &routes, tls);
}

/* Feeds a piece as the connection does: an exact copy, so that reading past it is seen. */
static void play_feed(struct play *play, const uint8_t *data, size_t size)
{
    static uint8_t room[XT_OUTPUT_MAX];
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    size_t at = 0;
    while (!play->closed) {
        struct xt_writer writer = xt_writer_over(room, sizeof(room));
        size_t used = 0;
        enum xt_exchange_result result =
            xt_exchange_run(&play->exchange, copy + at, size - at, &used, &writer);
        at += used;
        assert_true(at <= size);
        assert_true(play->output_size + writer.size < OUTPUT_ALL);
        memcpy(play->output + play->output_size, room, writer.size);
        play->output_size += writer.size;
        play->closed = result == XT_EXCHANGE_LAST;
        if (result == XT_EXCHANGE_MORE) {
            assert_int_equal(at, size);
            break;
        }
    }
    free(copy);
}

static void play_close(struct play *play)
{
    xt_exchange_close(&play->exchange);
}

/* "200 405 ..." out of the output; heads[i] of answers to HEAD have no body. */
static void read_statuses(const struct play *play, const char *input, char *text, size_t size)
{
    const char *at = (const char *)play->output, *end = at + play->output_size;
    bool head = strncmp(input, "HEAD ", 5) == 0;
    text[0] = '\0';
    while (at < end) {
        assert_true(end - at > 12 && memcmp(at, "HTTP/1.1 ", 9) == 0);
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%.3s", used > 0 ? " " : "", at + 9);
        const char *body = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        assert_non_null(body);
        body += 4;
        const char *length = memmem(at, (size_t)(body - at), "\r\nContent-Length: ", 18);
        at = body + (length != NULL && !head ? strtoul(length + 18, NULL, 10) : 0);
    }
    assert_ptr_equal(at, end);
}

/* Repeats: {abc*20} stands for abc twenty times. */
static uint8_t *expand(const char *bytes, size_t length, size_t *size)
{
    uint8_t *result = malloc(1U << 20);
    assert_non_null(result);
    *size = 0;
    for (size_t i = 0; i < length; i++) {
        const char *close = NULL, *star = NULL;
        if (bytes[i] == '{' && (close = memchr(bytes + i, '}', length - i)) != NULL &&
            (star = memchr(bytes + i, '*', (size_t)(close - bytes) - i)) != NULL) {
            for (unsigned long n = strtoul(star + 1, NULL, 10); n > 0; n--) {
                memcpy(result + *size, bytes + i + 1, (size_t)(star - bytes) - i - 1);
                *size += (size_t)(star - bytes) - i - 1;
            }
            i = (size_t)(close - bytes);
        } else {
            result[(*size)++] = (uint8_t)bytes[i];
        }
    }
    return result;
}

struct raw_case {
    const char *name;
    const char *bytes;
    size_t length;
    const char *statuses;
    bool closes;
};
#define CASE(name, bytes, statuses, closes)                                                        \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, statuses, closes                                           \
    }
#define OPEN false
#define CLOSES true
#define H "Host: a\r\n"
#define OK_GET "GET / HTTP/1.1\r\n" H "\r\n"

#include "tests/net/raw_cases.h"

static void play_pieces(const struct raw_case *c, const uint8_t *bytes, size_t size, size_t first,
                        size_t step)
{
    struct play play;
    char statuses[4096];
    play_open(&play, true);
    for (size_t at = 0; at < size && !play.closed;) {
        size_t piece = at == 0 && first > 0 ? first : step;
        piece = piece < size - at ? piece : size - at;
        play_feed(&play, bytes + at, piece);
        at += piece;
    }
    read_statuses(&play, (const char *)bytes, statuses, sizeof(statuses));
    if (strcmp(statuses, c->statuses) != 0 || play.closed != c->closes) {
        fail_msg("%s (first piece %zu, then %zu): [%s]%s, expected [%s]%s", c->name, first, step,
                 statuses, play.closed ? " closed" : "", c->statuses, c->closes ? " closed" : "");
    }
    play_close(&play);
}

static void raw_case_is_answered_however_it_is_split(void **state)
{
    const struct raw_case *c = *state;
    size_t size = 0;
    uint8_t *bytes = expand(c->bytes, c->length, &size);
    play_pieces(c, bytes, size, 0, size);
    play_pieces(c, bytes, size, 1, 1);
    play_pieces(c, bytes, size, 0, 7);
    /* Long ones are long in one place: splits near both ends, and a sample between. */
    size_t step = size > 4096 ? size / 1024 : 1;
    for (size_t split = 1; split < size; split += split < 512 || size - split < 512 ? 1 : step) {
        play_pieces(c, bytes, size, split, size);
    }
    free(bytes);
}

/* ---- what a status does not show -------------------------------------------------------------- */

static void play_text(struct play *play, const char *text, bool tls)
{
    play_open(play, tls);
    play_feed(play, (const uint8_t *)text, strlen(text));
    play->output[play->output_size] = '\0';
}

static void chunks_are_joined(void **state)
{
    (void)state;
    struct play play;
    play_text(&play,
              "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
              "3\r\nabc\r\n5;x=\"y\"\r\ndefgh\r\n00\r\nX: y\r\n\r\n",
              true);
    assert_non_null(strstr((char *)play.output, "Content-Length: 8\r\n"));
    assert_non_null(strstr((char *)play.output, "\r\n\r\nabcdefgh"));
    assert_false(play.closed);
    play_close(&play);
}

static void large_body_arrives_whole(void **state)
{
    (void)state;
    enum { SIZE = 65536 };
    static uint8_t bytes[SIZE + 256];
    int head = snprintf((char *)bytes, 256,
                        "POST /echo HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[(size_t)head + i] = (uint8_t)('a' + i % 26);
    }
    struct play play;
    play_open(&play, true);
    for (size_t at = 0; at < SIZE + (size_t)head; at += 1000) {
        size_t left = SIZE + (size_t)head - at;
        play_feed(&play, bytes + at, left < 1000 ? left : 1000);
    }
    assert_int_equal(play.exchange.answered, 1);
    const uint8_t *body = memmem(play.output, play.output_size, "\r\n\r\n", 4);
    assert_non_null(body);
    assert_memory_equal(body + 4, bytes + head, 4096);
    play_close(&play);
}

static void answers_have_the_fixed_head(void **state)
{
    (void)state;
    struct play play;
    play_text(&play, "POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", true);
    assert_string_equal((char *)play.output, "HTTP/1.1 200 OK\r\n"
                                             "Content-Type: application/json\r\n"
                                             "Content-Length: 2\r\n"
                                             "Date: Sat, 21 Nov 2026 09:00:00 GMT\r\n"
                                             "Cache-Control: no-store\r\n"
                                             "X-Content-Type-Options: nosniff\r\n"
                                             "Strict-Transport-Security: max-age=63072000\r\n"
                                             "\r\n{}");
    play_close(&play);
}

static void wrong_method_says_what_is_allowed(void **state)
{
    (void)state;
    struct play play;
    play_text(&play, "GET /echo HTTP/1.1\r\n" H "\r\n", true);
    assert_non_null(strstr((char *)play.output, "\r\nAllow: POST, OPTIONS\r\n"));
    play_close(&play);
    play_text(&play, "OPTIONS /document HTTP/1.1\r\n" H "\r\n", true);
    assert_non_null(strstr((char *)play.output, "HTTP/1.1 204 No Content\r\n"));
    assert_non_null(strstr((char *)play.output, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    assert_null(strstr((char *)play.output, "Content-Length"));
    play_close(&play);
}

static void closing_answers_say_so(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Connection: foo, Close\r\n\r\n", "nonsense\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct play play;
        play_text(&play, requests[i], true);
        assert_true(play.closed);
        assert_non_null(strstr((char *)play.output, "\r\nConnection: close\r\n"));
        play_close(&play);
    }
}

static void problems_are_told_in_vietnamese_on_request(void **state)
{
    (void)state;
    struct play play;
    play_text(&play, "GET /x HTTP/1.1\r\n" H "Accept-Language: vi-VN, en;q=0.8\r\n\r\n", true);
    assert_non_null(strstr((char *)play.output, "\r\nContent-Language: vi\r\n"));
    assert_non_null(strstr((char *)play.output, "\"title\":\"Không có gì ở địa chỉ này\""));
    play_close(&play);
}

static void language_is_chosen_by_quality(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool vietnamese;
    } cases[] = {{"", false},
                 {"vi", true},
                 {"VI", true},
                 {"vi-VN", true},
                 {"vie", false},
                 {"en", false},
                 {"en, vi", false},
                 {"vi, en", true},
                 {"en;q=0.5, vi;q=0.9", true},
                 {"vi;q=0", false},
                 {"vi;q=0.1, fr", true},
                 {"vi;q=0.8,en;q=0.9", false},
                 {",,;q=,vi ; q=1", true},
                 {"*", false},
                 {"vi;q=x, en;q=0.001", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (xt_prefers_vietnamese(xt_span_of_string(cases[i].value)) != cases[i].vietnamese) {
            fail_msg("Accept-Language: %s", cases[i].value);
        }
    }
}

static void hundred_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char request[128], *all = malloc(100 * sizeof(request));
    assert_non_null(all);
    all[0] = '\0';
    for (int i = 0; i < 100; i++) {
        snprintf(request, sizeof(request),
                 "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n%03d", i);
        strcat(all, request);
    }
    struct play play;
    play_text(&play, all, true);
    const char *at = (char *)play.output;
    for (int i = 0; i < 100; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "\r\n\r\n%03d", i);
        at = strstr(at, "\r\n\r\n");
        assert_non_null(at);
        assert_memory_equal(at, expected, 7);
        at += 7;
    }
    assert_int_equal(*at, '\0');
    play_close(&play);
    free(all);
}

static void full_output_stops_reading_and_goes_on(void **state)
{
    (void)state;
    struct play play;
    play_open(&play, true);
    static uint8_t room[XT_OUTPUT_MAX];
    const char *text =
        "GET /document HTTP/1.1\r\n" H "\r\nGET /document HTTP/1.1\r\n" H "\r\n" OK_GET;
    size_t size = strlen(text), used = 0;
    struct xt_writer writer = xt_writer_over(room, sizeof(room));
    assert_int_equal(xt_exchange_run(&play.exchange, (const uint8_t *)text, size, &used, &writer),
                     XT_EXCHANGE_FULL);
    assert_int_equal(play.exchange.answered, 1);
    size_t at = used;
    writer = xt_writer_over(room, sizeof(room));
    assert_int_equal(
        xt_exchange_run(&play.exchange, (const uint8_t *)text + at, size - at, &used, &writer),
        XT_EXCHANGE_MORE);
    assert_int_equal(play.exchange.answered, 3);
    assert_int_equal(at + used, size);
    play_close(&play);
}

static void last_of_many_requests_closes(void **state)
{
    (void)state;
    rig.settings.connection_requests = 2;
    struct play play;
    play_text(&play, OK_GET OK_GET OK_GET, true);
    assert_true(play.closed);
    assert_int_equal(play.exchange.answered, 2);
    play_close(&play);
    rig.settings.connection_requests = 100000;
    play_open(&play, true);
    play.exchange.retire = true;
    play_feed(&play, (const uint8_t *)OK_GET, strlen(OK_GET));
    assert_true(play.closed);
    play_close(&play);
}

static void absolute_targets_must_have_our_scheme(void **state)
{
    (void)state;
    static const char https[] = "GET https://a/ HTTP/1.1\r\n" H "\r\n";
    static const char http[] = "GET http://a/ HTTP/1.1\r\n" H "\r\n";
    static const struct {
        const char *text;
        bool tls, closed;
    } cases[] = {
        {https, true, false}, {http, true, true}, {http, false, false}, {https, false, true}};
    for (size_t i = 0; i < 4; i++) {
        struct play play;
        play_text(&play, cases[i].text, cases[i].tls);
        assert_int_equal(play.closed, cases[i].closed);
        play_close(&play);
    }
}

static void idle_exchange_holds_no_memory(void **state)
{
    (void)state;
    struct play play;
    play_text(&play, OK_GET "\r\n", true);
    assert_int_equal(rig.shared.small.out_count, 0);
    play_feed(&play, (const uint8_t *)"G", 1);
    assert_int_equal(rig.shared.small.out_count, 1);
    play_close(&play);
    assert_int_equal(rig.shared.small.out_count, 0);
}

static void refusals_echo_nothing(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET /SECRET HTTP/1.1\r\n" H "\r\n",
                                           "SECRET / HTTP/1.1\r\n" H "\r\n",
                                           "GET / HTTP/1.1\r\nHost: SECRET/\r\n\r\n",
                                           "GET /?SECRET HTTP/1.1\r\n" H "\r\n",
                                           "GET / HTTP/1.1\r\n" H "Expect: SECRET\r\n\r\n",
                                           "GET / SECRET\r\n\r\n"};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct play play;
        play_text(&play, requests[i], true);
        assert_true(play.output_size > 0);
        assert_null(strstr((char *)play.output, "SECRET"));
        play_close(&play);
    }
}

int main(void)
{
    static struct CMUnitTest tests[256];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(raw_cases) / sizeof(raw_cases[0]); i++) {
        union {
            const void *from;
            void *to;
        } c = {.from = &raw_cases[i]};
        tests[count++] = (struct CMUnitTest){.name = raw_cases[i].name,
                                             .test_func = raw_case_is_answered_however_it_is_split,
                                             .initial_state = c.to};
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(large_body_arrives_whole),
        cmocka_unit_test(answers_have_the_fixed_head),
        cmocka_unit_test(wrong_method_says_what_is_allowed),
        cmocka_unit_test(closing_answers_say_so),
        cmocka_unit_test(problems_are_told_in_vietnamese_on_request),
        cmocka_unit_test(language_is_chosen_by_quality),
        cmocka_unit_test(hundred_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(full_output_stops_reading_and_goes_on),
        cmocka_unit_test(last_of_many_requests_closes),
        cmocka_unit_test(absolute_targets_must_have_our_scheme),
        cmocka_unit_test(idle_exchange_holds_no_memory),
        cmocka_unit_test(refusals_echo_nothing),
    };
    memcpy(tests + count, others, sizeof(others));
    count += sizeof(others) / sizeof(others[0]);
    return _cmocka_run_group_tests("http", tests, count, set_up, tear_down);
}
