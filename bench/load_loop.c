#include "bench/load_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"

#define EVENTS_A_TURN 128

const char *xt_load_error_name(enum xt_load_error error)
{
    static const char *const names[XT_LOAD_ERRORS] = {"connect", "handshake", "timeout",
                                                      "closed",  "status",    "malformed",
                                                      "verdict", "dropped",   "unfinished"};
    return names[error];
}

/* ---- counting ---- */

static void publish(struct xt_load_loop *loop, unsigned next)
{
    struct xt_load_shared *shared = loop->shared;
    xt_require(pthread_mutex_lock(&shared->mutex) == 0);
    if (loop->second < shared->second_count) {
        struct xt_load_tally **place = &shared->seconds[loop->second];
        if (*place == NULL) {
            *place = calloc(1, sizeof(**place));
            xt_require(*place != NULL);
        }
        for (unsigned i = 0; i < XT_LOAD_ERRORS; i++) {
            (*place)->errors[i] += loop->tally.errors[i];
        }
        (*place)->in_time += loop->tally.in_time;
        xt_histogram_merge(&(*place)->latency, &loop->tally.latency);
    }
    xt_require(pthread_mutex_unlock(&shared->mutex) == 0);
    memset(&loop->tally, 0, sizeof(loop->tally));
    loop->second = next;
    atomic_store(&loop->result->published, next);
}

/* Before the measured time: false. */
static bool measured(struct xt_load_loop *loop, uint64_t at)
{
    return atomic_load_explicit(&loop->shared->start_ns, memory_order_relaxed) != 0 &&
           at >= loop->shared->measure_ns;
}

static void turn_second(struct xt_load_loop *loop)
{
    if (measured(loop, loop->now)) {
        uint64_t second = (loop->now - loop->shared->measure_ns) / XT_LOAD_SECOND_NS;
        if (second > loop->second) {
            publish(loop, second < loop->shared->second_count ? (unsigned)second
                                                              : loop->shared->second_count - 1);
        }
    }
}

static void finish_if_once(struct xt_load_loop *loop)
{
    if (loop->shared->once) {
        atomic_store(&loop->shared->end_ns, loop->now);
    }
}

void xt_load_count_right(struct xt_load_loop *loop, const struct xt_load_flight *flight)
{
    if (measured(loop, flight->due)) {
        turn_second(loop);
        loop->tally.in_time +=
            loop->now < atomic_load_explicit(&loop->shared->end_ns, memory_order_relaxed);
        xt_histogram_record(&loop->tally.latency, (loop->now - flight->due + 500) / 1000);
    } else {
        loop->result->early_right++;
    }
    finish_if_once(loop);
}

void xt_load_count_error(struct xt_load_loop *loop, enum xt_load_error error, uint64_t count,
                         const char *detail)
{
    struct xt_load_shared *shared = loop->shared;
    if (count == 0) {
        return;
    }
    if (measured(loop, loop->now)) {
        turn_second(loop);
        loop->tally.errors[error] += count;
    } else {
        loop->result->early[error] += count;
    }
    xt_require(pthread_mutex_lock(&shared->mutex) == 0);
    if (detail != NULL && shared->details[error][0] == '\0') {
        size_t size = strnlen(detail, XT_LOAD_DETAIL_MAX - 1);
        memcpy(shared->details[error], detail, size);
        shared->details[error][size] = '\0';
    }
    xt_require(pthread_mutex_unlock(&shared->mutex) == 0);
    finish_if_once(loop);
}

/* ---- those with room ---- */

static bool keeps_alive(const struct xt_load_loop *loop)
{
    return loop->shared->options->handshake == XT_LOAD_KEEP_ALIVE;
}

/* In a closed loop, connections begin one after the other during the ramp. */
static bool has_begun(const struct xt_load_loop *loop, const struct xt_load_connection *connection)
{
    const struct xt_load_shared *shared = loop->shared;
    uint64_t start = atomic_load_explicit(&shared->start_ns, memory_order_relaxed);
    if (start == 0) {
        return false;
    }
    return shared->rate > 0 || shared->once ||
           loop->now >=
               start + shared->options->ramp_ns / loop->connection_count * connection->index;
}

static bool has_room(const struct xt_load_loop *loop, const struct xt_load_connection *connection)
{
    if (!has_begun(loop, connection) || (loop->shared->once && loop->flying > 0)) {
        return false;
    }
    if (!keeps_alive(loop)) {
        return connection->state == XT_LOAD_IDLE && connection->retry_at <= loop->now;
    }
    if (connection->state != XT_LOAD_OPEN || connection->closing || connection->wants_write ||
        connection->flying >= loop->shared->options->pipeline) {
        return false;
    }
    size_t waiting =
        connection->tls != NULL ? xt_tls_output(connection->tls).size : connection->output_end;
    return waiting < XT_LOAD_OUTPUT_MAX;
}

static void leave_room(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    *(connection->previous != NULL ? &connection->previous->next : &loop->room_first) =
        connection->next;
    *(connection->next != NULL ? &connection->next->previous : &loop->room_last) =
        connection->previous;
    connection->previous = connection->next = NULL;
    connection->in_room = false;
}

void xt_load_update_room(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    bool room = has_room(loop, connection);
    if (connection->in_room) {
        leave_room(loop, connection);
    }
    if (room) { /* at the back: requests go round */
        connection->previous = loop->room_last;
        *(loop->room_last != NULL ? &loop->room_last->next : &loop->room_first) = connection;
        loop->room_last = connection;
        connection->in_room = true;
    }
}

/* ---- the schedule ---- */

/* When request number n of the run is due, in ns from the start. The rate rises evenly during the ramp,
 * so half of rate * ramp requests are due in it. */
static double due_after(const struct xt_load_shared *shared, double n)
{
    double rate = (double)shared->rate / 1e9;
    double ramp = (double)shared->options->ramp_ns;
    double in_ramp = rate * ramp / 2;
    return n < in_ramp ? sqrt(2 * n * ramp / rate) : ramp + (n - in_ramp) / rate;
}

/* How many requests of the run are due before this time from the start. */
static double due_before(const struct xt_load_shared *shared, double ns)
{
    double rate = (double)shared->rate / 1e9;
    double ramp = (double)shared->options->ramp_ns;
    return ns < ramp ? rate * ns * ns / (2 * ramp) : rate * ramp / 2 + rate * (ns - ramp);
}

/* Threads take turns: number k of thread t is number k * threads + t of the run. */
static void schedule_next(struct xt_load_loop *loop)
{
    const struct xt_load_shared *shared = loop->shared;
    double n = (double)loop->issued * shared->threads + loop->index;
    loop->next_due = atomic_load(&shared->start_ns) + (uint64_t)due_after(shared, n);
}

/* Requests of this thread that were due before `at` and are not issued. */
static uint64_t backlog(const struct xt_load_loop *loop, uint64_t at)
{
    const struct xt_load_shared *shared = loop->shared;
    uint64_t start = atomic_load(&shared->start_ns);
    if (shared->rate == 0 || start == 0 || at <= loop->next_due) {
        return 0;
    }
    double due = (due_before(shared, (double)(at - start)) - loop->index) / shared->threads;
    uint64_t whole = due <= 0 ? 0 : (uint64_t)ceil(due);
    return whole > loop->issued ? whole - loop->issued : 0;
}

static void bound_queue(struct xt_load_loop *loop)
{
    const struct xt_load_shared *shared = loop->shared;
    uint64_t most = shared->options->queue / shared->threads + loop->connection_count;
    uint64_t waiting = backlog(loop, loop->now);
    if (waiting > most) {
        xt_load_count_error(loop, XT_LOAD_DROPPED, waiting - most,
                            "the server did not keep up and the queue was full");
        loop->issued += waiting - most;
        schedule_next(loop);
    }
}

void xt_load_retry(struct xt_load_loop *loop, struct xt_load_flight flight)
{
    /* Room for everything that can be under way. */
    loop->retries[loop->retry_count++] = flight;
}

/* The next request that is due; false when there is none now. */
static bool next_request(struct xt_load_loop *loop, uint64_t end, struct xt_load_flight *flight)
{
    const struct xt_load_shared *shared = loop->shared;
    if (loop->retry_count > 0) {
        *flight = loop->retries[--loop->retry_count];
        flight->sent = loop->now;
        return true;
    }
    if (shared->rate > 0) {
        if (loop->next_due > loop->now || loop->next_due >= end) {
            return false;
        }
        flight->due = loop->next_due;
        loop->issued++;
        schedule_next(loop);
    } else {
        if (loop->now >= end) {
            return false;
        }
        flight->due = loop->now;
    }
    flight->sent = loop->now;
    flight->request = &shared->workload->requests[loop->cursor];
    loop->cursor = loop->cursor + 1 == shared->workload->count ? 0 : loop->cursor + 1;
    return true;
}

static void pump(struct xt_load_loop *loop)
{
    const struct xt_load_shared *shared = loop->shared;
    uint64_t end = atomic_load_explicit(&shared->end_ns, memory_order_relaxed);
    struct xt_load_flight flight;
    while (loop->room_first != NULL && next_request(loop, end, &flight)) {
        xt_load_take(loop, loop->room_first, flight);
    }
    for (unsigned i = 0; i < loop->dirty_count; i++) {
        loop->dirty[i]->dirty = false;
        xt_load_flush(loop, loop->dirty[i]);
    }
    loop->dirty_count = 0;
}

/* ---- the loop ---- */

static void check_timeouts(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    uint64_t limit = loop->shared->options->timeout_ns;
    if (connection->state == XT_LOAD_CONNECTING || connection->state == XT_LOAD_SHAKING) {
        if (loop->now - connection->since > limit) {
            xt_load_fail(loop, connection,
                         connection->state == XT_LOAD_SHAKING ? XT_LOAD_HANDSHAKE : XT_LOAD_CONNECT,
                         "timeout");
        }
    } else if (connection->flying > 0 &&
               loop->now - connection->flights[connection->first].sent > limit) {
        xt_load_fail(loop, connection, XT_LOAD_TIMEOUT, "no answer in time");
    }
}

static void reopen(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    if (connection->state == XT_LOAD_IDLE && keeps_alive(loop) &&
        connection->retry_at <= loop->now) {
        xt_load_open(loop, connection);
    }
}

/* The connections stand or have failed once: this thread may begin. */
static bool all_tried(const struct xt_load_loop *loop)
{
    if (!keeps_alive(loop)) {
        return true;
    }
    for (unsigned i = 0; i < loop->connection_count; i++) {
        const struct xt_load_connection *connection = &loop->connections[i];
        if (connection->state != XT_LOAD_OPEN && connection->retry_at == 0) {
            return false;
        }
    }
    return true;
}

static void tick(struct xt_load_loop *loop, bool over)
{
    for (unsigned i = 0; i < loop->connection_count; i++) {
        struct xt_load_connection *connection = &loop->connections[i];
        check_timeouts(loop, connection);
        if (!over || loop->retry_count > 0) {
            reopen(loop, connection);
        }
        if (!connection->in_room) {
            xt_load_update_room(loop, connection);
        }
    }
    bound_queue(loop);
    turn_second(loop);
}

static int wait_for(struct xt_load_loop *loop, uint64_t until, struct epoll_event *events)
{
    uint64_t now = xt_clock_ns();
    uint64_t left = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000U),
                               .tv_nsec = (long)(left % 1000000000U)};
    int count = epoll_pwait2(loop->epoll, events, EVENTS_A_TURN, &timeout, NULL);
    if (count < 0 && errno == ENOSYS) { /* before Linux 5.11: whole milliseconds, never early */
        count = epoll_wait(loop->epoll, events, EVENTS_A_TURN, (int)((left + 999999) / 1000000));
    }
    return count < 0 ? 0 : count;
}

/* What was due in the measured time and never answered. */
static void count_unfinished(struct xt_load_loop *loop, uint64_t end)
{
    uint64_t unfinished = backlog(loop, end) + loop->retry_count + loop->flying;
    xt_load_count_error(loop, XT_LOAD_UNFINISHED, unfinished, "still waiting 2 s after the end");
}

static void begin(struct xt_load_loop *loop, bool *begun)
{
    *begun = true;
    loop->now = xt_clock_ns();
    if (loop->shared->rate > 0) {
        schedule_next(loop);
    }
    for (unsigned i = 0; i < loop->connection_count; i++) {
        xt_load_update_room(loop, &loop->connections[i]);
    }
}

static void run(struct xt_load_loop *loop)
{
    struct xt_load_shared *shared = loop->shared;
    struct epoll_event events[EVENTS_A_TURN];
    bool ready = false;
    bool begun = false;
    uint64_t next_tick = 0;
    for (;;) {
        loop->now = xt_clock_ns();
        uint64_t start = atomic_load(&shared->start_ns);
        uint64_t end = atomic_load(&shared->end_ns);
        if (start != 0 && loop->now >= start && !begun) {
            begin(loop, &begun);
        }
        if (loop->now >= next_tick) {
            tick(loop, loop->now >= end);
            next_tick = loop->now + XT_LOAD_TICK_NS;
        }
        if (begun) {
            pump(loop);
        } else if (!ready && all_tried(loop)) {
            ready = true;
            (void)atomic_fetch_add(&shared->ready, 1);
        }
        if (loop->now >= end &&
            ((loop->flying == 0 && loop->retry_count == 0 && backlog(loop, end) == 0) ||
             loop->now >= end + XT_LOAD_DRAIN_NS)) {
            count_unfinished(loop, end);
            return;
        }
        uint64_t until = next_tick;
        if (start != 0 && !begun && start < until) {
            until = start;
        }
        if (begun && shared->rate > 0 && loop->room_first != NULL && loop->next_due < until &&
            loop->next_due < end) {
            until = loop->next_due;
        }
        int count = wait_for(loop, until, events);
        loop->now = xt_clock_ns();
        for (int i = 0; i < count; i++) {
            struct xt_load_connection *connection = events[i].data.ptr;
            xt_load_event(loop, connection, events[i].events);
            if (connection->state == XT_LOAD_IDLE && (loop->now < end || loop->retry_count > 0)) {
                reopen(loop, connection);
            }
            if (begun) {
                pump(loop);
            }
        }
    }
}

static enum xt_status set_up(struct xt_load_loop *loop, struct xt_failure *failure)
{
    const struct xt_load_options *options = loop->shared->options;
    unsigned threads = loop->shared->threads;
    unsigned total = loop->shared->once ? 1 : options->connections;
    loop->connection_count = total / threads + (loop->index < total % threads ? 1 : 0);
    loop->next_due = UINT64_MAX; /* nothing before the start */
    loop->cursor = (unsigned)((uint64_t)loop->shared->workload->count * loop->index / threads);
    loop->connections = calloc(loop->connection_count, sizeof(*loop->connections));
    loop->dirty = calloc(loop->connection_count, sizeof(struct xt_load_connection *));
    loop->retries =
        calloc((size_t)loop->connection_count * options->pipeline, sizeof(*loop->retries));
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    bool fine = loop->connections != NULL && loop->dirty != NULL && loop->retries != NULL &&
                loop->epoll >= 0;
    for (unsigned i = 0; fine && i < loop->connection_count; i++) {
        struct xt_load_connection *connection = &loop->connections[i];
        connection->socket = -1;
        connection->index = i;
        connection->flights = calloc(options->pipeline, sizeof(*connection->flights));
        connection->input = malloc(XT_LOAD_INPUT_MAX);
        connection->output =
            options->tls ? NULL : malloc(XT_LOAD_OUTPUT_MAX + XT_WORKLOAD_WIRE_MAX);
        fine = connection->flights != NULL && connection->input != NULL &&
               (options->tls || connection->output != NULL);
    }
    if (!fine) {
        return xt_fail(failure, XT_NO_MEMORY,
                       "not enough memory for the connections; ask for fewer --connections");
    }
    if (!options->tls) {
        return XT_OK;
    }
    struct xt_tls_client_files files = {.certificate = options->certificate,
                                        .key = options->key,
                                        .server_authority = options->authority,
                                        .resume = options->handshake == XT_LOAD_RESUME};
    return xt_tls_client(&files, &loop->tls, failure);
}

static void tear_down(struct xt_load_loop *loop)
{
    for (unsigned i = 0; loop->connections != NULL && i < loop->connection_count; i++) {
        if (loop->connections[i].flights != NULL) {
            xt_load_release(&loop->connections[i]);
        }
        free(loop->connections[i].flights);
        free(loop->connections[i].input);
        free(loop->connections[i].output);
    }
    xt_tls_context_close(loop->tls);
    if (loop->epoll >= 0) {
        (void)close(loop->epoll);
    }
    free(loop->connections);
    free(loop->dirty);
    free(loop->retries);
    free(loop);
}

void *xt_load_loop_run(void *argument)
{
    struct xt_load_thread *thread = argument;
    struct xt_load_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        thread->result.failed = true;
        (void)xt_fail(&thread->result.failure, XT_NO_MEMORY, "not enough memory for a thread");
        return NULL;
    }
    loop->shared = thread->shared;
    loop->result = &thread->result;
    loop->index = thread->index;
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* ns: wake up when a request is due, not 50 us later */
    if (set_up(loop, &thread->result.failure) == XT_OK) {
        run(loop);
        publish(loop, loop->shared->second_count);
    } else {
        thread->result.failed = true;
    }
    tear_down(loop);
    (void)atomic_fetch_add(&thread->shared->finished, 1);
    return NULL;
}
