#include "net/route.h"

#include "core/statistics.h"
#include "net/attributes.h"
#include "net/openapi.h"

#define READ (XT_GET | XT_HEAD | XT_OPTIONS)

static const struct xt_route api[] = {
    {"/v1/verify", XT_POST | XT_OPTIONS, xt_handle_verify},
    {"/v1/verify/batch", XT_POST | XT_OPTIONS | XT_STREAMED, xt_handle_batch},
    {"/v1/challenges", XT_POST | XT_OPTIONS, xt_handle_challenges},
    {"/v1/authenticate", XT_POST | XT_OPTIONS, xt_handle_authenticate},
    {"/v1/accounts/activate", XT_POST | XT_OPTIONS, xt_handle_activate},
    {"/v1/accounts/lock", XT_POST | XT_OPTIONS, xt_handle_lock},
    {"/v1/accounts/unlock", XT_POST | XT_OPTIONS, xt_handle_unlock},
    {"/v1/accounts/passcode", XT_POST | XT_OPTIONS, xt_handle_passcode},
    {"/v1/accounts/devices/add", XT_POST | XT_OPTIONS, xt_handle_device_add},
    {"/v1/accounts/devices/remove", XT_POST | XT_OPTIONS, xt_handle_device_remove},
    {"/v1/attributes", XT_POST | XT_OPTIONS, xt_handle_attributes},
    {"/v1/consents/list", XT_POST | XT_OPTIONS, xt_handle_consents},
    {"/v1/consents/revoke", XT_POST | XT_OPTIONS, xt_handle_consent_revoke},
    {"/v1/events", XT_POST | XT_OPTIONS | XT_STREAMED, xt_handle_events},
    {"/v1/statistics", READ, xt_handle_statistics},
    {"/openapi.json", READ, xt_handle_openapi},
    {"/.well-known/jwks.json", READ, xt_handle_jwks},
    {"/v1/introspect", XT_POST | XT_OPTIONS, xt_handle_introspect},
    {"/v1/revoke", XT_POST | XT_OPTIONS, xt_handle_revoke},
    {"/.well-known/oauth-authorization-server", READ, xt_handle_metadata},
    {"/v1/token", XT_POST | XT_OPTIONS, xt_handle_token},
    {"/v1/backchannel/authorize", XT_POST | XT_OPTIONS, xt_handle_backchannel_authorize},
    {"/v1/backchannel/pending", XT_POST | XT_OPTIONS, xt_handle_backchannel_pending},
    {"/v1/backchannel/decide", XT_POST | XT_OPTIONS, xt_handle_backchannel_decide},
};
const struct xt_routes xt_api_routes = {api, sizeof(api) / sizeof(api[0]), READ | XT_POST, true};

static const struct xt_route admin[] = {
    {"/healthz", READ, xt_handle_healthz},
    {"/readyz", READ, xt_handle_readyz},
    {"/metrics", READ, xt_handle_metrics},
};
const struct xt_routes xt_admin_routes = {admin, sizeof(admin) / sizeof(admin[0]), READ, false};

enum xt_route_id xt_route_id_of(const struct xt_route *route)
{
    static const enum xt_route_id api_routes[] = {
        XT_ROUTE_VERIFY,   XT_ROUTE_VERIFY_BATCH, XT_ROUTE_CHALLENGES,  XT_ROUTE_AUTHENTICATE,
        XT_ROUTE_ACCOUNTS, XT_ROUTE_ACCOUNTS,     XT_ROUTE_ACCOUNTS,    XT_ROUTE_ACCOUNTS,
        XT_ROUTE_ACCOUNTS, XT_ROUTE_ACCOUNTS,     XT_ROUTE_ATTRIBUTES,  XT_ROUTE_CONSENTS,
        XT_ROUTE_CONSENTS, XT_ROUTE_EVENTS,       XT_ROUTE_STATISTICS,  XT_ROUTE_OPENAPI,
        XT_ROUTE_JWKS,     XT_ROUTE_INTROSPECT,   XT_ROUTE_REVOKE,      XT_ROUTE_METADATA,
        XT_ROUTE_TOKEN,    XT_ROUTE_BACKCHANNEL,  XT_ROUTE_BACKCHANNEL, XT_ROUTE_BACKCHANNEL};
    static const enum xt_route_id admin_routes[] = {XT_ROUTE_HEALTHZ, XT_ROUTE_READYZ,
                                                    XT_ROUTE_METRICS};
    _Static_assert(sizeof(api_routes) / sizeof(api_routes[0]) == sizeof(api) / sizeof(api[0]) &&
                       sizeof(admin_routes) / sizeof(admin_routes[0]) ==
                           sizeof(admin) / sizeof(admin[0]),
                   "every route has an id");
    for (size_t i = 0; i < sizeof(api) / sizeof(api[0]); i++) {
        if (route == &api[i]) {
            return api_routes[i];
        }
    }
    for (size_t i = 0; i < sizeof(admin) / sizeof(admin[0]); i++) {
        if (route == &admin[i]) {
            return admin_routes[i];
        }
    }
    return XT_ROUTE_OTHER;
}

const struct xt_route *xt_route_find(const struct xt_routes *routes, struct xt_span path)
{
    for (size_t i = 0; i < routes->count; i++) {
        if (xt_span_is(path, routes->list[i].path)) {
            return &routes->list[i];
        }
    }
    return NULL;
}

bool xt_route_has_query(const struct xt_route *route)
{
    return route->handle == xt_handle_statistics;
}

size_t xt_route_room(const struct xt_route *route)
{
    return route->handle == xt_handle_statistics   ? XT_STATISTICS_JSON_MAX
           : route->handle == xt_handle_attributes ? XT_ATTRIBUTES_ANSWER_MAX
           : route->handle == xt_handle_consents   ? XT_CONSENTS_ANSWER_MAX
                                                   : 0;
}

void xt_handle_openapi(struct xt_call *call, struct xt_answer *answer)
{
    (void)call;
    *answer = (struct xt_answer){.status = 200,
                                 .type = XT_TYPE_JSON,
                                 .body = xt_span_of(xt_openapi_json, xt_openapi_json_size)};
}
