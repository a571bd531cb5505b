/* core/account_event: what happens to the accounts of citizens, as the writer is told, and what follows from it
 * for the person. What can race (attempts, challenges, approvals) is decided when they are applied, in
 * their order (store/live_account).
 *
 * Pure: no clock, no allocation. Texts are borrowed from what was read.
 */
#ifndef XT_CORE_ACCOUNT_EVENT_H
#define XT_CORE_ACCOUNT_EVENT_H

#include "core/policy.h"
#include "core/registry_event.h"

/* Numbers are part of the encoding: never change one. */
enum xt_account_type {
    XT_ACCOUNT_ACTIVATED = 40,
    XT_ACCOUNT_LOCKED,
    XT_ACCOUNT_UNLOCKED,
    XT_ACCOUNT_DEVICE_ADDED,
    XT_ACCOUNT_DEVICE_REMOVED,
    XT_ACCOUNT_PASSCODE_SET,
    XT_ACCOUNT_ATTEMPT,
    XT_ACCOUNT_TOKEN_REVOKED,
    XT_ACCOUNT_CONSENT_GIVEN,
    XT_ACCOUNT_CONSENT_REVOKED,
    XT_ACCOUNT_BACKCHANNEL_ASKED,
    XT_ACCOUNT_BACKCHANNEL_DECIDED,
    XT_ACCOUNT_BACKCHANNEL_TAKEN,
    XT_ACCOUNT_PASSCODE_REHASHED,
    XT_ACCOUNT_END
};
#define XT_ACCOUNT_FIRST XT_ACCOUNT_ACTIVATED

/* "device_added"; type must be one of them. */
const char *xt_account_type_name(enum xt_account_type type);

/* What somebody can show; with which he did, as a set of bits. */
enum xt_factor {
    XT_FACTOR_PASSCODE = 1 << 0,
    XT_FACTOR_DEVICE_KEY = 1 << 1,
    XT_FACTOR_CARD_CHIP = 1 << 2
};
#define XT_FACTOR_COUNT 3

#define XT_ACCOUNT_ID 16     /* bytes: nonces, tokens, consents, hashes of requests */
#define XT_ACCOUNT_DIGEST 16 /* bytes: keyed (xt_live_factor_digest) */
#define XT_ACCOUNT_NONCES_MAX 2
#define XT_ACCOUNT_KEY_MAX (XT_PERSON_KEY_MAX / 4 * 3) /* bytes of DER */
#define XT_ACCOUNT_SCOPE_MAX 256                       /* bytes, printable ASCII */
#define XT_ACCOUNT_BINDING_MAX 256                     /* bytes of UTF-8 */
#define XT_ACCOUNT_TIME_MAX 253402300799999ULL         /* 9999-12-31T23:59:59.999Z */

/* What a worker has checked, and against what of the person's: it counts only while he still has it. */
struct xt_account_proof {
    unsigned factors;           /* set of enum xt_factor */
    enum xt_unlock unlocked_by; /* the device whose key it was; none without one */
    uint8_t digests[XT_FACTOR_COUNT]
                   [XT_ACCOUNT_DIGEST]; /* of the factors in the set, by their bit */
    unsigned nonce_count;
    struct {
        uint8_t bytes[XT_ACCOUNT_ID];
        uint64_t expires_ms; /* UTC, follows from the challenge; over then */
    } nonces[XT_ACCOUNT_NONCES_MAX];
};

/* One more challenge; there must be room for it. */
static inline void xt_account_proof_uses(struct xt_account_proof *proof,
                                         const uint8_t nonce[XT_ACCOUNT_ID], uint64_t expires_ms)
{
    xt_require(proof->nonce_count < XT_ACCOUNT_NONCES_MAX);
    memcpy(proof->nonces[proof->nonce_count].bytes, nonce, XT_ACCOUNT_ID);
    proof->nonces[proof->nonce_count++].expires_ms = expires_ms;
}

struct xt_account_event {
    enum xt_account_type type;
    struct xt_span actor; /* the partner who tells it */
    struct xt_id
        subject; /* whom it is about: personal, but of an attempt and a backchannel request also a
                           * CMND that names nobody */
    unsigned
        level; /* activated: 1 or 2; backchannel_asked: the least to approve it at, 0 (any) to 4 */
    unsigned
        reason; /* locked, unlocked: one of enum xt_lock that is no consequence of the register's;
                           * unlocked: 0 as well: only begin to count attempts anew */
    struct xt_span device_id;
    struct xt_span key;         /* device_added: DER of its SPKI */
    enum xt_unlock unlocked_by; /* device_added */
    struct xt_span passcode;    /* PHC text. passcode_set, passcode_rehashed */
    uint8_t
        digest[XT_ACCOUNT_DIGEST]; /* passcode_rehashed: of the text that it takes the place of */
    bool passed;                   /* attempt, backchannel_decided: what the worker found */
    /* attempt, backchannel_decided: what he showed; consent_given (the device's key), device_added, passcode_set: the
     * same, which was found right; without factors: he was there in person. */
    struct xt_account_proof proof;
    uint8_t id[XT_ACCOUNT_ID];     /* token, consent or request */
    uint64_t expires_ms;           /* UTC, of that */
    struct xt_span partner;        /* consent_given: whom it is given to */
    struct xt_span purpose;        /* consent_given, backchannel_asked */
    uint32_t attributes;           /* consent_given: a set, of the caller's numbering; not empty */
    struct xt_span scope, binding; /* backchannel_asked; may be empty */
    bool approved;                 /* backchannel_decided */
    unsigned acr;                  /* .. and at which level: 1 to 4; 0 when denied */
};

/* ---- bytes ------------------------------------------------------------------------------------ */

/*   actor size 1 | actor | and then, integers little endian:
 *   activated            number 5 | level 1
 *   locked, unlocked     number 5 | reason 1
 *   device_added         number 5 | proof, or 0 (1 byte) | id size, and from bit 13 unlocked_by 2 | id
 *                        | the rest: DER of the key
 *   device_removed       number 5 | the rest: id
 *   passcode_set         number 5 | proof, or 0 | the rest: PHC text
 *   attempt              kind 1 | id 5 | passed 1 | proof
 *   token_revoked        id 16 | expires 8
 *   consent_given        number 5 | id 16 | expires 8 | attributes 4 | partner size 1 | partner
 *                        | purpose size 1 | purpose | proof
 *   consent_revoked      number 5 | id 16
 *   backchannel_asked    kind 1 | id 5 | id 16 | expires 8 | purpose size 1 | purpose
 *                        | scope size, and from bit 13 level 2 | scope | the rest: binding message
 *   backchannel_decided  id 16 | approved 1 | acr 1 | passed 1 | proof
 *   backchannel_taken    id 16
 *   passcode_rehashed    number 5 | digest 16 | the rest: PHC text
 *   proof: factors, and from bit 5 unlocked_by 1 | a digest 16 each | nonces 1 | nonce 16, expires 8 each: one for each of device_key and
 *          card_chip; of a consent any number
 *
 * There is one way to write an event, and the decoder takes nothing else. */
#define XT_ACCOUNT_BODY_MAX 2048

void xt_account_event_encode(const struct xt_account_event *event, struct xt_writer *writer);
/* XT_UNSUPPORTED: no such type. XT_INVALID. What a key or a PHC text holds is for others to say. */
XT_MUST_USE enum xt_status xt_account_event_decode(enum xt_account_type type, struct xt_span body,
                                                   struct xt_account_event *event);

/* ---- rules ------------------------------------------------------------------------------------ */

/* Whether it changes what the record of the person holds. */
bool xt_account_changes_person(enum xt_account_type type);

/* Those: from the person before the event to the one after it, changed in place; his texts
 * are then borrowed from the event as well. Not of unlocked with reason 0.
 *
 *   level   0 --> 1 --> 2, never back         an account whose card is revoked begins locked (card_revoked)
 *   locks   a set; death and card_revoked come and go with the register's events only
 *   the dead and cancelled: nothing but locks; who is missing: nothing new (activated, device_added,
 *   passcode_set)
 *
 * passcode_rehashed   the same passcode in a better hash (crypto/passcode); the caller has seen that the one it
 *                     replaces is the one that was compared. Nothing else changes.
 *
 * Locks stand in the way of none of it: who has lost a phone in person gets another one first, and is
 * unlocked then. */
XT_MUST_USE enum xt_conflict xt_account_event_apply(const struct xt_account_event *event,
                                                    enum xt_subject subject,
                                                    struct xt_person *person);

/* The locks that a partner may set and take away. */
#define XT_LOCKS_BY_PARTNERS                                                                       \
    (XT_LOCK_HOLDER | XT_LOCK_BREACH | XT_LOCK_AUTHORITY | XT_LOCK_STAY_EXPIRED)

#endif
