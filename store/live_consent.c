/* Consents: given with a device's key, listed by person, revocable, gone when they are over.
 *
 *   number 5 | id 16 | given 8 | expires 8 | revoked 8, or 0 | attributes 4 | partner size 1 | partner | purpose
 *
 * One that was revoked before it was given has no attributes; partner and purpose are then of no meaning.
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

enum xt_status xt_live_consent(const struct xt_live *live, const uint8_t id[XT_ACCOUNT_ID],
                               struct xt_consent *consent)
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    enum xt_status status =
        xt_live_get(live, XT_LIVE_CONSENT, xt_span_of(id, XT_ACCOUNT_ID), fields, &size, NULL);
    return status == XT_OK ? xt_live_consent_open(xt_span_of(fields, size), consent) : status;
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

/* Everything that may refuse it; nothing is written. */
static enum xt_status prepare(struct xt_live *live, const struct xt_account_event *told,
                              struct xt_live_ids *list, enum xt_conflict *conflict)
{
    struct xt_consent known;
    enum xt_subject subject;
    struct xt_person *person;
    bool used;
    enum xt_status status = xt_live_consent(live, told->id, &known);
    if (status == XT_OK) {
        *conflict = known.revoked_ms != 0 ? XT_CONFLICT_CONSENT_REVOKED : XT_CONFLICT_CONSENT_KNOWN;
        return XT_OK;
    }
    if (status == XT_NOT_FOUND) {
        status = xt_live_proof_is_used(live, &told->proof, &used);
    }
    if (status == XT_OK) {
        status = xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, told->subject, list);
    }
    if (status == XT_OK) {
        status = xt_live_load_person(live, told->subject.value, &subject, &person);
    }
    if (status != XT_OK) {
        return status;
    }
    *conflict = proof_counts(live, told, subject, person, used);
    if (*conflict == XT_CONFLICT_NONE) {
        bool in_time = told->expires_ms > live->time_ms &&
                       told->expires_ms <= live->time_ms + XT_LIVE_CONSENT_MOST_MS;
        *conflict = !in_time                              ? XT_CONFLICT_EXPIRED
                    : list->count == XT_LIVE_CONSENTS_MAX ? XT_CONFLICT_TOO_MANY
                                                          : XT_CONFLICT_NONE;
    }
    return XT_OK;
}

/* On record from now on, and in the person's list. A full list takes no more, which only stands in the way of
 * giving: what is revoked is on record all the same. */
static int keep(struct xt_live *live, const struct xt_consent *consent, struct xt_live_ids *list)
{
    uint8_t fields[FIELDS_MAX];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    int code = xt_live_put_until(live, XT_LIVE_CONSENT, xt_span_of(consent->id, XT_ACCOUNT_ID),
                                 write_consent(consent, &writer), consent->expires_ms);
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
    struct xt_consent consent = {.number = told->subject.value,
                                 .given_ms = live->time_ms,
                                 .expires_ms = told->expires_ms,
                                 .attributes = told->attributes};
    enum xt_conflict conflict = XT_CONFLICT_NONE;
    outcome->status = prepare(live, told, &list, &conflict);
    if (outcome->status != XT_OK || conflict != XT_CONFLICT_NONE) {
        return outcome->status != XT_OK ? 0 : xt_live_refuse(outcome, conflict);
    }
    memcpy(consent.id, told->id, XT_ACCOUNT_ID);
    memcpy(consent.partner, told->partner.data, told->partner.size);
    memcpy(consent.purpose, told->purpose.data, told->purpose.size);
    int code = keep(live, &consent, &list);
    return code == 0 ? xt_live_proof_use_up(live, &told->proof) : code;
}

/* One that was signed, perhaps, and never used: its name is kept as revoked for as long as the longest lasts. */
static int revoke_unused(struct xt_live *live, const struct xt_account_event *told,
                         struct xt_live_outcome *outcome)
{
    struct xt_live_ids list;
    struct xt_person *person;
    enum xt_subject subject = XT_SUBJECT_UNKNOWN;
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
    memcpy(consent.id, told->id, XT_ACCOUNT_ID);
    memcpy(consent.partner, told->actor.data, told->actor.size);
    return keep(live, &consent, &list);
}

/* It stays until it is over, so that the same signature gives no second one. */
static int revoke(struct xt_live *live, const struct xt_account_event *told,
                  struct xt_live_outcome *outcome)
{
    struct xt_consent consent;
    uint8_t fields[FIELDS_MAX];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    enum xt_status status = xt_live_consent(live, told->id, &consent);
    if (status == XT_NOT_FOUND) {
        return revoke_unused(live, told, outcome);
    }
    if (status == XT_OK && consent.number != told->subject.value) {
        return xt_live_refuse(outcome, XT_CONFLICT_CONSENT_UNKNOWN);
    }
    if (status != XT_OK) {
        outcome->status = status;
        return 0;
    }
    if (consent.revoked_ms != 0) {
        return xt_live_refuse(outcome, XT_CONFLICT_CONSENT_REVOKED);
    }
    consent.revoked_ms = live->time_ms;
    return xt_live_put(live, XT_LIVE_CONSENT, xt_span_of(told->id, XT_ACCOUNT_ID),
                       write_consent(&consent, &writer));
}

int xt_live_move_consents(struct xt_live *live, uint64_t from, uint64_t to)
{
    struct xt_live_ids list;
    int code = 0;
    if (xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, personal(from), &list) != XT_OK ||
        list.count == 0) {
        return 0;
    }
    for (unsigned i = 0; code == 0 && i < list.count; i++) {
        struct xt_consent consent;
        uint8_t fields[FIELDS_MAX];
        struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
        if (xt_live_consent(live, list.ids[i], &consent) == XT_OK) {
            consent.number = to;
            code = xt_live_put(live, XT_LIVE_CONSENT, xt_span_of(list.ids[i], XT_ACCOUNT_ID),
                               write_consent(&consent, &writer));
        }
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
