/* Cells and changes: written with every event, folded, added up. */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_statistics_internal.h"

#define CELL_KEY 5 /* bytes */
#define CELL_SIZE (CELL_KEY + 8)
#define CHANGE_SIZE (2 * CELL_KEY)
#define NOBODY 0xffffffffffULL /* in place of a key */
#define BASE_SIZE (XT_GENERATION_DIGEST + 4)
#define TRIES 8 /* each with twice the map */

/* ---- records ---------------------------------------------------------------------------------- */

enum xt_status xt_live_statistics_get(const struct xt_live *live, enum xt_live_kind kind,
                                      struct xt_span key, uint8_t *plain, size_t capacity,
                                      struct xt_span *fields)
{
    uint8_t hash[XT_LIVE_HASH];
    if (!live->has_statistics) {
        return XT_NOT_FOUND;
    }
    xt_live_state_key(live, kind, key, hash);
    return xt_live_record_get(live, XT_LIVE_STATISTICS, kind, xt_span_of(hash, sizeof(hash)), plain,
                              capacity, fields, NULL);
}

static struct xt_span nothing(void)
{
    return xt_span_of(NULL, 0);
}

enum xt_status xt_live_counted_base(const struct xt_live *live,
                                    uint8_t digest[XT_GENERATION_DIGEST])
{
    uint8_t plain[XT_LIVE_RECORD_HEAD + BASE_SIZE];
    struct xt_span fields;
    enum xt_status status = xt_live_statistics_get(live, XT_LIVE_COUNTED_BASE, nothing(), plain,
                                                   sizeof(plain), &fields);
    if (status == XT_OK && fields.size != BASE_SIZE) {
        return XT_CORRUPT;
    }
    if (status == XT_OK) {
        memcpy(digest, fields.data, XT_GENERATION_DIGEST);
    }
    return status;
}

int xt_live_put_counted_base(struct xt_live *live)
{
    const struct xt_manifest *manifest = xt_generation_manifest(live->base);
    uint8_t fields[BASE_SIZE];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    xt_write(&writer, manifest->digest, XT_GENERATION_DIGEST);
    xt_put(&writer, manifest->number, 4);
    return xt_live_put_in(live, XT_LIVE_STATISTICS, XT_LIVE_COUNTED_BASE, nothing(),
                          xt_written(&writer));
}

int xt_live_forget_count(struct xt_live *live)
{
    return xt_live_delete_in(live, XT_LIVE_STATISTICS, XT_LIVE_COUNTED_BASE, nothing());
}

/* ---- cells ------------------------------------------------------------------------------------ */

static struct xt_span cell_key(uint64_t key, uint8_t bytes[CELL_KEY])
{
    struct xt_writer writer = xt_writer_over(bytes, CELL_KEY);
    xt_put(&writer, key, CELL_KEY);
    return xt_written(&writer);
}

int xt_live_put_cell(struct xt_live *live, uint64_t key, int64_t people)
{
    uint8_t bytes[CELL_KEY];
    uint8_t fields[CELL_SIZE];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    struct xt_span name = cell_key(key, bytes);
    if (people == 0) {
        return xt_live_delete_in(live, XT_LIVE_STATISTICS, XT_LIVE_CELL, name);
    }
    xt_put(&writer, key, CELL_KEY);
    xt_put(&writer, (uint64_t)people, 8);
    return xt_live_put_in(live, XT_LIVE_STATISTICS, XT_LIVE_CELL, name, xt_written(&writer));
}

static bool take_cell(struct xt_span fields, uint64_t *key, int64_t *people)
{
    struct xt_taker taker = xt_taker_over(fields);
    *key = xt_take(&taker, CELL_KEY);
    *people = (int64_t)xt_take(&taker, 8);
    return xt_taken_all(&taker) && xt_statistics_key_is_valid(*key);
}

static int add_to_cell(struct xt_live *live, uint64_t key, int64_t more)
{
    uint8_t bytes[CELL_KEY];
    uint8_t plain[XT_LIVE_RECORD_HEAD + CELL_SIZE];
    struct xt_span fields;
    uint64_t stored = key;
    int64_t people = 0;
    if (key == XT_STATISTICS_UNCOUNTED) {
        return 0;
    }
    enum xt_status status = xt_live_statistics_get(live, XT_LIVE_CELL, cell_key(key, bytes), plain,
                                                   sizeof(plain), &fields);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return MDB_CORRUPTED;
    }
    if (status == XT_OK && (!take_cell(fields, &stored, &people) || stored != key)) {
        return MDB_CORRUPTED;
    }
    return xt_live_put_cell(live, key, people + more);
}

int xt_live_count_change(struct xt_live *live, const struct xt_hot *before,
                         const struct xt_person *after)
{
    uint64_t from = before == NULL ? XT_STATISTICS_UNCOUNTED : xt_statistics_key(before);
    uint64_t to = xt_statistics_key_of(after);
    if (!live->counted && !xt_live_keeps_changes(live)) {
        /* Whatever the cells were over, they are not any more. */
        return xt_live_forget_count(live);
    }
    if (from == to) {
        return 0;
    }
    uint8_t key[8];
    uint8_t plain[XT_LIVE_RECORD_HEAD + CHANGE_SIZE];
    struct xt_writer writer = xt_writer_over(plain, sizeof(plain));
    xt_live_record_begin(live, XT_LIVE_CELL_CHANGE, &writer);
    xt_put(&writer, from == XT_STATISTICS_UNCOUNTED ? NOBODY : from, CELL_KEY);
    xt_put(&writer, to == XT_STATISTICS_UNCOUNTED ? NOBODY : to, CELL_KEY);
    xt_require(!writer.overflow);
    xt_live_log_key(live->sequence, key);
    int code = xt_live_record_put(live, XT_LIVE_STATISTICS, xt_span_of(key, sizeof(key)),
                                  xt_written(&writer));
    xt_wipe(plain, sizeof(plain));
    live->unfolded++;
    return code;
}

static enum xt_status take_key(struct xt_taker *taker, struct xt_tally *tally, int64_t people)
{
    uint64_t key = xt_take(taker, CELL_KEY);
    if (key == NOBODY) {
        return XT_OK;
    }
    return xt_statistics_key_is_valid(key) ? xt_tally_add(tally, key, people) : XT_CORRUPT;
}

/* What an event did. */
static enum xt_status add_change(struct xt_span fields, struct xt_tally *tally)
{
    struct xt_taker taker = xt_taker_over(fields);
    enum xt_status status = take_key(&taker, tally, -1);
    if (status == XT_OK) {
        status = take_key(&taker, tally, 1);
    }
    return status == XT_OK && !xt_taken_all(&taker) ? XT_CORRUPT : status;
}

static enum xt_status add_record(const struct xt_live *live, MDB_val key, MDB_val value,
                                 uint8_t *plain, struct xt_tally *tally)
{
    struct xt_live_record record;
    uint64_t cell;
    int64_t people;
    if (value.mv_size > XT_LIVE_RECORD_HEAD + CELL_SIZE + XT_LIVE_SEAL_OVERHEAD) {
        return XT_OK; /* other kinds are larger */
    }
    enum xt_status status = xt_live_record_open(
        live, XT_LIVE_STATISTICS, xt_span_of(key.mv_data, key.mv_size),
        xt_span_of(value.mv_data, value.mv_size), plain, XT_LIVE_RECORD_HEAD + CELL_SIZE, &record);
    if (status != XT_OK) {
        return status;
    }
    if (record.kind == XT_LIVE_CELL_CHANGE) {
        return add_change(record.fields, tally);
    }
    return record.kind == XT_LIVE_CELL && take_cell(record.fields, &cell, &people)
               ? xt_tally_add(tally, cell, people)
               : XT_CORRUPT;
}

static enum xt_status add_cells(const struct xt_live *live, struct xt_tally *tally)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    uint8_t plain[XT_LIVE_RECORD_HEAD + CELL_SIZE];
    enum xt_status status = XT_OK;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_STATISTICS], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (status == XT_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        status = add_record(live, key, value, plain, tally);
    }
    mdb_cursor_close(cursor);
    return status != XT_OK || code == MDB_NOTFOUND ? status : xt_live_failed(NULL, "", code);
}

/* Within a transaction. */
static enum xt_status add_cells_over(const struct xt_live *live,
                                     const uint8_t digest[XT_GENERATION_DIGEST],
                                     struct xt_tally *tally)
{
    uint8_t over[XT_GENERATION_DIGEST];
    enum xt_status status = xt_live_counted_base(live, over);
    if (status == XT_NOT_FOUND ||
        (status == XT_OK && memcmp(over, digest, XT_GENERATION_DIGEST) != 0)) {
        return XT_BUSY;
    }
    return status == XT_OK ? add_cells(live, tally) : status;
}

enum xt_status xt_live_add_cells(struct xt_live *live, const uint8_t digest[XT_GENERATION_DIGEST],
                                 struct xt_tally *tally)
{
    if (!live->writes) {
        return live->active ? add_cells_over(live, digest, tally) : XT_IO;
    }
    enum xt_status status = xt_live_begin_look(live);
    if (status == XT_OK) {
        status = add_cells_over(live, digest, tally);
        xt_live_end_look(live);
    }
    return status;
}

static int try_once(struct xt_live *live, xt_live_transaction act, void *context)
{
    int code = xt_live_begin_write(live);
    if (code != 0) {
        return code;
    }
    live->active = true;
    code = act(live, context);
    return xt_live_end_write(live, code);
}

enum xt_status xt_live_commit(struct xt_live *live, xt_live_transaction act, void *context,
                              struct xt_failure *failure)
{
    int code = xt_live_grow(live, false);
    for (unsigned tries = 0; code == 0 && tries < TRIES; tries++) {
        code = try_once(live, act, context);
        if (code != MDB_MAP_FULL) {
            break;
        }
        code = tries + 1 < TRIES ? xt_live_grow(live, true) : code;
    }
    if (code == 0) {
        return XT_OK;
    }
    return xt_live_lacks_room(live, code)
               ? xt_fail(failure, XT_DISK_FULL, "cannot keep statistics: the disk is full")
               : xt_live_failed(failure, "keep statistics", code);
}

/* ---- changes into cells ------------------------------------------------------------------------- */

/* Takes the oldest changes out; their keys come first, but for a hash that begins with as many zeros. */
static enum xt_status take_changes(struct xt_live *live, struct xt_tally *tally, unsigned *taken)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    uint8_t plain[XT_LIVE_RECORD_HEAD + CELL_SIZE];
    enum xt_status status = XT_OK;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_STATISTICS], &cursor);
    *taken = 0;
    for (unsigned seen = 0; code == 0 && status == XT_OK && seen < 2 * XT_LIVE_FOLD_MOST; seen++) {
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (code == 0 && *taken < XT_LIVE_FOLD_MOST && key.mv_size == 8) {
            status = add_record(live, key, value, plain, tally);
            code = status == XT_OK ? mdb_cursor_del(cursor, 0) : 0;
            (*taken)++;
        } else if (code == 0 && *taken > 0) {
            break;
        }
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    return status != XT_OK || code == 0 || code == MDB_NOTFOUND ? status
                                                                : xt_live_failed(NULL, "", code);
}

struct folding {
    unsigned taken;
    enum xt_status status; /* why it failed, where that was not LMDB */
};

/* Cells that are damaged are none. */
static int forget_count(struct xt_live *live, void *context)
{
    (void)context;
    return xt_live_forget_count(live);
}

static int fold(struct xt_live *live, void *context)
{
    struct folding *folding = context;
    struct xt_tally tally = {.places = 0};
    folding->status = take_changes(live, &tally, &folding->taken);
    int code = folding->status == XT_OK ? 0 : MDB_CORRUPTED;
    for (size_t i = 0; code == 0 && i < tally.places; i++) {
        const struct xt_tally_line *line = xt_tally_at(&tally, i);
        if (line != NULL) {
            code = add_to_cell(live, line->key_and_one - 1, line->people);
        }
    }
    xt_tally_free(&tally);
    return code;
}

enum xt_status xt_live_fold_changes(struct xt_live *live, struct xt_failure *failure)
{
    struct folding folding = {.taken = 0};
    xt_require(live->writes && live->txn == NULL);
    if (!live->counted || live->unfolded < XT_LIVE_FOLD_FROM) {
        return XT_OK;
    }
    enum xt_status status = xt_live_commit(live, fold, &folding, failure);
    if (status != XT_OK && folding.status != XT_OK) {
        status = xt_fail(failure, folding.status, "cannot add up statistics: %s",
                         xt_status_name(folding.status));
    }
    if (status == XT_CORRUPT) {
        live->counted = false;
        if (xt_live_commit(live, forget_count, NULL, NULL) != XT_OK) {
            /* The next event does it, or the next count. */
        }
    }
    if (status == XT_OK) {
        live->unfolded = folding.taken < XT_LIVE_FOLD_MOST || live->unfolded < folding.taken
                             ? 0
                             : live->unfolded - folding.taken;
    }
    return status;
}

uint64_t xt_live_unfolded(const struct xt_live *live)
{
    return live->counted || xt_live_keeps_changes(live) ? live->unfolded : 0;
}

bool xt_live_has_counted(const struct xt_live *live)
{
    return live->counted;
}
