/* The cells are counted anew from the overlay, in steps between groups. */
#include <lmdb.h>

#include "store/live_statistics_internal.h"

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

bool xt_live_keeps_changes(const struct xt_live *live)
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
    xt_live_state_key(live, XT_LIVE_TOLD, xt_span_of(NULL, 0), told);
    int code = xt_live_forget_count(live);
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
    size_t end = cells->places - counting->place < live->count_most
                     ? cells->places
                     : counting->place + live->count_most;
    int code = 0;
    for (size_t i = counting->place; code == 0 && i < end; i++) {
        const struct xt_tally_line *line = xt_tally_at(cells, i);
        if (line != NULL) {
            code = xt_live_put_cell(live, line->key_and_one - 1, line->people);
        }
    }
    return code != 0 || end < cells->places ? code : xt_live_put_counted_base(live);
}

static enum xt_status write_step(struct xt_live *live, struct xt_failure *failure)
{
    struct xt_live_counting *counting = live->counting;
    enum xt_status status = xt_live_commit(live, write_some, counting, failure);
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
        status = xt_live_commit(live, clear_some, live->counting, failure);
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
    status = xt_live_counted_base(live, over);
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
