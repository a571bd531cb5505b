/* net/jwks: GET /.well-known/jwks.json: the public keys that answers and tokens are signed with (RFC 7517): those of
 * answers first. A token names its key (kid); one of before stays until its last token is over. */
#include "net/route.h"

/* Seconds that a client may keep the list: short against the time that a key is published before it
 * signs, which is that between two rotations. */
#define MAX_AGE_S 3600

_Static_assert(2 * XT_ANSWER_JWKS_MAX + 32 <= XT_SCRATCH, "every key fits");

void xt_handle_jwks(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    xt_write_literal(&writer, "{\"keys\":[");
    if (service->answer_keys != NULL) {
        xt_answer_keys_to_json(service->answer_keys, &writer);
    }
    if (service->token_keys != NULL) {
        if (service->answer_keys != NULL) {
            xt_write_byte(&writer, ',');
        }
        xt_answer_keys_to_json_since(service->token_keys, xt_service_token_keys_since(service),
                                     &writer);
    }
    xt_write_literal(&writer, "]}");
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer), .max_age_s = MAX_AGE_S};
}
