/* The partner's side: asking for an authentication, and for what became of it. */
#include "net/backchannel.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/assurance.h"
#include "core/jose.h"
#include "net/deferred.h"
#include "net/oauth.h"
#include "net/route.h"
#include "store/live_account.h"

#define AUTH_REQ_ID 32 /* bytes, random */
#define AUTH_REQ_TEXT ((AUTH_REQ_ID * 4 + 2) / 3)
#define GRANT_TYPE "urn:openid:params:grant-type:ciba"

_Static_assert(XT_REQUEST_HANDLE == XT_ACCOUNT_ID, "the writer knows it by its name");

/* The name of a request. Of the text, so that nothing is decoded. */
static void handle_of(struct xt_span auth_req_id, uint8_t handle[XT_REQUEST_HANDLE])
{
    uint8_t digest[XT_SHA256];
    xt_sha256(auth_req_id, digest);
    memcpy(handle, digest, XT_REQUEST_HANDLE);
}

void xt_backchannel_audience(const uint8_t handle[XT_REQUEST_HANDLE], bool approve,
                             struct xt_writer *writer)
{
    xt_write_literal(writer, "urn:xacthuc:ciba:");
    xt_base64url_write(writer, xt_span_of(handle, XT_REQUEST_HANDLE));
    xt_write_string(writer, approve ? ":approve" : ":deny");
}

enum xt_status xt_backchannel_subject(struct xt_call *call, struct xt_id id,
                                      struct xt_register *people, struct xt_id *subject,
                                      struct xt_answer *answer)
{
    struct xt_found found;
    enum xt_status status = xt_service_accounts(call->service, people);
    if (status == XT_OK) {
        status = xt_register_find(people, id, &found);
    }
    if (status != XT_OK) {
        call->service->live_failed |= status == XT_IO;
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
        return status;
    }
    bool hidden = found.by_alias && call->allowance->partner->without_old_numbers;
    *subject = id;
    if (found.found && !hidden) {
        *subject = (struct xt_id){.kind = XT_ID_PERSONAL, .value = found.hot.number};
    }
    return XT_OK;
}

/* ---- POST /v1/backchannel/authorize ------------------------------------------------------------- */

struct question {
    struct xt_id subject;
    uint32_t expiry_s;
    char auth_req_id[AUTH_REQ_TEXT + 1], purpose[XT_PURPOSE_NAME_MAX + 1];
};

/* What a form asks for. */
struct asked {
    struct xt_id id;
    const struct xt_purpose *purpose;
    struct xt_span scope, binding;
    uint32_t expiry_s;
};

/* Words of printable ASCII without quotation mark and backslash (RFC 6749, section 3.3), openid among them. */
static bool take_scope(const struct xt_form *form, struct xt_span *scope)
{
    bool openid = false;
    size_t start = 0;
    if (!xt_form_find(form, "scope", scope) || scope->size > XT_BACKCHANNEL_TEXT_MAX) {
        return false;
    }
    for (size_t i = 0; i <= scope->size; i++) {
        bool end = i == scope->size || scope->data[i] == ' ';
        if (end) {
            openid |= xt_span_is(xt_span_of(scope->data + start, i - start), "openid");
            start = i + 1;
        } else if (scope->data[i] < '!' || scope->data[i] > '~' || scope->data[i] == '"' ||
                   scope->data[i] == '\\') {
            return false;
        }
    }
    return openid;
}

/* More than the most is taken as the most, which expires_in tells. */
static bool take_expiry(const struct xt_form *form, uint32_t *expiry_s)
{
    struct xt_span text;
    *expiry_s = XT_BACKCHANNEL_EXPIRY_S;
    if (!xt_form_find(form, "requested_expiry", &text)) {
        return true;
    }
    uint32_t value = 0;
    if (text.size > 9 || text.data[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text.data[i] - '0');
    }
    *expiry_s = value < XT_BACKCHANNEL_EXPIRY_LEAST_S  ? XT_BACKCHANNEL_EXPIRY_LEAST_S
                : value > XT_BACKCHANNEL_EXPIRY_MOST_S ? XT_BACKCHANNEL_EXPIRY_MOST_S
                                                       : value;
    return true;
}

/* By the request alone, whoever it is about. */
static enum xt_problem read_question(const struct xt_partner *partner, const struct xt_form *form,
                                     struct asked *asked)
{
    static const char *const refused[] = {"login_hint_token", "id_token_hint", "request",
                                          "user_code"};
    struct xt_span hint, text;
    struct xt_assurance assurance;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (xt_form_find(form, refused[i], &text)) {
            return XT_PROBLEM_INVALID_REQUEST;
        }
    }
    if (!xt_form_find(form, "login_hint", &hint) || xt_id_parse(hint, &asked->id) != XT_OK ||
        !take_expiry(form, &asked->expiry_s) || !xt_form_find(form, "purpose", &text)) {
        return XT_PROBLEM_INVALID_REQUEST;
    }
    if (!take_scope(form, &asked->scope)) {
        return XT_PROBLEM_INVALID_SCOPE;
    }
    if (xt_form_find(form, "binding_message", &asked->binding) &&
        asked->binding.size > XT_BACKCHANNEL_TEXT_MAX) {
        return XT_PROBLEM_INVALID_BINDING_MESSAGE;
    }
    asked->purpose = xt_partner_purpose(partner, text);
    if (asked->purpose == NULL) {
        return XT_PROBLEM_PURPOSE_NOT_PERMITTED;
    }
    xt_assurance_of(XT_FACTOR_DEVICE_KEY, &assurance);
    return assurance.level < asked->purpose->least_level ? XT_PROBLEM_LEVEL_TOO_LOW
                                                         : XT_PROBLEM_NONE;
}

static void finish_question(struct xt_deferred *deferred, struct xt_call *call,
                            struct xt_answer *answer)
{
    const struct question *question = deferred->memory;
    struct xt_service *service = call->service;
    xt_call_note_subject(call, question->subject);
    call->entry.purpose = xt_span_of_string(question->purpose);
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    if (deferred->status != XT_OK) { /* he has as many as he may have, whoever he is */
        xt_call_refuse(call, XT_PROBLEM_RATE_EXCEEDED, NULL, answer);
        answer->retry_after_s = XT_BACKCHANNEL_EXPIRY_LEAST_S;
        return;
    }
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    char text[160];
    (void)snprintf(text, sizeof(text), "{\"auth_req_id\":\"%s\",\"expires_in\":%u,\"interval\":%u}",
                   question->auth_req_id, question->expiry_s, XT_BACKCHANNEL_INTERVAL_S);
    xt_write_string(&writer, text);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

static void send_question(struct xt_deferred *deferred, const struct asked *asked, uint64_t now_ms)
{
    const struct question *question = deferred->memory;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {.type = XT_ACCOUNT_BACKCHANNEL_ASKED,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .subject = question->subject,
                                    .expires_ms = now_ms + (uint64_t)question->expiry_s * 1000,
                                    .purpose = xt_span_of_string(asked->purpose->name),
                                    .scope = asked->scope,
                                    .binding = asked->binding};
    handle_of(xt_span_of_string(question->auth_req_id), told.id);
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
    xt_wipe(body, sizeof(body));
}

static void ask(struct xt_call *call, const struct asked *asked, struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct question), finish_question, NULL, NULL};
    struct xt_register people;
    struct xt_id subject;
    uint8_t random[AUTH_REQ_ID];
    if (xt_backchannel_subject(call, asked->id, &people, &subject, answer) != XT_OK) {
        return;
    }
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    struct question *question = deferred->memory;
    question->subject = subject;
    question->expiry_s = asked->expiry_s;
    memcpy(question->purpose, asked->purpose->name, sizeof(question->purpose));
    xt_random(random, sizeof(random));
    struct xt_writer writer = xt_writer_over(question->auth_req_id, AUTH_REQ_TEXT);
    xt_base64url_write(&writer, xt_span_of(random, sizeof(random)));
    xt_require(!writer.overflow);
    send_question(deferred, asked, call->service->unix_ms);
}

void xt_handle_backchannel_authorize(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_form form;
    struct asked asked = {.purpose = NULL};
    const struct xt_partner *partner = xt_oauth_begin(call, XT_RIGHT_AUTHENTICATE, &form, answer);
    if (partner == NULL) {
        return;
    }
    enum xt_problem problem = read_question(partner, &form, &asked);
    if (problem != XT_PROBLEM_NONE) {
        xt_oauth_refuse(call, problem, answer);
        return;
    }
    xt_call_note_subject(call, asked.id);
    call->entry.purpose = xt_span_of_string(asked.purpose->name);
    if (service->generation == NULL || !xt_oauth_can_give(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else if (xt_call_take_quota(call, asked.id, answer)) {
        ask(call, &asked, answer);
    }
}

/* ---- how often --------------------------------------------------------------------------------- */

/* When this worker was asked last about a request, in the place its name picks: another one there is
 * forgotten, which costs nothing but a question more. */
#define POLLS 1024
struct xt_backchannel_polls {
    struct {
        uint8_t handle[XT_REQUEST_HANDLE];
        uint64_t at_ms;
    } places[POLLS];
};

static bool is_too_soon(struct xt_service *service, const uint8_t handle[XT_REQUEST_HANDLE])
{
    if (service->polls == NULL) {
        service->polls = calloc(1, sizeof(*service->polls));
    }
    if (service->polls == NULL) {
        return false;
    }
    unsigned place = (handle[0] | (unsigned)handle[1] << 8) % POLLS;
    uint64_t now_ms = service->monotonic_ns / 1000000, before = service->polls->places[place].at_ms;
    bool same =
        before != 0 && memcmp(service->polls->places[place].handle, handle, XT_REQUEST_HANDLE) == 0;
    memcpy(service->polls->places[place].handle, handle, XT_REQUEST_HANDLE);
    service->polls->places[place].at_ms = now_ms;
    /* A second less, for what the way takes. */
    return same && now_ms - before < (XT_BACKCHANNEL_INTERVAL_S - 1) * 1000;
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

static void finish_taking(struct xt_deferred *deferred, struct xt_call *call,
                          struct xt_answer *answer)
{
    const struct taking *taking = deferred->memory;
    struct xt_service *service = call->service;
    xt_call_note_subject(call, taking->request.subject);
    call->entry.purpose = xt_span_of_string(taking->request.purpose);
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
    static const struct xt_deferred_kind kind = {sizeof(struct taking), finish_taking, NULL, NULL};
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
static enum xt_problem judge(struct xt_service *service, const struct xt_partner *partner,
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
    handle_of(auth_req_id, handle);
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
