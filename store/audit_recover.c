#include "store/audit_recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/audit_internal.h"
#include "store/audit_reader.h"

#define LOCK_TRIES                                                                                 \
    20 /* of 10 ms: a process that was just killed lets go of its lock in that time */

/* What is to be done about one file. */
struct task {
    char path[XT_PATH_MAX];
    int fd;
    struct xt_audit_row row;
    bool remove; /* it has no whole header: nothing was ever logged in it */
};

static enum xt_status damaged(struct xt_failure *failure, const char *path, uint64_t offset,
                              const char *what)
{
    return xt_fail(failure, XT_CORRUPT,
                   "%s is damaged at byte %llu: %s; that is no torn tail, so nothing is repaired: "
                   "see xacthuc audit verify, and restore the file",
                   path, (unsigned long long)offset, what);
}

/* tries: left for all segments together, since during an upgrade every worker of the one before has its own. */
static bool take_lock(int fd, unsigned *tries)
{
    const struct timespec wait = {.tv_nsec = 10000000};
    bool taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    while (!taken && *tries > 0) {
        (*tries)--;
        (void)nanosleep(&wait, NULL);
        taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    }
    return taken;
}

/* Reads from where the checkpoints know it to its end. row: its state there, bytes to cut. */
static enum xt_status read_on(struct xt_audit_reader *reader, const char *path,
                              struct xt_audit_row *row, struct xt_failure *failure)
{
    struct xt_audit_batch batch;
    struct xt_span plain;
    const char *what = "this is no batch";
    enum xt_status status;
    while ((status = xt_audit_reader_peek(reader, &batch)) == XT_OK &&
           (status = xt_audit_reader_take(reader, &batch, &plain, &what)) == XT_OK) {
    }
    row->state = *xt_audit_reader_state(reader);
    if (status == XT_NOT_FOUND) {
        return XT_OK;
    }
    bool torn = false;
    uint64_t size = 0;
    if (status == XT_IO || xt_audit_reader_is_torn(reader, &torn, &size) != XT_OK) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    if (!torn) {
        return damaged(failure, path, row->state.bytes, what);
    }
    row->cut = size - row->state.bytes;
    return XT_OK;
}

/* known NULL: no checkpoint has it. */
static enum xt_status examine(struct task *task, const char *name,
                              const struct xt_audit_known *known, const struct xt_keyring *keyring,
                              struct xt_failure *failure)
{
    struct xt_audit_reader *reader = NULL;
    struct stat facts;
    int copy = fcntl(task->fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || fstat(task->fd, &facts) != 0) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", task->path, strerror(errno));
    }
    enum xt_status status = xt_audit_reader_open(copy, keyring, &reader);
    if (status == XT_AGAIN) {
        task->remove = true;
        task->row.cut = (uint64_t)facts.st_size;
        return XT_OK;
    }
    if (status != XT_OK) {
        return status == XT_NOT_FOUND
                   ? xt_fail(
                         failure, XT_DENIED,
                         "%s is sealed under a master key that keys/master.keys has not: restore "
                         "it",
                         task->path)
               : status == XT_CORRUPT ? damaged(failure, task->path, 0, "its header")
                                      : xt_fail(failure, status, "cannot read %s", task->path);
    }
    const struct xt_audit_header *header = xt_audit_reader_header(reader);
    char right[XT_AUDIT_NAME];
    xt_audit_name(header->unix_ms, header->worker, header->id, right);
    const struct xt_audit_row *row = xt_audit_known_find(known, header->id);
    if (strcmp(right, name) != 0) {
        status = damaged(failure, task->path, 0, "its header is of another file");
    } else if (row != NULL && row->state.bytes > (uint64_t)facts.st_size) {
        status =
            damaged(failure, task->path, (uint64_t)facts.st_size, "a checkpoint knows more of it");
    } else {
        if (row != NULL) {
            xt_audit_reader_seek(reader, &row->state);
        }
        status = read_on(reader, task->path, &task->row, failure);
        task->row.kind = XT_AUDIT_CLOSED;
    }
    xt_audit_reader_close(reader);
    return status;
}

/* A cut that was written down and not made: the machine stopped in between. */
static enum xt_status finish_cut(const char *path, const struct xt_audit_row *row,
                                 struct xt_failure *failure)
{
    struct stat facts;
    if (row->cut == 0 || row->kind != XT_AUDIT_CLOSED || stat(path, &facts) != 0 ||
        (uint64_t)facts.st_size != row->state.bytes + row->cut) {
        return XT_OK;
    }
    return truncate(path, (off_t)row->state.bytes) == 0
               ? XT_OK
               : xt_fail(failure, XT_IO, "cannot cut %s back: %s", path, strerror(errno));
}

/* *has: there is something to do. */
static enum xt_status look_at(const char *dir, const char *name, const struct xt_audit_known *known,
                              const struct xt_keyring *keyring, unsigned *tries, struct task *task,
                              bool *has, struct xt_audit_repair *repair, struct xt_failure *failure)
{
    *has = false;
    *task = (struct task){.fd = -1};
    enum xt_status status = xt_audit_path(dir, name, task->path, failure);
    if (status != XT_OK) {
        return status;
    }
    const struct xt_audit_row *row = xt_audit_known_by_name(known, name);
    if (row != NULL && row->kind != XT_AUDIT_OPEN) {
        return finish_cut(task->path, row, failure);
    }
    task->fd = open(task->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (task->fd < 0) {
        return xt_fail(failure, errno == ENOENT ? XT_CORRUPT : XT_IO, "cannot open %s: %s",
                       task->path, strerror(errno));
    }
    if (!take_lock(task->fd, tries)) {
        repair->busy++;
        close(task->fd);
        task->fd = -1;
        return XT_OK;
    }
    status = examine(task, name, known, keyring, failure);
    if (status == XT_OK && task->remove && row != NULL) {
        status = damaged(failure, task->path, 0, "a checkpoint knows more of it");
    }
    if (status != XT_OK) {
        close(task->fd);
        task->fd = -1;
        return status;
    }
    *has = true;
    return XT_OK;
}

static enum xt_status do_task(const struct task *task, struct xt_failure *failure)
{
    bool fine = true;
    if (task->remove) {
        fine = unlink(task->path) == 0 || errno == ENOENT;
    } else { /* also where nothing is torn: blocks that were set aside behind the end go back */
        fine = ftruncate(task->fd, (off_t)task->row.state.bytes) == 0 &&
               (task->row.cut == 0 || fdatasync(task->fd) == 0);
    }
    return fine ? XT_OK
                : xt_fail(failure, XT_IO, "cannot cut %s back: %s", task->path, strerror(errno));
}

/* What hides nothing is done at once, since it makes the room that the checkpoint may lack: files in which
 * nothing was ever logged go, and blocks that were set aside behind the end of a sound one. */
static size_t make_room(struct task *tasks, size_t count)
{
    size_t removed = 0;
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].remove) {
            removed += unlink(tasks[i].path) == 0;
        } else if (tasks[i].row.cut == 0) {
            (void)!ftruncate(tasks[i].fd, (off_t)tasks[i].row.state.bytes);
        }
    }
    return removed;
}

/* Writes down what was found, then does it. */
static enum xt_status carry_out(struct xt_audit_checkpoints *checkpoints, struct task *tasks,
                                size_t count, uint64_t unix_ms, uint32_t flags,
                                struct xt_audit_repair *repair, struct xt_failure *failure)
{
    struct xt_audit_row *rows = calloc(count + 1, sizeof(*rows));
    size_t used = 0, done = 0;
    enum xt_status status = XT_OK;
    if (rows == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    size_t removed = make_room(tasks, count);
    for (size_t i = 0; status == XT_OK && i < count; i++) {
        /* What is counted on from now on must be on the disk, as it would be after a sync of its own. */
        if (!tasks[i].remove && fdatasync(tasks[i].fd) != 0) {
            status = xt_fail(failure, XT_IO, "cannot write %s: %s", tasks[i].path, strerror(errno));
        }
        if (tasks[i].row.cut > 0) {
            flags |= XT_AUDIT_FLAG_REPAIRED;
            repair->repaired++;
            repair->cut += tasks[i].row.cut;
        }
        if (!tasks[i].remove) {
            rows[used++] = tasks[i].row;
            repair->closed++;
        }
    }
    bool needed = (flags & (XT_AUDIT_FLAG_START | XT_AUDIT_FLAG_REPAIRED)) != 0 || used > 0 ||
                  removed < count;
    while (needed) {
        size_t now = used - done < XT_AUDIT_ROWS_MAX ? used - done : XT_AUDIT_ROWS_MAX;
        if (status == XT_OK) {
            status =
                xt_audit_checkpoint_write(checkpoints, unix_ms, flags, rows + done, now, failure);
        }
        done += now;
        needed = done < used;
    }
    for (size_t i = 0; status == XT_OK && i < count; i++) {
        status = do_task(&tasks[i], failure);
    }
    free(rows);
    return status;
}

static void free_tasks(struct task *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].fd >= 0) {
            close(tasks[i].fd);
        }
    }
    free(tasks);
}

/* Segments that the checkpoints hold for open must be there. */
static enum xt_status check_missing(const struct xt_audit_known *known,
                                    const struct xt_audit_file *files, size_t count,
                                    struct xt_failure *failure)
{
    for (size_t i = 0; i < known->count; i++) {
        const struct xt_audit_state *state = &known->rows[i].state;
        struct xt_audit_file file;
        if (known->rows[i].kind != XT_AUDIT_OPEN) {
            continue;
        }
        xt_audit_name(state->start_ms, state->worker, state->id, file.name);
        bool found = false;
        for (size_t j = 0; !found && j < count; j++) {
            found = strcmp(files[j].name, file.name) == 0;
        }
        if (!found) {
            return xt_fail(failure, XT_CORRUPT,
                           "the audit segment %s is missing: restore it from its backup",
                           file.name);
        }
    }
    return XT_OK;
}

enum xt_status xt_audit_recover(struct xt_audit_checkpoints *checkpoints,
                                const struct xt_keyring *keyring, uint64_t unix_ms,
                                struct xt_audit_repair *repair, struct xt_failure *failure)
{
    const char *dir = xt_audit_checkpoints_dir(checkpoints);
    const struct xt_audit_known *known = xt_audit_checkpoints_known(checkpoints);
    struct xt_audit_file *files = NULL;
    size_t count = 0, used = 0;
    *repair = (struct xt_audit_repair){.closed = 0};
    enum xt_status status = xt_audit_files(dir, &files, &count, failure);
    if (status != XT_OK) {
        return status;
    }
    struct task *tasks = NULL;
    size_t room = 0;
    unsigned tries = LOCK_TRIES;
    status = check_missing(known, files, count, failure);
    for (size_t i = 0; status == XT_OK && i < count; i++) {
        bool has = false;
        if (used == room) {
            room = room == 0 ? 16 : room * 2;
            struct task *more = realloc(tasks, room * sizeof(*tasks));
            if (more == NULL) {
                status = xt_fail(failure, XT_NO_MEMORY, "out of memory");
                break;
            }
            tasks = more;
        }
        status = look_at(dir, files[i].name, known, keyring, &tries, &tasks[used], &has, repair,
                         failure);
        used += status == XT_OK && has;
    }
    if (status == XT_OK) {
        status = carry_out(checkpoints, tasks, used, unix_ms, XT_AUDIT_FLAG_START, repair, failure);
    }
    free_tasks(tasks, used);
    free(files);
    return status;
}

enum xt_status xt_audit_recover_one(struct xt_audit_checkpoints *checkpoints,
                                    const struct xt_keyring *keyring, uint64_t unix_ms,
                                    const struct xt_audit_header *header,
                                    struct xt_audit_repair *repair, struct xt_failure *failure)
{
    struct task *task = calloc(1, sizeof(*task));
    unsigned tries = LOCK_TRIES;
    char name[XT_AUDIT_NAME];
    bool has = false;
    *repair = (struct xt_audit_repair){.closed = 0};
    if (task == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    xt_audit_name(header->unix_ms, header->worker, header->id, name);
    task->fd = -1;
    enum xt_status status = look_at(xt_audit_checkpoints_dir(checkpoints), name,
                                    xt_audit_checkpoints_known(checkpoints), keyring, &tries, task,
                                    &has, repair, failure);
    if (status == XT_OK && has) {
        status = carry_out(checkpoints, task, 1, unix_ms, XT_AUDIT_FLAG_ROTATION, repair, failure);
    }
    free_tasks(task, 1);
    return status;
}

/* ---- expiry ----------------------------------------------------------------------------------- */

static bool is_old(const struct xt_audit_state *state, uint64_t before_ms)
{
    return (state->entries > 0 ? state->last_ms : state->start_ms) < before_ms;
}

static enum xt_status remove_file(const char *dir, const struct xt_audit_state *state, bool *was,
                                  struct xt_failure *failure)
{
    char path[XT_PATH_MAX], name[XT_AUDIT_NAME];
    xt_audit_name(state->start_ms, state->worker, state->id, name);
    enum xt_status status = xt_audit_path(dir, name, path, failure);
    if (status != XT_OK) {
        return status;
    }
    *was = unlink(path) == 0;
    return *was || errno == ENOENT
               ? XT_OK
               : xt_fail(failure, XT_IO, "cannot remove %s: %s", path, strerror(errno));
}

/* Tombstones for those that are old and closed, a checkpoint full at a time. */
static enum xt_status bury(struct xt_audit_checkpoints *checkpoints, uint64_t unix_ms,
                           uint64_t before_ms, size_t most, struct xt_audit_expiry *expiry,
                           struct xt_failure *failure)
{
    const struct xt_audit_known *known = xt_audit_checkpoints_known(checkpoints);
    struct xt_audit_row *rows = malloc(XT_AUDIT_ROWS_MAX * sizeof(*rows));
    size_t used = 0;
    enum xt_status status = XT_OK;
    if (rows == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; status == XT_OK && i <= known->count; i++) {
        if (used > 0 && (used == XT_AUDIT_ROWS_MAX || i == known->count || used == most)) {
            most -= used;
            status = xt_audit_checkpoint_write(checkpoints, unix_ms, XT_AUDIT_FLAG_EXPIRED, rows,
                                               used, failure);
            used = 0;
        }
        if (status != XT_OK || i == known->count || most == 0 ||
            !is_old(&known->rows[i].state, before_ms)) {
            continue;
        }
        expiry->open += known->rows[i].kind == XT_AUDIT_OPEN;
        if (known->rows[i].kind == XT_AUDIT_CLOSED) {
            rows[used] = known->rows[i];
            rows[used++].kind = XT_AUDIT_EXPIRED;
        }
    }
    free(rows);
    return status;
}

enum xt_status xt_audit_expire(struct xt_audit_checkpoints *checkpoints, uint64_t unix_ms,
                               uint64_t before_ms, size_t most, struct xt_audit_expiry *expiry,
                               struct xt_failure *failure)
{
    const char *dir = xt_audit_checkpoints_dir(checkpoints);
    const struct xt_audit_known *known = xt_audit_checkpoints_known(checkpoints);
    char folder[XT_PATH_MAX];
    *expiry = (struct xt_audit_expiry){.segments = 0};
    enum xt_status status = xt_audit_path(dir, "", folder, failure);
    if (status == XT_OK) {
        status = bury(checkpoints, unix_ms, before_ms, most, expiry, failure);
    }
    for (size_t i = 0; status == XT_OK && i < known->count && expiry->segments < most; i++) {
        const struct xt_audit_state *state = &known->rows[i].state;
        bool was = false;
        if (known->rows[i].kind != XT_AUDIT_EXPIRED) {
            continue;
        }
        status = remove_file(dir, state, &was, failure);
        expiry->segments += was;
        expiry->entries += was ? state->entries : 0;
        expiry->bytes += was ? state->bytes : 0;
    }
    return status == XT_OK ? xt_folder_sync(folder, failure) : status;
}
