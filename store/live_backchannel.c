/* Requests by the back channel (OpenID Connect CIBA, poll mode):
 *
 *   asked --> pending --decided--> approved --taken--> taken
 *                \---------------> denied
 *
 *   id 16 | state 1 | kind 1 | subject 5 | asked 8 | expires 8 | decided 8, or 0 | acr 1
 *   | factors, and from bit 5 what unlocks the device 1
 *   | partner size 1 | partner | purpose size 1 | purpose | scope size, and from bit 13 the level
 *   that is asked for 2 | scope | binding message
 *
 * Of somebody who is not there it is the same, but for that nobody can decide it.
 */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define FACTORS_UNLOCK 5
#define SCOPE_LEVEL 13
#define FIELDS_MAX 1024 /* more than any request takes */

static bool take_text(struct xt_span text, char *into, size_t most)
{
    if (text.size > most) {
        return false;
    }
    memset(into, 0, most + 1);
    if (text.size > 0) {
        memcpy(into, text.data, text.size);
    }
    return true;
}

enum xt_status xt_live_backchannel_open(struct xt_span fields, struct xt_backchannel *request)
{
    struct xt_taker taker = xt_taker_over(fields);
    xt_take_copy(&taker, request->id, XT_ACCOUNT_ID);
    uint64_t state = xt_take(&taker, 1);
    uint64_t kind = xt_take(&taker, 1);
    request->state = (enum xt_backchannel_state)state;
    request->subject.kind = (enum xt_id_kind)kind;
    request->subject.value = xt_take(&taker, 5);
    request->asked_ms = xt_take(&taker, 8);
    request->expires_ms = xt_take(&taker, 8);
    request->decided_ms = xt_take(&taker, 8);
    request->acr = (unsigned)xt_take(&taker, 1);
    unsigned factors = (unsigned)xt_take(&taker, 1);
    request->factors = factors & ((1U << FACTORS_UNLOCK) - 1);
    request->unlocked_by = (enum xt_unlock)(factors >> FACTORS_UNLOCK);
    struct xt_span partner = xt_take_bytes(&taker, (size_t)xt_take(&taker, 1));
    struct xt_span purpose = xt_take_bytes(&taker, (size_t)xt_take(&taker, 1));
    uint64_t fixed = xt_take(&taker, 2);
    request->least_level = (unsigned)(fixed >> SCOPE_LEVEL);
    struct xt_span scope = xt_take_bytes(&taker, (size_t)(fixed & ((1U << SCOPE_LEVEL) - 1)));
    return !taker.bad && state <= XT_BACKCHANNEL_TAKEN && request->least_level <= XT_LEVEL_MOST &&
                   factors >> FACTORS_UNLOCK < XT_UNLOCK_COUNT && kind <= XT_ID_CMND &&
                   take_text(partner, request->partner, XT_PARTNER_NAME_MAX) &&
                   take_text(purpose, request->purpose, XT_PURPOSE_NAME_MAX) &&
                   take_text(scope, request->scope, XT_ACCOUNT_SCOPE_MAX) &&
                   take_text(taker.rest, request->binding, XT_ACCOUNT_BINDING_MAX)
               ? XT_OK
               : XT_CORRUPT;
}

static void write_sized(struct xt_writer *writer, const char *text)
{
    struct xt_span span = xt_span_of_string(text);
    xt_put(writer, span.size, 1);
    xt_write_span(writer, span);
}

static struct xt_span write_request(const struct xt_backchannel *request, struct xt_writer *writer)
{
    xt_write(writer, request->id, XT_ACCOUNT_ID);
    xt_put(writer, (uint64_t)request->state, 1);
    xt_put(writer, (uint64_t)request->subject.kind, 1);
    xt_put(writer, request->subject.value, 5);
    xt_put(writer, request->asked_ms, 8);
    xt_put(writer, request->expires_ms, 8);
    xt_put(writer, request->decided_ms, 8);
    xt_put(writer, request->acr, 1);
    xt_put(writer, request->factors | (unsigned)request->unlocked_by << FACTORS_UNLOCK, 1);
    write_sized(writer, request->partner);
    write_sized(writer, request->purpose);
    struct xt_span scope = xt_span_of_string(request->scope);
    xt_put(writer, scope.size | (size_t)request->least_level << SCOPE_LEVEL, 2);
    xt_write_span(writer, scope);
    xt_write_string(writer, request->binding);
    xt_require(!writer->overflow);
    return xt_written(writer);
}

enum xt_status xt_live_backchannel(const struct xt_live *live, const uint8_t id[XT_ACCOUNT_ID],
                                   struct xt_backchannel *request)
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    enum xt_status status =
        xt_live_get(live, XT_LIVE_BACKCHANNEL, xt_span_of(id, XT_ACCOUNT_ID), fields, &size, NULL);
    return status == XT_OK ? xt_live_backchannel_open(xt_span_of(fields, size), request) : status;
}

enum xt_status xt_live_backchannels(const struct xt_live *live, struct xt_id subject,
                                    uint8_t ids[XT_LIVE_REQUESTS_MAX][XT_ACCOUNT_ID],
                                    unsigned *count)
{
    struct xt_live_ids list;
    enum xt_status status = xt_live_ids_get(live, XT_LIVE_BACKCHANNELS_OF, subject, &list);
    *count = list.count < XT_LIVE_REQUESTS_MAX ? list.count : XT_LIVE_REQUESTS_MAX;
    memcpy(ids, list.ids, (size_t)*count * XT_ACCOUNT_ID);
    return status;
}

/* Takes out what is decided, over or gone: it keeps its record, and takes up no place in the list. Gives how many of
 * the rest are this partner's. */
static unsigned keep_pending(const struct xt_live *live, struct xt_span partner,
                             struct xt_live_ids *list)
{
    unsigned count = 0;
    unsigned own = 0;
    for (unsigned i = 0; i < list->count; i++) {
        struct xt_backchannel request;
        if (xt_live_backchannel(live, list->ids[i], &request) == XT_OK &&
            request.state == XT_BACKCHANNEL_PENDING && request.expires_ms > live->time_ms) {
            memmove(list->ids[count++], list->ids[i], XT_ACCOUNT_ID);
            own += xt_span_is(partner, request.partner);
        }
    }
    list->count = count;
    return own;
}

/* ---- asked ------------------------------------------------------------------------------------- */

static int ask(struct xt_live *live, const struct xt_account_event *told,
               struct xt_live_outcome *outcome)
{
    struct xt_live_ids list;
    struct xt_backchannel request;
    uint8_t fields[FIELDS_MAX];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    enum xt_status status = xt_live_backchannel(live, told->id, &request);
    if (status == XT_OK) {
        return xt_live_refuse(outcome, XT_CONFLICT_REQUEST_KNOWN);
    }
    if (status == XT_NOT_FOUND) {
        status = xt_live_ids_get(live, XT_LIVE_BACKCHANNELS_OF, told->subject, &list);
    }
    if (status != XT_OK) {
        outcome->status = status;
        return 0;
    }
    if (told->expires_ms <= live->time_ms ||
        told->expires_ms > live->time_ms + XT_LIVE_REQUEST_MOST_MS) {
        return xt_live_refuse(outcome, XT_CONFLICT_EXPIRED);
    }
    /* One partner leaves places to others, and does not bury a person under questions. */
    unsigned own = keep_pending(live, told->actor, &list);
    if (own >= XT_LIVE_REQUESTS_SHARE || list.count >= XT_LIVE_REQUESTS_MAX) {
        return xt_live_refuse(outcome, XT_CONFLICT_TOO_MANY);
    }
    request = (struct xt_backchannel){.subject = told->subject,
                                      .asked_ms = live->time_ms,
                                      .expires_ms = told->expires_ms,
                                      .least_level = told->level};
    memcpy(request.id, told->id, XT_ACCOUNT_ID);
    xt_require(take_text(told->actor, request.partner, XT_PARTNER_NAME_MAX) &&
               take_text(told->purpose, request.purpose, XT_PURPOSE_NAME_MAX) &&
               take_text(told->scope, request.scope, XT_ACCOUNT_SCOPE_MAX) &&
               take_text(told->binding, request.binding, XT_ACCOUNT_BINDING_MAX));
    int code = xt_live_put_until(live, XT_LIVE_BACKCHANNEL, xt_span_of(told->id, XT_ACCOUNT_ID),
                                 write_request(&request, &writer), told->expires_ms);
    memcpy(list.ids[list.count++], told->id, XT_ACCOUNT_ID);
    return code == 0 ? xt_live_ids_put(live, XT_LIVE_BACKCHANNELS_OF, told->subject, &list) : code;
}

/* ---- decided and taken -------------------------------------------------------------------------- */

/* Whether the person whom it is about may use his account; *person NULL: there is nobody. */
static enum xt_status load_open(struct xt_live *live, const struct xt_backchannel *request,
                                struct xt_person **person)
{
    enum xt_subject subject = XT_SUBJECT_UNKNOWN;
    *person = NULL;
    if (request->subject.kind != XT_ID_PERSONAL) {
        return XT_OK;
    }
    enum xt_status status = xt_live_load_person(live, request->subject.value, &subject, person);
    if (status == XT_OK && (subject != XT_SUBJECT_PERSON || !xt_live_account_is_open(*person))) {
        *person = NULL;
    }
    return status;
}

static int put_again(struct xt_live *live, const struct xt_backchannel *request)
{
    uint8_t fields[FIELDS_MAX];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    return xt_live_put(live, XT_LIVE_BACKCHANNEL, xt_span_of(request->id, XT_ACCOUNT_ID),
                       write_request(request, &writer));
}

/* What is decided stays so, and is told whatever was shown. Else that is an attempt of the person who was asked: one
 * that does not pass is counted and decides nothing. */
static int decide(struct xt_live *live, const struct xt_account_event *told,
                  struct xt_backchannel *request, struct xt_live_outcome *outcome)
{
    struct xt_account_event shown = *told;
    if (request->state != XT_BACKCHANNEL_PENDING) {
        return xt_live_refuse(outcome, XT_CONFLICT_REQUEST_DECIDED);
    }
    if (told->approved && told->acr < request->least_level) { /* whoever tells it has looked */
        return xt_live_refuse(outcome, XT_CONFLICT_PROOF_REFUSED);
    }
    shown.subject = request->subject;
    int code = xt_live_take_attempt(live, &shown, outcome);
    if (code != 0 || outcome->status != XT_OK || outcome->attempt != XT_ATTEMPT_PASSED) {
        return code;
    }
    request->state = told->approved ? XT_BACKCHANNEL_APPROVED : XT_BACKCHANNEL_DENIED;
    request->decided_ms = live->time_ms;
    request->acr = told->acr;
    request->factors = told->proof.factors;
    request->unlocked_by = told->proof.unlocked_by;
    return put_again(live, request);
}

static int take(struct xt_live *live, const struct xt_account_event *told,
                struct xt_backchannel *request, struct xt_live_outcome *outcome)
{
    struct xt_person *person;
    if (!xt_span_is(told->actor, request->partner)) {
        return xt_live_refuse(outcome, XT_CONFLICT_REQUEST_UNKNOWN);
    }
    if (request->state != XT_BACKCHANNEL_APPROVED) {
        return xt_live_refuse(
            outcome, request->state == XT_BACKCHANNEL_PENDING  ? XT_CONFLICT_REQUEST_PENDING
                     : request->state == XT_BACKCHANNEL_DENIED ? XT_CONFLICT_REQUEST_DENIED
                                                               : XT_CONFLICT_REQUEST_TAKEN);
    }
    outcome->status = load_open(live, request, &person);
    if (outcome->status != XT_OK || person == NULL) {
        return outcome->status != XT_OK ? 0 : xt_live_refuse(outcome, XT_CONFLICT_PROOF_REFUSED);
    }
    request->state = XT_BACKCHANNEL_TAKEN;
    return put_again(live, request);
}

int xt_live_move_backchannels(struct xt_live *live, uint64_t from, uint64_t to)
{
    const struct xt_id old = {.kind = XT_ID_PERSONAL, .value = from};
    const struct xt_id new = {.kind = XT_ID_PERSONAL, .value = to};
    struct xt_live_ids list;
    int code = 0;
    if (xt_live_ids_get(live, XT_LIVE_BACKCHANNELS_OF, old, &list) != XT_OK || list.count == 0) {
        return 0;
    }
    for (unsigned i = 0; code == 0 && i < list.count; i++) {
        struct xt_backchannel request;
        if (xt_live_backchannel(live, list.ids[i], &request) == XT_OK) {
            request.subject = new;
            code = put_again(live, &request);
        }
    }
    return code == 0 ? xt_live_ids_move(live, XT_LIVE_BACKCHANNELS_OF, old, new,
                                        XT_LIVE_REQUESTS_MAX, &list)
                     : code;
}

int xt_live_take_backchannel(struct xt_live *live, const struct xt_account_event *told,
                             struct xt_live_outcome *outcome)
{
    struct xt_backchannel request;
    if (told->type == XT_ACCOUNT_BACKCHANNEL_ASKED) {
        return ask(live, told, outcome);
    }
    enum xt_status status = xt_live_backchannel(live, told->id, &request);
    if (status == XT_NOT_FOUND || (status == XT_OK && request.expires_ms <= live->time_ms)) {
        return xt_live_refuse(outcome, XT_CONFLICT_REQUEST_UNKNOWN);
    }
    if (status != XT_OK) {
        outcome->status = status;
        return 0;
    }
    return told->type == XT_ACCOUNT_BACKCHANNEL_DECIDED ? decide(live, told, &request, outcome)
                                                        : take(live, told, &request, outcome);
}
