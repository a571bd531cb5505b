#include "bench/load_result.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/print.h"

/* One file while it is written. After a failure nothing more is; it is told at the end. */
struct file {
    struct xt_output output;
    enum xt_status status;
    struct xt_failure *failure;
};

#define PUT(file, ...)                                                                             \
    do {                                                                                           \
        if ((file)->status == XT_OK) {                                                             \
            (file)->status = xt_print(&(file)->output, (file)->failure, __VA_ARGS__);              \
        }                                                                                          \
    } while (false)

static void put_string(struct file *file, const char *name, const char *text)
{
    PUT(file, "\"%s\":", name);
    if (file->status == XT_OK) {
        file->status = text == NULL ? xt_print(&file->output, file->failure, "null")
                                    : xt_print_string(&file->output, file->failure, text);
    }
}

static void put_configuration(struct file *file, const struct xt_load_result *result)
{
    const struct xt_load_options *options = result->options;
    PUT(file, "\"configuration\":{");
    put_string(file, "server", options->server);
    PUT(file,
        ",\"client_certificate\":%s,\"open_loop\":%s,\"rate\":%llu,\"connections\":%u,"
        "\"threads\":%u,\"pipeline\":%u,\"queue\":%llu,\"handshake\":\"%s\",",
        options->certificate != NULL ? "true" : "false", options->rate > 0 ? "true" : "false",
        (unsigned long long)options->rate, options->connections, options->threads,
        options->pipeline, (unsigned long long)options->queue,
        xt_load_handshake_name(options->handshake));
    PUT(file,
        "\"ramp_s\":%.3f,\"warmup_s\":%.3f,\"duration_s\":%.3f,\"timeout_s\":%.3f,"
        "\"signed\":%s,\"checked\":\"%s\",",
        (double)options->ramp_ns / 1e9, (double)options->warmup_ns / 1e9,
        (double)options->duration_ns / 1e9, (double)options->timeout_ns / 1e9,
        options->signed_keys != NULL ? "true" : "false",
        options->unchecked      ? "status"
        : options->verdict_only ? "verdict"
                                : "claims");
    if (options->has_people) {
        PUT(file, "\"people\":{\"seed\":%llu,\"count\":%llu,\"full\":%s,",
            (unsigned long long)options->seed, (unsigned long long)options->count,
            options->full ? "true" : "false");
        put_string(file, "purpose",
                   options->purpose != NULL ? options->purpose : XT_REQUEST_PURPOSE);
        PUT(file, ",");
        put_string(file, "claims", options->claims);
        PUT(file, ",\"requests\":%u},", result->workload->count);
    }
    PUT(file, "\"scenario\":[");
    for (unsigned i = 0; i < result->workload->scenario.count; i++) {
        const struct xt_workload_part *part = &result->workload->scenario.parts[i];
        PUT(file, "%s{\"kind\":\"%s\",\"weight\":%u,", i > 0 ? "," : "",
            part->verify ? "verify" : "get", part->weight);
        if (part->verify) {
            put_string(file, "mix", part->mix[0] != '\0' ? part->mix : NULL);
        } else {
            put_string(file, "path", part->path);
            PUT(file, ",\"status\":%u", part->status);
        }
        PUT(file, "}");
    }
    PUT(file, "]},\n");
}

static void put_machine(struct file *file, const struct xt_machine *machine)
{
    PUT(file, "\"machine\":{");
    put_string(file, "processor", machine->processor);
    PUT(file, ",\"cores\":%u,\"memory_bytes\":%llu,", machine->cores,
        (unsigned long long)machine->memory_bytes);
    put_string(file, "kernel", machine->kernel);
    PUT(file, ",");
    put_string(file, "architecture", machine->architecture);
    PUT(file, ",\"load_average_before\":%.2f},\n", machine->load_average);
}

static void put_percentiles(struct file *file, const struct xt_histogram *histogram)
{
    static const struct {
        const char *name;
        uint32_t thousandths;
    } list[] = {{"p50", 50000},   {"p75", 75000},    {"p90", 90000},    {"p99", 99000},
                {"p99.9", 99900}, {"p99.99", 99990}, {"p99.999", 99999}};
    PUT(file, "{");
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        PUT(file, "\"%s\":%u,", list[i].name,
            xt_histogram_percentile(histogram, list[i].thousandths));
    }
    PUT(file, "\"min\":%u,\"max\":%u,\"mean\":%.3f,\"deviation\":%.3f}", histogram->min,
        histogram->max, xt_histogram_mean(histogram), xt_histogram_deviation(histogram));
}

static void put_run(struct file *file, const struct xt_load_result *result)
{
    const struct xt_load_figures *figures = result->figures;
    double achieved = figures->measured > 0 ? (double)figures->in_time / figures->measured : 0;
    PUT(file,
        "\"run\":{\"began\":%.3f,\"measured_s\":%.6f,\"interrupted\":%s,\"wanted_rate\":%llu,"
        "\"achieved_rate\":%.3f,\"right\":%llu,\"right_in_time\":%llu,\"errors\":%llu,",
        figures->began, figures->measured, figures->interrupted ? "true" : "false",
        (unsigned long long)figures->rate, achieved, (unsigned long long)figures->latency.count,
        (unsigned long long)figures->in_time, (unsigned long long)figures->error_count);
    PUT(file, "\"errors_by_kind\":{");
    for (unsigned i = 0; i < XT_LOAD_ERRORS; i++) {
        PUT(file, "%s\"%s\":%llu", i > 0 ? "," : "", xt_load_error_name((enum xt_load_error)i),
            (unsigned long long)figures->errors[i]);
    }
    PUT(file, "},\"first_of_kind\":{");
    const char *before = "";
    for (unsigned i = 0; i < XT_LOAD_ERRORS; i++) {
        if (figures->details[i][0] != '\0') {
            PUT(file, "%s", before);
            put_string(file, xt_load_error_name((enum xt_load_error)i), figures->details[i]);
            before = ",";
        }
    }
    PUT(file,
        "},\"before_measuring\":{\"right\":%llu,\"errors\":%llu},\"connections\":%llu,"
        "\"resumed\":%llu,\"client_cpu_us\":%llu,",
        (unsigned long long)figures->early_right, (unsigned long long)figures->early_errors,
        (unsigned long long)figures->connections, (unsigned long long)figures->resumed,
        (unsigned long long)figures->client_cpu_us);
    if (result->workload->keys != NULL) {
        PUT(file, "\"signatures_verified\":%llu,", (unsigned long long)figures->signatures);
    }
    double requests = figures->in_time > 0 ? (double)figures->in_time : 1;
    PUT(file, "\"client_cpu_us_per_request\":%.3f,", (double)figures->client_cpu_us / requests);
    if (figures->has_server) {
        PUT(file,
            "\"server\":{\"cpu_us\":%llu,\"cpu_us_per_request\":%.3f,\"processes\":%u,"
            "\"resident_bytes\":%llu},",
            (unsigned long long)figures->server_cpu_us, (double)figures->server_cpu_us / requests,
            figures->server.processes, (unsigned long long)figures->server.resident_bytes);
    } else {
        PUT(file, "\"server\":null,");
    }
    PUT(file, "\"latency_us\":");
    put_percentiles(file, &figures->latency);
    PUT(file, "},\n");
}

static void put_seconds(struct file *file, const struct xt_load_figures *figures)
{
    PUT(file, "\"seconds\":[");
    for (unsigned i = 0; i < figures->second_count; i++) {
        const struct xt_load_second *row = &figures->seconds[i];
        PUT(file,
            "%s\n{\"second\":%u,\"right\":%llu,\"errors\":%llu,\"p50_us\":%u,\"p90_us\":%u,"
            "\"p99_us\":%u,\"p99.9_us\":%u,\"max_us\":%u}",
            i > 0 ? "," : "", row->second, (unsigned long long)row->right,
            (unsigned long long)row->errors, row->p50, row->p90, row->p99, row->p999, row->max);
    }
    PUT(file, "],\n");
}

static void put_histogram(struct file *file, const char *name, const struct xt_histogram *histogram)
{
    PUT(file,
        "\"%s\":{\"unit\":\"us\",\"lowest\":%u,\"highest\":%u,\"digits\":%u,\"count\":%llu,"
        "\"saturated\":%llu,\"sum\":%llu,\"min\":%u,\"max\":%u,\"values\":[",
        name, XT_HISTOGRAM_LOWEST, XT_HISTOGRAM_HIGHEST, XT_HISTOGRAM_DIGITS,
        (unsigned long long)histogram->count, (unsigned long long)histogram->saturated,
        (unsigned long long)histogram->sum, histogram->min, histogram->max);
    const char *before = "";
    for (unsigned slot = 0; slot < XT_HISTOGRAM_SLOTS; slot++) {
        if (histogram->counts[slot] > 0) {
            PUT(file, "%s[%u,%llu]", before, xt_histogram_slot_low(slot),
                (unsigned long long)histogram->counts[slot]);
            before = ",";
        }
    }
    PUT(file, "]},\n");
}

static void put_knee(struct file *file, const struct xt_load_result *result)
{
    const struct xt_load_knee *knee = result->knee;
    if (knee == NULL) {
        PUT(file, "\"knee\":null}\n");
        return;
    }
    PUT(file, "\"knee\":{\"slo_p99_us\":%llu,\"rate\":%llu,\"steps\":[",
        (unsigned long long)result->options->slo_us, (unsigned long long)knee->rate);
    for (unsigned i = 0; i < knee->count; i++) {
        const struct xt_load_step *step = &knee->steps[i];
        PUT(file,
            "%s\n{\"wanted_rate\":%llu,\"achieved_rate\":%llu,\"errors\":%llu,\"p50_us\":%u,"
            "\"p99_us\":%u,\"p99.9_us\":%u,\"kept\":%s}",
            i > 0 ? "," : "", (unsigned long long)step->rate, (unsigned long long)step->achieved,
            (unsigned long long)step->errors, step->p50, step->p99, step->p999,
            step->kept ? "true" : "false");
    }
    PUT(file, "]}}\n");
}

enum xt_status xt_load_result_write(const struct xt_load_result *result, const char *path,
                                    struct xt_failure *failure)
{
    struct file file = {.failure = failure};
    file.status = xt_output_open(&file.output, path, failure);
    if (file.status != XT_OK) {
        return file.status;
    }
    PUT(&file, "{\"format\":\"xacthuc-load/1\",\"program\":\"xacthuc-bench " XT_VERSION "\",\n");
    put_configuration(&file, result);
    put_machine(&file, result->machine);
    put_run(&file, result);
    put_seconds(&file, result->figures);
    put_histogram(&file, "histogram", &result->figures->latency);
    put_histogram(&file, "handshake", &result->figures->handshake);
    put_knee(&file, result);
    if (file.status == XT_OK) {
        file.status = xt_output_commit(&file.output, failure);
    }
    xt_output_close(&file.output);
    return file.status;
}
