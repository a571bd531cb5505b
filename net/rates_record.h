/* net/rates_record: what partners have used of their rates, kept from one start of the service to the
 * next, so that a restart gives nobody a fresh burst.
 *
 *   DIR/supervisor/rates   text, one partner a line: how far his theoretical arrival time is ahead, in ns
 *
 * When the service has drained the file tells how it is then, and the next start takes that up, less the
 * time that has passed on the wall clock (none, if that was set back). While it serves the file only
 * tells who has a rate: if the service is killed, or another program takes over from one that still
 * drains, these begin with an empty bucket, so with their rate and without a burst. Who is not named
 * is new, and begins with all of his burst.
 * Thread: the supervisor's loop. Blocks: for a small file that is synced.
 */
#ifndef XT_NET_RATES_RECORD_H
#define XT_NET_RATES_RECORD_H

#include "net/shared.h"

/* At the start, after xt_shared_assign and before the first worker. A file that cannot be understood
 * counts as one of a service that was killed, for all partners. */
void xt_rates_record_restore(const char *dir, struct xt_shared *shared,
                             const struct xt_partners *partners, uint64_t now_ns, uint64_t unix_ms);

/* While it serves: who has a rate. Writes nothing when that is what the last call wrote (`written`: a
 * digest of it, zeros at first). */
XT_MUST_USE enum xt_status xt_rates_record_names(const char *dir,
                                                 const struct xt_partners *partners,
                                                 uint64_t *written, struct xt_failure *failure);

/* After the last worker: how it is. */
XT_MUST_USE enum xt_status xt_rates_record_save(const char *dir, struct xt_shared *shared,
                                                const struct xt_partners *partners, uint64_t now_ns,
                                                uint64_t unix_ms, struct xt_failure *failure);

#endif
