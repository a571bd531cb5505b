/* net/route: which handler answers which target. Targets are compared byte by byte: nothing is
 * decoded, no dot segments, no trailing slashes. */
#ifndef XT_NET_ROUTE_H
#define XT_NET_ROUTE_H

#include "net/service.h"

/* Answers at once, within the loop's turn. answer->body may stand in the service's scratch memory. */
typedef void (*xt_handler)(struct xt_call *call, struct xt_answer *answer);

/* In a route's methods: the body of POST is not there yet, and the handler opens a stream for it, or
 * refuses (net/stream). */
#define XT_STREAMED (1 << 7)

struct xt_route {
    const char *path;
    uint8_t methods; /* set of enum xt_method, XT_OPTIONS in it */
    xt_handler handle;
};

struct xt_routes {
    const struct xt_route *list;
    size_t count;
    uint8_t methods; /* of all of them, for OPTIONS * */
    bool logged;     /* every answer, refusals included, is written into the audit log */
};

extern const struct xt_routes xt_api_routes;   /* TLS, partners */
extern const struct xt_routes xt_admin_routes; /* plain, loopback */

/* What metrics call it; NULL: XT_ROUTE_OTHER. */
enum xt_route_id xt_route_id_of(const struct xt_route *route);

/* NULL: there is none. */
const struct xt_route *xt_route_find(const struct xt_routes *routes, struct xt_span path);

/* Whether the target may have a query, which the handler judges. */
bool xt_route_has_query(const struct xt_route *route);
/* Bytes of the largest body; 0: it fits into the scratch memory, or is always there. */
size_t xt_route_room(const struct xt_route *route);

/* Handlers. */
void xt_handle_verify(struct xt_call *call, struct xt_answer *answer);
void xt_handle_batch(struct xt_call *call, struct xt_answer *answer);
void xt_handle_challenges(struct xt_call *call, struct xt_answer *answer);
void xt_handle_authenticate(struct xt_call *call, struct xt_answer *answer);
void xt_handle_activate(struct xt_call *call, struct xt_answer *answer);
void xt_handle_lock(struct xt_call *call, struct xt_answer *answer);
void xt_handle_unlock(struct xt_call *call, struct xt_answer *answer);
void xt_handle_passcode(struct xt_call *call, struct xt_answer *answer);
void xt_handle_device_add(struct xt_call *call, struct xt_answer *answer);
void xt_handle_device_remove(struct xt_call *call, struct xt_answer *answer);
void xt_handle_attributes(struct xt_call *call, struct xt_answer *answer);
void xt_handle_consents(struct xt_call *call, struct xt_answer *answer);
void xt_handle_consent_revoke(struct xt_call *call, struct xt_answer *answer);
void xt_handle_events(struct xt_call *call, struct xt_answer *answer);
void xt_handle_statistics(struct xt_call *call, struct xt_answer *answer);
void xt_handle_openapi(struct xt_call *call, struct xt_answer *answer);
void xt_handle_jwks(struct xt_call *call, struct xt_answer *answer);
void xt_handle_introspect(struct xt_call *call, struct xt_answer *answer);
void xt_handle_revoke(struct xt_call *call, struct xt_answer *answer);
void xt_handle_metadata(struct xt_call *call, struct xt_answer *answer);
void xt_handle_backchannel_authorize(struct xt_call *call, struct xt_answer *answer);
void xt_handle_backchannel_pending(struct xt_call *call, struct xt_answer *answer);
void xt_handle_backchannel_decide(struct xt_call *call, struct xt_answer *answer);
void xt_handle_token(struct xt_call *call, struct xt_answer *answer);
void xt_handle_healthz(struct xt_call *call, struct xt_answer *answer);
void xt_handle_readyz(struct xt_call *call, struct xt_answer *answer);
void xt_handle_metrics(struct xt_call *call, struct xt_answer *answer);

#endif
