#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/supervisor_internal.h"

struct xt_member *xt_slot_other(struct xt_member *member)
{
    return &member->slot->members[member == &member->slot->members[0]];
}

struct xt_member *xt_slot_in_role(struct xt_slot *slot, enum xt_role role)
{
    for (unsigned i = 0; i < 2; i++) {
        if (slot->members[i].role == role) {
            return &slot->members[i];
        }
    }
    return NULL;
}

void xt_backoff_set(struct xt_backoff *backoff, uint64_t now_ms, bool quick)
{
    if (!quick) {
        backoff->delay_ms = 0;
    } else if (backoff->delay_ms == 0) {
        backoff->delay_ms = XT_BACKOFF_LEAST_MS;
    } else if (backoff->delay_ms < XT_BACKOFF_MOST_MS) {
        backoff->delay_ms *= 2;
    }
    if (backoff->delay_ms > XT_BACKOFF_MOST_MS) {
        backoff->delay_ms = XT_BACKOFF_MOST_MS;
    }
    backoff->start_at_ms = now_ms + backoff->delay_ms;
}

/* ---- starting --------------------------------------------------------------------------------- */

/* Whether somebody answers the slot's clients meanwhile. One that has no register does not: who comes
 * in its place could not open it either, and would be started in vain again and again. */
static bool is_served(struct xt_slot *slot)
{
    const struct xt_member *member = xt_slot_in_role(slot, XT_ROLE_SERVING);
    return member != NULL && !member->lacks_generation;
}

/* Everything a worker needs, in one message. */
static enum xt_status send_start(struct xt_member *member)
{
    struct xt_supervisor *supervisor = member->supervisor;
    uint8_t *keys = xt_secret_alloc(XT_KEYRING_EXPORT_MAX + XT_SIGNING_TEXT_MAX);
    if (keys == NULL) {
        return XT_NO_MEMORY;
    }
    struct xt_writer writer = xt_writer_over(keys, XT_KEYRING_EXPORT_MAX + XT_SIGNING_TEXT_MAX);
    xt_keyring_export(supervisor->keyring, &writer);
    xt_require(!writer.overflow);
    struct xt_span keyring = xt_written(&writer);
    struct xt_control_message message = {.type = XT_CONTROL_START};
    message.numbers[XT_START_PLACE] = member->place;
    message.numbers[XT_START_INDEX] = member->slot->index;
    message.numbers[XT_START_WORKERS] = supervisor->workers;
    /* Pinned when there is one for each processor; else the system knows better. */
    message.numbers[XT_START_CPU] = supervisor->cpu_count == supervisor->workers
                                        ? supervisor->cpus[member->slot->index]
                                        : XT_START_NO_CPU;
    message.numbers[XT_START_SERIAL] = supervisor->serial;
    message.numbers[XT_START_GENERATION] = supervisor->generation;
    /* The first ones must open it, or the service does not start. */
    message.numbers[XT_START_ALONE] = supervisor->serving && !is_served(member->slot);
    message.numbers[XT_START_TICKET_PERIOD] = supervisor->tickets->period;
    message.blobs[XT_START_DIR] =
        xt_span_of(supervisor->plan->dir, strlen(supervisor->plan->dir) + 1);
    message.blobs[XT_START_SETTINGS] =
        xt_span_of(&supervisor->settings, sizeof(supervisor->settings));
    message.blobs[XT_START_KEYRING] = keyring;
    message.blobs[XT_START_TICKET_SECRET] =
        xt_span_of(supervisor->tickets->secret, sizeof(supervisor->tickets->secret));
    message.blobs[XT_START_TLS_KEY] = supervisor->identity->tls.key;
    message.blobs[XT_START_SIGNING] = xt_supervisor_write_signing(supervisor, &writer);
    message.blobs[XT_START_DIGEST] = xt_span_of(supervisor->digest, sizeof(supervisor->digest));
    xt_sockets_set_right(member->slot);
    _Static_assert(XT_START_API == XT_START_SHARED + XT_SHARED_FDS, "all of them have a place");
    xt_shared_hand(supervisor->shared, &message.fds[XT_START_SHARED]);
    message.fds[XT_START_API] = member->slot->api_socket;
    message.fds[XT_START_ADMIN] = member->slot->admin_socket;
    message.fds[XT_START_SNAPSHOT] = supervisor->snapshot;
    message.fd_count =
        XT_START_FIXED; /* the channel to the writer follows in a message of its own */
    if (member->audit.fd >= 0) {
        message.fds[XT_START_AUDIT] = member->audit.fd;
        message.fd_count = XT_START_FD_COUNT;
        message.blobs[XT_START_AUDIT_HEADER] =
            xt_span_of(&member->audit.given[0], sizeof(member->audit.given[0]));
    }
    enum xt_status status = xt_child_send(member->child, &message);
    xt_secret_free(keys);
    if (status == XT_OK) {
        xt_member_audit_sent(member);
        member->sent_serial = member->known_serial = supervisor->serial;
        member->sent_identity = supervisor->identity_serial;
        member->sent_generation = supervisor->generation;
        member->start_generation_serial = supervisor->generation_serial;
        member->opened_serial = 0;
        member->keys.sent = supervisor->keys_serial;
        member->answered_serial = supervisor->serial; /* READY is the answer to all of that */
        member->answered_generation = supervisor->generation;
        member->keys.taken = supervisor->keys_serial;
    }
    return status;
}

static enum xt_status start_member(struct xt_member *member, struct xt_failure *failure)
{
    struct xt_supervisor *supervisor = member->supervisor;
    static char *const command[] = {(char *)"xacthuc", (char *)"serve-worker", NULL};
    struct xt_child_plan plan = {.command = command,
                                 .told = xt_member_told,
                                 .writable = xt_member_writable,
                                 .ended = xt_member_ended,
                                 .context = member};
    enum xt_status status = xt_child_start(&supervisor->loop, &plan, &member->child, failure);
    if (status != XT_OK) {
        return status;
    }
    member->role = XT_ROLE_STARTING;
    member->drain_wanted = member->drain_sent = -1;
    member->stopped = false;
    member->sent_quota = 0;
    member->generation_at_ms = 0;
    member->lacks_generation = false;
    xt_pulse_begin(&member->pulse);
    member->kill_at_ms = xt_supervisor_now(supervisor) + XT_START_LIMIT_MS;
    pid_t pid = xt_child_pid(member->child);
    xt_shared_set_process(supervisor->shared, member->place, XT_PROCESS_STARTING, pid);
    struct xt_failure no_log = {0};
    if (xt_member_audit_make(member, &no_log) !=
        XT_OK) { /* it refuses everybody until it has one */
        xt_supervisor_log_failure("audit_not_created", &no_log);
    }
    status = send_start(member);
    if (status != XT_OK) {
        xt_child_signal(member->child, SIGKILL); /* its end says that it must be started again */
        return xt_fail(failure, status, "cannot tell it what to serve: %s", xt_status_name(status));
    }
    xt_member_sync(member);
    xt_writer_slot_connect(member);
    return XT_OK;
}

/* Both drain, and nobody serves: the one that has drained for longer makes room. */
static void make_room(struct xt_slot *slot)
{
    struct xt_member *first = &slot->members[0], *second = &slot->members[1];
    if (first->role == XT_ROLE_LEAVING && second->role == XT_ROLE_LEAVING) {
        xt_member_leave(first->kill_at_ms <= second->kill_at_ms ? first : second, XT_DRAIN_NOW);
    }
}

void xt_worker_start_in(struct xt_slot *slot)
{
    struct xt_member *member = xt_slot_in_role(slot, XT_ROLE_ABSENT);
    if (member == NULL) {
        make_room(slot); /* its end asks again */
        return;
    }
    if (slot->members[0].role == XT_ROLE_STARTING || slot->members[1].role == XT_ROLE_STARTING) {
        return; /* when a place is free, xt_workers_due asks again */
    }
    struct xt_failure failure = {0};
    slot->backoff.start_at_ms = XT_NEVER;
    slot->replace = false;
    if (start_member(member, &failure) != XT_OK) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_ERROR, "worker_not_started");
        xt_log_number(&line, "worker", slot->index);
        xt_log_text(&line, "reason", failure.text);
        xt_log_end(&line);
        if (member->child == NULL) {
            xt_backoff_set(&slot->backoff, xt_supervisor_now(member->supervisor), true);
        }
    }
}

static void list_cpus(struct xt_supervisor *supervisor)
{
    cpu_set_t set;
    supervisor->cpu_count = 0;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return;
    }
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && supervisor->cpu_count < XT_WORKERS_MAX; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            supervisor->cpus[supervisor->cpu_count++] = cpu;
        }
    }
}

enum xt_status xt_workers_open(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    list_cpus(supervisor);
    if (supervisor->workers == 0) {
        supervisor->workers = supervisor->settings.workers;
    }
    if (supervisor->workers == 0) {
        supervisor->workers = supervisor->cpu_count == 0 ? 1 : supervisor->cpu_count;
    }
    supervisor->slots = calloc(supervisor->workers, sizeof(*supervisor->slots));
    if (supervisor->slots == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the workers");
    }
    for (unsigned i = 0; i < supervisor->workers; i++) {
        struct xt_slot *slot = &supervisor->slots[i];
        *slot = (struct xt_slot){
            .index = i, .api_socket = -1, .admin_socket = -1, .backoff = {.start_at_ms = XT_NEVER}};
        for (unsigned j = 0; j < 2; j++) {
            slot->members[j] = (struct xt_member){.supervisor = supervisor,
                                                  .slot = slot,
                                                  .place = i + j * supervisor->workers,
                                                  .writer_end = -1,
                                                  .channel_end = -1,
                                                  .audit = {.fd = -1},
                                                  .kill_at_ms = XT_NEVER};
        }
    }
    return XT_OK;
}

void xt_workers_close(struct xt_supervisor *supervisor)
{
    free(supervisor->slots);
    supervisor->slots = NULL;
}

/* ---- telling ---------------------------------------------------------------------------------- */

static enum xt_status send_reload(struct xt_member *member)
{
    struct xt_supervisor *supervisor = member->supervisor;
    struct xt_control_message message = {.type = XT_CONTROL_RELOAD,
                                         .numbers = {supervisor->serial},
                                         .fds = {supervisor->snapshot},
                                         .fd_count = 1};
    message.blobs[0] = xt_span_of(&supervisor->settings, sizeof(supervisor->settings));
    if (member->sent_identity != supervisor->identity_serial) {
        message.blobs[1] = supervisor->identity->tls.key;
    }
    enum xt_status status = xt_child_send(member->child, &message);
    if (status == XT_OK) {
        member->sent_serial = supervisor->serial;
        member->sent_identity = supervisor->identity_serial;
    }
    return status;
}

static enum xt_status send_number(struct xt_member *member, enum xt_control_type type,
                                  uint64_t number)
{
    struct xt_control_message message = {.type = type, .numbers = {number}};
    return xt_child_send(member->child, &message);
}

static enum xt_status send_generation(struct xt_member *member)
{
    struct xt_supervisor *supervisor = member->supervisor;
    struct xt_control_message message = {
        .type = XT_CONTROL_GENERATION,
        .numbers = {supervisor->generation, supervisor->generation_serial}};
    message.blobs[0] = xt_span_of(supervisor->digest, sizeof(supervisor->digest));
    return xt_child_send(member->child, &message);
}

static enum xt_status send_writer_end(struct xt_member *member)
{
    struct xt_control_message message = {
        .type = XT_CONTROL_WRITER, .fds = {member->writer_end}, .fd_count = 1};
    enum xt_status status = xt_child_send(member->child, &message);
    if (status == XT_OK) {
        close(member->writer_end);
        member->writer_end = -1;
    }
    return status;
}

/* What cannot be told now is told when the channel takes messages again: then everything is looked at
 * anew, so that only what holds by that time is told. */
void xt_member_sync(struct xt_member *member)
{
    struct xt_supervisor *supervisor = member->supervisor;
    enum xt_status status = XT_OK;
    if (member->child == NULL) {
        return;
    }
    if (member->drain_wanted > member->drain_sent) {
        status = send_number(member, XT_CONTROL_DRAIN, (uint64_t)member->drain_wanted);
        member->drain_sent = status == XT_OK ? member->drain_wanted : member->drain_sent;
    }
    if (status == XT_OK) {
        status = xt_member_keys_sync(member); /* before what is sealed under them */
    }
    if (status == XT_OK) { /* before the partners who need them */
        status = xt_quotas_tell(member);
    }
    if (status == XT_OK && member->sent_serial != supervisor->serial) {
        status = send_reload(member); /* also while it drains: a partner may have been shut out */
    }
    if (status == XT_OK && member->writer_end >= 0) {
        status = send_writer_end(member);
    }
    if (status == XT_OK) {
        status = xt_member_audit_sync(member);
    }
    if (status == XT_OK && member->sent_generation != supervisor->generation &&
        (member->answered_generation != supervisor->generation ||
         member->generation_at_ms <= xt_supervisor_now(supervisor))) {
        status = send_generation(member);
        member->sent_generation =
            status == XT_OK ? supervisor->generation : member->sent_generation;
    }
    if (status != XT_OK && status != XT_AGAIN && status != XT_CLOSED) {
        xt_child_signal(member->child, SIGKILL); /* it would serve by what holds no more */
    }
}

void xt_workers_sync(struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        xt_member_sync(&supervisor->slots[i].members[0]);
        xt_member_sync(&supervisor->slots[i].members[1]);
    }
}

/* ---- leaving ---------------------------------------------------------------------------------- */

void xt_member_leave(struct xt_member *member, int mode)
{
    struct xt_supervisor *supervisor = member->supervisor;
    if (member->child == NULL || member->drain_wanted >= mode) {
        return;
    }
    uint64_t limit = mode == XT_DRAIN_NOW ? 0 : supervisor->settings.drain_ms;
    if (member->role != XT_ROLE_LEAVING || mode == XT_DRAIN_NOW) {
        member->kill_at_ms = xt_supervisor_now(supervisor) + limit + XT_KILL_GRACE_MS;
    }
    member->role = XT_ROLE_LEAVING;
    member->drain_wanted = mode;
    /* A place that another has taken over from is none that the service lacks. */
    xt_shared_set_process(supervisor->shared, member->place,
                          mode == XT_DRAIN_LEAVE ? XT_PROCESS_NONE : XT_PROCESS_DRAINING,
                          xt_child_pid(member->child));
    xt_member_sync(member);
}

void xt_workers_drain(struct xt_supervisor *supervisor, int mode)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        supervisor->slots[i].backoff.start_at_ms = XT_NEVER;
        supervisor->slots[i].replace = false;
        xt_member_leave(&supervisor->slots[i].members[0], mode);
        xt_member_leave(&supervisor->slots[i].members[1], mode);
    }
}

void xt_workers_replace(struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        supervisor->slots[i].replace = true;
        supervisor->slots[i].backoff.start_at_ms = xt_supervisor_now(supervisor);
    }
}

/* ---- looking ---------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t member_due(struct xt_member *member, uint64_t now_ms)
{
    if (member->child == NULL) {
        return XT_NEVER;
    }
    if (member->kill_at_ms <= now_ms) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_WARNING, "worker_killed");
        xt_log_number(&line, "worker", member->slot->index);
        xt_log_number(&line, "pid", (uint64_t)xt_child_pid(member->child));
        xt_log_text(&line, "reason",
                    member->role == XT_ROLE_LEAVING ? "it did not end in time"
                                                    : "it did not start in time");
        xt_log_end(&line);
        xt_child_signal(member->child, SIGKILL);
        member->kill_at_ms = XT_NEVER;
    }
    return member->kill_at_ms;
}

uint64_t xt_workers_due(struct xt_supervisor *supervisor, uint64_t now_ms)
{
    uint64_t next = XT_NEVER;
    for (unsigned i = 0; i < supervisor->workers; i++) {
        struct xt_slot *slot = &supervisor->slots[i];
        if (slot->backoff.start_at_ms <= now_ms && !supervisor->draining) {
            bool wanted = slot->replace || xt_slot_in_role(slot, XT_ROLE_SERVING) == NULL;
            if (!wanted) {
                slot->backoff.start_at_ms = XT_NEVER;
            } else {
                xt_worker_start_in(slot);
            }
        }
        /* Both places taken: the end of one of them asks again. */
        if (slot->backoff.start_at_ms > now_ms) {
            next = earlier(next, slot->backoff.start_at_ms);
        }
        next = earlier(next, member_due(&slot->members[0], now_ms));
        next = earlier(next, member_due(&slot->members[1], now_ms));
    }
    return next;
}

bool xt_workers_all_serve(const struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        if (xt_slot_in_role(&supervisor->slots[i], XT_ROLE_SERVING) == NULL) {
            return false;
        }
    }
    return true;
}

bool xt_workers_all_stopped(const struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        for (unsigned j = 0; j < 2; j++) {
            const struct xt_member *member = &supervisor->slots[i].members[j];
            if (member->child != NULL && !member->stopped) {
                return false;
            }
        }
    }
    return true;
}

bool xt_workers_any_left(const struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        if (supervisor->slots[i].members[0].child != NULL ||
            supervisor->slots[i].members[1].child != NULL) {
            return true;
        }
    }
    return false;
}

bool xt_workers_read_one_generation(const struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        for (unsigned j = 0; j < 2; j++) {
            const struct xt_member *member = &supervisor->slots[i].members[j];
            if (member->child != NULL && member->opened_serial != supervisor->generation_serial) {
                return false;
            }
        }
    }
    return true;
}

bool xt_workers_are_current(const struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        for (unsigned j = 0; j < 2; j++) {
            const struct xt_member *member = &supervisor->slots[i].members[j];
            if (member->role == XT_ROLE_STARTING || /* to replace one that could not be told */
                (member->role == XT_ROLE_SERVING && member->known_serial != supervisor->serial)) {
                return false;
            }
        }
        if (supervisor->slots[i].replace) {
            return false;
        }
    }
    return true;
}
