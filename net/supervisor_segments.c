/* The audit log's files of the workers: made here, handed to them, closed after them.
 *
 *   worker starts -> a segment -> START ----------> READY, AUDITING   -> checkpoint
 *   too large, another day, another key -> a segment -> AUDIT -> AUDITING -> checkpoint
 *   worker ends -> what a crash left torn is cut off and written down -> its successor starts
 */
#include "net/supervisor_internal.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 5000 /* for a segment, after there was no room for one */
#define PER_TICK 8    /* segments of workers that have one */
#define DAY_MS 86400000U
#define MIB (1ULL << 20)

static uint64_t unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

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
        audit->ticks = 0;
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

/* Closes a segment that nobody writes any more, in the list as well. false: somebody does write it. */
static bool close_segment(struct xt_supervisor *supervisor, const struct xt_audit_header *header)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    struct xt_audit_repair repair;
    struct xt_failure failure = {0};
    enum xt_status status = xt_audit_recover_one(desk->checkpoints, supervisor->keyring, unix_ms(),
                                                 header, &repair, &failure);
    /* Without room it stays open in the list; a later recovery closes it. */
    desk->recover_due = desk->recover_due || status == XT_DISK_FULL;
    xt_audit_trouble(&desk->told_closing, "audit_not_closed", status, &failure);
    if (status == XT_OK && repair.repaired > 0) {
        xt_audit_log_repair("audit_repaired", &repair);
    }
    return repair.busy == 0;
}

void xt_member_audit_taken(struct xt_member *member)
{
    struct xt_member_audit *audit = &member->audit;
    audit->under_way = false;
    if (audit->count > 1) { /* it goes on in another */
        xt_audit_give_back(member->supervisor->plan->dir, &audit->given[audit->count - 2]);
    }
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
    if (!audit->under_way || audit->count == 0) {
        return;
    }
    audit->under_way = false;
    audit->count--;
    audit->retry_at_ms = xt_supervisor_now(member->supervisor) + RETRY_MS;
    if (!close_segment(member->supervisor, &audit->given[audit->count])) {
        xt_member_audit_kill(member, "it refused a segment of the audit log and has it open");
    }
}

void xt_member_audit_ended(struct xt_member *member)
{
    struct xt_member_audit *audit = &member->audit;
    xt_member_audit_sent(member);
    for (unsigned i = 0; i < audit->count; i++) {
        (void)close_segment(member->supervisor, &audit->given[i]);
        xt_audit_give_back(member->supervisor->plan->dir, &audit->given[i]);
    }
    audit->count = 0;
    audit->under_way = false;
    audit->retry_at_ms = 0;
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
        audit->count == XT_AUDIT_GIVEN || xt_supervisor_now(supervisor) < audit->retry_at_ms) {
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

/* It took or refused it long ago, and what it said was lost; or it does not say. */
static bool hangs(struct xt_member *member)
{
    struct xt_member_audit *audit = &member->audit;
    if (member->child == NULL || !audit->under_way || member->role == XT_ROLE_STARTING) {
        audit->ticks = 0;
        return false;
    }
    return ++audit->ticks > XT_BEHIND_TICKS;
}

void xt_members_audit_tick(struct xt_supervisor *supervisor)
{
    uint64_t now = unix_ms();
    unsigned given = 0;
    for (unsigned i = 0; i < 2 * supervisor->workers; i++) {
        struct xt_member *member =
            &supervisor->slots[i % supervisor->workers].members[i / supervisor->workers];
        struct xt_failure failure = {0};
        if (hangs(member)) {
            xt_member_audit_kill(member, "it does not say whether it took a segment of the log");
            continue;
        }
        /* Whoever has one already can wait for his turn: each costs some syncs of the disk. */
        if (!needs_segment(member, now) || (member->audit.count > 0 && given == PER_TICK)) {
            continue;
        }
        enum xt_status status = xt_member_audit_make(member, &failure);
        xt_audit_trouble(&supervisor->audit.told_segment, "audit_not_created", status, &failure);
        if (status != XT_OK) {
            return;
        }
        given++;
        xt_member_sync(member);
    }
}
