/* bench/histogram: latencies counted in buckets of constant relative width (HdrHistogram).
 *
 *   value (us)   0 ... 2047   2048 ... 4095   4096 ... 8191   ...   up to XT_HISTOGRAM_HIGHEST
 *   bucket width      1             2               4               (3 significant digits throughout)
 *
 * Recording is a shift and an addition, so a histogram costs the same for any number of values; two
 * histograms merge by adding their counts, without loss.
 * What stands here is what was measured: nothing is "corrected" afterwards. Whoever wants to see a
 * pause of the server measures from the scheduled time (open loop).
 * Thread: one writer; merge what several threads counted.
 */
#ifndef XT_BENCH_HISTOGRAM_H
#define XT_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define XT_HISTOGRAM_LOWEST 1U /* us; less is counted as 1 */
#define XT_HISTOGRAM_HIGHEST                                                                       \
    60000000U /* us: one minute; more is counted there and in `saturated` */
#define XT_HISTOGRAM_DIGITS 3U
#define XT_HISTOGRAM_SUB_BITS 11U /* 2048 sub-buckets: the power of two past 2 * 10^digits */
#define XT_HISTOGRAM_BUCKETS 16U  /* 2048 << 15 is past one minute */
#define XT_HISTOGRAM_HALF (1U << (XT_HISTOGRAM_SUB_BITS - 1))
#define XT_HISTOGRAM_SLOTS ((XT_HISTOGRAM_BUCKETS + 1) * XT_HISTOGRAM_HALF)

struct xt_histogram {
    uint64_t count;     /* values recorded, saturated ones included */
    uint64_t saturated; /* of these, above XT_HISTOGRAM_HIGHEST */
    uint64_t sum;       /* us, exact (saturated ones as the highest) */
    uint32_t min, max;  /* us, exact; 0 when empty */
    uint64_t counts[XT_HISTOGRAM_SLOTS];
};

void xt_histogram_reset(struct xt_histogram *histogram);
void xt_histogram_merge(struct xt_histogram *into, const struct xt_histogram *from);

static inline unsigned xt_histogram_slot(uint32_t value)
{
    unsigned bucket = 31U - (unsigned)__builtin_clz(value | ((1U << XT_HISTOGRAM_SUB_BITS) - 1)) -
                      (XT_HISTOGRAM_SUB_BITS - 1);
    return (bucket << (XT_HISTOGRAM_SUB_BITS - 1)) + (value >> bucket);
}

/* us: microseconds. */
static inline void xt_histogram_record(struct xt_histogram *histogram, uint64_t us)
{
    if (us > XT_HISTOGRAM_HIGHEST) {
        us = XT_HISTOGRAM_HIGHEST;
        histogram->saturated++;
    }
    uint32_t value = us < XT_HISTOGRAM_LOWEST ? XT_HISTOGRAM_LOWEST : (uint32_t)us;
    if (histogram->count == 0 || value < histogram->min) {
        histogram->min = value;
    }
    if (value > histogram->max) {
        histogram->max = value;
    }
    histogram->count++;
    histogram->sum += value;
    histogram->counts[xt_histogram_slot(value)]++;
}

/* The values counted in a slot lie between these two, both inclusive. */
uint32_t xt_histogram_slot_low(unsigned slot);
uint32_t xt_histogram_slot_high(unsigned slot);

/* thousandths: 50000 is the median, 99900 is p99.9, 99999 is p99.999, 100000 the maximum. Gives the
 * highest value that its bucket may hold (never above max): at most 0.1 % above the exact one.
 * 0 when empty. */
uint32_t xt_histogram_percentile(const struct xt_histogram *histogram, uint32_t thousandths);

double xt_histogram_mean(const struct xt_histogram *histogram);
double xt_histogram_deviation(const struct xt_histogram *histogram);

/* The percentile distribution as HdrHistogram writes it (outputPercentileDistribution, 5 ticks per
 * half distance), in milliseconds. */
struct xt_output;
XT_MUST_USE enum xt_status xt_histogram_write(const struct xt_histogram *histogram,
                                              struct xt_output *output, struct xt_failure *failure);

/* {"p50":...,"p90":...,"p99":...,"p99_9":...,"max":...} in us, on stdout. */
void xt_histogram_print(const struct xt_histogram *histogram);

#endif
