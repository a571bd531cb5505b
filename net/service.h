/* net/service: what handlers work with: the register, the partners, the time of this turn. Knows no
 * socket; one per loop. */
#ifndef XT_NET_SERVICE_H
#define XT_NET_SERVICE_H

#include "core/settings.h"
#include "crypto/token.h"
#include "net/answer.h"
#include "net/audit_trail.h"
#include "net/http.h"
#include "net/log.h"
#include "net/rates.h"
#include "net/shared.h"
#include "store/generation.h"
#include "store/partners.h"
#include "store/register.h"

#define XT_SCRATCH 8192 /* bytes: the body of one answer */

struct xt_batch_desk;
struct xt_events_desk;
struct xt_deferred_desk;
struct xt_hashing;
struct xt_statistics_desk;

struct xt_service {
    const struct xt_settings *settings;
    struct xt_generation *generation; /* NULL: none imported yet */
    bool follows;                     /* the register is looked up with what changed since */
    struct xt_live *live;             /* a reader of that; NULL: none could be opened */
    uint64_t live_epoch;              /* that it saw last */
    bool live_failed;                 /* it cannot be read: another process must take over */
    struct xt_partners *partners;     /* never NULL while serving */
    struct xt_rates *rates;           /* of these partners; NULL: not shared, no limits */
    struct xt_audit_trail *trail;     /* NULL: nothing is written down (a test of parts) */
    struct xt_quota_view *quotas;     /* NULL: nobody has a daily quota */
    const struct xt_keyring
        *keyring; /* of the master keys; NULL: there are none (a test of parts) */
    struct xt_answer_keys *answer_keys; /* NULL: answers cannot be signed */
    struct xt_answer_keys *token_keys;  /* NULL: no tokens are given, and none is right */
    struct xt_token_cache *token_cache; /* NULL: none was needed yet, or there is no memory */
    char issuer[XT_TOKEN_TEXT_MAX + 1]; /* of the tokens; "": none are given */
    bool draining;
    bool replaced; /* draining, while others serve in its place: the service is ready */

    struct xt_shared *shared;              /* NULL: of no server (a test of parts) */
    unsigned worker;                       /* its place there */
    struct xt_counters *counters;          /* never NULL */
    struct xt_counters *own_counters;      /* those of a service that is not shared */
    struct xt_statistics_desk *statistics; /* room for answers; NULL: none was needed yet */
    struct xt_batch_desk *batch;           /* NULL: no lists are taken (net/batch) */
    struct xt_events_desk *events;         /* NULL: no events are taken (net/events) */
    struct xt_hashing *hashing;            /* NULL: no passcodes are compared (net/hashing) */
    struct xt_deferred_desk *deferred;     /* NULL: nothing is answered later (net/deferred) */
    unsigned scrapes;                      /* answers of /metrics under way */

    uint64_t unix_ms;          /* the time of this turn */
    uint64_t monotonic_ns;     /* the same on a clock that never jumps */
    uint64_t clock_ns;         /* read just now, in this turn of the loop; 0: not */
    unsigned gated;            /* connections whose answers wait for the audit log */
    uint64_t answers_began_ns; /* the turn of the first answer not handed over yet */
    uint32_t turn_answers;     /* set of routes answered since then; how often: */
    uint32_t turn_routes[XT_ROUTE_COUNT];
    xt_date today; /* in Viet Nam */
    int32_t day;   /* the same in days since 1970-01-01 */
    struct xt_answer_head head;

    struct xt_json_arena arena; /* XT_VERIFY_ARENA, for one request at a time */
    struct xt_log_limit log_limit, refusal_limit;
    uint8_t scratch[XT_SCRATCH];
    uint8_t signature[XT_SIGNATURE_LINES_MAX]; /* of the answer that is being written */
};

XT_MUST_USE enum xt_status xt_service_open(struct xt_service *service,
                                           const struct xt_settings *settings);
void xt_service_close(struct xt_service *service);

/* From now on it counts and keeps rates together with the other workers; shared stays the caller's. */
void xt_service_share(struct xt_service *service, struct xt_shared *shared, unsigned worker);

/* Puts a new set of partners (with their cells, as the supervisor assigned them) or another generation
 * in the place of the old, which is closed. Between turns. On failure nothing has changed and what was
 * given is the caller's. */
XT_MUST_USE enum xt_status xt_service_take_partners(struct xt_service *service,
                                                    struct xt_partners *partners,
                                                    const uint32_t *cells);
void xt_service_take_generation(struct xt_service *service, struct xt_generation *generation);
void xt_service_take_quotas(struct xt_service *service, struct xt_quota_view *quotas);

/* From now on people are looked up in `live` first; NULL: it could not be opened, and nothing is looked up. */
void xt_service_follow(struct xt_service *service, struct xt_live *live);

/* The register as it is now, to look people up in until xt_service_rest: every change that was acknowledged
 * before this call is in it. Anything but XT_OK: it cannot be read (503); live_failed tells that it will
 * not be. With nothing changed it costs the look at one counter. */
XT_MUST_USE enum xt_status xt_service_register(struct xt_service *service,
                                               struct xt_register *people);
/* The register did not give what it must: the operator has to know. Of the answer with this id; traceparent of
 * its request, or empty. */
void xt_service_log_damage(struct xt_service *service, enum xt_status status,
                           const char answer_id[XT_ANSWER_ID], struct xt_span traceparent);
/* The same, and what else the live store tells (tokens revoked, requests): that is always read anew. */
XT_MUST_USE enum xt_status xt_service_accounts(struct xt_service *service,
                                               struct xt_register *people);
/* Before the loop waits: what was looked up is held no longer. */
void xt_service_rest(struct xt_service *service);

/* The same for the keys that sign answers; NULL: none. Cannot fail. */
void xt_service_take_answer_keys(struct xt_service *service, struct xt_answer_keys *keys);
/* And for those that sign tokens. */
void xt_service_take_token_keys(struct xt_service *service, struct xt_answer_keys *keys);
/* Who says so in tokens (iss): the settings, or the certificate's name and the port. Of another text than before
 * all tokens are over. chain: PEM. */
void xt_service_take_issuer(struct xt_service *service, struct xt_span chain);
/* Unix seconds: tokens by keys that retired before are over. */
int64_t xt_service_token_keys_since(const struct xt_service *service);

/* Sets the time of this turn (CLOCK_REALTIME, CLOCK_MONOTONIC). */
void xt_service_set_time(struct xt_service *service, uint64_t unix_ms, uint64_t monotonic_ns);

/* Who is at the other end of a connection. */
struct xt_peer {
    uint8_t address[16]; /* IPv6, IPv4 mapped */
    bool has_certificate;
    bool refused; /* it was let in once, and would not be now: revoked, or its authority is gone */
    uint8_t spki[XT_SPKI_DIGEST];
    uint8_t certificate[XT_SHA256]; /* of it in DER: what tokens are bound to */
    int64_t not_after;              /* Unix seconds */
};

/* One request on its way to an answer. */
struct xt_call {
    struct xt_service *service;
    const struct xt_peer *peer;
    struct xt_http_request *request;
    char answer_id[XT_ANSWER_ID];
    /* For metrics. */
    enum xt_route_id route;
    const struct xt_allowance *allowance; /* of the partner; NULL: none is known */
    enum xt_problem problem;
    enum xt_request_outcome outcome; /* where there is no problem */
    bool miss;                       /* not one claim of the answer matched */
    /* For the audit log: what the handler knows of it; the exchange adds the rest. */
    struct xt_audit_entry entry;
};

/* Fills answer with a problem; its body is in the service's scratch memory. errors may be NULL. */
void xt_call_refuse(struct xt_call *call, enum xt_problem problem,
                    const struct xt_request_errors *errors, struct xt_answer *answer);

/* Writes the answer down in the service's trail, with this status of HTTP. Anything but XT_OK: it must not
 * be given. */
XT_MUST_USE enum xt_status xt_call_log(struct xt_call *call, unsigned status);

#endif
