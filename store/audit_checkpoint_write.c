#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/audit_checkpoint_internal.h"
#include "store/audit_internal.h"

struct xt_audit_checkpoints {
    int fd;
    char dir[XT_PATH_MAX];
    char list[XT_PATH_MAX], head[XT_PATH_MAX];
    struct xt_audit_key *key;
    struct xt_audit_public *keys;
    struct stat key_file;      /* that key was read from */
    struct xt_audit_walk walk; /* what the list says, up to its end */
    uint64_t named;            /* number in the head: may lag by one after a failure */
    uint8_t bytes[XT_AUDIT_CHECKPOINT_MAX];
};

/* ---- opening ---------------------------------------------------------------------------------- */

static enum xt_status open_keys(struct xt_audit_checkpoints *made, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_audit_key_make(made->dir, failure);
    if (status == XT_OK) {
        status = xt_key_path(made->dir, "audit.key", path, failure);
    }
    /* Looked at first: a file that takes its place meanwhile is read again. */
    if (status == XT_OK && stat(path, &made->key_file) != 0) {
        status = xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    if (status == XT_OK) {
        status = xt_audit_key_open(path, &made->key, failure);
    }
    return status == XT_OK ? xt_audit_public_for(made->dir, made->key, &made->keys, failure)
                           : status;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A rotation put another key there: it signs from now on. With one that is no successor of ours, or that
 * cannot be read, the log could not be verified: the present one goes on. */
static void follow_key(struct xt_audit_checkpoints *made)
{
    char path[XT_PATH_MAX];
    struct stat facts;
    struct xt_audit_key *key = NULL;
    struct xt_audit_public *keys = NULL;
    if (xt_key_path(made->dir, "audit.key", path, NULL) != XT_OK || stat(path, &facts) != 0 ||
        is_same_file(&facts, &made->key_file) || xt_audit_key_open(path, &key, NULL) != XT_OK) {
        return;
    }
    if (xt_audit_public_for(made->dir, key, &keys, NULL) == XT_OK &&
        xt_audit_public_order(keys, xt_audit_key_id(made->key)) >= 0) {
        xt_audit_key_close(made->key);
        xt_audit_public_close(made->keys);
        made->key = key;
        made->keys = keys;
        made->key_file = facts;
        return;
    }
    xt_audit_public_close(keys);
    xt_audit_key_close(key);
}

/* A key that was made elsewhere and came without its list verifies nothing that the one before has signed. */
static bool lacks_key(const struct xt_audit_checkpoints *made)
{
    char path[XT_PATH_MAX];
    struct xt_audit_public *keys = NULL;
    bool lacks = xt_key_path(made->dir, "audit.pub", path, NULL) == XT_OK &&
                 xt_audit_public_open(path, &keys, NULL) == XT_OK &&
                 xt_audit_public_order(keys, xt_audit_key_id(made->key)) < 0;
    xt_audit_public_close(keys);
    return lacks;
}

static enum xt_status open_list(struct xt_audit_checkpoints *made, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    enum xt_status status = xt_audit_path(made->dir, "", folder, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_audit_head head;
    status = xt_audit_head_read(made->head, made->keys, &head, failure);
    if (status == XT_CORRUPT && lacks_key(made)) {
        return xt_fail(failure, XT_INVALID,
                       "keys/audit.pub lacks key %08x: copy the one made with it",
                       (unsigned)xt_audit_key_id(made->key));
    }
    if (status != XT_OK) {
        return status == XT_NOT_FOUND
                   ? xt_fail(failure, XT_CORRUPT,
                             "%s is missing: what the audit log held cannot be told; restore it "
                             "from its backup",
                             made->head)
                   : status;
    }
    int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (head.number == 0 ? O_CREAT : 0);
    made->fd = open(made->list, flags, 0600);
    if (made->fd < 0) {
        return xt_fail(failure, errno == ENOENT ? XT_CORRUPT : XT_IO, "cannot open %s: %s",
                       made->list, strerror(errno));
    }
    return xt_folder_sync(folder, failure);
}

static enum xt_status lock(struct xt_audit_checkpoints *made, struct xt_failure *failure)
{
    int result;
    do {
        result = flock(made->fd, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return xt_fail(failure, XT_IO, "cannot lock %s: %s", made->list, strerror(errno));
    }
    follow_key(made); /* whoever held the lock before may have signed with it already */
    return XT_OK;
}

static void unlock(struct xt_audit_checkpoints *made)
{
    (void)flock(made->fd, LOCK_UN);
}

static enum xt_status name_last(struct xt_audit_checkpoints *made, struct xt_failure *failure)
{
    if (made->named == made->walk.number) {
        return XT_OK;
    }
    struct xt_audit_head head = {.number = made->walk.number, .end = made->walk.end};
    memcpy(head.digest, made->walk.digest, sizeof(head.digest));
    enum xt_status status = xt_audit_head_write(made->head, made->key, &head, failure);
    if (status == XT_OK) {
        made->named = head.number;
    }
    return status;
}

/* A checkpoint that was being appended when the machine or process stopped: the head does not name it, and
 * nobody was told that it was written. Its bytes may be there in part, or as zeros. */
static enum xt_status cut_torn(struct xt_audit_checkpoints *made, uint64_t size,
                               struct xt_failure *failure)
{
    size_t got = 0;
    bool torn = made->walk.torn;
    uint64_t rest = size - made->walk.end;
    if (!torn && rest <= sizeof(made->bytes)) {
        if (xt_audit_read_at(made->fd, made->walk.end, made->bytes, (size_t)rest, &got) != XT_OK) {
            return xt_fail(failure, XT_IO, "cannot read %s: %s", made->list, strerror(errno));
        }
        torn = got >= XT_AUDIT_SIGNATURE;
        for (size_t i = got - (torn ? XT_AUDIT_SIGNATURE : 0); torn && i < got; i++) {
            torn = made->bytes[i] == 0; /* no signature ends in 64 zeros */
        }
    }
    if (!torn) {
        return XT_CORRUPT; /* *failure says it already */
    }
    if (ftruncate(made->fd, (off_t)made->walk.end) != 0 || fdatasync(made->fd) != 0) {
        return xt_fail(failure, XT_IO, "cannot cut %s back: %s", made->list, strerror(errno));
    }
    return XT_OK;
}

/* With the lock: follows what others appended. */
static enum xt_status refresh(struct xt_audit_checkpoints *made, struct xt_failure *failure)
{
    struct stat facts;
    struct xt_audit_snapshot snapshot = {.fd = made->fd};
    if (fstat(made->fd, &facts) != 0) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", made->list, strerror(errno));
    }
    snapshot.size = (uint64_t)facts.st_size;
    if (snapshot.size == made->walk.end && made->walk.number > 0) {
        return XT_OK;
    }
    enum xt_status status = xt_audit_head_read(made->head, made->keys, &snapshot.head, failure);
    if (status != XT_OK) {
        return status;
    }
    made->named = snapshot.head.number;
    if (snapshot.size < made->walk.end) {
        return xt_fail(failure, XT_CORRUPT, "%s was cut from %llu to %llu bytes", made->list,
                       (unsigned long long)made->walk.end, (unsigned long long)snapshot.size);
    }
    status = xt_audit_walk(&made->walk, &snapshot, made->keys, NULL, NULL, failure);
    if (status == XT_CORRUPT && made->walk.end == snapshot.head.end &&
        made->walk.fault == made->walk.end) {
        status = cut_torn(made, snapshot.size, failure);
    }
    return status == XT_OK ? name_last(made, failure) : status;
}

enum xt_status xt_audit_checkpoints_open(const char *dir, struct xt_audit_checkpoints **checkpoints,
                                         struct xt_failure *failure)
{
    struct xt_audit_checkpoints *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    made->fd = -1;
    size_t size = strlen(dir);
    enum xt_status status = XT_TOO_LARGE;
    if (size < sizeof(made->dir)) {
        memcpy(made->dir, dir, size + 1);
        status = xt_audit_path(dir, "checkpoints", made->list, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_path(dir, "head", made->head, failure);
    }
    if (status == XT_OK) {
        status = open_keys(made, failure);
    }
    if (status == XT_OK) {
        status = open_list(made, failure);
    }
    if (status == XT_OK) {
        status = lock(made, failure);
    }
    if (status == XT_OK) {
        status = refresh(made, failure);
        unlock(made);
    }
    if (status == XT_CORRUPT) {
        struct xt_failure why = failure != NULL ? *failure : (struct xt_failure){.text = ""};
        (void)xt_fail(failure, status, "%.330s; see xacthuc audit verify %.120s", why.text, dir);
    }
    if (status != XT_OK) {
        xt_audit_checkpoints_close(made);
        return status;
    }
    *checkpoints = made;
    return XT_OK;
}

void xt_audit_checkpoints_close(struct xt_audit_checkpoints *checkpoints)
{
    if (checkpoints == NULL) {
        return;
    }
    if (checkpoints->fd >= 0) {
        close(checkpoints->fd);
    }
    xt_audit_key_close(checkpoints->key);
    xt_audit_public_close(checkpoints->keys);
    xt_audit_known_free(&checkpoints->walk.known);
    free(checkpoints);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static bool is_as_long(const struct xt_audit_row *a, const struct xt_audit_row *b)
{
    return a->state.bytes == b->state.bytes &&
           memcmp(a->state.digest, b->state.digest, XT_AUDIT_DIGEST) == 0;
}

/* Not of a row that is in the list as it is; nor of one that is closed and that the operator has expired
 * since, of which its worker goes on telling until its next rotation. */
static bool is_news(const struct xt_audit_known *known, const struct xt_audit_row *row)
{
    const struct xt_audit_row *before = xt_audit_known_find(known, row->state.id);
    if (before == NULL || !is_as_long(before, row)) {
        return true;
    }
    return before->kind != row->kind &&
           !(row->kind == XT_AUDIT_CLOSED && before->kind == XT_AUDIT_EXPIRED);
}

/* One segment can have one row only: the list that says two things of it could never be read again. */
static bool is_twice(const struct xt_audit_row *rows, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (memcmp(rows[i].state.id, rows[at].state.id, XT_AUDIT_ID) == 0) {
            return true;
        }
    }
    return false;
}

/* The list's end with `checkpoint` in it: rows were looked at before. */
static enum xt_status append(struct xt_audit_checkpoints *made,
                             struct xt_audit_checkpoint *checkpoint,
                             const struct xt_audit_row *rows, struct xt_failure *failure)
{
    struct xt_audit_walk *walk = &made->walk;
    checkpoint->number = walk->number + 1;
    memcpy(checkpoint->before, walk->digest, XT_AUDIT_DIGEST);
    size_t size = xt_audit_checkpoint_make(checkpoint, made->key, rows, made->bytes);
    enum xt_status status = xt_audit_append(made->fd, walk->end, made->bytes, size);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot write %s: %s", made->list, strerror(errno));
    }
    if (fdatasync(made->fd) != 0) {
        return xt_fail(failure, XT_IO, "cannot write %s: %s", made->list, strerror(errno));
    }
    for (uint32_t i = 0; i < checkpoint->rows; i++) {
        status = xt_audit_known_apply(&walk->known, &rows[i]);
        if (status != XT_OK) {
            return xt_fail(failure, XT_IO, "out of memory");
        }
    }
    walk->number = checkpoint->number;
    walk->unix_ms = checkpoint->unix_ms;
    walk->key_id = xt_audit_key_id(made->key);
    walk->end += size;
    xt_audit_chain(walk->digest, xt_span_of(made->bytes, size), walk->digest);
    return name_last(made, failure);
}

/* With the lock. */
static enum xt_status write_locked(struct xt_audit_checkpoints *made, uint64_t unix_ms,
                                   uint32_t flags, const struct xt_audit_row *rows, size_t count,
                                   struct xt_failure *failure)
{
    struct xt_audit_checkpoint checkpoint = {
        .unix_ms = unix_ms, .flags = flags, .rows = (uint32_t)count};
    enum xt_status status = refresh(made, failure);
    if (status == XT_OK) {
        status = name_last(made, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    bool news = made->walk.number > 0 && made->walk.key_id != xt_audit_key_id(made->key);
    for (size_t i = 0; i < count; i++) {
        bool twice = is_twice(rows, i);
        if (!is_news(&made->walk.known, &rows[i]) && !twice) {
            continue;
        }
        news = true;
        if (twice || !xt_audit_known_allows(&made->walk.known, &rows[i])) {
            char name[XT_AUDIT_NAME];
            xt_audit_name(rows[i].state.start_ms, rows[i].state.worker, rows[i].state.id, name);
            return xt_fail(failure, XT_CORRUPT,
                           "worker %u says of %s what contradicts the checkpoints before",
                           rows[i].state.worker, name);
        }
    }
    return news || flags != 0 ? append(made, &checkpoint, rows, failure) : XT_OK;
}

enum xt_status xt_audit_checkpoint_write(struct xt_audit_checkpoints *checkpoints, uint64_t unix_ms,
                                         uint32_t flags, const struct xt_audit_row *rows,
                                         size_t count, struct xt_failure *failure)
{
    struct xt_audit_row *kept = NULL;
    size_t left = 0;
    xt_require(count <= XT_AUDIT_ROWS_MAX && unix_ms < XT_AUDIT_MS_END);
    enum xt_status status = lock(checkpoints, failure);
    if (status != XT_OK) {
        return status;
    }
    status = refresh(checkpoints, failure);
    if (status == XT_OK && (kept = calloc(count + 1, sizeof(*kept))) == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    /* A closed segment stands in the list once: nothing comes after that. */
    for (size_t i = 0; kept != NULL && status == XT_OK && i < count; i++) {
        if (rows[i].kind == XT_AUDIT_OPEN || is_news(&checkpoints->walk.known, &rows[i])) {
            kept[left++] = rows[i];
        }
    }
    if (status == XT_OK) {
        status = write_locked(checkpoints, unix_ms, flags, kept, left, failure);
    }
    unlock(checkpoints);
    free(kept);
    return status;
}

bool xt_audit_checkpoints_takes(const struct xt_audit_checkpoints *checkpoints,
                                const struct xt_audit_row *row)
{
    const struct xt_audit_known *known = &checkpoints->walk.known;
    return (row->kind != XT_AUDIT_OPEN && !is_news(known, row)) ||
           xt_audit_known_allows(known, row);
}

size_t xt_audit_progress_rows(const struct xt_audit_progress *progress,
                              const struct xt_audit_header *given, size_t given_count,
                              struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS])
{
    const struct xt_audit_state *states[] = {&progress->before, &progress->current};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < given_count && !xt_audit_id_is_none(states[i]->id); j++) {
            if (memcmp(states[i]->id, given[j].id, XT_AUDIT_ID) != 0) {
                continue;
            }
            if (i == 1 && count == 1 && memcmp(rows[0].state.id, given[j].id, XT_AUDIT_ID) == 0) {
                break; /* nobody honest has the same segment twice */
            }
            struct xt_audit_row *row = &rows[count++];
            *row = (struct xt_audit_row){.state = *states[i],
                                         .kind = states[i]->closed != 0 ? XT_AUDIT_CLOSED
                                                                        : XT_AUDIT_OPEN};
            row->state.worker = given[j].worker;
            row->state.start_ms = given[j].unix_ms;
            break;
        }
    }
    return count;
}

void xt_audit_checkpoints_link(const struct xt_audit_checkpoints *checkpoints, uint32_t worker,
                               struct xt_audit_link *link)
{
    const struct xt_audit_known *known = &checkpoints->walk.known;
    memset(link, 0, sizeof(*link));
    for (size_t i = 0; i < known->count; i++) {
        const struct xt_audit_row *row = &known->rows[i];
        if (row->state.worker != worker) {
            continue;
        }
        memset(link, 0, sizeof(*link));
        if (row->kind != XT_AUDIT_OPEN) {
            memcpy(link->id, row->state.id, XT_AUDIT_ID);
            memcpy(link->digest, row->state.digest, XT_AUDIT_DIGEST);
        }
    }
}

const struct xt_audit_known *
xt_audit_checkpoints_known(const struct xt_audit_checkpoints *checkpoints)
{
    return &checkpoints->walk.known;
}

const char *xt_audit_checkpoints_dir(const struct xt_audit_checkpoints *checkpoints)
{
    return checkpoints->dir;
}

uint64_t xt_audit_checkpoints_number(const struct xt_audit_checkpoints *checkpoints)
{
    return checkpoints->walk.number;
}

uint64_t xt_audit_checkpoints_time(const struct xt_audit_checkpoints *checkpoints)
{
    return checkpoints->walk.unix_ms;
}
