/* store/audit: the audit log of one worker process, as it writes it.
 *
 *   loop's turn:   add, add, add, ... flush   ->  answers leave      audit.sync = interval
 *                  add, add, add, ... flush, sync -> answers leave   audit.sync = answer
 *   <= 10 ms:      a pass in another thread                          audit.sync = interval
 *
 * The worker opens nothing: it is given a descriptor of a new empty file (xt_audit_create, by the
 * supervisor: O_RDWR|O_APPEND, under flock) and writes the header itself. It needs write, ftruncate,
 * fdatasync, fallocate and fstat, and to rotate what memory takes (mmap, mprotect, mlock, madvise).
 * A process that is killed at any moment leaves the whole batches it has flushed and at most one torn
 * after them, which the next start cuts off and writes down (store/audit_recover.h).
 *
 * Thread:  one. Blocks: flush on the file system, sync for the disk; add never, but where the batch is
 *          full and it flushes. Memory: 132 KiB, allocated once, in no core dump and wiped on close.
 */
#ifndef XT_STORE_AUDIT_H
#define XT_STORE_AUDIT_H

#include "store/audit_format.h"

struct xt_audit_log; /* opaque */

/* ---- shared with the supervisor --------------------------------------------------------------- */

/* What is durable, for checkpoints: lies in shared memory; zeros before the first open. One writer, any
 * number of readers (sequence lock). A segment that was closed by rotation stays in `before` until the
 * next rotation. */
struct xt_audit_progress {
    uint64_t sequence;
    struct xt_audit_state current, before; /* of id zeros: none */
};

/* A consistent copy, without sequence. XT_BUSY: the writer is at it (or hostile, or was killed while at
 * it): after XT_AUDIT_READ_TRIES tries. */
#define XT_AUDIT_READ_TRIES 1000
XT_MUST_USE enum xt_status xt_audit_progress_read(const struct xt_audit_progress *progress,
                                                  struct xt_audit_progress *copy);

/* ---- files: by the supervisor ----------------------------------------------------------------- */

/* Makes the next segment's empty file in DIR/audit, with an exclusive flock that ends with the last copy
 * of the descriptor: so pass it on and close it, and it tells who is still writing. The folder is synced.
 * header: worker and unix_ms are the caller's; id is filled. Close *fd. XT_DISK_FULL, XT_IO, XT_NOT_FOUND
 * (no folder audit). */
XT_MUST_USE enum xt_status xt_audit_create(const char *dir, struct xt_audit_header *header, int *fd,
                                           struct xt_failure *failure);

/* What was set aside behind the end of a segment that nobody writes any more goes back to the disk. */
void xt_audit_give_back(const char *dir, const struct xt_audit_header *header);

/* ---- the worker ------------------------------------------------------------------------------- */

/* Writes the header to fd (of an empty file, which stays the caller's to close, after the log) and syncs
 * it. header: worker, id, unix_ms as xt_audit_create gave them; before: where the worker's chain stands
 * (xt_audit_checkpoints_link; zeros: nowhere). Key id and salt are filled here. progress: NULL is fine.
 * XT_INVALID: the file is not empty. XT_DISK_FULL: nothing was written, try again later. */
XT_MUST_USE enum xt_status xt_audit_open(int fd, const struct xt_keyring *keyring,
                                         struct xt_audit_header *header,
                                         struct xt_audit_progress *progress,
                                         struct xt_audit_log **log);
/* Wipes. Flushes nothing. NULL is fine. */
void xt_audit_close(struct xt_audit_log *log);

/* A subject's pseudonym for this log. */
void xt_audit_subject(const struct xt_audit_log *log, struct xt_id id,
                      uint8_t subject[XT_PSEUDONYM_BYTES]);

/* Encodes an entry into the batch; a full batch is flushed first. XT_INVALID as xt_audit_entry_encode;
 * XT_DISK_FULL: the batch is full and cannot be flushed, nothing was added: refuse the request.
 * XT_IO: see xt_audit_flush. */
XT_MUST_USE enum xt_status xt_audit_add(struct xt_audit_log *log,
                                        const struct xt_audit_entry *entry);

/* Seals what was added and writes it as one batch. XT_OK: every entry added so far is in the file, and
 * survives this process. XT_DISK_FULL (ENOSPC, quota, RLIMIT_FSIZE, EIO): the file ends with the batch before, the
 * entries are kept and written by the first flush that finds room: the caller lets none of their answers
 * leave. XT_IO: the file could not be cut back, or an earlier sync failed: the process must end. */
XT_MUST_USE enum xt_status xt_audit_flush(struct xt_audit_log *log);

/* fdatasync. XT_OK: what was flushed survives the machine, and stands in progress. XT_IO: the kernel may
 * have dropped what it could not write, and will not say so twice: the process must end, and every later
 * call gives XT_IO. Costs nothing when there is nothing new. */
XT_MUST_USE enum xt_status xt_audit_sync(struct xt_audit_log *log);

/* The same in three steps, of which the one that waits for the disk may be another thread's while this one
 * goes on adding and flushing. The log must not be closed, nor its descriptor, before the end. */
struct xt_audit_pass {
    int fd;
    struct xt_audit_state state; /* what the pass makes durable */
};
/* false: there is nothing new. One pass at a time. */
bool xt_audit_pass_begin(struct xt_audit_log *log, struct xt_audit_pass *pass);
/* XT_OK or XT_IO. */
XT_MUST_USE enum xt_status xt_audit_pass_run(const struct xt_audit_pass *pass);
/* status: of the run. Gives what xt_audit_sync would. A rotation may have come between. */
XT_MUST_USE enum xt_status xt_audit_pass_end(struct xt_audit_log *log,
                                             const struct xt_audit_pass *pass,
                                             enum xt_status status);

/* Sees to it that the disk has room for what may be added before the next call, so that a full one is known
 * before anything was answered: blocks behind the end of the file are set aside in pieces of
 * XT_AUDIT_RESERVE_BYTES; xt_audit_give_back returns what is left of them. Call it after each flush; it
 * costs nothing while XT_AUDIT_RESERVE_LEAST are left. XT_DISK_FULL: there is no room: add nothing more
 * until this gives XT_OK again. A file system that cannot set aside gives XT_OK; there the flush finds out. */
#define XT_AUDIT_RESERVE_BYTES (1U << 20)
#define XT_AUDIT_RESERVE_LEAST (4U * XT_AUDIT_BATCH_MAX)
#define XT_AUDIT_SPARE_BYTES (4U << 20) /* of the disk, that are left to others */
XT_MUST_USE enum xt_status xt_audit_reserve(struct xt_audit_log *log);

/* Flushes and syncs, then goes on in another segment: fd, keyring, header as for xt_audit_open but for
 * `before`, which is filled. The old descriptor is the caller's to close. progress: before = the old one, closed.
 * Anything but XT_OK: it goes on in the old segment (XT_IO: as above), the new file is to be removed. */
XT_MUST_USE enum xt_status xt_audit_rotate(struct xt_audit_log *log, int fd,
                                           const struct xt_keyring *keyring,
                                           struct xt_audit_header *header);

/* Flushes and syncs; then progress.current is closed. The orderly end of a worker. */
XT_MUST_USE enum xt_status xt_audit_end(struct xt_audit_log *log);

/* Entries added and not in the file yet. */
uint32_t xt_audit_pending(const struct xt_audit_log *log);
/* Whole batches that are in the file, durable or not. */
const struct xt_audit_state *xt_audit_written(const struct xt_audit_log *log);

#endif
