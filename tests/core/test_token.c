#include "core/token.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/policy.h"
#include "tests/test.h"

static uint8_t memory[XT_TOKEN_ARENA];
static const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};

static struct xt_token sample(void)
{
    struct xt_token token = {.issuer = xt_span_of_string("https://id.example.vn:8443"),
                             .audience = xt_span_of_string("urn:portal"),
                             .client = xt_span_of_string("portal"),
                             .issued_s = 1800000000,
                             .expires_s = 1800000600,
                             .level = 2,
                             .methods = {xt_span_of_string("hwk"), xt_span_of_string("mfa")},
                             .method_count = 2};
    memset(token.subject, 1, sizeof(token.subject));
    memset(token.handle, 2, sizeof(token.handle));
    memset(token.certificate, 3, sizeof(token.certificate));
    return token;
}

static const char *written(const struct xt_token *token)
{
    static char text[XT_TOKEN_CLAIMS_MAX + 1];
    struct xt_writer writer = xt_writer_over(text, XT_TOKEN_CLAIMS_MAX);
    xt_token_claims_write(token, &writer);
    assert_false(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

static enum xt_status read_text(const char *text, struct xt_token *token)
{
    size_t size = strlen(text);
    char *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, text, size);
    enum xt_status status = xt_token_claims_read(xt_span_of(copy, size), arena, token);
    free(copy);
    return status;
}

static void claims_are_written_as_documented_and_read_back(void **state)
{
    (void)state;
    struct xt_token token = sample(), read;
    const char *text = written(&token);
    assert_string_equal(text, "{\"iss\":\"https://id.example.vn:8443\","
                              "\"sub\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\","
                              "\"aud\":\"urn:portal\",\"client_id\":\"portal\","
                              "\"iat\":1800000000,\"exp\":1800000600,"
                              "\"jti\":\"AgICAgICAgICAgICAgICAg\",\"acr\":\"2\","
                              "\"amr\":[\"hwk\",\"mfa\"],"
                              "\"cnf\":{\"x5t#S256\":"
                              "\"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM\"}}");
    assert_int_equal(read_text(text, &read), XT_OK);
    assert_true(xt_span_equal(read.issuer, token.issuer));
    assert_true(xt_span_equal(read.audience, token.audience));
    assert_true(xt_span_equal(read.client, token.client));
    assert_memory_equal(read.subject, token.subject, XT_TOKEN_SUBJECT);
    assert_memory_equal(read.handle, token.handle, XT_TOKEN_HANDLE);
    assert_memory_equal(read.certificate, token.certificate, XT_TOKEN_CERTIFICATE);
    assert_int_equal(read.issued_s, token.issued_s);
    assert_int_equal(read.expires_s, token.expires_s);
    assert_int_equal(read.level, 2);
    assert_int_equal(read.method_count, 2);
    assert_true(xt_span_is(read.methods[1], "mfa"));
    assert_int_equal(read.members.size, strlen(text) - 2); /* without the braces */
    assert_memory_equal(read.members.data, text + 1, read.members.size);
}

/* Our own form is read without a parser: with a space in it, as the parser reads it. */
static void our_own_form_is_read_as_any_other(void **state)
{
    (void)state;
    static const char *const places[] = {"{", ",\"sub\":", ":1800000000", "[", "}}"};
    struct xt_token token = sample(), own, other;
    const char *text = written(&token);
    assert_int_equal(read_text(text, &own), XT_OK);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char spaced[XT_TOKEN_CLAIMS_MAX + 2], first[XT_TOKEN_CLAIMS_MAX + 1];
        const char *at = strstr(text, places[i]) + 1;
        (void)snprintf(spaced, sizeof(spaced), "%.*s %s", (int)(at - text), text, at);
        (void)snprintf(first, sizeof(first), "%s", text);
        enum xt_status status = read_text(spaced, &other);
        assert_int_equal(status, XT_OK);
        assert_string_equal(written(&other), first);
    }
}

/* One byte less, more or another is read, or refused, as before. */
static void our_own_form_bends_nowhere(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"\"iat\":1800000000", "\"iat\":01800000000"},
        {"\"iat\":1800000000", "\"iat\":"},
        {"\"iat\":1800000000", "\"iat\":4294967296"},
        {"\"iat\":1800000000", "\"iat\":1e9"},
        {"\"acr\":\"2\"", "\"acr\":\"5\""},
        {"\"acr\":\"2\"", "\"acr\":\"22\""},
        {"[\"hwk\",\"mfa\"]", "[]"},
        {"[\"hwk\",\"mfa\"]", "[\"hwk\",]"},
        {"AwM\"}}", "AwM\"}}}"},
        {"urn:portal", "urn:por\\tal"},
        {"urn:portal", "urn:p\001tal"},
        {"AgICAgICAgICAgICAgICAg", "AgICAgICAgICAgICAgICAh"},
    };
    struct xt_token token = sample(), read;
    char text[XT_TOKEN_CLAIMS_MAX + 1];
    (void)snprintf(text, sizeof(text), "%s", written(&token));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char changed[XT_TOKEN_CLAIMS_MAX + 32];
        const char *at = strstr(text, wrong[i][0]);
        assert_non_null(at);
        (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, wrong[i][1],
                       at + strlen(wrong[i][0]));
        if (read_text(changed, &read) != XT_INVALID) {
            fail_msg("%s", changed);
        }
    }
}

static void the_largest_claims_fit(void **state)
{
    (void)state;
    static char longest[XT_TOKEN_TEXT_MAX + 1], method[XT_TOKEN_METHOD_MAX + 1],
        name[XT_PARTNER_NAME_MAX + 1];
    struct xt_token token = sample(), read;
    memset(longest, 'x', XT_TOKEN_TEXT_MAX);
    memset(method, 'y', XT_TOKEN_METHOD_MAX);
    memset(name, 'z', XT_PARTNER_NAME_MAX);
    token.issuer = token.audience = xt_span_of_string(longest);
    token.client = xt_span_of_string(name);
    token.method_count = XT_TOKEN_METHODS_MAX;
    token.issued_s = UINT32_MAX - 1;
    token.expires_s = UINT32_MAX;
    for (unsigned i = 0; i < XT_TOKEN_METHODS_MAX; i++) {
        token.methods[i] = xt_span_of_string(method);
    }
    assert_int_equal(read_text(written(&token), &read), XT_OK);
}

/* Every member once, and no other: left out, twice, of another type, and one that nobody knows. */
static void anything_else_is_refused(void **state)
{
    (void)state;
    struct xt_token token = sample(), read;
    char text[XT_TOKEN_CLAIMS_MAX + 1], changed[2 * XT_TOKEN_CLAIMS_MAX];
    snprintf(text, sizeof(text), "%s", written(&token));
    static const char *const members[] = {
        "\"iss\":\"https://id.example.vn:8443\"",
        "\"sub\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"",
        "\"aud\":\"urn:portal\"",
        "\"client_id\":\"portal\"",
        "\"iat\":1800000000",
        "\"exp\":1800000600",
        "\"jti\":\"AgICAgICAgICAgICAgICAg\"",
        "\"acr\":\"2\"",
        "\"amr\":[\"hwk\",\"mfa\"]",
        "\"cnf\":{\"x5t#S256\":\"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM\"}",
    };
    static const char *const values[] = {
        "null",       "7",     "-1",          "1.5",           "\"\"",
        "[]",         "{}",    "true",        "\"a\\u0000b\"", "\"a b\"",
        "\"a\\\"b\"", "\"é\"", "99999999999", "[1]",           "{\"x5t#S256\":\"AwM\"}"};
    for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *at = strstr(text, members[i]);
        assert_non_null(at);
        size_t before = (size_t)(at - text), length = strlen(members[i]);
        const char *after = at + length;
        snprintf(changed, sizeof(changed), "%.*s\"other\":1%s", (int)before, text, after);
        assert_int_equal(read_text(changed, &read), XT_INVALID);
        snprintf(changed, sizeof(changed), "%.*s%s,%s%s", (int)before, text, members[i], members[i],
                 after);
        assert_int_equal(read_text(changed, &read), XT_INVALID);
        int name = (int)(strchr(members[i], ':') - members[i]);
        for (unsigned j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            snprintf(changed, sizeof(changed), "%.*s%.*s:%s%s", (int)before, text, name, members[i],
                     values[j], after);
            assert_int_equal(read_text(changed, &read), XT_INVALID);
        }
    }
    snprintf(changed, sizeof(changed), "%s ", text);
    assert_int_equal(read_text(changed, &read), XT_OK); /* white space is JSON's */
    snprintf(changed, sizeof(changed), "%sx", text);
    assert_int_equal(read_text(changed, &read), XT_INVALID);
    for (size_t size = 0; size < strlen(text); size++) {
        snprintf(changed, sizeof(changed), "%.*s", (int)size, text);
        assert_int_equal(read_text(changed, &read), XT_INVALID);
    }
}

static void times_and_levels_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } changes[] = {
        {"600,\"jti", "000,\"jti"}, /* over when it begins */
        {"600,\"jti", "901,\"jti"}, /* longer than fifteen minutes */
        {"\"acr\":\"2\"", "\"acr\":\"0\""},
        {"\"acr\":\"2\"", "\"acr\":\"5\""},
        {"\"acr\":\"2\"", "\"acr\":\"22\""},
        {"\"portal\"", "\"Portal\""}, /* no partner's name */
        {"[\"hwk\",\"mfa\"]", "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]"}};
    struct xt_token token = sample(), read;
    char text[XT_TOKEN_CLAIMS_MAX + 1], changed[XT_TOKEN_CLAIMS_MAX + 64];
    snprintf(text, sizeof(text), "%s", written(&token));
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const char *at = strstr(text, changes[i].from);
        assert_non_null(at);
        snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, changes[i].to,
                 at + strlen(changes[i].from));
        assert_int_equal(read_text(changed, &read), XT_INVALID);
    }
    assert_false(xt_token_is_in_time(&token, 1800000000 - XT_TOKEN_LEEWAY_S - 1));
    assert_true(xt_token_is_in_time(&token, 1800000000 - XT_TOKEN_LEEWAY_S));
    assert_true(xt_token_is_in_time(&token, 1800000599));
    assert_false(xt_token_is_in_time(&token, 1800000600));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_written_as_documented_and_read_back),
        cmocka_unit_test(our_own_form_is_read_as_any_other),
        cmocka_unit_test(our_own_form_bends_nowhere),
        cmocka_unit_test(the_largest_claims_fit),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(times_and_levels_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
