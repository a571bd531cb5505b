#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/audit_checkpoint_internal.h"
#include "store/audit_internal.h"

#define BUFFER (1U << 20)

_Static_assert(BUFFER > XT_AUDIT_CHECKPOINT_MAX, "one checkpoint fits");

static enum xt_status no_list(const char *path, const struct xt_audit_head *head, const char **file,
                              struct xt_failure *failure)
{
    if (head->number == 0) {
        return XT_OK; /* nothing was ever written */
    }
    *file = "checkpoints";
    return xt_fail(failure, XT_CORRUPT, "%s is missing, and head names checkpoint %llu of it", path,
                   (unsigned long long)head->number);
}

enum xt_status xt_audit_snapshot_take(const char *dir, const struct xt_audit_public *keys,
                                      struct xt_audit_snapshot *snapshot, const char **file,
                                      struct xt_failure *failure)
{
    char list[XT_PATH_MAX], head[XT_PATH_MAX];
    *file = "";
    *snapshot = (struct xt_audit_snapshot){.fd = -1};
    enum xt_status status = xt_audit_path(dir, "checkpoints", list, failure);
    if (status == XT_OK) {
        status = xt_audit_path(dir, "head", head, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    snapshot->fd = open(list, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (snapshot->fd < 0 && errno != ENOENT) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", list, strerror(errno));
    }
    /* Whoever appends holds the lock until the head names what was appended. */
    struct stat facts;
    if (snapshot->fd >= 0 &&
        (flock(snapshot->fd, LOCK_SH) != 0 || fstat(snapshot->fd, &facts) != 0)) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", list, strerror(errno));
    }
    snapshot->size = snapshot->fd >= 0 ? (uint64_t)facts.st_size : 0;
    status = xt_audit_head_read(head, keys, &snapshot->head, failure);
    if (snapshot->fd >= 0) {
        (void)flock(snapshot->fd, LOCK_UN);
    }
    if (status == XT_NOT_FOUND) {
        *file = "head";
        return xt_fail(failure, XT_CORRUPT, "%s is missing", head);
    }
    if (status != XT_OK) {
        *file = status == XT_CORRUPT ? "head" : "";
        return status;
    }
    return snapshot->fd >= 0 ? XT_OK : no_list(list, &snapshot->head, file, failure);
}

/* ---- the walk --------------------------------------------------------------------------------- */

struct stride {
    struct xt_audit_walk *walk;
    const struct xt_audit_snapshot *snapshot;
    const struct xt_audit_public *keys;
    xt_audit_visit visit;
    void *context;
    struct xt_failure *failure;
    bool head_seen;
};

static enum xt_status fault(struct stride *stride, const char *what)
{
    struct xt_audit_walk *walk = stride->walk;
    walk->fault = walk->end;
    return xt_fail(stride->failure, XT_CORRUPT, "checkpoint %llu: %s",
                   (unsigned long long)walk->number + 1, what);
}

static enum xt_status apply_rows(struct stride *stride,
                                 const struct xt_audit_checkpoint *checkpoint)
{
    struct xt_audit_row row;
    for (uint32_t i = 0; i < checkpoint->rows; i++) {
        enum xt_status status = xt_audit_checkpoint_row(checkpoint, i, &row);
        if (status == XT_OK) {
            status = xt_audit_known_apply(&stride->walk->known, &row);
        }
        if (status != XT_OK) {
            return status == XT_NO_MEMORY ? xt_fail(stride->failure, status, "out of memory")
                                          : fault(stride, "it contradicts those before it");
        }
    }
    return XT_OK;
}

/* The list's signatures chain like everything else, so the last vouches for all; but where something
 * does not add up they tell which of two neighbours was changed. */
static enum xt_status check_signature(struct stride *stride,
                                      const struct xt_audit_checkpoint *checkpoint)
{
    if (stride->keys == NULL) {
        return XT_OK;
    }
    enum xt_status status = xt_audit_checkpoint_check(checkpoint, stride->keys);
    return status == XT_OK          ? XT_OK
           : status == XT_NOT_FOUND ? fault(stride, "it is signed by a key that is not known here")
                                    : fault(stride, "its signature is wrong: it was changed");
}

/* Later keys are greater; those that are not known come before all others. */
static int order(const struct stride *stride, uint32_t key_id)
{
    return stride->keys == NULL ? 0 : xt_audit_public_order(stride->keys, key_id);
}

static enum xt_status take(struct stride *stride, const struct xt_audit_checkpoint *checkpoint)
{
    struct xt_audit_walk *walk = stride->walk;
    const struct xt_audit_head *head = &stride->snapshot->head;
    uint64_t end = walk->end + checkpoint->bytes.size;
    bool last = end == stride->snapshot->size;
    enum xt_status status = XT_OK;
    if (last || checkpoint->number >= head->number) {
        status = check_signature(stride, checkpoint);
    }
    if (status == XT_OK && (checkpoint->number != walk->number + 1 ||
                            memcmp(checkpoint->before, walk->digest, XT_AUDIT_DIGEST) != 0)) {
        status = check_signature(stride, checkpoint);
        return status != XT_OK
                   ? status
                   : fault(stride,
                           "it does not follow the one before it: some are missing, moved or "
                           "changed");
    }
    if (status != XT_OK) {
        return status;
    }
    if (walk->number > 0 && order(stride, checkpoint->key_id) < order(stride, walk->key_id)) {
        return fault(stride, "it is signed by a key in whose place another was by then");
    }
    if (stride->visit != NULL) {
        stride->visit(stride->context, checkpoint, walk->end);
    }
    status = apply_rows(stride, checkpoint);
    if (status != XT_OK) {
        return status;
    }
    walk->number = checkpoint->number;
    walk->unix_ms = checkpoint->unix_ms;
    walk->key_id = checkpoint->key_id;
    walk->end = end;
    xt_audit_chain(walk->digest, checkpoint->bytes, walk->digest);
    if (walk->number == head->number) {
        stride->head_seen = walk->end == head->end &&
                            memcmp(walk->digest, head->digest, XT_AUDIT_DIGEST) == 0 &&
                            order(stride, head->key_id) >= order(stride, walk->key_id);
    }
    return XT_OK;
}

/* The checkpoint before was taken as sound without its signature; the one after it says otherwise. */
struct last_sound {
    uint64_t offset, number;
    size_t size;
};

static enum xt_status blame(struct stride *stride, const struct last_sound *before, uint8_t *buffer)
{
    struct xt_audit_checkpoint checkpoint;
    size_t got = 0;
    if (stride->keys == NULL || before->size == 0 ||
        xt_audit_read_at(stride->snapshot->fd, before->offset, buffer, before->size, &got) !=
            XT_OK ||
        xt_audit_checkpoint_parse(xt_span_of(buffer, got), &checkpoint) != XT_OK ||
        xt_audit_checkpoint_check(&checkpoint, stride->keys) == XT_OK) {
        return XT_CORRUPT;
    }
    stride->walk->fault = before->offset;
    return xt_fail(stride->failure, XT_CORRUPT,
                   "checkpoint %llu: its signature is wrong: it was "
                   "changed",
                   (unsigned long long)before->number);
}

static enum xt_status check_end(struct stride *stride, bool complete)
{
    struct xt_audit_walk *walk = stride->walk;
    const struct xt_audit_head *head = &stride->snapshot->head;
    if (stride->keys == NULL) {
        return XT_OK;
    }
    if (walk->number < head->number) {
        walk->fault = walk->end;
        return xt_fail(stride->failure, XT_CORRUPT,
                       "the list ends with checkpoint %llu, but head names %llu: it was cut",
                       (unsigned long long)walk->number, (unsigned long long)head->number);
    }
    if (head->number != 0 && !stride->head_seen) {
        walk->fault = 0;
        return xt_fail(stride->failure, XT_CORRUPT,
                       "checkpoint %llu is another than head names: the list was replaced",
                       (unsigned long long)head->number);
    }
    if (walk->number > head->number + 1) {
        walk->fault = head->end;
        return xt_fail(
            stride->failure, XT_CORRUPT,
            "head names checkpoint %llu, but the list goes on to %llu: head was put back",
            (unsigned long long)head->number, (unsigned long long)walk->number);
    }
    if (!complete) {
        return fault(stride, "the list ends within it");
    }
    return XT_OK;
}

enum xt_status xt_audit_walk(struct xt_audit_walk *walk, const struct xt_audit_snapshot *snapshot,
                             const struct xt_audit_public *keys, xt_audit_visit visit,
                             void *context, struct xt_failure *failure)
{
    struct stride stride = {.walk = walk,
                            .snapshot = snapshot,
                            .keys = keys,
                            .visit = visit,
                            .context = context,
                            .failure = failure,
                            .head_seen = walk->number >= snapshot->head.number && walk->number > 0};
    struct last_sound before = {.size = 0};
    uint8_t *buffer = malloc(BUFFER);
    uint64_t from = 0;
    size_t have = 0, got = 0;
    enum xt_status status = XT_OK;
    if (buffer == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    walk->torn = false;
    while (walk->end < snapshot->size) {
        struct xt_audit_checkpoint checkpoint;
        size_t skip = (size_t)(walk->end - from);
        struct xt_span rest =
            skip < have ? xt_span_of(buffer + skip, have - skip) : xt_span_of(NULL, 0);
        status = xt_audit_checkpoint_parse(rest, &checkpoint);
        if (status == XT_AGAIN && from + have < snapshot->size && (skip > 0 || have == 0)) {
            from = walk->end;
            have = snapshot->size - from < BUFFER ? (size_t)(snapshot->size - from) : BUFFER;
            status = xt_audit_read_at(snapshot->fd, from, buffer, have, &got);
            if (status != XT_OK || got != have) {
                status = xt_fail(failure, XT_IO, "the list of checkpoints cannot be read");
                break;
            }
            continue;
        }
        if (status == XT_AGAIN) {
            walk->torn = true;
            break;
        }
        struct last_sound here = {.offset = walk->end, .number = walk->number + 1};
        status =
            status == XT_OK ? take(&stride, &checkpoint) : fault(&stride, "this is no checkpoint");
        if (status != XT_OK) {
            break;
        }
        here.size = checkpoint.bytes.size;
        before = here;
    }
    if (status == XT_CORRUPT) {
        status = blame(&stride, &before, buffer);
    } else if (status == XT_OK || status == XT_AGAIN) {
        status = check_end(&stride, !walk->torn);
        if (status == XT_CORRUPT && walk->torn && walk->number < snapshot->head.number) {
            status = blame(&stride, &before, buffer);
        }
    }
    free(buffer);
    return status;
}
