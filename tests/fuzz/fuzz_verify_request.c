/* A refused request is refused with a reason that points somewhere, and both readers give the same. */
#include "core/person.h"
#include "core/request_read.h"
#include "tests/core/same_request.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_VERIFY_ARENA];

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_verify_request request;
    struct xt_request_errors errors = {0};
    struct xt_json_arena memory = {arena, sizeof(arena)};
    struct xt_verify_request plain;
    uint8_t *exact = fuzz_copy(data, size, 0);
    bool is_plain = xt_verify_request_read_plain(exact, size, &plain);
    uint8_t *copy = fuzz_copy(data, size, 4);
    if (xt_verify_request_read_any(copy, size, memory, &request, &errors) == XT_OK) {
        xt_require(!is_plain || same_request(&plain, &request));
        xt_require(errors.count == 0 && request.txn.size <= XT_TXN_BYTES);
    } else {
        xt_require(!is_plain || size > XT_VERIFY_BODY_MAX);
        xt_require(errors.count >= 1 && errors.count <= XT_REQUEST_ERRORS_MAX);
        for (unsigned i = 0; i < errors.count; i++) {
            xt_require(errors.list[i].code != NULL);
            xt_require(memchr(errors.list[i].pointer, 0, sizeof(errors.list[i].pointer)) != NULL);
        }
    }
    free(exact);
    free(copy);
}
