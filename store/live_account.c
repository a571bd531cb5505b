/* Events of accounts applied: what changes a person, attempts, revoked tokens. */
#include "store/live_account_internal.h"

#include <lmdb.h>

#include "core/little_endian.h"
#include "crypto/passcode.h"
#include "crypto/token_handle.h"

/* ---- derived keys ------------------------------------------------------------------------------ */

void xt_live_pairwise(const struct xt_live *live, uint64_t number, struct xt_span partner,
                      uint8_t sub[XT_PAIRWISE_BYTES])
{
    uint8_t message[8 + XT_PARTNER_NAME_MAX];
    struct xt_writer writer = xt_writer_over(message, sizeof(message));
    xt_put(&writer, number, 8);
    xt_write_span(&writer, partner);
    xt_require(!writer.overflow);
    xt_live_derive(live->sealer, "pairwise subject", xt_written(&writer), sub);
    xt_wipe(message, sizeof(message));
}

void xt_live_pepper(const struct xt_live *live, uint8_t pepper[XT_KEY_BYTES])
{
    xt_live_derive(live->sealer, "pepper of passcodes", xt_span_of(NULL, 0), pepper);
}

_Static_assert(XT_TOKEN_HANDLE == XT_ACCOUNT_ID, "a token's id is one block");

void xt_live_token_handle(const struct xt_live *live, uint64_t number, uint8_t jti[XT_ACCOUNT_ID])
{
    xt_token_handle_make(xt_live_token_cipher(live->sealer), number, jti);
}

enum xt_status xt_live_token_number(const struct xt_live *live, const uint8_t jti[XT_ACCOUNT_ID],
                                    uint64_t *number)
{
    return xt_token_handle_open(xt_live_token_cipher(live->sealer), jti, number);
}

/* ---- attempts ---------------------------------------------------------------------------------- */

struct attempt {
    const struct xt_account_event *told;
    struct xt_live_throttle_record record;
    enum xt_subject subject;
    struct xt_person *person;
    bool used;
};

/* Of all others the count is not even read: an account can be locked when that is damaged. */
static bool counts_attempts(const struct xt_account_event *told)
{
    return told->type == XT_ACCOUNT_ATTEMPT || told->proof.factors != 0 ||
           (told->type == XT_ACCOUNT_UNLOCKED && told->reason == 0);
}

/* Everything that may refuse the event itself. A CMND is only told of where it names nobody. Of nobody another's
 * record is read, and what was shown is compared with that. */
static enum xt_status look(struct xt_live *live, struct attempt *attempt)
{
    const struct xt_account_event *told = attempt->told;
    enum xt_status status = xt_live_proof_is_used(live, &told->proof, &attempt->used);
    attempt->subject = XT_SUBJECT_UNKNOWN;
    if (status == XT_OK && told->subject.kind == XT_ID_PERSONAL) {
        status =
            xt_live_load_person(live, told->subject.value, &attempt->subject, &attempt->person);
    }
    if (status == XT_OK && attempt->subject != XT_SUBJECT_PERSON) {
        status = xt_live_load_stand_in(live, told->subject.value, &attempt->person);
    }
    return status == XT_OK && counts_attempts(told)
               ? xt_live_throttle_get(live, told->subject, attempt->subject != XT_SUBJECT_PERSON,
                                      &attempt->record)
               : status;
}

static bool was_found_wrong(const struct xt_account_event *told)
{
    return !told->passed &&
           (told->type == XT_ACCOUNT_ATTEMPT || told->type == XT_ACCOUNT_BACKCHANNEL_DECIDED);
}

/* Everything is compared before anything is decided: whoever it is about, and whatever stands against it, it is the
 * same work. */
static enum xt_attempt decide(const struct xt_live *live, const struct attempt *attempt)
{
    bool waits = xt_live_throttle_wait(&attempt->record, live->time_ms) != 0;
    bool is_open =
        attempt->subject == XT_SUBJECT_PERSON && xt_live_account_is_open(attempt->person);
    bool is_his = xt_live_proof_is_his(live, &attempt->told->proof, attempt->person);
    if (waits) {
        return XT_ATTEMPT_THROTTLED;
    }
    if (!is_open || !is_his) {
        return XT_ATTEMPT_UNUSABLE;
    }
    return attempt->used                    ? XT_ATTEMPT_USED
           : was_found_wrong(attempt->told) ? XT_ATTEMPT_FAILED
                                            : XT_ATTEMPT_PASSED;
}

static int count_failure(struct xt_live *live, struct attempt *attempt)
{
    xt_throttle_failed(&attempt->record.throttle, live->time_ms);
    if ((attempt->told->proof.factors & XT_FACTOR_PASSCODE) != 0) {
        xt_throttle_failed(&attempt->record.passcode, live->time_ms);
    }
    return xt_live_throttle_put(live, attempt->told->subject, &attempt->record);
}

/* Written as it is, so that it is the same work; and a clock that was ahead then has its wait begin now, at most. */
static int keep_waiting(struct xt_live *live, struct attempt *attempt)
{
    struct xt_throttle *counts[] = {&attempt->record.throttle, &attempt->record.passcode};
    for (unsigned i = 0; i < 2; i++) {
        if (counts[i]->last_ms > live->time_ms) {
            counts[i]->last_ms = live->time_ms;
        }
    }
    return xt_live_throttle_put(live, attempt->told->subject, &attempt->record);
}

/* Of one that did not pass. */
static int end_attempt(struct xt_live *live, struct attempt *attempt, enum xt_attempt how)
{
    int code = attempt->record.there ? xt_live_throttle_fill(live) : 0;
    if (code == 0) {
        code = how == XT_ATTEMPT_THROTTLED ? keep_waiting(live, attempt)
                                           : count_failure(live, attempt);
    }
    return code == 0 ? xt_live_proof_use_up(live, &attempt->told->proof) : code;
}

static int pass_attempt(struct xt_live *live, struct attempt *attempt)
{
    const struct xt_account_event *told = attempt->told;
    int code = xt_live_throttle_passed(live, told->subject, told->proof.factors, &attempt->record);
    return code == 0 ? xt_live_proof_use_up(live, &told->proof) : code;
}

int xt_live_take_attempt(struct xt_live *live, const struct xt_account_event *told,
                         struct xt_live_outcome *outcome)
{
    struct attempt attempt = {.told = told};
    outcome->status = look(live, &attempt);
    if (outcome->status != XT_OK) {
        return 0;
    }
    outcome->attempt = decide(live, &attempt);
    if (outcome->attempt != XT_ATTEMPT_PASSED) {
        return end_attempt(live, &attempt, outcome->attempt);
    }
    return pass_attempt(live, &attempt);
}

/* ---- changes ----------------------------------------------------------------------------------- */

static bool resets_attempts(enum xt_account_type type)
{
    return type == XT_ACCOUNT_ACTIVATED || type == XT_ACCOUNT_PASSCODE_SET ||
           type == XT_ACCOUNT_UNLOCKED;
}

/* Attempts are counted anew, and nothing else. */
static int reset_attempts(struct xt_live *live, const struct xt_account_event *told,
                          const struct attempt *looked, struct xt_live_outcome *outcome)
{
    if (looked->subject != XT_SUBJECT_PERSON) {
        return xt_live_refuse(outcome, looked->subject == XT_SUBJECT_REPLACED
                                           ? XT_CONFLICT_NUMBER_REPLACED
                                           : XT_CONFLICT_UNKNOWN_PERSON);
    }
    if (looked->person->account_level == 0) {
        return xt_live_refuse(outcome, XT_CONFLICT_NO_ACCOUNT);
    }
    return looked->record.there ? xt_live_throttle_forget(live, told->subject)
                                : xt_live_refuse(outcome, XT_CONFLICT_NOT_LOCKED);
}

static int write_change(struct xt_live *live, const struct xt_account_event *told, unsigned before,
                        struct attempt *shown, uint64_t at_ms)
{
    unsigned after = shown->person->locks;
    bool devices = told->type == XT_ACCOUNT_DEVICE_ADDED || told->type == XT_ACCOUNT_DEVICE_REMOVED;
    int code = devices ? xt_live_note_devices(live, shown->person, told->key) : 0;
    if (code == 0) {
        code = xt_live_write_account(live);
    }
    if (code == 0) {
        code = xt_live_note_locks(live, told->subject.value, before, after, at_ms, told->actor);
    }
    if (code == 0 && resets_attempts(told->type)) {
        code = xt_live_throttle_forget(live, told->subject);
    } else if (code == 0 && told->proof.factors != 0) {
        code = xt_live_throttle_passed(live, told->subject, told->proof.factors, &shown->record);
    }
    return code == 0 ? xt_live_proof_use_up(live, &told->proof) : code;
}

/* Only the hash that was compared, and only for a better one: whoever tells it cannot set a passcode at will. */
static bool may_rehash(const struct xt_live *live, const struct xt_account_event *told,
                       const struct xt_person *person)
{
    uint8_t digest[XT_ACCOUNT_DIGEST];
    uint8_t pepper[XT_KEY_BYTES];
    xt_live_factor_digest(live, XT_FACTOR_PASSCODE, person->passcode_hash, digest);
    xt_live_pepper(live, pepper);
    bool may = xt_secret_equal(digest, told->digest, sizeof(digest)) &&
               xt_passcode_is_better(pepper, person->passcode_hash, told->passcode);
    xt_wipe(pepper, sizeof(pepper));
    return may;
}

/* What the person showed for a change counts as an attempt: where it does not pass, that is all that is done. Where
 * it passes and the change cannot be made (a device that he has) it was an attempt as well: else the refusal told that
 * it was right, as often as somebody likes. */
static int change_person(struct xt_live *live, const struct xt_account_event *told, uint64_t at_ms,
                         struct xt_live_outcome *outcome)
{
    struct attempt shown = {.told = told};
    bool resets = told->type == XT_ACCOUNT_UNLOCKED && told->reason == 0;
    outcome->status = look(live, &shown);
    if (outcome->status != XT_OK) {
        return 0;
    }
    if (resets) {
        return reset_attempts(live, told, &shown, outcome);
    }
    bool tried = told->proof.factors != 0;
    enum xt_attempt how = tried ? decide(live, &shown) : XT_ATTEMPT_PASSED;
    outcome->attempt = tried ? how : XT_ATTEMPT_NONE;
    if (how != XT_ATTEMPT_PASSED) {
        return end_attempt(live, &shown, how);
    }
    if (told->type == XT_ACCOUNT_PASSCODE_REHASHED && shown.subject == XT_SUBJECT_PERSON &&
        !may_rehash(live, told, shown.person)) {
        return xt_live_refuse(outcome, XT_CONFLICT_PROOF_REFUSED);
    }
    bool there = shown.subject == XT_SUBJECT_PERSON;
    unsigned before = there ? shown.person->locks : 0;
    outcome->status = there ? xt_live_keep_before(live) : XT_OK;
    if (outcome->status != XT_OK) {
        return 0;
    }
    enum xt_conflict conflict = xt_account_event_apply(told, shown.subject, shown.person);
    if (conflict != XT_CONFLICT_NONE && tried) {
        outcome->attempt = XT_ATTEMPT_IN_VAIN;
        outcome->conflict = conflict;
        return pass_attempt(live, &shown);
    }
    return conflict != XT_CONFLICT_NONE ? xt_live_refuse(outcome, conflict)
                                        : write_change(live, told, before, &shown, at_ms);
}

/* ---- tokens ------------------------------------------------------------------------------------ */

static int revoke_token(struct xt_live *live, const struct xt_account_event *told,
                        struct xt_live_outcome *outcome)
{
    if (told->expires_ms > live->time_ms + XT_LIVE_TOKEN_MOST_MS) {
        return xt_live_refuse(outcome, XT_CONFLICT_EXPIRED);
    }
    if (told->expires_ms <= live->time_ms) {
        return 0; /* over by itself */
    }
    return xt_live_put_expiry(live, XT_LIVE_REVOKED_TOKEN, xt_span_of(told->id, XT_ACCOUNT_ID),
                              told->expires_ms);
}

_Static_assert(XT_LIVE_TOKEN_MARK == XT_LIVE_HASH, "a mark is the key of a record");

void xt_live_token_mark(const struct xt_live *live, const uint8_t jti[XT_ACCOUNT_ID],
                        uint8_t mark[XT_LIVE_TOKEN_MARK])
{
    xt_live_state_key(live, XT_LIVE_REVOKED_TOKEN, xt_span_of(jti, XT_ACCOUNT_ID), mark);
}

enum xt_status xt_live_token_is_revoked(const struct xt_live *live,
                                        const uint8_t mark[XT_LIVE_TOKEN_MARK], bool *revoked)
{
    enum xt_status status =
        xt_live_record_find(live, XT_LIVE_STATE, xt_span_of(mark, XT_LIVE_TOKEN_MARK));
    *revoked = status != XT_NOT_FOUND;
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* ---- one event --------------------------------------------------------------------------------- */

int xt_live_take_account(struct xt_live *live, const struct xt_event *event,
                         struct xt_live_outcome *outcome)
{
    struct xt_account_event told;
    outcome->status =
        xt_account_event_decode((enum xt_account_type)event->type, event->account, &told);
    if (outcome->status != XT_OK) {
        return 0;
    }
    if (xt_account_changes_person(told.type)) {
        return change_person(live, &told, event->at_ms, outcome);
    }
    switch (told.type) {
    case XT_ACCOUNT_ATTEMPT:
        return xt_live_take_attempt(live, &told, outcome);
    case XT_ACCOUNT_TOKEN_REVOKED:
        return revoke_token(live, &told, outcome);
    case XT_ACCOUNT_CONSENT_GIVEN:
    case XT_ACCOUNT_CONSENT_REVOKED:
        return xt_live_take_consent(live, &told, outcome);
    default:
        return xt_live_take_backchannel(live, &told, outcome);
    }
}

/* ---- events of the register -------------------------------------------------------------------- */

static void keep_worse(struct xt_throttle *count, const struct xt_throttle *other)
{
    if (other->failures > count->failures) {
        *count = *other;
    }
}

/* Failures go along, so that a new number is no fresh start; if somebody has guessed at it already, the worse of
 * the two counts. What cannot be read is left behind. */
static int move_failures(struct xt_live *live, uint64_t from, uint64_t to)
{
    struct xt_id old = {.kind = XT_ID_PERSONAL, .value = from};
    struct xt_id new = {.kind = XT_ID_PERSONAL, .value = to};
    struct xt_live_throttle_record moved;
    struct xt_live_throttle_record there;
    if (xt_live_throttle_get(live, old, false, &moved) != XT_OK || !moved.there) {
        return 0;
    }
    if (xt_live_throttle_get(live, new, false, &there) == XT_OK) {
        keep_worse(&moved.throttle, &there.throttle);
        keep_worse(&moved.passcode, &there.passcode);
    }
    int code = xt_live_throttle_put(live, new, &moved);
    return code == 0 ? xt_live_throttle_forget(live, old) : code;
}

int xt_live_follow_registry(struct xt_live *live, const struct xt_hot *before,
                            const struct xt_person *after, uint64_t at_ms)
{
    int code = 0;
    if (before->number != after->number) {
        code = xt_live_move_lock_facts(live, before->number, after->number);
        code = code == 0 ? xt_live_move_devices(live, before->number, after->number) : code;
        code = code == 0 ? xt_live_move_consents(live, before->number, after->number) : code;
        code = code == 0 ? xt_live_move_backchannels(live, before->number, after->number) : code;
        code = code == 0 ? move_failures(live, before->number, after->number) : code;
    }
    return code == 0 ? xt_live_note_locks(live, after->number, before->locks, after->locks, at_ms,
                                          xt_span_of(NULL, 0))
                     : code;
}
