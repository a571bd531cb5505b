/* bench/report_number: figures as people read them, for every kind of report.
 *
 * Each gives a small text by value, to be used within the same expression:
 *   xt_page_put(page, "%s answers", xt_number_count(n).text);
 */
#ifndef XT_BENCH_REPORT_NUMBER_H
#define XT_BENCH_REPORT_NUMBER_H

#include <stdint.h>

struct xt_number {
    char text[40];
};

struct xt_number xt_number_count(uint64_t count);   /* 1,234,567 */
struct xt_number xt_number_rate(double rate);       /* 4,999 or 12.5: a whole number from 100 on */
struct xt_number xt_number_digits(double value);    /* three significant ones: 12.3 */
struct xt_number xt_number_us(double us);           /* 49 us, 1.02 ms, 2.10 s; us with its mu */
struct xt_number xt_number_axis_us(double us);      /* the same for round numbers: 1 ms */
struct xt_number xt_number_axis_rate(double rate);  /* 20,000, 1.5 M */
struct xt_number xt_number_seconds(double seconds); /* 1.5 s, 30 s, 2 min 30 s, 2 h */
struct xt_number xt_number_bytes(uint64_t bytes);   /* 21.4 MiB */
struct xt_number xt_number_date(double unix_seconds); /* 2026-11-21 23:20:12 UTC */

/* 50000 gives p50, 99999 p99.999, 0 minimum, 100000 maximum. */
struct xt_number xt_number_percentile(uint32_t thousandths);

#endif
