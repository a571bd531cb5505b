/* net/miss_alarm: tells the operator of a partner whose answers mostly match in nothing: he asks about
 * numbers that nobody has, or tries which claims fit; or tells the register events that do not fit it, as
 * that nobody has such a number.
 *
 * The workers count answers and misses by partner (net/shared); the supervisor looks at the sums once a
 * second, over a window that slides in twelfths of its length, and logs `partner_misses_high`. So it costs
 * a request one addition, which is done for every answer alike, and changes no answer and no time.
 * A partner is told of once in a window. Thread: the supervisor's loop. Memory: some 2 MiB.
 */
#ifndef XT_NET_MISS_ALARM_H
#define XT_NET_MISS_ALARM_H

#include "core/settings.h"
#include "net/shared.h"

struct xt_miss_alarm; /* opaque */

XT_MUST_USE enum xt_status xt_miss_alarm_open(struct xt_miss_alarm **alarm);
void xt_miss_alarm_close(struct xt_miss_alarm *alarm);

/* now_ms: CLOCK_MONOTONIC. */
void xt_miss_alarm_tick(struct xt_miss_alarm *alarm, const struct xt_shared *shared,
                        const struct xt_settings *settings, uint64_t now_ms);

#endif
