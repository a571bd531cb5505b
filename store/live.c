#include "store/live.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "store/live_internal.h"
#include "store/live_statistics.h"
#include "store/local_disk.h"

#define FILE_NAME "live.mdb"
#define SNAPSHOT_TRIES                                                                             \
    8 /* each time between two calls a group would have to be committed, to the disk */

enum xt_status xt_live_failed(struct xt_failure *failure, const char *what, int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case MDB_MAP_FULL:
        return xt_fail(failure, XT_DISK_FULL, "cannot %s: the disk is full; make room", what);
    case ENOMEM:
        return xt_fail(failure, XT_NO_MEMORY, "cannot %s: out of memory", what);
    case EACCES:
    case EPERM:
        return xt_fail(failure, XT_DENIED, "cannot %s: %s", what, mdb_strerror(code));
    case XT_LIVE_MOVED:
        return xt_fail(
            failure, XT_IO,
            "cannot %s: its lock file does not tell of the last commit; somebody may have "
            "written to it",
            what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
    case MDB_KEYEXIST:
        return xt_fail(failure, XT_CORRUPT, "cannot %s: the file is damaged (%s)", what,
                       mdb_strerror(code));
    default:
        return xt_fail(failure, XT_IO, "cannot %s: %s", what, mdb_strerror(code));
    }
}

enum xt_status xt_live_broken(struct xt_failure *failure, const char *what, int code)
{
    enum xt_status status = xt_live_failed(failure, what, code);
    return status == XT_DISK_FULL
               ? xt_fail(failure, XT_IO, "cannot %s: %s", what, mdb_strerror(code))
               : status;
}

/* ---- paths and the lock ------------------------------------------------------------------------ */

struct paths {
    char folder[XT_PATH_MAX], file[XT_PATH_MAX];
};

static enum xt_status find_paths(const char *dir, struct paths *paths, struct xt_failure *failure)
{
    if (xt_path_join(paths->folder, dir, "live") != XT_OK ||
        xt_path_join(paths->file, paths->folder, FILE_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    return xt_disk_check(paths->folder, XT_DISK_SHARED_MAPS, failure);
}

enum xt_status xt_live_lock(const char *dir, int *fd, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    if (xt_path_join(path, dir, "live/.lock") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot lock %s: %s", path,
                       strerror(errno));
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        enum xt_status status = errno == EWOULDBLOCK ? XT_BUSY : XT_IO;
        (void)xt_fail(failure, status, "cannot lock %s: %s", path, strerror(errno));
        close(lock);
        return status;
    }
    *fd = lock;
    return XT_OK;
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* Through a transaction of its own: handles are valid for later ones once it was committed. */
static int open_tables(struct xt_live *live)
{
    static const char *const names[XT_LIVE_PEOPLE] = {"header", "state", "log"};
    int code = 0;
    for (unsigned i = 0; code == 0 && i < XT_LIVE_PEOPLE; i++) {
        code = mdb_dbi_open(live->txn, names[i], 0, &live->tables[i]);
    }
    return code;
}

static int begin_txn(struct xt_live *live)
{
    if (live->txn != NULL) { /* of a reader that rests */
        int code = mdb_txn_renew(live->txn);
        if (code == MDB_MAP_RESIZED) { /* as below */
            code = mdb_env_set_mapsize(live->env, 0);
            code = code == 0 ? mdb_txn_renew(live->txn) : code;
        }
        return code;
    }
    int code = mdb_txn_begin(live->env, NULL, MDB_RDONLY, &live->txn);
    if (code == MDB_READERS_FULL) { /* of killed ones, whom the writer has not looked for yet */
        int dead = 0;
        code = mdb_reader_check(live->env, &dead);
        code = code == 0 ? mdb_txn_begin(live->env, NULL, MDB_RDONLY, &live->txn) : code;
    }
    if (code == MDB_MAP_RESIZED) { /* the writer has made it larger since it was opened */
        code = mdb_env_set_mapsize(live->env, 0);
        code = code == 0 ? mdb_txn_begin(live->env, NULL, MDB_RDONLY, &live->txn) : code;
    }
    return code;
}

static enum xt_status open_environment(struct xt_live *live, const struct paths *paths,
                                       const struct xt_keyring *keyring, uint64_t map_bytes,
                                       struct xt_failure *failure)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | (live->writes ? 0 : MDB_RDONLY);
    int code = mdb_env_create(&live->env);
    if (code == 0) {
        code = mdb_env_set_maxdbs(live->env, XT_LIVE_TABLES);
    }
    if (code == 0) {
        code = mdb_env_set_maxreaders(live->env, XT_LIVE_READERS);
    }
    if (code == 0) {
        code = mdb_env_set_mapsize(live->env, (size_t)map_bytes);
    }
    if (code == 0) {
        code = mdb_env_open(live->env, paths->file, flags, 0600);
    }
    if (code == 0 && live->writes) {
        code = xt_live_pin(live);
    }
    if (code == 0) {
        code = begin_txn(live);
    }
    if (code == 0) {
        code = open_tables(live);
    }
    if (code != 0) {
        return xt_live_failed(failure, "open the live store", code);
    }
    live->active = true;
    live->keyring = live->writes ? NULL : keyring;
    enum xt_status status = xt_live_read_header(live, keyring, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_live_make_identity(live);
    code = mdb_txn_commit(live->txn);
    live->txn = NULL;
    live->active = false;
    return code == 0 ? xt_live_open_overlay(live, failure)
                     : xt_live_failed(failure, "open the live store", code);
}

enum xt_status xt_live_position(const struct xt_live *live, struct xt_live_position *position)
{
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    *position = (struct xt_live_position){.sequence = 0};
    enum xt_status status =
        xt_live_get(live, XT_LIVE_POSITION, xt_span_of(NULL, 0), fields, &size, NULL);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(fields, size));
    position->sequence = xt_take(&taker, 8);
    position->time_ms = xt_take(&taker, 8);
    bool older = taker.rest.size == 0;
    position->lines = older ? UINT64_MAX : xt_take(&taker, 8);
    position->dropped = older ? UINT64_MAX : xt_take(&taker, 8);
    return xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}

/* A transaction has begun: the store may have been sealed anew since the header was read, and changed. */
static enum xt_status begun(struct xt_live *live)
{
    enum xt_status status = xt_live_read_header(live, live->keyring, NULL);
    return status == XT_OK ? xt_live_catch_up(live) : status;
}

/* Which commit a reader gets is told by the lock file, which any reader can write; the file itself none can.
 * So what was begun counts only when it is a commit that the file has had before, and not older than the one
 * that is to be seen: of LMDB's two last pages it then got that one or a later one. Else it is tried again,
 * since a commit may have come between. */
static int begin_snapshot(struct xt_live *live, uint64_t least)
{
    for (unsigned tries = 0; tries < SNAPSHOT_TRIES; tries++) {
        MDB_envinfo before;
        int code = mdb_env_info(live->env, &before);
        code = code == 0 ? begin_txn(live) : code;
        if (code != 0) {
            return code;
        }
        uint64_t id = mdb_txn_id(live->txn);
        if (id >= least && id <= (uint64_t)before.me_last_txnid) {
            return 0;
        }
        mdb_txn_reset(live->txn);
    }
    return XT_LIVE_MOVED;
}

static enum xt_status begin_reading(struct xt_live *live, uint64_t least)
{
    int code = begin_snapshot(live, least);
    live->active = code == 0;
    return code == 0 ? begun(live) : xt_live_failed(NULL, "", code);
}

enum xt_status xt_live_begin_look(struct xt_live *live)
{
    int code = live->moved ? XT_LIVE_MOVED : begin_txn(live);
    if (code == 0 && (uint64_t)mdb_txn_id(live->txn) != live->committed) {
        xt_live_end_look(live);
        code = XT_LIVE_MOVED;
    }
    live->active = code == 0;
    return code == 0 ? XT_OK : xt_live_failed(NULL, "", code);
}

void xt_live_end_look(struct xt_live *live)
{
    mdb_txn_abort(live->txn);
    live->txn = NULL;
    live->active = false;
}

/* ---- the writer -------------------------------------------------------------------------------- */

struct loading {
    struct xt_live *live;
    uint64_t first, last; /* lines; 0: none yet */
};

/* Lines that are too many for their window are forgotten here and leave the log with the next group: a full disk
 * must not keep the store from opening. */
static enum xt_status load_line(void *context, uint64_t sequence, const struct xt_live_line *line)
{
    struct loading *loading = context;
    struct xt_live *live = loading->live;
    bool attempt = xt_live_is_attempt(line->type, line->attempt);
    struct xt_live_window *window = attempt ? &live->attempts : &live->window;
    struct xt_window_event known = line->event;
    if (loading->first == 0) {
        loading->first = sequence;
        live->time_ms = known.time_ms;
    }
    loading->last = sequence;
    xt_live_advance(live, known.time_ms);
    known.time_ms = live->age_ms;
    if (xt_live_window_count(window) == xt_live_window_kept(window)) {
        live->dropped = attempt ? live->dropped : xt_live_window_at(window, 0)->sequence;
        live->stray++;
        xt_live_window_forget(window);
    }
    if (xt_live_window_find(window, known.id) != NULL) {
        return XT_CORRUPT;
    }
    xt_live_window_add(window, &known);
    live->lines++;
    return XT_OK;
}

/* No line lacks. Of an older program's no number does, and what was before the first one is gone. */
static enum xt_status check_lines(const struct loading *loading,
                                  const struct xt_live_position *position)
{
    struct xt_live *live = loading->live;
    bool older = position->lines == UINT64_MAX;
    if (live->lines == 0) {
        live->dropped = position->sequence;
        return older || position->lines == 0 ? XT_OK : XT_CORRUPT;
    }
    uint64_t lines = older ? loading->last - loading->first + 1 : position->lines;
    uint64_t dropped = older ? loading->first - 1 : position->dropped;
    live->dropped = live->dropped > dropped ? live->dropped : dropped;
    return loading->last == position->sequence && live->lines == lines ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_live_check_readers(struct xt_live *live, unsigned *dead)
{
    int count = 0;
    int code = mdb_reader_check(live->env, &count);
    *dead = code == 0 ? (unsigned)count : 0;
    return code == 0 ? XT_OK : xt_live_failed(NULL, "", code);
}

/* Through a write transaction, though nothing is written: a writer that was killed right after its commit
 * may not have told readers of it yet (LMDB keeps the number of the last transaction in its lock file).
 * Who takes the writers' mutex next finds that commit in the file, and makes it known to all. */
static enum xt_status load_windows(struct xt_live *live, const struct xt_live_sizes *sizes,
                                   struct xt_failure *failure)
{
    int code = xt_live_begin_write(live);
    enum xt_status status = code == 0 ? XT_OK : xt_live_failed(NULL, "", code);
    uint32_t attempts =
        sizes->attempt_events == 0 ? XT_LIVE_ATTEMPTS_EVENTS : sizes->attempt_events;
    struct xt_live_position position = {.sequence = 0};
    struct loading loading = {.live = live};
    live->active = code == 0;
    if (status == XT_OK) {
        status = xt_live_position(live, &position);
    }
    if (status == XT_OK) {
        status = xt_live_window_open(&live->window, sizes->window_events);
    }
    if (status == XT_OK) {
        status = xt_live_window_open(&live->attempts, attempts);
    }
    if (status == XT_OK) {
        live->sequence = position.sequence;
        status = xt_live_log_each(live, load_line, &loading);
    }
    if (status == XT_OK) {
        status = check_lines(&loading, &position);
    }
    if (live->txn != NULL) {
        mdb_txn_abort(live->txn);
    }
    live->txn = NULL;
    live->active = false;
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "cannot read the live store: %s", xt_status_name(status));
}

/* What only the writer does once it is open. */
static enum xt_status begin_writing(struct xt_live *live, const struct xt_live_sizes *sizes,
                                    struct xt_failure *failure)
{
    unsigned dead;
    struct rlimit limit;
    live->file_limit = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
                           ? (uint64_t)limit.rlim_cur
                           : UINT64_MAX;
    enum xt_status status = xt_live_check_readers(live, &dead);
    return status == XT_OK
               ? load_windows(live, sizes, failure)
               : xt_fail(failure, status, "cannot look at the readers of the live store");
}

/* ---- both -------------------------------------------------------------------------------------- */

/* There is one, or the writer makes it. LMDB is not asked: even a failed attempt makes its lock file. */
static enum xt_status find_store(const struct paths *paths, bool writes,
                                 const struct xt_keyring *keyring, struct xt_failure *failure)
{
    struct stat facts;
    if (lstat(paths->file, &facts) == 0) {
        return XT_OK;
    }
    if (errno != ENOENT) {
        return xt_live_failed(failure, "open the live store", errno);
    }
    return writes ? xt_live_create(paths->folder, paths->file, keyring, failure)
                  : xt_fail(failure, XT_NOT_FOUND, "there is no live store yet");
}

enum xt_status xt_live_make(const char *dir, const struct xt_keyring *keyring,
                            struct xt_failure *failure)
{
    struct paths paths;
    int lock = -1;
    enum xt_status status = find_paths(dir, &paths, failure);
    if (status == XT_OK) {
        status = find_store(&paths, false, keyring, failure);
        if (status != XT_NOT_FOUND) {
            return status;
        }
        status = xt_live_lock(dir, &lock, failure);
    }
    if (status == XT_OK) {
        status = find_store(&paths, true, keyring, failure);
        close(lock);
    }
    return status;
}

enum xt_status xt_live_open(const char *dir, const struct xt_keyring *keyring, bool writes,
                            struct xt_live_sizes sizes, struct xt_live **opened,
                            struct xt_failure *failure)
{
    struct paths paths;
    xt_require(!writes || sizes.window_events >= XT_LIVE_WINDOW_LEAST);
    enum xt_status status = find_paths(dir, &paths, failure);
    if (status == XT_OK) {
        status = find_store(&paths, writes, keyring, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    struct xt_live *live = calloc(1, sizeof(*live));
    if (live == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot open the live store: out of memory");
    }
    live->writes = writes;
    live->count_most = XT_LIVE_COUNT_MOST;
    status = open_environment(live, &paths, keyring, sizes.map_bytes, failure);
    if (status == XT_OK && writes) {
        status = begin_writing(live, &sizes, failure);
    } else if (status == XT_OK) {
        status = begin_reading(live, 0);
    }
    if (status != XT_OK) {
        xt_live_close(live);
        return status;
    }
    *opened = live;
    return XT_OK;
}

static const struct xt_live_sizes usual_sizes = {XT_LIVE_MAP_LEAST, XT_LIVE_WINDOW_EVENTS,
                                                 XT_LIVE_ATTEMPTS_EVENTS};

enum xt_status xt_live_open_writer(const char *dir, const struct xt_keyring *keyring,
                                   struct xt_live **live, struct xt_failure *failure)
{
    return xt_live_open(dir, keyring, true, usual_sizes, live, failure);
}

enum xt_status xt_live_open_reader(const char *dir, const struct xt_keyring *keyring,
                                   struct xt_live **live, struct xt_failure *failure)
{
    return xt_live_open(dir, keyring, false, usual_sizes, live, failure);
}

/* ---- readers ----------------------------------------------------------------------------------- */

enum xt_status xt_live_refresh(struct xt_live *live, uint64_t epoch, uint64_t commit)
{
    xt_require(!live->writes);
    if (live->active && live->epoch == epoch) {
        return XT_OK;
    }
    xt_live_rest(live);
    /* Of a store from before there were overlays or statistics: a writer may have come. */
    if (!live->has_overlay || !live->has_statistics || live->txn == NULL) {
        if (live->txn != NULL) {
            mdb_txn_abort(live->txn);
        }
        live->txn = NULL;
        struct xt_failure unused;
        enum xt_status status = xt_live_open_overlay(live, &unused);
        if (status != XT_OK) {
            return status;
        }
    }
    live->epoch = epoch;
    return begin_reading(live, commit);
}

void xt_live_rest(struct xt_live *live)
{
    xt_require(!live->writes);
    if (live->active) {
        mdb_txn_reset(live->txn);
        live->active = false;
    }
}

/* ---- the end ----------------------------------------------------------------------------------- */

/* Those that could not be closed, or have the writers' mutex for good, each behind the next: a leak checker is to see that they are not lost. */
static MDB_env *left_open;

static void close_environment(MDB_env *env, bool held)
{
    int major = 0;
    int minor = 0;
    int patch = 0;
    (void)mdb_version(&major, &minor, &patch);
    if (held || (major == 0 && minor == 9 && patch >= 26 && patch <= 31)) {
        (void)mdb_env_set_userctx(env, left_open);
        left_open = env;
    } else {
        mdb_env_close(env);
    }
}

void xt_live_close(struct xt_live *live)
{
    if (live == NULL) {
        return;
    }
    if (live->txn != NULL) {
        mdb_txn_abort(live->txn);
    }
    xt_live_stop_counting(live);
    if (live->env != NULL) {
        close_environment(live->env, live->moved);
    }
    xt_live_sealer_close(live->sealer);
    xt_live_window_close(&live->window);
    xt_live_window_close(&live->attempts);
    xt_live_close_overlay(live);
    free(live);
}

uint64_t xt_live_committed(const struct xt_live *live)
{
    return live->committed;
}

uint32_t xt_live_key_id(const struct xt_live *live)
{
    return live->key_id;
}

uint64_t xt_live_sequence(const struct xt_live *live)
{
    struct xt_live_position position;
    if (live->writes) {
        return live->sequence;
    }
    return xt_live_position(live, &position) == XT_OK ? position.sequence : 0;
}
