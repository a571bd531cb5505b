/* net/connection: one client: socket, TLS or none, requests, and how long each of its states may last.
 *
 *              accept            first byte      head whole
 *   HANDSHAKE ---------> IDLE ------------> HEAD -----------> BODY
 *                          ^                  |                 |
 *                          +---- answered ----+-----------------+
 *   BODY of a stream (net/stream): STREAM, which begins anew with each line taken and answer written;
 *        nothing is read while it takes no line
 *   a request that is answered later (net/deferred): DEFERRED; nothing is read
 *   any: the socket takes no more  -> WRITING (nothing is read) -> back
 *   any: the last answer is sent   -> LINGERING (read and thrown away, until the client closes)
 *
 * Each state has one time limit, so its connections stand in a list ordered by age and one timer per
 * loop looks at the heads. Input is handled only while no output waits: what one turn reads is answered
 * in that turn with one write, and a client that does not read is not read from.
 *
 * Fairness: a turn answers a few requests of each connection; input left over waits for the next turn,
 * which comes at once. Steps of handshakes over the turn's number stay in their sockets and are taken
 * in the order they came; meanwhile only a quarter as many new clients are accepted. A few bytes that
 * do not complete a flight are no step. A turn that lasts too long answers the rest of its requests 503.
 *
 * The audit log: answers that are to be written down wait, encrypted, until their entries are in its file:
 * those of many connections together, at the end of the turn or when XT_GATED_MOST wait. If they cannot be
 * written, the connections are closed instead.
 *
 * Memory: between requests a connection holds its struct and its TLS state only. The buffers of the
 *         loop are lent to it during a read; while it waits for the socket with input left over it
 *         keeps them, and the loop takes others from a bounded pool.
 * Ownership: freed in the close callback of its handle, nowhere else; xt_connection_close is the one
 *         way down.
 */
#ifndef XT_NET_CONNECTION_H
#define XT_NET_CONNECTION_H

#include <uv.h>

#include "crypto/tls.h"
#include "net/exchange.h"
#include "net/ring.h"

#define XT_READ_BUFFER 65536  /* bytes: ciphertext of one read */
#define XT_PLAIN_BUFFER 16384 /* bytes: plaintext of one TLS record */
/* Connections whose answers wait for one write of the audit log: so many that the write costs each of them
 * next to nothing, so few that the first does not wait for long; and the same where the disk is waited for. */
#define XT_GATED_MOST 32
#define XT_GATED_MOST_SYNCED 512
#define XT_LINGER_MS 2000       /* for a client to read our last answer before the socket goes */
#define XT_LINGER_BYTES 1048576 /* that we throw away meanwhile */

enum xt_phase {
    XT_PHASE_HANDSHAKE,
    XT_PHASE_IDLE,
    XT_PHASE_HEAD,
    XT_PHASE_BODY,
    XT_PHASE_STREAM,
    XT_PHASE_DEFERRED,
    XT_PHASE_WRITING,
    XT_PHASE_LINGERING,
    XT_PHASE_COUNT
};

struct xt_connection;

/* What the connections of one loop share. */
struct xt_connections {
    uv_loop_t *loop;
    const struct xt_settings *settings;
    struct xt_service *service;
    struct xt_tls_context
        *tls; /* that of new clients, which judges those that are here; NULL: plain */
    struct xt_http_shared http;
    struct xt_pool pool;                   /* struct xt_connection */
    struct xt_pool buffers;                /* XT_READ_BUFFER bytes: lent to those that wait */
    uint8_t *read, *plain;                 /* of this turn */
    uint8_t *output;                       /* XT_OUTPUT_MAX bytes */
    struct xt_ring phases[XT_PHASE_COUNT]; /* oldest first */
    struct xt_ring gated;                  /* those whose output waits for the audit log */
    unsigned gated_count;
    struct xt_ring turns;   /* those with input left over: next turn, in this order */
    struct xt_ring streams; /* the same of those whose streams yield to them */
    struct xt_ring shakes;  /* those whose handshake goes on when it is their turn */
    uv_prepare_t turn_end;  /* before the loop waits */
    uv_idle_t go_on;        /* active while somebody is in turns: the loop does not wait */
    uint32_t stream_lines;  /* that the stream at hand may take; 0: it is nobody's turn of these */
    uint64_t line_ns;       /* what a line of them costs, as of the last turns */
    uint64_t turn_began_ns; /* 0: nobody was handled in this turn */
    bool turn_excused;      /* it was too long once */
    uint32_t handshakes_left; /* steps that this turn may take */
    unsigned count;           /* structs in use */
    unsigned open;            /* sockets in use: those being torn down have none any more */
    unsigned shaking;         /* of the open ones: in their TLS handshake, so known to nobody yet */
    /* CLOCK_REALTIME, as of a look at it, less CLOCK_MONOTONIC */
    uint64_t wall_read_ns, wall_offset_ns;
    /* For the times of turns: when somebody was first handled in this one, excused or not (0: nobody was),
     * and the end of the one before, where the loop did not wait after it (0: it did). */
    uint64_t served_from_ns, spins_from_ns;
    bool draining;
    bool probes; /* the admin listener: the oldest half-sent request makes room as well, and no
                  * request is refused for overload */
    struct xt_log_limit log_limit;
    /* Called when one is gone: room for a waiting client, or the end of a drain. */
    void (*gone)(void *context);
    void *context;
};

/* Which socket a client came from. */
struct xt_entrance {
    struct xt_tls_context *tls; /* NULL: plain */
    const struct xt_routes *routes;
};

XT_MUST_USE enum xt_status xt_connections_open(struct xt_connections *connections, uv_loop_t *loop,
                                               const struct xt_settings *settings,
                                               struct xt_service *service);
/* After the settings have changed (times count at once, sizes from the next request on). */
void xt_connections_reload(struct xt_connections *connections);
/* None may be left, and the loop must have ended after xt_connections_abort. */
void xt_connections_close(struct xt_connections *connections);

/* Takes an accepted socket; it is closed on failure. */
void xt_connection_open(struct xt_connections *connections, const struct xt_entrance *entrance,
                        int socket, const uint8_t address[16]);

/* Closes what has been in its state for too long. */
void xt_connections_sweep(struct xt_connections *connections);
/* Makes room: the oldest handshake while strangers hold more than half of the places, else the
 * connection that has been idle longest, but no newcomer who has just come; false: there is none. */
bool xt_connections_close_idlest(struct xt_connections *connections);
/* From now on every answer is its connection's last, and idle ones have a second left. */
void xt_connections_drain(struct xt_connections *connections);
/* Closes every one, whatever it is doing, and what keeps turns: nothing may be opened afterwards. */
void xt_connections_abort(struct xt_connections *connections);

#endif
