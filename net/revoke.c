/* net/revoke: POST /v1/revoke (RFC 7009): from its answer on no worker takes the token for one that counts.
 *
 * What is no token of ours, or counts no more, is answered in the same way (section 2.2): whoever wants it gone has
 * what he wants. */
#include "net/deferred.h"
#include "net/oauth.h"
#include "net/route.h"
#include "store/live_account.h"

struct revocation {
    uint64_t number; /* whose it is */
};

static void answer_done(struct xt_answer *answer)
{
    *answer =
        (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_span_of_string("{}")};
}

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct revocation *revocation = deferred->memory;
    xt_call_note_subject(call, (struct xt_id){.kind = XT_ID_PERSONAL, .value = revocation->number});
    xt_deferred_note(deferred, XT_ACCOUNT_TOKEN_REVOKED, call);
}

static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    if (deferred->status == XT_DENIED) { /* what is over already is none: this one goes on */
        xt_call_refuse(call, xt_problem_of_conflict(deferred->outcome.conflict), NULL, answer);
        return;
    }
    answer_done(answer);
}

static const struct xt_deferred_kind kind = {sizeof(struct revocation), finish, note, NULL};

static void send_event(struct xt_deferred *deferred, const struct xt_token *token)
{
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {.type = XT_ACCOUNT_TOKEN_REVOKED,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .expires_ms = (uint64_t)token->expires_s * 1000};
    memcpy(told.id, token->handle, sizeof(told.id));
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
}

void xt_handle_revoke(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_token_text read;
    struct xt_form form;
    struct xt_span text;
    uint8_t payload[XT_TOKEN_PAYLOAD];
    uint64_t number = 0;
    const struct xt_partner *partner = xt_oauth_begin(call, XT_RIGHT_AUTHENTICATE, &form, answer);
    if (partner == NULL) {
        return;
    }
    if (!xt_form_find(&form, "token", &text)) {
        xt_oauth_refuse(call, XT_PROBLEM_INVALID_REQUEST, answer);
        return;
    }
    if (service->live == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    if (xt_oauth_check(service, text, payload, &read) != XT_OK ||
        xt_live_token_number(service->live, read.claims.handle, &number) != XT_OK) {
        answer_done(answer);
        return;
    }
    if (!xt_span_is(read.claims.client, partner->name)) {
        xt_oauth_refuse(call, XT_PROBLEM_UNAUTHORIZED_CLIENT, answer);
        return;
    }
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred != NULL) {
        struct revocation *revocation = deferred->memory;
        revocation->number = number;
        send_event(deferred, &read.claims);
    }
}
