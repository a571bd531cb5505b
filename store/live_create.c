/* A new live store, and the header that says what it is. */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "crypto/seal.h"
#include "store/live_internal.h"

/* magic 8 | version 4 | key id 4 | salt 32 | wrapped key of the hashes 72 | MAC 32 of all before
 * Version 1 has no wrapped key. */
#define MAGIC "xt-live\n"
#define MAGIC_SIZE 8
#define HEADER_PLAIN (MAGIC_SIZE + 4 + 4 + XT_SALT_BYTES)
#define HEADER_SIGNED (HEADER_PLAIN + XT_LIVE_HASH_KEY_WRAPPED)
#define HEADER_SIZE (HEADER_SIGNED + XT_DIGEST_BYTES)
#define HEADER_KEY "header"

static enum xt_status make_mac(const struct xt_keyring *keyring, uint32_t key_id,
                               const uint8_t salt[XT_SALT_BYTES], struct xt_span header,
                               uint8_t mac[XT_DIGEST_BYTES])
{
    uint8_t key[XT_KEY_BYTES];
    enum xt_status status = xt_keyring_derive(keyring, key_id, XT_USE_LIVE_HASH, 1, salt, key);
    if (status == XT_OK) {
        xt_mac(key, header, mac);
    }
    xt_wipe(key, sizeof(key));
    return status;
}

static void make_header(const struct xt_keyring *keyring, uint32_t key_id,
                        const uint8_t salt[XT_SALT_BYTES], const struct xt_live_sealer *sealer,
                        uint8_t header[HEADER_SIZE])
{
    struct xt_writer writer = xt_writer_over(header, HEADER_SIZE);
    xt_write(&writer, MAGIC, MAGIC_SIZE);
    xt_put(&writer, XT_LIVE_VERSION, 4);
    xt_put(&writer, key_id, 4);
    xt_write(&writer, salt, XT_SALT_BYTES);
    xt_live_sealer_wrap_hash(sealer, xt_span_of(header, HEADER_PLAIN), header + HEADER_PLAIN);
    enum xt_status status =
        make_mac(keyring, key_id, salt, xt_span_of(header, HEADER_SIGNED), header + HEADER_SIGNED);
    xt_require(status == XT_OK);
}

/* Of a store that is about to be made. */
static enum xt_status make_first_header(const struct xt_keyring *keyring,
                                        uint8_t header[HEADER_SIZE])
{
    uint8_t salt[XT_SALT_BYTES];
    struct xt_live_sealer *sealer = NULL;
    uint32_t key_id = xt_keyring_current(keyring);
    xt_random(salt, sizeof(salt));
    enum xt_status status = xt_live_sealer_open(keyring, key_id, salt, &sealer);
    if (status == XT_OK) {
        xt_live_sealer_new_hash(sealer);
        make_header(keyring, key_id, salt, sealer, header);
    }
    xt_live_sealer_close(sealer);
    return status;
}

int xt_live_put_header(struct xt_live *live, const struct xt_keyring *keyring, uint32_t key_id,
                       const uint8_t salt[XT_SALT_BYTES], const struct xt_live_sealer *sealer)
{
    uint8_t header[HEADER_SIZE];
    char name[] = HEADER_KEY;
    MDB_val key = {.mv_size = sizeof(HEADER_KEY) - 1, .mv_data = name};
    MDB_val data = {.mv_size = sizeof(header), .mv_data = header};
    make_header(keyring, key_id, salt, sealer, header);
    return mdb_put(live->txn, live->tables[XT_LIVE_HEADER_TABLE], &key, &data, 0);
}

static int fill(MDB_env *env, const uint8_t header[HEADER_SIZE])
{
    MDB_txn *txn = NULL;
    MDB_dbi table = 0;
    union {
        const void *from;
        void *to;
    } name = {.from = HEADER_KEY}, value = {.from = header}; /* mdb_put writes to neither */
    MDB_val key = {.mv_size = sizeof(HEADER_KEY) - 1, .mv_data = name.to};
    MDB_val data = {.mv_size = HEADER_SIZE, .mv_data = value.to};
    int code = mdb_txn_begin(env, NULL, 0, &txn);
    if (code != 0) {
        return code;
    }
    code = mdb_dbi_open(txn, "state", MDB_CREATE, &table);
    if (code == 0) {
        code = mdb_dbi_open(txn, "log", MDB_CREATE, &table);
    }
    if (code == 0) {
        code = mdb_dbi_open(txn, "people", MDB_CREATE, &table);
    }
    if (code == 0) {
        code = mdb_dbi_open(txn, "touched", MDB_CREATE, &table);
    }
    if (code == 0) {
        code = mdb_dbi_open(txn, "header", MDB_CREATE, &table);
    }
    if (code == 0) {
        code = mdb_put(txn, table, &key, &data, 0);
    }
    if (code != 0) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

/* Under a name that no reader looks at, and without LMDB's locks: readers see it whole or not at all. */
enum xt_status xt_live_create(const char *folder, const char *path,
                              const struct xt_keyring *keyring, struct xt_failure *failure)
{
    char making[XT_PATH_MAX + 8];
    uint8_t header[HEADER_SIZE];
    MDB_env *env = NULL;
    snprintf(making, sizeof(making), "%s.new", path);
    (void)unlink(making); /* of a writer that was killed here */
    enum xt_status status = make_first_header(keyring, header);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot make the live store: %s", xt_status_name(status));
    }
    int code = mdb_env_create(&env);
    if (code == 0) {
        code = mdb_env_set_maxdbs(env, XT_LIVE_TABLES);
    }
    if (code == 0) {
        code = mdb_env_set_mapsize(env, XT_LIVE_MAP_LEAST);
    }
    if (code == 0) {
        code = mdb_env_open(env, making, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
    }
    if (code == 0) {
        code = fill(env, header);
    }
    if (env != NULL) {
        mdb_env_close(env);
    }
    if (code == 0 && rename(making, path) != 0) {
        code = errno;
    }
    if (code != 0) {
        (void)unlink(making);
        return xt_live_failed(failure, "make the live store", code);
    }
    return xt_folder_sync(folder, failure);
}

/* The keys of a header whose form is right. plain: what stands before the wrapped key. */
static enum xt_status open_sealer(const struct xt_keyring *keyring, uint32_t key_id,
                                  const uint8_t salt[XT_SALT_BYTES], struct xt_span covered,
                                  struct xt_span wrapped, struct xt_span stored_mac,
                                  struct xt_live_sealer **sealer)
{
    uint8_t mac[XT_DIGEST_BYTES];
    struct xt_live_sealer *made = NULL;
    enum xt_status status = make_mac(keyring, key_id, salt, covered, mac);
    if (status == XT_OK && !xt_secret_equal(mac, stored_mac.data, sizeof(mac))) {
        status = XT_CORRUPT;
    }
    if (status == XT_OK) {
        status = xt_live_sealer_open(keyring, key_id, salt, &made);
    }
    if (status == XT_OK && wrapped.size > 0) {
        status = xt_live_sealer_unwrap_hash(made, xt_span_of(covered.data, HEADER_PLAIN), wrapped);
    }
    if (status != XT_OK) {
        xt_live_sealer_close(made);
        return status;
    }
    *sealer = made;
    return XT_OK;
}

enum xt_status xt_live_read_header(struct xt_live *live, const struct xt_keyring *keyring,
                                   struct xt_failure *failure)
{
    uint8_t salt[XT_SALT_BYTES];
    char name[] = HEADER_KEY;
    MDB_val key = {.mv_size = sizeof(HEADER_KEY) - 1, .mv_data = name};
    MDB_val value;
    struct xt_live_sealer *sealer = NULL;
    int code = mdb_get(live->txn, live->tables[XT_LIVE_HEADER_TABLE], &key, &value);
    if (code != 0) {
        return xt_live_failed(failure, "open the live store", code);
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(value.mv_data, value.mv_size));
    bool ours = xt_span_equal(xt_take_bytes(&taker, MAGIC_SIZE), xt_span_of(MAGIC, MAGIC_SIZE));
    uint64_t version = xt_take(&taker, 4);
    uint32_t key_id = (uint32_t)xt_take(&taker, 4);
    xt_take_copy(&taker, salt, sizeof(salt));
    if (!ours || taker.bad) {
        return xt_fail(failure, XT_CORRUPT, "live/live.mdb is not a live store: restore it");
    }
    if (version == 0 || version > XT_LIVE_VERSION) {
        return xt_fail(failure, XT_UNSUPPORTED,
                       "live/live.mdb is of version %u, this program knows %u", (unsigned)version,
                       XT_LIVE_VERSION);
    }
    if (live->sealer != NULL && memcmp(salt, live->salt, sizeof(salt)) == 0) {
        return XT_OK; /* a new salt comes with every new sealing */
    }
    struct xt_span wrapped = xt_take_bytes(&taker, version == 1 ? 0 : XT_LIVE_HASH_KEY_WRAPPED);
    struct xt_span mac = xt_take_bytes(&taker, XT_DIGEST_BYTES);
    enum xt_status status =
        xt_taken_all(&taker)
            ? open_sealer(keyring, key_id, salt,
                          xt_span_of(value.mv_data, value.mv_size - XT_DIGEST_BYTES), wrapped, mac,
                          &sealer)
            : XT_CORRUPT;
    if (status == XT_OK) {
        xt_live_sealer_close(live->sealer);
        live->sealer = sealer;
        live->key_id = key_id;
        live->version = (uint32_t)version;
        memcpy(live->salt, salt, sizeof(salt));
        return XT_OK;
    }
    if (status == XT_NOT_FOUND) {
        return xt_fail(
            failure, XT_DENIED,
            "the live store was sealed under master key %08x, which keys/master.keys does "
            "not hold: restore the key file that does",
            key_id);
    }
    return xt_fail(failure, status, "live/live.mdb cannot be opened: %s", xt_status_name(status));
}
