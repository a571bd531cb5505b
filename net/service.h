/* net/service: what handlers work with: the register, the partners, the time of this turn. Knows no
 * socket; one per loop. */
#ifndef XT_NET_SERVICE_H
#define XT_NET_SERVICE_H

#include "core/settings.h"
#include "net/answer.h"
#include "net/http.h"
#include "net/log.h"
#include "net/rates.h"
#include "store/generation.h"
#include "store/partners.h"

#define XT_SCRATCH 8192 /* bytes: the body of one answer */

struct xt_service {
    const struct xt_settings *settings;
    struct xt_generation *generation; /* NULL: none imported yet */
    struct xt_partners *partners;     /* never NULL while serving */
    struct xt_rates *rates;           /* of these partners */
    bool draining;

    uint64_t unix_ms;      /* the time of this turn */
    uint64_t monotonic_ms; /* the same on a clock that never jumps */
    xt_date today;         /* in Viet Nam */
    struct xt_answer_head head;

    struct xt_json_arena arena; /* XT_VERIFY_ARENA, for one request at a time */
    struct xt_log_limit log_limit;
    uint8_t scratch[XT_SCRATCH];
};

XT_MUST_USE enum xt_status xt_service_open(struct xt_service *service,
                                           const struct xt_settings *settings);
void xt_service_close(struct xt_service *service);

/* Sets the time of this turn. */
void xt_service_set_time(struct xt_service *service, uint64_t unix_ms, uint64_t monotonic_ms);

/* Who is at the other end of a connection. */
struct xt_peer {
    uint8_t address[16]; /* IPv6, IPv4 mapped */
    bool has_certificate;
    uint8_t spki[XT_SPKI_DIGEST];
    int64_t not_after; /* Unix seconds */
};

/* One request on its way to an answer. */
struct xt_call {
    struct xt_service *service;
    const struct xt_peer *peer;
    struct xt_http_request *request;
    char answer_id[XT_ANSWER_ID];
};

/* Fills answer with a problem; its body is in the service's scratch memory. errors may be NULL. */
void xt_call_refuse(struct xt_call *call, enum xt_problem problem,
                    const struct xt_request_errors *errors, struct xt_answer *answer);

#endif
