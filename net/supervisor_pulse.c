/* Which child runs and does nothing: it hangs, or it was stopped. Its end is waited for elsewhere. */
#include <signal.h>

#include "net/supervisor_internal.h"

void xt_pulse_begin(struct xt_pulse *pulse)
{
    *pulse = (struct xt_pulse){.beats = 0};
}

/* One look at a heart. */
static bool is_silent(struct xt_pulse *pulse, const struct xt_vitals *vitals, unsigned most)
{
    uint64_t beats = xt_counter_get(&vitals->beats);
    pulse->silent_ticks = beats == pulse->beats ? pulse->silent_ticks + 1 : 0;
    pulse->beats = beats;
    return pulse->silent_ticks >= most;
}

/* It serves by what does not hold any more: a certificate that was revoked, a partner shut out. */
static bool is_behind(struct xt_member *member)
{
    const struct xt_supervisor *supervisor = member->supervisor;
    bool behind = member->answered_serial != supervisor->serial ||
                  member->answered_generation != supervisor->generation ||
                  member->keys.taken != supervisor->keys_serial;
    member->pulse.behind_ticks = behind ? member->pulse.behind_ticks + 1 : 0;
    return member->pulse.behind_ticks >= XT_BEHIND_TICKS;
}

static void log_hung(const char *event, const struct xt_child *child, const char *reason)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, event);
    xt_log_number(&line, "pid", (uint64_t)xt_child_pid(child));
    xt_log_text(&line, "reason", reason);
    xt_log_end(&line);
}

static void look_at_worker(struct xt_member *member)
{
    bool serves = member->role == XT_ROLE_SERVING, silent = false, behind = false;
    if (member->child == NULL || (!serves && member->role != XT_ROLE_LEAVING)) {
        return; /* one that starts has a time limit of its own */
    }
    if (member->pulse.hung) {
        if (serves) {
            /* The kernel does not let it go, which a disk that hangs can do: another in its place. */
            xt_worker_start_in(member->slot);
        }
        return;
    }
    silent = serves &&
             is_silent(&member->pulse, xt_shared_vitals(member->supervisor->shared, member->place),
                       XT_SILENT_TICKS);
    behind = is_behind(member);
    if (silent || behind) {
        member->pulse.hung = true;
        log_hung("worker_hung", member->child,
                 silent ? "it has no heartbeat any more" : "it does not take what it was told");
        xt_child_signal(member->child, SIGKILL);
    }
}

static void look_at_writer(struct xt_supervisor *supervisor)
{
    struct xt_writer_slot *writer = &supervisor->writer;
    unsigned place = xt_shared_writer_place(2 * supervisor->workers);
    if (writer->child != NULL && writer->role == XT_ROLE_SERVING && !writer->pulse.hung &&
        is_silent(&writer->pulse, xt_shared_vitals(supervisor->shared, place),
                  XT_SILENT_WRITER_TICKS)) {
        writer->pulse.hung = true;
        log_hung("writer_hung", writer->child, "it has no heartbeat any more");
        xt_child_signal(writer->child, SIGKILL);
    }
}

void xt_pulse_tick(struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        look_at_worker(&supervisor->slots[i].members[0]);
        look_at_worker(&supervisor->slots[i].members[1]);
    }
    look_at_writer(supervisor);
    xt_supervisor_progress(supervisor);
}
