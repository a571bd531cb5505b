#include "net/metrics_internal.h"

const uint16_t xt_refused_statuses[XT_REFUSED_STATUSES] = {
    400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 429, 431, 501, 503, 505};

#define US 1000ULL
#define MS 1000000ULL
const uint64_t xt_latency_bounds_ns[XT_LATENCY_BUCKETS - 1] = {
    50 * US, 100 * US, 200 * US, 500 * US, 1 * MS,   2 * MS,   5 * MS,
    10 * MS, 20 * MS,  50 * MS,  100 * MS, 200 * MS, 500 * MS, 1000 * MS};

unsigned xt_metrics_outcome(enum xt_problem problem, unsigned status, enum xt_request_outcome told)
{
    if (problem == XT_PROBLEM_NONE) {
        return told;
    }
    if (problem == XT_PROBLEM_INTERNAL || problem == XT_PROBLEM_RECORD_DAMAGED) {
        return XT_OUTCOME_FAILED + (status == 503);
    }
    unsigned at = 0;
    while (at < XT_REFUSED_STATUSES && xt_refused_statuses[at] != status) {
        at++;
    }
    return XT_OUTCOME_REFUSED + at;
}

static void count_outcome(struct xt_call *call, unsigned status)
{
    struct xt_service *service = call->service;
    struct xt_counters *counters = service->counters;
    unsigned outcome = xt_metrics_outcome(call->problem, status, call->outcome);
    xt_counter_add(&counters->requests[call->route][outcome], 1);
    if (call->allowance != NULL && call->route < XT_ROUTE_PARTNERS_COUNT) {
        struct xt_partner_counters *by_partner = &counters->by_partner[call->allowance->cell];
        xt_counter_add(&by_partner->outcomes[call->route][outcome], 1);
        xt_counter_add(&by_partner->misses, call->problem == XT_PROBLEM_NONE && call->miss);
    }
    if (call->problem == XT_PROBLEM_OVERLOADED) {
        xt_counter_add(&counters->shed[XT_SHED_REQUEST], 1);
    }
}

void xt_metrics_count(struct xt_call *call, unsigned status)
{
    struct xt_service *service = call->service;
    count_outcome(call, status);
    if (service->turn_answers == 0) {
        service->answers_began_ns = service->monotonic_ns;
    }
    service->turn_routes[call->route]++;
    service->turn_answers |= 1U << call->route;
}

static unsigned bucket_of(uint64_t taken_ns)
{
    unsigned bucket = 0;
    while (bucket < XT_LATENCY_BUCKETS - 1 && taken_ns > xt_latency_bounds_ns[bucket]) {
        bucket++; /* nearly always ends at once: most answers take less than 100 us */
    }
    return bucket;
}

void xt_metrics_count_later(struct xt_call *call, unsigned status, uint64_t began_ns)
{
    uint64_t taken = call->service->monotonic_ns - began_ns;
    struct xt_latency *latency = &call->service->counters->latency[call->route];
    count_outcome(call, status);
    xt_counter_add(&latency->buckets[bucket_of(taken)], 1);
    xt_counter_add(&latency->sum_ns, taken);
}

void xt_metrics_turn_took(struct xt_service *service, uint64_t taken_ns)
{
    struct xt_latency *turns = &service->counters->turns;
    xt_counter_add(&turns->buckets[bucket_of(taken_ns)], 1);
    xt_counter_add(&turns->sum_ns, taken_ns);
}

void xt_metrics_turn_end_at(struct xt_service *service, uint64_t now_ns)
{
    uint64_t taken = now_ns - service->answers_began_ns; /* a clock that never goes back */
    unsigned bucket = bucket_of(taken);
    while (service->turn_answers != 0) {
        unsigned route = (unsigned)__builtin_ctz(service->turn_answers);
        uint32_t count = service->turn_routes[route];
        struct xt_latency *latency = &service->counters->latency[route];
        xt_counter_add(&latency->buckets[bucket], count);
        xt_counter_add(&latency->sum_ns, count * taken);
        service->turn_routes[route] = 0;
        service->turn_answers &= service->turn_answers - 1;
    }
    service->clock_ns = now_ns;
}
