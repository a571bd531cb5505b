/* net/introspect: POST /v1/introspect (RFC 7662): whether a token counts now, and what it says.
 *
 * It does while its signature is right, its time has not passed, nobody has revoked it, and the person is alive
 * with an account that nothing locks; and only for the partner whose certificate it is bound to, or whom its
 * audience names. Everything else is the same answer: {"active":false}.
 *
 * Of every token of ours all of that is looked up, and decided in the end: time tells no more than the answer. Of
 * others no more than the form and the signature is looked at; whoever can read a token knows those himself.
 */
#include "net/oauth.h"
#include "net/route.h"
#include "store/live_account.h"

static bool is_for(const struct xt_call *call, const struct xt_partner *partner,
                   const struct xt_token *token)
{
    return xt_secret_equal(token->certificate, call->peer->certificate, XT_TOKEN_CERTIFICATE) ||
           xt_span_is(token->audience, partner->name);
}

_Static_assert(XT_TOKEN_NOTE == XT_LIVE_TOKEN_MARK, "a mark is kept with a known token");

/* It is looked up each time; only where is kept. */
static enum xt_status is_revoked(const struct xt_live *live, const struct xt_token_text *read,
                                 bool *revoked)
{
    static const uint8_t nothing[XT_LIVE_TOKEN_MARK];
    uint8_t own[XT_LIVE_TOKEN_MARK] = {0};
    uint8_t *mark = read->note != NULL ? read->note : own;
    if (memcmp(mark, nothing, sizeof(nothing)) == 0) {
        xt_live_token_mark(live, read->claims.handle, mark);
    }
    return xt_live_token_is_revoked(live, mark, revoked);
}

/* is_right: by itself it counts, for him who asks. XT_OK: *active tells. Anything else: it cannot be told now. */
static enum xt_status ask_register(struct xt_call *call, const struct xt_token_text *read,
                                   bool is_right, bool *active)
{
    struct xt_service *service = call->service;
    const struct xt_token *token = &read->claims;
    struct xt_register people;
    struct xt_found found;
    uint64_t number = 0;
    bool revoked = true;
    enum xt_status status = xt_service_accounts(service, &people);
    if (status != XT_OK) {
        return status;
    }
    if (xt_live_token_number(service->live, token->handle, &number) != XT_OK) {
        *active = false;
        return XT_OK;
    }
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    xt_call_note_subject(call, id);
    call->entry.has_subject &= is_right;
    status = is_revoked(service->live, read, &revoked);
    if (status == XT_OK) {
        status = xt_register_find(&people, id, &found);
    }
    if (status == XT_OK) {
        *active = is_right && !revoked && found.found && !found.by_alias &&
                  found.hot.life == XT_LIFE_ALIVE && found.hot.account_level > 0 &&
                  found.hot.locks == 0;
    }
    return status;
}

static void write_active(const struct xt_token *token, struct xt_writer *writer)
{
    xt_write_literal(writer, "{\"active\":true,\"token_type\":\"Bearer\",");
    if (token->members.size > 0) {
        xt_write_span(writer, token->members);
    } else {
        xt_token_members_write(token, writer);
    }
    xt_write_byte(writer, '}');
}

void xt_handle_introspect(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_token_text read;
    struct xt_form form;
    struct xt_span text;
    uint8_t payload[XT_TOKEN_PAYLOAD];
    bool active = false;
    const struct xt_partner *partner = xt_oauth_begin(call, XT_RIGHT_AUTHENTICATE, &form, answer);
    if (partner == NULL) {
        return;
    }
    if (!xt_form_find(&form, "token", &text)) {
        xt_oauth_refuse(call, XT_PROBLEM_INVALID_REQUEST, answer);
        return;
    }
    if (service->generation == NULL || service->live == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    bool in_time = xt_oauth_check(service, text, payload, &read) == XT_OK;
    if (read.ours) {
        bool is_right = is_for(call, partner, &read.claims) & in_time;
        enum xt_status status = ask_register(call, &read, is_right, &active);
        if (status != XT_OK) {
            service->live_failed |= status == XT_IO;
            xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
            return;
        }
    }
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    if (active) {
        write_active(&read.claims, &writer);
    } else {
        xt_write_literal(&writer, "{\"active\":false}");
    }
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}
