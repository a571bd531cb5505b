/* net/rates: how often a partner may ask, over all workers together.
 *
 * The Generic Cell Rate Algorithm in its form as virtual scheduling (ITU-T I.371 Annex A; ATM Forum
 * Traffic Management 4.0, section 4.4.2), which needs one number for each partner: the theoretical
 * arrival time TAT of his next request.
 *
 *   T    the interval between requests at exactly his rate: 1 s / per_second
 *   tau  how much earlier than TAT a request may come: (burst - 1) * T
 *   a request at time t:   t < TAT - tau   refused; it would be taken at TAT - tau
 *                          otherwise       taken, and TAT becomes max(t, TAT) + T
 *
 * So from rest exactly `burst` requests are taken at once, and in any span of time s at most
 * burst + s / T. It is the token bucket of that rate and depth, without a level to refill.
 *
 * TAT is one word in shared memory, changed by compare-and-swap and by nothing else: whichever worker
 * takes a request takes it from all of them, and one that dies holds no lock. TAT 0 is a partner at
 * rest. Workers read CLOCK_MONOTONIC, which is one for the whole machine; who reads it a little
 * earlier than he acts is refused rather than let through, so no skew adds to the rate.
 * Units are sixteenths of a nanosecond since the clock's zero: enough for 36 years of uptime, and T is
 * rounded up by at most 1/1600 of itself at the highest rate there is (10^7/s), by 10^-7 at 1000/s.
 */
#ifndef XT_NET_RATES_H
#define XT_NET_RATES_H

#include "net/shared.h"
#include "store/partners.h"
#include "store/quota.h"

struct xt_rate {
    uint64_t interval;  /* T; 0: no limit */
    uint64_t tolerance; /* tau */
};

/* per_second 0: no limit. burst 0: as per_second. Both at most XT_RATE_MAX. */
struct xt_rate xt_rate_of(uint32_t per_second, uint32_t burst);

/* Takes one request's worth; false: refuse it, and *retry_after_ms tells how long until one is there (0
 * when true, at least 1 when false). now_ns: CLOCK_MONOTONIC. */
bool xt_rate_take(uint64_t *word, const struct xt_rate *rate, uint64_t now_ns,
                  uint64_t *retry_after_ms);

/* The rate of a partner was changed: what he has used of the old burst (in requests, not in time) is
 * used of the new one, at most all of it. The same rate changes nothing. Safe beside xt_rate_take. */
void xt_rate_change(uint64_t *word, const struct xt_rate *before, const struct xt_rate *after,
                    uint64_t now_ns);

/* What a worker keeps about each partner of its set beside the set itself. */
struct xt_allowance {
    const struct xt_partner *partner;
    uint32_t cell;
    uint64_t *word;
    struct xt_rate rate;
    const struct xt_quota_seat *seat; /* of the view that was bound; NULL: none */
};

struct xt_rates; /* opaque: of one set, immutable; O(1) on a request's way */

/* cells: of the partners in the order of the set, as the supervisor assigned them. The worker's
 * counters of these cells are made its own (xt_shared_use). XT_INVALID: a cell that is not there. */
XT_MUST_USE enum xt_status xt_rates_open(const struct xt_partners *partners, const uint32_t *cells,
                                         struct xt_shared *shared, unsigned worker,
                                         struct xt_rates **rates);
void xt_rates_close(struct xt_rates *rates);

/* Finds every partner's seat for its daily quota; view NULL: there is none. */
void xt_rates_bind(struct xt_rates *rates, const struct xt_quota_view *view);

/* Of a partner of that set. */
const struct xt_allowance *xt_rates_of(const struct xt_rates *rates,
                                       const struct xt_partner *partner);

#endif
