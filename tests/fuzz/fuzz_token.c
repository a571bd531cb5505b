/* Claims that are taken are written as they are read; a text that was not signed by us is never right; and what is
 * refused once is refused again, with its signature's cache warm. */
#include "crypto/token.h"

#include "core/jose.h"
#include "crypto/keyring.h"
#include "tests/fuzz/fuzz.h"

static void claims(struct xt_span json)
{
    static uint8_t memory[XT_TOKEN_ARENA], other[XT_TOKEN_ARENA], text[XT_TOKEN_CLAIMS_MAX];
    const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)},
                               second = {.memory = other, .size = sizeof(other)};
    struct xt_token token, again;
    if (xt_token_claims_read(json, arena, &token) != XT_OK) {
        return;
    }
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_token_claims_write(&token, &writer);
    xt_require(!writer.overflow);
    xt_require(xt_token_claims_read(xt_written(&writer), second, &again) == XT_OK);
    xt_require(xt_span_equal(token.audience, again.audience) && token.level == again.level &&
               token.expires_s == again.expires_s && token.method_count == again.method_count &&
               memcmp(token.handle, again.handle, XT_TOKEN_HANDLE) == 0 &&
               memcmp(token.certificate, again.certificate, XT_TOKEN_CERTIFICATE) == 0);
}

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_answer_keys *keys;
    static struct xt_token_cache *cache;
    static uint8_t memory[XT_JOSE_ARENA], payload[XT_TOKEN_PAYLOAD];
    const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};
    if (keys == NULL) {
        xt_crypto_start();
        cache = xt_token_cache_open();
        xt_require(xt_answer_keys_open(
                       xt_span_of_string("current  2026-01-01T00:00:00Z 9d61b19deffd5a60ba844a"
                                         "f492ec2cc44449c5697b326919703bac031cae7f60\n"),
                       &keys) == XT_OK);
    }
    struct xt_token_text read;
    struct xt_token_reader reader = {
        .keys = keys, .issuer = xt_span_of_string("https://id.example.vn"), .now_s = 1800000100};
    for (unsigned i = 0; i < 2; i++) {
        xt_require(xt_token_check(&reader, cache, xt_span_of(data, size), arena, payload, &read) !=
                   XT_OK);
    }
    claims(xt_span_of(data, size));
    if (xt_token_read(xt_span_of(data, size), arena, payload, &read) == XT_OK) {
        xt_require(read.claims.level >= 1 && read.claims.level <= 4);
    }
}
