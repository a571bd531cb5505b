#include "net/token_answer.h"

#include <stdio.h>

#include "core/assurance.h"
#include "core/jose.h"
#include "store/live_account.h"

_Static_assert(XT_ASSURANCE_METHODS_MAX <= XT_TOKEN_METHODS_MAX, "a token has room for them");

bool xt_token_can_be_given(const struct xt_service *service)
{
    return service->live != NULL && service->token_keys != NULL && service->issuer[0] != '\0';
}

static void fill(const struct xt_call *call, const struct xt_token_grant *grant,
                 struct xt_token *token)
{
    const struct xt_service *service = call->service;
    struct xt_assurance assurance;
    xt_assurance_of(grant->factors, grant->unlocked_by, &assurance);
    *token = (struct xt_token){.issuer = xt_span_of_string(service->issuer),
                               .audience = grant->audience,
                               .client = call->entry.partner,
                               .issued_s = (int64_t)(service->unix_ms / 1000),
                               .level = assurance.level,
                               .method_count = assurance.method_count};
    token->expires_s = token->issued_s + service->settings->token_ms / 1000;
    xt_live_pairwise(service->live, grant->number, token->client, token->subject);
    xt_live_token_handle(service->live, grant->number, token->handle);
    memcpy(token->methods, assurance.methods, sizeof(assurance.methods));
    memcpy(token->certificate, grant->certificate, sizeof(token->certificate));
}

void xt_token_answer(const struct xt_call *call, const struct xt_token_grant *grant,
                     struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    struct xt_token token;
    char text[64];
    fill(call, grant, &token);
    xt_write_literal(&writer, "{\"access_token\":\"");
    xt_token_make(service->token_keys, &token, &writer);
    (void)snprintf(text, sizeof(text),
                   "\",\"token_type\":\"Bearer\",\"expires_in\":%u,\"acr\":\"%u\"",
                   service->settings->token_ms / 1000, token.level);
    xt_write_string(&writer, text);
    for (unsigned i = 0; i < token.method_count; i++) {
        xt_write_string(&writer, i == 0 ? ",\"amr\":[\"" : ",\"");
        xt_write_span(&writer, token.methods[i]);
        xt_write_byte(&writer, '"');
    }
    xt_write_literal(&writer, "],\"sub\":\"");
    xt_base64url_write(&writer, xt_span_of(token.subject, sizeof(token.subject)));
    xt_write_literal(&writer, "\"}");
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}
