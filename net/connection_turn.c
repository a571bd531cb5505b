/* net/connection_turn: what one turn of the loop may cost, and who comes next.
 *
 *   the loop:  wait -> sockets that are ready, each once -> input left over, each once -> streams -> wait ...
 *                      |<---------------------------- one turn ---------------------------->|
 *
 * Streams that yield have what requests leave of STREAMS_NS, but at least STREAMS_LEAST_NS: a few lines each, as
 * many as that time is for by what a line took last, the same for all. Those whose turn does not come any
 * more are the first of the next.
 */
#include "net/connection_internal.h"
#include "net/metrics.h"

#define STREAMS_NS 300000 /* a request that comes meanwhile waits for a third of a millisecond */
#define STREAMS_LEAST_NS 60000 /* however much requests take: streams go on, if slowly */
#define LINE_NS 2000           /* of a line, before the first was measured */
#define LINES_LEAST 16         /* of a stream in a turn: a few overlap their waits for memory */
#define LINES_MOST 1024

static struct xt_connection *first_of(const struct xt_ring *list)
{
    return xt_ring_entry(list->next, struct xt_connection, turn);
}

/* Those that were there when we began, each once: what they leave over again waits for the next. */
static void serve_turns(struct xt_connections *all)
{
    struct xt_ring *last = all->turns.previous;
    while (!xt_ring_is_empty(&all->turns)) {
        struct xt_ring *link = all->turns.next;
        struct xt_connection *connection = first_of(&all->turns);
        xt_ring_remove(link);
        xt_connection_advance(connection);
        if (link == last) {
            break;
        }
    }
}

/* The time of this turn that is the streams'. */
static uint64_t time_of_streams(const struct xt_connections *all, uint64_t now)
{
    uint64_t spent = all->turn_began_ns == 0 ? 0 : now - all->turn_began_ns;
    return spent + STREAMS_LEAST_NS >= STREAMS_NS ? STREAMS_LEAST_NS : STREAMS_NS - spent;
}

/* There is at least one. */
static uint32_t lines_of_each(const struct xt_connections *all, uint64_t time_ns)
{
    unsigned count = 1;
    for (const struct xt_ring *at = all->streams.next->next; at != &all->streams; at = at->next) {
        count++;
    }
    uint64_t lines = time_ns / (all->line_ns == 0 ? LINE_NS : all->line_ns) / count;
    return lines < LINES_LEAST ? LINES_LEAST : lines > LINES_MOST ? LINES_MOST : (uint32_t)lines;
}

/* After a turn in which they took so many lines, everything that came of them included. */
static void measure_lines(struct xt_connections *all, uint32_t lines, uint64_t taken_ns)
{
    if (lines >= LINES_LEAST) {
        uint64_t each = taken_ns / lines + 1;
        each = each > 20 * LINE_NS ? 20 * LINE_NS : each; /* it was the machine */
        all->line_ns = all->line_ns == 0 ? each : (3 * all->line_ns + each) / 4;
    }
}

static void serve_streams(struct xt_connections *all)
{
    if (xt_ring_is_empty(&all->streams)) {
        return;
    }
    uint64_t began = uv_hrtime();
    uint64_t time_ns = time_of_streams(all, began);
    uint32_t each = lines_of_each(all, time_ns), lines = 0;
    struct xt_ring *last = all->streams.previous;
    for (bool more = true; more && !xt_ring_is_empty(&all->streams);) {
        struct xt_connection *connection = first_of(&all->streams);
        more = &connection->turn != last;
        xt_ring_remove(&connection->turn);
        all->stream_lines = each;
        all->service->clock_ns = 0;
        xt_connection_advance(connection);
        uint32_t left = connection->exchange.stream_left;
        lines += left < each ? each - left : 0;
        more = more && uv_hrtime() - began < time_ns;
    }
    all->stream_lines = 0;
    (void)xt_gates_release(all, NULL);
    measure_lines(all, lines, uv_hrtime() - began);
}

/* Reading goes on for as many as the next turn can take: their bytes are still in the sockets. */
static void admit_shakes(struct xt_connections *all)
{
    while (all->handshakes_left > 0 && !xt_ring_is_empty(&all->shakes)) {
        struct xt_connection *connection = first_of(&all->shakes);
        xt_ring_remove(&connection->turn);
        connection->admitted = true;
        all->handshakes_left--;
        xt_connection_set_reading(connection, true);
    }
}

static void do_nothing(uv_idle_t *idle)
{
    (void)idle;
}

/* Entries of answers that nobody waits for: their clients have gone, or take nothing. */
static void flush_log(struct xt_connections *all)
{
    struct xt_audit_trail *trail = all->service->trail;
    if (trail != NULL && trail->log != NULL && xt_audit_pending(trail->log) > 0) {
        (void)!xt_audit_trail_flush(trail);
    }
}

/* While streams have work the loop never waits: then all that it does between two ends of turns is in it. */
static void count_turn(struct xt_connections *all, bool goes_on)
{
    uint64_t from = all->spins_from_ns != 0 ? all->spins_from_ns : all->served_from_ns;
    uint64_t now = all->service->clock_ns;
    now = now == 0 && (from != 0 || goes_on) ? uv_hrtime() : now;
    if (from != 0 && !all->probes) {
        xt_metrics_turn_took(all->service, now - from);
    }
    all->spins_from_ns = goes_on ? now : 0;
    all->served_from_ns = 0;
}

static void on_turn_end(uv_prepare_t *prepare)
{
    struct xt_connections *all = prepare->data;
    (void)xt_gates_release(all, NULL); /* nobody's turn comes while his output waits */
    serve_turns(all);
    (void)xt_gates_release(all, NULL);
    serve_streams(all);
    flush_log(all);
    all->turn_began_ns = 0;
    all->turn_excused = false;
    xt_service_rest(all->service);
    all->handshakes_left = all->settings->handshakes_per_turn;
    admit_shakes(all);
    bool goes_on = !xt_ring_is_empty(&all->turns) || !xt_ring_is_empty(&all->streams);
    if (!goes_on) {
        (void)uv_idle_stop(&all->go_on);
    }
    count_turn(all, goes_on);
    all->service->clock_ns = 0; /* the loop may wait now */
}

void xt_turns_open(struct xt_connections *all)
{
    xt_ring_open(&all->gated);
    xt_ring_open(&all->turns);
    xt_ring_open(&all->streams);
    xt_ring_open(&all->shakes);
    all->handshakes_left = all->settings->handshakes_per_turn;
    /* None of these can fail, and none keeps the loop from ending. */
    (void)uv_prepare_init(all->loop, &all->turn_end);
    (void)uv_idle_init(all->loop, &all->go_on);
    (void)uv_prepare_start(&all->turn_end, on_turn_end);
    all->turn_end.data = all;
    uv_unref((uv_handle_t *)&all->turn_end);
    uv_unref((uv_handle_t *)&all->go_on);
}

void xt_turns_close(struct xt_connections *all)
{
    if (!uv_is_closing((uv_handle_t *)&all->turn_end)) {
        uv_close((uv_handle_t *)&all->turn_end, NULL);
        uv_close((uv_handle_t *)&all->go_on, NULL);
    }
}

bool xt_turn_is_overloaded(struct xt_connections *all)
{
    uint64_t now = all->service->monotonic_ns;
    if (all->turn_began_ns == 0) {
        all->turn_began_ns = now;
    }
    if (all->served_from_ns == 0) {
        all->served_from_ns = now;
    }
    if (all->probes ||
        now - all->turn_began_ns < (uint64_t)all->settings->overload_turn_ms * 1000000) {
        return false;
    }
    /* Once it may have been the machine that ran others meanwhile: then the rest takes no time, and
     * refusing it would help nobody. A turn that is long by itself comes here again. */
    bool excused = all->turn_excused;
    all->turn_excused = true;
    all->turn_began_ns = excused ? all->turn_began_ns : now;
    return excused;
}

void xt_turn_wait(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    xt_ring_append(xt_connection_yields(connection) ? &all->streams : &all->turns,
                   &connection->turn);
    (void)uv_idle_start(&all->go_on, do_nothing);
}

bool xt_turn_may_shake(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    if (connection->admitted) {
        connection->admitted = false;
        connection->stepping = true;
        return true;
    }
    if (all->handshakes_left > 0 && xt_ring_is_empty(&all->shakes)) {
        all->handshakes_left--;
        connection->stepping = true;
        return true;
    }
    xt_ring_append(&all->shakes, &connection->turn);
    return false;
}

void xt_turn_return_step(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    if (connection->stepping && all->handshakes_left < all->settings->handshakes_per_turn) {
        all->handshakes_left++;
    }
    connection->stepping = false;
}
