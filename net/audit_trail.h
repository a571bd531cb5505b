/* net/audit_trail: a worker's side of the audit log: every answer of the api listener gets its entry, and
 * leaves only once that is written.
 *
 *   add, add, ... (one for each answer of the turn)  ->  flush: one write  ->  the answers leave
 *                                                     audit.sync = answer: flush also waits for the disk
 *                                                     audit.sync = interval: a thread does, <= 10 ms later
 *
 * The supervisor makes the files and hands them over, the first and those to go on in. Room on the disk is
 * set aside ahead: when there is none, or no file, requests are refused (503, not logged, since they tell
 * nothing) until there is, which is looked at ten times a second.
 * A log that cannot be written or synced for any other reason ends the process: nobody knows what the file
 * holds, which the next start finds out.
 *
 * Thread: the loop's; one of its pool waits for the disk. Blocks: flush for the file system, with `answer`
 * for the disk; take for the disk.
 */
#ifndef XT_NET_AUDIT_TRAIL_H
#define XT_NET_AUDIT_TRAIL_H

#include <uv.h>

#include "core/settings.h"
#include "net/shared.h"
#include "store/audit.h"

#define XT_AUDIT_DELAY_MS                                                                          \
    5 /* of a pass, after the first answer it is for; a slow turn may add to it */
#define XT_AUDIT_RETRY_MS 100 /* while there is no room */

struct xt_audit_trail {
    uv_loop_t *loop;
    const struct xt_settings *settings;
    struct xt_audit_progress *progress;
    struct xt_counters *counters;
    unsigned worker;
    struct xt_audit_log *log; /* NULL: no file yet */
    int fd;                   /* of it; -1 */
    int old_fd;               /* that a pass still has; -1 */
    bool full, ended;
    bool waiting;     /* the timer runs */
    uint64_t counted; /* bytes of this segment that metrics know of */
    uv_timer_t timer;
    bool passing; /* a thread has pass */
    uv_work_t work, starter;
    struct xt_audit_pass pass;
    enum xt_status passed;
    uint64_t pass_began_ns;
};

/* progress: in the shared memory. Nothing of it can be added to before a file is taken. */
XT_MUST_USE enum xt_status xt_audit_trail_open(struct xt_audit_trail *trail, uv_loop_t *loop,
                                               const struct xt_settings *settings,
                                               struct xt_audit_progress *progress,
                                               struct xt_counters *counters, unsigned worker);

/* Starts the threads of the loop's pool, which wait for the disk: in the sandbox, so that they are in it. */
XT_MUST_USE enum xt_status xt_audit_trail_start(struct xt_audit_trail *trail);

/* From now on in this file, as xt_audit_create made it; fd is taken in any case. keyring: as of now. Anything
 * but XT_OK: it goes on as before, and the file is to be removed. */
XT_MUST_USE enum xt_status xt_audit_trail_take(struct xt_audit_trail *trail, int fd,
                                               const struct xt_keyring *keyring,
                                               struct xt_audit_header *header);

/* Whether an answer could be written down now. */
static inline bool xt_audit_trail_can(const struct xt_audit_trail *trail)
{
    return trail->log != NULL && !trail->full;
}

/* Takes an entry; XT_DISK_FULL: its answer must not be given. Ends the process as above. */
XT_MUST_USE enum xt_status xt_audit_trail_add(struct xt_audit_trail *trail,
                                              const struct xt_audit_entry *entry);

/* Writes what was added. XT_DISK_FULL: none of its answers may leave (it is written once there is room). */
XT_MUST_USE enum xt_status xt_audit_trail_flush(struct xt_audit_trail *trail);

/* Nothing is answered any more: flushes, syncs, closes the segment; the loop can end. */
void xt_audit_trail_stop(struct xt_audit_trail *trail);
/* After the loop. */
void xt_audit_trail_close(struct xt_audit_trail *trail);

#endif
