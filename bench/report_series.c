/* A run's rows and histograms as points of a plot. */
#include "bench/report.h"

#include <math.h>

#define DRAIN_SHARE 0.01 /* of an average second: less is not worth a place on the axis */

const uint32_t xt_report_percentiles[XT_REPORT_PERCENTILES] = {0,     50000, 75000, 90000, 99000,
                                                               99900, 99990, 99999, 100000};

/* Of the second that starts at `second`, the share in which answers counted as in time. */
static double width_of(const struct xt_bench_result *result, unsigned second)
{
    double left = result->measured - second;
    return left < 1 ? left : 1;
}

double xt_report_row(const struct xt_bench_result *result, unsigned row, enum xt_report_row what)
{
    const struct xt_load_second *at = &result->seconds[row];
    /* A sliver at the end, of an interrupted run say, makes no rate. */
    double width = width_of(result, at->second);
    switch (what) {
    case XT_ROW_RATE:
        return width >= 0.05 ? (double)at->right / width : NAN;
    case XT_ROW_ERRORS:
        return (double)at->errors;
    case XT_ROW_P50:
        return at->p50 > 0 ? at->p50 : NAN;
    case XT_ROW_P99:
        return at->p99 > 0 ? at->p99 : NAN;
    default:
        return at->p999 > 0 ? at->p999 : NAN;
    }
}

unsigned xt_report_group(const struct xt_bench_result *result)
{
    return result->second_count / XT_REPORT_GROUPS_MAX +
           (result->second_count % XT_REPORT_GROUPS_MAX > 0 ? 1 : 0);
}

unsigned xt_report_rows(const struct xt_bench_result *result)
{
    double mean = (double)(result->right + result->errors) / fmax(result->measured, 1);
    unsigned rows = result->second_count;
    while (rows > 0) {
        const struct xt_load_second *row = &result->seconds[rows - 1];
        if (row->second < result->measured ||
            (double)(row->right + row->errors) > DRAIN_SHARE * mean) {
            break;
        }
        rows--;
    }
    return rows;
}

double xt_report_span(const struct xt_bench_result *result)
{
    double span = fmax(result->measured, 0.1); /* an axis needs some length */
    unsigned rows = xt_report_rows(result);
    if (rows > 0 && result->seconds[rows - 1].second >= span) {
        span = (double)result->seconds[rows - 1].second + 1;
    }
    return span;
}

void xt_report_extent(const struct xt_bench_result *result, enum xt_report_row what, double *low,
                      double *high)
{
    for (unsigned i = 0, rows = xt_report_rows(result); i < rows; i++) {
        double value = xt_report_row(result, i, what);
        if (!isnan(value)) {
            *low = fmin(*low, value);
            *high = fmax(*high, value);
        }
    }
}

double xt_report_quantile(const struct xt_histogram *histogram, double share)
{
    double rank = ceil(share * (double)histogram->count);
    double seen = 0;
    for (unsigned slot = 0; slot < XT_HISTOGRAM_SLOTS; slot++) {
        seen += (double)histogram->counts[slot];
        if (histogram->counts[slot] > 0 && seen >= rank) {
            uint32_t high = xt_histogram_slot_high(slot);
            return high < histogram->max ? high : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t xt_report_beyond(const struct xt_histogram *histogram, uint32_t thousandths)
{
    return (uint64_t)((unsigned __int128)histogram->count * (100000 - thousandths) / 100000);
}
