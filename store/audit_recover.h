/* store/audit_recover: after a crash: finds where each segment's whole batches end, cuts off what a killed
 * process left torn, closes the segment and writes it down. And the end of segments by the operator.
 *
 *   a file that ends within a batch or header, or in zeros       cut, recorded (bytes cut), flag `repaired`
 *   whole batches after the last checkpoint                      kept
 *   a file that is shorter than a checkpoint says, is missing,   refused, nothing is changed: somebody or
 *   or is wrong anywhere else                                    something else was at it
 *
 * A segment that another process still writes (an upgrade) has its lock and is left alone.
 * Order: what is to be cut is written down before it is cut, so that no crash in between hides it.
 */
#ifndef XT_STORE_AUDIT_RECOVER_H
#define XT_STORE_AUDIT_RECOVER_H

#include "store/audit_checkpoint.h"

struct xt_audit_repair {
    unsigned closed;   /* segments that a crash had left open */
    unsigned repaired; /* of them: with a torn tail, or files without a whole header (removed) */
    unsigned busy;     /* left alone: somebody writes them */
    uint64_t cut;      /* bytes */
};

/* All segments, at the start of a server, before it makes new ones. Always writes a checkpoint, with flags
 * START and, where something was cut, REPAIRED. XT_CORRUPT: *failure names the file and the offset. XT_DENIED:
 * the keyring has not the master key of a segment. Reads what came after the last checkpoint only. */
XT_MUST_USE enum xt_status xt_audit_recover(struct xt_audit_checkpoints *checkpoints,
                                            const struct xt_keyring *keyring, uint64_t unix_ms,
                                            struct xt_audit_repair *repair,
                                            struct xt_failure *failure);

/* The segment of one worker that ended, in order or not, before its successor is started: header as
 * xt_audit_create gave it (worker, id, unix_ms). Reads at most what came after the last checkpoint. */
XT_MUST_USE enum xt_status xt_audit_recover_one(struct xt_audit_checkpoints *checkpoints,
                                                const struct xt_keyring *keyring, uint64_t unix_ms,
                                                const struct xt_audit_header *header,
                                                struct xt_audit_repair *repair,
                                                struct xt_failure *failure);

struct xt_audit_expiry {
    uint64_t segments, entries, bytes; /* removed */
    uint64_t open;                     /* kept all the same: not closed by a checkpoint yet */
};
/* Removes whole segments of which every entry is older than before_ms, and leaves a tombstone of each in the
 * list first. Segments that are still open or stand in no checkpoint are kept, whatever their age. Files of
 * an expiry that was interrupted are removed as well. most: segments at a time (SIZE_MAX: all); call again
 * while as many were removed. */
XT_MUST_USE enum xt_status xt_audit_expire(struct xt_audit_checkpoints *checkpoints,
                                           uint64_t unix_ms, uint64_t before_ms, size_t most,
                                           struct xt_audit_expiry *expiry,
                                           struct xt_failure *failure);

#endif
