/* The first byte is what is asked for, the rest its JSON: what was read obeys the limits that others rely on. */
#include "core/account_request.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_VERIFY_ARENA];

static void look(enum xt_account_action action, const struct xt_account_request *request)
{
    xt_require(request->device_id.size <= XT_DEVICE_ID_MAX &&
               request->passcode.size <= XT_PASSCODE_MAX &&
               request->key_size <= sizeof(request->key));
    xt_require((request->level != 0) == (action == XT_ACTION_ACTIVATE));
    xt_require((request->reason & ~(unsigned)XT_LOCKS_BY_PARTNERS) == 0);
    xt_require(request->reason != 0 || action != XT_ACTION_LOCK);
    xt_require((request->passcode.size > 0) == (action == XT_ACTION_PASSCODE));
    xt_require((request->key_size > 0) == (action == XT_ACTION_DEVICE_ADD));
}

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_account_request request;
    struct xt_request_errors errors;
    struct xt_json_arena memory = {arena, sizeof(arena)};
    if (size == 0) {
        return;
    }
    enum xt_account_action action =
        (enum xt_account_action)(data[0] % (XT_ACTION_DEVICE_REMOVE + 1));
    uint8_t *body = fuzz_copy(data + 1, size - 1, 4);
    enum xt_status status =
        xt_account_request_from_json(action, body, size - 1, memory, &request, &errors);
    xt_require((status == XT_OK) == (errors.count == 0));
    if (status == XT_OK) {
        look(action, &request);
    }
    free(body);
}
