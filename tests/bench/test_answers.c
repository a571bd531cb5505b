/* What the load generator takes for an answer: heads of responses, and verdicts. */
#include "tests/test.h"

#include "bench/response.h"
#include "bench/verdict.h"

#include <string.h>

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"

static void a_head_is_read_and_every_part_of_it_waited_for(void **state)
{
    (void)state;
    static const char text[] = HEAD "Server: nginx/1.22\r\nX-Empty:\r\n\r\n{\"a\":\"bcdef\"}";
    size_t size = (size_t)(strstr(text, "{") - text);
    struct xt_response_head head;
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(xt_response_read(xt_span_of(text, i), &head), XT_AGAIN);
    }
    assert_int_equal(xt_response_read(xt_span_of(text, sizeof(text) - 1), &head), XT_OK);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.size, size);
    assert_int_equal(head.body_size, 12);
    assert_false(head.close);
}

static void the_last_answer_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool close;
    } cases[] = {
        {HEAD "connection: Close\r\n\r\n", true},
        {HEAD "Connection: keep-alive\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", false},
        {"HTTP/1.1 204\r\n\r\n", false},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xt_response_head head;
        assert_int_equal(xt_response_read(xt_span_of_string(cases[i].text), &head), XT_OK);
        assert_int_equal(head.close, cases[i].close);
    }
}

static void what_is_no_http_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n", /* no length */
        HEAD "Content-Length: 12\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\n",
        HEAD " folded: yes\r\n\r\n",
        HEAD "Name : yes\r\n\r\n",
        HEAD "Name\r\n\r\n",
        HEAD "Name: a\rb\r\n\r\n",
    };
    struct xt_response_head head;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (xt_response_read(xt_span_of_string(cases[i]), &head) != XT_INVALID) {
            fail_msg("taken: %s", cases[i]);
        }
        assert_non_null(head.wrong);
    }
    char endless[XT_RESPONSE_HEAD_MAX + 2];
    memset(endless, 'a', sizeof(endless));
    memcpy(endless, HEAD, sizeof(HEAD) - 1);
    assert_int_equal(xt_response_read(xt_span_of(endless, sizeof(endless)), &head), XT_INVALID);
}

static enum xt_verdict_check check(const char *body, bool verdict_only)
{
    struct xt_expected expected = {.txn = xt_span_of_string("gen-1-0"),
                                   .asked = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) |
                                            XT_CLAIM_BIT(XT_CLAIM_PHONE),
                                   .matched = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME),
                                   .verdict_only = verdict_only};
    const char *why;
    enum xt_verdict_check got = xt_verdict_check(xt_span_of_string(body), &expected, &why);
    assert_int_equal(got == XT_VERDICT_RIGHT, why == NULL);
    return got;
}

#define START "{\"txn\":\"gen-1-0\",\"answer_id\":\"x\",\"verdict\":"
#define RIGHT START "\"not_verified\",\"claims\":{\"full_name\":\"match\",\"phone\":\"mismatch\"}"

static void a_right_answer_is_right_in_any_order_and_with_more_members(void **state)
{
    (void)state;
    assert_int_equal(check(RIGHT "}", false), XT_VERDICT_RIGHT);
    assert_int_equal(check(RIGHT ",\"card\":\"valid\",\"advisory\":{\"full_name\":{\"score\":1e2}},"
                                 "\"x\":[1,null,{}],\"y\":\"\\\"}\"} \n",
                           false),
                     XT_VERDICT_RIGHT);
    assert_int_equal(check("{ \"claims\" : {\"phone\":\"not_held\",\"full_name\":\"match\"},"
                           "\"verdict\":\"not_verified\",\"txn\":\"gen-1-0\"}",
                           false),
                     XT_VERDICT_RIGHT);
    assert_int_equal(check(START "\"not_verified\"}", true), XT_VERDICT_RIGHT);
}

static void a_wrong_answer_is_found_out(void **state)
{
    (void)state;
    static const char *const cases[] = {
        START "\"verified\",\"claims\":{\"full_name\":\"match\",\"phone\":\"mismatch\"}}",
        START "\"not_verified\",\"claims\":{\"full_name\":\"match\",\"phone\":\"match\"}}",
        START "\"not_verified\",\"claims\":{\"full_name\":\"mismatch\",\"phone\":\"mismatch\"}}",
        START "\"not_verified\",\"claims\":{\"full_name\":\"match\"}}",
        START "\"not_verified\",\"claims\":{\"full_name\":\"match\",\"phone\":\"mismatch\","
              "\"sex\":\"match\"}}",
        START "\"not_verified\"}",
        "{\"txn\":\"gen-1-1\",\"verdict\":\"not_verified\","
        "\"claims\":{\"full_name\":\"match\",\"phone\":\"mismatch\"}}",
        "{\"verdict\":\"not_verified\","
        "\"claims\":{\"full_name\":\"match\",\"phone\":\"mismatch\"}}",
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (check(cases[i], false) != XT_VERDICT_WRONG) {
            fail_msg("not wrong: %s", cases[i]);
        }
    }
    assert_int_equal(check(START "\"verified\"}", true), XT_VERDICT_WRONG);
}

static void what_is_no_answer_is_malformed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "not_verified",
        RIGHT,
        RIGHT "}}",
        RIGHT "} x",
        RIGHT ",}",
        RIGHT ",\"x\"}",
        RIGHT ",\"x\":}",
        RIGHT ",\"x\":[[[[[[[[[[[[]]]]]]]]]]]]}",
        RIGHT ",\"verdict\":\"not_verified\"}",
        RIGHT ",\"claims\":{\"phone\":\"match\"}}",
        START "\"perhaps\",\"claims\":{\"full_name\":\"match\",\"phone\":\"mismatch\"}}",
        START "\"not_verified\",\"claims\":{\"full_name\":\"close\",\"phone\":\"mismatch\"}}",
        START "\"not_verified\",\"claims\":{\"shoe_size\":\"match\"}}",
        START "\"not_verified\",\"claims\":{\"phone\":\"match\",\"phone\":\"match\"}}",
        "{\"txn\":\"gen-1-0",
        "{\"txn\":\"gen-1-0\\",
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (check(cases[i], false) != XT_VERDICT_MALFORMED) {
            fail_msg("not malformed: %s", cases[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read_and_every_part_of_it_waited_for),
        cmocka_unit_test(the_last_answer_says_so),
        cmocka_unit_test(what_is_no_http_is_refused),
        cmocka_unit_test(a_right_answer_is_right_in_any_order_and_with_more_members),
        cmocka_unit_test(a_wrong_answer_is_found_out),
        cmocka_unit_test(what_is_no_answer_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
