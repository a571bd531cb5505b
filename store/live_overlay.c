/* The overlay: its tables, a reader's filter of its keys, and what is asked of it. */
#include "store/live_overlay.h"

#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_internal.h"

#define PERSON 1
#define REPLACED 2
#define ALIAS 3
#define NUMBER_SIZE 5

/* ---- opening ---------------------------------------------------------------------------------- */

static int open_both(MDB_txn *txn, unsigned flags, unsigned *tables)
{
    int code = mdb_dbi_open(txn, "people", flags, &tables[XT_LIVE_PEOPLE]);
    return code == 0 ? mdb_dbi_open(txn, "touched", flags, &tables[XT_LIVE_TOUCHED]) : code;
}

/* Handles are good for later transactions once this one was committed. */
static int open_tables(struct xt_live *live)
{
    int code = live->writes ? xt_live_begin_write(live)
                            : mdb_txn_begin(live->env, NULL, MDB_RDONLY, &live->txn);
    if (code == MDB_MAP_RESIZED) { /* the writer has made it larger */
        code = mdb_env_set_mapsize(live->env, 0);
        code = code == 0 ? mdb_txn_begin(live->env, NULL, MDB_RDONLY, &live->txn) : code;
    }
    if (code != 0) {
        live->txn = NULL;
        return code;
    }
    MDB_txn *txn = live->txn;
    code = open_both(txn, live->writes ? MDB_CREATE : 0, live->tables);
    int counted = mdb_dbi_open(txn, "statistics", live->writes ? MDB_CREATE : 0,
                               &live->tables[XT_LIVE_STATISTICS]);
    live->has_statistics = code == 0 && counted == 0;
    code = code == 0 && counted != MDB_NOTFOUND ? counted : code;
    if (code == 0 && live->writes) { /* readers do not need it */
        code = mdb_dbi_open(txn, "due", MDB_CREATE, &live->tables[XT_LIVE_DUE]);
        live->has_due = code == 0;
        code = code == 0 ? mdb_dbi_open(txn, "nonces", MDB_CREATE, &live->tables[XT_LIVE_NONCES])
                         : code;
        live->has_nonces = code == 0;
    }
    return xt_live_end_write(live, code); /* a reader's as well: handles are committed */
}

enum xt_status xt_live_open_overlay(struct xt_live *live, struct xt_failure *failure)
{
    if (live->record == NULL) {
        enum xt_status status = xt_memory_extend(&live->scratch, XT_LIVE_ENTRY_MAX, &live->record);
        if (status != XT_OK) {
            return xt_fail(failure, status, "cannot open the live store: out of memory");
        }
    }
    int code = open_tables(live);
    live->has_overlay = code == 0;
    return code == 0 || (code == MDB_NOTFOUND && !live->writes)
               ? XT_OK
               : xt_live_failed(failure, "open the live store", code);
}

void xt_live_close_overlay(struct xt_live *live)
{
    xt_live_filter_close(&live->filter);
    xt_live_registry_close(live);
    xt_memory_free(&live->scratch);
}

/* ---- the filter ------------------------------------------------------------------------------- */

void xt_live_key_bytes(struct xt_hash hash, uint8_t key[XT_LIVE_HASH])
{
    struct xt_writer writer = xt_writer_over(key, XT_LIVE_HASH);
    xt_put(&writer, hash.high, 8);
    xt_put(&writer, hash.low, 8);
}

static void add_keys(struct xt_live_filter *filter, MDB_val keys)
{
    struct xt_taker taker = xt_taker_over(xt_span_of(keys.mv_data, keys.mv_size));
    while (taker.rest.size >= XT_LIVE_HASH) {
        struct xt_hash hash = {.high = xt_take(&taker, 8)};
        hash.low = xt_take(&taker, 8);
        xt_live_filter_add(filter, hash);
    }
}

static int add_all(struct xt_live *live)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_PEOPLE], &cursor);
    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        add_keys(&live->filter, key);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Afresh, with room to grow by a fifth at least (mostly by more: sizes are powers of 2). Without memory for it every lookup asks the overlay. */
static int build_filter(struct xt_live *live)
{
    MDB_stat stat;
    xt_live_filter_close(&live->filter);
    int code = mdb_stat(live->txn, live->tables[XT_LIVE_PEOPLE], &stat);
    if (code != 0 || stat.ms_entries == 0) {
        live->unfiltered = false;
        return code;
    }
    live->unfiltered =
        xt_live_filter_open(&live->filter, (uint64_t)stat.ms_entries * 6 / 5) != XT_OK;
    return live->unfiltered ? 0 : add_all(live);
}

static int add_touched(struct xt_live *live, uint64_t from)
{
    MDB_cursor *cursor = NULL;
    uint8_t bytes[8];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value;
    xt_live_log_key(from, bytes);
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_TOUCHED], &cursor);
    if (code != 0) {
        return code;
    }
    for (code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE); code == 0;
         code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        add_keys(&live->filter, value);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Much of what the filter has was dropped since (store/live_fold). It is built again when an eighth is left:
 * while a million are dropped that is 140,000 keys in all, in turns that each take a few milliseconds. */
static int has_shrunk(struct xt_live *live, bool *shrunk)
{
    MDB_stat stat;
    int code = mdb_stat(live->txn, live->tables[XT_LIVE_PEOPLE], &stat);
    *shrunk = code == 0 && stat.ms_entries < live->filter.count / 8;
    return code;
}

enum xt_status xt_live_catch_up(struct xt_live *live)
{
    struct xt_live_position position;
    size_t snapshot = mdb_txn_id(live->txn);
    if (!live->has_overlay || snapshot == live->snapshot) {
        return XT_OK; /* rested, and nothing has happened meanwhile */
    }
    int code = xt_live_position(live, &position) == XT_OK ? 0 : MDB_CORRUPTED;
    bool whole = live->filter.blocks == NULL || position.dropped > live->filtered ||
                 position.sequence < live->filtered;
    if (code == 0 && xt_live_look_at_floor(live) != XT_OK) {
        code = MDB_CORRUPTED;
    }
    if (code == 0 && !whole) {
        code = add_touched(live, live->filtered + 1);
        whole = live->filter.count >= live->filter.capacity;
    }
    if (code == 0 && !whole) {
        code = has_shrunk(live, &whole);
    }
    if (code == 0 && whole) {
        code = build_filter(live);
    }
    live->filtered = position.sequence;
    live->snapshot = snapshot;
    if (code != 0) {
        live->snapshot = 0;
        xt_live_rest(live);
        return xt_live_failed(NULL, "", code);
    }
    return XT_OK;
}

struct xt_hash xt_live_key(const struct xt_live *live, struct xt_id id)
{
    return xt_live_id_hash(live->sealer, id);
}

bool xt_live_may_hold(const struct xt_live *live, struct xt_hash key)
{
    return live->writes || live->unfiltered || xt_live_filter_may_hold(&live->filter, key);
}

void xt_live_expect(const struct xt_live *live, struct xt_hash key)
{
    xt_live_filter_expect(&live->filter, key);
}

bool xt_live_is_bare(const struct xt_live *live)
{
    return !live->writes && !live->unfiltered && live->filter.count == 0;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static enum xt_status get(struct xt_live *live, enum xt_live_kind kind, struct xt_id id,
                          struct xt_span *fields, uint64_t *sequence)
{
    uint8_t key[XT_LIVE_HASH];
    if (!live->has_overlay) {
        return XT_NOT_FOUND;
    }
    xt_live_key_bytes(xt_live_key(live, id), key);
    return xt_live_record_get(live, XT_LIVE_PEOPLE, kind, xt_span_of(key, sizeof(key)),
                              live->record, XT_LIVE_ENTRY_MAX, fields, sequence);
}

/* What it lies over holds the entry, and may know more. */
static bool is_covered(const struct xt_live *live, uint64_t sequence)
{
    return live->covered > 0 && sequence <= live->covered;
}

static enum xt_status take_entry(struct xt_taker *taker, struct xt_live_entry *entry)
{
    uint64_t form = xt_take(taker, 1);
    *entry = (struct xt_live_entry){.replaced = form == REPLACED};
    if (form == REPLACED) {
        entry->successor = xt_take(taker, NUMBER_SIZE);
        return xt_taken_all(taker) ? XT_OK : XT_CORRUPT;
    }
    entry->versions = (uint32_t)xt_take(taker, 4);
    entry->hot = xt_take_bytes(taker, (size_t)xt_take(taker, 2));
    entry->cold = taker->rest;
    return form == PERSON && !taker->bad ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_live_entry(struct xt_live *live, uint64_t number, struct xt_live_entry *entry)
{
    struct xt_span fields;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    uint64_t sequence = 0;
    enum xt_status status = get(live, XT_LIVE_PERSON, id, &fields, &sequence);
    if (status != XT_OK) {
        return status;
    }
    if (is_covered(live, sequence)) {
        return XT_NOT_FOUND;
    }
    struct xt_taker taker = xt_taker_over(fields);
    return take_entry(&taker, entry);
}

static enum xt_status visit_record(struct xt_live *live, MDB_val key, MDB_val value,
                                   xt_live_visit_entry visit, void *context)
{
    struct xt_live_record record;
    struct xt_live_entry entry;
    enum xt_status status = xt_live_record_open(
        live, XT_LIVE_PEOPLE, xt_span_of(key.mv_data, key.mv_size),
        xt_span_of(value.mv_data, value.mv_size), live->record, XT_LIVE_ENTRY_MAX, &record);
    if (status != XT_OK || record.kind != XT_LIVE_PERSON || is_covered(live, record.sequence)) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(record.fields);
    status = take_entry(&taker, &entry);
    return status == XT_OK ? visit(context, &entry) : status;
}

enum xt_status xt_live_next_entries(struct xt_live *live, struct MDB_cursor *cursor, uint32_t most,
                                    xt_live_visit_entry visit, void *context, bool *ended)
{
    MDB_val key;
    MDB_val value;
    enum xt_status status = XT_OK;
    int code = 0;
    for (uint32_t i = 0; status == XT_OK && code == 0 && i < most; i++) {
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        status = code == 0 ? visit_record(live, key, value, visit, context) : XT_OK;
    }
    *ended = code == MDB_NOTFOUND;
    return status != XT_OK || code == 0 || *ended ? status : xt_live_failed(NULL, "", code);
}

enum xt_status xt_live_each_entry(struct xt_live *live, xt_live_visit_entry visit, void *context)
{
    MDB_cursor *cursor = NULL;
    bool ended = false;
    enum xt_status status = live->active ? XT_OK : XT_IO;
    if (status != XT_OK || !live->has_overlay) {
        return status;
    }
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_PEOPLE], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (status == XT_OK && !ended) {
        status = xt_live_next_entries(live, cursor, UINT32_MAX, visit, context, &ended);
    }
    mdb_cursor_close(cursor);
    return status;
}

enum xt_status xt_live_count_entries(const struct xt_live *live, uint64_t *count)
{
    MDB_stat stat = {.ms_entries = 0};
    *count = 0;
    if (!live->active) {
        return XT_IO;
    }
    int code = live->has_overlay ? mdb_stat(live->txn, live->tables[XT_LIVE_PEOPLE], &stat) : 0;
    *count = (uint64_t)stat.ms_entries;
    return code == 0 ? XT_OK : xt_live_failed(NULL, "", code);
}

enum xt_status xt_live_alias(struct xt_live *live, struct xt_id id, struct xt_live_alias *alias)
{
    struct xt_span fields;
    alias->count = 0;
    enum xt_status status = get(live, XT_LIVE_ALIAS, id, &fields, NULL);
    if (status != XT_OK) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(fields);
    bool sound = xt_take(&taker, 1) == ALIAS;
    while (sound && taker.rest.size > 0) {
        sound = alias->count < XT_LIVE_ALIAS_MAX;
        if (sound) {
            alias->people[alias->count].number = xt_take(&taker, NUMBER_SIZE);
            alias->people[alias->count++].added = xt_take(&taker, 1) == 1;
            sound = !taker.bad;
        }
    }
    if (!sound) {
        alias->count = 0;
    }
    return sound ? XT_OK : XT_CORRUPT;
}

/* ---- versions --------------------------------------------------------------------------------- */

void xt_live_version_key(const struct xt_live *live, uint64_t number, uint32_t version,
                         uint8_t hash[XT_LIVE_HASH])
{
    uint8_t key[NUMBER_SIZE + 4];
    struct xt_writer writer = xt_writer_over(key, sizeof(key));
    xt_put(&writer, number, NUMBER_SIZE);
    xt_put(&writer, version, 4);
    xt_live_state_key(live, XT_LIVE_VERSION_OF, xt_written(&writer), hash);
}

enum xt_status xt_live_version(struct xt_live *live, uint64_t number, uint32_t version,
                               uint64_t *at_ms, struct xt_live_entry *entry)
{
    uint8_t hash[XT_LIVE_HASH];
    struct xt_span fields;
    xt_live_version_key(live, number, version, hash);
    enum xt_status status =
        xt_live_record_get(live, XT_LIVE_STATE, XT_LIVE_VERSION_OF, xt_span_of(hash, sizeof(hash)),
                           live->record, XT_LIVE_ENTRY_MAX, &fields, NULL);
    if (status != XT_OK) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(fields);
    *at_ms = xt_take(&taker, 8);
    status = take_entry(&taker, entry);
    return status == XT_OK && entry->replaced ? XT_CORRUPT : status;
}

/* ---- writing ---------------------------------------------------------------------------------- */

void xt_live_write_person(struct xt_writer *writer, uint32_t versions,
                          const struct xt_person *person)
{
    xt_put(writer, PERSON, 1);
    xt_put(writer, versions, 4);
    uint8_t *size = xt_write_reserve(writer, 2);
    size_t before = writer->size;
    xt_hot_encode(person, writer);
    xt_require(!writer->overflow);
    struct xt_writer over = xt_writer_over(size, 2);
    xt_put(&over, writer->size - before, 2);
    xt_cold_encode(person, writer);
}

void xt_live_write_replaced(struct xt_writer *writer, uint64_t successor)
{
    xt_put(writer, REPLACED, 1);
    xt_put(writer, successor, NUMBER_SIZE);
}

void xt_live_write_alias(struct xt_writer *writer, const struct xt_live_alias *alias)
{
    xt_put(writer, ALIAS, 1);
    for (unsigned i = 0; i < alias->count; i++) {
        xt_put(writer, alias->people[i].number, NUMBER_SIZE);
        xt_put(writer, alias->people[i].added, 1);
    }
}
