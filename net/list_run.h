/* net/list_run: asks about all lines of a list, on several connections, and writes their results in order.
 *
 *   input --> ring of pieces --> lanes (streams to the server) --> answers --> results, from the first piece on
 *
 * What breaks is asked again from the first line without an answer on; a server that is away, overloaded or
 * being replaced, and a quota that is used up, are waited for, longer and longer, up to half a minute, or as
 * long as Retry-After says. Thread: one. Memory: XT_LIST_LANE_PIECES pieces a connection and as many again.
 */
#ifndef XT_NET_LIST_RUN_H
#define XT_NET_LIST_RUN_H

#include "net/list_lane.h"
#include "store/progress.h"

struct xt_list_run_options {
    const struct xt_client_server *server;
    struct xt_tls_context *context;
    unsigned connections;
    bool stop_at_quota, quiet;
};

/* XT_OK: every line has a result. XT_CLOSED: interrupted, or the quota is used up. All else: *failure. In any
 * case what was answered is written. */
XT_MUST_USE enum xt_status xt_list_run(const struct xt_list_run_options *options,
                                       struct xt_list_input *input, struct xt_list_results *results,
                                       struct xt_progress *progress, struct xt_failure *failure);

#endif
