/* Challenges that were used: keys alone, in order of time.
 *
 *   table `nonces`   until when it is remembered 8, big endian, ms | nonce 16 -> ""
 *
 * A challenge's time follows from the challenge, so that whoever shows it again comes to the same key; and
 * those that are used together stand together: a group changes a few pages at the end of the table, and a few
 * at its beginning where they are forgotten, however many there are. With keys at random each challenge cost
 * four pages of its own. A nonce is random and says nothing of anybody.
 */
#include <lmdb.h>

#include "store/live_account_internal.h"

static void make_key(const uint8_t nonce[XT_ACCOUNT_ID], uint64_t until_ms,
                     uint8_t key[XT_LIVE_NONCE_KEY])
{
    xt_live_log_key(until_ms, key);
    memcpy(key + 8, nonce, XT_ACCOUNT_ID);
}

enum xt_status xt_live_nonce_is_used(const struct xt_live *live, const uint8_t nonce[XT_ACCOUNT_ID],
                                     uint64_t until_ms, bool *used)
{
    uint8_t bytes[XT_LIVE_NONCE_KEY];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value;
    if (!live->active) {
        return XT_IO;
    }
    make_key(nonce, until_ms, bytes);
    int code = mdb_get(live->txn, live->tables[XT_LIVE_NONCES], &key, &value);
    *used = code != MDB_NOTFOUND;
    return code == 0 || code == MDB_NOTFOUND ? XT_OK : xt_live_failed(NULL, "", code);
}

int xt_live_nonce_use_up(struct xt_live *live, const uint8_t nonce[XT_ACCOUNT_ID],
                         uint64_t until_ms)
{
    uint8_t bytes[XT_LIVE_NONCE_KEY];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val nothing = {.mv_size = 0, .mv_data = bytes};
    make_key(nonce, until_ms, bytes);
    return mdb_put(live->txn, live->tables[XT_LIVE_NONCES], &key, &nothing, 0);
}

static uint64_t until_of(MDB_val key)
{
    const uint8_t *bytes = key.mv_data;
    uint64_t until_ms = 0;
    for (unsigned i = 0; i < 8; i++) {
        until_ms = until_ms << 8 | bytes[i];
    }
    return until_ms;
}

int xt_live_nonces_forget(struct xt_live *live, unsigned most, unsigned *forgotten)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    *forgotten = 0;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_NONCES], &cursor);
    if (code != 0) {
        return code;
    }
    while (*forgotten < most && (code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) == 0) {
        if (key.mv_size != XT_LIVE_NONCE_KEY) {
            code = MDB_CORRUPTED;
            break;
        }
        if (until_of(key) + XT_LIVE_DUE_LATE_MS > live->swept_ms) {
            break;
        }
        code = mdb_cursor_del(cursor, 0);
        if (code != 0) {
            break;
        }
        ++*forgotten;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}
