#include <signal.h>
#include <unistd.h>

#include "net/supervisor_internal.h"

#define REASON_MAX 300 /* bytes of a child's words that are logged */

static void log_worker(const char *event, const struct xt_member *member)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, event);
    xt_log_number(&line, "worker", member->slot->index);
    xt_log_number(&line, "pid", (uint64_t)xt_child_pid(member->child));
    xt_log_end(&line);
}

static void on_ready(struct xt_member *member)
{
    struct xt_supervisor *supervisor = member->supervisor;
    struct xt_member *other = xt_slot_other(member);
    if (member->role != XT_ROLE_STARTING) {
        return; /* it was told to leave meanwhile */
    }
    member->role = XT_ROLE_SERVING;
    member->kill_at_ms = XT_NEVER;
    if (member->opened_serial == 0) {
        member->opened_serial =
            member->start_generation_serial; /* else it has opened another since */
    }
    xt_shared_set_process(supervisor->shared, member->place, XT_PROCESS_SERVING,
                          xt_child_pid(member->child));
    log_worker("worker_started", member);
    if (other->role == XT_ROLE_SERVING) {
        xt_member_leave(other, XT_DRAIN_LEAVE);
    }
}

/* Told to end by somebody else (SIGTERM): it takes no more clients, so another must. */
static void on_leaving(struct xt_member *member)
{
    if (member->role == XT_ROLE_LEAVING) {
        return;
    }
    log_worker("worker_leaving", member);
    xt_member_leave(member, XT_DRAIN_LEAVE);
    if (!member->supervisor->draining) {
        xt_worker_start_in(member->slot);
    }
}

/* What the supervisor could read this worker could not: it goes on by the old until another is there. */
static void on_refused(struct xt_member *member, const struct xt_control_message *message)
{
    struct xt_supervisor *supervisor = member->supervisor;
    if (message->numbers[0] == XT_CONTROL_AUDIT) {
        xt_member_audit_refused(member); /* the tick makes another; the worker has told why */
        return;
    }
    if (message->numbers[0] == XT_CONTROL_GENERATION) {
        member->answered_generation = (uint32_t)message->numbers[1];
        member->lacks_generation = message->numbers[2] == 0;
    } else if (message->numbers[0] == XT_CONTROL_RELOAD) {
        member->answered_serial = message->numbers[1];
    }
    struct xt_span reason = message->blobs[0];
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, "worker_refused");
    xt_log_number(&line, "worker", member->slot->index);
    xt_log_text(&line, "what",
                message->numbers[0] == XT_CONTROL_GENERATION ? "generation"
                : message->numbers[0] == XT_CONTROL_QUOTA    ? "quota"
                : message->numbers[0] == XT_CONTROL_KEYS     ? "keys"
                                                             : "reload");
    xt_log_number(&line, "number", message->numbers[1]);
    xt_log_span(&line, "reason",
                xt_span_of(reason.data, reason.size < REASON_MAX ? reason.size : REASON_MAX));
    xt_log_end(&line);
    if (message->numbers[0] == XT_CONTROL_GENERATION) {
        /* It may be gone because the next one is there; that one is then told of. */
        struct xt_failure failure = {0};
        if (xt_supervisor_look_at_generation(supervisor, &failure) != XT_OK) {
            xt_supervisor_log_failure("generation_refused", &failure);
        }
        if (message->numbers[1] != supervisor->generation) {
            return;
        }
    }
    if (message->numbers[0] == XT_CONTROL_GENERATION && message->numbers[2] == 0) {
        /* It has none, and another process would not have one either: it answers 503 until the file is
         * mended or another generation is there. */
        member->sent_generation = 0;
        member->generation_at_ms = xt_supervisor_now(supervisor) + XT_ASK_AGAIN_MS;
    } else if (member->role == XT_ROLE_SERVING && !supervisor->draining) {
        member->slot->replace = true;
        xt_backoff_set(&member->slot->backoff, xt_supervisor_now(supervisor), true);
    }
}

void xt_member_told(void *context, struct xt_child *child, struct xt_control_message *message)
{
    struct xt_member *member = context;
    (void)child;
    member->pulse.behind_ticks = 0; /* slow, perhaps, with much that was told; it answers */
    switch (message->type) {
    case XT_CONTROL_READY:
        on_ready(member);
        break;
    case XT_CONTROL_RELOADED:
        member->known_serial = member->answered_serial = message->numbers[0];
        break;
    case XT_CONTROL_KEYS_TAKEN:
        member->keys.taken = message->numbers[0];
        break;
    case XT_CONTROL_OPENED:
        member->answered_generation = (uint32_t)message->numbers[0];
        member->opened_serial = message->numbers[1];
        member->lacks_generation = false;
        break;
    case XT_CONTROL_AUDITING:
        xt_member_audit_taken(member);
        break;
    case XT_CONTROL_REFUSED:
        on_refused(member, message);
        break;
    case XT_CONTROL_LEAVING:
        on_leaving(member);
        break;
    case XT_CONTROL_STOPPED:
        member->stopped = true;
        break;
    default: /* nothing that a worker has to say */
        xt_child_signal(member->child, SIGKILL);
        break;
    }
    xt_supervisor_progress(member->supervisor);
}

void xt_member_writable(void *context, struct xt_child *child)
{
    (void)child;
    xt_member_sync(context);
}

static void close_ends(struct xt_member *member)
{
    if (member->writer_end >= 0) {
        close(member->writer_end);
    }
    if (member->channel_end >= 0) {
        close(member->channel_end);
    }
    member->writer_end = member->channel_end = -1;
}

static void log_end(const struct xt_member *member, const struct xt_child_end *end, bool expected)
{
    struct xt_log_line line;
    xt_log_begin(&line, expected ? XT_LOG_INFO : XT_LOG_ERROR,
                 expected ? "worker_ended" : "worker_died");
    xt_log_number(&line, "worker", member->slot->index);
    xt_log_number(&line, "pid", (uint64_t)xt_child_pid(member->child));
    xt_log_number(&line, end->signal != 0 ? "signal" : "status",
                  (uint64_t)(end->signal != 0 ? end->signal : end->status));
    xt_log_number(&line, "uptime_ms", end->uptime_ms);
    xt_log_end(&line);
}

void xt_member_ended(void *context, struct xt_child *child, const struct xt_child_end *end)
{
    struct xt_member *member = context;
    struct xt_slot *slot = member->slot;
    struct xt_supervisor *supervisor = member->supervisor;
    bool expected = member->role == XT_ROLE_LEAVING && end->signal == 0 && end->status == 0;
    bool quick = member->role == XT_ROLE_STARTING || end->uptime_ms < XT_QUICK_DEATH_MS;
    bool left = member->role == XT_ROLE_LEAVING;
    (void)child;
    log_end(member, end, expected);
    member->child = NULL;
    member->role = XT_ROLE_ABSENT;
    member->kill_at_ms = XT_NEVER;
    close_ends(member);
    xt_member_audit_ended(member);
    bool others = xt_slot_in_role(slot, XT_ROLE_STARTING) != NULL ||
                  xt_slot_in_role(slot, XT_ROLE_SERVING) != NULL;
    if (left || others) {
        xt_shared_set_process(supervisor->shared, member->place, XT_PROCESS_NONE, 0);
    } else {
        xt_shared_count_restart(supervisor->shared, member->place);
    }
    if (supervisor->draining) {
        /* nobody takes its place */
    } else if (!supervisor->serving && quick) {
        xt_supervisor_give_up(supervisor, "worker");
    } else if ((!others || slot->replace) && slot->backoff.start_at_ms == XT_NEVER) {
        xt_backoff_set(&slot->backoff, xt_supervisor_now(supervisor), !left && quick);
    } else if (!left && others) {
        /* A successor that failed: the one that serves is still to be replaced. */
        slot->replace = xt_slot_in_role(slot, XT_ROLE_SERVING) != NULL;
        if (slot->replace) {
            xt_backoff_set(&slot->backoff, xt_supervisor_now(supervisor), true);
        }
    }
    xt_supervisor_progress(supervisor);
}
