/* net/worker: one loop that answers: everything it has stands in one struct.
 *
 * Its sockets, settings, keys, certificates and partners are handed to it by the supervisor over its
 * control channel, and so is every change of them; the one thing it opens itself is a generation below
 * DIR/identity. What is new is built beside what is in force and swapped between turns; what cannot be
 * built is refused to the supervisor, and the old goes on.
 *
 * The end: DRAIN, the end of the channel (the supervisor is gone) or SIGTERM: it stops accepting and
 * drains: requests under way, and those that come within a second on open connections, are answered
 * with Connection: close, idle connections then go, and after limits.drain_timeout the rest is cut off.
 * In a service that ends it goes on answering probes (not ready) until the supervisor says that nobody
 * has anything left. SIGINT is the terminal's, for the supervisor, and ignored.
 */
#ifndef XT_NET_WORKER_H
#define XT_NET_WORKER_H

#include "crypto/file.h"
#include "crypto/keyring.h"
#include "crypto/tickets.h"
#include "net/batch.h"
#include "net/control.h"
#include "net/deferred.h"
#include "net/events.h"
#include "net/hashing.h"
#include "net/listener.h"
#include "net/snapshot.h"
#include "net/vitals.h"
#include "net/writer_channel.h"
#include "store/warm_up.h"

#define XT_NOT_DRAINING (-1)

struct xt_worker {
    uv_loop_t loop;
    char dir[XT_PATH_MAX];
    unsigned index;
    struct xt_keyring *keyring;
    struct xt_settings settings;
    struct xt_service service;
    struct xt_shared *shared;
    struct xt_vitals_source vitals;
    struct xt_tls_context *tls; /* of new clients */
    struct xt_tickets *tickets; /* outlives every context */
    struct xt_listener api, admin;
    unsigned room; /* connections that its descriptors allow; 0: it has not opened its listeners */
    struct xt_writer_channel *writer;
    struct xt_events_desk *events;
    struct xt_batch_desk *batch;
    struct xt_deferred_desk *deferred;
    struct xt_hashing *hashing; /* NULL: it could not be started */
    uint64_t hashes;            /* of it, counted already */
    struct xt_audit_trail trail;
    int channel; /* to the supervisor; closed by the end of the process only */
    uv_poll_t control;
    uv_timer_t sweep;
    uv_timer_t mapping;          /* runs while there are pages to be mapped */
    struct xt_warm_place mapped; /* of the generation, so far */
    uv_signal_t terminate;
    uint64_t ticked_ms, drain_began_ms;
    int drain_mode; /* enum xt_drain; XT_NOT_DRAINING */
    uint32_t lacks; /* the generation that it was to start with and could not open; 0: none */
    struct xt_failure lacks_why;
    uint64_t opened_ms;   /* of the loop's clock */
    bool segment_given;   /* with START */
    bool segment_refused; /* the last one; for the log */
    bool told_stopped;    /* to the supervisor, in a service that ends */
    bool timed_out, stopped;
};

/* Everything by which it starts, from the supervisor's START. The message stays the caller's; the
 * descriptors that were needed are taken out of it. On failure the process ends: nothing of it is worth
 * taking apart. */
XT_MUST_USE enum xt_status xt_worker_open(struct xt_worker *worker, int channel,
                                          struct xt_control_message *start,
                                          struct xt_failure *failure);
/* Says READY and serves until the end. */
void xt_worker_run(struct xt_worker *worker);
void xt_worker_close(struct xt_worker *worker);

/* How many connections one worker takes: as many as file descriptors allow, less a reserve, unless the
 * settings say fewer. Raises the soft limit to the hard one. XT_DENIED: there are too few. */
XT_MUST_USE enum xt_status xt_worker_connections(const struct xt_settings *settings,
                                                 unsigned *connections, struct xt_failure *failure);

/* `xacthuc serve-worker`: the child's command. Not for operators. */
int xt_command_serve_worker(int argc, char **argv);

/* Keys and people are in our memory: no core dumps, no ptrace by others of the same user. */
void xt_process_harden(void);

/* ---- worker_map.c: the warm-up's pages, mapped ---- */

bool xt_worker_map_open(struct xt_worker *worker);
/* Another generation is served. */
void xt_worker_map_anew(struct xt_worker *worker);
/* Begins to map if there is something to map; to be called now and then. */
void xt_worker_map_look(struct xt_worker *worker);
void xt_worker_map_stop(struct xt_worker *worker);

/* ---- between worker.c and worker_control.c ---- */

/* Settings, partners and certificates of a START or RELOAD: all or nothing. key empty: certificates are
 * as before. */
XT_MUST_USE enum xt_status xt_worker_take(struct xt_worker *worker,
                                          const struct xt_settings *settings, int snapshot,
                                          struct xt_span key, struct xt_failure *failure);
/* The keys that sign answers, as XT_START_SIGNING; empty: none from now on. */
XT_MUST_USE enum xt_status xt_worker_take_signing(struct xt_worker *worker, struct xt_span text);
/* digest: of the one that the supervisor has checked. XT_CORRUPT: another lies there. */
XT_MUST_USE enum xt_status xt_worker_take_generation(struct xt_worker *worker, uint32_t number,
                                                     struct xt_span digest,
                                                     struct xt_failure *failure);
void xt_worker_told(struct xt_worker *worker, struct xt_control_message *message);
/* mode: enum xt_drain. */
void xt_worker_drain(struct xt_worker *worker, int mode);
/* Says that it does not take the generation that it was told of. */
void xt_worker_refuse_generation(struct xt_worker *worker, uint32_t number,
                                 const struct xt_failure *failure);
/* Says whether it goes on in the segment that it was given. */
void xt_worker_tell_segment(struct xt_worker *worker, enum xt_status status);
/* What cannot be sent is lost: the supervisor is not there, or stuck. */
void xt_worker_tell(struct xt_worker *worker, const struct xt_control_message *message);

#endif
