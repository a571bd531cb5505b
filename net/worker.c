#include "net/worker.h"

#include <signal.h>

#define SWEEP_MS 250 /* how late a time limit may strike */
#define POLL_MS 1000 /* for changes that inotify did not tell of */
#define ADMIN_CONNECTIONS 64

/* ---- partners and generations ----------------------------------------------------------------- */

static void log_failure(const char *event, const struct xt_failure *failure)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, event);
    xt_log_text(&line, "reason", failure->text);
    xt_log_end(&line);
}

static void report_partner(void *context, const char *file, const char *why)
{
    (void)context;
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, "partner_refused");
    xt_log_text(&line, "file", file);
    xt_log_text(&line, "reason", why);
    xt_log_end(&line);
}

/* Loads what is on disk beside what is in force, then swaps: no handler is running now. */
static enum xt_status load_partners(struct xt_worker *worker, struct xt_failure *failure)
{
    struct xt_service *service = &worker->service;
    struct xt_partners *partners = NULL;
    struct xt_rates *rates = NULL;
    enum xt_status status =
        xt_partners_load(worker->dir, service->partners, report_partner, NULL, &partners, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_rates_open(partners, service->rates, &rates);
    if (status != XT_OK) {
        xt_partners_free(partners);
        return xt_fail(failure, status, "no memory for the partners");
    }
    xt_rates_close(service->rates);
    xt_partners_free(service->partners);
    service->partners = partners;
    service->rates = rates;
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "partners_loaded");
    xt_log_number(&line, "partners", xt_partners_count(partners));
    xt_log_end(&line);
    return XT_OK;
}

static void on_partners_changed(void *context)
{
    struct xt_failure failure = {0};
    if (load_partners(context, &failure) != XT_OK) {
        log_failure("partners_failed", &failure);
    }
}

/* Opens the current generation if it is another one than that in use. No generation is fine. */
static enum xt_status load_generation(struct xt_worker *worker, struct xt_failure *failure)
{
    struct xt_service *service = &worker->service;
    uint32_t number = 0;
    enum xt_status status = xt_generation_current(worker->dir, &number, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK; /* one that is in use stays so */
    }
    if (status != XT_OK || (service->generation != NULL &&
                            xt_generation_manifest(service->generation)->number == number)) {
        return status;
    }
    struct xt_generation *generation = NULL;
    status = xt_generation_open(worker->dir, number, worker->keyring, &generation, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_generation_close(service->generation);
    service->generation = generation;
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "generation_opened");
    xt_log_number(&line, "generation", number);
    xt_log_number(&line, "people", xt_generation_manifest(generation)->people);
    xt_log_end(&line);
    return XT_OK;
}

static void on_identity_changed(void *context)
{
    struct xt_failure failure = {0};
    if (load_generation(context, &failure) != XT_OK) {
        log_failure("generation_refused", &failure);
    }
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void log_event(const char *event, unsigned connections)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, event);
    xt_log_number(&line, "connections", connections);
    xt_log_end(&line);
}

/* Closes what keeps the loop alive; it ends when the close callbacks have run. */
static void stop(struct xt_worker *worker)
{
    if (worker->stopped) {
        return;
    }
    worker->stopped = true;
    xt_listener_stop(&worker->api);
    xt_listener_stop(&worker->admin);
    xt_connections_abort(&worker->api.connections);
    xt_connections_abort(&worker->admin.connections);
    xt_watch_close(&worker->partners);
    xt_watch_close(&worker->identity);
    uv_close((uv_handle_t *)&worker->sweep, NULL);
    uv_close((uv_handle_t *)&worker->terminate, NULL);
    uv_close((uv_handle_t *)&worker->interrupt, NULL);
    uv_close((uv_handle_t *)&worker->hangup, NULL);
}

static void on_connection_gone(void *context)
{
    struct xt_worker *worker = context;
    if (worker->draining && worker->api.connections.count == 0) {
        stop(worker);
    } else if (worker->api.paused) {
        xt_listener_sweep(&worker->api);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct xt_worker *worker = handle->data;
    (void)number;
    if (worker->draining) {
        worker->cut_off = true;
        stop(worker);
        return;
    }
    log_event("draining", worker->api.connections.open);
    worker->draining = worker->service.draining = true;
    worker->drain_began_ms = uv_now(&worker->loop);
    xt_listener_drain(&worker->api);
    if (worker->api.connections.count == 0) {
        stop(worker);
    }
}

/* Its default would end the service without a drain, and nothing can be reloaded yet. */
static void on_hangup(uv_signal_t *handle, int number)
{
    struct xt_log_line line;
    (void)handle;
    (void)number;
    xt_log_begin(&line, XT_LOG_WARNING, "hangup_ignored");
    xt_log_text(&line, "reason", "settings and certificates are read at the start: restart");
    xt_log_end(&line);
}

static void on_sweep(uv_timer_t *timer)
{
    struct xt_worker *worker = timer->data;
    uint64_t now = uv_now(&worker->loop);
    xt_listener_sweep(&worker->api);
    xt_listener_sweep(&worker->admin);
    if (now - worker->polled_ms >= POLL_MS) {
        worker->polled_ms = now;
        xt_watch_poll(&worker->partners);
        xt_watch_poll(&worker->identity);
    }
    if (worker->draining && now - worker->drain_began_ms >= worker->settings.drain_ms) {
        log_event("drain_timeout", worker->api.connections.open);
        stop(worker);
    }
}

/* ---- the beginning ---------------------------------------------------------------------------- */

static enum xt_status open_watches(struct xt_worker *worker)
{
    char folder[XT_PATH_MAX];
    enum xt_status status = xt_path_join(folder, worker->dir, "partners");
    if (status == XT_OK) {
        status =
            xt_watch_open(&worker->partners, &worker->loop, folder, on_partners_changed, worker);
    }
    if (status == XT_OK) {
        status = xt_path_join(folder, worker->dir, "identity");
    }
    if (status == XT_OK) {
        status =
            xt_watch_open(&worker->identity, &worker->loop, folder, on_identity_changed, worker);
    }
    return status;
}

static enum xt_status open_timers(struct xt_worker *worker)
{
    if (uv_timer_init(&worker->loop, &worker->sweep) != 0 ||
        uv_signal_init(&worker->loop, &worker->terminate) != 0 ||
        uv_signal_init(&worker->loop, &worker->interrupt) != 0 ||
        uv_signal_init(&worker->loop, &worker->hangup) != 0) {
        return XT_IO;
    }
    worker->sweep.data = worker->terminate.data = worker->interrupt.data = worker;
    if (uv_timer_start(&worker->sweep, on_sweep, SWEEP_MS, SWEEP_MS) != 0 ||
        uv_signal_start(&worker->terminate, on_signal, SIGTERM) != 0 ||
        uv_signal_start(&worker->interrupt, on_signal, SIGINT) != 0 ||
        uv_signal_start(&worker->hangup, on_hangup, SIGHUP) != 0) {
        return XT_IO;
    }
    return XT_OK;
}

static enum xt_status open_listeners(struct xt_worker *worker, const struct xt_worker_start *start)
{
    struct xt_entrance api = {.tls = start->tls, .routes = &xt_api_routes};
    struct xt_entrance admin = {.routes = &xt_admin_routes};
    enum xt_status status =
        xt_listener_open(&worker->api, &worker->loop, start->api_socket, start->connections, &api,
                         &worker->settings, &worker->service, on_connection_gone, worker);
    if (status == XT_OK) {
        status =
            xt_listener_open(&worker->admin, &worker->loop, start->admin_socket, ADMIN_CONNECTIONS,
                             &admin, &worker->settings, &worker->service, NULL, NULL);
        worker->admin.connections.probes = true;
    }
    return status;
}

enum xt_status xt_worker_open(struct xt_worker *worker, const struct xt_worker_start *start,
                              struct xt_failure *failure)
{
    memset(worker, 0, sizeof(*worker));
    worker->dir = start->dir;
    worker->settings = *start->settings;
    worker->keyring = start->keyring;
    enum xt_status status = xt_service_open(&worker->service, &worker->settings);
    if (status != XT_OK || uv_loop_init(&worker->loop) != 0) {
        xt_service_close(&worker->service);
        return xt_fail(failure, XT_NO_MEMORY, "cannot start a loop: no memory or file descriptors");
    }
    /* The watches first: what changes while we load is then loaded again. */
    status = open_watches(worker);
    if (status == XT_OK) {
        status = open_timers(worker);
    }
    if (status == XT_OK) {
        status = open_listeners(worker, start);
    }
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot start the loop: %s", xt_status_name(status));
    }
    status = load_partners(worker, failure);
    return status == XT_OK ? load_generation(worker, failure) : status;
}

bool xt_worker_run(struct xt_worker *worker)
{
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    log_event("stopped", worker->api.connections.count);
    return !worker->cut_off;
}

void xt_worker_close(struct xt_worker *worker)
{
    xt_listener_close(&worker->api);
    xt_listener_close(&worker->admin);
    xt_require(uv_loop_close(&worker->loop) == 0);
    xt_service_close(&worker->service);
}
