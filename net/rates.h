/* net/rates: the token buckets of the partners of one set. They belong to a partner's name, so that a
 * reload of the partners neither refills nor empties them. One loop; O(1) on the request's way. */
#ifndef XT_NET_RATES_H
#define XT_NET_RATES_H

#include "store/partners.h"

struct xt_rates; /* opaque */

/* Makes the buckets of a set, levels taken over by name from previous (may be NULL, stays as it is). */
XT_MUST_USE enum xt_status xt_rates_open(const struct xt_partners *partners,
                                         const struct xt_rates *previous, struct xt_rates **rates);
void xt_rates_close(struct xt_rates *rates);

/* The bucket of a partner of that set. */
struct xt_bucket *xt_rates_of(struct xt_rates *rates, const struct xt_partner *partner);

#endif
