#include "store/plain_table.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ /* since Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif

#include "crypto/keyring.h"
#include "crypto/seal.h"
#include "store/generation_internal.h"

#define KEY_BYTES 16
#define ORDINAL_BYTES 8
#define VALUE_MAX (ORDINAL_BYTES + XT_HOT_MAX + XT_ALIAS_MAX + XT_SEAL_OVERHEAD)
#define COMMIT_RECORDS 500000U /* LMDB keeps what is not committed in memory */
#define WATCH_RECORDS 4096U
/* What LMDB adds to a record: the head of its node, its place in the page, the page's unused end and its
 * share of the tree; rounded up. */
#define NODE_BYTES 24U

struct xt_plain_table {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    struct xt_sealer *sealer;
    struct xt_generation *generation; /* borrowed: its hash key */
};

static enum xt_status fail_mdb(struct xt_failure *failure, int code)
{
    if (code == ENOSPC || code == MDB_MAP_FULL) {
        return xt_fail(failure, XT_DISK_FULL, "no room for the plain table; make some");
    }
    return xt_fail(failure, code == ENOMEM ? XT_NO_MEMORY : XT_IO, "the plain table: %s",
                   mdb_strerror(code));
}

uint64_t xt_plain_table_bytes(const struct xt_generation *generation)
{
    const struct xt_table_sizes *hot = &generation->manifest.tables[XT_TABLE_HOT];
    return hot->disk_bytes + hot->records * (KEY_BYTES + ORDINAL_BYTES + NODE_BYTES) + (4U << 20);
}

static void key_of(const struct xt_generation *generation, uint64_t number, uint8_t key[KEY_BYTES])
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    struct xt_hash hash = xt_key_hash(generation->hash_key, id);
    for (unsigned i = 0; i < 8; i++) {
        key[i] = (uint8_t)(hash.high >> (56 - 8 * i));
        key[8 + i] = (uint8_t)(hash.low >> (56 - 8 * i));
    }
}

struct maker {
    struct xt_plain_table *table;
    uint64_t done;
    xt_plain_watch watch;
    void *context;
    int code; /* of LMDB */
};

static enum xt_status number_of(struct xt_span record, uint64_t *number)
{
    struct xt_alias alias;
    struct xt_hot hot;
    enum xt_status status = xt_redirect_decode(record, &alias);
    if (status == XT_OK) {
        *number = alias.old.value;
        return XT_OK;
    }
    status = xt_hot_decode(record, &hot);
    *number = hot.number;
    return status;
}

/* Two records with the same place in the packed table may stand in either order there. */
static int put(struct xt_plain_table *table, MDB_val *key, MDB_val *value)
{
    int code = mdb_put(table->txn, table->dbi, key, value, MDB_APPEND);
    return code == MDB_KEYEXIST ? mdb_put(table->txn, table->dbi, key, value, MDB_NOOVERWRITE)
                                : code;
}

static enum xt_status add(void *context, struct xt_table_place place, enum xt_status status,
                          struct xt_span record)
{
    struct maker *maker = context;
    struct xt_plain_table *table = maker->table;
    uint64_t number = 0;
    uint8_t key[KEY_BYTES];
    uint8_t value[VALUE_MAX];
    (void)place;
    status = status == XT_OK ? number_of(record, &number) : status;
    if (status != XT_OK) {
        return status;
    }
    if (maker->done % WATCH_RECORDS == 0 && !maker->watch(maker->context, maker->done)) {
        return XT_CLOSED;
    }
    if (maker->done % COMMIT_RECORDS == COMMIT_RECORDS - 1) {
        maker->code = mdb_txn_commit(table->txn);
        table->txn = NULL;
        maker->code =
            maker->code == 0 ? mdb_txn_begin(table->env, NULL, 0, &table->txn) : maker->code;
        if (maker->code != 0) {
            return XT_IO;
        }
    }
    key_of(table->generation, number, key);
    memcpy(value, &maker->done, ORDINAL_BYTES);
    xt_seal(table->sealer, maker->done, xt_span_of(key, sizeof(key)), record,
            value + ORDINAL_BYTES);
    MDB_val name = {.mv_size = sizeof(key), .mv_data = key};
    MDB_val content = {.mv_size = ORDINAL_BYTES + record.size + XT_SEAL_OVERHEAD, .mv_data = value};
    maker->code = put(table, &name, &content);
    maker->done++;
    return maker->code == 0 ? XT_OK : XT_IO;
}

static enum xt_status fill(struct maker *maker, struct xt_failure *failure)
{
    struct xt_plain_table *table = maker->table;
    maker->code = mdb_txn_begin(table->env, NULL, 0, &table->txn);
    if (maker->code == 0) {
        maker->code = mdb_dbi_open(table->txn, NULL, 0, &table->dbi);
    }
    enum xt_status status = XT_OK;
    if (maker->code == 0) {
        status = xt_table_walk(table->generation->tables[XT_TABLE_HOT], add, maker);
    }
    if (maker->code == 0 && status == XT_OK) {
        maker->code = mdb_txn_commit(table->txn);
        table->txn = NULL;
    }
    if (maker->code != 0) {
        return fail_mdb(failure, maker->code);
    }
    return status == XT_OK       ? XT_OK
           : status == XT_CLOSED ? xt_fail(failure, status, "interrupted")
                                 : xt_fail(failure, status, "the generation is damaged: check it");
}

static int open_env(struct xt_plain_table *table, const char *path, size_t bytes, unsigned flags)
{
    int code = mdb_env_create(&table->env);
    if (code == 0) {
        code = mdb_env_set_mapsize(table->env, bytes);
    }
    return code == 0
               ? mdb_env_open(table->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | flags, 0600)
               : code;
}

/* As the packed table's file is opened, so that nothing but the layout differs. */
static enum xt_status reopen(struct xt_plain_table *table, const char *path, size_t bytes,
                             struct xt_failure *failure)
{
    mdb_env_close(table->env);
    table->env = NULL;
    int code = open_env(table, path, bytes, MDB_RDONLY | MDB_NORDAHEAD);
    if (code == 0) {
        code = mdb_txn_begin(table->env, NULL, MDB_RDONLY, &table->txn);
    }
    if (code == 0) {
        code = mdb_dbi_open(table->txn, NULL, 0, &table->dbi);
    }
    return code == 0 ? XT_OK : fail_mdb(failure, code);
}

enum xt_status xt_plain_table_make(struct xt_generation *generation, const char *path,
                                   xt_plain_watch watch, void *context,
                                   struct xt_plain_table **made, struct xt_failure *failure)
{
    uint8_t key[XT_KEY_BYTES];
    struct xt_plain_table *table = calloc(1, sizeof(*table));
    struct maker maker = {.table = table, .watch = watch, .context = context};
    /* Only address space; what it is too much of costs nothing. */
    size_t bytes = ((size_t)xt_plain_table_bytes(generation) * 2 + (64U << 20)) & ~(size_t)0xfffff;
    if (table == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory for the plain table");
    }
    table->generation = generation;
    xt_random(key, sizeof(key));
    enum xt_status status = xt_sealer_open(key, &table->sealer);
    xt_wipe(key, sizeof(key));
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "not enough memory for the plain table");
        goto fail;
    }
    int code = open_env(table, path, bytes, MDB_NOSYNC);
    status = code == 0 ? fill(&maker, failure) : fail_mdb(failure, code);
    if (status == XT_OK) {
        status = reopen(table, path, bytes, failure);
    }
    if (status != XT_OK) {
        goto fail;
    }
    *made = table;
    return XT_OK;

fail:
    xt_plain_table_close(table);
    return status;
}

void xt_plain_table_close(struct xt_plain_table *table)
{
    if (table == NULL) {
        return;
    }
    if (table->txn != NULL) {
        mdb_txn_abort(table->txn);
    }
    if (table->env != NULL) {
        mdb_env_close(table->env);
    }
    xt_sealer_close(table->sealer);
    free(table);
}

enum xt_status xt_plain_table_find(struct xt_plain_table *table, uint64_t number,
                                   struct xt_hot *hot)
{
    uint8_t key[KEY_BYTES];
    uint64_t ordinal;
    uint8_t record[VALUE_MAX];
    MDB_val value;
    key_of(table->generation, number, key);
    MDB_val name = {.mv_size = sizeof(key), .mv_data = key};
    int code = mdb_get(table->txn, table->dbi, &name, &value);
    if (code != 0) {
        return code == MDB_NOTFOUND ? XT_NOT_FOUND : XT_CORRUPT;
    }
    if (value.mv_size < ORDINAL_BYTES + XT_SEAL_OVERHEAD || value.mv_size > VALUE_MAX) {
        return XT_CORRUPT;
    }
    memcpy(&ordinal, value.mv_data, ORDINAL_BYTES);
    size_t sealed = value.mv_size - ORDINAL_BYTES;
    enum xt_status status =
        xt_unseal(table->sealer, ordinal, xt_span_of(key, sizeof(key)),
                  xt_span_of((const uint8_t *)value.mv_data + ORDINAL_BYTES, sealed), record);
    if (status == XT_OK) {
        status = xt_hot_decode(xt_span_of(record, sealed - XT_SEAL_OVERHEAD), hot);
    }
    return status == XT_OK && hot->number == number ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_plain_table_warm(struct xt_plain_table *table)
{
    volatile uint8_t sink = 0;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    MDB_envinfo facts;
    MDB_stat page;
    /* As xt_table_file_load does it with the packed table. */
    if (mdb_env_info(table->env, &facts) == 0 && mdb_env_stat(table->env, &page) == 0) {
        size_t bytes = (facts.me_last_pgno + 1) * page.ms_psize;
        (void)madvise(facts.me_mapaddr, bytes, MADV_HUGEPAGE);
        (void)madvise(facts.me_mapaddr, bytes, MADV_POPULATE_READ);
    }
    if (mdb_cursor_open(table->txn, table->dbi, &cursor) != 0) {
        return XT_NO_MEMORY;
    }
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        sink ^= *(const uint8_t *)value.mv_data;
    }
    mdb_cursor_close(cursor);
    return XT_OK;
}
