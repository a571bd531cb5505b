#include "core/wall_clock.h"

static bool are_apart(uint64_t a, uint64_t b)
{
    uint64_t ahead = a - b; /* one of them is small, whichever is later */
    uint64_t behind = b - a;
    return (ahead < behind ? ahead : behind) > XT_WALL_CLOCK_LEAP_MS;
}

static void start_over(struct xt_wall_clock *clock, uint64_t unix_ms, uint64_t steady_ms)
{
    clock->lead_ms = unix_ms - steady_ms;
    clock->since_ms = steady_ms;
}

void xt_wall_clock_doubt(struct xt_wall_clock *clock, uint64_t steady_ms)
{
    clock->believed_ms = steady_ms + XT_WALL_CLOCK_TRIAL_MS;
}

bool xt_wall_clock_begin(struct xt_wall_clock *clock, uint64_t last_ms, uint64_t unix_ms,
                         uint64_t steady_ms)
{
    bool leapt = last_ms != 0 && are_apart(unix_ms, last_ms);
    start_over(clock, unix_ms, steady_ms);
    clock->believed_ms = 0;
    if (leapt) {
        xt_wall_clock_doubt(clock, steady_ms);
    }
    return leapt;
}

bool xt_wall_clock_look(struct xt_wall_clock *clock, uint64_t unix_ms, uint64_t steady_ms)
{
    bool leapt = are_apart(unix_ms - steady_ms, clock->lead_ms);
    if (leapt) {
        xt_wall_clock_doubt(clock, steady_ms);
    }
    if (leapt || steady_ms - clock->since_ms >= XT_WALL_CLOCK_TRIAL_MS) {
        start_over(clock, unix_ms, steady_ms);
    }
    return leapt;
}

bool xt_wall_clock_is_believed(const struct xt_wall_clock *clock, uint64_t steady_ms)
{
    return steady_ms >= clock->believed_ms;
}
