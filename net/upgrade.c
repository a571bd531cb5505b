#include "net/upgrade.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/supervisor_internal.h"

#define RECEIVE_LIMIT_MS 10000

/* ---- the heir --------------------------------------------------------------------------------- */

static enum xt_status take(struct xt_supervisor *supervisor, struct xt_control_message *message,
                           struct xt_failure *failure)
{
    uint64_t workers = message->numbers[1];
    if (message->type != XT_CONTROL_TAKE_OVER || message->numbers[0] != XT_UPGRADE_VERSION ||
        workers == 0 || workers > XT_WORKERS_MAX || message->fd_count != workers ||
        !xt_control_copy(message, 0, supervisor->tickets->secret,
                         sizeof(supervisor->tickets->secret))) {
        return xt_fail(failure, XT_UNSUPPORTED,
                       "the running version hands over in a way that this one does not know: "
                       "stop it and start this one");
    }
    supervisor->tickets->period = message->numbers[2];
    supervisor->upgrade.list_in_force = message->numbers[3] != 0;
    supervisor->ticket_order = (uint32_t)message->numbers[4];
    supervisor->workers = (unsigned)workers;
    enum xt_status status = xt_workers_open(supervisor, failure);
    if (status != XT_OK) {
        return status;
    }
    for (unsigned i = 0; i < supervisor->workers; i++) {
        supervisor->slots[i].api_socket = xt_control_take_fd(message, i);
    }
    return XT_OK;
}

static enum xt_status take_admin(struct xt_supervisor *supervisor,
                                 struct xt_control_message *message, struct xt_failure *failure)
{
    if (message->type != XT_CONTROL_TAKE_OVER_ADMIN || message->fd_count != supervisor->workers) {
        return xt_fail(failure, XT_UNSUPPORTED, "the running version hands over other sockets");
    }
    for (unsigned i = 0; i < supervisor->workers; i++) {
        supervisor->slots[i].admin_socket = xt_control_take_fd(message, i);
    }
    return XT_OK;
}

static enum xt_status receive(struct xt_supervisor *supervisor,
                              enum xt_status (*take_it)(struct xt_supervisor *supervisor,
                                                        struct xt_control_message *message,
                                                        struct xt_failure *failure),
                              struct xt_failure *failure)
{
    struct xt_control_message message;
    enum xt_status status = xt_control_wait(XT_CONTROL_FD, RECEIVE_LIMIT_MS, &message);
    if (status == XT_OK) {
        status = take_it(supervisor, &message, failure);
    } else {
        status = xt_fail(failure, status, "nobody hands over: %s", xt_status_name(status));
    }
    xt_control_release(&message);
    return status;
}

enum xt_status xt_upgrade_receive(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    if (fcntl(XT_CONTROL_FD, F_SETFD, FD_CLOEXEC) != 0) {
        return xt_fail(failure, XT_INVALID, "nobody hands over: start it without %s",
                       XT_UPGRADE_OPTION);
    }
    enum xt_status status = receive(supervisor, take, failure);
    return status == XT_OK ? receive(supervisor, take_admin, failure) : status;
}

static void on_channel_closed(uv_handle_t *handle)
{
    struct xt_supervisor *supervisor = handle->data;
    close(supervisor->upgrade.channel);
    supervisor->upgrade.channel = -1;
}

static void close_channel(struct xt_supervisor *supervisor)
{
    if (supervisor->upgrade.poll_open) {
        supervisor->upgrade.poll_open = false;
        uv_close((uv_handle_t *)&supervisor->upgrade.poll, on_channel_closed);
    }
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
    struct xt_supervisor *supervisor = poll->data;
    struct xt_control_message message;
    (void)status;
    (void)events;
    enum xt_status got = xt_control_receive(supervisor->upgrade.channel, &message);
    enum xt_control_type type = message.type;
    xt_control_release(&message);
    if (got == XT_AGAIN || (got == XT_OK && type != XT_CONTROL_TAKEN)) {
        return;
    }
    /* Handed over; or it is gone, and there is nobody else to serve. */
    struct xt_log_line line;
    xt_log_begin(&line, got == XT_OK ? XT_LOG_INFO : XT_LOG_WARNING, "upgraded");
    xt_log_text(&line, "version", XT_VERSION);
    xt_log_number(&line, "pid", (uint64_t)getpid());
    if (got != XT_OK) {
        xt_log_text(&line, "reason", "the one before has ended without handing over");
    }
    xt_log_end(&line);
    close_channel(supervisor);
    /* What the operator changed and told the one before since we read it. */
    xt_supervisor_reload(supervisor);
    xt_supervisor_progress(supervisor);
}

enum xt_status xt_upgrade_listen(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    struct xt_upgrade *upgrade = &supervisor->upgrade;
    upgrade->channel = XT_CONTROL_FD;
    upgrade->poll.data = supervisor;
    if (uv_poll_init(&supervisor->loop, &upgrade->poll, upgrade->channel) != 0) {
        return xt_fail(failure, XT_IO, "cannot watch the channel of the one before");
    }
    upgrade->poll_open = true;
    return uv_poll_start(&upgrade->poll, UV_READABLE, on_channel) == 0
               ? XT_OK
               : xt_fail(failure, XT_IO, "cannot watch the channel of the one before");
}

void xt_upgrade_announce(struct xt_supervisor *supervisor)
{
    struct xt_upgrade *upgrade = &supervisor->upgrade;
    struct xt_control_message message = {.type = XT_CONTROL_UPGRADED};
    if (upgrade->channel >= 0 && upgrade->poll_open && !upgrade->announced) {
        /* If it cannot be said, the channel has ended, and on_channel hears of it. */
        upgrade->announced = xt_control_send(upgrade->channel, &message) == XT_OK;
    }
}

/* ---- the one before --------------------------------------------------------------------------- */

static void log_failed(const char *why)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, "upgrade_failed");
    xt_log_text(&line, "reason", why);
    xt_log_end(&line);
}

void xt_upgrade_abandon(struct xt_supervisor *supervisor, const char *why)
{
    struct xt_upgrade *upgrade = &supervisor->upgrade;
    if (upgrade->heir == NULL || upgrade->handed_over) {
        return;
    }
    log_failed(why);
    xt_child_signal(upgrade->heir, SIGKILL); /* its children end when its channels do */
    upgrade->heir = NULL;
    upgrade->give_up_at_ms = XT_NEVER;
}

static void hand_over(struct xt_supervisor *supervisor)
{
    struct xt_upgrade *upgrade = &supervisor->upgrade;
    struct xt_control_message message = {.type = XT_CONTROL_TAKEN};
    struct xt_log_line line;
    xt_notify_main_process(&supervisor->notify, xt_child_pid(upgrade->heir));
    if (xt_child_send(upgrade->heir, &message) != XT_OK) {
        xt_notify_main_process(&supervisor->notify, getpid());
        xt_upgrade_abandon(supervisor, "it ended");
        return;
    }
    upgrade->handed_over = true;
    upgrade->give_up_at_ms = XT_NEVER;
    xt_log_begin(&line, XT_LOG_INFO, "handed_over");
    xt_log_number(&line, "pid", (uint64_t)xt_child_pid(upgrade->heir));
    xt_log_end(&line);
    xt_supervisor_drain(supervisor, XT_DRAIN_LEAVE);
}

static void heir_told(void *context, struct xt_child *child, struct xt_control_message *message)
{
    struct xt_supervisor *supervisor = context;
    if (child == supervisor->upgrade.heir && message->type == XT_CONTROL_UPGRADED &&
        !supervisor->upgrade.handed_over && !supervisor->draining) {
        hand_over(supervisor);
    }
}

static void heir_writable(void *context, struct xt_child *child)
{
    (void)context;
    (void)child;
}

static void heir_ended(void *context, struct xt_child *child, const struct xt_child_end *end)
{
    struct xt_supervisor *supervisor = context;
    char why[64];
    if (child != supervisor->upgrade.heir) {
        return; /* one that was given up */
    }
    supervisor->upgrade.heir = NULL;
    if (!supervisor->upgrade.handed_over) {
        snprintf(why, sizeof(why), "it ended with %s %d", end->signal != 0 ? "signal" : "status",
                 end->signal != 0 ? end->signal : end->status);
        log_failed(why);
        supervisor->upgrade.give_up_at_ms = XT_NEVER;
    }
    xt_supervisor_progress(supervisor);
}

static enum xt_status send_take_over(struct xt_supervisor *supervisor)
{
    struct xt_control_message message = {
        .type = XT_CONTROL_TAKE_OVER,
        .numbers = {XT_UPGRADE_VERSION, supervisor->workers, supervisor->tickets->period,
                    supervisor->identity->tls.revocations.size > 0, supervisor->ticket_order},
        .fd_count = supervisor->workers};
    struct xt_control_message admin = {.type = XT_CONTROL_TAKE_OVER_ADMIN,
                                       .fd_count = supervisor->workers};
    message.blobs[0] = xt_span_of(supervisor->tickets->secret, sizeof(supervisor->tickets->secret));
    for (unsigned i = 0; i < supervisor->workers; i++) {
        message.fds[i] = supervisor->slots[i].api_socket;
        admin.fds[i] = supervisor->slots[i].admin_socket;
    }
    enum xt_status status = xt_child_send(supervisor->upgrade.heir, &message);
    return status == XT_OK ? xt_child_send(supervisor->upgrade.heir, &admin) : status;
}

/* The sandbox of the start knows folders and not their names: a link that was switched to another
 * folder since leads to where nothing may be run. */
static void log_not_run(enum xt_status status, const struct xt_failure *failure)
{
    char why[sizeof(failure->text) + 256];
    (void)snprintf(why, sizeof(why), "%s%s", failure->text,
                   status != XT_DENIED
                       ? ""
                       : "; it must lie in the folder in which it lay at the start, "
                         "not behind a link that was switched since, or below /usr");
    log_failed(why);
}

static void start_heir(struct xt_supervisor *supervisor)
{
    const struct xt_supervisor_plan *plan = supervisor->plan;
    const struct xt_overrides *given = plan->overrides;
    const char *command[12] = {"xacthuc", "serve", plan->dir, XT_UPGRADE_OPTION};
    unsigned count = 4;
    const char *const options[][2] = {
        {"--listen", given->listen}, {"--admin", given->admin}, {"--workers", given->workers}};
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (options[i][1] != NULL) {
            command[count++] = options[i][0];
            command[count++] = options[i][1];
        }
    }
    struct xt_child_plan heir = {.program = plan->program,
                                 .command = (char *const *)(uintptr_t)command,
                                 .heir = true,
                                 .told = heir_told,
                                 .writable = heir_writable,
                                 .ended = heir_ended,
                                 .context = supervisor};
    struct xt_failure failure = {0};
    xt_notify_pass_on(&supervisor->notify);
    enum xt_status status =
        xt_child_start(&supervisor->loop, &heir, &supervisor->upgrade.heir, &failure);
    xt_notify_take_back();
    if (status != XT_OK) {
        log_not_run(status, &failure);
        return;
    }
    supervisor->upgrade.give_up_at_ms = xt_supervisor_now(supervisor) + XT_UPGRADE_LIMIT_MS;
    if (send_take_over(supervisor) != XT_OK) {
        xt_upgrade_abandon(supervisor, "it does not take the sockets");
    }
}

void xt_upgrade_begin(struct xt_supervisor *supervisor)
{
    if (!supervisor->serving || supervisor->draining || supervisor->upgrade.heir != NULL ||
        supervisor->upgrade.poll_open) {
        log_failed("the service is just starting, upgrading or ending: try again");
        return;
    }
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "upgrading");
    xt_log_text(&line, "program", supervisor->plan->program);
    xt_log_end(&line);
    start_heir(supervisor);
    xt_supervisor_progress(supervisor);
}

uint64_t xt_upgrade_due(struct xt_supervisor *supervisor, uint64_t now_ms)
{
    if (supervisor->upgrade.heir != NULL && supervisor->upgrade.give_up_at_ms <= now_ms) {
        xt_upgrade_abandon(supervisor, "it did not serve in time");
    }
    return supervisor->upgrade.heir != NULL ? supervisor->upgrade.give_up_at_ms : XT_NEVER;
}

void xt_upgrade_pass_on_reload(struct xt_supervisor *supervisor)
{
    if (supervisor->upgrade.heir != NULL && supervisor->upgrade.handed_over) {
        xt_child_signal(supervisor->upgrade.heir, SIGHUP);
    }
}

void xt_upgrade_close(struct xt_supervisor *supervisor)
{
    close_channel(supervisor);
    if (supervisor->upgrade.heir != NULL) {
        xt_child_forget(supervisor->upgrade.heir);
        supervisor->upgrade.heir = NULL;
    }
}
