/* net/consents: POST /v1/consents/list and /v1/consents/revoke: what a citizen has let partners have, through the
 * backend of his app (right `accounts`), which may know who exists.
 *
 * A consent is on record from its first use on (net/attributes). One that was never used can be revoked as well: its
 * name is put on record as revoked. What is revoked is so for every worker before this is answered.
 */
#include "core/consent.h"
#include "net/attributes.h"
#include "net/caller.h"
#include "net/deferred.h"
#include "net/exchange.h"
#include "net/route.h"

_Static_assert(XT_ANSWER_HEAD_MAX + XT_CONSENTS_ANSWER_MAX <= XT_OUTPUT_MAX, "every list fits");
_Static_assert(XT_CONSENTS_ANSWER_MAX <= XT_VERIFY_ARENA, "it is written there");

static void write_reference(struct xt_writer *writer, const uint8_t id[XT_ACCOUNT_ID])
{
    xt_write_literal(writer, "\"consent_ref\":\"");
    xt_base64url_write(writer, xt_span_of(id, XT_ACCOUNT_ID));
    xt_write_byte(writer, '"');
}

static void write_time(struct xt_writer *writer, const char *name, uint64_t unix_ms)
{
    char at[XT_TIMESTAMP];
    xt_timestamp_format(unix_ms, at);
    xt_write_string(writer, name);
    xt_write(writer, at, sizeof(at));
    xt_write_byte(writer, '"');
}

static void fail(struct xt_call *call, enum xt_status status, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    service->live_failed |= status == XT_IO;
    xt_service_log_damage(service, status, call->answer_id, call->request->traceparent);
    xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
}

/* Whose consents they are. false: the answer is made. */
static bool find_person(struct xt_call *call, struct xt_id id, uint64_t *number,
                        struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_register people;
    struct xt_found found;
    if (service->generation == NULL || service->live == NULL || service->deferred == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return false;
    }
    if (!xt_call_take_quota(call, id, answer)) {
        return false;
    }
    enum xt_status status = xt_service_accounts(service, &people);
    status = status == XT_OK ? xt_register_find(&people, id, &found) : status;
    if (status != XT_OK) {
        fail(call, status, answer);
        return false;
    }
    if (!found.found || (found.by_alias && call->allowance->partner->without_old_numbers)) {
        xt_call_refuse(call, XT_PROBLEM_UNKNOWN_PERSON, NULL, answer);
        return false;
    }
    *number = found.hot.number;
    xt_call_note_subject(call, (struct xt_id){.kind = XT_ID_PERSONAL, .value = *number});
    return true;
}

/* ---- POST /v1/consents/list --------------------------------------------------------------------- */

static void write_consent(struct xt_writer *writer, const struct xt_consent *consent)
{
    xt_write_byte(writer, '{');
    write_reference(writer, consent->id);
    if (consent->attributes != 0) {
        xt_write_literal(writer, ",\"partner\":\""); /* names need no escapes */
        xt_write_string(writer, consent->partner);
        xt_write_literal(writer, "\",\"purpose\":\"");
        xt_write_string(writer, consent->purpose);
        xt_write_literal(writer, "\",\"attributes\":");
        xt_attribute_names_write(consent->attributes, writer);
        write_time(writer, ",\"given_at\":\"", consent->given_ms);
    }
    write_time(writer, ",\"expires_at\":\"", consent->expires_ms);
    if (consent->revoked_ms != 0) {
        write_time(writer, ",\"revoked_at\":\"", consent->revoked_ms);
    }
    xt_write_byte(writer, '}');
}

/* The newest first. */
static enum xt_status write_consents(const struct xt_service *service, uint64_t number,
                                     struct xt_writer *writer)
{
    uint8_t ids[XT_LIVE_CONSENTS_MAX][XT_ACCOUNT_ID];
    unsigned count = 0;
    bool first = true;
    enum xt_status status = xt_live_consents(service->live, number, ids, &count);
    xt_write_literal(writer, ",\"consents\":[");
    for (unsigned i = count; status == XT_OK && i-- > 0;) {
        struct xt_consent consent;
        status = xt_live_consent(service->live, number, ids[i], &consent);
        if (status == XT_OK && consent.expires_ms > service->unix_ms) {
            xt_write_string(writer, first ? "" : ",");
            write_consent(writer, &consent);
            first = false;
        }
        status = status == XT_NOT_FOUND ? XT_OK : status; /* swept away */
    }
    xt_write_literal(writer, "]}");
    return status;
}

void xt_handle_consents(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_request_errors errors;
    struct xt_id id;
    uint64_t number;
    if (xt_call_begin_json(call, XT_RIGHT_ACCOUNTS, XT_AUTHENTICATE_BODY_MAX, answer) == NULL) {
        return;
    }
    if (xt_pending_request_from_json(call->request->body, call->request->body_size, service->arena,
                                     &id, &errors) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        return;
    }
    xt_call_note_subject(call, id);
    if (!find_person(call, id, &number, answer)) {
        return;
    }
    struct xt_writer writer = xt_writer_over(service->arena.memory, XT_CONSENTS_ANSWER_MAX);
    xt_write_literal(&writer, "{\"answer_id\":\"");
    xt_write(&writer, call->answer_id, XT_ANSWER_ID);
    xt_write_byte(&writer, '"');
    enum xt_status status = write_consents(service, number, &writer);
    if (status != XT_OK) {
        fail(call, status, answer);
        return;
    }
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

/* ---- POST /v1/consents/revoke ------------------------------------------------------------------- */

struct revoking {
    uint64_t number;
    uint8_t handle[XT_CONSENT_HANDLE];
    char reference[XT_CONSENT_HANDLE_TEXT + 1];
};

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct revoking *revoking = deferred->memory;
    xt_call_note_subject(call, (struct xt_id){.kind = XT_ID_PERSONAL, .value = revoking->number});
    call->entry.consent_ref = xt_span_of_string(revoking->reference);
    xt_deferred_note(deferred, XT_ACCOUNT_CONSENT_REVOKED, call);
}

/* Once revoked it is told again when that was: who did not get the answer asks again. */
static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    const struct revoking *revoking = deferred->memory;
    struct xt_service *service = call->service;
    struct xt_register people;
    struct xt_consent consent;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    if (deferred->status == XT_DENIED &&
        deferred->outcome.conflict != XT_CONFLICT_CONSENT_REVOKED) {
        xt_call_refuse(call, xt_problem_of_conflict(deferred->outcome.conflict), NULL, answer);
        return;
    }
    enum xt_status status =
        service->generation == NULL ? XT_BUSY : xt_service_accounts(service, &people);
    if (status == XT_OK) {
        status = xt_live_consent(service->live, revoking->number, revoking->handle, &consent);
    }
    if (status != XT_OK) { /* it is done, and since when cannot be told */
        service->live_failed |= status == XT_IO;
        xt_call_refuse(call, XT_PROBLEM_OUTCOME_UNKNOWN, NULL, answer);
        return;
    }
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    xt_write_literal(&writer, "{\"answer_id\":\"");
    xt_write(&writer, call->answer_id, XT_ANSWER_ID);
    xt_write_literal(&writer, "\",");
    write_reference(&writer, consent.id);
    write_time(&writer, ",\"revoked_at\":\"", consent.revoked_ms);
    xt_write_byte(&writer, '}');
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

static void send_revocation(struct xt_call *call, uint64_t number,
                            const uint8_t handle[XT_CONSENT_HANDLE], struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct revoking), finish, note, NULL};
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    struct revoking *revoking = deferred->memory;
    struct xt_writer writer = xt_writer_over(revoking->reference, XT_CONSENT_HANDLE_TEXT);
    revoking->number = number;
    memcpy(revoking->handle, handle, sizeof(revoking->handle));
    xt_base64url_write(&writer, xt_span_of(handle, XT_CONSENT_HANDLE));
    struct xt_account_event told = {.type = XT_ACCOUNT_CONSENT_REVOKED,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .subject = {.kind = XT_ID_PERSONAL, .value = number}};
    memcpy(told.id, handle, sizeof(told.id));
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
}

void xt_handle_consent_revoke(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_request_errors errors;
    struct xt_id id;
    uint8_t handle[XT_CONSENT_HANDLE];
    uint64_t number;
    if (xt_call_begin_json(call, XT_RIGHT_ACCOUNTS, XT_AUTHENTICATE_BODY_MAX, answer) == NULL) {
        return;
    }
    if (xt_revoke_request_from_json(call->request->body, call->request->body_size,
                                    call->service->arena, &id, handle, &errors) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        return;
    }
    xt_call_note_subject(call, id);
    if (find_person(call, id, &number, answer)) {
        send_revocation(call, number, handle, answer);
    }
}
