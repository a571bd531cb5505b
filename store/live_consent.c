/* Consents: given with a device's key, listed by person, revocable, gone when they are over.
 *
 *   key: number 5 | id 16; in stores of older programs the id alone, until it is written again
 *   number 5 | id 16 | given 8 | expires 8 | revoked 8, or 0 | attributes 4 | partner size 1 | partner | purpose
 *
 * One that was revoked before it was given has no attributes; partner and purpose are then of no meaning. Its record goes
 * like others; that it is revoked stays (store/live_barred.c).
 */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define FIELDS_MAX 256 /* more than any consent takes */

static bool take_name(struct xt_span name, char text[XT_PARTNER_NAME_MAX + 1])
{
    _Static_assert(XT_PARTNER_NAME_MAX == XT_PURPOSE_NAME_MAX, "one alphabet, one length");
    if (!xt_policy_name_is_valid(name)) {
        return false;
    }
    memset(text, 0, XT_PARTNER_NAME_MAX + 1);
    memcpy(text, name.data, name.size);
    return true;
}

enum xt_status xt_live_consent_open(struct xt_span fields, struct xt_consent *consent)
{
    struct xt_taker taker = xt_taker_over(fields);
    consent->number = xt_take(&taker, 5);
    xt_take_copy(&taker, consent->id, XT_ACCOUNT_ID);
    consent->given_ms = xt_take(&taker, 8);
    consent->expires_ms = xt_take(&taker, 8);
    consent->revoked_ms = xt_take(&taker, 8);
    consent->attributes = (uint32_t)xt_take(&taker, 4);
    struct xt_span partner = xt_take_bytes(&taker, (size_t)xt_take(&taker, 1));
    return !taker.bad && take_name(partner, consent->partner) &&
                   take_name(taker.rest, consent->purpose)
               ? XT_OK
               : XT_CORRUPT;
}

static struct xt_span write_consent(const struct xt_consent *consent, struct xt_writer *writer)
{
    struct xt_span partner = xt_span_of_string(consent->partner);
    xt_put(writer, consent->number, 5);
    xt_write(writer, consent->id, XT_ACCOUNT_ID);
    xt_put(writer, consent->given_ms, 8);
    xt_put(writer, consent->expires_ms, 8);
    xt_put(writer, consent->revoked_ms, 8);
    xt_put(writer, consent->attributes, 4);
    xt_put(writer, partner.size, 1);
    xt_write_span(writer, partner);
    xt_write_string(writer, consent->purpose);
    xt_require(!writer->overflow);
    return xt_written(writer);
}

#define KEY_BYTES (5 + XT_ACCOUNT_ID)

static struct xt_span key_of(uint64_t number, const uint8_t id[XT_ACCOUNT_ID],
                             uint8_t key[KEY_BYTES])
{
    struct xt_writer writer = xt_writer_over(key, KEY_BYTES);
    xt_put(&writer, number, 5);
    xt_write(&writer, id, XT_ACCOUNT_ID);
    return xt_written(&writer);
}

/* XT_NOT_FOUND also where it is another person's. */
static enum xt_status read_under(const struct xt_live *live, struct xt_span key, uint64_t number,
                                 struct xt_consent *consent)
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    enum xt_status status = xt_live_get(live, XT_LIVE_CONSENT, key, fields, &size, NULL);
    if (status == XT_OK) {
        status = xt_live_consent_open(xt_span_of(fields, size), consent);
    }
    return status == XT_OK && consent->number != number ? XT_NOT_FOUND : status;
}

/* Under both keys: an older program that wrote to the store in between may have revoked under the one what was given
 * under the other. */
enum xt_status xt_live_consent(const struct xt_live *live, uint64_t number,
                               const uint8_t id[XT_ACCOUNT_ID], struct xt_consent *consent)
{
    struct xt_consent older;
    uint8_t key[KEY_BYTES];
    enum xt_status status = read_under(live, key_of(number, id, key), number, consent);
    enum xt_status before = read_under(live, xt_span_of(id, XT_ACCOUNT_ID), number, &older);
    if (before != XT_OK) {
        return before == XT_NOT_FOUND ? status : before;
    }
    if (status == XT_NOT_FOUND) {
        *consent = older;
        return XT_OK;
    }
    if (status == XT_OK && consent->revoked_ms == 0) {
        consent->revoked_ms = older.revoked_ms;
    }
    return status;
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

enum xt_status xt_live_consents(const struct xt_live *live, uint64_t number,
                                uint8_t ids[XT_LIVE_CONSENTS_MAX][XT_ACCOUNT_ID], unsigned *count)
{
    struct xt_live_ids list;
    enum xt_status status = xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, personal(number), &list);
    memcpy(ids, list.ids, (size_t)list.count * XT_ACCOUNT_ID);
    *count = list.count;
    return status;
}

static enum xt_conflict proof_counts(const struct xt_live *live,
                                     const struct xt_account_event *told, enum xt_subject subject,
                                     const struct xt_person *person, bool used)
{
    return subject == XT_SUBJECT_PERSON && !used && xt_live_account_is_open(person) &&
                   xt_live_proof_is_his(live, &told->proof, person)
               ? XT_CONFLICT_NONE
               : XT_CONFLICT_PROOF_REFUSED;
}

/* What a key has signed under an id is of the person it was given for first, whoever else has that key, and whatever
 * is said to unlock it there. */
struct signed_by {
    uint8_t key[XT_ACCOUNT_DIGEST + XT_ACCOUNT_ID];
};

static enum xt_status is_anothers(const struct xt_live *live, const struct xt_account_event *told,
                                  const struct xt_person *person, struct signed_by *signed_by,
                                  bool *anothers)
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    xt_live_proof_key(live, &told->proof, person, signed_by->key);
    memcpy(signed_by->key + XT_ACCOUNT_DIGEST, told->id, XT_ACCOUNT_ID);
    enum xt_status status =
        xt_live_get(live, XT_LIVE_SIGNED, xt_span_of(signed_by->key, sizeof(signed_by->key)),
                    fields, &size, NULL);
    *anothers = status == XT_OK;
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* Everything that may refuse it; nothing is written. */
static enum xt_status prepare(struct xt_live *live, const struct xt_account_event *told,
                              struct xt_live_ids *list, struct signed_by *signed_by,
                              enum xt_conflict *conflict)
{
    struct xt_consent known;
    enum xt_subject subject;
    struct xt_person *person;
    bool used;
    bool anothers = false;
    bool barred;
    enum xt_status status = xt_live_consent(live, told->subject.value, told->id, &known);
    if (status == XT_OK) {
        *conflict = known.revoked_ms != 0 ? XT_CONFLICT_CONSENT_REVOKED : XT_CONFLICT_CONSENT_KNOWN;
        return XT_OK;
    }
    if (status == XT_NOT_FOUND) {
        status = xt_live_consent_is_barred(live, told->subject.value, told->id, &barred);
    }
    if (status == XT_OK && barred) {
        *conflict = XT_CONFLICT_CONSENT_REVOKED;
        return XT_OK;
    }
    if (status == XT_OK) {
        status = xt_live_proof_is_used(live, &told->proof, &used);
    }
    if (status == XT_OK) {
        status = xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, told->subject, list);
    }
    if (status == XT_OK) {
        status = xt_live_load_person(live, told->subject.value, &subject, &person);
    }
    if (status == XT_OK && subject == XT_SUBJECT_PERSON) {
        status = is_anothers(live, told, person, signed_by, &anothers);
    }
    if (status != XT_OK) {
        return status;
    }
    *conflict = proof_counts(live, told, subject, person, used || anothers);
    if (*conflict == XT_CONFLICT_NONE) {
        bool in_time = told->expires_ms > live->time_ms &&
                       told->expires_ms <= live->time_ms + XT_LIVE_CONSENT_MOST_MS;
        *conflict = !in_time                              ? XT_CONFLICT_EXPIRED
                    : list->count == XT_LIVE_CONSENTS_MAX ? XT_CONFLICT_TOO_MANY
                                                          : XT_CONFLICT_NONE;
    }
    return XT_OK;
}

/* It leaves the key that an older program put it under. */
static int drop_older(struct xt_live *live, uint64_t number, const uint8_t id[XT_ACCOUNT_ID])
{
    struct xt_consent older;
    struct xt_span key = xt_span_of(id, XT_ACCOUNT_ID);
    return read_under(live, key, number, &older) == XT_OK
               ? xt_live_delete(live, XT_LIVE_CONSENT, key)
               : 0;
}

static int put_consent(struct xt_live *live, const struct xt_consent *consent)
{
    uint8_t key[KEY_BYTES];
    uint8_t fields[FIELDS_MAX];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    int code = xt_live_put_until(live, XT_LIVE_CONSENT, key_of(consent->number, consent->id, key),
                                 write_consent(consent, &writer), consent->expires_ms);
    return code == 0 ? drop_older(live, consent->number, consent->id) : code;
}

/* On record from now on, and in the person's list. A full list takes no more, which only stands in the way of
 * giving: what is revoked is on record all the same. */
static int keep(struct xt_live *live, const struct xt_consent *consent, struct xt_live_ids *list)
{
    int code = put_consent(live, consent);
    if (list->count == XT_LIVE_CONSENTS_MAX) {
        return code;
    }
    memcpy(list->ids[list->count++], consent->id, XT_ACCOUNT_ID);
    return code == 0 ? xt_live_ids_put(live, XT_LIVE_CONSENTS_OF, personal(consent->number), list)
                     : code;
}

static int give(struct xt_live *live, const struct xt_account_event *told,
                struct xt_live_outcome *outcome)
{
    struct xt_live_ids list;
    struct signed_by signed_by;
    struct xt_consent consent = {.number = told->subject.value,
                                 .given_ms = live->time_ms,
                                 .expires_ms = told->expires_ms,
                                 .attributes = told->attributes};
    enum xt_conflict conflict = XT_CONFLICT_NONE;
    outcome->status = prepare(live, told, &list, &signed_by, &conflict);
    if (outcome->status != XT_OK || conflict != XT_CONFLICT_NONE) {
        return outcome->status != XT_OK ? 0 : xt_live_refuse(outcome, conflict);
    }
    memcpy(consent.id, told->id, XT_ACCOUNT_ID);
    memcpy(consent.partner, told->partner.data, told->partner.size);
    memcpy(consent.purpose, told->purpose.data, told->purpose.size);
    int code = keep(live, &consent, &list);
    if (code == 0) {
        code =
            xt_live_put_expiry(live, XT_LIVE_SIGNED,
                               xt_span_of(signed_by.key, sizeof(signed_by.key)), told->expires_ms);
    }
    return code == 0 ? xt_live_proof_use_up(live, &told->proof) : code;
}

/* One that was signed, perhaps, and never used. What was signed may be dated ahead, so it is barred for good; the record,
 * for the list, goes when the longest is over that was signed by now. */
static int revoke_unused(struct xt_live *live, const struct xt_account_event *told,
                         struct xt_live_outcome *outcome)
{
    struct xt_live_ids list;
    struct xt_person *person;
    enum xt_subject subject = XT_SUBJECT_UNKNOWN;
    enum xt_status barred;
    struct xt_consent consent = {.number = told->subject.value,
                                 .given_ms = live->time_ms,
                                 .expires_ms = live->time_ms + XT_LIVE_CONSENT_MOST_MS,
                                 .revoked_ms = live->time_ms,
                                 .purpose = "unused"};
    outcome->status = xt_live_load_person(live, told->subject.value, &subject, &person);
    if (outcome->status == XT_OK) {
        outcome->status = xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, told->subject, &list);
    }
    if (outcome->status != XT_OK) {
        return 0;
    }
    if (subject != XT_SUBJECT_PERSON) {
        return xt_live_refuse(outcome, XT_CONFLICT_CONSENT_UNKNOWN);
    }
    int code = xt_live_bar_consent(live, consent.number, told->id, &barred);
    if (code == 0 && barred == XT_TOO_LARGE) {
        return xt_live_refuse(outcome, XT_CONFLICT_TOO_MANY);
    }
    outcome->status = barred;
    if (code != 0 || barred != XT_OK) {
        return code;
    }
    memcpy(consent.id, told->id, XT_ACCOUNT_ID);
    memcpy(consent.partner, told->actor.data, told->actor.size);
    return keep(live, &consent, &list);
}

/* It stays until it is over, so that the same signature gives no second one. */
static int revoke(struct xt_live *live, const struct xt_account_event *told,
                  struct xt_live_outcome *outcome)
{
    struct xt_consent consent;
    enum xt_status status = xt_live_consent(live, told->subject.value, told->id, &consent);
    if (status == XT_NOT_FOUND) {
        return revoke_unused(live, told, outcome);
    }
    if (status != XT_OK) {
        outcome->status = status;
        return 0;
    }
    if (consent.revoked_ms != 0) {
        return xt_live_refuse(outcome, XT_CONFLICT_CONSENT_REVOKED);
    }
    consent.revoked_ms = live->time_ms;
    return put_consent(live, &consent);
}

/* Where the new number has one of that id, a revoked one counts: it may have been somebody's whom the register has no
 * more. */
static int move_consent(struct xt_live *live, uint64_t from, uint64_t to,
                        const uint8_t id[XT_ACCOUNT_ID])
{
    struct xt_consent consent;
    struct xt_consent there;
    uint8_t key[KEY_BYTES];
    bool barred = false;
    if (xt_live_consent(live, from, id, &consent) != XT_OK) {
        return 0;
    }
    if (xt_live_consent(live, to, id, &there) == XT_OK && consent.revoked_ms == 0) {
        consent.revoked_ms = there.revoked_ms;
    }
    enum xt_status status = xt_live_consent_is_barred(live, to, id, &barred);
    if ((status != XT_OK || barred) && consent.revoked_ms == 0) {
        consent.revoked_ms = live->time_ms;
    }
    int code = xt_live_delete(live, XT_LIVE_CONSENT, key_of(from, id, key));
    if (code == 0) {
        code = drop_older(live, from, id);
    }
    consent.number = to;
    return code == 0 ? put_consent(live, &consent) : code;
}

int xt_live_move_consents(struct xt_live *live, uint64_t from, uint64_t to)
{
    struct xt_live_ids list;
    int code = xt_live_move_barred(live, from, to);
    if (code != 0 || xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, personal(from), &list) != XT_OK ||
        list.count == 0) {
        return code;
    }
    for (unsigned i = 0; code == 0 && i < list.count; i++) {
        code = move_consent(live, from, to, list.ids[i]);
    }
    return code == 0 ? xt_live_ids_move(live, XT_LIVE_CONSENTS_OF, personal(from), personal(to),
                                        XT_LIVE_CONSENTS_MAX, &list)
                     : code;
}

int xt_live_take_consent(struct xt_live *live, const struct xt_account_event *told,
                         struct xt_live_outcome *outcome)
{
    return told->type == XT_ACCOUNT_CONSENT_GIVEN ? give(live, told, outcome)
                                                  : revoke(live, told, outcome);
}
