/* bench/report: what all kinds of reports are made from, and their writers.
 *
 *   result files -> xt_report -> report_html  one page: report_overlay (all runs), report_figures (one),
 *                                             drawn with report_plot; report_style is its looks
 *                             -> report_text  Markdown, CSV, JSON
 *   report_note says in words how far the figures may be trusted, in each of them.
 */
#ifndef XT_BENCH_REPORT_H
#define XT_BENCH_REPORT_H

#include "bench/report_page.h"
#include "bench/result_file.h"

#define XT_REPORT_RUNS_MAX 24U /* six colours in four dashes, and the letters A to X */
#define XT_REPORT_TITLE_MAX 240

struct xt_report_run {
    struct xt_bench_result *result;
    char name[128]; /* of the file, without folder and .json */
    char letter;    /* 'A' ... */
};

struct xt_report {
    char title[XT_REPORT_TITLE_MAX];
    unsigned count;
    struct xt_report_run runs[XT_REPORT_RUNS_MAX];
};

void xt_report_html(const struct xt_report *report, struct xt_report_page *page);
void xt_report_markdown(const struct xt_report *report, struct xt_report_page *page);
void xt_report_csv(const struct xt_report *report, struct xt_report_page *page);
void xt_report_json(const struct xt_report *report, struct xt_report_page *page);

/* ---- report_note ---- */

#define XT_REPORT_NOTES_MAX 12

struct xt_report_note {
    bool warning; /* else for information */
    char text[320];
};

/* How the latencies came about: open or closed loop, and what that means for them. Two sentences. */
void xt_report_statement(const struct xt_bench_result *result, char *text, size_t capacity);

/* What the reader must know to read the figures right: fewer than XT_REPORT_NOTES_MAX. */
unsigned xt_report_notes(const struct xt_bench_result *result,
                         struct xt_report_note notes[XT_REPORT_NOTES_MAX]);

/* ---- report_series: a run's rows as points of a plot ---- */

#define XT_REPORT_GROUPS_MAX                                                                       \
    240U /* points of time a plot or table shows; longer runs are grouped */

enum xt_report_row { XT_ROW_RATE, XT_ROW_ERRORS, XT_ROW_P50, XT_ROW_P99, XT_ROW_P999 };

/* Of one row; NAN where there is nothing to show: no right answer, or (rate) past the end. */
double xt_report_row(const struct xt_bench_result *result, unsigned row, enum xt_report_row what);

/* Rows that one point or table row stands for: 1 unless the run is long. */
unsigned xt_report_group(const struct xt_bench_result *result);

/* How many of the rows are drawn: behind the measured time, in the drain, seconds that hold next to
 * nothing are left to the tables. */
unsigned xt_report_rows(const struct xt_bench_result *result);

/* Seconds the time axis is long: the measured time and what is drawn of the drain behind it. */
double xt_report_span(const struct xt_bench_result *result);

/* Least and most of all rows, into *low and *high where they are less and more. */
void xt_report_extent(const struct xt_bench_result *result, enum xt_report_row what, double *low,
                      double *high);

/* The value that this share of the answers does not exceed, in us. share: 0 ... 1. */
double xt_report_quantile(const struct xt_histogram *histogram, double share);

/* Thousandths of the percentiles that are told, and how many answers lie beyond each. */
#define XT_REPORT_PERCENTILES 9U
extern const uint32_t xt_report_percentiles[XT_REPORT_PERCENTILES];
uint64_t xt_report_beyond(const struct xt_histogram *histogram, uint32_t thousandths);

#endif
