/* net/connection_internal: what connection.c (one of them), connection_output.c (what it sends), connections.c (all
 * of them) and connection_turn.c (who comes when) share. */
#ifndef XT_NET_CONNECTION_INTERNAL_H
#define XT_NET_CONNECTION_INTERNAL_H

#include "net/connection.h"

struct xt_connection {
    uv_tcp_t tcp;
    uv_write_t write;
    struct xt_connections *all;
    struct xt_ring link; /* in the list of its phase */
    struct xt_ring turn; /* in turns, streams or shakes, or in none */
    struct xt_ring gate; /* in gated, or in none: its output must not leave yet */
    enum xt_phase phase;
    uint64_t since_ms; /* when the phase (and, in HEAD and BODY, this request) began */
    uint64_t opened_ms;
    uint64_t write_began_ms;         /* 0: nothing waits, and no answer is under way in pieces */
    size_t write_left;               /* bytes at the last look: less means progress */
    size_t lingered;                 /* bytes thrown away */
    struct xt_tls *tls;              /* NULL: plain */
    uint8_t *held_read, *held_plain; /* the loop's buffers, kept while waiting */
    uint8_t *held_output;            /* plain only: what the socket did not take */
    size_t output_at, output_size;
    const uint8_t *input; /* plaintext not handled yet, in one of the buffers */
    size_t input_size;
    uint32_t steps;                                /* of the exchange, when the phase was set */
    bool shaking, reading, writing, last, closing; /* writing: libuv has the one uv_write_t */
    bool had_full_read;                            /* the next read waits for the next turn */
    bool admitted;                                 /* its handshake may take a step */
    bool stepping; /* and one of this turn's was taken for what is being read */
    struct xt_exchange exchange;
};

void xt_connection_set_phase(struct xt_connection *connection, enum xt_phase phase);

/* Reads from the socket or not. */
void xt_connection_set_reading(struct xt_connection *connection, bool reading);

enum xt_flow {
    XT_FLOW_DRAINED, /* the kernel has all of it */
    XT_FLOW_WAITING, /* one uv_write has the rest; nothing is read meanwhile */
    XT_FLOW_GATED,   /* it waits for the audit log; xt_gates_release goes on */
    XT_FLOW_GONE     /* the connection is torn down */
};

/* Sends what is pending: at once what the socket takes, the rest when it takes more. */
enum xt_flow xt_connection_flush(struct xt_connection *connection);

/* Sends a turn's answers with one write. With connection->last set, nothing follows. */
enum xt_flow xt_connection_push(struct xt_connection *connection, const struct xt_writer *output);

/* Its stream has something to write, or takes lines again: its turn comes. */
void xt_connection_wake(void *connection);

/* After the last answer is with the kernel. */
void xt_connection_linger(struct xt_connection *connection);

/* Handles what input there is, within what one turn has for it. Never while a write is under way. */
void xt_connection_advance(struct xt_connection *connection);

/* What was read and not handled is thrown away, and the loop's buffers that hold it go back. The last
 * answer has been decided on: nothing is handled after it. */
void xt_connection_forget_input(struct xt_connection *connection);

/* ---- the audit log (connection_gate.c) ---------------------------------------------------------- */

static inline bool xt_connection_is_gated(const struct xt_connection *connection)
{
    return !xt_ring_is_empty(&connection->gate);
}
/* Its output is pending and must not leave before the log is written. */
enum xt_flow xt_gate_wait(struct xt_connection *connection);
/* Writes the log and sends what waited for it; what then waits for its socket, or was its connection's last,
 * goes on as after any write, but for `self` (NULL: nobody), whose flow is given. */
enum xt_flow xt_gates_release(struct xt_connections *connections, struct xt_connection *self);

/* ---- turns (connection_turn.c) ---------------------------------------------------------------- */

void xt_turns_open(struct xt_connections *connections);
void xt_turns_close(struct xt_connections *connections);
/* Marks that work for a connection begins, after xt_connections_set_time; true: the turn has lasted so
 * long that requests are refused. */
bool xt_turn_is_overloaded(struct xt_connections *connections);
/* Whether its stream yields to requests. */
static inline bool xt_connection_yields(const struct xt_connection *connection)
{
    return connection->exchange.stream != NULL && connection->exchange.stream->kind->yields;
}

/* Its input left over waits for the next turn. */
void xt_turn_wait(struct xt_connection *connection);
/* Whether a handshake may take a step now; false: it is put off and must not be read from. */
bool xt_turn_may_shake(struct xt_connection *connection);
/* What was read was no step, and cost next to nothing: another may have it. */
void xt_turn_return_step(struct xt_connection *connection);

/* The one way down. What is in flight is cancelled by libuv before the struct is given back. */
void xt_connection_close(struct xt_connection *connection);

static inline enum xt_entrance_kind xt_connections_kind(const struct xt_connections *connections)
{
    return connections->probes ? XT_ENTRANCE_ADMIN : XT_ENTRANCE_API;
}

/* Sets the gauges that metrics tell of them. */
void xt_connections_tell(const struct xt_connections *connections);

/* Tells the service the time of this turn. */
void xt_connections_set_time(struct xt_connections *connections);

#endif
