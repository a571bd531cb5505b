/* The cells: changed with every event, counted anew over another generation, and told from time to time. */
#include "store/live_statistics.h"

#include <lmdb.h>
#include <stdlib.h>

#include "core/little_endian.h"
#include "store/live_internal.h"

#define CELL_KEY 5 /* bytes */
#define CELL_SIZE (CELL_KEY + 8)
#define CHANGE_SIZE (2 * CELL_KEY)
#define NOBODY 0xffffffffffULL /* in place of a key */
#define BASE_SIZE (XT_GENERATION_DIGEST + 4)
#define TOLD_HEAD 4
#define PLAIN_MAX (XT_LIVE_RECORD_HEAD + TOLD_HEAD + XT_STATISTICS_STORED_MAX)
#define TRIES 8 /* each with twice the map */

_Static_assert(PLAIN_MAX <= XT_LIVE_ENTRY_MAX, "a store that is sealed anew has room for it");

/* ---- records ---------------------------------------------------------------------------------- */

static int put(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
               struct xt_span fields)
{
    uint8_t hash[XT_LIVE_HASH];
    uint8_t plain[XT_LIVE_RECORD_HEAD + BASE_SIZE];
    struct xt_writer writer = xt_writer_over(plain, sizeof(plain));
    xt_live_record_begin(live, kind, &writer);
    xt_write_span(&writer, fields);
    xt_require(!writer.overflow);
    xt_live_state_key(live, kind, key, hash);
    int code = xt_live_record_put(live, XT_LIVE_STATISTICS, xt_span_of(hash, sizeof(hash)),
                                  xt_written(&writer));
    xt_wipe(plain, writer.size);
    return code;
}

static enum xt_status get(const struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                          uint8_t *plain, size_t capacity, struct xt_span *fields)
{
    uint8_t hash[XT_LIVE_HASH];
    if (!live->has_statistics) {
        return XT_NOT_FOUND;
    }
    xt_live_state_key(live, kind, key, hash);
    return xt_live_record_get(live, XT_LIVE_STATISTICS, kind, xt_span_of(hash, sizeof(hash)), plain,
                              capacity, fields, NULL);
}

static int drop(struct xt_live *live, enum xt_live_kind kind, struct xt_span key)
{
    uint8_t hash[XT_LIVE_HASH];
    MDB_val name = {.mv_size = sizeof(hash), .mv_data = hash};
    xt_live_state_key(live, kind, key, hash);
    int code = mdb_del(live->txn, live->tables[XT_LIVE_STATISTICS], &name, NULL);
    return code == MDB_NOTFOUND ? 0 : code;
}

static struct xt_span nothing(void)
{
    return xt_span_of(NULL, 0);
}

/* The generation that the cells are over. XT_NOT_FOUND: they are over none. */
static enum xt_status counted_base(const struct xt_live *live, uint8_t digest[XT_GENERATION_DIGEST])
{
    uint8_t plain[XT_LIVE_RECORD_HEAD + BASE_SIZE];
    struct xt_span fields;
    enum xt_status status =
        get(live, XT_LIVE_COUNTED_BASE, nothing(), plain, sizeof(plain), &fields);
    if (status == XT_OK && fields.size != BASE_SIZE) {
        return XT_CORRUPT;
    }
    if (status == XT_OK) {
        memcpy(digest, fields.data, XT_GENERATION_DIGEST);
    }
    return status;
}

/* ---- cells ------------------------------------------------------------------------------------ */

static struct xt_span cell_key(uint64_t key, uint8_t bytes[CELL_KEY])
{
    struct xt_writer writer = xt_writer_over(bytes, CELL_KEY);
    xt_put(&writer, key, CELL_KEY);
    return xt_written(&writer);
}

static int put_cell(struct xt_live *live, uint64_t key, int64_t people)
{
    uint8_t bytes[CELL_KEY];
    uint8_t fields[CELL_SIZE];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    struct xt_span name = cell_key(key, bytes);
    if (people == 0) {
        return drop(live, XT_LIVE_CELL, name);
    }
    xt_put(&writer, key, CELL_KEY);
    xt_put(&writer, (uint64_t)people, 8);
    return put(live, XT_LIVE_CELL, name, xt_written(&writer));
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
    enum xt_status status =
        get(live, XT_LIVE_CELL, cell_key(key, bytes), plain, sizeof(plain), &fields);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return MDB_CORRUPTED;
    }
    if (status == XT_OK && (!take_cell(fields, &stored, &people) || stored != key)) {
        return MDB_CORRUPTED;
    }
    return put_cell(live, key, people + more);
}

static bool keeps_changes(const struct xt_live *live);

int xt_live_count_change(struct xt_live *live, const struct xt_hot *before,
                         const struct xt_person *after)
{
    uint64_t from = before == NULL ? XT_STATISTICS_UNCOUNTED : xt_statistics_key(before);
    uint64_t to = xt_statistics_key_of(after);
    if (!live->counted && !keeps_changes(live)) {
        /* Whatever the cells were over, they are not any more. */
        return drop(live, XT_LIVE_COUNTED_BASE, nothing());
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
    enum xt_status status = counted_base(live, over);
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

/* ---- counted anew ------------------------------------------------------------------------------ */

struct counting {
    struct xt_live *live;
    struct xt_generation *base;
    struct xt_tally cells;
    struct xt_person person;
};

/* Whom the base has under a number of his own counts no more. */
static enum xt_status take_away(struct counting *counting, uint64_t number)
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    struct xt_found found;
    enum xt_status status = xt_generation_find(counting->base, id, &found);
    return status == XT_OK && found.found && !found.by_alias
               ? xt_tally_add(&counting->cells, xt_statistics_key(&found.hot), -1)
               : status;
}

/* A number that he replaced: where the overlay does not say so it names whom the base says. */
static enum xt_status take_replaced(struct counting *counting, uint64_t replaced, uint64_t number)
{
    struct xt_live_entry entry;
    enum xt_status status = xt_live_entry(counting->live, replaced, &entry);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    return entry.replaced && entry.successor == number ? take_away(counting, replaced) : XT_OK;
}

/* A person of the overlay stands in the place of those whom the base has under his numbers. The person keeps
 * his numbers while the overlay is asked for others; entry and his texts go. */
static enum xt_status count_entry(void *context, const struct xt_live_entry *entry)
{
    struct counting *counting = context;
    const struct xt_person *person = &counting->person;
    if (entry->replaced) {
        return XT_OK; /* its successor has it among his */
    }
    enum xt_status status = xt_person_from_records(entry->hot, entry->cold, &counting->person);
    if (status == XT_OK) {
        status = xt_tally_add(&counting->cells, xt_statistics_key_of(person), 1);
    }
    if (status == XT_OK) {
        status = take_away(counting, person->number);
    }
    for (unsigned i = 0; status == XT_OK && i < person->replaced_count; i++) {
        status = take_replaced(counting, person->replaced[i], person->number);
    }
    return status;
}

/* A transaction of its own, by itself: what it puts. */
typedef int (*transaction)(struct xt_live *live, void *context);

static int try_once(struct xt_live *live, transaction act, void *context)
{
    int code = xt_live_begin_write(live);
    if (code != 0) {
        return code;
    }
    live->active = true;
    code = act(live, context);
    return xt_live_end_write(live, code);
}

static enum xt_status commit(struct xt_live *live, transaction act, void *context,
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

/* A count goes on between groups, in steps:
 *
 *   CLEARING  everything goes but what was told, and `base` first. Changes of events are not kept.
 *   WALKING   over a snapshot of the overlay, into memory. Changes of events after it are kept.
 *   WRITING   the cells; `base` with the last.
 *
 * A process that ends meanwhile leaves no `base`: the next one begins anew. */
enum counting_phase { CLEARING, WALKING, WRITING };

struct xt_live_counting {
    struct xt_memory self;
    struct counting of;
    enum counting_phase phase;
    MDB_txn *snapshot; /* NULL: none */
    MDB_cursor *cursor;
    size_t place; /* of the tally: the next to be written */
    bool ended;   /* nothing is left to clear */
};

static bool keeps_changes(const struct xt_live *live)
{
    return live->counting != NULL && live->counting->phase != CLEARING;
}

static void end_snapshot(struct xt_live_counting *counting)
{
    if (counting->cursor != NULL) {
        mdb_cursor_close(counting->cursor);
        counting->cursor = NULL;
    }
    if (counting->snapshot != NULL) {
        mdb_txn_abort(counting->snapshot);
        counting->snapshot = NULL;
    }
}

void xt_live_stop_counting(struct xt_live *live)
{
    if (live->counting != NULL) {
        end_snapshot(live->counting);
        xt_tally_free(&live->counting->of.cells);
        struct xt_memory self = live->counting->self;
        xt_memory_free(&self);
        live->counting = NULL;
    }
}

void xt_live_stop_walking(struct xt_live *live)
{
    if (live->counting != NULL && live->counting->snapshot != NULL) {
        xt_live_stop_counting(live);
    }
}

static enum xt_status start_counting(struct xt_live *live, struct xt_failure *failure)
{
    struct xt_memory memory = {.data = NULL};
    uint8_t *place = NULL;
    enum xt_status status = xt_memory_extend(&memory, sizeof(struct xt_live_counting), &place);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot count changed people: out of memory");
    }
    live->counting = (struct xt_live_counting *)(void *)place;
    live->counting->self = memory;
    live->counting->of.live = live;
    live->counting->of.base = live->base;
    live->counting->phase = CLEARING;
    return XT_OK;
}

static int clear_some(struct xt_live *live, void *context)
{
    struct xt_live_counting *counting = context;
    MDB_cursor *cursor = NULL;
    uint8_t told[XT_LIVE_HASH];
    MDB_val key;
    MDB_val value;
    counting->ended = false;
    xt_live_state_key(live, XT_LIVE_TOLD, nothing(), told);
    int code = drop(live, XT_LIVE_COUNTED_BASE, nothing());
    if (code == 0) {
        code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_STATISTICS], &cursor);
    }
    for (uint32_t i = 0; code == 0 && i <= live->count_most; i++) {
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (code == 0 && (key.mv_size != sizeof(told) || memcmp(key.mv_data, told, sizeof(told)))) {
            code = mdb_cursor_del(cursor, 0);
        }
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    counting->ended = code == MDB_NOTFOUND;
    return counting->ended ? 0 : code;
}

/* The changes of every event from now on are kept, and all before are in the snapshot. */
static enum xt_status begin_walk(struct xt_live *live)
{
    struct xt_live_counting *counting = live->counting;
    enum xt_status status = xt_live_begin_look(live);
    if (status != XT_OK) {
        return status;
    }
    counting->snapshot = live->txn;
    live->txn = NULL;
    live->active = false;
    int code = mdb_cursor_open(counting->snapshot, live->tables[XT_LIVE_PEOPLE], &counting->cursor);
    counting->phase = WALKING;
    live->unfolded = 0;
    return code == 0 ? XT_OK : xt_live_failed(NULL, "", code);
}

static enum xt_status walk_some(struct xt_live *live)
{
    struct xt_live_counting *counting = live->counting;
    bool ended = false;
    live->txn = counting->snapshot;
    live->active = true;
    enum xt_status status = xt_live_next_entries(live, counting->cursor, live->count_most,
                                                 count_entry, &counting->of, &ended);
    live->txn = NULL;
    live->active = false;
    if (ended) {
        end_snapshot(counting);
        counting->phase = WRITING;
    }
    return status;
}

/* From counting->place, which stays where it is: this may be tried again. */
static int write_some(struct xt_live *live, void *context)
{
    struct xt_live_counting *counting = context;
    const struct xt_tally *cells = &counting->of.cells;
    const struct xt_manifest *manifest = xt_generation_manifest(live->base);
    uint8_t fields[BASE_SIZE];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    size_t end = cells->places - counting->place < live->count_most
                     ? cells->places
                     : counting->place + live->count_most;
    int code = 0;
    for (size_t i = counting->place; code == 0 && i < end; i++) {
        const struct xt_tally_line *line = xt_tally_at(cells, i);
        if (line != NULL) {
            code = put_cell(live, line->key_and_one - 1, line->people);
        }
    }
    if (code != 0 || end < cells->places) {
        return code;
    }
    xt_write(&writer, manifest->digest, XT_GENERATION_DIGEST);
    xt_put(&writer, manifest->number, 4);
    return put(live, XT_LIVE_COUNTED_BASE, nothing(), xt_written(&writer));
}

static enum xt_status write_step(struct xt_live *live, struct xt_failure *failure)
{
    struct xt_live_counting *counting = live->counting;
    enum xt_status status = commit(live, write_some, counting, failure);
    if (status == XT_OK && counting->of.cells.places - counting->place <= live->count_most) {
        live->counted = true;
        xt_live_stop_counting(live);
    } else if (status == XT_OK) {
        counting->place += live->count_most;
    }
    return status;
}

static enum xt_status count_step(struct xt_live *live, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    switch (live->counting->phase) {
    case CLEARING:
        status = commit(live, clear_some, live->counting, failure);
        if (status != XT_OK || !live->counting->ended) {
            return status;
        }
        status = begin_walk(live);
        break;
    case WALKING:
        status = walk_some(live);
        break;
    case WRITING:
        return write_step(live, failure);
    }
    return status == XT_OK ? status
                           : xt_fail(failure, status, "cannot count changed people: %s",
                                     xt_status_name(status));
}

/* Changes that an earlier process left: those that it had not folded. */
static enum xt_status count_unfolded(struct xt_live *live)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    unsigned others = 0; /* a hash may begin with as many zeros */
    live->unfolded = 0;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_STATISTICS], &cursor);
    if (code != 0) {
        return xt_live_failed(NULL, "", code);
    }
    while (others < XT_LIVE_FOLD_MOST &&
           (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        live->unfolded += key.mv_size == 8;
        others += key.mv_size != 8;
    }
    mdb_cursor_close(cursor);
    return code == 0 || code == MDB_NOTFOUND ? XT_OK : xt_live_failed(NULL, "", code);
}

/* Whether an earlier count is over this base. */
static enum xt_status look_counted(struct xt_live *live, bool *counted)
{
    uint8_t over[XT_GENERATION_DIGEST];
    enum xt_status status = xt_live_begin_look(live);
    if (status != XT_OK) {
        return status;
    }
    status = counted_base(live, over);
    *counted = status == XT_OK &&
               memcmp(over, xt_generation_manifest(live->base)->digest, sizeof(over)) == 0;
    if (*counted) {
        status = count_unfolded(live);
    }
    xt_live_end_look(live);
    return status == XT_NOT_FOUND || status == XT_CORRUPT ? XT_OK : status;
}

enum xt_status xt_live_count_anew(struct xt_live *live, bool *done, struct xt_failure *failure)
{
    xt_require(live->writes && live->txn == NULL && live->base != NULL);
    enum xt_status status = XT_OK;
    if (live->counting == NULL && !live->counted) {
        status = look_counted(live, &live->counted);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "cannot read statistics: %s", xt_status_name(status));
        } else if (!live->counted) {
            status = start_counting(live, failure);
        }
    }
    if (status == XT_OK && !live->counted) {
        status = count_step(live, failure);
    }
    if (status != XT_OK) {
        xt_live_stop_counting(live);
    }
    *done = live->counted;
    return status;
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
    return drop(live, XT_LIVE_COUNTED_BASE, nothing());
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
    enum xt_status status = commit(live, fold, &folding, failure);
    if (status != XT_OK && folding.status != XT_OK) {
        status = xt_fail(failure, folding.status, "cannot add up statistics: %s",
                         xt_status_name(folding.status));
    }
    if (status == XT_CORRUPT) {
        live->counted = false;
        if (commit(live, forget_count, NULL, NULL) != XT_OK) {
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
    return live->counted || keeps_changes(live) ? live->unfolded : 0;
}

bool xt_live_has_counted(const struct xt_live *live)
{
    return live->counted;
}

/* ---- told -------------------------------------------------------------------------------------- */

/* Room of a publication. */
struct telling {
    struct xt_statistics before, now;
    struct xt_statistics_work work;
    uint32_t cube[XT_STATISTICS_CUBE_MAX];
    uint8_t plain[PLAIN_MAX];
    size_t size;
};

static enum xt_status read_told(const struct xt_live *live, uint8_t plain[PLAIN_MAX],
                                struct xt_statistics *statistics, xt_date *as_of)
{
    struct xt_span fields;
    enum xt_status status = get(live, XT_LIVE_TOLD, nothing(), plain, PLAIN_MAX, &fields);
    if (status != XT_OK) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(fields);
    *as_of = (xt_date)xt_take(&taker, TOLD_HEAD);
    return taker.bad ? XT_CORRUPT : xt_statistics_decode(taker.rest, statistics);
}

enum xt_status xt_live_statistics(struct xt_live *live, struct xt_statistics *statistics,
                                  xt_date *as_of)
{
    uint8_t plain[PLAIN_MAX];
    enum xt_status status = live->writes ? xt_live_begin_look(live) : XT_OK;
    if (status == XT_OK) {
        status = read_told(live, plain, statistics, as_of);
        if (live->writes) {
            xt_live_end_look(live);
        }
    }
    xt_wipe(plain, sizeof(plain));
    return status;
}

static int put_told(struct xt_live *live, void *context)
{
    const struct telling *telling = context;
    uint8_t hash[XT_LIVE_HASH];
    xt_live_state_key(live, XT_LIVE_TOLD, nothing(), hash);
    return xt_live_record_put(live, XT_LIVE_STATISTICS, xt_span_of(hash, sizeof(hash)),
                              xt_span_of(telling->plain, telling->size));
}

/* Of tables of which nothing was told, the next may come the next day. */
static bool is_time(const struct xt_statistics *before, xt_date as_of, xt_date today)
{
    int32_t days = xt_date_to_days(today) - xt_date_to_days(as_of);
    days = days < 0 ? -days : days; /* the clock was wrong, then or now */
    return days >= (before->tables[0].withdrawn ? 1 : XT_STATISTICS_DAYS);
}

/* Makes today's tables. *due: they are to take the place of those before. */
static enum xt_status make_tables(struct xt_live *live, struct xt_tally *people, xt_date today,
                                  struct telling *telling, bool *due)
{
    xt_date as_of = XT_DATE_NONE;
    struct xt_statistics_shape shape;
    enum xt_status status = xt_live_statistics(live, &telling->before, &as_of);
    bool first = status == XT_NOT_FOUND || status == XT_UNSUPPORTED;
    *due = false;
    if (!first && (status != XT_OK || !is_time(&telling->before, as_of, today))) {
        return status;
    }
    const uint8_t *digest = xt_generation_manifest(live->base)->digest;
    status = xt_live_add_cells(live, digest, people);
    if (status == XT_OK && !xt_tally_to_cube(people, today, telling->cube)) {
        status = XT_CORRUPT;
    }
    if (status != XT_OK) {
        return status;
    }
    xt_statistics_shape(&shape);
    xt_statistics_publish(&telling->now, &shape, telling->cube, first ? NULL : &telling->before,
                          &telling->work, NULL, NULL);
    *due =
        first || xt_statistics_distance(&telling->before, &telling->now) >= XT_STATISTICS_SMALLEST;
    struct xt_writer writer = xt_writer_over(telling->plain, sizeof(telling->plain));
    xt_live_record_begin(live, XT_LIVE_TOLD, &writer);
    xt_put(&writer, today, TOLD_HEAD);
    xt_statistics_encode(&telling->now, &writer);
    xt_require(!writer.overflow);
    telling->size = writer.size;
    return XT_OK;
}

enum xt_status xt_live_tell_statistics(struct xt_live *live, struct xt_tally *people, xt_date today,
                                       bool *told, struct xt_failure *failure)
{
    struct xt_memory memory = {.data = NULL};
    uint8_t *place = NULL;
    bool due = false;
    xt_require(live->writes && live->txn == NULL && live->base != NULL);
    *told = false;
    enum xt_status status = xt_memory_extend(&memory, sizeof(struct telling), &place);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot make statistics: out of memory");
    }
    struct telling *telling = (struct telling *)(void *)place;
    status = make_tables(live, people, today, telling, &due);
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "cannot make statistics: %s", xt_status_name(status));
    } else if (due) {
        status = commit(live, put_told, telling, failure);
        *told = status == XT_OK;
    }
    xt_memory_free(&memory);
    return status;
}
