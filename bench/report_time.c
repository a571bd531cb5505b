/* One run over its time: throughput, errors, latency, and the table of the three. */
#include "bench/report_figures.h"

#include <math.h>
#include <stdio.h>

#define FEW_POINTS 40U /* each second gets its dot */
#define SPACED_MAX 60U /* columns with a gap between them */

struct figure {
    const struct xt_bench_result *result;
    struct xt_report_page *page;
    char id[32], table[32];
    struct xt_plot plot;
};

static void start(struct figure *figure, const struct xt_report_run *run,
                  struct xt_report_page *page, const char *what)
{
    *figure = (struct figure){.result = run->result, .page = page};
    (void)snprintf(figure->id, sizeof(figure->id), "%c-%s", run->letter, what);
    (void)snprintf(figure->table, sizeof(figure->table), "%c-seconds", run->letter);
    figure->plot = (struct xt_plot){.page = page,
                                    .id = figure->id,
                                    .title = what,
                                    .table = figure->table,
                                    .height = 200,
                                    .time_axis = true};
    figure->plot.x = (struct xt_axis){.low = 0, .high = xt_report_span(run->result)};
}

static void drain_zone(struct figure *figure)
{
    const struct xt_bench_result *result = figure->result;
    if (figure->plot.x.high > result->measured * 1.001) {
        bool room = figure->plot.x.high - result->measured > 0.1 * figure->plot.x.high;
        xt_plot_zone(&figure->plot, result->measured, figure->plot.x.high, room ? "drain" : NULL);
    }
}

static void dots(struct figure *figure, enum xt_report_row what, const char *class)
{
    const struct xt_bench_result *result = figure->result;
    unsigned rows = xt_report_rows(result);
    for (unsigned i = 0; rows <= FEW_POINTS && i < rows; i++) {
        double from = result->seconds[i].second;
        double to = fmin(from + 1, figure->plot.x.high);
        xt_plot_dot(&figure->plot, class, (from + to) / 2, xt_report_row(result, i, what));
    }
}

static double last_value(const struct xt_bench_result *result, enum xt_report_row what)
{
    double value = NAN;
    for (unsigned i = xt_report_rows(result); i > 0 && isnan(value); i--) {
        value = xt_report_row(result, i - 1, what);
    }
    return value;
}

#define AXIS "since measuring began"

static void throughput(const struct xt_report_run *run, struct xt_report_page *page)
{
    struct figure figure;
    const struct xt_bench_result *result = run->result;
    char description[512];
    double low = INFINITY;
    double high = 0;
    start(&figure, run, page, "throughput");
    xt_report_extent(result, XT_ROW_RATE, &low, &high);
    struct xt_plot *plot = &figure.plot;
    plot->y = xt_axis_linear(fmax(high, (double)result->wanted_rate), xt_number_axis_rate);
    (void)snprintf(description, sizeof(description),
                   "Right answers a second, over %s: from %s to %s, %s on average.",
                   xt_number_seconds(result->measured).text,
                   xt_number_rate(isfinite(low) ? low : 0).text, xt_number_rate(high).text,
                   xt_number_rate(result->achieved_rate).text);
    plot->title = "Throughput over time";
    plot->description = description;
    xt_figure_begin(page, "Throughput",
                    result->open_loop ? "Right answers a second; dashed, the wanted rate."
                                      : "Right answers a second.");
    xt_plot_begin(plot);
    drain_zone(&figure);
    if (result->open_loop) {
        xt_plot_across(plot, "wanted", (double)result->wanted_rate, NULL);
    }
    xt_figure_time_line(plot, result, XT_ROW_RATE, "s0");
    dots(&figure, XT_ROW_RATE, "s0");
    xt_plot_name(plot, "s0", plot->x.high, last_value(result, XT_ROW_RATE), "right");
    if (result->open_loop) {
        xt_plot_name(plot, "wanted", plot->x.high, (double)result->wanted_rate, "wanted");
    }
    xt_plot_end(plot, AXIS);
    xt_figure_end(page);
}

/* Errors of each second as columns; of a group, its worst second's. */
static void errors(const struct xt_report_run *run, struct xt_report_page *page)
{
    struct figure figure;
    const struct xt_bench_result *result = run->result;
    char description[512];
    double low = INFINITY;
    double high = 0;
    start(&figure, run, page, "errors");
    xt_report_extent(result, XT_ROW_ERRORS, &low, &high);
    struct xt_plot *plot = &figure.plot;
    plot->height = 90;
    plot->y = xt_axis_linear(high, xt_number_axis_rate);
    (void)snprintf(description, sizeof(description),
                   "Errors in each second: %s in all, at most %s in one second.",
                   xt_number_count(result->errors).text, xt_number_rate(high).text);
    plot->title = "Errors over time";
    plot->description = description;
    xt_figure_begin(page, "Errors over time",
                    xt_report_group(result) == 1
                        ? "Failed requests in each second."
                        : "Failed requests a second, in the worst second of each column.");
    xt_plot_begin(plot);
    drain_zone(&figure);
    unsigned group = xt_report_group(result);
    unsigned rows = xt_report_rows(result);
    for (unsigned row = 0; row < rows; row += group) {
        double most = 0;
        unsigned last = row;
        for (unsigned i = row; i < row + group && i < rows; i++) {
            most = fmax(most, (double)result->seconds[i].errors);
            last = i;
        }
        if (most > 0) {
            xt_plot_column(plot, rows <= SPACED_MAX ? "bad spaced" : "bad",
                           result->seconds[row].second, (double)result->seconds[last].second + 1,
                           most);
        }
    }
    xt_plot_end(plot, AXIS);
    xt_figure_end(page);
}

/* Least and most of a group's rows; false: nothing was right in any of them. */
static bool worst_of(const struct xt_bench_result *result, unsigned row, unsigned group,
                     struct xt_load_second *worst)
{
    *worst = (struct xt_load_second){.second = result->seconds[row].second};
    for (unsigned i = row; i < row + group && i < result->second_count; i++) {
        const struct xt_load_second *at = &result->seconds[i];
        worst->right += at->right;
        worst->errors += at->errors;
        worst->p50 = at->p50 > worst->p50 ? at->p50 : worst->p50;
        worst->p90 = at->p90 > worst->p90 ? at->p90 : worst->p90;
        worst->p99 = at->p99 > worst->p99 ? at->p99 : worst->p99;
        worst->p999 = at->p999 > worst->p999 ? at->p999 : worst->p999;
        worst->max = at->max > worst->max ? at->max : worst->max;
    }
    return worst->max > 0;
}

static void time_cell(struct xt_report_page *page, bool wide, bool there, uint32_t us)
{
    xt_page_put(page, "<td%s>%s</td>", wide ? " class=\"wide\"" : "",
                there ? xt_number_us(us).text : "\xe2\x80\x93");
}

static void time_table(struct figure *figure)
{
    const struct xt_bench_result *result = figure->result;
    struct xt_report_page *page = figure->page;
    static const char *const head[] = {"from", "right", "errors", "p50", "-p90",
                                       "p99",  "p99.9", "-max",   NULL};
    unsigned group = xt_report_group(result);
    xt_figure_table_begin(page, figure->table, head);
    for (unsigned row = 0; row < result->second_count; row += group) {
        struct xt_load_second worst;
        bool there = worst_of(result, row, group, &worst);
        if (worst.second >= result->measured && worst.right + worst.errors == 0) {
            continue; /* a drain in which nothing was left to come */
        }
        double middle = fmin(worst.second + group / 2.0, figure->plot.x.high);
        xt_page_put(page,
                    "<tr data-x=\"%.4f\"><th scope=\"row\">%u\xc2\xa0s</th><td>%s</td><td>%s</td>",
                    middle / figure->plot.x.high, worst.second, xt_number_count(worst.right).text,
                    xt_number_count(worst.errors).text);
        time_cell(page, false, there, worst.p50);
        time_cell(page, true, there, worst.p90);
        time_cell(page, false, there, worst.p99);
        time_cell(page, false, there, worst.p999);
        time_cell(page, true, there, worst.max);
        xt_page_raw(page, "</tr>\n");
    }
    xt_figure_table_end(page);
}

static void latency(const struct xt_report_run *run, struct xt_report_page *page)
{
    static const struct {
        enum xt_report_row what;
        const char *class, *name;
    } lines[] = {
        {XT_ROW_P50, "s2", "p50"}, {XT_ROW_P99, "s0", "p99"}, {XT_ROW_P999, "s1", "p99.9"}};
    struct figure figure;
    const struct xt_bench_result *result = run->result;
    char description[512];
    char reading[512];
    double low = INFINITY;
    double high = 0;
    start(&figure, run, page, "latency");
    for (unsigned i = 0; i < 3; i++) {
        xt_report_extent(result, lines[i].what, &low, &high);
    }
    struct xt_plot *plot = &figure.plot;
    plot->height = 260;
    plot->y = xt_axis_logarithmic(low, high, xt_number_axis_us);
    (void)snprintf(description, sizeof(description),
                   "Latency percentiles of each second, on a logarithmic axis: from %s (the lowest "
                   "p50) to %s (the highest p99.9).",
                   xt_number_us(isfinite(low) ? low : 0).text, xt_number_us(high).text);
    (void)snprintf(reading, sizeof(reading),
                   "Percentiles of the answers that came in each second, logarithmic.%s%s%s",
                   xt_report_group(result) > 1 ? " Each point stands for " : "",
                   xt_report_group(result) > 1 ? xt_number_seconds(xt_report_group(result)).text
                                               : "",
                   xt_report_group(result) > 1
                       ? ", drawn from its lowest to its highest second; the table has the worst."
                       : "");
    plot->title = "Latency over time";
    plot->description = description;
    xt_figure_begin(page, "Latency over time", reading);
    xt_plot_begin(plot);
    drain_zone(&figure);
    if (high == 0) {
        xt_plot_remark(plot, "no right answer");
    }
    for (unsigned i = 0; i < 3; i++) {
        xt_figure_time_line(plot, result, lines[i].what, lines[i].class);
        dots(&figure, lines[i].what, lines[i].class);
        xt_plot_name(plot, lines[i].class, plot->x.high, last_value(result, lines[i].what),
                     lines[i].name);
    }
    xt_plot_end(plot, AXIS);
    time_table(&figure);
    xt_figure_end(page);
}

void xt_report_time_figures(const struct xt_report_run *run, struct xt_report_page *page)
{
    throughput(run, page);
    if (run->result->errors > 0) {
        errors(run, page);
    }
    latency(run, page);
}
