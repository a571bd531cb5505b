/* net/metrics: counting what a worker does, and telling it in Prometheus' text format.
 *
 * Counting, on a request's way: xt_metrics_count once for each answer (two plain additions in memory of
 * this worker alone), xt_metrics_turn_end_at once for each turn that answered (a clock and two
 * additions). All answers of a turn leave in one write, so they have one latency: from when the turn
 * began, right after the read that completed the request, until the write was handed to the kernel, or
 * queued where the client does not read. Where the loop goes straight from one connection to the next,
 * the clock that ended one turn begins the other: then the read is in it, and no clock is read twice.
 * Answers that wait for the audit log leave together, and have the latency of the first of them.
 * Waiting for the client is not in it, nor is the kernel's queue before the read. An answer in pieces
 * counts up to its first piece.
 *
 * Telling: /metrics, by whichever worker was asked, from the shared memory (net/shared), over all of
 * them. Text format 0.0.4; names as prometheus.io/docs/practices/naming: one prefix, base units
 * (seconds, bytes), counters end in _total. A series is told once its counter is not zero, but for
 * those that have few labels, which are always there, so that rate() sees them begin.
 * The text is made piece by piece as the scraper takes it and never stands in memory as a whole.
 */
#ifndef XT_NET_METRICS_H
#define XT_NET_METRICS_H

#include "net/service.h"

#define XT_SCRAPES_MAX 8 /* at a time in one worker; more are answered 503 */

/* An answer was written. status: of HTTP. */
void xt_metrics_count(struct xt_call *call, unsigned status);
/* One that came later than its request's turn (net/deferred): its latency is counted from then. */
void xt_metrics_count_later(struct xt_call *call, unsigned status, uint64_t began_ns);

/* The output of a turn was handed over. */
void xt_metrics_turn_end_at(struct xt_service *service, uint64_t now_ns);
static inline bool xt_metrics_turn_answered(const struct xt_service *service)
{
    return service->turn_answers != 0;
}

/* A turn of the loop that served clients has ended. */
void xt_metrics_turn_took(struct xt_service *service, uint64_t taken_ns);

/* The place of a request's outcome; status only matters for refusals and failures. */
unsigned xt_metrics_outcome(enum xt_problem problem, unsigned status, enum xt_request_outcome told);

#endif
