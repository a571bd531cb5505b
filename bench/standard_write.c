#include "bench/print.h"
#include "bench/standard.h"

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

static void put_text(struct file *file, const char *name, const char *text, const char *after)
{
    PUT(file, "\"%s\":", name);
    if (file->status == XT_OK) {
        file->status = xt_print_string(&file->output, file->failure, text);
    }
    PUT(file, "%s", after);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void put_head(struct file *file, const struct xt_standard *set)
{
    const struct xt_standard_options *options = set->options;
    const struct xt_machine *machine = &set->machine;
    PUT(file, "{\"format\":\"xacthuc-standard/1\",\"program\":\"xacthuc-bench " XT_VERSION "\",\n");
    put_text(file, "commit", options->commit, ",");
    put_text(file, "date", set->date, ",\n");
    PUT(file,
        "\"command\":\"xacthuc-bench standard --rounds %u --seconds %u --count %llu "
        "--rates %llu,%llu\",\n",
        options->rounds, options->seconds, (unsigned long long)options->count,
        (unsigned long long)options->rates[0], (unsigned long long)options->rates[1]);
    PUT(file,
        "\"settings\":{\"seed\":" XT_STANDARD_SEED
        ",\"count\":%llu,\"requests\":" XT_STANDARD_REQUESTS ",\"own_core_each\":%s},\n",
        (unsigned long long)options->count, truth(set->server_core != set->client_core));
    PUT(file, "\"effort\":{\"rounds\":%u,\"seconds\":%u},\n", set->rounds_done, options->seconds);
    PUT(file, "\"machine\":{");
    put_text(file, "processor", machine->processor, ",");
    PUT(file, "\"cores\":%u,\"memory_bytes\":%llu,", machine->cores,
        (unsigned long long)machine->memory_bytes);
    put_text(file, "kernel", machine->kernel, ",");
    put_text(file, "architecture", machine->architecture, ",");
    PUT(file, "\"load_average_before\":%.2f},\n", machine->load_average);
}

static void put_not_available(struct file *file, const struct xt_standard *set)
{
    const char *before = "";
    PUT(file, "\"not_available\":{");
    if (set->no_counters[0] != '\0') {
        put_text(file, "instructions_per_request", set->no_counters, ",");
        put_text(file, "cycles_per_request", set->no_counters, "");
        before = ",";
    }
    if (set->no_valgrind[0] != '\0') {
        PUT(file, "%s", before);
        put_text(file, "gen_instructions", set->no_valgrind, ",");
        put_text(file, "import_instructions", set->no_valgrind, "");
    }
    if (set->no_memory) {
        PUT(file, "%s\"server_memory\":\"not permitted\"",
            set->no_counters[0] != '\0' || set->no_valgrind[0] != '\0' ? "," : "");
    }
    PUT(file, "},\n");
}

static void put_measures(struct file *file, const struct xt_standard_measures *measures)
{
    static const char *const kinds[] = {"slices", "counted", "errors", "reference", "shown"};
    PUT(file, "\"measures\":{");
    for (unsigned i = 0; i < measures->count; i++) {
        const struct xt_standard_measure *measure = &measures->list[i];
        PUT(file, "%s\n \"%s\":{\"unit\":\"%s\",\"kind\":\"%s\",\"better\":\"%s\",\"values\":[",
            i > 0 ? "," : "", measure->name, measure->unit, kinds[measure->kind],
            measure->more_is_better ? "more" : "less");
        for (unsigned value = 0; value < measure->count; value++) {
            PUT(file, "%s%.9g", value > 0 ? "," : "", measure->values[value]);
        }
        PUT(file, "]}");
    }
    PUT(file, "}");
}

static void put_run(struct file *file, const struct xt_standard *set,
                    const struct xt_standard_run *run)
{
    PUT(file,
        "\"%s\":{\"configuration\":{\"open_loop\":%s,\"rate\":%llu,\"connections\":%u,"
        "\"pipeline\":%u,\"handshake\":\"%s\",\"tls\":\"mutual\",\"checked\":\"claims\"},\n",
        run->name, truth(run->rate > 0), (unsigned long long)run->rate, run->connections,
        run->pipeline, xt_load_handshake_name(run->handshake));
    put_measures(file, &run->measures);
    PUT(file, ",\n\"rounds\":[");
    for (unsigned round = 0; round < set->rounds_done; round++) {
        PUT(file, "%s\n [", round > 0 ? "," : "");
        for (unsigned i = 0; i < set->options->seconds; i++) {
            const struct xt_standard_second *second =
                &run->seconds[round * set->options->seconds + i];
            PUT(file, "%s[%llu,%llu,%u,%u,%u,%u,%u]", i > 0 ? "," : "",
                (unsigned long long)second->right, (unsigned long long)second->errors, second->p50,
                second->p90, second->p99, second->p999, second->max);
        }
        PUT(file, "]");
    }
    PUT(file, "]}");
}

enum xt_status xt_standard_write(const struct xt_standard *set, struct xt_failure *failure)
{
    struct file file = {.failure = failure};
    file.status = xt_output_open(&file.output, set->options->out, failure);
    if (file.status != XT_OK) {
        return file.status;
    }
    put_head(&file, set);
    put_not_available(&file, set);
    put_measures(&file, &set->measures);
    PUT(&file, ",\n\"runs\":{\n");
    for (unsigned i = 0; i < XT_STANDARD_RUNS; i++) {
        put_run(&file, set, &set->runs[i]);
        PUT(&file, "%s\n", i + 1 < XT_STANDARD_RUNS ? "," : "");
    }
    PUT(&file, "}}\n");
    if (file.status == XT_OK) {
        file.status = xt_output_commit(&file.output, failure);
    }
    xt_output_close(&file.output);
    return file.status;
}
