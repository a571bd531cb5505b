#include "store/live_fold.h"

#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_internal.h"

/* floor 4: number of the oldest generation that may be read | up to which event its like were dropped 8 |
 * up to which event all are gone 8 */
struct folded {
    uint32_t floor;
    uint64_t dropping, dropped;
};

void xt_live_make_identity(struct xt_live *live)
{
    for (uint8_t i = 0; i < XT_GENERATION_IDENTITY / XT_LIVE_HASH; i++) {
        xt_live_hash(live->sealer, XT_LIVE_IDENTITY, xt_span_of(&i, 1),
                     live->identity + (size_t)i * XT_LIVE_HASH);
    }
}

const uint8_t *xt_live_identity(const struct xt_live *live)
{
    return live->identity;
}

static enum xt_status read_folded(const struct xt_live *live, struct folded *folded)
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    *folded = (struct folded){.floor = 0};
    enum xt_status status =
        xt_live_get(live, XT_LIVE_FOLDED, xt_span_of(NULL, 0), fields, &size, NULL);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(fields, size));
    folded->floor = (uint32_t)xt_take(&taker, 4);
    folded->dropping = xt_take(&taker, 8);
    folded->dropped = xt_take(&taker, 8);
    return xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}

static int write_folded(struct xt_live *live, const struct folded *folded)
{
    uint8_t fields[20];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    xt_put(&writer, folded->floor, 4);
    xt_put(&writer, folded->dropping, 8);
    xt_put(&writer, folded->dropped, 8);
    return xt_live_put(live, XT_LIVE_FOLDED, xt_span_of(NULL, 0), xt_written(&writer));
}

int xt_live_forget_floor(struct xt_live *live)
{
    return xt_live_delete(live, XT_LIVE_FOLDED, xt_span_of(NULL, 0));
}

/* ---- readers ---------------------------------------------------------------------------------- */

enum xt_status xt_live_look_at_floor(struct xt_live *live)
{
    struct folded folded;
    enum xt_status status = read_folded(live, &folded);
    live->floor = folded.floor;
    return status;
}

bool xt_live_lies_over(const struct xt_live *live, const struct xt_generation *generation)
{
    return live->floor == 0 || xt_generation_manifest(generation)->number >= live->floor;
}

static bool is_of(const struct xt_live *live, const struct xt_manifest *manifest)
{
    return manifest->folded > 0 &&
           memcmp(manifest->folded_live, live->identity, sizeof(live->identity)) == 0;
}

void xt_live_lie_over(struct xt_live *live, const struct xt_manifest *manifest)
{
    live->covered = is_of(live, manifest) ? manifest->folded : 0;
}

static enum xt_status compare(struct xt_live *live, const struct xt_manifest *manifest,
                              bool rollback, struct xt_failure *failure)
{
    struct folded folded;
    enum xt_status status = read_folded(live, &folded);
    if (status != XT_OK) {
        return xt_fail(failure, status, "the live store cannot be read: %s",
                       xt_status_name(status));
    }
    if (is_of(live, manifest) && manifest->folded > xt_live_sequence(live)) {
        return xt_fail(failure, XT_DENIED,
                       "generation %06u holds events up to %llu, and the live store knows %llu: it "
                       "is older; put both back from one backup",
                       manifest->number, (unsigned long long)manifest->folded,
                       (unsigned long long)xt_live_sequence(live));
    }
    if (manifest->number < folded.floor && !rollback) {
        return xt_fail(failure, XT_DENIED,
                       "generation %06u lacks events up to %llu that are in %06u and in the live "
                       "store no more: serve that one, or import people anew",
                       manifest->number, (unsigned long long)folded.dropping, folded.floor);
    }
    return XT_OK;
}

enum xt_status xt_live_may_lie_over(struct xt_live *live, const struct xt_manifest *manifest,
                                    bool rollback, struct xt_failure *failure)
{
    if (live == NULL) {
        return XT_OK;
    }
    bool looks = live->writes && !live->active;
    enum xt_status status = looks ? xt_live_begin_look(live) : XT_OK;
    if (status != XT_OK) {
        return xt_fail(failure, status, "the live store cannot be read");
    }
    status = compare(live, manifest, rollback, failure);
    if (looks) {
        xt_live_end_look(live);
    }
    return status;
}

/* ---- dropping --------------------------------------------------------------------------------- */

/* One step's work. */
struct step {
    struct xt_live *live;
    uint64_t up_to; /* event */
    uint8_t at[XT_LIVE_HASH];
    bool any, ended;
};

/* Codes of LMDB's. */
static int is_folded(const struct step *step, MDB_val key, MDB_val value, bool *folded)
{
    struct xt_live *live = step->live;
    struct xt_live_record record;
    enum xt_status status = xt_live_record_open(
        live, XT_LIVE_PEOPLE, xt_span_of(key.mv_data, key.mv_size),
        xt_span_of(value.mv_data, value.mv_size), live->record, XT_LIVE_ENTRY_MAX, &record);
    *folded = status == XT_OK && record.sequence <= step->up_to;
    return status == XT_OK ? 0 : MDB_CORRUPTED;
}

/* A key that is there is looked at again after a step that ended with it: it stayed, and stays. */
static int drop_some(struct step *step, MDB_cursor *cursor)
{
    struct xt_live *live = step->live;
    MDB_val key = {.mv_size = sizeof(live->fold_at), .mv_data = live->fold_at};
    MDB_val value;
    int code = mdb_cursor_get(cursor, &key, &value, live->fold_began ? MDB_SET_RANGE : MDB_FIRST);
    for (unsigned i = 0; code == 0 && i < XT_LIVE_DROP_MOST; i++) {
        bool folded = false;
        code =
            key.mv_size == sizeof(step->at) ? is_folded(step, key, value, &folded) : MDB_CORRUPTED;
        if (code == 0) {
            memcpy(step->at, key.mv_data, sizeof(step->at));
            step->any = true;
            code = folded ? mdb_cursor_del(cursor, 0) : 0;
        }
        if (code == 0) {
            code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    step->ended = code == MDB_NOTFOUND;
    return step->ended ? 0 : code;
}

static int drop_in_txn(struct step *step)
{
    struct xt_live *live = step->live;
    const struct xt_manifest *manifest = xt_generation_manifest(live->base);
    struct folded folded;
    MDB_cursor *cursor = NULL;
    if (read_folded(live, &folded) != XT_OK) {
        return MDB_CORRUPTED;
    }
    if (folded.dropped >= step->up_to) {
        step->ended = true;
        return 0;
    }
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_PEOPLE], &cursor);
    if (code == 0) {
        code = drop_some(step, cursor);
        mdb_cursor_close(cursor);
    }
    bool first = folded.floor != manifest->number || folded.dropping != step->up_to;
    if (code == 0 && (first || step->ended)) {
        folded.floor = manifest->number;
        folded.dropping = step->up_to;
        folded.dropped = step->ended ? step->up_to : folded.dropped;
        code = write_folded(live, &folded);
    }
    return code;
}

/* In a transaction of its own; nothing is open after it. Codes of LMDB's. */
static int try_step(struct step *step)
{
    struct xt_live *live = step->live;
    int code = xt_live_begin_write(live);
    if (code != 0) {
        return code;
    }
    live->active = true;
    code = drop_in_txn(step);
    return xt_live_end_write(live, code);
}

/* Whether the base holds what this store still has. One that is not the base any more says nothing. */
static bool is_due(const struct xt_live *live)
{
    return live->base != NULL && !live->base_is_old && !live->fold_ended &&
           is_of(live, xt_generation_manifest(live->base));
}

enum xt_status xt_live_drop_folded(struct xt_live *live, bool *done, struct xt_failure *failure)
{
    struct step step = {.live = live};
    xt_require(live->writes && live->txn == NULL);
    *done = !is_due(live);
    if (*done) {
        return XT_OK;
    }
    step.up_to = xt_generation_manifest(live->base)->folded;
    int code = xt_live_grow(live, false);
    for (unsigned tries = 0; code == 0 && tries < 2; tries++) {
        code = try_step(&step);
        if (code != MDB_MAP_FULL) {
            break;
        }
        code = tries == 0 ? xt_live_grow(live, true) : code;
    }
    if (code != 0) {
        return xt_live_lacks_room(live, code)
                   ? xt_fail(failure, XT_DISK_FULL,
                             "cannot drop what was compacted: the disk is full; make room")
                   : xt_live_failed(failure, "drop what was compacted", code);
    }
    if (step.any) {
        live->fold_began = true;
        memcpy(live->fold_at, step.at, sizeof(step.at));
    }
    live->fold_ended = step.ended;
    *done = step.ended;
    return XT_OK;
}
