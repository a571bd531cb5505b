/* core/throttle: how long an account waits after failed attempts to authenticate.
 *
 *   failures in a row   1 .. 4    5     6      7      ...  11      12 .. 99   100
 *   waits after it      0         30 s  1 min  2 min  ...  32 min  1 h        until somebody resets it
 *
 * NIST SP 800-63B-4, section 3.2.2: at most 100 failures in a row, and waits that grow. One success, or whoever
 * may reset an account, begins anew.
 * Pure: what is counted lies with the account; who was first is decided by the order of events.
 */
#ifndef XT_CORE_THROTTLE_H
#define XT_CORE_THROTTLE_H

#include <stdint.h>

#define XT_THROTTLE_FREE 4            /* failures that cost nothing */
#define XT_THROTTLE_FIRST_MS 30000ULL /* after one more; then twice as long each time */
#define XT_THROTTLE_LONGEST_MS 3600000ULL
#define XT_THROTTLE_STOP 100 /* failures in a row; no attempt after that */
#define XT_THROTTLE_STOPPED UINT64_MAX

struct xt_throttle {
    uint32_t failures; /* in a row */
    uint64_t last_ms;  /* UTC, of the last one */
};

/* Milliseconds until an attempt may be made: 0 now, XT_THROTTLE_STOPPED never. A clock that was set back does
 * not make it longer than the wait itself. */
uint64_t xt_throttle_wait_ms(const struct xt_throttle *throttle, uint64_t now_ms);

/* An attempt failed, or succeeded. Only after xt_throttle_wait_ms has given 0: one that was not let through is
 * no attempt. */
void xt_throttle_failed(struct xt_throttle *throttle, uint64_t now_ms);
void xt_throttle_succeeded(struct xt_throttle *throttle);

#endif
