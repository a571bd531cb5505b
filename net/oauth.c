#include "net/oauth.h"

#include <stdio.h>

#include "core/assurance.h"
#include "store/live_account.h"

void xt_oauth_refuse(struct xt_call *call, enum xt_problem problem, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    const struct xt_problem_text *text = xt_problem_text(problem);
    xt_call_refuse(call, problem, NULL, answer); /* logs it; the body is another */
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    xt_write_literal(&writer, "{\"error\":\"");
    xt_write_string(&writer, text->code);
    xt_write_literal(&writer, "\",\"error_description\":\"");
    xt_write_string(&writer, text->title); /* of our own: no quotation marks in it */
    xt_write_literal(&writer, "\",\"answer_id\":\"");
    xt_write(&writer, call->answer_id, XT_ANSWER_ID);
    xt_write_literal(&writer, "\"}");
    xt_require(!writer.overflow);
    answer->type = XT_TYPE_JSON;
    answer->language = NULL;
    answer->body = xt_written(&writer);
}

const struct xt_partner *xt_oauth_begin(struct xt_call *call, enum xt_right right,
                                        struct xt_form *form, struct xt_answer *answer)
{
    struct xt_http_request *request = call->request;
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *partner = xt_call_partner_with(call, right, &problem);
    struct xt_span client;
    if (partner == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
    } else if (!xt_call_take_rate(call, answer)) {
        return NULL;
    } else if (!xt_call_has_type(request, "application/x-www-form-urlencoded")) {
        xt_call_refuse(call, XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL, answer);
    } else if (request->body_size > XT_OAUTH_BODY_MAX) {
        xt_call_refuse(call, XT_PROBLEM_BODY_TOO_LARGE, NULL, answer);
    } else if (xt_form_read(request->body, request->body_size, form) != XT_OK) {
        xt_oauth_refuse(call, XT_PROBLEM_INVALID_REQUEST, answer);
    } else if (xt_form_find(form, "client_id", &client) && !xt_span_is(client, partner->name)) {
        xt_oauth_refuse(call, XT_PROBLEM_INVALID_CLIENT, answer);
    } else {
        return partner;
    }
    return NULL;
}

struct xt_token_reader xt_oauth_reader(const struct xt_service *service)
{
    return (struct xt_token_reader){.keys = service->token_keys,
                                    .keys_since_s = xt_service_token_keys_since(service),
                                    .issuer = xt_span_of_string(service->issuer),
                                    .now_s = (int64_t)(service->unix_ms / 1000)};
}

enum xt_status xt_oauth_check(struct xt_service *service, struct xt_span text,
                              uint8_t payload[XT_TOKEN_PAYLOAD], struct xt_token_text *read)
{
    const struct xt_token_reader reader = xt_oauth_reader(service);
    if (service->token_cache == NULL) {
        service->token_cache = xt_token_cache_open();
    }
    return xt_token_check(&reader, service->token_cache, text, service->arena, payload, read);
}

/* ---- giving tokens ---------------------------------------------------------------------------- */

bool xt_oauth_can_give(const struct xt_service *service)
{
    return service->live != NULL && service->token_keys != NULL && service->issuer[0] != '\0';
}

void xt_oauth_grant(const struct xt_service *service, const struct xt_token_grant *grant,
                    struct xt_token *token)
{
    struct xt_assurance assurance;
    xt_assurance_of(grant->factors, grant->unlocked_by, &assurance);
    *token = (struct xt_token){.issuer = xt_span_of_string(service->issuer),
                               .audience = grant->audience,
                               .client = grant->partner,
                               .issued_s = (int64_t)(service->unix_ms / 1000),
                               .level = assurance.level,
                               .method_count = assurance.method_count};
    token->expires_s = token->issued_s + service->settings->token_ms / 1000;
    xt_live_pairwise(service->live, grant->number, token->client, token->subject);
    xt_live_token_handle(service->live, grant->number, token->handle);
    memcpy(token->methods, assurance.methods, sizeof(assurance.methods));
    memcpy(token->certificate, grant->certificate, sizeof(token->certificate));
}

void xt_oauth_write_token(const struct xt_service *service, const struct xt_token *token,
                          struct xt_writer *writer)
{
    char text[48];
    xt_write_literal(writer, "\"access_token\":\"");
    xt_token_make(service->token_keys, token, writer);
    (void)snprintf(text, sizeof(text), "\",\"token_type\":\"Bearer\",\"expires_in\":%u",
                   (unsigned)(token->expires_s - token->issued_s));
    xt_write_string(writer, text);
}
