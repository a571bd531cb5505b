/* net/connection_gate: answers that wait until the audit log has their entries. */
#include "net/connection_internal.h"
#include "net/metrics.h"

/* After a write that was not the connection's own doing. */
static void go_on(struct xt_connection *connection, enum xt_flow flow)
{
    if (flow == XT_FLOW_WAITING) {
        xt_ring_remove(&connection->turn); /* the end of the write comes before its turn */
    } else if (flow == XT_FLOW_DRAINED && connection->last) {
        xt_connection_linger(connection);
    }
}

enum xt_flow xt_gates_release(struct xt_connections *all, struct xt_connection *self)
{
    enum xt_flow told = XT_FLOW_DRAINED;
    if (xt_ring_is_empty(&all->gated)) {
        return told;
    }
    bool logged = xt_audit_trail_flush(all->service->trail) == XT_OK;
    while (!xt_ring_is_empty(&all->gated)) {
        struct xt_connection *connection =
            xt_ring_entry(all->gated.next, struct xt_connection, gate);
        enum xt_flow flow = XT_FLOW_GONE;
        xt_ring_remove(&connection->gate);
        all->gated_count--;
        all->service->gated--;
        connection->exchange.awaits_log = false;
        if (logged) {
            flow = xt_connection_flush(connection);
        } else {
            xt_connection_close(connection);
        }
        if (connection == self) {
            told = flow;
        } else {
            go_on(connection, flow);
        }
    }
    if (xt_metrics_turn_answered(all->service)) {
        xt_metrics_turn_end_at(all->service, uv_hrtime());
    }
    return told;
}

enum xt_flow xt_gate_wait(struct xt_connection *connection)
{
    struct xt_connections *all = connection->all;
    unsigned most =
        strcmp(all->settings->audit_sync, "answer") == 0 ? XT_GATED_MOST_SYNCED : XT_GATED_MOST;
    xt_require(!xt_connection_is_gated(connection));
    xt_ring_append(&all->gated, &connection->gate);
    all->gated_count++;
    all->service->gated++;
    return all->gated_count < most ? XT_FLOW_GATED : xt_gates_release(all, connection);
}
