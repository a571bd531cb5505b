/* Records of the live store: sealed values under hashed keys, and the log. */
#include <errno.h>
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_internal.h"

#define RECORD_VERSION 1

/* A record is bound to its table and its key: moved to another place it does not open. */
struct place {
    uint8_t bytes[1 + XT_LIVE_HASH];
    size_t size;
};

static struct place place_of(enum xt_live_table table, MDB_val key)
{
    struct place place = {.bytes = {(uint8_t)table}, .size = 1 + key.mv_size};
    xt_require(key.mv_size <= XT_LIVE_HASH);
    memcpy(place.bytes + 1, key.mv_data, key.mv_size);
    return place;
}

static int put_sealed(struct xt_live *live, enum xt_live_table table, MDB_val key,
                      struct xt_span plain, unsigned flags)
{
    struct place place = place_of(table, key);
    MDB_val value = {.mv_size = plain.size + XT_LIVE_SEAL_OVERHEAD};
    int code = mdb_put(live->txn, live->tables[table], &key, &value, MDB_RESERVE | flags);
    if (code == 0) {
        xt_live_seal(live->sealer, xt_span_of(place.bytes, place.size), plain, value.mv_data);
    }
    return code;
}

static enum xt_status unseal(const struct xt_live *live, enum xt_live_table table, MDB_val key,
                             MDB_val value, uint8_t *plain, size_t capacity)
{
    struct place place = place_of(table, key);
    if (value.mv_size < XT_LIVE_SEAL_OVERHEAD || value.mv_size - XT_LIVE_SEAL_OVERHEAD > capacity) {
        return XT_CORRUPT;
    }
    return xt_live_unseal(live->sealer, xt_span_of(place.bytes, place.size),
                          xt_span_of(value.mv_data, value.mv_size), plain);
}

/* ---- state ------------------------------------------------------------------------------------ */

/* LMDB takes keys by a pointer that is not const, and does not write through it. */
static MDB_val name_of(struct xt_span key)
{
    union {
        const uint8_t *from;
        void *to;
    } data = {.from = key.data};
    return (MDB_val){.mv_size = key.size, .mv_data = data.to};
}

void xt_live_state_key(const struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                       uint8_t hash[XT_LIVE_HASH])
{
    xt_live_hash(live->sealer, (uint8_t)kind, key, hash);
}

enum xt_status xt_live_record_open(const struct xt_live *live, enum xt_live_table table,
                                   struct xt_span key, struct xt_span sealed, uint8_t *plain,
                                   size_t capacity, struct xt_live_record *record)
{
    MDB_val name = name_of(key);
    MDB_val value = name_of(sealed);
    if (key.size > XT_LIVE_HASH) {
        return XT_CORRUPT;
    }
    enum xt_status status = unseal(live, table, name, value, plain, capacity);
    if (status != XT_OK) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(plain, sealed.size - XT_LIVE_SEAL_OVERHEAD));
    record->kind = (enum xt_live_kind)xt_take(&taker, 1);
    uint64_t version = xt_take(&taker, 1);
    record->sequence = xt_take(&taker, 8);
    record->fields = taker.rest;
    return taker.bad ? XT_CORRUPT : version != RECORD_VERSION ? XT_UNSUPPORTED : XT_OK;
}

enum xt_status xt_live_record_find(const struct xt_live *live, enum xt_live_table table,
                                   struct xt_span key)
{
    MDB_val name = name_of(key);
    MDB_val value;
    int code = live->active ? mdb_get(live->txn, live->tables[table], &name, &value) : EINVAL;
    return code == 0              ? XT_OK
           : code == MDB_NOTFOUND ? XT_NOT_FOUND
                                  : xt_live_failed(NULL, "", code);
}

enum xt_status xt_live_record_get(const struct xt_live *live, enum xt_live_table table,
                                  enum xt_live_kind kind, struct xt_span key, uint8_t *plain,
                                  size_t capacity, struct xt_span *fields, uint64_t *sequence)
{
    MDB_val name = name_of(key);
    MDB_val value;
    struct xt_live_record record = {.sequence = 0};
    if (!live->active) {
        return XT_IO;
    }
    int code = mdb_get(live->txn, live->tables[table], &name, &value);
    if (code != 0) {
        return code == MDB_NOTFOUND ? XT_NOT_FOUND : xt_live_failed(NULL, "", code);
    }
    enum xt_status status = xt_live_record_open(
        live, table, key, xt_span_of(value.mv_data, value.mv_size), plain, capacity, &record);
    if (status != XT_OK) {
        return status;
    }
    *fields = record.fields;
    if (sequence != NULL) {
        *sequence = record.sequence;
    }
    return record.kind == kind ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_live_get(const struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                           uint8_t fields[XT_LIVE_RECORD_MAX], size_t *size, uint64_t *sequence)
{
    uint8_t hash[XT_LIVE_HASH];
    uint8_t plain[XT_LIVE_RECORD_HEAD + XT_LIVE_RECORD_MAX];
    struct xt_span found = {.data = NULL};
    xt_live_state_key(live, kind, key, hash);
    enum xt_status status =
        xt_live_record_get(live, XT_LIVE_STATE, kind, xt_span_of(hash, sizeof(hash)), plain,
                           sizeof(plain), &found, sequence);
    if (status == XT_OK) {
        *size = found.size;
    }
    if (status == XT_OK && found.size > 0) {
        memcpy(fields, found.data, found.size);
    }
    if (status != XT_NOT_FOUND && status != XT_IO) {
        xt_wipe(plain, sizeof(plain));
    }
    return status;
}

void xt_live_record_begin(const struct xt_live *live, enum xt_live_kind kind,
                          struct xt_writer *writer)
{
    xt_put(writer, (uint64_t)kind, 1);
    xt_put(writer, RECORD_VERSION, 1);
    xt_put(writer, live->sequence, 8);
}

int xt_live_record_put(struct xt_live *live, enum xt_live_table table, struct xt_span key,
                       struct xt_span record)
{
    return put_sealed(live, table, name_of(key), record, 0);
}

int xt_live_put(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                struct xt_span fields)
{
    return xt_live_put_in(live, XT_LIVE_STATE, kind, key, fields);
}

int xt_live_put_in(struct xt_live *live, enum xt_live_table table, enum xt_live_kind kind,
                   struct xt_span key, struct xt_span fields)
{
    uint8_t hash[XT_LIVE_HASH];
    uint8_t plain[XT_LIVE_RECORD_HEAD + XT_LIVE_RECORD_MAX];
    struct xt_writer writer = xt_writer_over(plain, sizeof(plain));
    xt_live_record_begin(live, kind, &writer);
    xt_write_span(&writer, fields);
    xt_require(!writer.overflow);
    xt_live_state_key(live, kind, key, hash);
    int code = xt_live_record_put(live, table, xt_span_of(hash, sizeof(hash)), xt_written(&writer));
    xt_wipe(plain, writer.size);
    return code;
}

int xt_live_delete(struct xt_live *live, enum xt_live_kind kind, struct xt_span key)
{
    return xt_live_delete_in(live, XT_LIVE_STATE, kind, key);
}

int xt_live_delete_in(struct xt_live *live, enum xt_live_table table, enum xt_live_kind kind,
                      struct xt_span key)
{
    uint8_t hash[XT_LIVE_HASH];
    MDB_val name = {.mv_size = sizeof(hash), .mv_data = hash};
    xt_live_state_key(live, kind, key, hash);
    int code = mdb_del(live->txn, live->tables[table], &name, NULL);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* ---- the log ---------------------------------------------------------------------------------- */

/* Big endian, so that LMDB's order is that of the numbers. */
void xt_live_log_key(uint64_t sequence, uint8_t key[8])
{
    for (unsigned i = 0; i < 8; i++) {
        key[i] = (uint8_t)(sequence >> (56 - 8 * i));
    }
}

static uint64_t number_of(MDB_val key)
{
    const uint8_t *bytes = key.mv_data;
    uint64_t sequence = 0;
    for (unsigned i = 0; i < 8; i++) {
        sequence = sequence << 8 | bytes[i];
    }
    return sequence;
}

int xt_live_log_append(struct xt_live *live, const struct xt_live_line *line)
{
    uint8_t key[8];
    uint8_t plain[XT_LIVE_LOG_RECORD];
    struct xt_writer writer = xt_writer_over(plain, sizeof(plain));
    xt_write(&writer, line->event.id, XT_LIVE_HASH);
    xt_put(&writer, line->event.content, 8);
    xt_put(&writer, live->time_ms, 8);
    xt_put(&writer, (uint64_t)line->type, 1);
    xt_put(&writer, (uint64_t)line->attempt, 1);
    xt_live_log_key(line->event.sequence, key);
    return put_sealed(live, XT_LIVE_LOG, (MDB_val){sizeof(key), key}, xt_written(&writer),
                      MDB_APPEND);
}

int xt_live_log_drop(struct xt_live *live, uint64_t sequence, bool touched)
{
    uint8_t key[8];
    MDB_val name = {.mv_size = sizeof(key), .mv_data = key};
    xt_live_log_key(sequence, key);
    int code = touched ? mdb_del(live->txn, live->tables[XT_LIVE_TOUCHED], &name, NULL) : 0;
    return code == 0 || code == MDB_NOTFOUND
               ? mdb_del(live->txn, live->tables[XT_LIVE_LOG], &name, NULL)
               : code;
}

static enum xt_status read_line(const struct xt_live *live, MDB_val key, MDB_val value,
                                struct xt_live_line *line)
{
    uint8_t plain[XT_LIVE_LOG_RECORD];
    if (key.mv_size != 8 || value.mv_size != sizeof(plain) + XT_LIVE_SEAL_OVERHEAD ||
        unseal(live, XT_LIVE_LOG, key, value, plain, sizeof(plain)) != XT_OK) {
        return XT_CORRUPT;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(plain, sizeof(plain)));
    xt_take_copy(&taker, line->event.id, sizeof(line->event.id));
    line->event.content = xt_take(&taker, 8);
    line->event.time_ms = xt_take(&taker, 8);
    line->event.sequence = number_of(key);
    line->type = (enum xt_event_type)xt_take(&taker, 1);
    uint64_t attempt = xt_take(&taker, 1);
    line->attempt = attempt < XT_ATTEMPT_COUNT ? (enum xt_attempt)attempt : XT_ATTEMPT_NONE;
    return XT_OK;
}

enum xt_attempt xt_live_log_attempt(const struct xt_live *live, uint64_t sequence)
{
    uint8_t bytes[8];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value;
    struct xt_live_line line;
    xt_live_log_key(sequence, bytes);
    if (mdb_get(live->txn, live->tables[XT_LIVE_LOG], &key, &value) != 0 ||
        read_line(live, key, value, &line) != XT_OK) {
        return XT_ATTEMPT_NONE;
    }
    return line.attempt;
}

static bool is_stray(const struct xt_live *live, const struct xt_live_line *line)
{
    bool attempt = xt_live_is_attempt(line->type, line->attempt);
    const struct xt_window_event *known =
        xt_live_window_find(attempt ? &live->attempts : &live->window, line->event.id);
    return known == NULL || known->sequence != line->event.sequence;
}

static int drop_here(struct xt_live *live, MDB_cursor *cursor, uint64_t sequence)
{
    uint8_t bytes[8];
    MDB_val name = {.mv_size = sizeof(bytes), .mv_data = bytes};
    xt_live_log_key(sequence, bytes);
    int code = mdb_cursor_del(cursor, 0); /* the next one is where the cursor is now */
    if (code == 0) {
        code = mdb_del(live->txn, live->tables[XT_LIVE_TOUCHED], &name, NULL);
    }
    return code == MDB_NOTFOUND ? 0 : code;
}

static int drop_strays(struct xt_live *live, MDB_cursor *cursor, uint64_t *at, uint64_t *dropped)
{
    uint8_t bytes[8];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value;
    xt_live_log_key(*at + 1, bytes);
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (unsigned left = XT_LIVE_FORGET_MOST; code == 0;) {
        struct xt_live_line line;
        if (read_line(live, key, value, &line) != XT_OK) {
            return MDB_CORRUPTED;
        }
        *at = line.event.sequence;
        if (is_stray(live, &line)) {
            code = drop_here(live, cursor, *at);
            ++*dropped;
        }
        if (--left == 0 || *dropped == live->stray) {
            break;
        }
        code = code == 0 ? mdb_cursor_get(cursor, &key, &value, MDB_NEXT) : code;
    }
    return code;
}

int xt_live_log_drop_strays(struct xt_live *live, uint64_t *at, uint64_t *dropped)
{
    MDB_cursor *cursor = NULL;
    *at = live->stray_at;
    *dropped = 0;
    if (live->stray == 0) {
        return 0;
    }
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_LOG], &cursor);
    if (code == 0) {
        code = drop_strays(live, cursor, at, dropped);
        mdb_cursor_close(cursor);
    }
    return code;
}

enum xt_status xt_live_log_each(struct xt_live *live, xt_live_visit visit, void *context)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    enum xt_status status = XT_OK;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_LOG], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (status == XT_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct xt_live_line line;
        status = read_line(live, key, value, &line);
        if (status == XT_OK) {
            status = visit(context, line.event.sequence, &line);
        }
    }
    mdb_cursor_close(cursor);
    return status != XT_OK || code == 0 || code == MDB_NOTFOUND ? status
                                                                : xt_live_failed(NULL, "", code);
}

/* ---- looking at all of them ------------------------------------------------------------------- */

static enum xt_status check_table(const struct xt_live *live, enum xt_live_table table,
                                  uint8_t *plain, uint64_t *records)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    enum xt_status status = XT_OK;
    int code = mdb_cursor_open(live->txn, live->tables[table], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (status == XT_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        status = key.mv_size > XT_LIVE_HASH
                     ? XT_CORRUPT
                     : unseal(live, table, key, value, plain, XT_LIVE_ENTRY_MAX);
        ++*records;
    }
    mdb_cursor_close(cursor);
    return status != XT_OK || code == MDB_NOTFOUND ? status : xt_live_failed(NULL, "", code);
}

/* They hold nothing but hashes, which nothing seals: only their form can be wrong. */
static enum xt_status check_touched(const struct xt_live *live, uint64_t last, uint64_t *records)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    enum xt_status status = XT_OK;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_TOUCHED], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (status == XT_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        bool is_line = key.mv_size == 8 && number_of(key) > 0 && number_of(key) <= last &&
                       value.mv_size > 0 && value.mv_size % XT_LIVE_HASH == 0;
        status = is_line ? XT_OK : XT_CORRUPT;
        ++*records;
    }
    mdb_cursor_close(cursor);
    return status != XT_OK || code == MDB_NOTFOUND ? status : xt_live_failed(NULL, "", code);
}

/* The same: keys alone (store/live_due.c, store/live_nonce.c). */
static enum xt_status check_keys(const struct xt_live *live, enum xt_live_table table, size_t size,
                                 uint64_t *records)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    enum xt_status status = XT_OK;
    int code = mdb_cursor_open(live->txn, live->tables[table], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (status == XT_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        status = key.mv_size == size && value.mv_size == 0 ? XT_OK : XT_CORRUPT;
        ++*records;
    }
    mdb_cursor_close(cursor);
    return status != XT_OK || code == MDB_NOTFOUND ? status : xt_live_failed(NULL, "", code);
}

enum xt_status xt_live_records_check(const struct xt_live *live, uint64_t sequence,
                                     uint64_t *records)
{
    uint8_t *plain = xt_secret_alloc(XT_LIVE_ENTRY_MAX);
    if (plain == NULL) {
        return XT_NO_MEMORY;
    }
    *records = 0;
    enum xt_status status = check_table(live, XT_LIVE_STATE, plain, records);
    if (status == XT_OK && live->has_overlay) {
        status = check_table(live, XT_LIVE_PEOPLE, plain, records);
    }
    if (status == XT_OK && live->has_overlay) {
        status = check_touched(live, sequence, records);
    }
    if (status == XT_OK && live->has_statistics) {
        status = check_table(live, XT_LIVE_STATISTICS, plain, records);
    }
    if (status == XT_OK && live->has_due) {
        status = check_keys(live, XT_LIVE_DUE, XT_LIVE_DUE_KEY, records);
    }
    if (status == XT_OK && live->has_nonces) {
        status = check_keys(live, XT_LIVE_NONCES, XT_LIVE_NONCE_KEY, records);
    }
    xt_secret_free(plain);
    return status;
}

/* ---- sealing anew ----------------------------------------------------------------------------- */

_Static_assert(XT_LIVE_ENTRY_MAX >= XT_LIVE_RECORD_HEAD + XT_LIVE_RECORD_MAX, "the largest record");
#define SEALED_MAX (XT_LIVE_ENTRY_MAX + XT_LIVE_SEAL_OVERHEAD)

static int reseal_table(struct xt_live *live, enum xt_live_table table,
                        const struct xt_live_sealer *sealer, uint8_t *plain, uint8_t *sealed)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_open(live->txn, live->tables[table], &cursor);
    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size > XT_LIVE_HASH ||
            unseal(live, table, key, value, plain, SEALED_MAX) != XT_OK) {
            code = MDB_CORRUPTED;
            break;
        }
        /* What the cursor gave lies in pages that the change may move. */
        struct place place = place_of(table, key);
        MDB_val same = {.mv_size = key.mv_size, .mv_data = place.bytes + 1};
        MDB_val changed = {.mv_size = value.mv_size, .mv_data = sealed};
        xt_live_seal(sealer, xt_span_of(place.bytes, place.size),
                     xt_span_of(plain, value.mv_size - XT_LIVE_SEAL_OVERHEAD), sealed);
        code = mdb_cursor_put(cursor, &same, &changed, MDB_CURRENT);
        if (code != 0) {
            break;
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int xt_live_records_reseal(struct xt_live *live, const struct xt_live_sealer *sealer)
{
    /* `touched` and `due` hold nothing but hashes, `nonces` nothing of anybody. */
    static const enum xt_live_table sealed[] = {XT_LIVE_STATE, XT_LIVE_LOG, XT_LIVE_PEOPLE,
                                                XT_LIVE_STATISTICS};
    uint8_t *plain = xt_secret_alloc((size_t)2 * SEALED_MAX);
    if (plain == NULL) {
        return ENOMEM;
    }
    int code = 0;
    for (unsigned i = 0; code == 0 && i < sizeof(sealed) / sizeof(sealed[0]); i++) {
        code = reseal_table(live, sealed[i], sealer, plain, plain + SEALED_MAX);
    }
    xt_secret_free(plain);
    return code;
}
