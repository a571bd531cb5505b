#include <signal.h>
#include <unistd.h>

#include "net/supervisor_internal.h"
#include "net/writer_channel.h"

static void writer_told(void *context, struct xt_child *child, struct xt_control_message *message)
{
    struct xt_supervisor *supervisor = context;
    struct xt_writer_slot *writer = &supervisor->writer;
    if (message->type == XT_CONTROL_READY && writer->role == XT_ROLE_STARTING) {
        writer->role = XT_ROLE_SERVING;
        writer->waits = false;
        writer->kill_at_ms = XT_NEVER;
        xt_shared_set_process(supervisor->shared, xt_shared_writer_place(2 * supervisor->workers),
                              XT_PROCESS_SERVING, xt_child_pid(child));
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_INFO, "writer_started");
        xt_log_number(&line, "pid", (uint64_t)xt_child_pid(child));
        xt_log_end(&line);
    }
    if (message->type == XT_CONTROL_KEYS_TAKEN) {
        writer->keys.taken = message->numbers[0];
    }
    xt_supervisor_progress(supervisor);
}

static void writer_writable(void *context, struct xt_child *child)
{
    (void)child;
    xt_writer_slot_sync(context);
}

static void writer_ended(void *context, struct xt_child *child, const struct xt_child_end *end)
{
    struct xt_supervisor *supervisor = context;
    struct xt_writer_slot *writer = &supervisor->writer;
    bool expected = writer->role == XT_ROLE_LEAVING && end->signal == 0 && end->status == 0;
    bool quick = writer->role == XT_ROLE_STARTING || end->uptime_ms < XT_QUICK_DEATH_MS;
    unsigned place = xt_shared_writer_place(2 * supervisor->workers);
    struct xt_log_line line;
    xt_log_begin(&line, expected ? XT_LOG_INFO : XT_LOG_ERROR,
                 expected ? "writer_ended" : "writer_died");
    xt_log_number(&line, "pid", (uint64_t)xt_child_pid(child));
    xt_log_number(&line, end->signal != 0 ? "signal" : "status",
                  (uint64_t)(end->signal != 0 ? end->signal : end->status));
    xt_log_number(&line, "uptime_ms", end->uptime_ms);
    xt_log_end(&line);
    writer->child = NULL;
    writer->role = XT_ROLE_ABSENT;
    writer->waits = false;
    writer->kill_at_ms = XT_NEVER;
    if (expected) {
        xt_shared_set_process(supervisor->shared, place, XT_PROCESS_NONE, 0);
    } else {
        xt_shared_count_restart(supervisor->shared, place);
    }
    if (!supervisor->draining && !supervisor->serving && quick) {
        xt_supervisor_give_up(supervisor, "writer");
    } else if (!supervisor->draining) {
        xt_backoff_set(&writer->backoff, xt_supervisor_now(supervisor), quick);
    }
    xt_supervisor_progress(supervisor);
}

/* Events and answers are bytes only. */
static void take_no_descriptors(const int ends[2])
{
    xt_control_take_no_descriptors(ends[0]);
    xt_control_take_no_descriptors(ends[1]);
}

/* A new pair of ends; what was not told of the pair before is void. */
void xt_writer_slot_connect(struct xt_member *member)
{
    int ends[2];
    struct xt_failure failure = {0};
    struct xt_supervisor *supervisor = member->supervisor;
    if (supervisor->writer.child == NULL) {
        return; /* when there is one, everybody is connected */
    }
    if (xt_writer_channel_pair(ends, &failure) != XT_OK) {
        xt_supervisor_log_failure("writer_not_connected", &failure);
        return; /* this worker refuses what needs the writer until the next one */
    }
    if (member->writer_end >= 0) {
        close(member->writer_end);
    }
    if (member->channel_end >= 0) {
        close(member->channel_end);
    }
    take_no_descriptors(ends);
    member->writer_end = ends[0];
    member->channel_end = ends[1];
    xt_member_sync(member);
    xt_writer_slot_sync(supervisor);
}

/* Our own: what only the supervisor may put on record goes there. */
static void connect_supervisor(struct xt_supervisor *supervisor)
{
    int ends[2];
    struct xt_failure failure = {0};
    if (xt_writer_channel_pair(ends, &failure) != XT_OK) {
        xt_supervisor_log_failure("writer_not_connected", &failure);
        return;
    }
    take_no_descriptors(ends);
    if (xt_writer_channel_replace(supervisor->writer.channel, ends[0]) != XT_OK) {
        close(ends[0]);
        close(ends[1]);
        return;
    }
    if (supervisor->writer.far_end >= 0) {
        close(supervisor->writer.far_end);
    }
    supervisor->writer.far_end = ends[1];
}

static enum xt_status send_start(struct xt_supervisor *supervisor)
{
    uint8_t *keys = xt_secret_alloc(XT_KEYRING_EXPORT_MAX);
    if (keys == NULL) {
        return XT_NO_MEMORY;
    }
    struct xt_writer writer = xt_writer_over(keys, XT_KEYRING_EXPORT_MAX);
    xt_keyring_export(supervisor->keyring, &writer);
    xt_require(!writer.overflow);
    struct xt_control_message message = {.type = XT_CONTROL_START, .fd_count = XT_SHARED_FDS};
    xt_shared_hand(supervisor->shared, &message.fds[XT_START_SHARED]);
    message.numbers[XT_START_PLACE] = xt_shared_writer_place(2 * supervisor->workers);
    message.numbers[XT_START_WORKERS] = 2 * (uint64_t)supervisor->workers;
    message.numbers[XT_START_CPU] = XT_START_NO_CPU;
    message.numbers[XT_START_SERIAL] = supervisor->keys_serial;
    /* The writer before an heir's drains for as long as it needs to. A store that anybody else has is
     * served already, or a server that was killed is just letting go of it. */
    message.numbers[XT_START_LOCK_WAIT_MS] =
        supervisor->plan->take_over ? 0 : supervisor->settings.drain_ms + XT_KILL_GRACE_MS;
    message.blobs[XT_START_DIR] =
        xt_span_of(supervisor->plan->dir, strlen(supervisor->plan->dir) + 1);
    message.blobs[XT_START_SETTINGS] =
        xt_span_of(&supervisor->settings, sizeof(supervisor->settings));
    message.blobs[XT_START_KEYRING] = xt_written(&writer);
    enum xt_status status = xt_child_send(supervisor->writer.child, &message);
    xt_secret_free(keys);
    if (status == XT_OK) {
        supervisor->writer.keys = (struct xt_keys_known){.sent = supervisor->keys_serial};
        supervisor->writer.sent_serial = 0;
    }
    return status;
}

void xt_writer_slot_start(struct xt_supervisor *supervisor)
{
    static char *const command[] = {(char *)"xacthuc", (char *)"serve-writer", NULL};
    struct xt_child_plan plan = {.command = command,
                                 .told = writer_told,
                                 .writable = writer_writable,
                                 .ended = writer_ended,
                                 .context = supervisor};
    struct xt_writer_slot *writer = &supervisor->writer;
    struct xt_failure failure = {0};
    writer->backoff.start_at_ms = XT_NEVER;
    if (xt_child_start(&supervisor->loop, &plan, &writer->child, &failure) != XT_OK) {
        xt_supervisor_log_failure("writer_not_started", &failure);
        xt_backoff_set(&writer->backoff, xt_supervisor_now(supervisor), true);
        return;
    }
    writer->role = XT_ROLE_STARTING;
    writer->drain_sent = false;
    writer->settled_serial = 0;
    /* At an upgrade it waits for the writer before it, which serves until its workers have drained. */
    writer->kill_at_ms = XT_NEVER;
    xt_pulse_begin(&writer->pulse);
    xt_shared_set_process(supervisor->shared, xt_shared_writer_place(2 * supervisor->workers),
                          writer->waits ? XT_PROCESS_NONE : XT_PROCESS_STARTING,
                          xt_child_pid(writer->child));
    if (send_start(supervisor) != XT_OK) {
        xt_child_signal(writer->child, SIGKILL);
        return;
    }
    connect_supervisor(supervisor);
    xt_writer_slot_sync(supervisor);
    for (unsigned i = 0; i < supervisor->workers; i++) {
        for (unsigned j = 0; j < 2; j++) {
            if (supervisor->slots[i].members[j].child != NULL) {
                xt_writer_slot_connect(&supervisor->slots[i].members[j]);
            }
        }
    }
}

static enum xt_status send_channel(struct xt_child *child, unsigned place, int *end)
{
    struct xt_control_message message = {
        .type = XT_CONTROL_CHANNEL, .numbers = {place}, .fds = {*end}, .fd_count = 1};
    enum xt_status status = xt_child_send(child, &message);
    if (status == XT_OK) {
        close(*end);
        *end = -1;
    }
    return status;
}

static enum xt_status send_partners(struct xt_supervisor *supervisor)
{
    struct xt_control_message message = {
        .type = XT_CONTROL_RELOAD, .fds = {supervisor->snapshot}, .fd_count = 1};
    enum xt_status status = xt_child_send(supervisor->writer.child, &message);
    if (status == XT_OK) {
        supervisor->writer.sent_serial = supervisor->serial;
    }
    return status;
}

void xt_writer_slot_sync(struct xt_supervisor *supervisor)
{
    struct xt_child *child = supervisor->writer.child;
    enum xt_status status = child == NULL ? XT_CLOSED : XT_OK;
    if (status == XT_OK && supervisor->writer.far_end >= 0) {
        status = send_channel(child, xt_shared_supervisor_place(2 * supervisor->workers),
                              &supervisor->writer.far_end);
    }
    if (status == XT_OK) {
        status = xt_writer_slot_keys_sync(supervisor);
    }
    if (status == XT_OK && supervisor->writer.sent_serial != supervisor->serial) {
        status = send_partners(supervisor);
    }
    for (unsigned i = 0; status == XT_OK && i < 2 * supervisor->workers; i++) {
        struct xt_member *member = &supervisor->slots[i / 2].members[i % 2];
        if (member->channel_end >= 0) {
            status = send_channel(child, member->place, &member->channel_end);
        }
    }
    if (status == XT_OK && supervisor->writer.role == XT_ROLE_LEAVING &&
        !supervisor->writer.drain_sent) {
        struct xt_control_message message = {.type = XT_CONTROL_DRAIN};
        supervisor->writer.drain_sent = xt_child_send(child, &message) == XT_OK;
    }
}

/* While an heir starts its workers read what it found, and an heir itself has no writer that serves until the
 * service before it is gone. */
void xt_writer_slot_settle(struct xt_supervisor *supervisor)
{
    struct xt_writer_slot *writer = &supervisor->writer;
    if (supervisor->generation == 0 || writer->settled_serial == supervisor->generation_serial ||
        writer->role != XT_ROLE_SERVING || supervisor->draining ||
        supervisor->upgrade.heir != NULL || !xt_workers_read_one_generation(supervisor)) {
        return;
    }
    struct xt_control_message message = {.type = XT_CONTROL_SETTLED};
    message.blobs[0] = xt_span_of(supervisor->digest, sizeof(supervisor->digest));
    if (xt_child_send(writer->child, &message) == XT_OK) {
        writer->settled_serial = supervisor->generation_serial;
    }
}

void xt_writer_slot_drain(struct xt_supervisor *supervisor)
{
    struct xt_writer_slot *writer = &supervisor->writer;
    writer->backoff.start_at_ms = XT_NEVER;
    if (writer->child == NULL || writer->role == XT_ROLE_LEAVING) {
        return;
    }
    writer->role = XT_ROLE_LEAVING;
    writer->kill_at_ms =
        xt_supervisor_now(supervisor) + supervisor->settings.drain_ms + XT_KILL_GRACE_MS;
    xt_shared_set_process(supervisor->shared, xt_shared_writer_place(2 * supervisor->workers),
                          XT_PROCESS_DRAINING, xt_child_pid(writer->child));
    xt_writer_slot_sync(supervisor);
}

uint64_t xt_writer_slot_due(struct xt_supervisor *supervisor, uint64_t now_ms)
{
    struct xt_writer_slot *writer = &supervisor->writer;
    if (writer->backoff.start_at_ms <= now_ms && !supervisor->draining) {
        xt_writer_slot_start(supervisor);
    }
    if (writer->child != NULL && writer->kill_at_ms <= now_ms) {
        xt_child_signal(writer->child, SIGKILL);
        writer->kill_at_ms = XT_NEVER;
    }
    return writer->backoff.start_at_ms < writer->kill_at_ms ? writer->backoff.start_at_ms
                                                            : writer->kill_at_ms;
}
