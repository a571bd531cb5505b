/* From a plan to a loop that runs, and back to nothing. */
#include "net/supervisor_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/settings.h"
#include "crypto/file.h"
#include "net/sandbox.h"
#include "store/command_line.h"

#define TICK_MS 1000

static void on_partners_changed(void *context)
{
    xt_supervisor_take_partners(context);
}

static void on_identity_changed(void *context)
{
    struct xt_failure failure = {0};
    if (xt_supervisor_look_at_generation(context, &failure) != XT_OK) {
        xt_supervisor_log_failure("generation_refused", &failure);
    }
}

/* What was in DIR/keys before the watch. One that takes over has a seed of the one before, and asks whether
 * that has obeyed the last rotation. */
static enum xt_status catch_up_with_keys(struct xt_supervisor *supervisor,
                                         struct xt_failure *failure)
{
    struct xt_ticket_order order = {.id = supervisor->ticket_order};
    enum xt_status status = supervisor->plan->take_over
                                ? XT_OK
                                : xt_ticket_order_read(supervisor->plan->dir, &order, failure);
    supervisor->ticket_order = order.id;
    return status == XT_OK ? xt_supervisor_look_at_keys(supervisor, failure) : status;
}

static enum xt_status open_watch(struct xt_supervisor *supervisor, struct xt_watch *watch,
                                 const char *name, void (*tell)(void *context))
{
    char folder[XT_PATH_MAX];
    enum xt_status status = xt_path_join(folder, supervisor->plan->dir, name);
    return status == XT_OK ? xt_watch_open(watch, &supervisor->loop, folder, tell, supervisor)
                           : status;
}

static enum xt_status open_loop(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    static const int signals[XT_SUPERVISOR_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    uv_loop_t *loop = &supervisor->loop;
    enum xt_status status = xt_sandbox_without_rings(failure);
    if (status != XT_OK) {
        return status;
    }
    if (uv_loop_init(loop) != 0) {
        return xt_fail(failure, XT_IO, "cannot start a loop: no memory or file descriptors");
    }
    supervisor->loop_open = true;
    if (uv_timer_init(loop, &supervisor->tick) != 0 || uv_timer_init(loop, &supervisor->due) != 0 ||
        uv_timer_start(&supervisor->tick, xt_supervisor_tick, TICK_MS, TICK_MS) != 0) {
        return xt_fail(failure, XT_IO, "cannot start a loop: no memory or file descriptors");
    }
    supervisor->tick.data = supervisor->due.data = supervisor;
    if (!xt_warmer_open(supervisor)) {
        return xt_fail(failure, XT_IO, "cannot start a loop: no memory or file descriptors");
    }
    for (unsigned i = 0; i < XT_SUPERVISOR_SIGNALS; i++) {
        uv_signal_t *handle = &supervisor->signals[i];
        if (uv_signal_init(loop, handle) != 0 ||
            uv_signal_start(handle, xt_supervisor_signal, signals[i]) != 0) {
            return xt_fail(failure, XT_IO, "cannot wait for signals");
        }
        handle->data = supervisor;
    }
    /* The watches before anything is read: what changes meanwhile is then read again. */
    if (open_watch(supervisor, &supervisor->partners_watch, "partners", on_partners_changed) !=
            XT_OK ||
        open_watch(supervisor, &supervisor->identity_watch, "identity", on_identity_changed) !=
            XT_OK ||
        open_watch(supervisor, &supervisor->keys_watch, "keys", xt_supervisor_keys_changed) !=
            XT_OK) {
        return xt_fail(failure, XT_IO, "cannot watch %s", supervisor->plan->dir);
    }
    if (xt_writer_channel_open(loop, -1, &supervisor->writer.channel) != XT_OK) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the writer's channel");
    }
    return supervisor->plan->take_over ? xt_upgrade_listen(supervisor, failure) : XT_OK;
}

/* What init makes and a copy of a deployment may lack: the writer's first file would fail there. */
static enum xt_status check_live(const char *dir, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct stat found;
    if (xt_path_join(path, dir, "live") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path %s is too long", dir);
    }
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode)
               ? XT_OK
               : xt_fail(failure, XT_NOT_FOUND, "there is no folder %s: mkdir -m 700 %s", path,
                         path);
}

/* A list that was in force must be there still. Who starts without one that is only named by default
 * needs none yet; one that was named on purpose is missed. */
static enum xt_status check_list(const struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    const struct xt_settings *settings = &supervisor->settings;
    struct xt_settings defaults;
    xt_settings_defaults(&defaults);
    if (supervisor->identity->tls.revocations.size == 0 && settings->revocations[0] != '\0' &&
        strcmp(settings->revocations, defaults.revocations) != 0) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_WARNING, "revocations_missing");
        xt_log_text(&line, "file", settings->revocations);
        xt_log_end(&line);
    }
    return xt_supervisor_check_revocations(supervisor->upgrade.list_in_force, settings,
                                           supervisor->identity, failure);
}

/* Everything that can be wrong, before anything is started. */
/* Deployments made by an older program have none. */
static enum xt_status make_own_folder(const char *dir, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_path_join(path, dir, XT_SUPERVISOR_FOLDER);
    return status == XT_OK ? xt_folder_make(path, 0700, failure)
                           : xt_fail(failure, status, "the path %s is too long", dir);
}

static enum xt_status prepare(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    const char *dir = supervisor->plan->dir;
    enum xt_status status = check_live(dir, failure);
    if (status == XT_OK) {
        status = make_own_folder(dir, failure);
    }
    if (status == XT_OK) {
        xt_material_make_token_keys(dir);
    }
    if (status == XT_OK) {
        status = xt_deployment_keyring(dir, &supervisor->keyring, failure);
    }
    if (status == XT_OK) {
        status = xt_material_identity(dir, &supervisor->settings, &supervisor->identity, failure);
    }
    if (status == XT_OK) {
        status = check_list(supervisor, failure);
    }
    if (status == XT_OK) {
        status = supervisor->plan->take_over ? XT_OK : xt_workers_open(supervisor, failure);
    }
    if (status == XT_OK) {
        status = xt_shared_create(2 * supervisor->workers, &supervisor->shared, failure);
    }
    if (status == XT_OK) {
        xt_shared_set_slots(supervisor->shared, supervisor->workers);
    }
    if (status == XT_OK) {
        status = open_loop(supervisor, failure);
    }
    if (status == XT_OK) {
        status = catch_up_with_keys(supervisor, failure);
    }
    if (status == XT_OK) {
        status = xt_live_make(dir, supervisor->keyring, failure); /* the workers read it */
    }
    if (status == XT_OK) {
        status = xt_writer_record_open(&supervisor->record, dir, supervisor->keyring,
                                       supervisor->shared, supervisor->writer.channel, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_desk_open(supervisor, failure);
    }
    if (status == XT_OK) {
        status = xt_supervisor_load_partners(supervisor, failure);
    }
    if (status == XT_OK) {
        status = xt_quotas_open(supervisor, failure);
    }
    if (status == XT_OK) {
        status =
            xt_material_snapshot(supervisor->identity, supervisor->partners, supervisor->shared,
                                 xt_supervisor_now(supervisor), &supervisor->snapshot, failure);
    }
    if (status == XT_OK) {
        xt_quotas_restore_rates(supervisor);
    }
    if (status == XT_OK) {
        status = xt_supervisor_look_at_generation(supervisor, failure);
    }
    if (status == XT_OK && supervisor->plan->take_over) {
        xt_supervisor_log_fixed(supervisor, &supervisor->settings);
    } else if (status == XT_OK) {
        status = xt_sockets_open(supervisor, failure);
    }
    return status;
}

static void release(struct xt_supervisor *supervisor)
{
    xt_sockets_close(supervisor);
    xt_workers_close(supervisor);
    xt_notify_close(&supervisor->notify);
    if (supervisor->snapshot >= 0) {
        close(supervisor->snapshot);
    }
    xt_warmer_close(supervisor);
    xt_vitals_close(&supervisor->vitals);
    xt_shared_close(supervisor->shared);
    xt_writer_record_close(&supervisor->record);
    xt_audit_desk_close(supervisor);
    xt_quota_book_close(supervisor->quotas);
    xt_miss_alarm_close(supervisor->misses);
    xt_partners_free(supervisor->partners);
    xt_material_release_identity(supervisor->identity);
    xt_keyring_close(supervisor->keyring);
    xt_file_release_secret(supervisor->signing.text);
    xt_file_release_secret(supervisor->token.text);
    xt_secret_free(supervisor->tickets);
    free(supervisor);
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* One that could not be prepared, or that has run: then nothing is left in it. */
static void close_loop(struct xt_supervisor *supervisor)
{
    if (supervisor->loop_open) {
        xt_writer_channel_close(supervisor->writer.channel);
        uv_walk(&supervisor->loop, close_handle, NULL);
        (void)uv_run(&supervisor->loop, UV_RUN_DEFAULT);
        xt_require(uv_loop_close(&supervisor->loop) == 0);
    }
}

static enum xt_status serve(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    struct xt_sandbox_report report;
    enum xt_status status =
        supervisor->plan->take_over /* it inherited its sandbox; layers are few */
            ? XT_OK
            : xt_sandbox_supervisor(supervisor->plan->dir, supervisor->plan->program, &report,
                                    failure);
    if (status != XT_OK) {
        return status;
    }
    if (!supervisor->plan->take_over && report.landlock == 0) {
        struct xt_log_line line; /* from 5.13 on, where it is not switched off at boot */
        xt_log_begin(&line, XT_LOG_WARNING, "no_landlock");
        xt_log_text(&line, "reason",
                    "this kernel cannot confine processes to folders; system calls are");
        xt_log_end(&line);
    }
    xt_vitals_open(
        &supervisor->vitals,
        xt_shared_vitals(supervisor->shared, xt_shared_supervisor_place(2 * supervisor->workers)));
    supervisor->writer.waits = supervisor->plan->take_over;
    xt_writer_slot_start(supervisor);
    for (unsigned i = 0; i < supervisor->workers; i++) {
        xt_worker_start_in(&supervisor->slots[i]);
    }
    xt_supervisor_progress(supervisor);
    (void)uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    if (supervisor->start_status != XT_OK) {
        *failure = supervisor->start_failure;
        return supervisor->start_status;
    }
    return supervisor->cut_off ? xt_fail(failure, XT_CLOSED, "cut off by a second signal") : XT_OK;
}

enum xt_status xt_supervisor_run(const struct xt_supervisor_plan *plan, struct xt_failure *failure)
{
    struct xt_supervisor *supervisor = malloc(sizeof(*supervisor));
    struct xt_ticket_seed *tickets = xt_secret_alloc(sizeof(*tickets));
    if (supervisor == NULL || tickets == NULL) {
        free(supervisor);
        xt_secret_free(tickets);
        return xt_fail(failure, XT_NO_MEMORY, "no memory");
    }
    *supervisor = (struct xt_supervisor){.plan = plan,
                                         .settings = plan->settings,
                                         .snapshot = -1,
                                         .tickets = tickets,
                                         .serial = 1,
                                         .identity_serial = 1,
                                         .keys_serial = 1,
                                         .writer = {.kill_at_ms = XT_NEVER, .far_end = -1},
                                         .upgrade = {.channel = -1, .give_up_at_ms = XT_NEVER}};
    supervisor->writer.backoff.start_at_ms = XT_NEVER;
    xt_notify_open(&supervisor->notify, plan->take_over);
    enum xt_status status = XT_OK;
    if (plan->take_over) {
        status = xt_upgrade_receive(supervisor, failure);
    } else {
        xt_ticket_seed_make(tickets, (int64_t)time(NULL));
    }
    if (status == XT_OK) {
        status = prepare(supervisor, failure);
    }
    if (status == XT_OK) {
        status = serve(supervisor, failure);
    }
    close_loop(supervisor);
    release(supervisor);
    return status;
}
