#include "net/connection_internal.h"

/* TLS records of one connection opened in one turn: a read of full ones has four, and one with a
 * byte in each has thousands, at about half a microsecond. */
#define RECORDS_PER_TURN 64

/* Bytes of a handshake that are read and wait for more of the same flight: so few cost less than a step
 * even with a record around each, so that whoever trickles takes nobody's turn. */
#define TRICKLE_MAX 1024

/* ---- states ----------------------------------------------------------------------------------- */

/* More of them is progress. */
static uint32_t steps_of(const struct xt_connection *connection)
{
    return connection->exchange.answered + connection->exchange.stream_steps;
}

void xt_connection_set_phase(struct xt_connection *connection, enum xt_phase phase)
{
    connection->phase = phase;
    connection->since_ms = uv_now(connection->all->loop);
    connection->steps = steps_of(connection);
    xt_ring_append(&connection->all->phases[phase], &connection->link);
}

/* After a turn: which wait is it now? A state that goes on keeps its time, so that bytes trickling in
 * do not extend it. */
static void settle_phase(struct xt_connection *connection)
{
    enum xt_phase phase = XT_PHASE_IDLE;
    if (connection->shaking) {
        phase = XT_PHASE_HANDSHAKE;
    } else if (connection->exchange.stream != NULL) {
        phase = XT_PHASE_STREAM;
    } else if (connection->exchange.deferred != NULL) {
        phase = XT_PHASE_DEFERRED;
    } else if (connection->exchange.http.stage == XT_HTTP_BODY) {
        phase = XT_PHASE_BODY;
    } else if (connection->exchange.http.stage != XT_HTTP_BETWEEN ||
               !xt_ring_is_empty(&connection->turn)) {
        phase = XT_PHASE_HEAD; /* also with input left over: it is not idle */
    }
    if (phase != connection->phase || connection->steps != steps_of(connection)) {
        xt_connection_set_phase(connection, phase);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct xt_connection *connection = handle->data;
    struct xt_connections *all = connection->all;
    xt_tls_close(connection->tls);
    xt_exchange_close(&connection->exchange);
    xt_pool_give(&all->buffers, connection->held_read);
    xt_pool_give(&all->buffers, connection->held_plain);
    xt_pool_give(&all->buffers, connection->held_output);
    xt_pool_give(&all->pool, connection);
    all->count--;
    if (all->gone != NULL) {
        all->gone(all->context);
    }
}

/* The one way down. What is in flight is cancelled by libuv before on_closed. */
void xt_connection_close(struct xt_connection *connection)
{
    if (!connection->closing) {
        connection->closing = true;
        connection->all->open--;
        xt_exchange_leave(&connection->exchange);
        connection->all->shaking -= connection->shaking;
        if (connection->shaking && !connection->last) {
            xt_counter_add(&connection->all->service->counters->handshakes_unfinished, 1);
        }
        xt_connections_tell(connection->all);
        xt_ring_remove(&connection->link);
        xt_ring_remove(&connection->turn);
        if (xt_connection_is_gated(connection)) {
            xt_ring_remove(&connection->gate);
            connection->all->gated_count--;
            connection->all->service->gated--;
        }
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
    }
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct xt_connection *connection = handle->data;
    bool later = !xt_ring_is_empty(&connection->turn) || xt_connection_is_gated(connection);
    if (connection->had_full_read) { /* others first: libuv would read 32 times in a row */
        connection->had_full_read = false;
        later = true;
    }
    if (later || (connection->phase == XT_PHASE_HANDSHAKE && !xt_turn_may_shake(connection))) {
        *buffer = uv_buf_init(NULL, 0);
        return;
    }
    *buffer = uv_buf_init((char *)connection->all->read, XT_READ_BUFFER);
}

void xt_connection_set_reading(struct xt_connection *connection, bool reading)
{
    if (reading == connection->reading) {
        return;
    }
    connection->reading = reading;
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    if (!reading) {
        uv_read_stop(stream);
    } else if (uv_read_start(stream, give_buffer, on_read) != 0) {
        xt_connection_close(connection);
    }
}

/* ---- input ------------------------------------------------------------------------------------ */

static void log_handshake(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    struct xt_log_line line;
    if (xt_log_begin_limited(&all->log_limit, uv_now(all->loop), &line, XT_LOG_WARNING,
                             "handshake_refused")) {
        xt_log_text(&line, "reason", xt_tls_error(connection->tls));
        xt_log_end(&line);
    }
}

/* After a reload the certificate of an open connection may be revoked: asked again on every turn, which
 * costs two comparisons as long as nothing has changed, and when a handshake ends that began before. */
static void judge_again(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    if (connection->tls != NULL && !connection->shaking && all->tls != NULL) {
        connection->exchange.peer.refused =
            xt_tls_rejudge(connection->tls, all->tls, (int64_t)(all->service->unix_ms / 1000)) !=
            XT_OK;
    }
}

static enum xt_exchange_result shake(struct xt_connection *connection)
{
    enum xt_status status = xt_tls_handshake(connection->tls);
    /* What costs something, keys and signatures, ends in output, in a refusal or with the handshake. */
    if (status == XT_AGAIN && xt_tls_output(connection->tls).size == 0) {
        xt_turn_return_step(connection);
    }
    connection->stepping = false;
    if (status == XT_AGAIN) {
        return XT_EXCHANGE_MORE;
    }
    if (status != XT_OK) {
        log_handshake(connection);
        xt_counter_add(&connection->all->service->counters->handshakes_refused, 1);
        connection->last = true; /* the alert goes out, no close_notify */
        return XT_EXCHANGE_LAST;
    }
    connection->shaking = false;
    connection->all->shaking--;
    struct xt_counters *counters = connection->all->service->counters;
    xt_counter_add(xt_tls_resumed(connection->tls) ? &counters->handshakes_resumed
                                                   : &counters->handshakes_full,
                   1);
    struct xt_peer *peer = &connection->exchange.peer;
    peer->has_certificate = xt_tls_peer_spki(connection->tls, peer->spki) == XT_OK &&
                            xt_tls_peer_certificate(connection->tls, peer->certificate) == XT_OK;
    peer->not_after = xt_tls_peer_not_after(connection->tls);
    judge_again(connection);
    return XT_EXCHANGE_FULL; /* go on */
}

/* Takes the next piece of plaintext into connection->input. XT_AGAIN: there is none yet. */
static enum xt_status pull(struct xt_connection *connection)
{
    if (connection->tls == NULL) {
        return XT_AGAIN;
    }
    size_t got = 0;
    enum xt_status status =
        xt_tls_read(connection->tls, connection->all->plain, XT_PLAIN_BUFFER, &got);
    if (status == XT_OK) {
        connection->input = connection->all->plain;
        connection->input_size = got;
    }
    return status;
}

/* Handles input until there is none, the output is full or the turn is over. */
static enum xt_exchange_result consume(struct xt_connection *connection, struct xt_writer *output)
{
    bool stirred = connection->exchange.stream != NULL; /* it may have something to write */
    for (unsigned records = 0; records < RECORDS_PER_TURN; records++) {
        if (connection->shaking) {
            enum xt_exchange_result result = shake(connection);
            if (result != XT_EXCHANGE_FULL) {
                return result;
            }
        }
        if (connection->input_size == 0 && connection->exchange.http.stage != XT_HTTP_READY &&
            !stirred) {
            enum xt_status status = pull(connection);
            if (status == XT_AGAIN) {
                return XT_EXCHANGE_MORE;
            }
            if (status != XT_OK) { /* close_notify, or a broken record: the stream ends here */
                return XT_EXCHANGE_LAST;
            }
        }
        size_t used = 0;
        stirred = false;
        enum xt_exchange_result result = xt_exchange_run(&connection->exchange, connection->input,
                                                         connection->input_size, &used, output);
        connection->input += used;
        connection->input_size -= used;
        if (result != XT_EXCHANGE_MORE) {
            return result;
        }
    }
    return XT_EXCHANGE_TURN;
}

/* The loop's buffers hold input of ours while we wait: keep them, give the loop others. */
static bool hold_buffers(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    bool in_plain = connection->input_size > 0 && connection->tls != NULL &&
                    connection->input >= all->plain &&
                    connection->input < all->plain + XT_PLAIN_BUFFER;
    if (in_plain) {
        uint8_t *other = xt_pool_take(&all->buffers);
        if (other == NULL) {
            return false;
        }
        xt_pool_give(&all->buffers, connection->held_plain);
        connection->held_plain = all->plain;
        all->plain = other;
    }
    if (connection->held_read == NULL) {
        uint8_t *other = xt_pool_take(&all->buffers);
        if (other == NULL) {
            return false;
        }
        connection->held_read = all->read;
        all->read = other;
    }
    return true;
}

void xt_connection_forget_input(struct xt_connection *connection)
{
    connection->input_size = 0;
    xt_pool_give(&connection->all->buffers, connection->held_read);
    xt_pool_give(&connection->all->buffers, connection->held_plain);
    connection->held_read = connection->held_plain = NULL;
}

/* Whether it needs none of the loop's buffers while it waits for one answer: there may be thousands that do. */
static bool free_buffers(struct xt_connection *connection)
{
    if (connection->exchange.deferred == NULL || connection->input_size > 0 ||
        (connection->tls != NULL && xt_tls_settle(connection->tls) != XT_OK)) {
        return false;
    }
    xt_connection_forget_input(connection);
    return true;
}

/* Nothing is read until we are woken; who waits for the socket goes on when that has taken it all. */
static void wait_for_wake(struct xt_connection *connection, enum xt_flow flow)
{
    xt_connection_set_reading(connection, false);
    if (!free_buffers(connection) && !hold_buffers(connection)) {
        xt_counter_add(&connection->all->service->counters->shed[XT_SHED_NO_BUFFER], 1);
        xt_connection_close(connection);
    } else if (flow != XT_FLOW_WAITING) {
        settle_phase(connection);
    }
}

void xt_connection_wake(void *context)
{
    struct xt_connection *connection = context;
    if (!connection->closing && !connection->writing && !connection->last &&
        xt_ring_is_empty(&connection->turn)) {
        xt_turn_wait(connection);
    }
}

/* Ends waiting for more input, for the socket, for the next turn, or for the client's end. */
void xt_connection_advance(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    xt_require(!connection->writing && !xt_connection_is_gated(connection));
    if (connection->exchange.pieces == NULL) {
        connection->write_began_ms = 0;
    }
    xt_connections_set_time(all);
    judge_again(connection);
    connection->exchange.overloaded = xt_turn_is_overloaded(all);
    connection->exchange.retire =
        all->draining || uv_now(all->loop) - connection->opened_ms >= all->settings->connection_ms;
    enum xt_flow flow;
    for (;;) {
        struct xt_writer output = xt_writer_over(all->output, XT_OUTPUT_MAX);
        connection->exchange.turn_left = all->settings->requests_per_turn;
        connection->exchange.stream_left =
            all->stream_lines != 0 ? all->stream_lines : XT_STREAM_LINES_PER_TURN;
        enum xt_exchange_result result = consume(connection, &output);
        if (result == XT_EXCHANGE_LAST) {
            connection->last = true;
        } else if (result == XT_EXCHANGE_MORE && connection->tls != NULL &&
                   xt_tls_settle(connection->tls) != XT_OK) {
            xt_connection_close(connection);
            return;
        }
        flow = xt_connection_push(connection, &output);
        if (flow == XT_FLOW_GONE) {
            return;
        }
        if (result == XT_EXCHANGE_WAIT) {
            wait_for_wake(connection, flow);
            return;
        }
        if (result == XT_EXCHANGE_FULL || result == XT_EXCHANGE_TURN) {
            bool held = hold_buffers(connection);
            if (flow == XT_FLOW_GATED && !held) {
                flow = xt_gates_release(all, connection); /* its turn cannot wait */
                if (flow == XT_FLOW_GONE) {
                    return;
                }
            }
            if ((flow == XT_FLOW_DRAINED || flow == XT_FLOW_GATED) && held) {
                xt_turn_wait(connection);
                settle_phase(connection);
                xt_connection_set_reading(connection, true); /* its buffers come after its turn */
                return;
            }
            if (flow == XT_FLOW_DRAINED) {
                continue; /* all buffers are lent: its turn goes on */
            }
            if (!held) {
                xt_counter_add(&all->service->counters->shed[XT_SHED_NO_BUFFER], 1);
                xt_connection_close(connection);
            }
            return;
        }
        /* All input is used, or copied by xt_tls_settle, or follows the last request. */
        xt_connection_forget_input(connection);
        if (flow == XT_FLOW_WAITING) {
            return;
        }
        break;
    }
    if (connection->last) {
        if (flow != XT_FLOW_GATED) {
            xt_connection_linger(connection);
        }
        return;
    }
    settle_phase(connection);
    xt_connection_set_reading(connection, true);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct xt_connection *connection = stream->data;
    if (got == UV_ENOBUFS && connection->phase == XT_PHASE_HANDSHAKE &&
        !xt_ring_is_empty(&connection->turn)) {
        xt_connection_set_reading(connection, false); /* put off, perhaps behind many others */
    }
    if (got <= 0) {
        xt_turn_return_step(connection);
    }
    if (got == 0 || got == UV_ENOBUFS || connection->closing) {
        return; /* libuv's word for EAGAIN */
    }
    if (got < 0) {
        xt_connection_close(connection);
        return;
    }
    struct xt_connections *all = connection->all;
    xt_counter_add(&all->service->counters->bytes_in[xt_connections_kind(all)], (size_t)got);
    connection->had_full_read = (size_t)got == XT_READ_BUFFER;
    connection->stepping = connection->stepping && got <= TRICKLE_MAX;
    if (connection->phase == XT_PHASE_LINGERING) {
        connection->lingered += (size_t)got;
        if (connection->lingered > XT_LINGER_BYTES) {
            xt_connection_close(connection);
        }
        return;
    }
    if (connection->tls != NULL) {
        xt_tls_feed(connection->tls, xt_span_of(buffer->base, (size_t)got));
    } else {
        connection->input = (const uint8_t *)buffer->base;
        connection->input_size = (size_t)got;
    }
    if (xt_connection_yields(connection) && hold_buffers(connection)) {
        xt_turn_wait(connection);
    } else {
        xt_connection_advance(connection);
    }
}
