/* Results of micro: growth curves and tables. */
#include "bench/report_micro.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/report_figures.h"
#include "bench/report_html.h"

/* ---- what is shown ---- */

static int by_people(const void *a, const void *b)
{
    uint64_t first = ((const struct xt_report_point *)a)->size->count;
    uint64_t second = ((const struct xt_report_point *)b)->size->count;
    return first < second ? -1 : first > second;
}

enum xt_status xt_report_micro_add(struct xt_report_micro *report, const struct xt_json_value *root,
                                   const char *label, struct xt_failure *failure)
{
    struct xt_micro_result *result = calloc(1, sizeof(*result));
    if (result == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory; free some");
    }
    enum xt_status status = xt_micro_read(root, label, result, failure);
    if (status == XT_OK && report->count + result->size_count > XT_REPORT_POINTS_MAX) {
        status = xt_fail(failure, XT_TOO_LARGE, "%.200s: more than %u sizes in all", label,
                         XT_REPORT_POINTS_MAX);
    }
    if (status != XT_OK) {
        free(result);
        return status;
    }
    report->results[report->result_count++] = result;
    for (unsigned i = 0; i < result->size_count; i++) {
        report->points[report->count++] =
            (struct xt_report_point){.result = result, .size = &result->sizes[i]};
    }
    qsort(report->points, report->count, sizeof(report->points[0]), by_people);
    return XT_OK;
}

void xt_report_micro_clear(struct xt_report_micro *report)
{
    for (unsigned i = 0; i < report->result_count; i++) {
        free(report->results[i]);
    }
    report->result_count = report->count = 0;
}

static bool is_mixed(const struct xt_report_micro *report)
{
    const struct xt_micro_result *first = report->results[0];
    for (unsigned i = 1; i < report->result_count; i++) {
        const struct xt_micro_result *other = report->results[i];
        if (strcmp(first->commit, other->commit) != 0 ||
            strcmp(first->machine.processor, other->machine.processor) != 0 ||
            first->machine.cores != other->machine.cores || first->group != other->group) {
            return true;
        }
    }
    return false;
}

static const char mixed[] =
    "The files are of several machines or versions of the program: differences between sizes may "
    "be those.";
static const char how[] =
    "One thread, in process, without a network; keys are random and new in every round. Medians of "
    "the rounds, nanoseconds an operation.";

static bool any_has(const struct xt_report_micro *report, unsigned part)
{
    for (unsigned i = 0; i < report->count; i++) {
        if (report->points[i].size->measures[part].has) {
            return true;
        }
    }
    return false;
}

static struct xt_number people_label(double value)
{
    struct xt_number number;
    double unit = value >= 1e6 ? 1e6 : value >= 1e3 ? 1e3 : 1;
    (void)snprintf(number.text, sizeof(number.text), "%.3g%s", value / unit,
                   unit == 1e6   ? "\xc2\xa0M"
                   : unit == 1e3 ? "\xc2\xa0k"
                                 : "");
    return number;
}

static struct xt_number ns_label(double value)
{
    struct xt_number number;
    (void)snprintf(number.text, sizeof(number.text),
                   value >= 1000 ? "%.3g\xc2\xa0\xc2\xb5s" : "%.3g\xc2\xa0ns",
                   value >= 1000 ? value / 1000 : value);
    return number;
}

static struct xt_number ns_figure(double value)
{
    struct xt_number number;
    (void)snprintf(number.text, sizeof(number.text), value >= 100 ? "%.0f" : "%.1f", value);
    return number;
}

/* ---- HTML ---- */

struct curve {
    enum xt_micro_part part;
    const char *name, *class; /* name: short, it stands right of the plot */
};

static void key(struct xt_report_page *page, const struct xt_report_micro *report,
                const struct curve *curves, unsigned count)
{
    xt_page_raw(page, "<ul class=\"key\">");
    for (unsigned c = 0; c < count; c++) {
        if (any_has(report, curves[c].part)) {
            xt_page_put(page,
                        "<li><svg width=\"28\" height=\"10\" aria-hidden=\"true\"><path "
                        "class=\"line %s\" d=\"M1 5L27 5\"/></svg>%s</li>",
                        curves[c].class, xt_micro_part_title(curves[c].part));
        }
    }
    xt_page_raw(page, "</ul>\n");
}

static double highest(const struct xt_report_micro *report, const struct curve *curves,
                      unsigned count)
{
    double most = 0;
    for (unsigned c = 0; c < count; c++) {
        for (unsigned i = 0; i < report->count; i++) {
            most = fmax(most, report->points[i].size->measures[curves[c].part].high);
        }
    }
    return most;
}

static void draw_curve(struct xt_plot *plot, const struct xt_report_micro *report,
                       const struct curve *curve)
{
    double x = 0;
    double y = NAN;
    xt_plot_line_begin(plot, curve->class);
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_micro_measure *measure = &report->points[i].size->measures[curve->part];
        if (measure->has) {
            x = (double)report->points[i].size->count;
            y = measure->median;
            xt_plot_line_to(plot, x, y);
        }
    }
    xt_plot_line_end(plot);
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_micro_measure *measure = &report->points[i].size->measures[curve->part];
        if (measure->has) {
            xt_plot_dot(plot, curve->class, (double)report->points[i].size->count, measure->median);
        }
    }
    if (!isnan(y)) {
        xt_plot_name(plot, curve->class, x, y, curve->name);
    }
}

static void growth(const struct xt_report_micro *report, struct xt_report_page *page,
                   const char *id, const char *heading, const char *reading,
                   const struct curve *curves, unsigned count)
{
    double most = highest(report, curves, count);
    struct xt_plot plot = {.page = page,
                           .id = id,
                           .title = heading,
                           .description = "The data stand in the table of all parts.",
                           .height = 280};
    if (most <= 0) {
        return;
    }
    plot.x =
        xt_axis_logarithmic((double)report->points[0].size->count,
                            (double)report->points[report->count - 1].size->count, people_label);
    plot.y = xt_axis_linear(most, ns_label);
    xt_figure_begin(page, heading, reading);
    key(page, report, curves, count);
    xt_plot_begin(&plot);
    for (unsigned c = 0; c < count; c++) {
        draw_curve(&plot, report, &curves[c]);
    }
    xt_plot_end(&plot, "people in the register");
    xt_figure_end(page);
}

static void lookups(const struct xt_report_micro *report, struct xt_report_page *page)
{
    static const struct curve curves[] = {{XT_MICRO_HIT, "there", "s0 d0"},
                                          {XT_MICRO_HIT_BATCH, "batch", "s0 d1"},
                                          {XT_MICRO_MISS, "nobody", "s1 d0"},
                                          {XT_MICRO_MISS_BATCH, "batch", "s1 d1"},
                                          {XT_MICRO_PLAIN_HIT, "plain", "s2 d2"}};
    growth(
        report, page, "growth-lookup", "Lookup and unseal",
        "Time of one lookup of a random number: held by somebody, held by nobody, and in the plain "
        "layout (a record under each LMDB key) of the same people, where it was made.",
        curves, sizeof(curves) / sizeof(curves[0]));
}

static void verifies(const struct xt_report_micro *report, struct xt_report_page *page)
{
    static const struct curve curves[] = {{XT_MICRO_VERIFY, "verify", "s0 d0"},
                                          {XT_MICRO_VERIFY_BATCH, "batch", "s0 d1"},
                                          {XT_MICRO_JSON_IN, "in", "s3 d0"},
                                          {XT_MICRO_JSON_OUT, "out", "s4 d0"},
                                          {XT_MICRO_NAME_SPELLING, "name", "s5 d0"}};
    growth(report, page, "growth-verify", "Whole verify",
           "From the JSON of a request to the JSON of its answer, policy, lookup and comparison "
           "included; what does not depend on the register's size stands beside it.",
           curves, sizeof(curves) / sizeof(curves[0]));
}

static void table(const struct xt_report_micro *report, struct xt_report_page *page)
{
    xt_page_raw(page,
                "<figure><figcaption><h3>All parts</h3><p>Median of the rounds, ns; behind it "
                "the quartiles.</p></figcaption><table class=\"data\"><thead><tr>"
                "<th scope=\"col\">part</th>");
    for (unsigned i = 0; i < report->count; i++) {
        xt_page_put(page, "<th scope=\"col\">%s</th>",
                    people_label((double)report->points[i].size->count).text);
    }
    xt_page_raw(page, "</tr></thead><tbody>\n");
    for (unsigned part = 0; part < XT_MICRO_PARTS; part++) {
        if (!any_has(report, part)) {
            continue;
        }
        xt_page_put(page, "<tr><th scope=\"row\">%s</th>",
                    xt_micro_part_title((enum xt_micro_part)part));
        for (unsigned i = 0; i < report->count; i++) {
            const struct xt_micro_measure *measure = &report->points[i].size->measures[part];
            if (measure->has) {
                xt_page_put(page, "<td>%s <small>%s\xe2\x80\x93%s</small></td>",
                            ns_figure(measure->median).text, ns_figure(measure->low).text,
                            ns_figure(measure->high).text);
            } else {
                xt_page_raw(page, "<td>\xe2\x80\x93</td>");
            }
        }
        xt_page_raw(page, "</tr>\n");
    }
    xt_page_raw(page, "</tbody></table></figure>\n");
}

static void about(const struct xt_report_micro *report, struct xt_report_page *page)
{
    xt_page_raw(page, "<figure><figcaption><h3>Where and how</h3>");
    for (unsigned i = 0; i < report->result_count; i++) {
        const struct xt_micro_result *result = report->results[i];
        xt_page_raw(page, "<p>");
        xt_page_html(page, result->date);
        xt_page_raw(page, ", commit ");
        xt_page_html(page, result->commit[0] != '\0' ? result->commit : "not told");
        xt_page_put(page, ", %u rounds of %s keys and %s requests, batches of %u; ", result->rounds,
                    xt_number_count(result->keys).text, xt_number_count(result->requests).text,
                    result->group);
        xt_page_html(page, result->machine.processor);
        xt_page_put(page, ", %u cores, %s, ", result->machine.cores,
                    xt_number_bytes(result->machine.memory_bytes).text);
        xt_page_html(page, result->machine.kernel);
        xt_page_raw(page, "</p>");
    }
    xt_page_raw(page, "</figcaption><table class=\"data\"><thead><tr>"
                      "<th scope=\"col\">people</th><th scope=\"col\">hot table</th>"
                      "<th scope=\"col\">all tables</th><th scope=\"col\">plain layout</th>"
                      "</tr></thead><tbody>\n");
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_micro_size *size = report->points[i].size;
        xt_page_put(page, "<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td><td>%s</td></tr>\n",
                    xt_number_count(size->count).text, xt_number_bytes(size->hot_bytes).text,
                    xt_number_bytes(size->file_bytes).text,
                    size->plain_bytes > 0 ? xt_number_bytes(size->plain_bytes).text
                                          : "\xe2\x80\x93");
    }
    xt_page_raw(page, "</tbody></table></figure>\n");
}

void xt_report_micro_html(const struct xt_report_micro *report, struct xt_report_page *page)
{
    xt_report_html_head(report->title, page);
    xt_page_put(page, "<p class=\"sub\">%s</p>\n</header>\n<main>\n", how);
    if (is_mixed(report)) {
        xt_page_put(page, "<ul class=\"notes\"><li class=\"warning\">%s</li></ul>\n", mixed);
    }
    xt_page_raw(page, "<section>\n");
    lookups(report, page);
    verifies(report, page);
    table(report, page);
    about(report, page);
    xt_page_raw(page, "</section>\n");
    xt_report_html_end(report->results[0]->program, "", page);
}

/* ---- Markdown ---- */

void xt_report_micro_markdown(const struct xt_report_micro *report, struct xt_report_page *page)
{
    xt_page_raw(page, "**");
    xt_page_markdown(page, report->title);
    xt_page_put(page, "**\n\n%s\n\n| part |", how);
    for (unsigned i = 0; i < report->count; i++) {
        xt_page_put(page, " %s |", people_label((double)report->points[i].size->count).text);
    }
    xt_page_raw(page, "\n|---|");
    for (unsigned i = 0; i < report->count; i++) {
        xt_page_raw(page, "--:|");
    }
    for (unsigned part = 0; part < XT_MICRO_PARTS; part++) {
        if (!any_has(report, part)) {
            continue;
        }
        xt_page_put(page, "\n| %s |", xt_micro_part_title((enum xt_micro_part)part));
        for (unsigned i = 0; i < report->count; i++) {
            const struct xt_micro_measure *measure = &report->points[i].size->measures[part];
            xt_page_put(page, " %s |", measure->has ? ns_figure(measure->median).text : "");
        }
    }
    xt_page_put(page, "\n%s%s\nMachine: ", is_mixed(report) ? "\n- " : "",
                is_mixed(report) ? mixed : "");
    xt_page_markdown(page, report->results[0]->machine.processor);
    xt_page_put(page, ", %u cores, %s\n", report->results[0]->machine.cores,
                xt_number_bytes(report->results[0]->machine.memory_bytes).text);
}

/* ---- CSV: every round ---- */

void xt_report_micro_csv(const struct xt_report_micro *report, struct xt_report_page *page)
{
    xt_page_raw(page, "people,part,round,wall_ns,cpu_ns\n");
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_micro_size *size = report->points[i].size;
        for (unsigned part = 0; part < XT_MICRO_PARTS; part++) {
            const struct xt_micro_measure *measure = &size->measures[part];
            for (unsigned round = 0; round < measure->count; round++) {
                xt_page_put(page, "%llu,%s,%u,%.5g,%.5g\n", (unsigned long long)size->count,
                            xt_micro_part_name((enum xt_micro_part)part), round + 1,
                            measure->wall[round], measure->cpu[round]);
            }
        }
    }
}

/* ---- JSON ---- */

void xt_report_micro_json(const struct xt_report_micro *report, struct xt_report_page *page)
{
    xt_page_raw(page, "{\"format\":\"xacthuc-report/1\",\"program\":\"xacthuc-bench " XT_VERSION
                      "\",\"title\":");
    xt_page_json(page, report->title);
    xt_page_put(page, ",\"mixed\":%s,\"sizes\":[", is_mixed(report) ? "true" : "false");
    for (unsigned i = 0; i < report->count; i++) {
        const struct xt_micro_size *size = report->points[i].size;
        const char *before = "";
        xt_page_put(page, "%s\n{\"count\":%llu,\"hot_bytes\":%llu,\"measures\":{", i > 0 ? "," : "",
                    (unsigned long long)size->count, (unsigned long long)size->hot_bytes);
        for (unsigned part = 0; part < XT_MICRO_PARTS; part++) {
            const struct xt_micro_measure *measure = &size->measures[part];
            if (measure->has) {
                xt_page_put(page, "%s\"%s\":{\"median\":%.5g,\"low\":%.5g,\"high\":%.5g}", before,
                            xt_micro_part_name((enum xt_micro_part)part), measure->median,
                            measure->low, measure->high);
                before = ",";
            }
        }
        xt_page_raw(page, "}}");
    }
    xt_page_raw(page, "\n]}\n");
}
