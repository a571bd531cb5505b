#include "net/supervisor_internal.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/worker.h"
#include "store/keys_taken.h"

#define DAY_S 86400
#define WARN_DAYS 7 /* before a revocation list ends, and then every day */

uint64_t xt_supervisor_now(const struct xt_supervisor *supervisor)
{
    return uv_now(&supervisor->loop);
}

void xt_supervisor_log_failure(const char *event, const struct xt_failure *failure)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, event);
    xt_log_text(&line, "reason", failure->text);
    xt_log_end(&line);
}

/* ---- the end ---------------------------------------------------------------------------------- */

/* Closes what keeps the loop alive; it ends when the close callbacks have run. */
static void stop(struct xt_supervisor *supervisor)
{
    if (supervisor->stopped) {
        return;
    }
    supervisor->stopped = true;
    xt_quotas_save_rates(supervisor);
    xt_watch_close(&supervisor->partners_watch);
    xt_watch_close(&supervisor->identity_watch);
    xt_watch_close(&supervisor->keys_watch);
    uv_close((uv_handle_t *)&supervisor->tick, NULL);
    uv_close((uv_handle_t *)&supervisor->due, NULL);
    xt_warmer_stop(supervisor);
    for (unsigned i = 0; i < XT_SUPERVISOR_SIGNALS; i++) {
        uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    }
    if (!supervisor->upgrade.handed_over) {
        xt_keys_taken_remove(supervisor->plan->dir);
    }
    xt_upgrade_close(supervisor);
    xt_audit_desk_end(supervisor);
    xt_writer_channel_close(supervisor->writer.channel);
    supervisor->writer.channel = NULL;
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "stopped");
    xt_log_end(&line);
}

void xt_supervisor_drain(struct xt_supervisor *supervisor, int mode)
{
    struct xt_log_line line;
    if (supervisor->draining) {
        return;
    }
    supervisor->draining = true;
    xt_upgrade_abandon(supervisor, "the service ends");
    if (mode != XT_DRAIN_LEAVE) {
        xt_notify_stopping(&supervisor->notify);
    }
    xt_log_begin(&line, XT_LOG_INFO, "draining");
    xt_log_number(&line, "workers", supervisor->workers);
    xt_log_end(&line);
    xt_shared_set_process(supervisor->shared, xt_shared_supervisor_place(2 * supervisor->workers),
                          XT_PROCESS_DRAINING, getpid());
    xt_workers_drain(supervisor, mode);
    xt_sockets_close(supervisor); /* else clients would wait in a queue that nobody serves */
    xt_supervisor_progress(supervisor);
}

void xt_supervisor_give_up(struct xt_supervisor *supervisor, const char *who)
{
    if (supervisor->start_status == XT_OK) {
        supervisor->start_status =
            xt_fail(&supervisor->start_failure, XT_IO,
                    "a %s could not start; the line of the log before says why", who);
    }
    xt_supervisor_drain(supervisor, XT_DRAIN_NOW);
}

void xt_supervisor_fail(struct xt_supervisor *supervisor, const char *why)
{
    if (supervisor->start_status == XT_OK) {
        supervisor->start_status = xt_fail(&supervisor->start_failure, XT_IO, "%s", why);
    }
    xt_supervisor_drain(supervisor, XT_DRAIN_SERVICE);
}

/* ---- how it goes ------------------------------------------------------------------------------ */

static void log_listening(const struct xt_supervisor *supervisor)
{
    char api[XT_ADDRESS_TEXT], admin[XT_ADDRESS_TEXT];
    struct xt_log_line line;
    unsigned connections = 0;
    /* It was asked before anything was started; 0 would only stand in this line. */
    (void)!xt_worker_connections(&supervisor->settings, &connections, NULL);
    xt_listening_address(supervisor->slots[0].api_socket, api);
    xt_listening_address(supervisor->slots[0].admin_socket, admin);
    xt_log_begin(&line, XT_LOG_INFO, "listening");
    xt_log_text(&line, "listen", api);
    xt_log_text(&line, "admin", admin);
    xt_log_text(&line, "version", XT_VERSION);
    xt_log_number(&line, "workers", supervisor->workers);
    xt_log_number(&line, "connections", connections);
    xt_log_end(&line);
}

void xt_supervisor_tell_ready(struct xt_supervisor *supervisor)
{
    char text[128];
    if (supervisor->generation == 0) {
        (void)snprintf(text, sizeof(text), "%u workers; nothing imported yet", supervisor->workers);
    } else {
        (void)snprintf(text, sizeof(text), "%u workers serve generation %u, %u partners",
                       supervisor->workers, supervisor->generation,
                       xt_partners_count(supervisor->partners));
    }
    xt_notify_ready(&supervisor->notify, text);
}

static void progress_of_service(struct xt_supervisor *supervisor)
{
    bool heir = supervisor->plan->take_over;
    if (supervisor->reloading && xt_workers_are_current(supervisor)) {
        struct xt_log_line line;
        supervisor->reloading = false;
        xt_log_begin(&line, XT_LOG_INFO, "reloaded");
        xt_log_number(&line, "partners", xt_partners_count(supervisor->partners));
        xt_log_end(&line);
        if (supervisor->serving) {
            xt_supervisor_tell_ready(supervisor);
        }
    }
    if (!supervisor->serving && xt_workers_all_serve(supervisor) &&
        xt_workers_are_current(supervisor)) {
        /* An heir's writer waits for the one before it, and that one for us. */
        if (supervisor->upgrade.poll_open) {
            xt_upgrade_announce(supervisor);
        } else if (heir || supervisor->writer.role == XT_ROLE_SERVING) {
            supervisor->serving = true;
            log_listening(supervisor);
            xt_supervisor_tell_ready(supervisor);
        }
    }
    xt_supervisor_keys_progress(supervisor);
    xt_writer_slot_settle(supervisor);
}

static void progress_of_drain(struct xt_supervisor *supervisor)
{
    if (!xt_workers_any_left(supervisor)) {
        xt_writer_slot_drain(supervisor);
        if (supervisor->writer.child == NULL) {
            stop(supervisor);
        }
    } else if (xt_workers_all_stopped(supervisor)) {
        xt_workers_drain(supervisor, XT_DRAIN_NOW);
    }
}

static void on_due(uv_timer_t *timer)
{
    xt_supervisor_progress(timer->data);
}

void xt_supervisor_progress(struct xt_supervisor *supervisor)
{
    if (supervisor->stopped) {
        return;
    }
    if (supervisor->draining) {
        progress_of_drain(supervisor);
    } else {
        progress_of_service(supervisor);
    }
    if (supervisor->stopped) {
        return;
    }
    uint64_t now = xt_supervisor_now(supervisor);
    const uint64_t times[] = {xt_workers_due(supervisor, now), xt_writer_slot_due(supervisor, now),
                              xt_upgrade_due(supervisor, now)};
    uint64_t next = XT_NEVER;
    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        next = times[i] < next ? times[i] : next;
    }
    if (next == XT_NEVER) {
        (void)uv_timer_stop(&supervisor->due);
    } else {
        (void)uv_timer_start(&supervisor->due, on_due, next > now ? next - now : 1, 0);
    }
}

/* ---- signals and clocks ----------------------------------------------------------------------- */

void xt_supervisor_signal(uv_signal_t *handle, int number)
{
    struct xt_supervisor *supervisor = handle->data;
    if (number == SIGHUP) {
        xt_supervisor_reload(supervisor);
    } else if (number == SIGUSR2) {
        xt_upgrade_begin(supervisor);
    } else if (!supervisor->draining) {
        xt_supervisor_drain(supervisor, XT_DRAIN_SERVICE);
    } else {
        supervisor->cut_off = true;
        xt_workers_drain(supervisor, XT_DRAIN_NOW);
        xt_supervisor_progress(supervisor);
    }
}

static void warn_of_revocations(struct xt_supervisor *supervisor, int64_t unix_s)
{
    int64_t until = supervisor->identity->revocations_until;
    if (until == INT64_MAX || until - unix_s > WARN_DAYS * (int64_t)DAY_S ||
        unix_s - supervisor->revocations_warned_s < DAY_S) {
        return;
    }
    supervisor->revocations_warned_s = unix_s;
    struct xt_log_line line;
    xt_log_begin(&line, until > unix_s ? XT_LOG_WARNING : XT_LOG_ERROR, "revocations_end");
    xt_log_number(&line, "hours_left", until > unix_s ? (uint64_t)(until - unix_s) / 3600 : 0);
    xt_log_text(&line, "reason", "clients are refused once their authority's list has ended");
    xt_log_end(&line);
}

/* What the writer refuses to put on record is told once; that it is just being replaced is not. */
static void tick_record(struct xt_supervisor *supervisor)
{
    enum xt_status refused = supervisor->record.refused;
    if (refused != supervisor->refused_told && refused != XT_CLOSED && refused != XT_AGAIN) {
        supervisor->refused_told = refused;
        struct xt_log_line line;
        xt_log_begin(&line, refused == XT_OK ? XT_LOG_INFO : XT_LOG_ERROR, "record_written");
        xt_log_text(&line, "status", xt_status_name(refused));
        xt_log_end(&line);
    }
    xt_writer_record_tick(&supervisor->record);
}

void xt_supervisor_tick(uv_timer_t *timer)
{
    struct xt_supervisor *supervisor = timer->data;
    int64_t now = (int64_t)time(NULL);
    uint64_t now_ms = xt_supervisor_now(supervisor);
    xt_ticket_seed_advance(supervisor->tickets, now);
    xt_vitals_update(&supervisor->vitals);
    if (supervisor->notify.watchdog_ms > 0 &&
        now_ms - supervisor->alive_told_ms >= supervisor->notify.watchdog_ms / 2) {
        supervisor->alive_told_ms = now_ms;
        xt_notify_alive(&supervisor->notify);
    }
    xt_watch_poll(&supervisor->partners_watch);
    xt_watch_poll(&supervisor->identity_watch);
    xt_watch_poll(&supervisor->keys_watch);
    if (supervisor->snapshot_due) {
        xt_supervisor_take_partners(supervisor);
    }
    xt_quotas_settle(supervisor);
    xt_miss_alarm_tick(supervisor->misses, supervisor->shared, &supervisor->settings, now_ms);
    warn_of_revocations(supervisor, now);
    xt_audit_desk_tick(supervisor);
    tick_record(supervisor);
    /* What could not be told when its channel was writable last. */
    xt_workers_sync(supervisor);
    xt_writer_slot_sync(supervisor);
    xt_pulse_tick(supervisor);
}
