/* What the statuses of tests/net/raw_cases.h do not show: heads, bodies, order, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/net/rig.h"
#include "tests/test.h"

#define H "Host: a\r\n"
#define OK_GET "GET / HTTP/1.1\r\n" H "\r\n"

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

/* A reload while a request is under way: it keeps its limits and its memory, the next has the new. */
static void new_limits_hold_from_the_next_request_on(void **state)
{
    (void)state;
    enum { SIZE = 40000 };
    static const char head[] = "POST /echo HTTP/1.1\r\n" H "Content-Length: 40000\r\n\r\n";
    static uint8_t body[SIZE];
    const struct xt_settings before = rig.settings;
    for (unsigned sent = 0; sent < SIZE;
         sent += SIZE / 4) { /* before and after it left its block */
        struct play play;
        play_open(&play, true);
        play_feed(&play, (const uint8_t *)head, sizeof(head) - 1);
        play_feed(&play, body, sent);
        rig.settings.header_bytes = 1024;
        rig.settings.header_fields = 8;
        play_feed(&play, (const uint8_t *)"", 0); /* settings alone change nothing */
        rig.settings.body_bytes = 50000;
        xt_http_shared_reload(&rig.shared);
        play_feed(&play, body + sent, SIZE - sent);
        assert_memory_equal(play.output, "HTTP/1.1 200", 12);
        size_t first = play.output_size;
        static const char larger[] = "POST /echo HTTP/1.1\r\n" H "Content-Length: 50001\r\n\r\n";
        play_feed(&play, (const uint8_t *)larger, sizeof(larger) - 1);
        assert_memory_equal(play.output + first, "HTTP/1.1 413", 12);
        play_close(&play);
        rig.settings = before;
        xt_http_shared_reload(&rig.shared);
    }
    /* Lowered below what has come already: refused, and nothing is written past the end. */
    struct play play;
    play_open(&play, true);
    play_feed(&play, (const uint8_t *)head, sizeof(head) - 1);
    play_feed(&play, body, 10000);
    rig.settings.body_bytes = 1024;
    xt_http_shared_reload(&rig.shared);
    play_feed(&play, body, SIZE - 10000);
    assert_memory_equal(play.output, "HTTP/1.1 413", 12);
    assert_true(play.closed);
    play_close(&play);
    rig.settings = before;
    xt_http_shared_reload(&rig.shared);
}

static void turn_ends_after_its_answers(void **state)
{
    (void)state;
    struct play play;
    static uint8_t room[XT_OUTPUT_MAX];
    const char *text = OK_GET OK_GET OK_GET;
    size_t used = 0, at = 0;
    play_open(&play, true);
    play.exchange.turn_left = 2;
    struct xt_writer writer = xt_writer_over(room, sizeof(room));
    assert_int_equal(
        xt_exchange_run(&play.exchange, (const uint8_t *)text, strlen(text), &used, &writer),
        XT_EXCHANGE_TURN);
    assert_int_equal(play.exchange.answered, 2);
    play.exchange.turn_left = 1; /* as many as there are: nothing is left over */
    at = used;
    assert_int_equal(xt_exchange_run(&play.exchange, (const uint8_t *)text + at, strlen(text) - at,
                                     &used, &writer),
                     XT_EXCHANGE_MORE);
    assert_int_equal(play.exchange.answered, 3);
    play_close(&play);
}

/* What asks for signatures has as few answers in a turn as cost what others' cost. */
static void signature_counts_for_several_answers_of_a_turn(void **state)
{
    (void)state;
    static const char text[] =
        "GET / HTTP/1.1\r\n" H "Accept-Signature: s=(\"@status\" \"content-digest\")\r\n\r\n";
    struct xt_answer_keys *keys = NULL;
    struct play play;
    static uint8_t room[XT_OUTPUT_MAX];
    char many[8 * sizeof(text)] = "";
    size_t used = 0, at = 0;
    assert_int_equal(
        xt_answer_keys_open(xt_span_of_string("current  2026-01-01T00:00:00Z 9d61b19deffd5a60ba844a"
                                              "f492ec2cc44449c5697b326919703bac031cae7f60\n"),
                            &keys),
        XT_OK);
    xt_service_take_answer_keys(&rig.service, keys);
    for (int i = 0; i < 8; i++) {
        strcat(many, text);
    }
    uint8_t json[4096];
    struct xt_partner partner = {.name = "bank", .active = true, .certificate_count = 1};
    struct xt_writer written = xt_writer_over(json, sizeof(json));
    struct xt_failure failure = {0};
    xt_partner_to_json(&partner, &written);
    struct xt_span bank = xt_written(&written);
    assert_int_equal(xt_partners_parse(&bank, 1, &rig.service.partners, &failure), XT_OK);
    play_open(&play, true);
    play.exchange.peer.has_certificate = true; /* of 32 zeros */
    play.exchange.peer.not_after = INT64_MAX;
    static const uint32_t turns[] = {16, 1, 9}, answered[] = {2, 3, 5};
    for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        struct xt_writer writer = xt_writer_over(room, sizeof(room));
        play.exchange.turn_left = turns[i];
        assert_int_equal(xt_exchange_run(&play.exchange, (const uint8_t *)many + at,
                                         strlen(many) - at, &used, &writer),
                         XT_EXCHANGE_TURN);
        at += used;
        assert_int_equal(play.exchange.answered, answered[i]);
    }
    /* To somebody who is no partner nothing is signed, whatever he asks for. */
    struct xt_writer writer = xt_writer_over(room, sizeof(room));
    play.exchange.peer.has_certificate = false;
    play.exchange.turn_left = 2;
    assert_int_equal(xt_exchange_run(&play.exchange, (const uint8_t *)many + at, strlen(many) - at,
                                     &used, &writer),
                     XT_EXCHANGE_TURN);
    room[writer.size] = '\0';
    assert_int_equal(play.exchange.answered, 7);
    assert_null(strstr((char *)room, "Signature"));
    play_close(&play);
    xt_partners_free(rig.service.partners);
    rig.service.partners = NULL;
    xt_service_take_answer_keys(&rig.service, NULL);
}

static void overloaded_requests_are_refused_and_the_connection_stays(void **state)
{
    (void)state;
    struct play play;
    play_open(&play, true);
    play.exchange.overloaded = true;
    play_feed(&play, (const uint8_t *)OK_GET, strlen(OK_GET));
    assert_memory_equal(play.output, "HTTP/1.1 503", 12);
    assert_non_null(strstr((char *)play.output, "\r\nRetry-After: 1\r\n"));
    assert_false(play.closed);
    size_t first = play.output_size;
    play.exchange.overloaded = false;
    play_feed(&play, (const uint8_t *)OK_GET, strlen(OK_GET));
    assert_memory_equal(play.output + first, "HTTP/1.1 200", 12);
    play_close(&play);
}

/* Names and order of the fields: the same for every answer of a kind. */
static void head_is_answered_like_get_without_the_body(void **state)
{
    (void)state;
    struct play play;
    char get_head[1024];
    play_text(&play, "GET /document HTTP/1.1\r\n" H "\r\n", true);
    char *end = strstr((char *)play.output, "\r\n\r\n");
    assert_non_null(end);
    snprintf(get_head, sizeof(get_head), "%.*s", (int)(end + 4 - (char *)play.output),
             (char *)play.output);
    play_close(&play);
    play_text(&play, "HEAD /document HTTP/1.1\r\n" H "\r\n", true);
    assert_string_equal((char *)play.output, get_head);
    play_close(&play);
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
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(new_limits_hold_from_the_next_request_on),
        cmocka_unit_test(turn_ends_after_its_answers),
        cmocka_unit_test(signature_counts_for_several_answers_of_a_turn),
        cmocka_unit_test(overloaded_requests_are_refused_and_the_connection_stays),
        cmocka_unit_test(head_is_answered_like_get_without_the_body),
        cmocka_unit_test(refusals_echo_nothing),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
