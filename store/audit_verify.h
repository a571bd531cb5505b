/* store/audit_verify: reads every byte of the audit log and says where it was tampered with or damaged.
 *
 * What it proves: every segment that any checkpoint names is there (or has a tombstone), is whole, in order,
 * sealed by this deployment's master keys, and at least as long as the last checkpoint says; the list of
 * checkpoints is whole, signed, and as long as head says.
 * What it cannot: entries younger than the last checkpoint (10 s, less after an orderly end) can be cut off
 * between batches; who kept an older copy of the whole folder can put it back (a number noted elsewhere
 * shows it: at_least); who has both master.keys and audit.key can write another log.
 *
 * The server may run meanwhile. Memory: 260 KiB a thread, and 150 bytes a segment.
 */
#ifndef XT_STORE_AUDIT_VERIFY_H
#define XT_STORE_AUDIT_VERIFY_H

#include <signal.h>

#include "store/audit_checkpoint.h"

struct xt_audit_fault {
    char file[XT_AUDIT_NAME]; /* in DIR/audit */
    uint64_t offset;          /* bytes: of the batch or checkpoint where it begins to be wrong */
    char what[256];
};

struct xt_audit_plan {
    unsigned threads;       /* 0: one for each processor */
    bool quiet;             /* no progress */
    uint64_t at_least;      /* number of a checkpoint that there must be; 0: any */
    const char *public_key; /* path; NULL: DIR/keys/audit.pub */
    const volatile sig_atomic_t *interrupted; /* NULL: never */
};

struct xt_audit_report {
    uint64_t segments, batches, entries, bytes;
    uint64_t checkpoints, repaired,
        cut;                       /* repaired: segments whose torn tail was cut; cut: bytes */
    uint64_t expired;              /* segments that have a tombstone */
    uint64_t restored;             /* times that the log came out of a backup */
    uint64_t uncovered;            /* entries after the last checkpoint */
    struct xt_audit_fault *faults; /* the first of each file; xt_audit_report_free */
    size_t fault_count;
};

/* XT_OK: nothing is wrong. XT_CORRUPT: faults tell what. XT_CLOSED: interrupted. XT_NOT_FOUND: DIR has no
 * audit log. Anything else: it could not be verified. */
XT_MUST_USE enum xt_status xt_audit_verify(const char *dir, const struct xt_keyring *keyring,
                                           const struct xt_audit_plan *plan,
                                           struct xt_audit_report *report,
                                           struct xt_failure *failure);
void xt_audit_report_free(struct xt_audit_report *report);

#endif
