/* store/live_account_internal: what the parts of store/live_account share. Private to it and to its tests.
 *
 *   in `state`                 key            fields
 *   XT_LIVE_THROTTLE           subject 6; nobody's: 255, 20 bits of its hash 5: failures 4 | last 8, of all; the same of
 *                                             those with a passcode | nobody 1
 *   XT_LIVE_REVOKED_TOKEN      jti 16         expires 8
 *   XT_LIVE_LOCK_FACTS         number 5       reason 1 | at 8 | actor size 1 | actor, each
 *   XT_LIVE_CONSENT            number 5, id 16; in older stores id 16: store/live_consent.c
 *   XT_LIVE_CONSENTS_OF        subject 6      id 16, each
 *   XT_LIVE_BARRED_OF          number 5, part 1: id 16, each
 *   XT_LIVE_DEVICES_OF         number 5       digest of the key 16 | since 8, each
 *   XT_LIVE_SIGNED             digest of the key 16, id 16: expires 8
 *   XT_LIVE_BACKCHANNEL        id 16          store/live_backchannel.c
 *   XT_LIVE_BACKCHANNELS_OF    subject 6      id 16, each
 *
 * What is to be swept away has a line in `due`. A record that changed its time, or is gone, leaves the line as it
 * is: who comes to it looks at the record.
 */
#ifndef XT_STORE_LIVE_ACCOUNT_INTERNAL_H
#define XT_STORE_LIVE_ACCOUNT_INTERNAL_H

#include "store/live_account.h"
#include "store/live_internal.h"

#define XT_SUBJECT_KEY 6
void xt_live_subject_key(struct xt_id subject, uint8_t key[XT_SUBJECT_KEY]);

/* In a group; codes of LMDB's, as all that write. */
XT_MUST_USE int xt_live_put_due(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                                uint64_t at_ms);
/* A record that goes at that time. */
XT_MUST_USE int xt_live_put_until(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                                  struct xt_span fields, uint64_t at_ms);

/* A record that says no more than until when; who tells it again cannot make that earlier. */
XT_MUST_USE int xt_live_put_expiry(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                                   uint64_t expires_ms);

/* ---- throttles -------------------------------------------------------------------------------- */

/* Failures in a row are counted twice: of all attempts, and of those in which a passcode was shown, which only one that
 * passes with the passcode ends: whoever has the device alone could else guess at it for ever (NIST SP 800-63B-4,
 * section 3.2.2: by authenticator). */
struct xt_live_throttle_record {
    struct xt_throttle throttle, passcode;
    bool there, nobody;
};
/* The longer of both waits, as xt_throttle_wait_ms. */
uint64_t xt_live_throttle_wait(const struct xt_live_throttle_record *record, uint64_t now_ms);
/* Nothing: XT_OK, and not there. nobody: nobody has that number. Those are counted by hash, cut to so many bits: however
 * many are made up, there are no more records than that; some share one, who all look the same. */
#define XT_LIVE_NOBODY_BITS 20
XT_MUST_USE enum xt_status xt_live_throttle_get(const struct xt_live *live, struct xt_id subject,
                                                bool nobody,
                                                struct xt_live_throttle_record *record);
XT_MUST_USE int xt_live_throttle_put(struct xt_live *live, struct xt_id subject,
                                     const struct xt_live_throttle_record *record);
/* Writes what the first failure of somebody writes more than those after it, a line in `due`, of nothing: else time
 * tells whose failures are counted already, and who waits. */
#define XT_LIVE_FILLER_MS 60000ULL
XT_MUST_USE int xt_live_throttle_fill(struct xt_live *live);
/* An attempt passed that showed these factors. */
XT_MUST_USE int xt_live_throttle_passed(struct xt_live *live, struct xt_id subject,
                                        unsigned factors, struct xt_live_throttle_record *record);
XT_MUST_USE int xt_live_throttle_forget(struct xt_live *live, struct xt_id subject);

/* ---- proofs ----------------------------------------------------------------------------------- */

/* Whether nonces of a proof were used before, or are over, or far ahead. */
XT_MUST_USE enum xt_status xt_live_proof_is_used(const struct xt_live *live,
                                                 const struct xt_account_proof *proof, bool *used);
XT_MUST_USE int xt_live_proof_use_up(struct xt_live *live, const struct xt_account_proof *proof);
/* Whether this person may show anything, and what was checked is still his. */
bool xt_live_proof_is_his(const struct xt_live *live, const struct xt_account_proof *proof,
                          const struct xt_person *person);
/* A digest of the key of his device that the proof names, whatever is said to unlock it; without one of no meaning. */
void xt_live_proof_key(const struct xt_live *live, const struct xt_account_proof *proof,
                       const struct xt_person *person, uint8_t digest[XT_ACCOUNT_DIGEST]);

/* Nonces of challenges (store/live_nonce.c). */
XT_MUST_USE enum xt_status xt_live_nonce_is_used(const struct xt_live *live,
                                                 const uint8_t nonce[XT_ACCOUNT_ID],
                                                 uint64_t until_ms, bool *used);
XT_MUST_USE int xt_live_nonce_use_up(struct xt_live *live, const uint8_t nonce[XT_ACCOUNT_ID],
                                     uint64_t until_ms);
/* At most so many of those that are over, by the clock that sweeps. */
XT_MUST_USE int xt_live_nonces_forget(struct xt_live *live, unsigned most, unsigned *forgotten);

/* What somebody showed decided as an attempt, and all that follows from it but for what it was shown for:
 * outcome->attempt; or outcome->status is not XT_OK, and nothing was done. */
XT_MUST_USE int xt_live_take_attempt(struct xt_live *live, const struct xt_account_event *told,
                                     struct xt_live_outcome *outcome);

/* ---- lists of ids ----------------------------------------------------------------------------- */

#define XT_LIVE_IDS_MAX XT_LIVE_CONSENTS_MAX
struct xt_live_ids {
    unsigned count;
    uint8_t ids[XT_LIVE_IDS_MAX][XT_ACCOUNT_ID];
};
/* Nothing: XT_OK, and none. */
XT_MUST_USE enum xt_status xt_live_ids_get(const struct xt_live *live, enum xt_live_kind kind,
                                           struct xt_id subject, struct xt_live_ids *ids);
XT_MUST_USE int xt_live_ids_put(struct xt_live *live, enum xt_live_kind kind, struct xt_id subject,
                                const struct xt_live_ids *ids);
/* Takes one out, if it is there. A list that does not open stays as it is: the check of the store finds it. */
XT_MUST_USE int xt_live_ids_drop(struct xt_live *live, enum xt_live_kind kind, struct xt_id subject,
                                 const uint8_t id[XT_ACCOUNT_ID]);

/* ---- locks ------------------------------------------------------------------------------------ */

/* Locks were `before` and are `after`: what is known of those that are new is written down. */
XT_MUST_USE int xt_live_note_locks(struct xt_live *live, uint64_t number, unsigned before,
                                   unsigned after, uint64_t at_ms, struct xt_span actor);
/* A number was replaced by another. */
XT_MUST_USE int xt_live_move_lock_facts(struct xt_live *live, uint64_t from, uint64_t to);

/* ---- consents that were revoked unused (store/live_barred.c) ------------------------------------ */

/* For good; one that is there already takes no more room. *barred: XT_TOO_LARGE: there is no room for it; XT_CORRUPT,
 * XT_IO: it cannot be told. */
XT_MUST_USE int xt_live_bar_consent(struct xt_live *live, uint64_t number,
                                    const uint8_t id[XT_ACCOUNT_ID], enum xt_status *barred);
/* A number was replaced by another; all of both. What cannot be read is left behind. */
XT_MUST_USE int xt_live_move_barred(struct xt_live *live, uint64_t from, uint64_t to);

/* ---- since when there are devices (store/live_device.c) ----------------------------------------- */

/* person is as after the event, which added this key; empty: it took one away. */
XT_MUST_USE int xt_live_note_devices(struct xt_live *live, const struct xt_person *person,
                                     struct xt_span added);
/* A number was replaced by another. */
XT_MUST_USE int xt_live_move_devices(struct xt_live *live, uint64_t from, uint64_t to);
/* When a record is over, from its fields. XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_live_devices_until(struct xt_span fields, uint64_t *until_ms);

/* ---- events ----------------------------------------------------------------------------------- */

/* The outcome's status and conflict, as xt_live_take_account. */
XT_MUST_USE int xt_live_take_consent(struct xt_live *live, const struct xt_account_event *told,
                                     struct xt_live_outcome *outcome);
XT_MUST_USE int xt_live_take_backchannel(struct xt_live *live, const struct xt_account_event *told,
                                         struct xt_live_outcome *outcome);

/* A number was replaced by another: what was given and asked under it goes along. What cannot be read is left behind. */
XT_MUST_USE int xt_live_move_consents(struct xt_live *live, uint64_t from, uint64_t to);
XT_MUST_USE int xt_live_move_backchannels(struct xt_live *live, uint64_t from, uint64_t to);
/* A list goes along, before those of the new number. */
XT_MUST_USE int xt_live_ids_move(struct xt_live *live, enum xt_live_kind kind, struct xt_id from,
                                 struct xt_id to, unsigned most, const struct xt_live_ids *ids);

/* ---- sweeping --------------------------------------------------------------------------------- */

/* When a record is over, read from its fields; a consent and a request take themselves out of their list before they are
 * deleted. XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_live_consent_open(struct xt_span fields, struct xt_consent *consent);
XT_MUST_USE enum xt_status xt_live_backchannel_open(struct xt_span fields,
                                                    struct xt_backchannel *request);

static inline int xt_live_refuse(struct xt_live_outcome *outcome, enum xt_conflict conflict)
{
    outcome->status = XT_DENIED;
    outcome->conflict = conflict;
    return 0;
}

#endif
