#include "net/rehash.h"

#include "crypto/keyring.h"
#include "net/hashing.h"
#include "store/live_account.h"

static void on_made(void *context, const struct xt_hashing_result *result)
{
    const struct xt_rehash *rehash = context;
    struct xt_deferred *deferred = rehash->deferred;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {.type = XT_ACCOUNT_PASSCODE_REHASHED,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .subject = {.kind = XT_ID_PERSONAL, .value = rehash->number},
                                    .passcode = result->phc};
    if (result->status != XT_OK) {
        xt_deferred_done(deferred, XT_OK); /* he has passed all the same */
        return;
    }
    memcpy(told.digest, rehash->digest, sizeof(told.digest));
    xt_event_from_account(&told, body, &event);
    xt_deferred_send_also(deferred, &event);
    xt_wipe(body, sizeof(body));
}

bool xt_rehash_begin(struct xt_rehash *rehash, const struct xt_service *service)
{
    uint8_t pepper[XT_KEY_BYTES];
    if (service->live == NULL || service->hashing == NULL) {
        return false;
    }
    xt_live_pepper(service->live, pepper);
    enum xt_status status =
        xt_hashing_make(service->hashing, rehash->deferred->cell, pepper,
                        xt_span_of(rehash->passcode, rehash->passcode_size), on_made, rehash);
    xt_wipe(pepper, sizeof(pepper));
    return status == XT_OK;
}
