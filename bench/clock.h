/* bench/clock: CLOCK_MONOTONIC. */
#ifndef XT_BENCH_CLOCK_H
#define XT_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t xt_clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline double xt_clock_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
