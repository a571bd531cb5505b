/* crypto/challenge: what a citizen signs to show that he is there now: stateless until it is consumed.
 *
 *   base64url( version 1 | key id 4 | made at 8 | nonce 16 | MAC 16 )        60 characters
 *
 * The MAC (keyed BLAKE2b, under a key derived from the master key named) covers all before it and what the challenge
 * is for: the id, the factor, the audience and the partner, which stand nowhere in it. So every worker, and every
 * node with the same keys, knows a challenge of any other, and one for somebody else, another factor, audience or partner
 * is none. It counts for XT_CHALLENGE_MS; that it counts once is the writer's to decide, by its nonce, which he
 * remembers until XT_CHALLENGE_KEPT_MS after it was made: the rest is for attempts that wait for him.
 * Thread: any.
 */
#ifndef XT_CRYPTO_CHALLENGE_H
#define XT_CRYPTO_CHALLENGE_H

#include "core/number.h"
#include "crypto/keyring.h"

#define XT_CHALLENGE_MS 60000ULL
#define XT_CHALLENGE_KEPT_MS (2 * XT_CHALLENGE_MS)
#define XT_CHALLENGE_NONCE 16
#define XT_CHALLENGE_TEXT 60 /* characters */

/* What is used up. Both follow from the challenge: who shows it again comes to the same. */
struct xt_challenge_use {
    uint8_t nonce[XT_CHALLENGE_NONCE];
    uint64_t until_ms; /* UTC: how long its use is remembered */
};

struct xt_challenge_scope {
    struct xt_id id;
    unsigned factor; /* the caller's numbering, below 256 */
    struct xt_span audience, partner;
};

/* XT_NOT_FOUND never with a keyring that has keys. */
XT_MUST_USE enum xt_status xt_challenge_make(const struct xt_keyring *keyring,
                                             const struct xt_challenge_scope *scope,
                                             uint64_t now_ms, char text[XT_CHALLENGE_TEXT]);

/* XT_OK: it is one of ours for this scope, and its time is not over; *use is what is consumed. XT_DENIED: it is
 * not (malformed, of another scope, changed, or of a key that was retired), or it is over or not yet (more than a second
 * ahead); then *use is one that nobody has, of now: so that the same comes of it. All of it takes the same time. */
XT_MUST_USE enum xt_status xt_challenge_check(const struct xt_keyring *keyring,
                                              const struct xt_challenge_scope *scope,
                                              uint64_t now_ms, struct xt_span text,
                                              struct xt_challenge_use *use);

#endif
