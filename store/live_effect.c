/* What each type of event does to the live store, and what can be asked of it. */
#include "core/little_endian.h"
#include "store/live_internal.h"

/* ---- who holds a certificate ------------------------------------------------------------------ */

static int certificate_held(struct xt_live *live, const struct xt_event *event)
{
    struct xt_span spki = xt_span_of(event->certificate_held.spki, XT_SPKI_DIGEST);
    struct xt_span partner = xt_span_of_string(event->certificate_held.partner);
    return partner.size == 0 ? xt_live_delete(live, XT_LIVE_CERTIFICATE_HOLDER, spki)
                             : xt_live_put(live, XT_LIVE_CERTIFICATE_HOLDER, spki, partner);
}

enum xt_status xt_live_holder(const struct xt_live *live, const uint8_t spki[XT_SPKI_DIGEST],
                              char partner[XT_PARTNER_NAME_MAX + 1])
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    enum xt_status status = xt_live_get(live, XT_LIVE_CERTIFICATE_HOLDER,
                                        xt_span_of(spki, XT_SPKI_DIGEST), fields, &size, NULL);
    if (status == XT_OK &&
        (size > XT_PARTNER_NAME_MAX || !xt_policy_name_is_valid(xt_span_of(fields, size)))) {
        status = XT_CORRUPT;
    }
    if (status == XT_OK) {
        memcpy(partner, fields, size);
        partner[size] = '\0';
    }
    return status;
}

/* ---- which generation was served --------------------------------------------------------------- */

enum xt_status xt_live_generation(const struct xt_live *live, uint32_t *number,
                                  uint8_t digest[XT_GENERATION_DIGEST])
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    enum xt_status status =
        xt_live_get(live, XT_LIVE_SERVED_GENERATION, xt_span_of(NULL, 0), fields, &size, NULL);
    if (status != XT_OK) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(fields, size));
    *number = (uint32_t)xt_take(&taker, 4);
    xt_take_copy(&taker, digest, XT_GENERATION_DIGEST);
    return xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_live_look_up_generation(struct xt_live *live, uint32_t *number,
                                          uint8_t digest[XT_GENERATION_DIGEST])
{
    xt_require(live->writes && live->txn == NULL);
    enum xt_status status = xt_live_begin_look(live);
    if (status == XT_OK) {
        status = xt_live_generation(live, number, digest);
        xt_live_end_look(live);
    }
    return status;
}

enum step { SAME, FORWARD, BACK };

/* Where a generation stands against the one on record. */
static enum xt_status compare_served(const struct xt_live *live, uint32_t number,
                                     const uint8_t digest[XT_GENERATION_DIGEST], enum step *step,
                                     uint32_t *recorded)
{
    uint8_t before[XT_GENERATION_DIGEST];
    *recorded = 0;
    *step = FORWARD;
    enum xt_status status =
        live == NULL ? XT_NOT_FOUND : xt_live_generation(live, recorded, before);
    if (status == XT_OK && number <= *recorded) {
        *step = number == *recorded && memcmp(before, digest, sizeof(before)) == 0 ? SAME : BACK;
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

enum xt_status xt_live_may_serve(const struct xt_live *live, uint32_t number,
                                 const uint8_t digest[XT_GENERATION_DIGEST], bool allow_older,
                                 bool *record, bool *rollback, struct xt_failure *failure)
{
    enum step step;
    uint32_t recorded;
    enum xt_status status = compare_served(live, number, digest, &step, &recorded);
    if (status != XT_OK) {
        return xt_fail(failure, status, "the live store's record of generations cannot be read: %s",
                       xt_status_name(status));
    }
    *record = step != SAME;
    *rollback = step == BACK;
    if (step != BACK || allow_older) {
        return XT_OK;
    }
    return number < recorded
               ? xt_fail(failure, XT_DENIED,
                         "generation %06u is older than %06u, which was served before: if you mean "
                         "it, set allow_older_generation = yes in xacthuc.conf, start or reload, "
                         "and take it out again",
                         number, recorded)
               : xt_fail(failure, XT_DENIED,
                         "generation %06u is not the one of that number that was served before: if "
                         "you mean it, set allow_older_generation = yes in xacthuc.conf, start or "
                         "reload, and take it out again",
                         number);
}

static int generation_served(struct xt_live *live, const struct xt_event *event,
                             enum xt_status *refused)
{
    uint8_t fields[4 + XT_GENERATION_DIGEST];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    enum step step;
    uint32_t recorded;
    enum xt_status status = compare_served(live, event->generation_served.number,
                                           event->generation_served.digest, &step, &recorded);
    if (status != XT_OK || (step == BACK && !event->generation_served.rollback)) {
        *refused = status != XT_OK ? status : XT_DENIED;
        return 0;
    }
    const uint8_t *base = live->base != NULL ? xt_generation_manifest(live->base)->digest : NULL;
    live->base_is_old =
        base == NULL || memcmp(base, event->generation_served.digest, XT_GENERATION_DIGEST) != 0;
    if (step == BACK) {
        int code = xt_live_forget_floor(live);
        if (code != 0) {
            return code;
        }
    }
    xt_put(&writer, event->generation_served.number, 4);
    xt_write(&writer, event->generation_served.digest, XT_GENERATION_DIGEST);
    return xt_live_put(live, XT_LIVE_SERVED_GENERATION, xt_span_of(NULL, 0), xt_written(&writer));
}

int xt_live_take_effect(struct xt_live *live, const struct xt_event *event,
                        struct xt_live_outcome *outcome)
{
    outcome->status = XT_OK;
    if (xt_event_is_registry(event)) {
        return xt_live_take_registry(live, event, &outcome->status, &outcome->conflict);
    }
    if (xt_event_is_account(event)) {
        return xt_live_take_account(live, event, outcome);
    }
    switch (event->type) {
    case XT_EVENT_CERTIFICATE_HELD:
        return certificate_held(live, event);
    case XT_EVENT_GENERATION_SERVED:
        return generation_served(live, event, &outcome->status);
    }
    outcome->status = XT_UNSUPPORTED;
    return 0;
}
