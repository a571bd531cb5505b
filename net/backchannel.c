/* The partner's side: asking for an authentication. */
#include "net/backchannel.h"

#include <stdio.h>

#include "core/jose.h"
#include "net/deferred.h"
#include "net/oauth.h"
#include "net/route.h"
#include "store/live_account.h"

#define AUTH_REQ_ID 32 /* bytes, random */
#define AUTH_REQ_TEXT ((AUTH_REQ_ID * 4 + 2) / 3)

_Static_assert(XT_REQUEST_HANDLE == XT_ACCOUNT_ID, "the writer knows it by its name");

void xt_backchannel_handle(struct xt_span auth_req_id, uint8_t handle[XT_REQUEST_HANDLE])
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
    unsigned level; /* the least to approve it at; 0: any */
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

/* It is shown to a person who is to approve: characters that turn the order of others round (Unicode, bidirectional
 * formatting: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069) or break lines (U+2028, U+2029) would make
 * it look like another. */
static bool misleads(struct xt_span text)
{
    for (size_t i = 0; i + 1 < text.size; i++) {
        const uint8_t *at = text.data + i;
        uint8_t third = i + 2 < text.size ? at[2] : 0;
        bool general = at[0] == 0xe2 && at[1] == 0x80 &&
                       (third == 0x8e || third == 0x8f || (third >= 0xa8 && third <= 0xae));
        bool isolate = at[0] == 0xe2 && at[1] == 0x81 && third >= 0xa6 && third <= 0xa9;
        if (general || isolate || (at[0] == 0xd8 && at[1] == 0x9c)) {
            return true;
        }
    }
    return false;
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

/* What the purpose asks for, and the lowest of acr_values, which the caller may leave out (CIBA core, section 7.1): how the
 * person is authenticated is ours to say, and it is at one of them or above. Values of others are passed over. */
static unsigned take_level(const struct xt_form *form, unsigned least_level)
{
    struct xt_span text;
    unsigned lowest = XT_LEVEL_MOST + 1;
    if (!xt_form_find(form, "acr_values", &text)) {
        return least_level;
    }
    for (size_t i = 0; i < text.size; i++) {
        bool alone =
            (i == 0 || text.data[i - 1] == ' ') && (i + 1 == text.size || text.data[i + 1] == ' ');
        unsigned level = alone ? (unsigned)text.data[i] - '0' : 0;
        lowest = level >= 1 && level < lowest ? level : lowest;
    }
    return lowest > XT_LEVEL_MOST || lowest < least_level ? least_level : lowest;
}

/* By the request alone, whoever it is about. */
static enum xt_problem read_question(const struct xt_partner *partner, const struct xt_form *form,
                                     struct asked *asked)
{
    static const char *const refused[] = {"login_hint_token", "id_token_hint", "request",
                                          "user_code"};
    struct xt_span hint, text;
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
        (asked->binding.size > XT_BACKCHANNEL_TEXT_MAX || misleads(asked->binding))) {
        return XT_PROBLEM_INVALID_BINDING_MESSAGE;
    }
    asked->purpose = xt_partner_purpose(partner, text);
    if (asked->purpose == NULL) {
        return XT_PROBLEM_PURPOSE_NOT_PERMITTED;
    }
    asked->level = take_level(form, asked->purpose->least_level);
    return XT_PROBLEM_NONE;
}

static void note_question(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct question *question = deferred->memory;
    xt_call_note_subject(call, question->subject);
    call->entry.purpose = xt_span_of_string(question->purpose);
    xt_deferred_note(deferred, XT_ACCOUNT_BACKCHANNEL_ASKED, call);
}

static void finish_question(struct xt_deferred *deferred, struct xt_call *call,
                            struct xt_answer *answer)
{
    const struct question *question = deferred->memory;
    struct xt_service *service = call->service;
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
                                    .level = asked->level,
                                    .scope = asked->scope,
                                    .binding = asked->binding};
    xt_backchannel_handle(xt_span_of_string(question->auth_req_id), told.id);
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
    xt_wipe(body, sizeof(body));
}

static void ask(struct xt_call *call, const struct asked *asked, struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct question), finish_question,
                                                 note_question, NULL};
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
