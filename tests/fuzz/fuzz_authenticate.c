/* POST /v1/challenges, /v1/authenticate and those of the back channel: all readers take or refuse every text, with errors of known
 * places, and what they take is within bounds. */
#include "core/authenticate.h"
#include "core/policy.h"
#include "core/token.h"
#include "tests/fuzz/fuzz.h"

static uint8_t memory[1 << 20];

static void look(enum xt_status status, const struct xt_request_errors *errors)
{
    xt_require((status == XT_OK) == (errors->count == 0));
    xt_require(errors->count <= XT_REQUEST_ERRORS_MAX);
    for (unsigned i = 0; i < errors->count; i++) {
        xt_require(memchr(errors->list[i].pointer, '\0', sizeof(errors->list[i].pointer)) != NULL);
        xt_require(errors->list[i].code != NULL);
    }
}

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_json_arena arena = {memory, sizeof(memory)};
    struct xt_challenge_request challenge;
    struct xt_authenticate_request request;
    struct xt_decision_request decision;
    struct xt_id id;
    struct xt_request_errors errors = {0};
    uint8_t *copy = fuzz_copy(data, size, 4);
    look(xt_challenge_request_from_json(copy, size, arena, &challenge, &errors), &errors);
    free(copy);
    copy = fuzz_copy(data, size, 4);
    enum xt_status status = xt_authenticate_request_from_json(copy, size, arena, &request, &errors);
    look(status, &errors);
    if (status == XT_OK) {
        xt_require(request.factors != 0 && xt_token_text_is_valid(request.audience));
        xt_require(request.passcode.size <= XT_PASSCODE_MAX);
        xt_require((request.factors & XT_FACTOR_DEVICE_KEY) == 0 || request.device_id.size > 0);
    }
    free(copy);
    copy = fuzz_copy(data, size, 4);
    look(xt_pending_request_from_json(copy, size, arena, &id, &errors), &errors);
    free(copy);
    copy = fuzz_copy(data, size, 4);
    status = xt_decision_request_from_json(copy, size, arena, &decision, &errors);
    look(status, &errors);
    if (status == XT_OK) {
        xt_require(decision.challenge.size == XT_CHALLENGE_CHARACTERS);
        xt_require(decision.device_id.size > 0 && decision.device_id.size <= XT_DEVICE_ID_MAX);
    }
    free(copy);
}
