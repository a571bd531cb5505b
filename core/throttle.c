#include "core/throttle.h"

/* After so many failures in a row. */
static uint64_t wait_after(uint32_t failures)
{
    if (failures <= XT_THROTTLE_FREE) {
        return 0;
    }
    uint64_t wait = XT_THROTTLE_FIRST_MS;
    for (uint32_t i = XT_THROTTLE_FREE + 1; i < failures && wait < XT_THROTTLE_LONGEST_MS; i++) {
        wait *= 2;
    }
    return wait < XT_THROTTLE_LONGEST_MS ? wait : XT_THROTTLE_LONGEST_MS;
}

uint64_t xt_throttle_wait_ms(const struct xt_throttle *throttle, uint64_t now_ms)
{
    if (throttle->failures >= XT_THROTTLE_STOP) {
        return XT_THROTTLE_STOPPED;
    }
    uint64_t wait = wait_after(throttle->failures);
    uint64_t passed = now_ms > throttle->last_ms ? now_ms - throttle->last_ms : 0;
    return passed < wait ? wait - passed : 0;
}

void xt_throttle_failed(struct xt_throttle *throttle, uint64_t now_ms)
{
    if (throttle->failures < XT_THROTTLE_STOP) {
        throttle->failures++;
    }
    throttle->last_ms = now_ms;
}

void xt_throttle_succeeded(struct xt_throttle *throttle)
{
    *throttle = (struct xt_throttle){.failures = 0};
}
