/* The partner's side: what became of a request, and its tokens, once. */
#include "core/little_endian.h"
#include "net/backchannel.h"
#include "net/deferred.h"
#include "net/oauth.h"
#include "net/route.h"
#include "store/live_account.h"

#define GRANT_TYPE "urn:openid:params:grant-type:ciba"

/* ---- how often --------------------------------------------------------------------------------- */

/* When any worker was asked last about a request, in the place that its name picks (net/shared): another one there is
 * forgotten, which costs nothing but a question more.
 *
 *   mark of the name 32 | milliseconds of CLOCK_MONOTONIC, modulo 2^32
 *
 * Two that ask in the same instant may both be in time. */
static bool is_too_soon(const struct xt_service *service, const uint8_t handle[XT_REQUEST_HANDLE])
{
    struct xt_taker taker = xt_taker_over(xt_span_of(handle, XT_REQUEST_HANDLE));
    uint32_t place = (uint32_t)xt_take(&taker, 4);
    uint64_t mark = xt_take(&taker, 4) | 1; /* a place that nobody has used is none's */
    uint64_t *word = service->shared == NULL ? NULL : xt_shared_poll(service->shared, place);
    if (word == NULL) {
        return false;
    }
    uint32_t now_ms = (uint32_t)(service->monotonic_ns / 1000000);
    uint64_t before = __atomic_exchange_n(word, mark << 32 | now_ms, __ATOMIC_RELAXED);
    /* A second less, for what the way takes. */
    return before >> 32 == mark &&
           now_ms - (uint32_t)before < (XT_BACKCHANNEL_INTERVAL_S - 1) * 1000;
}

/* ---- POST /v1/token ---------------------------------------------------------------------------- */

struct taking {
    struct xt_backchannel request;
    uint8_t certificate[XT_SHA256];
};

_Static_assert(sizeof(struct taking) <= XT_DEFERRED_MEMORY, "it fits");

static void write_grant(struct xt_call *call, const struct taking *taking, struct xt_writer *writer)
{
    const struct xt_service *service = call->service;
    struct xt_token token;
    struct xt_token_grant grant = {.number = taking->request.subject.value,
                                   .factors = taking->request.factors,
                                   .unlocked_by = taking->request.unlocked_by,
                                   .partner = call->entry.partner,
                                   .audience = call->entry.partner};
    memcpy(grant.certificate, taking->certificate, sizeof(grant.certificate));
    xt_oauth_grant(service, &grant, &token);
    xt_write_byte(writer, '{');
    xt_oauth_write_token(service, &token, writer);
    xt_write_literal(writer, ",\"scope\":\"");
    xt_write_string(writer, taking->request.scope); /* nothing to escape: take_scope */
    xt_write_literal(writer, "\",\"id_token\":\"");
    xt_token_make_id(service->token_keys, &token, (int64_t)(taking->request.decided_ms / 1000),
                     writer);
    xt_write_literal(writer, "\"}");
    xt_require(!writer->overflow);
}

static void note_taking(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct taking *taking = deferred->memory;
    xt_call_note_subject(call, taking->request.subject);
    call->entry.purpose = xt_span_of_string(taking->request.purpose);
    xt_deferred_note(deferred, XT_ACCOUNT_BACKCHANNEL_TAKEN, call);
}

static void finish_taking(struct xt_deferred *deferred, struct xt_call *call,
                          struct xt_answer *answer)
{
    const struct taking *taking = deferred->memory;
    struct xt_service *service = call->service;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    if (deferred->status != XT_OK) {
        bool closed = deferred->outcome.conflict == XT_CONFLICT_PROOF_REFUSED; /* locked since */
        xt_oauth_refuse(call, closed ? XT_PROBLEM_ACCESS_DENIED : XT_PROBLEM_INVALID_GRANT, answer);
    } else if (call->allowance == NULL || !call->allowance->partner->active) {
        xt_call_refuse(call, XT_PROBLEM_PARTNER_INACTIVE, NULL, answer);
    } else if (!xt_oauth_can_give(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else {
        struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
        write_grant(call, taking, &writer);
        *answer =
            (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
    }
}

static void take(struct xt_call *call, const struct xt_backchannel *request,
                 struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct taking), finish_taking, note_taking,
                                                 NULL};
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    struct taking *taking = deferred->memory;
    taking->request = *request;
    memcpy(taking->certificate, call->peer->certificate, sizeof(taking->certificate));
    struct xt_account_event told = {.type = XT_ACCOUNT_BACKCHANNEL_TAKEN,
                                    .actor = xt_span_of_string(deferred->partner)};
    memcpy(told.id, request->id, sizeof(told.id));
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
}

/* What became of it; NONE: it is approved, and not taken yet. */
static enum xt_problem judge(const struct xt_service *service, const struct xt_partner *partner,
                             const struct xt_backchannel *request)
{
    if (strcmp(request->partner, partner->name) != 0 || request->state == XT_BACKCHANNEL_TAKEN) {
        return XT_PROBLEM_INVALID_GRANT;
    }
    if (request->expires_ms <= service->unix_ms) {
        return XT_PROBLEM_EXPIRED_TOKEN;
    }
    if (request->state == XT_BACKCHANNEL_DENIED) {
        return XT_PROBLEM_ACCESS_DENIED;
    }
    if (request->state == XT_BACKCHANNEL_PENDING) {
        return is_too_soon(service, request->id) ? XT_PROBLEM_SLOW_DOWN
                                                 : XT_PROBLEM_AUTHORIZATION_PENDING;
    }
    return XT_PROBLEM_NONE;
}

void xt_handle_token(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_register people;
    struct xt_backchannel request;
    struct xt_form form;
    struct xt_span type, auth_req_id;
    uint8_t handle[XT_REQUEST_HANDLE];
    const struct xt_partner *partner = xt_oauth_begin(call, XT_RIGHT_AUTHENTICATE, &form, answer);
    if (partner == NULL) {
        return;
    }
    if (!xt_form_find(&form, "grant_type", &type)) {
        xt_oauth_refuse(call, XT_PROBLEM_INVALID_REQUEST, answer);
        return;
    }
    if (!xt_span_is(type, GRANT_TYPE)) {
        xt_oauth_refuse(call, XT_PROBLEM_UNSUPPORTED_GRANT_TYPE, answer);
        return;
    }
    if (!xt_form_find(&form, "auth_req_id", &auth_req_id)) {
        xt_oauth_refuse(call, XT_PROBLEM_INVALID_REQUEST, answer);
        return;
    }
    if (service->generation == NULL || !xt_oauth_can_give(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    xt_backchannel_handle(auth_req_id, handle);
    enum xt_status status = xt_service_accounts(service, &people);
    if (status == XT_OK) {
        status = xt_live_backchannel(service->live, handle, &request);
    }
    if (status != XT_OK && status != XT_NOT_FOUND) {
        service->live_failed |= status == XT_IO;
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
        return;
    }
    enum xt_problem problem =
        status == XT_OK ? judge(service, partner, &request) : XT_PROBLEM_INVALID_GRANT;
    if (status == XT_OK && problem != XT_PROBLEM_INVALID_GRANT) {
        xt_call_note_subject(call, request.subject);
    }
    if (problem != XT_PROBLEM_NONE) {
        xt_oauth_refuse(call, problem, answer);
    } else {
        take(call, &request, answer);
    }
}
