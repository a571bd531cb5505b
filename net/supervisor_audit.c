/* The audit log's files: made here, handed to the workers, closed after them; and the checkpoints over all.
 *
 *   worker starts -> a segment -> START ----------> READY      -> checkpoint
 *   too large, or another day -> a segment -> AUDIT -> AUDITING -> checkpoint
 *   worker ends -> what a crash left torn is cut off and written down -> its successor starts
 */
#include "net/supervisor_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_MS 10000
#define EXPIRY_MS 3600000U
#define DAY_MS 86400000U
#define MIB (1ULL << 20)

static uint64_t unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_repair(const char *event, const struct xt_audit_repair *repair)
{
    struct xt_log_line line;
    xt_log_begin(&line, repair->repaired > 0 ? XT_LOG_WARNING : XT_LOG_INFO, event);
    xt_log_number(&line, "segments", repair->closed);
    xt_log_number(&line, "torn", repair->repaired);
    xt_log_number(&line, "bytes_cut", repair->cut);
    xt_log_end(&line);
}

/* The same trouble each second is one line. */
static void log_trouble(struct xt_supervisor *supervisor, const char *event, enum xt_status status,
                        const struct xt_failure *failure)
{
    if (supervisor->audit.told != status) {
        supervisor->audit.told = status;
        xt_supervisor_log_failure(event, failure);
    }
}

/* ---- start and end ---------------------------------------------------------------------------- */

enum xt_status xt_audit_desk_open(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    struct xt_audit_repair repair;
    enum xt_status status =
        xt_audit_checkpoints_open(supervisor->plan->dir, &desk->checkpoints, failure);
    if (status == XT_OK) {
        status =
            xt_audit_recover(desk->checkpoints, supervisor->keyring, unix_ms(), &repair, failure);
    }
    if (status == XT_OK && repair.closed + repair.repaired > 0) {
        log_repair("audit_recovered", &repair);
    }
    return status;
}

void xt_audit_desk_end(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    if (supervisor->audit.checkpoints != NULL &&
        xt_audit_checkpoint_write(supervisor->audit.checkpoints, unix_ms(), XT_AUDIT_FLAG_END, NULL,
                                  0, &failure) != XT_OK) {
        xt_supervisor_log_failure("checkpoint_failed", &failure);
    }
}

void xt_audit_desk_close(struct xt_supervisor *supervisor)
{
    xt_audit_checkpoints_close(supervisor->audit.checkpoints);
    supervisor->audit.checkpoints = NULL;
}

/* ---- a worker's files ------------------------------------------------------------------------- */

enum xt_status xt_member_audit_make(struct xt_member *member, struct xt_failure *failure)
{
    struct xt_supervisor *supervisor = member->supervisor;
    struct xt_member_audit *audit = &member->audit;
    xt_require(audit->fd < 0 && audit->count < XT_AUDIT_GIVEN);
    struct xt_audit_header *header = &audit->given[audit->count];
    *header = (struct xt_audit_header){.worker = member->slot->index, .unix_ms = unix_ms()};
    xt_audit_checkpoints_link(supervisor->audit.checkpoints, header->worker, &header->before);
    enum xt_status status = xt_audit_create(supervisor->plan->dir, header, &audit->fd, failure);
    if (status == XT_OK) {
        audit->count++;
        audit->key_id = xt_keyring_current(supervisor->keyring);
        audit->under_way = true;
    }
    return status;
}

void xt_member_audit_sent(struct xt_member *member)
{
    if (member->audit.fd >= 0) { /* the worker's is the last copy now: its lock ends with it */
        close(member->audit.fd);
        member->audit.fd = -1;
    }
}

static void forget(struct xt_member_audit *audit, unsigned at)
{
    audit->count--;
    memmove(&audit->given[at], &audit->given[at + 1],
            (audit->count - at) * sizeof(audit->given[0]));
}

/* Closes a segment that nobody writes any more, in the list as well. */
static void close_segment(struct xt_supervisor *supervisor, const struct xt_audit_header *header)
{
    struct xt_audit_repair repair;
    struct xt_failure failure = {0};
    if (xt_audit_recover_one(supervisor->audit.checkpoints, supervisor->keyring, unix_ms(), header,
                             &repair, &failure) != XT_OK) {
        xt_supervisor_log_failure("audit_damaged", &failure);
    } else if (repair.repaired > 0) {
        log_repair("audit_repaired", &repair);
    }
}

void xt_member_audit_taken(struct xt_member *member)
{
    struct xt_member_audit *audit = &member->audit;
    audit->under_way = false;
    while (audit->count >
           2) { /* the one it writes, and the one before, which its progress tells of */
        forget(audit, 0);
    }
    member->supervisor->audit.checkpoint_at_ms = 0; /* soon */
    member->supervisor->audit.rotated = true;
}

void xt_member_audit_refused(struct xt_member *member)
{
    struct xt_member_audit *audit = &member->audit;
    if (audit->under_way && audit->count > 0) {
        audit->under_way = false;
        audit->count--;
        close_segment(member->supervisor, &audit->given[audit->count]);
    }
}

void xt_member_audit_ended(struct xt_member *member)
{
    struct xt_member_audit *audit = &member->audit;
    xt_member_audit_sent(member);
    for (unsigned i = 0; i < audit->count; i++) {
        close_segment(member->supervisor, &audit->given[i]);
    }
    audit->count = 0;
    audit->under_way = false;
}

static enum xt_status send_segment(struct xt_member *member)
{
    const struct xt_member_audit *audit = &member->audit;
    struct xt_control_message message = {
        .type = XT_CONTROL_AUDIT, .fds = {audit->fd}, .fd_count = 1};
    message.blobs[0] = xt_span_of(&audit->given[audit->count - 1], sizeof(audit->given[0]));
    return xt_child_send(member->child, &message);
}

enum xt_status xt_member_audit_sync(struct xt_member *member)
{
    if (member->audit.fd < 0) {
        return XT_OK;
    }
    enum xt_status status = send_segment(member);
    if (status == XT_OK) {
        xt_member_audit_sent(member);
    }
    return status;
}

/* A worker without a file answers nothing; one whose file is large, of yesterday or under a master key that
 * another has taken the place of goes on in another. */
static bool needs_segment(const struct xt_member *member, uint64_t now_ms)
{
    const struct xt_supervisor *supervisor = member->supervisor;
    const struct xt_member_audit *audit = &member->audit;
    if (member->child == NULL || audit->under_way || audit->fd >= 0 ||
        audit->count == XT_AUDIT_GIVEN) {
        return false;
    }
    if (audit->count == 0) {
        return true;
    }
    if (member->role != XT_ROLE_SERVING) {
        return false;
    }
    const struct xt_audit_header *header = &audit->given[audit->count - 1];
    struct xt_audit_progress progress;
    const struct xt_counters *counters = xt_shared_counters(supervisor->shared, member->place);
    bool large = xt_audit_progress_read(&counters->audit, &progress) == XT_OK &&
                 memcmp(progress.current.id, header->id, XT_AUDIT_ID) == 0 &&
                 progress.current.bytes >= supervisor->settings.audit_segment_size * MIB;
    bool rotated = audit->key_id != xt_keyring_current(supervisor->keyring) &&
                   member->keys.taken == supervisor->keys_serial;
    return large || rotated || now_ms / DAY_MS != header->unix_ms / DAY_MS;
}

static void give_segments(struct xt_supervisor *supervisor)
{
    uint64_t now = unix_ms();
    for (unsigned i = 0; i < 2 * supervisor->workers; i++) {
        struct xt_member *member =
            &supervisor->slots[i % supervisor->workers].members[i / supervisor->workers];
        struct xt_failure failure = {0};
        if (!needs_segment(member, now)) {
            continue;
        }
        enum xt_status status = xt_member_audit_make(member, &failure);
        if (status != XT_OK) {
            log_trouble(supervisor, "audit_not_created", status, &failure);
            return;
        }
        xt_member_sync(member);
    }
}

/* ---- checkpoints ------------------------------------------------------------------------------ */

/* What the workers say is durable. A worker that is at it, or broken, is left out this time. */
static size_t collect(struct xt_supervisor *supervisor, struct xt_audit_row *rows)
{
    size_t count = 0;
    for (unsigned i = 0; i < 2 * supervisor->workers; i++) {
        const struct xt_member *member =
            &supervisor->slots[i % supervisor->workers].members[i / supervisor->workers];
        struct xt_audit_progress progress;
        if (member->child == NULL ||
            xt_audit_progress_read(&xt_shared_counters(supervisor->shared, member->place)->audit,
                                   &progress) != XT_OK) {
            continue;
        }
        size_t more = xt_audit_progress_rows(&progress, member->audit.given, member->audit.count,
                                             rows + count);
        for (size_t j = 0; j < more; j++) {
            if (!xt_audit_checkpoints_takes(supervisor->audit.checkpoints, &rows[count + j])) {
                struct xt_failure failure = {
                    .text = "it contradicts what it said before of its audit log"};
                xt_supervisor_log_failure("worker_killed", &failure);
                xt_child_signal(member->child, SIGKILL);
                more = 0;
            }
        }
        count += more;
    }
    return count;
}

static void write_checkpoint(struct xt_supervisor *supervisor)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    struct xt_failure failure = {0};
    struct xt_audit_row *rows =
        calloc(2 * supervisor->workers * XT_AUDIT_PROGRESS_ROWS, sizeof(*rows));
    if (rows == NULL) {
        return; /* the next tick tries again */
    }
    size_t count = collect(supervisor, rows);
    enum xt_status status = xt_audit_checkpoint_write(desk->checkpoints, unix_ms(),
                                                      desk->rotated ? XT_AUDIT_FLAG_ROTATION : 0,
                                                      rows, count, &failure);
    free(rows);
    if (status == XT_OK) {
        desk->rotated = false;
        desk->told = XT_OK;
        desk->checkpoint_at_ms = xt_supervisor_now(supervisor) + CHECKPOINT_MS;
        xt_shared_set_checkpoint(supervisor->shared, xt_audit_checkpoints_number(desk->checkpoints),
                                 unix_ms() / 1000);
        return;
    }
    log_trouble(supervisor, "checkpoint_failed", status, &failure);
    if (status == XT_IO || status == XT_CORRUPT) {
        /* Nobody could vouch for what is logged from now on. */
        xt_supervisor_fail(supervisor, "the audit log's checkpoints cannot be written");
    }
}

static void expire(struct xt_supervisor *supervisor, uint64_t now_ms)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    uint64_t days = supervisor->settings.audit_retention, now = unix_ms();
    struct xt_audit_expiry expiry;
    struct xt_failure failure = {0};
    if (days == 0 || now_ms < desk->expiry_at_ms || now < days * DAY_MS) {
        return;
    }
    desk->expiry_at_ms = now_ms + EXPIRY_MS;
    if (xt_audit_expire(desk->checkpoints, now, now - days * DAY_MS, &expiry, &failure) != XT_OK) {
        xt_supervisor_log_failure("audit_not_expired", &failure);
    } else if (expiry.segments > 0) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_INFO, "audit_expired");
        xt_log_number(&line, "segments", expiry.segments);
        xt_log_number(&line, "entries", expiry.entries);
        xt_log_number(&line, "bytes", expiry.bytes);
        xt_log_end(&line);
    }
}

void xt_audit_desk_tick(struct xt_supervisor *supervisor)
{
    uint64_t now = xt_supervisor_now(supervisor);
    if (!supervisor->draining) {
        give_segments(supervisor);
        expire(supervisor, now);
    }
    if (now >= supervisor->audit.checkpoint_at_ms) {
        write_checkpoint(supervisor);
    }
}
