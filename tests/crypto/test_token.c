#include "crypto/token.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/jose.h"
#include "core/plain_text.h"
#include "crypto/keyring.h"
#include "tests/test.h"

#define NOW 1800000100
#define ISSUER "https://id.example.vn"
#define SEED_A "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define SEED_B "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
#define SEED_C "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"

static uint8_t memory[XT_JOSE_ARENA], payload[XT_JOSE_MAX];
static const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};

static struct xt_answer_keys *keys_of(const char *text)
{
    struct xt_answer_keys *keys = NULL;
    assert_int_equal(xt_answer_keys_open(xt_span_of_string(text), &keys), XT_OK);
    return keys;
}

static struct xt_answer_keys *one_key(void)
{
    return keys_of("current  2027-01-01T00:00:00Z " SEED_A "\n");
}

static struct xt_token sample(void)
{
    struct xt_token token = {.issuer = xt_span_of_string(ISSUER),
                             .audience = xt_span_of_string("portal"),
                             .client = xt_span_of_string("portal"),
                             .issued_s = 1800000000,
                             .expires_s = 1800000600,
                             .level = 1,
                             .methods = {xt_span_of_string("hwk")},
                             .method_count = 1};
    memset(token.subject, 1, sizeof(token.subject));
    memset(token.handle, 2, sizeof(token.handle));
    memset(token.certificate, 3, sizeof(token.certificate));
    return token;
}

static const char *made(const struct xt_answer_keys *keys)
{
    static char text[XT_TOKEN_MAX + 1];
    struct xt_token token = sample();
    struct xt_writer writer = xt_writer_over(text, XT_TOKEN_MAX);
    xt_token_make(keys, &token, &writer);
    assert_false(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

static uint8_t *note; /* of what was checked last */

static enum xt_status check_at(const struct xt_answer_keys *keys, struct xt_token_cache *cache,
                               const char *text, int64_t now_s)
{
    const struct xt_token_reader reader = {.keys = keys,
                                           .keys_since_s = now_s - XT_TOKEN_LIFETIME_MAX_S,
                                           .issuer = xt_span_of_string(ISSUER),
                                           .now_s = now_s};
    struct xt_token_text read;
    size_t size = strlen(text);
    char *copy = malloc(size == 0 ? 1 : size); /* so that ASan sees a read past its end */
    assert_non_null(copy);
    memcpy(copy, text, size);
    enum xt_status status =
        xt_token_check(&reader, cache, xt_span_of(copy, size), arena, payload, &read);
    free(copy);
    note = status == XT_OK ? read.note : NULL;
    return status;
}

/* What others write: header and claims as given, signed by our own key. */
static const char *signed_as(const struct xt_answer_keys *keys, const char *header,
                             const char *claims)
{
    static char text[XT_JOSE_MAX];
    uint8_t signature[XT_ANSWER_SIGNATURE];
    struct xt_writer writer = xt_writer_over(text, sizeof(text) - 1);
    xt_base64url_write(&writer, xt_span_of_string(header));
    xt_write_byte(&writer, '.');
    xt_base64url_write(&writer, xt_span_of_string(claims));
    xt_answer_sign(keys, xt_written(&writer), signature);
    xt_write_byte(&writer, '.');
    xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
    assert_false(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

static const char *claims_of_sample(void)
{
    static char text[XT_TOKEN_CLAIMS_MAX + 1];
    struct xt_token token = sample();
    struct xt_writer writer = xt_writer_over(text, XT_TOKEN_CLAIMS_MAX);
    xt_token_claims_write(&token, &writer);
    text[writer.size] = '\0';
    return text;
}

static void what_is_made_is_right_while_it_counts(void **state)
{
    (void)state;
    struct xt_answer_keys *keys = one_key();
    struct xt_token_cache *cache = xt_token_cache_open();
    const char *text = made(keys);
    for (unsigned i = 0; i < 3; i++) { /* the second time the signature is known */
        assert_int_equal(check_at(keys, i == 0 ? NULL : cache, text, NOW), XT_OK);
        assert_int_equal(check_at(keys, cache, text, 1800000600), XT_DENIED);
        assert_int_equal(check_at(keys, cache, text, 1799999990), XT_DENIED);
    }
    struct xt_jose jose;
    assert_int_equal(xt_jose_read(xt_span_of_string(text), arena, payload, &jose), XT_OK);
    assert_true(xt_span_is(jose.type, "at+jwt"));
    assert_true(xt_span_is(jose.key_id, xt_answer_keys_current(keys)->id));
    assert_true(xt_span_is(jose.payload, claims_of_sample()));
    xt_token_cache_close(cache);
    xt_answer_keys_close(keys);
}

/* One bit anywhere, with the right token in the cache. */
static void no_changed_token_is_right(void **state)
{
    (void)state;
    struct xt_answer_keys *keys = one_key();
    struct xt_token_cache *cache = xt_token_cache_open();
    char text[XT_TOKEN_MAX + 8];
    snprintf(text, sizeof(text), "%s", made(keys));
    assert_int_equal(check_at(keys, cache, text, NOW), XT_OK);
    for (size_t i = 0; text[i] != '\0'; i++) {
        text[i] ^= 1;
        assert_int_not_equal(check_at(keys, cache, text, NOW), XT_OK);
        text[i] ^= 1;
    }
    size_t size = strlen(text);
    static const char *const tails[] = {".", "A", ".AAAA", "=", "\n", " "};
    for (unsigned i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        snprintf(text + size, sizeof(text) - size, "%s", tails[i]);
        assert_int_equal(check_at(keys, cache, text, NOW), XT_INVALID);
    }
    for (size_t cut = 0; cut < size; cut++) {
        text[cut] = '\0';
        assert_int_equal(check_at(keys, cache, text, NOW), XT_INVALID);
        snprintf(text, sizeof(text), "%s", made(keys));
    }
    xt_token_cache_close(cache);
    xt_answer_keys_close(keys);
}

static void a_right_signature_over_anything_else_is_no_token(void **state)
{
    (void)state;
    struct xt_answer_keys *keys = one_key();
    const char *kid = xt_answer_keys_current(keys)->id;
    static const struct {
        const char *header; /* %s: the kid */
        enum xt_status expected;
    } headers[] = {
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}", XT_OK},
        {"{\"kid\":\"%s\",\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}", XT_OK},
        {"{\"typ\":\"at+jwt\",\"alg\":\"none\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"Ed25519\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"JWT\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"AT+JWT\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"application/at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\"}%s", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"kid\":\"x\"}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"x%s\"}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%.42s_\"}", XT_DENIED},
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"crit\":[]}", XT_INVALID},
        {"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"jwk\":{}}", XT_INVALID},
    };
    for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char header[256];
        const char *place = strstr(headers[i].header, "%s");
        if (place != NULL) {
            snprintf(header, sizeof(header), "%.*s%s%s", (int)(place - headers[i].header),
                     headers[i].header, i == 10 ? "" : kid, place + 2);
        } else {
            snprintf(header, sizeof(header),
                     "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%.42s%c\"}", kid,
                     kid[42] == '_' ? '-' : '_');
        }
        assert_int_equal(check_at(keys, NULL, signed_as(keys, header, claims_of_sample()), NOW),
                         headers[i].expected);
    }
    char header[256], claims[XT_TOKEN_CLAIMS_MAX + 32];
    snprintf(header, sizeof(header), "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kid);
    snprintf(claims, sizeof(claims), "%s", claims_of_sample());
    memcpy(strstr(claims, "id.example"), "xx", 2); /* another issuer */
    assert_int_equal(check_at(keys, NULL, signed_as(keys, header, claims), NOW), XT_DENIED);
    snprintf(claims, sizeof(claims), "%.*s,\"admin\":true}", (int)strlen(claims_of_sample()) - 1,
             claims_of_sample());
    assert_int_equal(check_at(keys, NULL, signed_as(keys, header, claims), NOW), XT_INVALID);
    xt_answer_keys_close(keys);
}

/* S + the order of the group verifies as well where nobody looks (RFC 8032, section 5.1.7); R and A of small
 * order, and zeros, verify for every message with some. */
static void signatures_that_careless_verifiers_take_are_refused(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    struct xt_answer_keys *keys = one_key();
    char text[XT_TOKEN_MAX + 1];
    snprintf(text, sizeof(text), "%s", made(keys));
    char *last = strrchr(text, '.') + 1;
    uint8_t signature[XT_ANSWER_SIGNATURE];
    size_t size = 0;
    assert_true(xt_base64url_decode(xt_span_of_string(last), signature, &size));
    unsigned carry = 0;
    for (unsigned i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    for (unsigned kind = 0; kind < 4; kind++) {
        if (kind > 0) {
            memset(signature, 0, sizeof(signature));
            signature[0] = kind == 1; /* R the neutral element */
            signature[31] = kind == 2 ? 0x80 : 0;
        }
        struct xt_writer writer = xt_writer_over(last, 86);
        xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
        assert_int_equal(check_at(keys, NULL, text, NOW), XT_DENIED);
    }
    xt_answer_keys_close(keys);
}

/* In time itself, by keys that have not retired before since_s. */
static enum xt_status check_late(const struct xt_answer_keys *keys, struct xt_token_cache *cache,
                                 const char *text, int64_t since_s)
{
    const struct xt_token_reader reader = {
        .keys = keys, .keys_since_s = since_s, .issuer = xt_span_of_string(ISSUER), .now_s = NOW};
    struct xt_token_text read;
    return xt_token_check(&reader, cache, xt_span_of_string(text), arena, payload, &read);
}

static void a_key_of_before_counts_until_its_last_token_is_over(void **state)
{
    (void)state;
    /* 1800000000 is 2027-01-15T08:00:00Z; the rotation was then. */
    struct xt_answer_keys *before = one_key(),
                          *after = keys_of("previous 2027-01-01T00:00:00Z " SEED_A
                                           "\ncurrent  2027-01-01T00:00:00Z " SEED_B
                                           "\nnext     2027-01-15T08:00:00Z " SEED_C "\n");
    assert_int_equal(xt_answer_keys_at(after, 0)->retired_s, 1800000000);
    assert_true(xt_answer_keys_at(after, 1)->retired_s == INT64_MAX);
    struct xt_token_cache *cache = xt_token_cache_open();
    assert_int_equal(check_at(after, cache, made(before), NOW), XT_OK);
    assert_int_equal(check_at(after, cache, made(after), NOW), XT_OK);
    assert_int_equal(check_at(before, cache, made(after), NOW), XT_DENIED);
    assert_int_equal(check_late(after, cache, made(after), 1800000000), XT_OK);
    assert_int_equal(check_late(after, cache, made(before), 1800000000), XT_OK);
    assert_int_equal(check_late(after, cache, made(before), 1800000001), XT_DENIED);
    const char *old = xt_answer_keys_at(after, 0)->id;
    assert_non_null(xt_answer_keys_find(after, xt_span_of_string(old), 1800000000));
    assert_null(xt_answer_keys_find(after, xt_span_of_string(old), 1800000001));
    for (unsigned since = 0; since < 2; since++) {
        char list[XT_ANSWER_JWKS_MAX + 1];
        struct xt_writer writer = xt_writer_over(list, XT_ANSWER_JWKS_MAX);
        xt_answer_keys_to_json_since(after, 1800000000 + since, &writer);
        list[writer.size] = '\0';
        assert_int_equal(strstr(list, old) != NULL, since == 0);
        assert_non_null(strstr(list, xt_answer_keys_at(after, 2)->id));
    }
    xt_token_cache_close(cache);
    xt_answer_keys_close(before);
    xt_answer_keys_close(after);
}

/* More tokens than places: all are right, known or not; and after it is cleared too. */
static void a_full_cache_forgets_and_never_errs(void **state)
{
    (void)state;
    struct xt_answer_keys *keys = one_key();
    struct xt_token_cache *cache = xt_token_cache_open();
    struct xt_token token = sample();
    char text[XT_TOKEN_MAX + 1];
    for (unsigned i = 0; i < XT_TOKEN_CACHE_SLOTS / 4; i++) {
        struct xt_writer writer = xt_writer_over(text, XT_TOKEN_MAX);
        memcpy(token.handle, &i, sizeof(i));
        xt_token_make(keys, &token, &writer);
        text[writer.size] = '\0';
        assert_int_equal(check_at(keys, cache, text, NOW), XT_OK);
        if (i == 7) {
            xt_token_cache_clear(cache);
        }
        assert_int_equal(check_at(keys, cache, text, NOW), XT_OK);
        text[writer.size - 20] ^= 1;
        assert_int_not_equal(check_at(keys, cache, text, NOW), XT_OK);
    }
    xt_token_cache_close(cache);
    xt_answer_keys_close(keys);
}

static void a_known_token_keeps_a_note_until_the_cache_is_cleared(void **state)
{
    (void)state;
    static const uint8_t nothing[XT_TOKEN_NOTE];
    struct xt_answer_keys *keys = one_key();
    struct xt_token_cache *cache = xt_token_cache_open();
    const char *text = made(keys);
    assert_int_equal(check_at(keys, NULL, text, NOW), XT_OK);
    assert_null(note);
    assert_int_equal(check_at(keys, cache, text, NOW), XT_OK);
    assert_memory_equal(note, nothing, sizeof(nothing));
    memset(note, 7, XT_TOKEN_NOTE);
    assert_int_equal(check_at(keys, cache, text, NOW + 1), XT_OK);
    assert_int_equal(note[0], 7);
    assert_int_equal(note[XT_TOKEN_NOTE - 1], 7);
    xt_token_cache_clear(cache);
    assert_int_equal(check_at(keys, cache, text, NOW), XT_OK);
    assert_memory_equal(note, nothing, sizeof(nothing));
    xt_token_cache_close(cache);
    xt_answer_keys_close(keys);
}

int main(void)
{
    xt_crypto_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_right_while_it_counts),
        cmocka_unit_test(no_changed_token_is_right),
        cmocka_unit_test(a_right_signature_over_anything_else_is_no_token),
        cmocka_unit_test(signatures_that_careless_verifiers_take_are_refused),
        cmocka_unit_test(a_key_of_before_counts_until_its_last_token_is_over),
        cmocka_unit_test(a_known_token_keeps_a_note_until_the_cache_is_cleared),
        cmocka_unit_test(a_full_cache_forgets_and_never_errs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
