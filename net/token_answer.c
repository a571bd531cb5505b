#include "net/token_answer.h"

#include <stdio.h>

#include "core/assurance.h"
#include "core/jose.h"
#include "store/live_account.h"

_Static_assert(XT_ASSURANCE_METHODS_MAX <= XT_TOKEN_METHODS_MAX, "a token has room for them");

void xt_token_answer(const struct xt_call *call, const struct xt_token_grant *grant,
                     struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    struct xt_token token;
    char text[64];
    xt_oauth_grant(service, grant, &token);
    xt_write_byte(&writer, '{');
    xt_oauth_write_token(service, &token, &writer);
    (void)snprintf(text, sizeof(text), ",\"acr\":\"%u\"", token.level);
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
