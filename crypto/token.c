#include "crypto/token.h"

#include <sodium.h>

#include "core/jose.h"
#include "crypto/keyring.h"

#define HEADER_START "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\""
#define HEADER_MAX (sizeof(HEADER_START) + XT_ANSWER_KEY_ID + 2)

_Static_assert((HEADER_MAX + XT_TOKEN_CLAIMS_MAX + XT_ANSWER_SIGNATURE) * 4 / 3 + 8 <= XT_TOKEN_MAX,
               "the largest claims fit");
_Static_assert(XT_TOKEN_MAX <= XT_JOSE_MAX && XT_ANSWER_SIGNATURE == XT_JOSE_SIGNATURE, "one form");

/* ---- making ----------------------------------------------------------------------------------- */

/* Signs claims that are written already. */
static void make(const struct xt_answer_keys *keys, const char *header_start,
                 const struct xt_writer *claims, struct xt_writer *writer)
{
    uint8_t header[HEADER_MAX], signature[XT_ANSWER_SIGNATURE];
    struct xt_writer head = xt_writer_over(header, sizeof(header));
    xt_write_string(&head, header_start);
    xt_write(&head, xt_answer_keys_current(keys)->id, XT_ANSWER_KEY_ID);
    xt_write_literal(&head, "\"}");
    xt_require(!head.overflow && !claims->overflow);
    size_t at = writer->size;
    xt_base64url_write(writer, xt_written(&head));
    xt_write_byte(writer, '.');
    xt_base64url_write(writer, xt_written(claims));
    if (!writer->overflow) {
        xt_answer_sign(keys, xt_span_of(writer->data + at, writer->size - at), signature);
        xt_write_byte(writer, '.');
        xt_base64url_write(writer, xt_span_of(signature, sizeof(signature)));
    }
}

void xt_token_make(const struct xt_answer_keys *keys, const struct xt_token *token,
                   struct xt_writer *writer)
{
    uint8_t text[XT_TOKEN_CLAIMS_MAX];
    struct xt_writer claims = xt_writer_over(text, sizeof(text));
    xt_token_claims_write(token, &claims);
    make(keys, HEADER_START, &claims, writer);
    xt_wipe(text, sizeof(text));
}

void xt_token_make_id(const struct xt_answer_keys *keys, const struct xt_token *token,
                      int64_t authenticated_s, struct xt_writer *writer)
{
    uint8_t text[XT_TOKEN_CLAIMS_MAX];
    struct xt_writer claims = xt_writer_over(text, sizeof(text));
    xt_token_id_claims_write(token, authenticated_s, &claims);
    make(keys, "{\"typ\":\"JWT\",\"alg\":\"EdDSA\",\"kid\":\"", &claims, writer);
    xt_wipe(text, sizeof(text));
}

/* ---- reading ---------------------------------------------------------------------------------- */

enum xt_status xt_token_read(struct xt_span text, struct xt_json_arena arena, uint8_t *payload,
                             struct xt_token_text *read)
{
    struct xt_jose jose;
    if (text.size > XT_TOKEN_MAX || xt_jose_read(text, arena, payload, &jose) != XT_OK ||
        jose.algorithm != XT_JOSE_EDDSA || !xt_span_is(jose.type, "at+jwt") ||
        jose.key_id.size != XT_ANSWER_KEY_ID) {
        return XT_INVALID;
    }
    memcpy(read->key_id, jose.key_id.data, XT_ANSWER_KEY_ID); /* the arena is used again */
    read->key_id[XT_ANSWER_KEY_ID] = '\0';
    memcpy(read->signature, jose.signature, sizeof(read->signature));
    read->signed_part = jose.signed_part;
    return xt_token_claims_read(jose.payload, arena, &read->claims);
}

/* ---- signatures that were right --------------------------------------------------------------- */

#define DIGEST 16
#define WAYS 8
#define SETS (XT_TOKEN_CACHE_SLOTS / WAYS)
_Static_assert((SETS & (SETS - 1)) == 0, "a mask picks the set");

struct slot {
    uint8_t digest[DIGEST];
    int64_t expires_s; /* 0: empty */
};
struct xt_token_cache {
    uint8_t key[crypto_generichash_KEYBYTES];
    struct slot sets[SETS][WAYS];
};

struct xt_token_cache *xt_token_cache_open(void)
{
    struct xt_token_cache *cache = xt_secret_alloc(sizeof(*cache));
    if (cache != NULL) {
        memset(cache, 0, sizeof(*cache));
        xt_random(cache->key, sizeof(cache->key));
    }
    return cache;
}

void xt_token_cache_clear(struct xt_token_cache *cache)
{
    if (cache != NULL) {
        memset(cache->sets, 0, sizeof(cache->sets));
        xt_random(cache->key, sizeof(cache->key));
    }
}

void xt_token_cache_close(struct xt_token_cache *cache)
{
    xt_secret_free(cache);
}

static void digest_of(const struct xt_token_cache *cache, struct xt_span text,
                      uint8_t digest[DIGEST])
{
    crypto_generichash(digest, DIGEST, text.data, text.size, cache->key, sizeof(cache->key));
}

static struct slot *set_of(struct xt_token_cache *cache, const uint8_t digest[DIGEST])
{
    return cache->sets[(digest[0] | (unsigned)digest[1] << 8) & (SETS - 1)];
}

/* All places are compared, each in constant time. */
static bool is_known(struct xt_token_cache *cache, const uint8_t digest[DIGEST], int64_t now_s)
{
    const struct slot *set = set_of(cache, digest);
    bool known = false;
    for (unsigned i = 0; i < WAYS; i++) {
        known |= xt_secret_equal(set[i].digest, digest, DIGEST) & (set[i].expires_s > now_s);
    }
    return known;
}

/* In the place of what is over first. */
static void keep(struct xt_token_cache *cache, const uint8_t digest[DIGEST], int64_t expires_s)
{
    struct slot *set = set_of(cache, digest), *place = set;
    for (unsigned i = 1; i < WAYS; i++) {
        place = set[i].expires_s < place->expires_s ? &set[i] : place;
    }
    memcpy(place->digest, digest, DIGEST);
    place->expires_s = expires_s;
}

/* ---- checking --------------------------------------------------------------------------------- */

static bool is_signed(const struct xt_token_reader *reader, struct xt_token_cache *cache,
                      struct xt_span text, const struct xt_token_text *read)
{
    uint8_t digest[DIGEST];
    const struct xt_answer_key_facts *key =
        xt_answer_keys_find(reader->keys, xt_span_of_string(read->key_id), reader->keys_since_s);
    if (key == NULL) {
        return false;
    }
    if (cache != NULL) {
        digest_of(cache, text, digest);
        if (is_known(cache, digest, reader->now_s)) {
            return true;
        }
    }
    bool right = xt_answer_signature_is_right(key->public, read->signed_part, read->signature);
    if (right && cache != NULL) {
        keep(cache, digest, read->claims.expires_s);
    }
    return right;
}

enum xt_status xt_token_check(const struct xt_token_reader *reader, struct xt_token_cache *cache,
                              struct xt_span text, struct xt_json_arena arena, uint8_t *payload,
                              struct xt_token_text *read)
{
    enum xt_status status = xt_token_read(text, arena, payload, read);
    if (status != XT_OK) {
        return status;
    }
    bool ours = reader->keys != NULL && xt_span_equal(read->claims.issuer, reader->issuer) &&
                xt_token_is_in_time(&read->claims, reader->now_s) &&
                is_signed(reader, cache, text, read);
    return ours ? XT_OK : XT_DENIED;
}
