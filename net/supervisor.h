/* net/supervisor: the process that the operator starts: opens the sockets, reads and checks everything,
 * starts and replaces the processes that serve, and answers signals. It parses no request.
 *
 *   SIGHUP            reads settings, certificates, lists and partners again: all or nothing
 *   SIGTERM, SIGINT   drains and ends; a second one cuts off
 *   SIGUSR2           starts the program anew and lets it take over (net/upgrade)
 *
 *   DIR/partners, DIR/identity changed --> checked here --> told to every worker
 *
 * A worker has two places, of which one serves: its successor starts in the other one, and only when it
 * serves is the one before told to leave. The listening sockets stay open here all the time, so that
 * the queue of a worker that crashed waits for the one that replaces it.
 *
 *         start                READY                 told to leave, or leaves by itself
 *   ABSENT ----> STARTING ------------> SERVING -----------------------------------------> LEAVING
 *      ^             |                     |                                                  |
 *      +-- replaced -+-------- dies -------+--------------------- ends -----------------------+
 *
 * Replaced at once; but one that dies at its start, or within half a second of it, waits for 100 ms,
 * then 200 ms, up to 5 s, so that a fault that stays does not eat the machine.
 */
#ifndef XT_NET_SUPERVISOR_H
#define XT_NET_SUPERVISOR_H

#include "crypto/keyring.h"
#include "net/supervisor_material.h"

struct xt_supervisor_plan {
    const char *dir;     /* absolute */
    const char *program; /* absolute: what an upgrade starts */
    const struct xt_overrides *overrides;
    struct xt_settings settings; /* read and checked */
    bool take_over; /* the one that runs now hands over on XT_CONTROL_FD (net/upgrade) */
};

/* Until the service ends. XT_OK: drained. XT_CLOSED: cut off by a second signal. Everything else: it
 * did not start; *failure tells why. Blocks. */
XT_MUST_USE enum xt_status xt_supervisor_run(const struct xt_supervisor_plan *plan,
                                             struct xt_failure *failure);

#endif
