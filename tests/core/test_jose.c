#include "core/jose.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/plain_text.h"
#include "tests/test.h"

static uint8_t memory[XT_JOSE_ARENA];
static const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};

/* header, payload and a signature of 64 bytes 0xa5 as a compact form. */
static const char *compact(const char *header, const char *payload)
{
    static char text[2048];
    uint8_t signature[XT_JOSE_SIGNATURE];
    memset(signature, 0xa5, sizeof(signature));
    struct xt_writer writer = xt_writer_over(text, sizeof(text) - 1);
    xt_base64url_write(&writer, xt_span_of_string(header));
    xt_write_byte(&writer, '.');
    xt_base64url_write(&writer, xt_span_of_string(payload));
    xt_write_byte(&writer, '.');
    xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
    assert_false(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

/* Without the bytes around it, so that ASan sees a read past its end. */
static enum xt_status read_text(const char *text, struct xt_jose *jose, uint8_t payload[2048])
{
    size_t size = strlen(text);
    char *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, text, size);
    enum xt_status status = xt_jose_read(xt_span_of(copy, size), arena, payload, jose);
    free(copy);
    return status;
}

static void a_signed_text_is_taken_apart(void **state)
{
    (void)state;
    struct xt_jose jose;
    uint8_t payload[2048];
    const char *text =
        compact("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}", "{\"a\":1}");
    assert_int_equal(xt_jose_read(xt_span_of_string(text), arena, payload, &jose), XT_OK);
    assert_int_equal(jose.algorithm, XT_JOSE_ES256);
    assert_true(xt_span_is(jose.type, "at+jwt"));
    assert_true(xt_span_is(jose.key_id, "k1"));
    assert_true(xt_span_is(jose.payload, "{\"a\":1}"));
    assert_int_equal(jose.signature[63], 0xa5);
    assert_ptr_equal(jose.signed_part.data, text);
    assert_int_equal(jose.signed_part.size, strrchr(text, '.') - text);
    assert_int_equal(read_text(compact("{\"alg\":\"EdDSA\"}", "x"), &jose, payload), XT_OK);
    assert_int_equal(jose.algorithm, XT_JOSE_EDDSA);
    assert_int_equal(jose.type.size + jose.key_id.size, 0);
}

/* RFC 8037, appendix A.4. */
static void the_text_of_rfc_8037_is_read(void **state)
{
    (void)state;
    struct xt_jose jose;
    uint8_t payload[2048];
    assert_int_equal(xt_jose_read(xt_span_of_string(
                                      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                                      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylG"
                                      "jg5BhVsPt9g7sVvpAr_MuM0KAg"),
                                  arena, payload, &jose),
                     XT_OK);
    assert_true(xt_span_is(jose.payload, "Example of Ed25519 signing"));
    assert_int_equal(jose.signature[0], 0x86);
}

#define KEY_ID "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_"
static void our_own_header_is_read_as_any_other(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"" KEY_ID "\"}",
        "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\", \"kid\":\"" KEY_ID "\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"" KEY_ID "\",\"typ\":\"at+jwt\"}",
    };
    uint8_t payload[2048];
    for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct xt_jose jose;
        assert_int_equal(read_text(compact(headers[i], "{}"), &jose, payload), XT_OK);
        assert_int_equal(jose.algorithm, XT_JOSE_EDDSA);
        assert_true(xt_span_is(jose.type, "at+jwt"));
        assert_true(xt_span_is(jose.key_id, KEY_ID));
    }
    struct xt_jose jose;
    assert_int_equal(read_text(compact("{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":"
                                       "\"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN\\\"_\"}",
                                       "{}"),
                               &jose, payload),
                     XT_OK);
    assert_true(xt_span_is(jose.key_id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN\"_"));
}

static void whatever_could_turn_a_verifier_is_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"es256\"}",
        "{\"alg\":\"EdDSA\\u0000\"}",
        "{\"alg\":null}",
        "{\"alg\":[\"EdDSA\"]}",
        "{}",
        "{\"typ\":\"at+jwt\"}",
        "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}",
        "{\"alg\":\"EdDSA\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"EdDSA\",\"jwk\":{}}",
        "{\"alg\":\"EdDSA\",\"jku\":\"https://example.org\"}",
        "{\"alg\":\"EdDSA\",\"x5c\":[]}",
        "{\"alg\":\"EdDSA\",\"zip\":\"DEF\"}",
        "{\"alg\":\"EdDSA\",\"cty\":\"JWT\"}",
        "{\"alg\":\"EdDSA\",\"kid\":7}",
        "{\"alg\":\"EdDSA\",\"kid\":\"\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"a\\u0007\"}",
        "[\"EdDSA\"]",
        "{\"alg\":\"EdDSA\"} x",
        "\"EdDSA\"",
    };
    struct xt_jose jose;
    uint8_t payload[2048];
    for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        assert_int_equal(read_text(compact(headers[i], "{}"), &jose, payload), XT_INVALID);
    }
}

static void there_is_one_way_to_write_it(void **state)
{
    (void)state;
    struct xt_jose jose;
    uint8_t payload[2048];
    char text[2048], changed[2060];
    snprintf(text, sizeof(text), "%s", compact("{\"alg\":\"EdDSA\"}", "ab"));
    /* Every character but a base64url digit or the two dots, everywhere. */
    for (size_t i = 0; text[i] != '\0'; i++) {
        for (const char *bad = " =+/.\n\t~"; *bad != '\0'; bad++) {
            memcpy(changed, text, sizeof(text));
            changed[i] = *bad;
            if (text[i] != *bad) {
                assert_int_equal(read_text(changed, &jose, payload), XT_INVALID);
            }
        }
    }
    /* Cut anywhere, and longer by a part. */
    for (size_t size = 0; text[size] != '\0'; size++) {
        snprintf(changed, sizeof(changed), "%.*s", (int)size, text);
        assert_int_equal(read_text(changed, &jose, payload), XT_INVALID);
    }
    snprintf(changed, sizeof(changed), "%s.AA", text);
    assert_int_equal(read_text(changed, &jose, payload), XT_INVALID);
    /* Bits that no byte needs: "ab" is YWI, not YWJ. */
    char *at = strstr(text, ".YWI.");
    assert_non_null(at);
    at[3] = 'J';
    assert_int_equal(read_text(text, &jose, payload), XT_INVALID);
}

static void too_long_a_text_is_not_looked_at(void **state)
{
    (void)state;
    struct xt_jose jose;
    static char text[XT_JOSE_MAX + 1];
    static uint8_t payload[XT_JOSE_MAX];
    memset(text, 'A', sizeof(text));
    assert_int_equal(xt_jose_read(xt_span_of(text, sizeof(text)), arena, payload, &jose),
                     XT_TOO_LARGE);
    assert_int_equal(xt_jose_read(xt_span_of(text, sizeof(text) - 1), arena, payload, &jose),
                     XT_INVALID);
    memset(text + 10, '.', 1);
    memset(text + XT_JOSE_MAX - 87, '.', 1); /* a header of 8,000 bytes */
    assert_int_equal(xt_jose_read(xt_span_of(text, sizeof(text) - 1), arena, payload, &jose),
                     XT_INVALID);
}

/* Every byte at every place of a text, in groups of four and in what is left of one. */
static void base64url_takes_its_digits_and_nothing_else(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (unsigned at = 0; at < 11; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t text[11], bytes[8] = {0};
            size_t size = 0;
            memset(text, 'A', sizeof(text));
            text[at] = (uint8_t)byte;
            const char *digit = byte == 0 ? NULL : strchr(digits, (int)byte);
            unsigned value = digit == NULL ? 0 : (unsigned)(digit - digits);
            bool right = digit != NULL && (at < 10 || value % 4 == 0); /* the rest is no bits */
            assert_int_equal(xt_base64url_decode(xt_span_of(text, sizeof(text)), NULL, &size),
                             right);
            assert_int_equal(xt_base64url_decode(xt_span_of(text, sizeof(text)), bytes, &size),
                             right);
            uint64_t held = 0;
            for (unsigned i = 0; i < sizeof(bytes); i++) {
                held = held << 8 | bytes[i];
            }
            assert_true(!right ||
                        (size == 8 && held == (at == 10 ? (uint64_t)value >> 2
                                                        : (uint64_t)value << (58 - 6 * at))));
        }
    }
}

/* RFC 4648, section 10, without padding; and what the two characters of its own are for. */
static void base64url_is_written_as_the_standard_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "-__-"}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32];
        uint8_t back[32];
        size_t size = 0;
        struct xt_writer writer = xt_writer_over(text, sizeof(text));
        xt_base64url_write(&writer, xt_span_of_string(cases[i].bytes));
        assert_true(xt_span_is(xt_written(&writer), cases[i].text));
        if (i > 0) {
            assert_true(xt_base64url_decode(xt_written(&writer), back, &size));
            assert_true(xt_span_is(xt_span_of(back, size), cases[i].bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_text_is_taken_apart),
        cmocka_unit_test(the_text_of_rfc_8037_is_read),
        cmocka_unit_test(our_own_header_is_read_as_any_other),
        cmocka_unit_test(whatever_could_turn_a_verifier_is_refused),
        cmocka_unit_test(there_is_one_way_to_write_it),
        cmocka_unit_test(too_long_a_text_is_not_looked_at),
        cmocka_unit_test(base64url_takes_its_digits_and_nothing_else),
        cmocka_unit_test(base64url_is_written_as_the_standard_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
