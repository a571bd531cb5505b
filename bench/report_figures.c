/* The plots of one run that are not over its time. */
#include "bench/report_figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FEW_BEYOND 10.0    /* answers: right of it the curve rests on single ones */
#define BINS_PER_DECADE 12 /* of the handshakes */
#define BINS_MAX 96

struct named {
    char id[32], table[32];
};

static struct named names_of(const struct xt_report_run *run, const char *what)
{
    struct named named;
    (void)snprintf(named.id, sizeof(named.id), "%c-%s", run->letter, what);
    (void)snprintf(named.table, sizeof(named.table), "%c-%s-data", run->letter, what);
    return named;
}

/* ---- percentiles ---- */

static void percentile_table(struct xt_report_page *page, const char *id,
                             const struct xt_histogram *histogram)
{
    static const char *const head[] = {"percentile", "latency", "answers beyond", NULL};
    static const uint32_t told[] = {0,     10000, 20000, 30000, 40000, 50000, 60000, 70000, 75000,
                                    80000, 85000, 90000, 92500, 95000, 97500, 98000, 99000, 99500,
                                    99750, 99900, 99950, 99975, 99990, 99995, 99999, 100000};
    xt_figure_table_begin(page, id, head);
    for (unsigned i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        double rest = 1 - told[i] / 100000.0;
        double at = told[i] == 100000 ? 1 : fmin(1, -log10(rest) / 5);
        xt_page_put(page,
                    "<tr data-x=\"%.4f\"><th scope=\"row\">%s</th><td>%s</td><td>%s</td></tr>\n",
                    at, xt_number_percentile(told[i]).text,
                    xt_number_us(told[i] == 0 ? histogram->min
                                              : xt_histogram_percentile(histogram, told[i]))
                        .text,
                    xt_number_count(xt_report_beyond(histogram, told[i])).text);
    }
    xt_figure_table_end(page);
}

static void percentiles(const struct xt_report_run *run, struct xt_report_page *page)
{
    const struct xt_histogram *latency = &run->result->latency;
    struct named named = names_of(run, "percentiles");
    char description[512];
    (void)snprintf(
        description, sizeof(description),
        "Latency by percentile, both axes logarithmic: p50 %s, p99 %s, p99.9 %s, maximum "
        "%s, of %s answers.",
        xt_number_us(xt_histogram_percentile(latency, 50000)).text,
        xt_number_us(xt_histogram_percentile(latency, 99000)).text,
        xt_number_us(xt_histogram_percentile(latency, 99900)).text, xt_number_us(latency->max).text,
        xt_number_count(latency->count).text);
    struct xt_plot plot = {.page = page,
                           .id = named.id,
                           .title = "Latency by percentile",
                           .description = description,
                           .table = named.table,
                           .height = 260,
                           .x = xt_figure_share_axis()};
    plot.y = xt_axis_logarithmic(latency->min, latency->max, xt_number_axis_us);
    xt_figure_begin(page, "Latency by percentile",
                    "The share of answers that took no longer. Each step to the right is ten times "
                    "rarer.");
    xt_plot_begin(&plot);
    xt_figure_share_ticks(&plot);
    double trusted = log10((double)latency->count / FEW_BEYOND);
    if (latency->count == 0 || trusted < 5) {
        xt_plot_zone(&plot, fmax(trusted, 0), 5, "fewer than 10 answers");
    }
    if (latency->count > 0) {
        xt_figure_percentile_line(&plot, latency, "s0");
        double end = fmin(5, log10((double)latency->count));
        xt_plot_dot(&plot, "s0", end, xt_report_quantile(latency, 1 - pow(10, -end)));
    }
    xt_plot_end(&plot, "percentile");
    percentile_table(page, named.table, latency);
    xt_figure_end(page);
}

/* ---- the knee ---- */

static int by_rate(const void *a, const void *b)
{
    uint64_t first = ((const struct xt_load_step *)a)->rate;
    uint64_t second = ((const struct xt_load_step *)b)->rate;
    return first < second ? -1 : first > second;
}

static double step_value(const struct xt_load_step *step, unsigned line)
{
    uint32_t us = line == 0 ? step->p50 : line == 1 ? step->p99 : step->p999;
    return us > 0 ? us : NAN;
}

static void knee_table(struct xt_report_page *page, const char *id, const struct xt_load_knee *knee,
                       double high)
{
    static const char *const head[] = {"wanted", "-achieved", "errors", "p50",
                                       "p99",    "p99.9",     "kept",   NULL};
    xt_figure_table_begin(page, id, head);
    for (unsigned i = 0; i < knee->count; i++) {
        const struct xt_load_step *step = &knee->steps[i];
        xt_page_put(page,
                    "<tr data-x=\"%.4f\"><th scope=\"row\">%s/s</th><td class=\"wide\">%s</td>"
                    "<td>%s</td>",
                    (double)step->rate / high, xt_number_count(step->rate).text,
                    xt_number_count(step->achieved).text, xt_number_count(step->errors).text);
        xt_page_put(page, "<td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
                    xt_number_us(step->p50).text, xt_number_us(step->p99).text,
                    xt_number_us(step->p999).text, step->kept ? "yes" : "no");
    }
    xt_figure_table_end(page);
}

static void knee_marks(struct xt_plot *plot, const struct xt_bench_result *result)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "p99 at most %s",
                   xt_number_axis_us((double)result->slo_us).text);
    xt_plot_across(plot, "limit", (double)result->slo_us, text);
    if (result->knee.rate > 0) {
        (void)snprintf(text, sizeof(text), "knee %s/s", xt_number_count(result->knee.rate).text);
        xt_plot_upright(plot, "limit", (double)result->knee.rate, text);
    }
}

static void knee_figure(const struct xt_report_run *run, struct xt_report_page *page)
{
    static const char *const classes[] = {"s2", "s0", "s1"};
    static const char *const texts[] = {"p50", "p99", "p99.9"};
    const struct xt_bench_result *result = run->result;
    struct named named = names_of(run, "knee");
    struct xt_load_knee knee = result->knee;
    char description[512];
    double low = (double)result->slo_us;
    double high = low;
    qsort(knee.steps, knee.count, sizeof(knee.steps[0]), by_rate);
    for (unsigned i = 0; i < 3 * knee.count; i++) {
        double value = step_value(&knee.steps[i / 3], i % 3);
        low = isnan(value) ? low : fmin(low, value);
        high = isnan(value) ? high : fmax(high, value);
    }
    (void)snprintf(description, sizeof(description),
                   "Latency at %u rates. The objective is p99 within %s; the fastest rate that "
                   "kept it is %s requests a second.",
                   knee.count, xt_number_axis_us((double)result->slo_us).text,
                   knee.rate > 0 ? xt_number_count(knee.rate).text : "none");
    struct xt_plot plot = {.page = page,
                           .id = named.id,
                           .title = "Latency against rate",
                           .description = description,
                           .table = named.table,
                           .height = 280};
    plot.x = xt_axis_linear(knee.count > 0 ? (double)knee.steps[knee.count - 1].rate : 1,
                            xt_number_axis_rate);
    plot.y = xt_axis_logarithmic(low, high, xt_number_axis_us);
    xt_figure_begin(page, "Latency against rate",
                    "Each dot is a step of the search: filled where the objective was kept, hollow "
                    "where p99 passed it, the rate was not reached or a request failed.");
    xt_plot_begin(&plot);
    knee_marks(&plot, result);
    for (unsigned line = 0; line < 3; line++) {
        double last = NAN;
        xt_plot_line_begin(&plot, classes[line]);
        for (unsigned i = 0; i < knee.count; i++) {
            /* A step that failed below the knee, in an unlucky moment, is a dot beside the line. */
            if (knee.steps[i].kept || knee.steps[i].rate > knee.rate) {
                xt_plot_line_to(&plot, (double)knee.steps[i].rate,
                                step_value(&knee.steps[i], line));
            }
        }
        xt_plot_line_end(&plot);
        for (unsigned i = 0; i < knee.count; i++) {
            char class[XT_PLOT_CLASS_MAX];
            (void)snprintf(class, sizeof(class), "%s%s", classes[line],
                           knee.steps[i].kept ? "" : " hollow");
            double value = step_value(&knee.steps[i], line);
            xt_plot_dot(&plot, class, (double)knee.steps[i].rate, value);
            last = isnan(value) ? last : value;
        }
        xt_plot_name(&plot, classes[line], plot.x.high, last, texts[line]);
    }
    xt_plot_end(&plot, "wanted rate, requests a second");
    knee_table(page, named.table, &knee, plot.x.high);
    xt_figure_end(page);
}

/* ---- errors by kind ---- */

static void kinds(const struct xt_report_run *run, struct xt_report_page *page)
{
    static const char *const head[] = {"kind", "count", "share", "the first of them", NULL};
    const struct xt_bench_result *result = run->result;
    struct named named = names_of(run, "kinds");
    struct xt_bar bars[XT_RESULT_KINDS_MAX];
    unsigned count = 0;
    xt_figure_begin(page, "Errors by kind", NULL);
    if (result->errors == 0) {
        xt_page_put(page, "<p class=\"calm\">None: all %s answers that came were right.</p>",
                    xt_number_count(result->right).text);
        xt_figure_end(page);
        return;
    }
    for (unsigned i = 0; i < result->kind_count; i++) {
        const struct xt_result_kind *kind = &result->kinds[i];
        if (kind->count > 0) {
            struct xt_bar *bar = &bars[count++];
            *bar = (struct xt_bar){.value = (double)kind->count, .class = "bad"};
            (void)snprintf(bar->label, sizeof(bar->label), "%.12s", kind->name);
            (void)snprintf(bar->text, sizeof(bar->text), "%s", xt_number_count(kind->count).text);
        }
    }
    char description[512];
    (void)snprintf(description, sizeof(description), "%s errors of %u kinds.",
                   xt_number_count(result->errors).text, count);
    xt_figure_bars(page, named.id, "Errors by kind", description, bars, count);
    xt_figure_table_begin(page, named.table, head);
    for (unsigned i = 0; i < result->kind_count; i++) {
        const struct xt_result_kind *kind = &result->kinds[i];
        xt_page_raw(page, "<tr><th scope=\"row\" class=\"kind\">");
        xt_page_html(page, kind->name);
        xt_page_put(page, "</th><td>%s</td><td>%s\xc2\xa0%%</td><td class=\"said\">",
                    xt_number_count(kind->count).text,
                    xt_number_digits(100 * (double)kind->count / (double)result->errors).text);
        xt_page_html(page, kind->first);
        xt_page_raw(page, "</td></tr>\n");
    }
    xt_figure_table_end(page);
    xt_figure_end(page);
}

/* ---- CPU ---- */

static void cpu_bar(struct xt_bar *bar, const char *label, const char *class, double each)
{
    *bar = (struct xt_bar){.value = each};
    (void)snprintf(bar->label, sizeof(bar->label), "%s", label);
    (void)snprintf(bar->class, sizeof(bar->class), "%s", class);
    (void)snprintf(bar->text, sizeof(bar->text), "%s\xc2\xa0\xc2\xb5s",
                   xt_number_digits(each).text);
}

static struct xt_number share_of_core(const struct xt_bench_result *result, uint64_t cpu_us)
{
    return xt_number_digits(result->measured > 0 ? (double)cpu_us / result->measured / 1e4 : 0);
}

static void cpu(const struct xt_report_run *run, struct xt_report_page *page)
{
    const struct xt_bench_result *result = run->result;
    struct named named = names_of(run, "cpu");
    struct xt_bar bars[2];
    unsigned count = 0;
    xt_figure_begin(page, "CPU per request",
                    result->has_server ? "User and system time for each right answer."
                                       : "User and system time for each right answer. The server's "
                                         "was not read (--server-pid).");
    if (result->right_in_time == 0) {
        xt_page_raw(page, "<p class=\"calm\">No right answer to share it among.</p>");
        xt_figure_end(page);
        return;
    }
    if (result->has_server) {
        cpu_bar(&bars[count++], "server", "s0", result->server_cpu_per_request);
    }
    cpu_bar(&bars[count++], "client", "quiet", result->client_cpu_per_request);
    xt_figure_bars(page, named.id, "CPU per request", "The figures stand behind the bars.", bars,
                   count);
    xt_page_raw(page, "<p class=\"aside\">");
    if (result->has_server) {
        xt_page_put(page, "Server: %s\xc2\xa0%% of a core, %s resident in %s process%s. ",
                    share_of_core(result, result->server_cpu_us).text,
                    xt_number_bytes(result->server_resident_bytes).text,
                    xt_number_count(result->server_processes).text,
                    result->server_processes == 1 ? "" : "es");
    }
    xt_page_put(page, "Client: %s\xc2\xa0%% of a core, %s thread%s.</p>",
                share_of_core(result, result->client_cpu_us).text,
                xt_number_count(result->threads).text, result->threads == 1 ? "" : "s");
    xt_figure_end(page);
}

/* ---- connections ---- */

static void handshake_columns(struct xt_plot *plot, const struct xt_histogram *histogram,
                              const double *bins, unsigned count)
{
    double factor = pow(10, 1.0 / BINS_PER_DECADE);
    for (unsigned i = 0; i < count; i++) {
        if (bins[i] > 0) {
            double from = plot->x.low * pow(factor, i);
            xt_plot_column(plot, "s3", from, from * factor, bins[i]);
        }
    }
    xt_plot_upright(plot, "limit", xt_histogram_percentile(histogram, 50000), "p50");
}

static void handshake_table(struct xt_report_page *page, const char *id,
                            const struct xt_histogram *histogram)
{
    static const char *const head[] = {"percentile", "time", "connections beyond", NULL};
    xt_figure_table_begin(page, id, head);
    for (unsigned i = 0; i < XT_REPORT_PERCENTILES; i++) {
        uint32_t thousandths = xt_report_percentiles[i];
        xt_page_put(page, "<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td></tr>\n",
                    xt_number_percentile(thousandths).text,
                    xt_number_us(thousandths == 0 ? histogram->min
                                                  : xt_histogram_percentile(histogram, thousandths))
                        .text,
                    xt_number_count(xt_report_beyond(histogram, thousandths)).text);
    }
    xt_figure_table_end(page);
}

static void handshakes(const struct xt_report_run *run, struct xt_report_page *page)
{
    const struct xt_histogram *histogram = &run->result->handshake;
    struct named named = names_of(run, "handshakes");
    double bins[BINS_MAX + 1] = {0};
    double most = 0;
    char text[512];
    if (histogram->count == 0) {
        xt_figure_begin(page, "Connection and handshake", NULL);
        xt_page_raw(page, "<p class=\"calm\">No connection was made.</p>");
        xt_figure_end(page);
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "%s connections, warm-up included, %s of them resumed: p50 %s, p99 %s, longest "
                   "%s.",
                   xt_number_count(run->result->connections).text,
                   xt_number_count(run->result->resumed).text,
                   xt_number_us(xt_histogram_percentile(histogram, 50000)).text,
                   xt_number_us(xt_histogram_percentile(histogram, 99000)).text,
                   xt_number_us(histogram->max).text);
    struct xt_plot plot = {.page = page,
                           .id = named.id,
                           .title = "Connection and handshake",
                           .description = text,
                           .height = 150};
    plot.x = xt_axis_logarithmic(histogram->min, histogram->max, xt_number_axis_us);
    for (unsigned slot = 0; slot < XT_HISTOGRAM_SLOTS; slot++) {
        if (histogram->counts[slot] > 0) {
            double at = log10(fmax(xt_histogram_slot_low(slot), plot.x.low) / plot.x.low);
            unsigned bin = (unsigned)(at * BINS_PER_DECADE);
            bins[bin < BINS_MAX ? bin : BINS_MAX] += (double)histogram->counts[slot];
        }
    }
    for (unsigned i = 0; i < BINS_MAX; i++) {
        most = fmax(most, bins[i]);
    }
    plot.y = xt_axis_linear(most, xt_number_axis_rate);
    xt_figure_begin(page, "Connection and handshake", text);
    xt_plot_begin(&plot);
    handshake_columns(&plot, histogram, bins, BINS_MAX);
    xt_plot_end(&plot, "time from connect to established");
    handshake_table(page, named.table, histogram);
    xt_figure_end(page);
}

void xt_report_figures(const struct xt_report_run *run, struct xt_report_page *page)
{
    if (run->result->has_knee) {
        knee_figure(run, page);
    }
    xt_report_time_figures(run, page);
    xt_page_raw(page, "<div class=\"pair\">\n");
    percentiles(run, page);
    handshakes(run, page);
    kinds(run, page);
    cpu(run, page);
    xt_page_raw(page, "</div>\n");
}
