#include "net/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_MS 250 /* how late a time limit may strike */
#define TICK_MS 1000
#define LIVE_RETRY_MS 2000 /* for a worker that cannot read the live store, before another tries */
#define ADMIN_CONNECTIONS 64
#define DESCRIPTOR_RESERVE 128 /* for the loop, files, the admin listener */
#define CONNECTIONS_MOST 1000000

enum xt_status xt_worker_connections(const struct xt_settings *settings, unsigned *connections,
                                     struct xt_failure *failure)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return xt_fail(failure, XT_IO, "cannot read RLIMIT_NOFILE: %s", strerror(errno));
    }
    if (files.rlim_cur != files.rlim_max) {
        struct rlimit raised = {files.rlim_max, files.rlim_max};
        files = setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised : files;
    }
    if (files.rlim_cur < 2 * DESCRIPTOR_RESERVE) {
        return xt_fail(failure, XT_DENIED,
                       "only %lu file descriptors: raise ulimit -n to 1024 or more",
                       (unsigned long)files.rlim_cur);
    }
    rlim_t room = files.rlim_cur - DESCRIPTOR_RESERVE;
    *connections = room > CONNECTIONS_MOST ? CONNECTIONS_MOST : (unsigned)room;
    if (settings->connections != 0 && settings->connections < *connections) {
        *connections = settings->connections;
    }
    return XT_OK;
}

void xt_worker_tell(struct xt_worker *worker, const struct xt_control_message *message)
{
    (void)!xt_control_send(worker->channel, message);
}

static void say(struct xt_worker *worker, enum xt_control_type type)
{
    struct xt_control_message message = {.type = type};
    xt_worker_tell(worker, &message);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void log_event(const struct xt_worker *worker, const char *event)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, event);
    xt_log_number(&line, "worker", worker->index);
    xt_log_number(&line, "connections", worker->api.connections.open);
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
    xt_hashing_stop(worker->hashing);
    xt_writer_channel_close(worker->writer);
    xt_deferred_desk_stop(worker->deferred); /* what is held is written down */
    xt_events_stop(worker->events);
    xt_batch_stop(worker->batch);
    xt_audit_trail_stop(&worker->trail); /* nobody has an answer to come any more */
    xt_worker_map_stop(worker);
    uv_close((uv_handle_t *)&worker->sweep, NULL);
    uv_close((uv_handle_t *)&worker->terminate, NULL);
    uv_close((uv_handle_t *)&worker->control, NULL);
}

/* Nothing is under way any more. */
static void finish(struct xt_worker *worker)
{
    if (worker->drain_mode != XT_DRAIN_SERVICE) {
        stop(worker);
    } else if (!worker->told_stopped) {
        worker->told_stopped = true; /* the supervisor says when all have finished */
        say(worker, XT_CONTROL_STOPPED);
    }
}

/* Whose place others take ends when its probes have their answers, too; in a service that ends it goes
 * on answering them. */
static bool has_drained(const struct xt_worker *worker)
{
    return worker->api.connections.count == 0 &&
           (worker->drain_mode == XT_DRAIN_SERVICE || worker->admin.connections.count == 0);
}

static void on_connection_gone(void *context)
{
    struct xt_worker *worker = context;
    if (worker->drain_mode != XT_NOT_DRAINING && has_drained(worker)) {
        finish(worker);
    } else if (worker->api.paused) {
        xt_listener_sweep(&worker->api);
    }
}

static void begin_drain(struct xt_worker *worker)
{
    log_event(worker, "worker_draining");
    worker->service.draining = true;
    worker->drain_began_ms = uv_now(&worker->loop);
    xt_listener_drain(&worker->api);
}

void xt_worker_drain(struct xt_worker *worker, int mode)
{
    if (worker->stopped) {
        return;
    }
    if (mode == XT_DRAIN_NOW) {
        worker->drain_mode = mode;
        stop(worker);
        return;
    }
    bool first = worker->drain_mode == XT_NOT_DRAINING;
    worker->drain_mode = mode;
    if (first) {
        begin_drain(worker);
    }
    if (mode == XT_DRAIN_LEAVE) {
        xt_listener_drain(&worker->admin); /* others answer probes, or nobody needs to */
    }
    if (has_drained(worker)) {
        finish(worker);
    }
}

static void on_terminate(uv_signal_t *handle, int number)
{
    struct xt_worker *worker = handle->data;
    (void)number;
    if (worker->drain_mode == XT_NOT_DRAINING) {
        say(worker, XT_CONTROL_LEAVING);
        xt_worker_drain(worker, XT_DRAIN_LEAVE);
    }
}

/* LMDB opens a file once in a process, and the sandbox has closed: only another process can. */
static void leave_without_live(struct xt_worker *worker, uint64_t now)
{
    struct xt_log_line line;
    if (!worker->service.live_failed || worker->drain_mode != XT_NOT_DRAINING ||
        now - worker->opened_ms < LIVE_RETRY_MS) {
        return;
    }
    xt_log_begin(&line, XT_LOG_ERROR, "live_not_readable");
    xt_log_number(&line, "worker", worker->index);
    xt_log_text(&line, "reason", "another worker takes over and opens it again");
    xt_log_end(&line);
    say(worker, XT_CONTROL_LEAVING);
    xt_worker_drain(worker, XT_DRAIN_LEAVE);
}

static void on_sweep(uv_timer_t *timer)
{
    struct xt_worker *worker = timer->data;
    uint64_t now = uv_now(&worker->loop);
    xt_listener_sweep(&worker->api);
    xt_listener_sweep(&worker->admin);
    if (now - worker->ticked_ms >= TICK_MS) {
        worker->ticked_ms = now;
        xt_tickets_turn(worker->tickets, (int64_t)time(NULL));
        xt_vitals_update(&worker->vitals);
        xt_counter_set(&worker->service.counters->now.deferred,
                       xt_deferred_waiting(worker->deferred));
        if (worker->hashing != NULL) {
            uint64_t hashes = xt_hashing_count(worker->hashing);
            xt_counter_set(&worker->service.counters->now.hashing,
                           xt_hashing_waiting(worker->hashing));
            xt_counter_add(&worker->service.counters->hashes, hashes - worker->hashes);
            worker->hashes = hashes;
        }
        xt_counter_set(&worker->service.counters->now.writer_queue,
                       xt_writer_channel_waiting(worker->writer));
    }
    xt_worker_map_look(worker);
    leave_without_live(worker, now);
    if (worker->drain_mode != XT_NOT_DRAINING && !worker->timed_out &&
        now - worker->drain_began_ms >= worker->settings.drain_ms) {
        worker->timed_out = true;
        log_event(worker, "drain_timeout");
        xt_connections_abort(&worker->api.connections);
        if (worker->drain_mode != XT_DRAIN_SERVICE) {
            xt_connections_abort(&worker->admin.connections);
        }
        if (has_drained(worker)) {
            finish(worker);
        }
    }
}

/* ---- the supervisor --------------------------------------------------------------------------- */

static void on_control(uv_poll_t *poll, int status, int events)
{
    struct xt_worker *worker = poll->data;
    (void)status;
    (void)events;
    while (!worker->stopped) {
        struct xt_control_message message;
        enum xt_status got = xt_control_receive(worker->channel, &message);
        if (got == XT_OK) {
            xt_worker_told(worker, &message);
            /* Opening what is new took time that the clients of this turn must not pay for. */
            worker->api.connections.turn_began_ns = worker->admin.connections.turn_began_ns = 0;
            worker->service.clock_ns = 0;
        }
        xt_control_release(&message);
        if (got == XT_AGAIN || got == XT_NO_MEMORY) {
            return;
        }
        if (got != XT_OK) {
            /* It is gone: whoever is served now is the last. Or what it said was lost (no descriptor
             * was free for what came with it): then another worker must know it. */
            (void)uv_poll_stop(poll);
            say(worker, XT_CONTROL_LEAVING);
            xt_worker_drain(worker, XT_DRAIN_LEAVE);
            return;
        }
    }
}

/* ---- the beginning ---------------------------------------------------------------------------- */

static enum xt_status open_handles(struct xt_worker *worker, struct xt_failure *failure)
{
    uv_loop_t *loop = &worker->loop;
    worker->control.data = worker->sweep.data = worker->terminate.data = worker;
    bool fine =
        uv_loop_init(loop) == 0 && uv_timer_init(loop, &worker->sweep) == 0 &&
        xt_worker_map_open(worker) && uv_signal_init(loop, &worker->terminate) == 0 &&
        uv_poll_init(loop, &worker->control, worker->channel) == 0 &&
        uv_timer_start(&worker->sweep, on_sweep, SWEEP_MS, SWEEP_MS) == 0 &&
        uv_signal_start(&worker->terminate, on_terminate, SIGTERM) == 0 &&
        uv_poll_start(&worker->control, UV_READABLE, on_control) == 0 &&
        xt_writer_channel_open(loop, -1, &worker->writer) == XT_OK &&
        xt_events_open(loop, &worker->service, worker->writer, &worker->events) == XT_OK &&
        xt_batch_open(loop, &worker->service, &worker->batch) == XT_OK &&
        xt_deferred_desk_open(loop, &worker->service, worker->writer, &worker->deferred) == XT_OK;
    return fine ? XT_OK : xt_fail(failure, XT_IO, "cannot start a loop: no memory or descriptors");
}

/* The rest of START: what never changes while the process lives. */
static enum xt_status take_keys(struct xt_worker *worker, const struct xt_control_message *start,
                                struct xt_failure *failure)
{
    struct xt_span dir = start->blobs[XT_START_DIR];
    struct xt_ticket_seed seed = {.period = start->numbers[XT_START_TICKET_PERIOD]};
    if (start->type != XT_CONTROL_START || start->fd_count < XT_START_FIXED || dir.size == 0 ||
        dir.size > sizeof(worker->dir) || dir.data[dir.size - 1] != '\0' ||
        !xt_control_copy(start, XT_START_TICKET_SECRET, seed.secret, sizeof(seed.secret))) {
        return xt_fail(failure, XT_INVALID, "the supervisor's first message does not add up");
    }
    memcpy(worker->dir, dir.data, dir.size);
    worker->index = (unsigned)start->numbers[XT_START_INDEX];
    enum xt_status status = xt_keyring_import(start->blobs[XT_START_KEYRING], &worker->keyring);
    if (status == XT_OK) {
        status = xt_tickets_open(&seed, (int64_t)time(NULL), &worker->tickets);
    }
    xt_wipe(&seed, sizeof(seed));
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "cannot take the keys: %s", xt_status_name(status));
}

static enum xt_status open_service(struct xt_worker *worker, const struct xt_control_message *start,
                                   struct xt_failure *failure)
{
    unsigned place = (unsigned)start->numbers[XT_START_PLACE];
    enum xt_status status = xt_service_open(&worker->service, &worker->settings);
    if (status != XT_OK) {
        return xt_fail(failure, status, "no memory for the service");
    }
    status = xt_shared_attach(&start->fds[XT_START_SHARED], place, &worker->shared, failure);
    if (status == XT_OK) {
        xt_service_share(&worker->service, worker->shared, place);
        worker->service.keyring = worker->keyring;
        xt_vitals_open(&worker->vitals, xt_shared_vitals(worker->shared, place));
    }
    return status;
}

/* Its first segment, where there was room for one; without it nothing is answered until one comes. */
static enum xt_status open_trail(struct xt_worker *worker, struct xt_control_message *start,
                                 struct xt_failure *failure)
{
    struct xt_counters *counters = worker->service.counters;
    struct xt_audit_header header;
    enum xt_status status = xt_audit_trail_open(&worker->trail, &worker->loop, &worker->settings,
                                                &counters->audit, counters, worker->index);
    worker->service.trail = &worker->trail;
    if (status == XT_OK && start->fd_count > XT_START_AUDIT) {
        if (!xt_control_copy(start, XT_START_AUDIT_HEADER, &header, sizeof(header))) {
            return xt_fail(failure, XT_INVALID, "the audit segment's header does not add up");
        }
        status = xt_audit_trail_take(&worker->trail, xt_control_take_fd(start, XT_START_AUDIT),
                                     worker->keyring, &header);
        worker->segment_given = true;
        status = status == XT_DISK_FULL ? XT_OK : status;
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot begin an audit segment: %s",
                                     xt_status_name(status));
}

static enum xt_status open_listeners(struct xt_worker *worker, struct xt_control_message *start,
                                     struct xt_failure *failure)
{
    struct xt_entrance api = {.tls = worker->tls, .routes = &xt_api_routes};
    struct xt_entrance admin = {.routes = &xt_admin_routes};
    unsigned connections = 0;
    enum xt_status status = xt_worker_connections(&worker->settings, &connections, failure);
    if (status != XT_OK) {
        return status;
    }
    worker->admin.connections.probes = true;
    status = xt_listener_open(&worker->api, &worker->loop, xt_control_take_fd(start, XT_START_API),
                              connections, &api, &worker->settings, &worker->service,
                              on_connection_gone, worker);
    if (status == XT_OK) {
        status =
            xt_listener_open(&worker->admin, &worker->loop,
                             xt_control_take_fd(start, XT_START_ADMIN), ADMIN_CONNECTIONS, &admin,
                             &worker->settings, &worker->service, on_connection_gone, worker);
        worker->admin.connections.probes = true;
    }
    if (status == XT_OK) { /* what settings to come may ask for, now that the limit can be read */
        status = xt_worker_connections(&(struct xt_settings){0}, &worker->room, failure);
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot listen: %s", xt_status_name(status));
}

/* Clients whose worker never came would wait in its queue: without its generation it tells them 503. */
static enum xt_status open_generation(struct xt_worker *worker,
                                      const struct xt_control_message *start,
                                      struct xt_failure *failure)
{
    uint32_t number = (uint32_t)start->numbers[XT_START_GENERATION];
    enum xt_status status =
        xt_worker_take_generation(worker, number, start->blobs[XT_START_DIGEST], failure);
    if (status == XT_OK || status == XT_NO_MEMORY || start->numbers[XT_START_ALONE] == 0) {
        return status;
    }
    worker->lacks = number;
    worker->lacks_why = *failure;
    return XT_OK;
}

/* As with the generation: one that nobody could take the place of answers 503, and tries again by another. */
static enum xt_status open_live(struct xt_worker *worker, const struct xt_control_message *start,
                                struct xt_failure *failure)
{
    struct xt_live *live = NULL;
    struct xt_log_line line;
    enum xt_status status = xt_live_open_reader(worker->dir, worker->keyring, &live, failure);
    if (status != XT_OK && start->numbers[XT_START_ALONE] == 0) {
        return status;
    }
    if (status != XT_OK) {
        xt_log_begin(&line, XT_LOG_ERROR, "live_not_opened");
        xt_log_number(&line, "worker", worker->index);
        xt_log_text(&line, "reason", failure->text);
        xt_log_end(&line);
        worker->service.live_failed = true;
    }
    xt_service_follow(&worker->service, live);
    worker->opened_ms = uv_now(&worker->loop);
    return XT_OK;
}

enum xt_status xt_worker_open(struct xt_worker *worker, int channel,
                              struct xt_control_message *start, struct xt_failure *failure)
{
    struct xt_settings settings;
    memset(worker, 0, sizeof(*worker));
    worker->channel = channel;
    worker->drain_mode = XT_NOT_DRAINING;
    enum xt_status status = take_keys(worker, start, failure);
    if (status == XT_OK &&
        !xt_control_copy(start, XT_START_SETTINGS, &settings, sizeof(settings))) {
        status = xt_fail(failure, XT_INVALID, "the settings are another program's");
    }
    if (status == XT_OK) {
        worker->settings = settings; /* before anything measures its memory by them */
        status = open_service(worker, start, failure);
    }
    if (status == XT_OK) {
        status = open_handles(worker, failure);
    }
    if (status == XT_OK) {
        status = xt_worker_take(worker, &settings, start->fds[XT_START_SNAPSHOT],
                                start->blobs[XT_START_TLS_KEY], failure);
    }
    if (status == XT_OK) {
        status = xt_worker_take_signing(worker, start->blobs[XT_START_SIGNING]);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "cannot take the signing keys: %s",
                          xt_status_name(status));
        }
    }
    if (status == XT_OK && start->numbers[XT_START_GENERATION] != 0) {
        status = open_generation(worker, start, failure);
    }
    if (status == XT_OK) {
        status = open_live(worker, start, failure);
    }
    if (status == XT_OK) {
        status = open_trail(worker, start, failure);
    }
    return status == XT_OK ? open_listeners(worker, start, failure) : status;
}

/* Here and not with the rest: threads that begin before the sandbox would be outside of it. */
static void start_threads(struct xt_worker *worker)
{
    struct xt_log_line line;
    xt_require(xt_audit_trail_start(&worker->trail) == XT_OK);
    if (xt_hashing_open(&worker->loop, &worker->settings, &worker->hashing) == XT_OK) {
        worker->service.hashing = worker->hashing;
        return;
    }
    xt_log_begin(&line, XT_LOG_ERROR, "hashing_not_started"); /* then no passcodes are taken */
    xt_log_number(&line, "worker", worker->index);
    xt_log_end(&line);
}

void xt_worker_run(struct xt_worker *worker)
{
    start_threads(worker);
    on_control(&worker->control, 0, 0); /* what was told behind START, before the first client */
    say(worker, XT_CONTROL_READY);
    if (worker->segment_given) {
        xt_worker_tell_segment(worker, worker->trail.log != NULL ? XT_OK : XT_DISK_FULL);
    }
    if (worker->lacks != 0) {
        xt_worker_refuse_generation(worker, worker->lacks, &worker->lacks_why);
    }
    (void)uv_run(&worker->loop, UV_RUN_DEFAULT);
}

void xt_worker_close(struct xt_worker *worker)
{
    xt_listener_close(&worker->api);
    xt_listener_close(&worker->admin);
    xt_require(uv_loop_close(&worker->loop) == 0);
    xt_audit_trail_close(&worker->trail);
    xt_events_close(worker->events);
    xt_batch_close(worker->batch);
    xt_deferred_desk_close(worker->deferred);
    xt_hashing_close(worker->hashing);
    xt_service_close(&worker->service);
    xt_vitals_close(&worker->vitals);
    xt_shared_close(worker->shared);
    xt_tls_context_close(worker->tls);
    xt_tickets_close(worker->tickets);
    xt_keyring_close(worker->keyring);
}
