/* crypto/token: access tokens (RFC 9068): made and checked by the keys of DIR/keys/token.key (crypto/answer_key).
 *
 *   base64url({"typ":"at+jwt","alg":"EdDSA","kid":"..."}) . base64url(claims) . base64url(signature)
 *
 * Making takes some 30 us, nearly all of it Ed25519; checking some 60 us, or 2 with the signature known
 * (xt_token_cache). Thread: any; a cache belongs to one loop. A token is a secret of its holder's: it stands in no log.
 */
#ifndef XT_CRYPTO_TOKEN_H
#define XT_CRYPTO_TOKEN_H

#include "core/token.h"
#include "crypto/answer_key.h"

#define XT_TOKEN_MAX 1600 /* characters */
#define XT_TOKEN_PAYLOAD (XT_TOKEN_MAX / 4 * 3)

/* Writes a token, signed by the current key. Its claims must be valid (core/token). */
void xt_token_make(const struct xt_answer_keys *keys, const struct xt_token *token,
                   struct xt_writer *writer);

/* The ID token that goes with it (typ JWT, so that it is no access token), by the same key. */
void xt_token_make_id(const struct xt_answer_keys *keys, const struct xt_token *token,
                      int64_t authenticated_s, struct xt_writer *writer);

/* The claims of a text that has the form of a token; whether it is one is not told by that. payload:
 * XT_TOKEN_PAYLOAD bytes. */
struct xt_token_text {
    struct xt_token claims;     /* texts in the arena */
    struct xt_span signed_part; /* borrowed from the text */
    uint8_t signature[XT_ANSWER_SIGNATURE];
    char key_id[XT_ANSWER_KEY_ID + 1];
    uint8_t *note; /* of xt_token_check, as the next */
    bool ours;     /* this issuer's, and rightly signed; it may be over */
};
/* XT_INVALID: it has not: another algorithm or type, no kid, or other claims than ours. */
XT_MUST_USE enum xt_status xt_token_read(struct xt_span text, struct xt_json_arena arena,
                                         uint8_t *payload, struct xt_token_text *read);

/* Who reads: whose tokens count, and when it is. */
struct xt_token_reader {
    const struct xt_answer_keys *keys;
    int64_t keys_since_s; /* keys that retired before count no more */
    struct xt_span issuer;
    int64_t now_s; /* Unix seconds */
};

struct xt_token_cache; /* of signatures that were right */

/* Fixed in size: XT_TOKEN_CACHE_SLOTS tokens, each in one of eight places; 800 KB. Holds no tokens, but 128 bits of
 * each by SipHash-2-4 under a random key: a MAC, of which no bit leaves the process. Whoever has a token taken that was
 * not signed has forged one. NULL: no memory. */
#define XT_TOKEN_CACHE_SLOTS 16384
struct xt_token_cache *xt_token_cache_open(void);
/* After the keys have changed: what was right before may be so no more. NULL is fine. */
void xt_token_cache_clear(struct xt_token_cache *cache);
void xt_token_cache_close(struct xt_token_cache *cache); /* NULL is fine */

/* Whether text is a token of this issuer, in time and rightly signed. XT_INVALID: it has not the form;
 * XT_DENIED: another issuer, no such key, a wrong signature, over or not begun. cache may be NULL.
 * Of one that is ours read->claims is there, and read->note: XT_TOKEN_NOTE bytes that the cache keeps with the token, for whoever asks; zeros at first;
 * until the next check. NULL: there is no cache. */
#define XT_TOKEN_NOTE 16
XT_MUST_USE enum xt_status xt_token_check(const struct xt_token_reader *reader,
                                          struct xt_token_cache *cache, struct xt_span text,
                                          struct xt_json_arena arena, uint8_t *payload,
                                          struct xt_token_text *read);

#endif
