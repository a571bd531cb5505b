/* All runs in one: a table, and the curves over each other. */
#include "bench/report_figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct look {
    char class[XT_PLOT_CLASS_MAX], letter[4];
};

/* Six colours in four dashes, so that no two of 24 are alike; the letter stands at the line's end. */
static struct look look_of(const struct xt_report *report, unsigned run)
{
    struct look look;
    (void)snprintf(look.class, sizeof(look.class), "s%u d%u", run % 6, (run + run / 6) % 4);
    (void)snprintf(look.letter, sizeof(look.letter), "%c", report->runs[run].letter);
    return look;
}

static void key(const struct xt_report *report, struct xt_report_page *page)
{
    xt_page_raw(page, "<ul class=\"key\">");
    for (unsigned i = 0; i < report->count; i++) {
        struct look look = look_of(report, i);
        xt_page_put(page,
                    "<li><svg width=\"28\" height=\"10\" aria-hidden=\"true\"><path class=\"line "
                    "%s\" d=\"M1 5L27 5\"/></svg><b class=\"name %s\">%s</b> ",
                    look.class, look.class, look.letter);
        xt_page_html(page, report->runs[i].name);
        xt_page_raw(page, "</li>");
    }
    xt_page_raw(page, "</ul>\n");
}

static void table(const struct xt_report *report, struct xt_report_page *page)
{
    xt_page_raw(page, "<table class=\"data runs\"><thead><tr><th scope=\"col\">run</th>"
                      "<th scope=\"col\" class=\"wide\">loop</th><th scope=\"col\">right/s</th>"
                      "<th scope=\"col\">errors</th><th scope=\"col\">p50</th>"
                      "<th scope=\"col\">p99</th><th scope=\"col\">p99.9</th>"
                      "<th scope=\"col\" class=\"wide\">max</th>"
                      "<th scope=\"col\" class=\"wide\">server CPU</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_report_run *run = &report->runs[i];
        const struct xt_bench_result *result = run->result;
        bool has_cpu = result->has_server && result->right_in_time > 0;
        struct look look = look_of(report, i);
        xt_page_put(page, "<tr><th scope=\"row\"><a href=\"#run-%c\"><b class=\"name %s\">%c</b> ",
                    run->letter, look.class, run->letter);
        xt_page_html(page, run->name);
        xt_page_put(page, "%s</a></th><td class=\"wide\">%s</td><td>%s</td><td>%s</td>",
                    result->open_loop ? "" : "*", result->open_loop ? "open" : "closed",
                    xt_number_rate(result->achieved_rate).text,
                    xt_number_count(result->errors).text);
        static const uint32_t told[] = {50000, 99000, 99900, 100000};
        for (unsigned j = 0; j < 4; j++) {
            xt_page_put(page, "<td%s>%s</td>", told[j] == 100000 ? " class=\"wide\"" : "",
                        result->right > 0
                            ? xt_number_us(xt_histogram_percentile(&result->latency, told[j])).text
                            : "\xe2\x80\x93");
        }
        xt_page_put(page, "<td class=\"wide\">%s%s</td></tr>\n",
                    has_cpu ? xt_number_digits(result->server_cpu_per_request).text
                            : "\xe2\x80\x93",
                    has_cpu ? "\xc2\xa0\xc2\xb5s" : "");
    }
    xt_page_raw(page, "</tbody></table>\n");
    for (unsigned i = 0; i < report->count; i++) {
        if (!report->runs[i].result->open_loop) {
            xt_page_raw(page, "<p class=\"aside\">* closed loop: its percentiles hide pauses, and "
                              "are not to be set against those of an open one.</p>\n");
            return;
        }
    }
}

static void over_time(const struct xt_report *report, struct xt_report_page *page,
                      enum xt_report_row what)
{
    bool rate = what == XT_ROW_RATE;
    double low = INFINITY;
    double high = 0;
    double span = 0;
    for (unsigned i = 0; i < report->count; i++) {
        xt_report_extent(report->runs[i].result, what, &low, &high);
        span = fmax(span, xt_report_span(report->runs[i].result));
    }
    struct xt_plot plot = {.page = page,
                           .id = rate ? "all-throughput" : "all-latency",
                           .title = rate ? "Throughput of all runs" : "p99 of all runs over time",
                           .description = "The data stand in the section of each run.",
                           .height = 220,
                           .time_axis = true};
    plot.x = (struct xt_axis){.low = 0, .high = span};
    plot.y = rate ? xt_axis_linear(high, xt_number_axis_rate)
                  : xt_axis_logarithmic(low, high, xt_number_axis_us);
    xt_figure_begin(page, rate ? "Throughput" : "p99 over time",
                    rate ? "Right answers a second, each from its run\xe2\x80\x99s own beginning."
                         : "p99 of the answers of each second, logarithmic.");
    xt_plot_begin(&plot);
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_bench_result *result = report->runs[i].result;
        struct look look = look_of(report, i);
        double last = NAN;
        double end = 0;
        xt_figure_time_line(&plot, result, what, look.class);
        for (unsigned row = xt_report_rows(result); row > 0 && isnan(last); row--) {
            last = xt_report_row(result, row - 1, what);
            if (!isnan(last)) {
                double from = result->seconds[row - 1].second;
                end = (from + fmin(from + 1, span)) / 2;
                xt_plot_dot(&plot, look.class, end, last);
            }
        }
        xt_plot_name(&plot, look.class, end, last, look.letter);
    }
    xt_plot_end(&plot, "since measuring began");
    xt_figure_end(page);
}

static void percentiles(const struct xt_report *report, struct xt_report_page *page)
{
    double low = INFINITY;
    double high = 0;
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_histogram *latency = &report->runs[i].result->latency;
        low = latency->count > 0 ? fmin(low, latency->min) : low;
        high = fmax(high, latency->max);
    }
    struct xt_plot plot = {.page = page,
                           .id = "all-percentiles",
                           .title = "Latency by percentile, all runs",
                           .description = "The data stand in the section of each run.",
                           .height = 280,
                           .x = xt_figure_share_axis()};
    plot.y = xt_axis_logarithmic(low, high, xt_number_axis_us);
    xt_figure_begin(page, "Latency by percentile",
                    "The share of answers that took no longer. A curve ends where its run has no "
                    "more answers.");
    xt_plot_begin(&plot);
    xt_figure_share_ticks(&plot);
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_histogram *latency = &report->runs[i].result->latency;
        struct look look = look_of(report, i);
        if (latency->count > 0) {
            double end = fmin(5, log10((double)latency->count));
            double last = xt_report_quantile(latency, 1 - pow(10, -end));
            xt_figure_percentile_line(&plot, latency, look.class);
            xt_plot_dot(&plot, look.class, end, last);
            xt_plot_name(&plot, look.class, end, last, look.letter);
        }
    }
    xt_plot_end(&plot, "percentile");
    xt_figure_end(page);
}

static int by_rate(const void *a, const void *b)
{
    uint64_t first = ((const struct xt_load_step *)a)->rate;
    uint64_t second = ((const struct xt_load_step *)b)->rate;
    return first < second ? -1 : first > second;
}

static void one_knee(struct xt_plot *plot, const struct xt_bench_result *result,
                     const struct look *look)
{
    struct xt_load_knee knee = result->knee;
    double last = NAN;
    double fastest = 0;
    qsort(knee.steps, knee.count, sizeof(knee.steps[0]), by_rate);
    xt_plot_line_begin(plot, look->class);
    for (unsigned i = 0; i < knee.count; i++) {
        double value = knee.steps[i].p99 > 0 ? knee.steps[i].p99 : NAN;
        if (knee.steps[i].kept || knee.steps[i].rate > knee.rate) {
            xt_plot_line_to(plot, (double)knee.steps[i].rate, value);
        }
        last = isnan(value) ? last : value;
        fastest = isnan(value) ? fastest : (double)knee.steps[i].rate;
    }
    xt_plot_line_end(plot);
    for (unsigned i = 0; i < knee.count; i++) {
        char class[XT_PLOT_CLASS_MAX];
        double value = knee.steps[i].p99 > 0 ? knee.steps[i].p99 : NAN;
        (void)snprintf(class, sizeof(class), "%.8s%s", look->class,
                       knee.steps[i].kept ? "" : " hollow");
        xt_plot_dot(plot, class, (double)knee.steps[i].rate, value);
    }
    xt_plot_name(plot, look->class, fastest, last, look->letter);
}

static void knees(const struct xt_report *report, struct xt_report_page *page)
{
    double low = INFINITY;
    double high = 0;
    double fastest = 0;
    uint64_t slo = 0;
    unsigned found = 0;
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_bench_result *result = report->runs[i].result;
        for (unsigned j = 0; result->has_knee && j < result->knee.count; j++) {
            const struct xt_load_step *step = &result->knee.steps[j];
            low = step->p99 > 0 ? fmin(low, step->p99) : low;
            high = fmax(high, step->p99);
            fastest = fmax(fastest, (double)step->rate);
        }
        slo = result->has_knee && (found == 0 || slo == result->slo_us) ? result->slo_us : slo;
        found += result->has_knee;
    }
    if (found < 2) {
        return;
    }
    struct xt_plot plot = {.page = page,
                           .id = "all-knees",
                           .title = "p99 against rate, all searches",
                           .description = "The data stand in the section of each run.",
                           .height = 260,
                           .x = xt_axis_linear(fastest, xt_number_axis_rate)};
    plot.y =
        xt_axis_logarithmic(fmin(low, (double)slo), fmax(high, (double)slo), xt_number_axis_us);
    xt_figure_begin(page, "p99 against rate",
                    "Filled where the objective was kept, hollow where not.");
    xt_plot_begin(&plot);
    for (unsigned i = 0; i < report->count; i++) {
        struct look look = look_of(report, i);
        if (report->runs[i].result->has_knee) {
            one_knee(&plot, report->runs[i].result, &look);
        }
    }
    xt_plot_end(&plot, "wanted rate, requests a second");
    xt_figure_end(page);
}

enum of_what { CPU_BARS, ERROR_BARS };

static void bars(const struct xt_report *report, struct xt_report_page *page, enum of_what what)
{
    struct xt_bar list[XT_BARS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_bench_result *result = report->runs[i].result;
        struct xt_bar bar = {.value = what == CPU_BARS ? result->server_cpu_per_request
                                                       : (double)result->errors};
        struct look look = look_of(report, i);
        (void)snprintf(bar.class, sizeof(bar.class), "%s", what == CPU_BARS ? look.class : "bad");
        (void)snprintf(bar.label, sizeof(bar.label), "%s", look.letter);
        if (what == ERROR_BARS) {
            (void)snprintf(bar.text, sizeof(bar.text), "%s", xt_number_count(result->errors).text);
        } else if (result->has_server && result->right_in_time > 0) {
            (void)snprintf(bar.text, sizeof(bar.text), "%s\xc2\xa0\xc2\xb5s",
                           xt_number_digits(result->server_cpu_per_request).text);
        } else {
            bar.value = 0;
            (void)snprintf(bar.text, sizeof(bar.text), "%s",
                           result->has_server ? "no right answer" : "not read");
        }
        list[count++] = bar;
    }
    if (what == CPU_BARS) {
        xt_figure_begin(page, "Server CPU per request",
                        "User and system time for each right answer.");
        xt_figure_bars(page, "all-cpu", "Server CPU per request of all runs",
                       "The data stand in the table above.", list, count);
    } else {
        xt_figure_begin(page, "Errors", "Failed requests of each run.");
        xt_figure_bars(page, "all-errors", "Errors of all runs",
                       "The data stand in the table above.", list, count);
    }
    xt_figure_end(page);
}

void xt_report_overlay(const struct xt_report *report, struct xt_report_page *page)
{
    bool any_server = false;
    bool any_errors = false;
    for (unsigned i = 0; i < report->count; i++) {
        any_server = any_server || report->runs[i].result->has_server;
        any_errors = any_errors || report->runs[i].result->errors > 0;
    }
    xt_page_raw(page, "<section id=\"all\"><h2>All runs</h2>\n");
    table(report, page);
    key(report, page);
    percentiles(report, page);
    knees(report, page);
    over_time(report, page, XT_ROW_RATE);
    over_time(report, page, XT_ROW_P99);
    xt_page_raw(page, "<div class=\"pair\">\n");
    if (any_server) {
        bars(report, page, CPU_BARS);
    }
    if (any_errors) {
        bars(report, page, ERROR_BARS);
    }
    xt_page_raw(page, "</div></section>\n");
}
