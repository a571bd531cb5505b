/* store/live_account: accounts of citizens in the live store: what can race about them is decided here, in the
 * order in which events (core/account_event) are applied, in one transaction with the log and the position.
 *
 *   of the person (level, locks, devices, passcode): part of the record, in the overlay as registry events
 *   leave it there. Beside it in `state`, under keyed hashes, sealed:
 *     throttle        failed attempts in a row, of a person or of a number that nobody has
 *     revoked token   until it is over
 *     lock facts      since when and by whom, for each lock that is set
 *     consent, of a person, and which he has given; until they are over
 *     ids of consents that he has revoked and never used; for good
 *     since when he has his devices, of those added in the last year
 *     backchannel request, and which a person was asked; until they are over
 *   table `due`       minute 4, big endian | key in `state` 16 -> "": what is to be swept away, and when
 *   table `nonces`    challenges that were used, until they are over (store/live_nonce.c)
 *
 * Attempt (the order counts):
 *   waiting or stopped                              -> throttled     nothing is counted
 *   nobody, not alive, no account, locked, or what was checked is not his any more
 *                                                   -> unusable      a failure
 *   a challenge that was used before, or is over    -> used          a failure
 *   the worker found it wrong                       -> failed        a failure
 *   else                                            -> passed        failures begin anew; those with a passcode only
 *                                                                  where it was shown
 *   A decision on a request of the back channel is one of the person who was asked, while that is pending; it
 *   decides where it passes.
 *   Its challenges are used up in every case. Every attempt is committed and has its line in the log, so that
 *   none of these takes another time than the others. An account that is stopped (core/throttle) begins anew by
 *   activated, passcode_set or unlocked.
 *
 * A better hash of a passcode that passed comes after it, in an event of its own (passcode_rehashed): only in place
 * of the one that was compared, and only where that is under no pepper, or costs less.
 *
 * Such lines have a window of idempotency of their own (store/live.h).
 */
#ifndef XT_STORE_LIVE_ACCOUNT_H
#define XT_STORE_LIVE_ACCOUNT_H

#include "core/throttle.h"
#include "store/live.h"

/* Bounds of what an event may ask for; more is a conflict (expired, too_many). */
#define XT_LIVE_NONCE_MOST_MS 600000ULL             /* a challenge's end, from now */
#define XT_LIVE_TOKEN_MOST_MS (24ULL * 3600 * 1000) /* a token's; spec: 15 minutes */
#define XT_LIVE_CONSENT_MOST_MS (366ULL * 24 * 3600 * 1000)
#define XT_LIVE_REQUEST_MOST_MS (3600ULL * 1000)
#define XT_LIVE_CONSENTS_MAX 64                           /* of a person, that are not over */
#define XT_LIVE_REVOKED_MAX 4080U                         /* of a person, that were never used */
#define XT_LIVE_REQUESTS_MAX 8                            /* of a person, that are pending */
#define XT_LIVE_REQUESTS_SHARE (XT_LIVE_REQUESTS_MAX / 2) /* .. of one partner */
#define XT_LIVE_NOBODY_MS                                                                          \
    (24ULL * 3600 * 1000)            /* failures at a number that nobody has are kept so long */
#define XT_LIVE_DUE_LATE_MS 60000ULL /* a clock that goes back by less brings nothing back */

/* ---- derived keys: of any side, at any time ----------------------------------------------------- */

/* All follow from the key of the hashes, which goes along when the store is sealed anew. */

/* A person's name for one partner (RFC 9068, OpenID Connect: pairwise sub). It follows from the number: a
 * number that is replaced makes another. */
#define XT_PAIRWISE_BYTES 32
void xt_live_pairwise(const struct xt_live *live, uint64_t number, struct xt_span partner,
                      uint8_t sub[XT_PAIRWISE_BYTES]);

/* What passcodes are hashed together with (crypto/passcode). A secret: wipe it. Another live store has another: a
 * deployment that loses live/ loses its passcodes. */
void xt_live_pepper(const struct xt_live *live, uint8_t pepper[XT_KEY_BYTES]);

/* A token's id: AES-128 of number 5 | random 11. Each is another, and only this store can tell whose it is. It is
 * no proof of anything: a token's signature is. */
void xt_live_token_handle(const struct xt_live *live, uint64_t number, uint8_t jti[XT_ACCOUNT_ID]);
/* XT_INVALID: certainly none of ours. */
XT_MUST_USE enum xt_status xt_live_token_number(const struct xt_live *live,
                                                const uint8_t jti[XT_ACCOUNT_ID], uint64_t *number);

/* What a proof names what was checked by: of a passcode the PHC text as the record has it, of a card its key (DER). */
void xt_live_factor_digest(const struct xt_live *live, enum xt_factor factor, struct xt_span what,
                           uint8_t digest[XT_ACCOUNT_DIGEST]);
/* .. and of a device its key (DER) and what unlocks it: what was found of one that a biometric unlocks does not count
 * when it is registered as another meanwhile. Fills the digest of its place and unlocked_by. */
void xt_live_proof_device(const struct xt_live *live, struct xt_span key,
                          enum xt_unlock unlocked_by, struct xt_account_proof *proof);

/* Whether this person may use his account now: alive, with an account, and no lock. */
bool xt_live_account_is_open(const struct xt_person *person);

/* ---- readers; XT_NOT_FOUND: nothing is there; XT_CORRUPT, XT_IO ---------------------------------- */

/* Failed attempts at an id: resolved to a person's number, or, of nobody, as asked: of all and of those with a
 * passcode the more. Of nobody some ids share one count. Nothing is zero, and XT_OK. */
XT_MUST_USE enum xt_status xt_live_throttle(const struct xt_live *live, struct xt_id subject,
                                            bool nobody, struct xt_throttle *throttle);

/* Where a revocation stands. It is the same as long as the live store is (another one has others), and so may be
 * kept: it takes longer than looking there. A record that is there revokes, also a damaged one: it is not opened, so
 * that it takes no longer than none. */
#define XT_LIVE_TOKEN_MARK 16
void xt_live_token_mark(const struct xt_live *live, const uint8_t jti[XT_ACCOUNT_ID],
                        uint8_t mark[XT_LIVE_TOKEN_MARK]);
XT_MUST_USE enum xt_status xt_live_token_is_revoked(const struct xt_live *live,
                                                    const uint8_t mark[XT_LIVE_TOKEN_MARK],
                                                    bool *revoked);

struct xt_lock_fact {
    unsigned reason; /* one of enum xt_lock */
    uint64_t at_ms;  /* UTC */
    char actor[XT_PARTNER_NAME_MAX +
               1]; /* the partner; "": it followed from an event of the register */
};
#define XT_LOCK_FACTS_MAX 8
/* Of locks that came by events; those that were imported have none. */
XT_MUST_USE enum xt_status xt_live_lock_facts(const struct xt_live *live, uint64_t number,
                                              struct xt_lock_fact facts[XT_LOCK_FACTS_MAX],
                                              unsigned *count);

struct xt_consent {
    uint8_t id[XT_ACCOUNT_ID];
    uint64_t number, given_ms, expires_ms, revoked_ms; /* revoked: 0 while it is in force */
    uint32_t attributes; /* 0: revoked before it was given, so that it never is */
    char partner[XT_PARTNER_NAME_MAX + 1], purpose[XT_PURPOSE_NAME_MAX + 1];
};
/* Under the number that he has now; another person's of the same id is another one. Whether it is over is the caller's
 * to see. */
XT_MUST_USE enum xt_status xt_live_consent(const struct xt_live *live, uint64_t number,
                                           const uint8_t id[XT_ACCOUNT_ID],
                                           struct xt_consent *consent);
/* Whether he has revoked what has this id and was not on record then. Nobody knows when that will be over, since what
 * was signed may be dated ahead: it holds for good. */
XT_MUST_USE enum xt_status xt_live_consent_is_barred(const struct xt_live *live, uint64_t number,
                                                     const uint8_t id[XT_ACCOUNT_ID], bool *barred);
/* Ids of those a person has given, the newest last. Nothing is none, and XT_OK. */
XT_MUST_USE enum xt_status xt_live_consents(const struct xt_live *live, uint64_t number,
                                            uint8_t ids[XT_LIVE_CONSENTS_MAX][XT_ACCOUNT_ID],
                                            unsigned *count);

/* Since when a person has the device of this key (DER), by the clock of then, UTC: nothing that it signed before
 * counts, nor what was given before: his devices may come back. 0: for a year at least (longer than any consent lasts),
 * or it was imported. */
#define XT_LIVE_DEVICE_MS XT_LIVE_CONSENT_MOST_MS
XT_MUST_USE enum xt_status xt_live_device_since(const struct xt_live *live, uint64_t number,
                                                struct xt_span key, uint64_t *since_ms);

enum xt_backchannel_state {
    XT_BACKCHANNEL_PENDING,
    XT_BACKCHANNEL_APPROVED,
    XT_BACKCHANNEL_DENIED,
    XT_BACKCHANNEL_TAKEN
};
struct xt_backchannel {
    uint8_t id[XT_ACCOUNT_ID];
    enum xt_backchannel_state state;
    struct xt_id subject;
    uint64_t asked_ms, expires_ms, decided_ms; /* decided: 0 while it is pending */
    unsigned least_level;                      /* to approve it at; 0: any */
    unsigned acr, factors;                     /* of the approval */
    enum xt_unlock unlocked_by;                /* .. the device whose key was among them */
    char partner[XT_PARTNER_NAME_MAX + 1], purpose[XT_PURPOSE_NAME_MAX + 1];
    char scope[XT_ACCOUNT_SCOPE_MAX + 1], binding[XT_ACCOUNT_BINDING_MAX + 1];
};
XT_MUST_USE enum xt_status xt_live_backchannel(const struct xt_live *live,
                                               const uint8_t id[XT_ACCOUNT_ID],
                                               struct xt_backchannel *request);
/* Ids of what somebody was asked, the newest last; decided ones and those that are over until there is a newer one in
 * their place. */
XT_MUST_USE enum xt_status xt_live_backchannels(const struct xt_live *live, struct xt_id subject,
                                                uint8_t ids[XT_LIVE_REQUESTS_MAX][XT_ACCOUNT_ID],
                                                unsigned *count);

/* ---- the writer, between groups ------------------------------------------------------------------ */

/* Sweeps away what is over: at most XT_LIVE_SWEEP_MOST records, in a transaction of its own. *done: nothing more
 * is due. A clock that leaps counts for XT_LIVE_GAP_MS in each step. XT_OK and XT_DISK_FULL as of xt_live_apply; after anything else the process must end. */
#define XT_LIVE_SWEEP_MOST 512U
XT_MUST_USE enum xt_status xt_live_sweep(struct xt_live *live, uint64_t now_ms, bool *done,
                                         struct xt_failure *failure);

#endif
