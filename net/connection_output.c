#include <sys/socket.h>

#include "net/connection_internal.h"
#include "net/metrics.h"

_Static_assert(XT_OUTPUT_MAX + XT_TLS_OVERHEAD_MAX <= XT_TLS_OUTPUT_MAX,
               "what a turn writes fits into the output of TLS");
_Static_assert(XT_OUTPUT_MAX <= XT_READ_BUFFER, "a lent buffer holds an output");

/* The last answer is with the kernel: half-close, and read until the client closes too. Closing at
 * once with input unread would make the kernel send a reset that destroys the answer (RFC 9112
 * section 9.6). Nothing is queued in libuv, so the socket is shut down directly. */
void xt_connection_linger(struct xt_connection *connection)
{
    uv_os_fd_t socket;
    if (uv_fileno((uv_handle_t *)&connection->tcp, &socket) != 0 ||
        shutdown(socket, SHUT_WR) != 0) {
        xt_connection_close(connection);
        return;
    }
    xt_ring_remove(&connection->turn);
    xt_connection_set_phase(connection, XT_PHASE_LINGERING);
    xt_connection_set_reading(connection, true);
}

static struct xt_span pending_output(struct xt_connection *connection)
{
    if (connection->tls != NULL) {
        return xt_tls_output(connection->tls);
    }
    return xt_span_of(connection->held_output + connection->output_at, connection->output_size);
}

static void count_sent(struct xt_connection *connection, size_t size)
{
    struct xt_connections *all = connection->all;
    xt_counter_add(&all->service->counters->bytes_out[xt_connections_kind(all)], size);
}

static void output_taken(struct xt_connection *connection, size_t size)
{
    count_sent(connection, size);
    if (connection->tls != NULL) {
        xt_tls_output_taken(connection->tls, size);
        return;
    }
    connection->output_at += size;
    connection->output_size -= size;
    if (connection->output_size == 0) {
        xt_pool_give(&connection->all->buffers, connection->held_output);
        connection->held_output = NULL;
        connection->output_at = 0;
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct xt_connection *connection = request->handle->data;
    connection->writing = false;
    if (connection->closing) {
        return;
    }
    if (status < 0) {
        xt_connection_close(connection);
        return;
    }
    output_taken(connection, pending_output(connection).size);
    if (connection->last) {
        xt_connection_linger(connection);
    } else if (xt_connection_yields(connection)) { /* it keeps what it held */
        xt_turn_wait(connection);
    } else {
        xt_connection_advance(connection);
    }
}

/* The rest by one uv_write. An answer in pieces has one time for all of its writes: whoever takes it byte
 * by byte must not keep it under way for ever. */
static enum xt_flow wait_for_socket(struct xt_connection *connection, struct xt_span output)
{
    uv_buf_t buffer = {.base = (char *)(uintptr_t)output.data, .len = output.size};
    uint64_t now = uv_now(connection->all->loop);
    if (connection->write_began_ms == 0) {
        connection->write_began_ms = now;
    }
    xt_require(!connection->writing); /* libuv would link the one request into its queue twice */
    xt_connection_set_reading(connection, false);
    if (now - connection->write_began_ms >= connection->all->settings->write_ms ||
        uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written) !=
            0) {
        xt_connection_close(connection);
        return XT_FLOW_GONE;
    }
    connection->writing = true;
    xt_connection_set_phase(connection, XT_PHASE_WRITING);
    connection->write_left = output.size;
    return XT_FLOW_WAITING;
}

enum xt_flow xt_connection_flush(struct xt_connection *connection)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    struct xt_span output = pending_output(connection);
    if (output.size == 0) {
        return XT_FLOW_DRAINED;
    }
    uv_buf_t buffer = {.base = (char *)(uintptr_t)output.data, .len = output.size};
    int sent = uv_try_write(stream, &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        xt_connection_close(connection);
        return XT_FLOW_GONE;
    }
    if (sent > 0) {
        output_taken(connection, (size_t)sent);
        output = pending_output(connection);
        if (output.size == 0) {
            return XT_FLOW_DRAINED;
        }
    }
    return wait_for_socket(connection, output);
}

/* Plain connections: straight from the shared output to the socket, a copy of the rest is kept. */
static enum xt_flow send_plain(struct xt_connection *connection, struct xt_span plain)
{
    if (plain.size == 0) {
        return XT_FLOW_DRAINED;
    }
    uv_buf_t buffer = {.base = (char *)(uintptr_t)plain.data, .len = plain.size};
    int sent = uv_try_write((uv_stream_t *)&connection->tcp, &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        xt_connection_close(connection);
        return XT_FLOW_GONE;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    count_sent(connection, done);
    if (done == plain.size) {
        return XT_FLOW_DRAINED;
    }
    connection->held_output = xt_pool_take(&connection->all->buffers);
    if (connection->held_output == NULL) {
        xt_counter_add(&connection->all->service->counters->shed[XT_SHED_NO_BUFFER], 1);
        xt_connection_close(connection);
        return XT_FLOW_GONE;
    }
    connection->output_at = 0;
    connection->output_size = plain.size - done;
    memcpy(connection->held_output, plain.data + done, connection->output_size);
    return xt_connection_flush(connection);
}

static enum xt_flow push(struct xt_connection *connection, const struct xt_writer *output)
{
    bool gated = connection->exchange.awaits_log;
    if (connection->tls == NULL) {
        if (gated && xt_audit_trail_flush(connection->all->service->trail) != XT_OK) {
            xt_connection_close(connection); /* nothing of it is held back yet */
            return XT_FLOW_GONE;
        }
        connection->exchange.awaits_log = false;
        return send_plain(connection, xt_written(output));
    }
    if (output->size > 0) {
        size_t taken = 0;
        enum xt_status status = xt_tls_write(connection->tls, xt_written(output), &taken);
        if (status == XT_NO_MEMORY) {
            xt_counter_add(&connection->all->service->counters->shed[XT_SHED_NO_BUFFER], 1);
        }
        if (status != XT_OK || taken != output->size) {
            xt_connection_close(connection);
            return XT_FLOW_GONE;
        }
    }
    if (connection->last && !connection->shaking) {
        xt_tls_shutdown(connection->tls);
    }
    return gated ? xt_gate_wait(connection) : xt_connection_flush(connection);
}

/* Sends a turn's answers with one write. last: nothing follows. */
enum xt_flow xt_connection_push(struct xt_connection *connection, const struct xt_writer *output)
{
    struct xt_service *service = connection->all->service;
    enum xt_flow flow = push(connection, output);
    if (xt_metrics_turn_answered(service) && service->gated == 0) {
        xt_metrics_turn_end_at(service, uv_hrtime());
    }
    return flow;
}
