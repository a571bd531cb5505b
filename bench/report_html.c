/* The page: head, statement, tiles, plots, configuration and machine. */
#include "bench/report_html.h"
#include "bench/report_figures.h"
#include "bench/report_style.h"

#include <stdio.h>
#include <stdlib.h>

void xt_report_html_head(const char *title, struct xt_report_page *page)
{
    xt_page_raw(page,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "base-uri 'none'; form-action 'none'; style-src 'sha256-" XT_REPORT_STYLE_DIGEST
                "'; script-src 'sha256-" XT_REPORT_SCRIPT_DIGEST "'\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n"
                "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    xt_page_html(page, title);
    xt_page_raw(page, "</title>\n<style>");
    xt_page_raw(page, xt_report_style);
    xt_page_raw(page, "</style>\n</head>\n<body>\n<header>\n<h1>");
    xt_page_html(page, title);
    xt_page_raw(page, "</h1>\n");
}

static const char *setting(const struct xt_result_pairs *pairs, const char *name)
{
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->list[i].name, name) == 0) {
            return pairs->list[i].value;
        }
    }
    return "";
}

static void when_and_where(const struct xt_bench_result *result, struct xt_report_page *page)
{
    xt_page_put(page, "<p class=\"sub\">%s, measured for %s, ", xt_number_date(result->began).text,
                xt_number_seconds(result->measured).text);
    xt_page_html(page, setting(&result->configuration, "server"));
    xt_page_raw(page, "</p>\n");
}

static void statement(const struct xt_bench_result *result, struct xt_report_page *page)
{
    char text[512];
    struct xt_report_note notes[XT_REPORT_NOTES_MAX];
    unsigned count = xt_report_notes(result, notes);
    xt_report_statement(result, text, sizeof(text));
    xt_page_put(page, "<p class=\"statement %s\"><b>%s</b>%s</p>\n",
                result->open_loop ? "open" : "closed",
                result->open_loop ? "Open loop" : "Closed loop: hides pauses", text);
    for (unsigned i = 0; i < count; i++) {
        xt_page_put(page, "%s<li%s>", i == 0 ? "<ul class=\"notes\">" : "",
                    notes[i].warning ? " class=\"warning\"" : "");
        xt_page_html(page, notes[i].text);
        xt_page_put(page, "</li>%s", i + 1 == count ? "</ul>\n" : "");
    }
}

static void tile(struct xt_report_page *page, const char *name, const char *class,
                 const char *figure, const char *below)
{
    xt_page_put(page, "<div><dt>%s</dt><dd%s%s%s>%s<small>%s</small></dd></div>\n", name,
                class != NULL ? " class=\"" : "", class != NULL ? class : "",
                class != NULL ? "\"" : "", figure, below);
}

static void latency_tile(struct xt_report_page *page, const struct xt_bench_result *result,
                         uint32_t thousandths, const char *below)
{
    tile(page, xt_number_percentile(thousandths).text, NULL,
         result->right > 0
             ? xt_number_us(xt_histogram_percentile(&result->latency, thousandths)).text
             : "\xe2\x80\x93",
         result->right > 0 ? below : "no right answer");
}

static void tiles(const struct xt_bench_result *result, struct xt_report_page *page)
{
    char below[128];
    char more[128];
    xt_page_raw(page, "<dl class=\"tiles\">\n");
    if (result->open_loop) {
        (void)snprintf(below, sizeof(below), "of %s wanted",
                       xt_number_count(result->wanted_rate).text);
    } else {
        (void)snprintf(below, sizeof(below), "%s connections",
                       xt_number_count(result->connections_wanted).text);
    }
    tile(page, "right answers a second", NULL, xt_number_rate(result->achieved_rate).text, below);
    double asked = (double)result->errors + (double)result->right;
    (void)snprintf(below, sizeof(below), "of %s",
                   xt_number_count(result->errors + result->right).text);
    if (result->errors > 0) {
        (void)snprintf(below, sizeof(below), "%s\xc2\xa0%% of %s",
                       xt_number_digits(100 * (double)result->errors / asked).text,
                       xt_number_count(result->errors + result->right).text);
    }
    tile(page, "errors", result->errors > 0 ? "bad" : NULL, xt_number_count(result->errors).text,
         below);
    latency_tile(page, result, 50000, "half of the answers");
    latency_tile(page, result, 99000, "1 in 100 took longer");
    (void)snprintf(more, sizeof(more), "longest %s", xt_number_us(result->latency.max).text);
    latency_tile(page, result, 99900, more);
    if (result->has_server && result->right > 0) {
        (void)snprintf(below, sizeof(below), "%s\xc2\xa0\xc2\xb5s",
                       xt_number_digits(result->server_cpu_per_request).text);
        (void)snprintf(more, sizeof(more), "%s resident",
                       xt_number_bytes(result->server_resident_bytes).text);
        tile(page, "server CPU a request", NULL, below, more);
    } else {
        tile(page, "server CPU a request", NULL, "\xe2\x80\x93",
             result->has_server ? "no right answer" : "not read");
    }
    xt_page_raw(page, "</dl>\n");
}

/* "client_certificate" as "client certificate"; a unit at its end goes to the value. */
static const char *fact_name(const char *name, char shown[XT_RESULT_NAME_MAX])
{
    static const char *const units[] = {"_bytes", "_s"};
    size_t size = strlen(name);
    const char *unit = "";
    for (unsigned i = 0; i < 2; i++) {
        size_t length = strlen(units[i]);
        if (unit[0] == '\0' && size > length && strcmp(name + size - length, units[i]) == 0) {
            unit = units[i] + 1;
            size -= length;
        }
    }
    (void)snprintf(shown, XT_RESULT_NAME_MAX, "%.*s", (int)size, name);
    for (char *at = shown; *at != '\0'; at++) {
        *at = *at == '_' || *at == '.' ? ' ' : *at;
    }
    return unit;
}

static bool is_quantity(const char *name, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    return digits > 0 && digits < 19 && value[digits] == '\0' && strstr(name, "seed") == NULL;
}

static void fact(struct xt_report_page *page, const struct xt_result_pair *pair)
{
    char shown[XT_RESULT_NAME_MAX];
    const char *unit = fact_name(pair->name, shown);
    bool quantity = is_quantity(pair->name, pair->value);
    xt_page_raw(page, "<tr><th scope=\"row\">");
    xt_page_html(page, shown);
    xt_page_raw(page, "</th><td>");
    if (quantity && strcmp(unit, "bytes") == 0) {
        xt_page_raw(page, xt_number_bytes(strtoull(pair->value, NULL, 10)).text);
        unit = "";
    } else if (quantity) {
        xt_page_raw(page, xt_number_count(strtoull(pair->value, NULL, 10)).text);
    } else {
        xt_page_html(page, pair->value[0] != '\0' ? pair->value : "\xe2\x80\x93");
    }
    xt_page_put(page, "%s%s</td></tr>\n", unit[0] != '\0' ? "\xc2\xa0" : "", unit);
}

static void facts(struct xt_report_page *page, const char *heading,
                  const struct xt_result_pairs *pairs)
{
    xt_page_put(page,
                "<figure><figcaption><h3>%s</h3></figcaption><table class=\"facts\"><tbody>\n",
                heading);
    for (unsigned i = 0; i < pairs->count; i++) {
        fact(page, &pairs->list[i]);
    }
    xt_page_raw(page, "</tbody></table></figure>\n");
}

static void section(const struct xt_report *report, unsigned index, struct xt_report_page *page)
{
    const struct xt_report_run *run = &report->runs[index];
    const struct xt_bench_result *result = run->result;
    if (report->count > 1) {
        xt_page_put(page, "<section id=\"run-%c\"><h2>%c&ensp;", run->letter, run->letter);
        xt_page_html(page, run->name);
        xt_page_raw(page, "</h2>\n");
        when_and_where(result, page);
    } else {
        xt_page_put(page, "<section id=\"run-%c\" class=\"only\">", run->letter);
    }
    statement(result, page);
    tiles(result, page);
    xt_report_figures(run, page);
    xt_page_raw(page, "<div class=\"pair\">\n");
    facts(page, "Configuration", &result->configuration);
    facts(page, "The client\xe2\x80\x99s machine", &result->machine);
    xt_page_raw(page, "</div>\n</section>\n");
}

void xt_report_html_end(const char *program, const char *remark, struct xt_report_page *page)
{
    xt_page_raw(page, "</main>\n<footer>Measured by ");
    xt_page_html(page, program);
    xt_page_put(page, ", drawn by xacthuc-bench " XT_VERSION ".%s</footer>\n<script>", remark);
    xt_page_raw(page, xt_report_script);
    xt_page_raw(page, "</script>\n</body>\n</html>\n");
}

void xt_report_html(const struct xt_report *report, struct xt_report_page *page)
{
    xt_report_html_head(report->title, page);
    if (report->count == 1) {
        when_and_where(report->runs[0].result, page);
    } else {
        xt_page_put(page, "<p class=\"sub\">%u runs</p>\n", report->count);
    }
    xt_page_raw(page, "</header>\n<main>\n");
    if (report->count > 1) {
        xt_report_overlay(report, page);
    }
    for (unsigned i = 0; i < report->count; i++) {
        section(report, i, page);
    }
    xt_report_html_end(report->runs[0].result->program,
                       " Latency in buckets of three significant digits; a percentile is never "
                       "below the exact one and at most 0.1\xc2\xa0% above it.",
                       page);
}
