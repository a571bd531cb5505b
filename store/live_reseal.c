/* The whole live store under another master key. */
#include <lmdb.h>

#include "store/live_internal.h"

#define TRIES 8 /* each with twice the map */

/* With a sealer of key_id and salt, in one transaction. Codes of LMDB's; nothing is open after it. */
static int try_reseal(struct xt_live *live, const struct xt_keyring *keyring, uint32_t key_id,
                      const uint8_t salt[XT_SALT_BYTES], const struct xt_live_sealer *sealer)
{
    int code = xt_live_begin_write(live);
    if (code != 0) {
        return code;
    }
    code = xt_live_records_reseal(live, sealer);
    if (code == 0) {
        code = xt_live_put_header(live, keyring, key_id, salt, sealer);
    }
    return xt_live_end_write(live, code);
}

static void take(struct xt_live *live, uint32_t key_id, const uint8_t salt[XT_SALT_BYTES],
                 struct xt_live_sealer *sealer)
{
    xt_live_sealer_close(live->sealer);
    live->sealer = sealer;
    live->key_id = key_id;
    live->version = XT_LIVE_VERSION;
    memcpy(live->salt, salt, XT_SALT_BYTES);
}

enum xt_status xt_live_reseal(struct xt_live *live, const struct xt_keyring *keyring, bool *done,
                              struct xt_failure *failure)
{
    uint8_t salt[XT_SALT_BYTES];
    struct xt_live_sealer *sealer = NULL;
    uint32_t key_id = xt_keyring_current(keyring);
    xt_require(live->writes && live->txn == NULL);
    *done = false;
    if (live->key_id == key_id && live->version == XT_LIVE_VERSION) {
        return XT_OK;
    }
    xt_random(salt, sizeof(salt));
    enum xt_status status = xt_live_sealer_open(keyring, key_id, salt, &sealer);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot seal the live store anew: %s",
                       xt_status_name(status));
    }
    xt_live_sealer_same_hash(sealer, live->sealer);
    xt_live_stop_walking(live); /* what it still has to read is under the sealer of now */
    int code = xt_live_grow(live, false);
    for (unsigned tries = 0; code == 0 && tries < TRIES; tries++) {
        code = try_reseal(live, keyring, key_id, salt, sealer);
        if (code != MDB_MAP_FULL) {
            break;
        }
        code = tries + 1 < TRIES ? xt_live_grow(live, true) : code;
    }
    if (code == 0) {
        take(live, key_id, salt, sealer);
        *done = true;
        return XT_OK;
    }
    xt_live_sealer_close(sealer);
    return xt_live_lacks_room(live, code)
               ? xt_fail(failure, XT_DISK_FULL,
                         "cannot seal the live store anew: the disk is full; make room")
               : xt_live_broken(failure, "seal the live store anew", code);
}
