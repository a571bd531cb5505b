/* Reports that are pasted or read by programs: Markdown, CSV, JSON. */
#include "bench/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "bench/report_number.h"

static const uint32_t markdown_percentiles[] = {50000, 90000, 99000, 99900, 99990, 100000};
#define MARKDOWN_PERCENTILES (sizeof(markdown_percentiles) / sizeof(markdown_percentiles[0]))

/* ---- Markdown ---- */

static void markdown_row(const struct xt_report_run *run, struct xt_report_page *page)
{
    const struct xt_bench_result *result = run->result;
    xt_page_raw(page, "| ");
    xt_page_markdown(page, run->name);
    xt_page_put(page, " | %s | %s | %s | %s |", result->open_loop ? "open" : "closed: hides pauses",
                result->open_loop ? xt_number_count(result->wanted_rate).text : "",
                xt_number_rate(result->achieved_rate).text, xt_number_count(result->errors).text);
    for (unsigned i = 0; i < MARKDOWN_PERCENTILES; i++) {
        xt_page_put(page, " %s |",
                    result->right > 0 ? xt_number_us(xt_histogram_percentile(
                                                         &result->latency, markdown_percentiles[i]))
                                            .text
                                      : "");
    }
    if (result->has_server && result->right_in_time > 0) {
        xt_page_put(page, " %s\xc2\xa0\xc2\xb5s |\n",
                    xt_number_digits(result->server_cpu_per_request).text);
    } else {
        xt_page_raw(page, " |\n");
    }
}

static void markdown_machine(const struct xt_result_pairs *machine, struct xt_report_page *page)
{
    for (unsigned i = 0; i < machine->count; i++) {
        xt_page_raw(page, i > 0 ? ", " : "");
        xt_page_markdown(page, machine->list[i].name);
        xt_page_raw(page, " ");
        xt_page_markdown(page, machine->list[i].value);
    }
}

void xt_report_markdown(const struct xt_report *report, struct xt_report_page *page)
{
    xt_page_raw(page, "**");
    xt_page_markdown(page, report->title);
    xt_page_raw(page, "**\n\n| run | loop | wanted/s | right/s | errors |");
    for (unsigned i = 0; i < MARKDOWN_PERCENTILES; i++) {
        xt_page_put(page, " %s |", xt_number_percentile(markdown_percentiles[i]).text);
    }
    xt_page_raw(page, " server CPU/request |\n|---|---|--:|--:|--:|");
    for (unsigned i = 0; i < MARKDOWN_PERCENTILES; i++) {
        xt_page_raw(page, "--:|");
    }
    xt_page_raw(page, "--:|\n");
    for (unsigned i = 0; i < report->count; i++) {
        markdown_row(&report->runs[i], page);
    }
    for (unsigned i = 0; i < report->count; i++) {
        struct xt_report_note notes[XT_REPORT_NOTES_MAX];
        unsigned count = xt_report_notes(report->runs[i].result, notes);
        for (unsigned j = 0; j < count; j++) {
            xt_page_put(page, "%s- ", i + j == 0 ? "\n" : "");
            if (report->count > 1) {
                xt_page_markdown(page, report->runs[i].name);
                xt_page_raw(page, ": ");
            }
            xt_page_markdown(page, notes[j].text);
            xt_page_raw(page, "\n");
        }
    }
    xt_page_raw(page, "\nClient: ");
    markdown_machine(&report->runs[0].result->machine, page);
    xt_page_raw(page, "\n");
}

/* ---- CSV ---- */

static void csv_run(const struct xt_report_run *run, struct xt_report_page *page)
{
    const struct xt_bench_result *result = run->result;
    for (unsigned i = 0; i < result->second_count; i++) {
        const struct xt_load_second *row = &result->seconds[i];
        xt_page_csv(page, run->name);
        xt_page_put(page, ",second,%u,%" PRIu64 ",%" PRIu64, row->second, row->right, row->errors);
        if (row->right > 0) {
            xt_page_put(page, ",%u,%u,%u,%u,%u,\n", row->p50, row->p90, row->p99, row->p999,
                        row->max);
        } else {
            xt_page_raw(page, ",,,,,,\n");
        }
    }
    for (unsigned i = 0; result->right > 0 && i < XT_REPORT_PERCENTILES; i++) {
        uint32_t thousandths = xt_report_percentiles[i];
        xt_page_csv(page, run->name);
        xt_page_put(page, ",percentile,%.7g,,,,,,,,%u\n", thousandths / 1000.0,
                    thousandths == 0 ? result->latency.min
                                     : xt_histogram_percentile(&result->latency, thousandths));
    }
}

void xt_report_csv(const struct xt_report *report, struct xt_report_page *page)
{
    xt_page_raw(page, "run,row,at,right,errors,p50_us,p90_us,p99_us,p99.9_us,max_us,latency_us\n");
    for (unsigned i = 0; i < report->count; i++) {
        csv_run(&report->runs[i], page);
    }
}

/* ---- JSON ---- */

static void json_percentiles(struct xt_report_page *page, const char *name,
                             const struct xt_histogram *histogram)
{
    xt_page_put(page, "\"%s\":", name);
    if (histogram->count == 0) {
        xt_page_raw(page, "null");
        return;
    }
    xt_page_put(page, "{\"count\":%" PRIu64 ",\"mean\":%.3f", histogram->count,
                xt_histogram_mean(histogram));
    for (unsigned i = 0; i < XT_REPORT_PERCENTILES; i++) {
        uint32_t thousandths = xt_report_percentiles[i];
        xt_page_put(page, ",\"%s\":%u", xt_number_percentile(thousandths).text,
                    thousandths == 0 ? histogram->min
                                     : xt_histogram_percentile(histogram, thousandths));
    }
    xt_page_raw(page, "}");
}

static void json_errors(struct xt_report_page *page, const struct xt_bench_result *result)
{
    xt_page_put(page, "\"errors\":%" PRIu64 ",\"errors_by_kind\":{", result->errors);
    for (unsigned i = 0; i < result->kind_count; i++) {
        xt_page_raw(page, i > 0 ? "," : "");
        xt_page_json(page, result->kinds[i].name);
        xt_page_put(page, ":%" PRIu64, result->kinds[i].count);
    }
    xt_page_raw(page, "}");
}

static void json_notes(struct xt_report_page *page, const struct xt_bench_result *result)
{
    struct xt_report_note notes[XT_REPORT_NOTES_MAX];
    unsigned count = xt_report_notes(result, notes);
    char text[512];
    xt_report_statement(result, text, sizeof(text));
    xt_page_raw(page, ",\"statement\":");
    xt_page_json(page, text);
    xt_page_raw(page, ",\"notes\":[");
    for (unsigned i = 0; i < count; i++) {
        xt_page_put(page, "%s{\"warning\":%s,\"text\":", i > 0 ? "," : "",
                    notes[i].warning ? "true" : "false");
        xt_page_json(page, notes[i].text);
        xt_page_raw(page, "}");
    }
    xt_page_raw(page, "]");
}

static void json_run(const struct xt_report_run *run, struct xt_report_page *page)
{
    const struct xt_bench_result *result = run->result;
    xt_page_raw(page, "{\"name\":");
    xt_page_json(page, run->name);
    xt_page_raw(page, ",\"file\":");
    xt_page_json(page, result->label);
    xt_page_put(page,
                ",\"began\":%.3f,\"measured_s\":%.6f,\"interrupted\":%s,\"open_loop\":%s,"
                "\"wanted_rate\":%" PRIu64 ",\"achieved_rate\":%.3f,\"right\":%" PRIu64 ",",
                result->began, result->measured, result->interrupted ? "true" : "false",
                result->open_loop ? "true" : "false", result->wanted_rate, result->achieved_rate,
                result->right);
    json_errors(page, result);
    xt_page_raw(page, ",");
    json_percentiles(page, "latency_us", &result->latency);
    xt_page_raw(page, ",");
    json_percentiles(page, "handshake_us", &result->handshake);
    if (result->right_in_time > 0) {
        xt_page_put(page, ",\"client_cpu_us_per_request\":%.3f,", result->client_cpu_per_request);
    } else {
        xt_page_raw(page, ",\"client_cpu_us_per_request\":null,");
    }
    if (result->has_server) {
        xt_page_put(page, "\"server\":{\"cpu_us\":%" PRIu64 ",\"resident_bytes\":%" PRIu64,
                    result->server_cpu_us, result->server_resident_bytes);
        if (result->right_in_time > 0) {
            xt_page_put(page, ",\"cpu_us_per_request\":%.3f", result->server_cpu_per_request);
        }
        xt_page_raw(page, "},");
    } else {
        xt_page_raw(page, "\"server\":null,");
    }
    if (result->has_knee) {
        xt_page_put(page, "\"knee\":{\"slo_p99_us\":%" PRIu64 ",\"rate\":%" PRIu64 "}",
                    result->slo_us, result->knee.rate);
    } else {
        xt_page_raw(page, "\"knee\":null");
    }
    json_notes(page, result);
    xt_page_raw(page, "}");
}

void xt_report_json(const struct xt_report *report, struct xt_report_page *page)
{
    xt_page_raw(page, "{\"format\":\"xacthuc-report/1\",\"program\":\"xacthuc-bench " XT_VERSION
                      "\",\"title\":");
    xt_page_json(page, report->title);
    xt_page_raw(page, ",\"runs\":[");
    for (unsigned i = 0; i < report->count; i++) {
        xt_page_raw(page, i > 0 ? ",\n" : "\n");
        json_run(&report->runs[i], page);
    }
    xt_page_raw(page, "\n]}\n");
}
