/* net/worker: one loop that answers: everything it has stands in one struct.
 *
 * Sockets, settings and keys are handed to it; it opens the generation and the partners itself and
 * follows their changes. Nothing here is global, so that several can be forked off.
 *
 * The end: the first SIGTERM or SIGINT stops accepting and drains: requests under way, and those that come within
 * a second on open connections, are answered with Connection: close, idle connections then go, and after limits.drain_timeout the rest is cut off. The
 * admin listener answers (not ready) until the last partner has gone. A second signal ends at once.
 */
#ifndef XT_NET_WORKER_H
#define XT_NET_WORKER_H

#include "crypto/keyring.h"
#include "net/listener.h"
#include "net/watch.h"

struct xt_worker {
    uv_loop_t loop;
    const char *dir;
    const struct xt_keyring *keyring;
    struct xt_settings settings;
    struct xt_service service;
    struct xt_listener api, admin;
    struct xt_watch partners, identity;
    uv_timer_t sweep;
    uv_signal_t terminate, interrupt, hangup;
    uint64_t polled_ms, drain_began_ms;
    bool draining, stopped, cut_off;
};

struct xt_worker_start {
    const char *dir; /* borrowed, like all of these, while the worker runs */
    const struct xt_settings *settings;
    const struct xt_keyring *keyring;
    struct xt_tls_context *tls;
    int api_socket, admin_socket; /* taken */
    unsigned connections;
};

XT_MUST_USE enum xt_status xt_worker_open(struct xt_worker *worker,
                                          const struct xt_worker_start *start,
                                          struct xt_failure *failure);
/* Until the end; false: a second signal cut it off. */
bool xt_worker_run(struct xt_worker *worker);
void xt_worker_close(struct xt_worker *worker);

#endif
