/* bench/report_figures: the plots of a report's page, each a <figure> with its data in a table. */
#ifndef XT_BENCH_REPORT_FIGURES_H
#define XT_BENCH_REPORT_FIGURES_H

#include "bench/report.h"
#include "bench/report_plot.h"

/* Of one run. */
void xt_report_figures(const struct xt_report_run *run, struct xt_report_page *page);

/* Of one run over its time: throughput, errors, latency, and the table of the three. */
void xt_report_time_figures(const struct xt_report_run *run, struct xt_report_page *page);

/* Of all runs in one. */
void xt_report_overlay(const struct xt_report *report, struct xt_report_page *page);

/* ---- what they share ---- */

/* A figure's beginning, with a heading and a line on how to read it (HTML of ours; NULL: none). */
void xt_figure_begin(struct xt_report_page *page, const char *heading, const char *reading);
void xt_figure_end(struct xt_report_page *page);
/* <details> with a table whose head cells are given, of which the last ones that do not fit a
 * telephone begin with '-'; end with NULL. */
void xt_figure_table_begin(struct xt_report_page *page, const char *id, const char *const *head);
void xt_figure_table_end(struct xt_report_page *page);

/* The rows of a run as a line: of a group of rows its least and its most, so that no peak is lost. */
void xt_figure_time_line(struct xt_plot *plot, const struct xt_bench_result *result,
                         enum xt_report_row what, const char *class);

/* The percentile curve. Its axis is that of HdrHistogram: log10(1/(1-share)), from 0 to 5. */
struct xt_axis xt_figure_share_axis(void);
void xt_figure_share_ticks(struct xt_plot *plot);
void xt_figure_percentile_line(struct xt_plot *plot, const struct xt_histogram *histogram,
                               const char *class);

#define XT_BARS_MAX 32U
struct xt_bar {
    double value;
    char label[24], text[128], class[XT_PLOT_CLASS_MAX];
};
/* Horizontal bars, each with its label before and its text behind it. */
void xt_figure_bars(struct xt_report_page *page, const char *id, const char *title,
                    const char *description, const struct xt_bar *bars, unsigned count);

#endif
