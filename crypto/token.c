#include "crypto/token.h"

#include <sodium.h>

#include "core/jose.h"
#include "core/plain_text.h"
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
    read->note = NULL;
    read->ours = false;
    return xt_token_claims_read(jose.payload, arena, &read->claims);
}

/* ---- signatures that were right --------------------------------------------------------------- */

#define DIGEST crypto_shorthash_siphashx24_BYTES
#define WAYS 8
#define SETS (XT_TOKEN_CACHE_SLOTS / WAYS)
_Static_assert((SETS & (SETS - 1)) == 0, "a mask picks the set");

/* Whole cache lines: three of them are looked at for a token. */
#define LINE 64
struct facts {
    int64_t expires_s; /* 0: empty */
    uint64_t key;      /* key_mark of the one that signed */
    uint8_t note[XT_TOKEN_NOTE];
};
struct set {
    uint8_t digests[WAYS][DIGEST];
    struct facts facts[WAYS];
};
struct xt_token_cache {
    struct set sets[SETS];
    uint8_t key[LINE]; /* crypto_shorthash_siphashx24_KEYBYTES of them */
};
_Static_assert(sizeof(struct set) % LINE == 0 && sizeof(struct facts) * 2 == LINE, "they fit");

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
    (void)crypto_shorthash_siphashx24(digest, text.data, text.size, cache->key); /* always 0 */
}

static struct set *set_of(struct xt_token_cache *cache, const uint8_t digest[DIGEST])
{
    return &cache->sets[(digest[0] | (unsigned)digest[1] << 8) & (SETS - 1)];
}

static uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static uint64_t key_mark(const struct xt_answer_key_facts *key)
{
    return word_at(key->public);
}

/* Whether the key that signed is still one that counts. */
static bool key_counts(const struct xt_token_reader *reader, uint64_t mark)
{
    for (unsigned i = 0; i < xt_answer_keys_count(reader->keys); i++) {
        const struct xt_answer_key_facts *key = xt_answer_keys_at(reader->keys, i);
        if (key_mark(key) == mark && key->retired_s >= reader->keys_since_s) {
            return true;
        }
    }
    return false;
}

/* As xt_secret_equal. */
static bool is_same(const uint8_t a[DIGEST], const uint8_t b[DIGEST])
{
    return ((word_at(a) ^ word_at(b)) | (word_at(a + 8) ^ word_at(b + 8))) == 0;
}

/* Its note; NULL: it is not known. One that is over may be. All places are compared, each in constant time. */
static uint8_t *find(const struct xt_token_reader *reader, struct xt_token_cache *cache,
                     const uint8_t digest[DIGEST])
{
    struct set *set = set_of(cache, digest);
    struct facts *known = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        known = is_same(set->digests[i], digest) ? &set->facts[i] : known;
    }
    return known != NULL && known->expires_s != 0 && key_counts(reader, known->key) ? known->note
                                                                                    : NULL;
}

/* In the place of what is over first. */
static uint8_t *keep(struct xt_token_cache *cache, const uint8_t digest[DIGEST], int64_t expires_s,
                     const struct xt_answer_key_facts *key)
{
    struct set *set = set_of(cache, digest);
    unsigned place = 0;
    for (unsigned i = 1; i < WAYS; i++) {
        place = set->facts[i].expires_s < set->facts[place].expires_s ? i : place;
    }
    memcpy(set->digests[place], digest, DIGEST);
    set->facts[place] = (struct facts){.expires_s = expires_s, .key = key_mark(key)};
    return set->facts[place].note;
}

/* ---- checking --------------------------------------------------------------------------------- */

/* Of a text that is known, to the bit: its claims alone. */
static enum xt_status read_known(struct xt_span text, struct xt_json_arena arena, uint8_t *payload,
                                 struct xt_token *claims)
{
    const uint8_t *first = memchr(text.data, '.', text.size);
    size_t begin = first == NULL ? text.size : (size_t)(first - text.data) + 1, size = 0;
    const uint8_t *second = memchr(text.data + begin, '.', text.size - begin);
    if (second == NULL ||
        !xt_base64url_decode(xt_span_of(text.data + begin, (size_t)(second - text.data) - begin),
                             payload, &size)) {
        return XT_INVALID;
    }
    return xt_token_claims_read(xt_span_of(payload, size), arena, claims);
}

static bool is_signed(const struct xt_token_reader *reader, struct xt_token_cache *cache,
                      const uint8_t digest[DIGEST], struct xt_token_text *read)
{
    const struct xt_answer_key_facts *key =
        xt_answer_keys_find(reader->keys, xt_span_of_string(read->key_id), reader->keys_since_s);
    bool right = key != NULL &&
                 xt_answer_signature_is_right(key->public, read->signed_part, read->signature);
    if (right && cache != NULL) {
        read->note = keep(cache, digest, read->claims.expires_s, key);
    }
    return right;
}

enum xt_status xt_token_check(const struct xt_token_reader *reader, struct xt_token_cache *cache,
                              struct xt_span text, struct xt_json_arena arena, uint8_t *payload,
                              struct xt_token_text *read)
{
    uint8_t digest[DIGEST] = {0}, *note = NULL;
    read->ours = false;
    if (cache != NULL && reader->keys != NULL && text.size > 0 && text.size <= XT_TOKEN_MAX) {
        digest_of(cache, text, digest);
        note = find(reader, cache, digest);
    }
    enum xt_status status = note != NULL ? read_known(text, arena, payload, &read->claims)
                                         : xt_token_read(text, arena, payload, read);
    if (status != XT_OK) {
        return status;
    }
    read->note = note;
    read->ours = reader->keys != NULL && xt_span_equal(read->claims.issuer, reader->issuer) &&
                 (note != NULL || is_signed(reader, cache, digest, read));
    return read->ours && xt_token_is_in_time(&read->claims, reader->now_s) ? XT_OK : XT_DENIED;
}
