/* A refused request is refused with a reason that points somewhere. */
#include "core/person.h"
#include "core/request.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_VERIFY_ARENA];

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_verify_request request;
    struct xt_request_errors errors = {0};
    struct xt_json_arena memory = {arena, sizeof(arena)};
    uint8_t *copy = fuzz_copy(data, size, 4);
    if (xt_verify_request_from_json(copy, size, memory, &request, &errors) == XT_OK) {
        xt_require(errors.count == 0 && request.txn.size <= XT_TXN_BYTES);
    } else {
        xt_require(errors.count >= 1 && errors.count <= XT_REQUEST_ERRORS_MAX);
        for (unsigned i = 0; i < errors.count; i++) {
            xt_require(errors.list[i].code != NULL);
            xt_require(memchr(errors.list[i].pointer, 0, sizeof(errors.list[i].pointer)) != NULL);
        }
    }
    free(copy);
}
