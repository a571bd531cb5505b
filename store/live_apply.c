/* One group of events, applied in one transaction. */
#include <errno.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define ROOM_LEAST                                                                                 \
    (1U << 20) /* bytes; with less on the disk, what failed did so for want of room */

struct group {
    struct xt_live *live;
    const struct xt_span *events;
    struct xt_live_outcome *outcomes;
    unsigned count, added, added_attempts; /* .. to each window */
    uint64_t sequence, time_ms, age_ms;    /* before the group */
};

/* An event of an account may be in either. */
static const struct xt_window_event *find(const struct xt_live *live, const struct xt_event *event,
                                          const struct xt_window_event *line)
{
    const struct xt_window_event *found =
        xt_event_is_account(event) ? xt_live_window_find(&live->attempts, line->id) : NULL;
    return found != NULL ? found : xt_live_window_find(&live->window, line->id);
}

/* An event that was applied before, in this group or in a window. */
static bool is_known(const struct group *group, const struct xt_event *event,
                     const struct xt_window_event *line, struct xt_live_outcome *outcome)
{
    const struct xt_window_event *found = find(group->live, event, line);
    if (found == NULL) {
        return false;
    }
    if (found->content != line->content) {
        outcome->status = XT_EXISTS;
        return true;
    }
    outcome->duplicate = true;
    outcome->sequence = found->sequence;
    outcome->attempt =
        group->live->active ? xt_live_log_attempt(group->live, found->sequence) : XT_ATTEMPT_NONE;
    return true;
}

static void describe(const struct xt_live *live, const struct xt_event *event,
                     struct xt_span encoded, struct xt_window_event *line)
{
    uint8_t content[XT_LIVE_HASH];
    xt_live_hash(live->sealer, XT_LIVE_EVENT_ID, xt_span_of(event->id, sizeof(event->id)),
                 line->id);
    xt_live_hash(live->sealer, XT_LIVE_EVENT_CONTENT, encoded, content);
    memcpy(&line->content, content, sizeof(line->content));
    line->time_ms = live->age_ms;
}

/* Codes of LMDB's: the group is lost. */
static int apply_one(struct group *group, struct xt_span encoded, struct xt_live_outcome *outcome)
{
    struct xt_live *live = group->live;
    struct xt_event event;
    struct xt_window_event line;
    *outcome = (struct xt_live_outcome){.status = xt_event_decode(encoded, &event)};
    if (outcome->status != XT_OK) {
        return 0;
    }
    describe(live, &event, encoded, &line);
    if (is_known(group, &event, &line, outcome)) {
        return 0;
    }
    live->sequence++;
    int code = xt_live_take_effect(live, &event, outcome);
    if (code != 0 || outcome->status != XT_OK) {
        live->sequence--;
        return code;
    }
    line.sequence = outcome->sequence = live->sequence;
    code = xt_live_log_append(
        live,
        &(struct xt_live_line){.event = line, .type = event.type, .attempt = outcome->attempt});
    if (code != 0) {
        return code;
    }
    if (xt_live_is_attempt(event.type, outcome->attempt)) {
        xt_live_window_add(&live->attempts, &line);
        group->added_attempts++;
    } else {
        xt_live_window_add(&live->window, &line);
        group->added++;
    }
    return 0;
}

/* How many of the oldest ids the log need not keep. While lines of neither window are left none goes by its age: such an
 * id may come again and have a line for the second time, and what reads the log knows the older one to be none by as
 * many lines between them as a window keeps. */
static unsigned forgettable(const struct xt_live *live, const struct xt_live_window *window,
                            uint64_t kept_ms)
{
    uint64_t count = xt_live_window_count(window);
    unsigned forget = 0;
    for (; forget < XT_LIVE_FORGET_MOST && forget < count; forget++) {
        bool full = count - forget > xt_live_window_kept(window);
        bool old = live->stray == 0 &&
                   xt_live_window_at(window, forget)->time_ms + kept_ms <= live->age_ms;
        if (!full && !old) {
            break;
        }
    }
    return forget;
}

/* The oldest lines of a window; they leave it once the group is committed. */
static int drop_lines(struct xt_live *live, const struct xt_live_window *window, unsigned count)
{
    int code = 0;
    for (unsigned i = 0; code == 0 && i < count; i++) {
        code =
            xt_live_log_drop(live, xt_live_window_at(window, i)->sequence, window == &live->window);
    }
    return code;
}

static void forget(struct xt_live_window *window, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        xt_live_window_forget(window);
    }
}

static int write_position(struct xt_live *live, const struct xt_live_position *position)
{
    uint8_t fields[32];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    xt_put(&writer, position->sequence, 8);
    xt_put(&writer, position->time_ms, 8);
    xt_put(&writer, position->lines, 8);
    xt_put(&writer, position->dropped, 8);
    return xt_live_put(live, XT_LIVE_POSITION, xt_span_of(NULL, 0), xt_written(&writer));
}

/* As it was before the group, in memory. */
static void take_back(struct group *group)
{
    for (; group->added > 0; group->added--) {
        xt_live_window_take_back(&group->live->window);
    }
    for (; group->added_attempts > 0; group->added_attempts--) {
        xt_live_window_take_back(&group->live->attempts);
    }
    group->live->sequence = group->sequence;
    group->live->time_ms = group->time_ms;
    group->live->age_ms = group->age_ms;
}

static void end_txn(struct xt_live *live)
{
    if (live->txn != NULL) {
        mdb_txn_abort(live->txn);
    }
    live->txn = NULL;
    live->active = false;
}

/* What leaves the log with a group. */
struct going {
    unsigned old, old_attempts; /* of each window */
    uint64_t strays, stray_at;  /* as xt_live_log_drop_strays */
};

static int drop_all(struct xt_live *live, struct going *going)
{
    int code = xt_live_log_drop_strays(live, &going->stray_at, &going->strays);
    if (code == 0) {
        code = drop_lines(live, &live->attempts, going->old_attempts);
    }
    return code == 0 ? drop_lines(live, &live->window, going->old) : code;
}

/* In memory, once it is gone from the disk. */
static void forget_all(struct xt_live *live, const struct going *going)
{
    forget(&live->window, going->old);
    forget(&live->attempts, going->old_attempts);
    live->stray -= going->strays;
    live->stray_at = going->stray_at;
}

static struct xt_live_position position_after(const struct group *group, const struct going *going)
{
    const struct xt_live *live = group->live;
    uint64_t added = group->added + group->added_attempts;
    uint64_t gone = going->strays + going->old + going->old_attempts;
    return (struct xt_live_position){
        .sequence = live->sequence,
        .time_ms = live->time_ms,
        .lines = live->lines + added - gone,
        .dropped = going->old > 0 ? xt_live_window_at(&live->window, going->old - 1)->sequence
                                  : live->dropped};
}

static int try_group(struct group *group, uint64_t now_ms)
{
    struct xt_live *live = group->live;
    struct going going = {.old = forgettable(live, &live->window, XT_LIVE_WINDOW_MS),
                          .old_attempts = forgettable(live, &live->attempts, XT_LIVE_ATTEMPTS_MS)};
    int code = xt_live_begin_write(live);
    live->active = code == 0;
    xt_live_advance(live, now_ms);
    for (unsigned i = 0; code == 0 && i < group->count; i++) {
        code = apply_one(group, group->events[i], &group->outcomes[i]);
    }
    if (code == 0 && group->added + group->added_attempts == 0) {
        end_txn(live); /* nothing changed: nothing to wait for */
        return 0;
    }
    if (code == 0) {
        code = drop_all(live, &going);
    }
    if (code == 0 && group->added_attempts > 0) { /* as many go as come, and in the end all */
        unsigned forgotten;
        code = xt_live_nonces_forget(live, 2 * group->count, &forgotten);
    }
    struct xt_live_position position = position_after(group, &going);
    if (code == 0) {
        code = write_position(live, &position);
    }
    if (code == 0) {
        code = xt_live_end_write(live, 0);
    }
    end_txn(live);
    if (code != 0) {
        return code;
    }
    forget_all(live, &going);
    live->lines = position.lines;
    live->dropped = position.dropped;
    return 0;
}

/* After a failed commit: is the store certainly as it was? LMDB notes when writing its meta page failed,
 * and refuses everything from then on. */
static bool is_unchanged(struct xt_live *live)
{
    MDB_txn *txn = NULL;
    if (mdb_txn_begin(live->env, NULL, 0, &txn) != 0) {
        return false;
    }
    mdb_txn_abort(txn);
    return true;
}

/* The limit is that of the opening: a sandboxed process need not be allowed to ask for it. */
enum xt_status xt_live_room(const struct xt_live *live, uint64_t *used, uint64_t *left)
{
    int fd = -1;
    struct statvfs disk;
    struct stat file;
    *used = *left = 0;
    if (mdb_env_get_fd(live->env, &fd) != 0 || fstatvfs(fd, &disk) != 0 || fstat(fd, &file) != 0) {
        return XT_IO;
    }
    uint64_t most = live->file_limit < XT_LIVE_MAP_MOST ? live->file_limit : XT_LIVE_MAP_MOST;
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    *used = (uint64_t)file.st_size;
    *left = most > *used ? most - *used : 0;
    *left = room < *left ? room : *left;
    return XT_OK;
}

/* Whether the next ROOM_LEAST bytes would find no place. */
static bool room_is_short(const struct xt_live *live)
{
    uint64_t used, left;
    return xt_live_room(live, &used, &left) == XT_OK && left < ROOM_LEAST;
}

/* LMDB reports a write that was cut short, as on a disk that fills up, as EIO. */
bool xt_live_lacks_room(struct xt_live *live, int code)
{
    bool room = code == ENOSPC || code == EDQUOT || code == EFBIG || code == MDB_MAP_FULL ||
                (code == EIO && room_is_short(live));
    return room && is_unchanged(live);
}

int xt_live_grow(struct xt_live *live, bool now)
{
    MDB_envinfo info;
    MDB_stat stat;
    int code = mdb_env_info(live->env, &info);
    if (code == 0) {
        code = mdb_env_stat(live->env, &stat);
    }
    if (code != 0) {
        return code;
    }
    uint64_t used = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    uint64_t wanted = info.me_mapsize;
    if (now || used > wanted / 2) {
        wanted *= 2;
    }
    if (wanted == info.me_mapsize) {
        return 0;
    }
    if (wanted > XT_LIVE_MAP_MOST) {
        return now ? MDB_MAP_FULL : 0;
    }
    xt_live_stop_walking(live); /* no transaction may be open */
    return mdb_env_set_mapsize(live->env, (size_t)wanted);
}

/* For want of room, but for those that were applied long ago or never would be. */
static void refuse_all(struct group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        struct xt_live_outcome *outcome = &group->outcomes[i];
        struct xt_event event;
        struct xt_window_event line;
        *outcome = (struct xt_live_outcome){.status = xt_event_decode(group->events[i], &event)};
        if (outcome->status != XT_OK) {
            continue;
        }
        describe(group->live, &event, group->events[i], &line);
        if (!is_known(group, &event, &line, outcome)) {
            outcome->status = XT_DISK_FULL;
        }
    }
}

enum xt_status xt_live_apply(struct xt_live *live, uint64_t now_ms, const struct xt_span *events,
                             unsigned count, struct xt_live_outcome *outcomes,
                             struct xt_failure *failure)
{
    struct group group = {.live = live,
                          .events = events,
                          .outcomes = outcomes,
                          .count = count,
                          .sequence = live->sequence,
                          .time_ms = live->time_ms,
                          .age_ms = live->age_ms};
    xt_require(live->writes && count <= XT_LIVE_GROUP_MAX);
    int code = xt_live_grow(live, false);
    for (unsigned tries = 0; code == 0 && tries < 2; tries++) {
        code = try_group(&group, now_ms);
        if (code != MDB_MAP_FULL) {
            break;
        }
        take_back(&group);
        code = tries == 0 ? xt_live_grow(live, true) : code;
    }
    if (code == 0) {
        return XT_OK;
    }
    take_back(&group);
    if (!xt_live_lacks_room(live, code)) {
        return xt_live_broken(failure, "write the live store", code);
    }
    refuse_all(&group);
    return XT_DISK_FULL;
}
