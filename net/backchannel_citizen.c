/* The citizen's side, through the backend of his app (right `accounts`): what he is asked, and what he says. */
#include <stdio.h>

#include "core/assurance.h"
#include "core/jose.h"
#include "crypto/challenge.h"
#include "crypto/holder_key.h"
#include "net/backchannel.h"
#include "net/deferred.h"
#include "net/hashing.h"
#include "net/route.h"
#include "store/live_account.h"

#define PASSCODE 0 /* the number of its bit in enum xt_factor */

static void write_text(struct xt_writer *writer, const char *name, const char *text)
{
    xt_write_literal(writer, ",\"");
    xt_write_string(writer, name);
    xt_write_literal(writer, "\":");
    xt_json_write_string(writer, xt_span_of_string(text));
}

static void write_audience(struct xt_writer *writer, const struct xt_backchannel *request,
                           bool approve)
{
    xt_write_string(writer, approve ? ",\"approve_audience\":\"" : ",\"deny_audience\":\"");
    xt_backchannel_audience(request->id, approve, writer);
    xt_write_byte(writer, '"');
}

/* ---- POST /v1/backchannel/pending --------------------------------------------------------------- */

static void write_request(struct xt_writer *writer, const struct xt_backchannel *request,
                          uint64_t now_ms)
{
    char asked_at[XT_TIMESTAMP], text[48];
    xt_timestamp_format(request->asked_ms, asked_at);
    xt_write_literal(writer, "{\"request\":\"");
    xt_base64url_write(writer, xt_span_of(request->id, sizeof(request->id)));
    xt_write_byte(writer, '"');
    write_text(writer, "partner", request->partner);
    write_text(writer, "purpose", request->purpose);
    write_text(writer, "scope", request->scope);
    if (request->binding[0] != '\0') {
        write_text(writer, "binding_message", request->binding);
    }
    xt_write_literal(writer, ",\"asked_at\":\"");
    xt_write(writer, asked_at, sizeof(asked_at));
    (void)snprintf(text, sizeof(text), "\",\"expires_in\":%u,\"least_level\":%u",
                   (unsigned)((request->expires_ms - now_ms) / 1000),
                   request->least_level == 0 ? 1 : request->least_level);
    xt_write_string(writer, text);
    write_audience(writer, request, true);
    write_audience(writer, request, false);
    xt_write_byte(writer, '}');
}

/* The newest first. */
static enum xt_status write_pending(struct xt_service *service, struct xt_id subject,
                                    struct xt_writer *writer)
{
    uint8_t ids[XT_LIVE_REQUESTS_MAX][XT_ACCOUNT_ID];
    unsigned count = 0;
    bool first = true;
    enum xt_status status = xt_live_backchannels(service->live, subject, ids, &count);
    xt_write_literal(writer, "{\"requests\":[");
    for (unsigned i = count; status == XT_OK && i-- > 0;) {
        struct xt_backchannel request;
        status = xt_live_backchannel(service->live, ids[i], &request);
        if (status == XT_OK && request.state == XT_BACKCHANNEL_PENDING &&
            request.expires_ms > service->unix_ms) {
            xt_write_string(writer, first ? "" : ",");
            write_request(writer, &request, service->unix_ms);
            first = false;
        }
        status = status == XT_NOT_FOUND ? XT_OK : status; /* swept away */
    }
    xt_write_literal(writer, "]}");
    return status;
}

void xt_handle_backchannel_pending(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_register people;
    struct xt_request_errors errors;
    struct xt_id id, subject;
    if (xt_call_begin_json(call, XT_RIGHT_ACCOUNTS, XT_AUTHENTICATE_BODY_MAX, answer) == NULL) {
        return;
    }
    if (xt_pending_request_from_json(call->request->body, call->request->body_size, service->arena,
                                     &id, &errors) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        return;
    }
    xt_call_note_subject(call, id);
    if (service->generation == NULL || service->live == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    if (!xt_call_take_quota(call, id, answer) ||
        xt_backchannel_subject(call, id, &people, &subject, answer) != XT_OK) {
        return;
    }
    xt_call_note_subject(call, subject);
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    enum xt_status status = write_pending(service, subject, &writer);
    if (status != XT_OK) {
        service->live_failed |= status == XT_IO;
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
        return;
    }
    xt_require(!writer.overflow); /* XT_BACKCHANNEL_TEXT_MAX */
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

/* ---- POST /v1/backchannel/decide ---------------------------------------------------------------- */

/* Between the request and its answer: in a deferred's memory. */
struct deciding {
    struct xt_id subject;
    uint8_t handle[XT_REQUEST_HANDLE];
    bool approve;
    bool passed; /* what he showed, so far */
    struct xt_account_proof proof;
};
_Static_assert(sizeof(struct deciding) <= XT_DEFERRED_MEMORY, "it fits");

/* What he has to show it with; empty: nothing. Borrowed until the next lookup. */
struct held {
    struct xt_device device;
    struct xt_span phc;
};

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct deciding *deciding = deferred->memory;
    xt_call_note_subject(call, deciding->subject);
    xt_deferred_note(deferred, XT_ACCOUNT_BACKCHANNEL_DECIDED, call);
}

static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    const struct deciding *deciding = deferred->memory;
    enum xt_attempt attempt = deferred->outcome.attempt;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    if (deferred->status != XT_OK) { /* the same whatever he showed, which was not tried */
        xt_call_refuse(call, XT_PROBLEM_REQUEST_CLOSED, NULL, answer);
    } else if (attempt == XT_ATTEMPT_NONE) { /* nobody knows any more */
        xt_call_refuse(call, XT_PROBLEM_OUTCOME_UNKNOWN, NULL, answer);
    } else if (attempt != XT_ATTEMPT_PASSED) {
        xt_call_refuse(call, XT_PROBLEM_AUTHENTICATION_FAILED, NULL, answer);
    } else {
        *answer = (struct xt_answer){.status = 200,
                                     .type = XT_TYPE_JSON,
                                     .body = xt_span_of_string(deciding->approve
                                                                   ? "{\"state\":\"approved\"}"
                                                                   : "{\"state\":\"denied\"}")};
    }
}

/* Of nobody another's record is opened in vain. */
static enum xt_status look_up(const struct xt_register *people, struct xt_id subject,
                              struct xt_span device_id, struct held *held)
{
    static struct xt_person person; /* large; one request at a time */
    enum xt_status status = subject.kind == XT_ID_PERSONAL
                                ? xt_register_person(people, subject.value, &person)
                                : XT_NOT_FOUND;
    *held = (struct held){.phc = {0}};
    if (status == XT_OK) {
        held->device = xt_person_device(&person, device_id);
        held->phc = person.passcode_hash;
    } else if (status == XT_NOT_FOUND) {
        xt_register_stand_in(people, subject.value, &person);
        status = XT_OK;
    }
    return status;
}

/* Whether the device of this person has signed a challenge of ours for this request and this decision. Whoever he is it is
 * the same work, as for POST /v1/authenticate; and what follows is the writer's to decide. */
static enum xt_status check_device(const struct xt_call *call,
                                   const struct xt_decision_request *request,
                                   const struct held *held, struct deciding *deciding)
{
    const struct xt_service *service = call->service;
    uint8_t audience[XT_BACKCHANNEL_AUDIENCE_MAX];
    struct xt_writer writer = xt_writer_over(audience, sizeof(audience));
    xt_backchannel_audience(request->handle, request->approve, &writer);
    xt_require(!writer.overflow);
    const struct xt_challenge_scope scope = {.id = request->id,
                                             .factor = XT_FACTOR_DEVICE_KEY,
                                             .audience = xt_written(&writer),
                                             .partner = call->entry.partner};
    struct xt_challenge_use use;
    enum xt_status made =
        xt_challenge_check(service->keyring, &scope, service->unix_ms, request->challenge, &use);
    if (made != XT_OK && made != XT_DENIED) {
        return made;
    }
    struct xt_span key = held->device.public_key_der;
    struct xt_span used = key.size > 0 ? key : xt_holder_nobody();
    enum xt_status status = xt_holder_verify(used, request->challenge, request->signature);
    deciding->passed = made == XT_OK && status == XT_OK && key.size > 0;
    deciding->proof.factors = XT_FACTOR_DEVICE_KEY;
    xt_account_proof_uses(&deciding->proof, use.nonce, use.until_ms);
    xt_live_proof_device(service->live, used, held->device.unlocked_by, &deciding->proof);
    /* XT_INVALID: a key of the register that is none. */
    return status == XT_DENIED || status == XT_INVALID ? XT_OK : status;
}

static unsigned level_of(unsigned factors, enum xt_unlock unlocked_by)
{
    struct xt_assurance assurance;
    xt_assurance_of(factors, unlocked_by, &assurance);
    return assurance.level;
}

static void send_decision(struct xt_deferred *deferred)
{
    const struct deciding *deciding = deferred->memory;
    const struct xt_account_proof *proof = &deciding->proof;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {
        .type = XT_ACCOUNT_BACKCHANNEL_DECIDED,
        .actor = xt_span_of_string(deferred->partner),
        .approved = deciding->approve,
        .acr = deciding->approve ? level_of(proof->factors, proof->unlocked_by) : 0,
        .passed = deciding->passed,
        .proof = *proof};
    memcpy(told.id, deciding->handle, sizeof(told.id));
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
    xt_wipe(body, sizeof(body));
}

static void on_hashed(void *context, const struct xt_hashing_result *result)
{
    struct xt_deferred *deferred = context;
    struct deciding *deciding = deferred->memory;
    if (result->status != XT_OK && result->status != XT_DENIED) {
        xt_deferred_done(deferred, result->status); /* no attempt was made */
        return;
    }
    deciding->passed = deciding->passed && result->status == XT_OK;
    send_decision(deferred);
}

static enum xt_status compare_passcode(struct xt_service *service, struct xt_span passcode,
                                       struct xt_span phc, struct xt_deferred *deferred)
{
    struct deciding *deciding = deferred->memory;
    uint8_t pepper[XT_KEY_BYTES];
    deciding->proof.factors |= XT_FACTOR_PASSCODE;
    xt_live_factor_digest(service->live, XT_FACTOR_PASSCODE, phc,
                          deciding->proof.digests[PASSCODE]);
    xt_deferred_hold(deferred, service->settings->passcode_step_ms);
    xt_live_pepper(service->live, pepper);
    enum xt_status status = xt_hashing_verify(service->hashing, deferred->cell, pepper, phc,
                                              passcode, on_hashed, deferred);
    xt_wipe(pepper, sizeof(pepper));
    return status;
}

/* Makes an attempt of what he shows. */
static void try(struct xt_call *call, const struct xt_decision_request *request,
                struct xt_id subject, const struct held *held, struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct deciding), finish, note, NULL};
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    struct deciding *deciding = deferred->memory;
    deciding->subject = subject;
    deciding->approve = request->approve;
    memcpy(deciding->handle, request->handle, sizeof(deciding->handle));
    enum xt_status status = check_device(call, request, held, deciding);
    if (status == XT_OK && request->passcode.size > 0) {
        status = compare_passcode(call->service, request->passcode, held->phc, deferred);
    } else if (status == XT_OK) {
        send_decision(deferred);
    }
    if (status != XT_OK) { /* no attempt was made */
        xt_deferred_cancel(deferred, answer);
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
    }
}

/* The backend has said itself what unlocks the device: that this is not enough to approve the request is told before
 * anything is tried. */
static bool is_enough(const struct xt_decision_request *request, const struct held *held,
                      const struct xt_backchannel *asked)
{
    unsigned factors =
        XT_FACTOR_DEVICE_KEY | (request->passcode.size > 0 ? XT_FACTOR_PASSCODE : 0U);
    return !request->approve || level_of(factors, held->device.unlocked_by) >= asked->least_level;
}

static void decide(struct xt_call *call, const struct xt_decision_request *request,
                   struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_register people;
    struct xt_backchannel asked;
    struct xt_id subject;
    struct held held;
    if (xt_backchannel_subject(call, request->id, &people, &subject, answer) != XT_OK) {
        return;
    }
    xt_call_note_subject(call, subject);
    enum xt_status status = xt_live_backchannel(service->live, request->handle, &asked);
    bool his = status == XT_OK && asked.subject.kind == subject.kind &&
               asked.subject.value == subject.value;
    if (status == XT_NOT_FOUND || (status == XT_OK && !his)) {
        xt_call_refuse(call, XT_PROBLEM_REQUEST_CLOSED, NULL, answer);
        return;
    }
    if (status == XT_OK) {
        status = look_up(&people, subject, request->device_id, &held);
    }
    if (status != XT_OK) {
        service->live_failed |= status == XT_IO;
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
    } else if (!is_enough(request, &held, &asked)) {
        xt_call_refuse(call, XT_PROBLEM_LEVEL_TOO_LOW, NULL, answer);
    } else {
        try(call, request, subject, &held, answer);
    }
}

void xt_handle_backchannel_decide(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_decision_request request;
    struct xt_request_errors errors;
    if (xt_call_begin_json(call, XT_RIGHT_ACCOUNTS, XT_AUTHENTICATE_BODY_MAX, answer) == NULL) {
        return;
    }
    if (xt_decision_request_from_json(call->request->body, call->request->body_size, service->arena,
                                      &request, &errors) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        xt_wipe(call->request->body, call->request->body_size); /* a passcode may be in it */
        return;
    }
    xt_call_note_subject(call, request.id);
    if (service->generation == NULL || service->live == NULL || service->keyring == NULL ||
        service->deferred == NULL || service->hashing == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else if (xt_call_take_quota(call, request.id, answer)) {
        decide(call, &request, answer);
    }
    if (request.passcode.size > 0) { /* the body is wiped only where its answer comes later */
        xt_wipe((uint8_t *)(uintptr_t)request.passcode.data, request.passcode.size);
    }
}
