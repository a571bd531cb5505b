#include "bench/histogram.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/print.h"

#define TICKS_PER_HALF_DISTANCE 5 /* lines each time the distance to 100 % halves */

void xt_histogram_reset(struct xt_histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void xt_histogram_merge(struct xt_histogram *into, const struct xt_histogram *from)
{
    if (from->count == 0) {
        return;
    }
    if (into->count == 0 || from->min < into->min) {
        into->min = from->min;
    }
    if (from->max > into->max) {
        into->max = from->max;
    }
    into->count += from->count;
    into->saturated += from->saturated;
    into->sum += from->sum;
    unsigned last = xt_histogram_slot(from->max);
    for (unsigned slot = xt_histogram_slot(from->min); slot <= last; slot++) {
        into->counts[slot] += from->counts[slot];
    }
}

/* Slots 0 ... 2047 hold one value each; every further 1024 slots double the width. */
static unsigned slot_shift(unsigned slot)
{
    unsigned bucket = slot >> (XT_HISTOGRAM_SUB_BITS - 1);
    return bucket == 0 ? 0 : bucket - 1;
}

uint32_t xt_histogram_slot_low(unsigned slot)
{
    unsigned shift = slot_shift(slot);
    return (slot - (shift << (XT_HISTOGRAM_SUB_BITS - 1))) << shift;
}

uint32_t xt_histogram_slot_high(unsigned slot)
{
    return xt_histogram_slot_low(slot) + (1U << slot_shift(slot)) - 1;
}

uint32_t xt_histogram_percentile(const struct xt_histogram *histogram, uint32_t thousandths)
{
    xt_require(thousandths <= 100000);
    if (histogram->count == 0) {
        return 0;
    }
    /* The smallest value that at least this many values do not exceed. 128 bits: no overflow. */
    uint64_t rank =
        (uint64_t)(((unsigned __int128)histogram->count * thousandths + 99999) / 100000);
    rank = rank == 0 ? 1 : rank;
    uint64_t seen = 0;
    unsigned slot = xt_histogram_slot(histogram->min);
    for (;; slot++) {
        seen += histogram->counts[slot];
        if (seen >= rank) {
            break;
        }
    }
    uint32_t high = xt_histogram_slot_high(slot);
    return high < histogram->max ? high : histogram->max;
}

double xt_histogram_mean(const struct xt_histogram *histogram)
{
    return histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count;
}

double xt_histogram_deviation(const struct xt_histogram *histogram)
{
    if (histogram->count == 0) {
        return 0;
    }
    double mean = xt_histogram_mean(histogram);
    double squares = 0;
    for (unsigned slot = 0; slot < XT_HISTOGRAM_SLOTS; slot++) {
        if (histogram->counts[slot] > 0) {
            double middle =
                ((double)xt_histogram_slot_low(slot) + (double)xt_histogram_slot_high(slot)) / 2;
            squares += (middle - mean) * (middle - mean) * (double)histogram->counts[slot];
        }
    }
    return sqrt(squares / (double)histogram->count);
}

/* How far the next line is: each halving of the distance to 100 % takes the same number of lines. */
static double next_tick(double percentile)
{
    double half = 2;
    while (100 / (100 - percentile) >= half) {
        half *= 2;
    }
    return percentile + 100 / (TICKS_PER_HALF_DISTANCE * half);
}

enum xt_status xt_histogram_write(const struct xt_histogram *histogram, struct xt_output *output,
                                  struct xt_failure *failure)
{
    enum xt_status status = xt_print(output, failure, "%12s %14s %10s %14s\n\n", "Value",
                                     "Percentile", "TotalCount", "1/(1-Percentile)");
    uint64_t seen = 0;
    double tick = 0;
    for (unsigned slot = 0; status == XT_OK && seen < histogram->count; slot++) {
        uint32_t high = xt_histogram_slot_high(slot);
        seen += histogram->counts[slot];
        double reached = 100 * (double)seen / (double)histogram->count;
        bool last = seen == histogram->count; /* gets one line before that of 100 % */
        for (bool more = histogram->counts[slot] > 0; more && status == XT_OK && tick <= reached;
             more = !last) {
            status = xt_print(output, failure, "%12.3f %2.12f %10llu %14.2f\n",
                              (double)(high < histogram->max ? high : histogram->max) / 1000,
                              tick / 100, (unsigned long long)seen, 1 / (1 - tick / 100));
            tick = next_tick(tick);
        }
    }
    if (status == XT_OK && histogram->count > 0) {
        status = xt_print(output, failure, "%12.3f %2.12f %10llu\n", (double)histogram->max / 1000,
                          1.0, (unsigned long long)histogram->count);
    }
    if (status != XT_OK) {
        return status;
    }
    return xt_print(output, failure,
                    "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n"
                    "#[Max     = %12.3f, Total count    = %12llu]\n"
                    "#[Buckets = %12u, SubBuckets     = %12u]\n",
                    xt_histogram_mean(histogram) / 1000, xt_histogram_deviation(histogram) / 1000,
                    (double)histogram->max / 1000, (unsigned long long)histogram->count,
                    XT_HISTOGRAM_BUCKETS, 1U << XT_HISTOGRAM_SUB_BITS);
}

void xt_histogram_print(const struct xt_histogram *histogram)
{
    printf("{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p99_9\":%u,\"max\":%u}",
           xt_histogram_percentile(histogram, 50000), xt_histogram_percentile(histogram, 90000),
           xt_histogram_percentile(histogram, 99000), xt_histogram_percentile(histogram, 99900),
           histogram->max);
}
