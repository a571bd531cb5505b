/* net/challenges: POST /v1/challenges: what a citizen signs to show that he is there now. Nobody is looked up:
 * a number that nobody has gets its challenge as well. */
#include "core/authenticate.h"
#include "crypto/challenge.h"
#include "net/caller.h"
#include "net/route.h"

_Static_assert(XT_CHALLENGE_TEXT == XT_CHALLENGE_CHARACTERS, "core/authenticate reads them");

static void write_answer(struct xt_call *call, const char text[XT_CHALLENGE_TEXT],
                         struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    _Static_assert(XT_CHALLENGE_MS == 60000, "expires_in below");
    xt_write_literal(&writer, "{\"challenge\":\"");
    xt_write(&writer, text, XT_CHALLENGE_TEXT);
    xt_write_literal(&writer, "\",\"expires_in\":60}");
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

void xt_handle_challenges(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_challenge_request request;
    struct xt_request_errors errors;
    char text[XT_CHALLENGE_TEXT];
    const struct xt_partner *partner =
        xt_call_begin_json(call, XT_RIGHT_AUTHENTICATE, XT_AUTHENTICATE_BODY_MAX, answer);
    if (partner == NULL) {
        return;
    }
    if (xt_challenge_request_from_json(call->request->body, call->request->body_size,
                                       service->arena, &request, &errors) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        return;
    }
    xt_call_note_subject(call, request.id);
    struct xt_challenge_scope scope = {.id = request.id,
                                       .factor = (unsigned)request.factor,
                                       .audience = request.audience,
                                       .partner = xt_span_of_string(partner->name)};
    if (service->keyring == NULL ||
        xt_challenge_make(service->keyring, &scope, service->unix_ms, text) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    write_answer(call, text, answer);
}
