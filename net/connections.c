/* net/connections: the set of them: opening, time limits, making room, the end. */
#include "net/connection_internal.h"

#include <time.h>
#include <unistd.h>

#define CONNECTIONS_KEPT 4096 /* free structs, about 1 KiB each */
#define BUFFERS_KEPT 16       /* 1 MiB */
#define LOOP_BUFFERS 3        /* of the turn: read, plain, output */
#define BUFFERS_LENT 1024     /* 64 MiB: more waiting clients with input left over are closed */
#define LOOKED_AT 64          /* oldest ones that are looked at before there is said to be none */
#define NS_PER_MS 1000000ULL
#define FIRST_REQUEST_MS 1000 /* for a request that may be on its way: newcomers, and in a drain */

void xt_connections_set_time(struct xt_connections *all)
{
    uint64_t now_ns = all->service->clock_ns != 0 ? all->service->clock_ns : uv_hrtime();
    all->service->clock_ns = 0;
    /* One clock a turn: the wall clock is looked at once a millisecond. */
    if (now_ns - all->wall_read_ns >= NS_PER_MS) {
        struct timespec wall;
        clock_gettime(CLOCK_REALTIME, &wall);
        all->wall_read_ns = now_ns;
        all->wall_offset_ns =
            (uint64_t)wall.tv_sec * 1000 * NS_PER_MS + (uint64_t)wall.tv_nsec - now_ns;
    }
    xt_service_set_time(all->service, (now_ns + all->wall_offset_ns) / NS_PER_MS, now_ns);
}

void xt_connections_tell(const struct xt_connections *all)
{
    struct xt_gauges *now = &all->service->counters->now;
    xt_counter_set(&now->open[xt_connections_kind(all)], all->open);
    if (!all->probes) {
        xt_counter_set(&now->shaking, all->shaking);
        xt_counter_set(&now->held_buffers, all->buffers.out_count - LOOP_BUFFERS);
    }
}

enum xt_status xt_connections_open(struct xt_connections *all, uv_loop_t *loop,
                                   const struct xt_settings *settings, struct xt_service *service)
{
    *all = (struct xt_connections){.loop = loop, .settings = settings, .service = service};
    for (unsigned i = 0; i < XT_PHASE_COUNT; i++) {
        xt_ring_open(&all->phases[i]);
    }
    all->log_limit.counter = &service->counters->log_suppressed;
    xt_turns_open(all);
    xt_http_shared_open(&all->http, settings);
    xt_pool_open(&all->pool, sizeof(struct xt_connection), CONNECTIONS_KEPT, 0);
    xt_pool_open(&all->buffers, XT_READ_BUFFER, BUFFERS_KEPT, BUFFERS_LENT);
    all->read = xt_pool_take(&all->buffers);
    all->plain = xt_pool_take(&all->buffers);
    all->output = xt_pool_take(&all->buffers);
    return all->read != NULL && all->plain != NULL && all->output != NULL ? XT_OK : XT_NO_MEMORY;
}

void xt_connections_reload(struct xt_connections *all)
{
    xt_http_shared_reload(&all->http);
}

void xt_connections_close(struct xt_connections *all)
{
    xt_pool_give(&all->buffers, all->read);
    xt_pool_give(&all->buffers, all->plain);
    xt_pool_give(&all->buffers, all->output);
    xt_pool_close(&all->buffers);
    xt_pool_close(&all->pool);
    xt_http_shared_close(&all->http);
}

void xt_connection_open(struct xt_connections *all, const struct xt_entrance *entrance, int socket,
                        const uint8_t address[16])
{
    struct xt_connection *connection = xt_pool_take(&all->pool);
    if (connection == NULL) {
        close(socket);
        return;
    }
    memset(connection, 0, sizeof(*connection));
    connection->all = all;
    connection->opened_ms = uv_now(all->loop);
    xt_ring_open(&connection->link);
    xt_ring_open(&connection->turn);
    xt_ring_open(&connection->gate);
    xt_exchange_open(&connection->exchange, &all->http, all->service, entrance->routes,
                     entrance->tls != NULL);
    connection->exchange.wake = xt_connection_wake;
    connection->exchange.wake_context = connection;
    memcpy(connection->exchange.peer.address, address, 16);
    xt_require(uv_tcp_init(all->loop, &connection->tcp) == 0); /* allocates nothing */
    connection->tcp.data = connection;
    all->count++;
    all->open++;
    xt_counter_add(&all->service->counters->accepted[xt_connections_kind(all)], 1);
    if (uv_tcp_open(&connection->tcp, socket) != 0) {
        close(socket);
        xt_connection_close(connection);
        return;
    }
    if (entrance->tls != NULL) {
        connection->shaking = true;
        all->shaking++;
        if (xt_tls_open(entrance->tls, NULL, &connection->tls) != XT_OK) {
            xt_connection_close(connection);
            return;
        }
    }
    xt_connections_tell(all);
    xt_connection_set_phase(connection, connection->shaking ? XT_PHASE_HANDSHAKE : XT_PHASE_IDLE);
    xt_connection_set_reading(connection, true);
}

/* Ends an idle connection: close_notify if the socket takes it, then down. */
static void part(struct xt_connection *connection)
{
    if (connection->tls != NULL) {
        xt_tls_shutdown(connection->tls);
        struct xt_span output = xt_tls_output(connection->tls);
        if (output.size > 0) {
            uv_buf_t buffer = {.base = (char *)(uintptr_t)output.data, .len = output.size};
            (void)uv_try_write((uv_stream_t *)&connection->tcp, &buffer, 1);
        }
    }
    xt_connection_close(connection);
}

/* 408, then close. */
static void time_out(struct xt_connection *connection)
{
    if (connection->exchange.pieces !=
        NULL) { /* in the middle of a body: nothing can be said there */
        xt_connection_close(connection);
        return;
    }
    struct xt_writer output = xt_writer_over(connection->all->output, XT_OUTPUT_MAX);
    /* Input left over may wait for its turn, which must not come while the answer is being sent. */
    xt_ring_remove(&connection->turn);
    xt_connection_forget_input(connection);
    connection->write_began_ms = 0;
    xt_connections_set_time(connection->all);
    xt_exchange_refuse(&connection->exchange, XT_PROBLEM_REQUEST_TIMEOUT, &output);
    connection->last = true;
    enum xt_flow flow = xt_connection_push(connection, &output);
    if (flow == XT_FLOW_GATED) {
        flow = xt_gates_release(connection->all, connection); /* the sweep goes by what it is now */
    }
    if (flow == XT_FLOW_DRAINED) {
        xt_connection_linger(connection);
    }
}

/* Whether a connection in WRITING is to be given up. One that made progress starts anew. */
static bool is_stalled(struct xt_connection *connection, uint64_t now)
{
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
    if (left == connection->write_left ||
        now - connection->write_began_ms >= connection->all->settings->write_ms) {
        return true;
    }
    connection->write_left = left;
    connection->since_ms = now;
    xt_ring_append(&connection->all->phases[XT_PHASE_WRITING], &connection->link);
    return false;
}

static void expire(struct xt_connection *connection, uint64_t now)
{
    switch (connection->phase) {
    case XT_PHASE_IDLE:
        part(connection);
        break;
    case XT_PHASE_HEAD:
    case XT_PHASE_BODY:
        time_out(connection);
        break;
    case XT_PHASE_STREAM:
    case XT_PHASE_DEFERRED:
        if (xt_exchange_give_up(&connection->exchange)) {
            xt_connection_set_phase(connection, connection->phase);
            xt_connection_wake(connection);
        } else {
            xt_connection_close(connection); /* in the middle of an answer */
        }
        break;
    case XT_PHASE_WRITING:
        if (is_stalled(connection, now)) {
            xt_connection_close(connection);
        }
        break;
    case XT_PHASE_HANDSHAKE:
    case XT_PHASE_LINGERING:
    case XT_PHASE_COUNT:
        xt_connection_close(connection);
        break;
    }
}

void xt_connections_sweep(struct xt_connections *all)
{
    const struct xt_settings *settings = all->settings;
    const uint64_t limits[XT_PHASE_COUNT] = {
        [XT_PHASE_HANDSHAKE] = settings->handshake_ms,
        [XT_PHASE_IDLE] = all->draining ? FIRST_REQUEST_MS : settings->idle_ms,
        [XT_PHASE_HEAD] = settings->header_ms,
        [XT_PHASE_BODY] = settings->body_ms,
        [XT_PHASE_STREAM] = settings->stream_ms,
        [XT_PHASE_DEFERRED] = settings->answer_ms,
        [XT_PHASE_WRITING] = settings->write_stall_ms < settings->write_ms
                                 ? settings->write_stall_ms
                                 : settings->write_ms,
        [XT_PHASE_LINGERING] = XT_LINGER_MS,
    };
    uint64_t now = uv_now(all->loop);
    xt_connections_tell(all);
    (void)xt_gates_release(all, NULL); /* what has an answer waiting is none of those below */
    for (unsigned phase = 0; phase < XT_PHASE_COUNT; phase++) {
        struct xt_ring *list = &all->phases[phase];
        while (!xt_ring_is_empty(list)) {
            struct xt_connection *oldest = xt_ring_entry(list->next, struct xt_connection, link);
            if (now - oldest->since_ms < limits[phase]) {
                break;
            }
            expire(oldest, now); /* takes it out of this list, or to its end with a new time */
        }
    }
}

/* The oldest without a finished handshake: one that was refused and lingers, else one that is at it.
 * NULL: none among the first few. */
static struct xt_connection *oldest_stranger(struct xt_connections *all)
{
    struct xt_ring *list = &all->phases[XT_PHASE_LINGERING];
    struct xt_ring *link = list->next;
    for (unsigned i = 0; i < LOOKED_AT && link != list; i++, link = link->next) {
        struct xt_connection *connection = xt_ring_entry(link, struct xt_connection, link);
        if (connection->shaking) {
            return connection;
        }
    }
    list = &all->phases[XT_PHASE_HANDSHAKE];
    return xt_ring_is_empty(list) ? NULL : xt_ring_entry(list->next, struct xt_connection, link);
}

/* The one that has been idle longest. Not a newcomer whose first request may be on its way, perhaps in
 * the socket already: whoever has not been served yet must not make room for the next, or nobody would
 * be. NULL: none among the first few. */
static struct xt_connection *oldest_idle(struct xt_connections *all)
{
    const struct xt_ring *list = &all->phases[XT_PHASE_IDLE];
    struct xt_ring *link = list->next;
    uint64_t now = uv_now(all->loop);
    for (unsigned i = 0; i < LOOKED_AT && link != list; i++, link = link->next) {
        struct xt_connection *connection = xt_ring_entry(link, struct xt_connection, link);
        if (connection->exchange.answered > 0 || now - connection->since_ms >= FIRST_REQUEST_MS) {
            return connection;
        }
    }
    return NULL;
}

bool xt_connections_close_idlest(struct xt_connections *all)
{
    (void)xt_gates_release(all, NULL);
    /* Strangers make room before partners do. */
    struct xt_connection *stranger = all->shaking > all->open / 2 ? oldest_stranger(all) : NULL;
    struct xt_connection *idle = stranger == NULL ? oldest_idle(all) : NULL;
    struct xt_ring *heads = &all->phases[XT_PHASE_HEAD];
    if (stranger != NULL) {
        xt_connection_close(stranger);
    } else if (idle != NULL) {
        part(idle);
    } else if (all->probes && !xt_ring_is_empty(heads)) {
        /* The admin listener has few places, and its probes must not wait for a stuck one. */
        xt_connection_close(xt_ring_entry(heads->next, struct xt_connection, link));
    } else {
        return false;
    }
    xt_counter_add(&all->service->counters->shed[XT_SHED_CONNECTION], 1);
    return true;
}

void xt_connections_drain(struct xt_connections *all)
{
    struct xt_ring *idle = &all->phases[XT_PHASE_IDLE];
    all->draining = true;
    for (struct xt_ring *link = idle->next; link != idle; link = link->next) {
        xt_ring_entry(link, struct xt_connection, link)->since_ms = uv_now(all->loop);
    }
    struct xt_ring *streams = &all->phases[XT_PHASE_STREAM];
    for (struct xt_ring *link = streams->next; link != streams; link = link->next) {
        xt_connection_wake(xt_ring_entry(link, struct xt_connection, link)); /* to end */
    }
}

void xt_connections_abort(struct xt_connections *all)
{
    xt_turns_close(all);
    for (unsigned phase = 0; phase < XT_PHASE_COUNT; phase++) {
        while (!xt_ring_is_empty(&all->phases[phase])) {
            xt_connection_close(xt_ring_entry(all->phases[phase].next, struct xt_connection, link));
        }
    }
}
