#include "bench/result_reader.h"

#include <stdlib.h>
#include <string.h>

#define LATEST 253402300799.0 /* Unix seconds: the year 9999 */
#define A_YEAR_S (366.0 * 86400)

static void read_configuration(struct xt_result_reader *reader, const struct xt_json_value *root,
                               struct xt_bench_result *result)
{
    const struct xt_json_value *object =
        xt_result_want_type(reader, root, "configuration", XT_JSON_OBJECT, "must be an object");
    reader->within = "configuration.";
    xt_result_read_pairs(reader, object, "", 0, &result->configuration);
    result->open_loop = xt_result_boolean(reader, object, "open_loop");
    result->duration_s = xt_result_real(reader, object, "duration_s", A_YEAR_S);
    result->connections_wanted =
        xt_result_integer(reader, object, "connections", XT_RESULT_COUNT_MAX);
    result->threads = xt_result_integer(reader, object, "threads", XT_RESULT_COUNT_MAX);
    reader->within = "";
    object = xt_result_want_type(reader, root, "machine", XT_JSON_OBJECT, "must be an object");
    reader->within = "machine.";
    xt_result_read_pairs(reader, object, "", 0, &result->machine);
    reader->within = "";
}

static void read_kinds(struct xt_result_reader *reader, const struct xt_json_value *run,
                       struct xt_bench_result *result)
{
    const struct xt_json_value *kinds =
        xt_result_want_type(reader, run, "errors_by_kind", XT_JSON_OBJECT, "must be an object");
    const struct xt_json_value *first =
        xt_result_want_type(reader, run, "first_of_kind", XT_JSON_OBJECT, "must be an object");
    if (xt_json_size(kinds) > XT_RESULT_KINDS_MAX) {
        xt_result_complain(reader, "errors_by_kind", "has too many members");
        return;
    }
    uint64_t sum = 0;
    struct xt_json_walk walk = xt_json_walk_over(kinds);
    while (reader->status == XT_OK && xt_json_walk_next(&walk)) {
        struct xt_result_kind *kind = &result->kinds[result->kind_count++];
        xt_result_copy_text(walk.name, kind->name, sizeof(kind->name));
        kind->count = xt_json_integer(walk.value);
        if (xt_json_type_of(walk.value) != XT_JSON_INTEGER || kind->count > XT_RESULT_COUNT_MAX) {
            xt_result_complain(reader, "errors_by_kind", "must hold whole numbers only");
        }
        sum += kind->count;
        const struct xt_json_value *said = xt_json_member_of(first, kind->name);
        if (said != NULL) {
            xt_result_copy_text(xt_json_text(said), kind->first, sizeof(kind->first));
        }
    }
    if (sum != result->errors) {
        xt_result_complain(reader, "errors_by_kind", "does not add up to run.errors");
    }
}

static void read_server(struct xt_result_reader *reader, const struct xt_json_value *run,
                        struct xt_bench_result *result)
{
    const struct xt_json_value *server = xt_result_want(reader, run, "server");
    result->has_server = server != NULL && xt_json_type_of(server) != XT_JSON_NULL;
    if (!result->has_server) {
        return;
    }
    reader->within = "run.server.";
    result->server_cpu_us = xt_result_integer(reader, server, "cpu_us", XT_RESULT_COUNT_MAX);
    result->server_cpu_per_request = xt_result_real(reader, server, "cpu_us_per_request", 1e15);
    result->server_processes = xt_result_integer(reader, server, "processes", XT_RESULT_COUNT_MAX);
    result->server_resident_bytes =
        xt_result_integer(reader, server, "resident_bytes", XT_RESULT_COUNT_MAX);
}

static void read_run(struct xt_result_reader *reader, const struct xt_json_value *root,
                     struct xt_bench_result *result)
{
    const struct xt_json_value *run =
        xt_result_want_type(reader, root, "run", XT_JSON_OBJECT, "must be an object");
    reader->within = "run.";
    result->began = xt_result_real(reader, run, "began", LATEST);
    result->measured = xt_result_real(reader, run, "measured_s", A_YEAR_S);
    result->interrupted = xt_result_boolean(reader, run, "interrupted");
    result->wanted_rate = xt_result_integer(reader, run, "wanted_rate", XT_RESULT_COUNT_MAX);
    result->achieved_rate = xt_result_real(reader, run, "achieved_rate", 1e12);
    result->right = xt_result_integer(reader, run, "right", XT_RESULT_COUNT_MAX);
    result->right_in_time = xt_result_integer(reader, run, "right_in_time", XT_RESULT_COUNT_MAX);
    result->errors = xt_result_integer(reader, run, "errors", XT_RESULT_COUNT_MAX);
    read_kinds(reader, run, result);
    const struct xt_json_value *before =
        xt_result_want_type(reader, run, "before_measuring", XT_JSON_OBJECT, "must be an object");
    result->early_right = xt_result_integer(reader, before, "right", XT_RESULT_COUNT_MAX);
    result->early_errors = xt_result_integer(reader, before, "errors", XT_RESULT_COUNT_MAX);
    result->connections = xt_result_integer(reader, run, "connections", XT_RESULT_COUNT_MAX);
    result->resumed = xt_result_integer(reader, run, "resumed", XT_RESULT_COUNT_MAX);
    result->client_cpu_us = xt_result_integer(reader, run, "client_cpu_us", XT_RESULT_COUNT_MAX);
    result->client_cpu_per_request = xt_result_real(reader, run, "client_cpu_us_per_request", 1e15);
    read_server(reader, run, result);
    reader->within = "";
}

static void read_seconds(struct xt_result_reader *reader, const struct xt_json_value *root,
                         struct xt_bench_result *result)
{
    const struct xt_json_value *list =
        xt_result_want_type(reader, root, "seconds", XT_JSON_ARRAY, "must be a list");
    size_t count = xt_json_size(list);
    if (count > XT_RESULT_SECONDS_MAX) {
        xt_result_complain(reader, "seconds", "has more than 100,000 rows");
    }
    if (reader->status != XT_OK) {
        return;
    }
    result->seconds = calloc(count + 1, sizeof(*result->seconds));
    if (result->seconds == NULL) {
        reader->status = xt_fail(reader->failure, XT_NO_MEMORY, "not enough memory; free some");
        return;
    }
    reader->within = "seconds: ";
    struct xt_json_walk walk = xt_json_walk_over(list);
    while (reader->status == XT_OK && xt_json_walk_next(&walk)) {
        struct xt_load_second *row = &result->seconds[result->second_count];
        row->second =
            (unsigned)xt_result_integer(reader, walk.value, "second", 10 * XT_RESULT_SECONDS_MAX);
        row->right = xt_result_integer(reader, walk.value, "right", XT_RESULT_COUNT_MAX);
        row->errors = xt_result_integer(reader, walk.value, "errors", XT_RESULT_COUNT_MAX);
        row->p50 = xt_result_microseconds(reader, walk.value, "p50_us");
        row->p90 = xt_result_microseconds(reader, walk.value, "p90_us");
        row->p99 = xt_result_microseconds(reader, walk.value, "p99_us");
        row->p999 = xt_result_microseconds(reader, walk.value, "p99.9_us");
        row->max = xt_result_microseconds(reader, walk.value, "max_us");
        if (result->second_count > 0 && row->second <= row[-1].second) {
            xt_result_complain(reader, "second", "must ascend from row to row");
        }
        result->second_count++;
    }
    reader->within = "";
}

/* One [lowest value of the bucket, count]. */
static void read_bucket(struct xt_result_reader *reader, const struct xt_json_value *pair,
                        struct xt_histogram *histogram, uint64_t *seen)
{
    struct xt_json_walk walk = xt_json_walk_over(pair);
    uint64_t numbers[2] = {0, 0};
    bool whole = xt_json_size(pair) == 2 && !walk.is_object;
    for (unsigned i = 0; whole && xt_json_walk_next(&walk); i++) {
        whole = xt_json_type_of(walk.value) == XT_JSON_INTEGER;
        numbers[i] = xt_json_integer(walk.value);
    }
    if (!whole || numbers[0] < XT_HISTOGRAM_LOWEST || numbers[0] > XT_HISTOGRAM_HIGHEST ||
        numbers[1] == 0 || numbers[1] > XT_RESULT_COUNT_MAX) {
        xt_result_complain(reader, "values",
                           "must be pairs of a value from 1 us to 1 min and a count");
        return;
    }
    unsigned slot = xt_histogram_slot((uint32_t)numbers[0]);
    if (xt_histogram_slot_low(slot) != numbers[0] || histogram->counts[slot] > 0) {
        xt_result_complain(reader, "values", "must be the lowest values of different buckets");
        return;
    }
    histogram->counts[slot] = numbers[1];
    *seen += numbers[1];
    if (*seen > XT_RESULT_COUNT_MAX) {
        xt_result_complain(reader, "values", "add up to more than there can be");
    }
}

/* Whether minimum, maximum and sum can be those of the counts. xt_histogram_percentile relies on it:
 * it walks from the slot of min until it has seen its share. */
static bool adds_up(const struct xt_histogram *histogram, uint64_t seen)
{
    if (seen != histogram->count || histogram->saturated > histogram->count) {
        return false;
    }
    if (seen == 0) {
        return histogram->min == 0 && histogram->max == 0 && histogram->sum == 0;
    }
    unsigned __int128 least = (unsigned __int128)seen * histogram->min;
    unsigned __int128 most = (unsigned __int128)seen * histogram->max;
    if (histogram->min < XT_HISTOGRAM_LOWEST || histogram->min > histogram->max ||
        histogram->sum < least || histogram->sum > most) {
        return false;
    }
    unsigned first = xt_histogram_slot(histogram->min);
    unsigned last = xt_histogram_slot(histogram->max);
    for (unsigned slot = 0; slot < XT_HISTOGRAM_SLOTS; slot++) {
        bool outside = slot < first || slot > last;
        bool edge = slot == first || slot == last;
        if ((outside && histogram->counts[slot] > 0) || (edge && histogram->counts[slot] == 0)) {
            return false;
        }
    }
    return true;
}

static void read_histogram(struct xt_result_reader *reader, const struct xt_json_value *root,
                           const char *name, const char *within, struct xt_histogram *histogram)
{
    const struct xt_json_value *object =
        xt_result_want_type(reader, root, name, XT_JSON_OBJECT, "must be an object");
    reader->within = within;
    xt_histogram_reset(histogram);
    const struct xt_json_value *unit =
        xt_result_want_type(reader, object, "unit", XT_JSON_STRING, "must be \"us\"");
    if (unit != NULL && !xt_span_is(xt_json_text(unit), "us")) {
        xt_result_complain(reader, "unit", "must be \"us\"");
    }
    if (xt_result_integer(reader, object, "lowest", XT_RESULT_COUNT_MAX) != XT_HISTOGRAM_LOWEST ||
        xt_result_integer(reader, object, "highest", XT_RESULT_COUNT_MAX) != XT_HISTOGRAM_HIGHEST ||
        xt_result_integer(reader, object, "digits", XT_RESULT_COUNT_MAX) != XT_HISTOGRAM_DIGITS) {
        xt_result_complain(reader, "digits", "or its bounds are not those of this program");
    }
    histogram->count = xt_result_integer(reader, object, "count", XT_RESULT_COUNT_MAX);
    histogram->saturated = xt_result_integer(reader, object, "saturated", XT_RESULT_COUNT_MAX);
    histogram->sum = xt_result_integer(reader, object, "sum", UINT64_MAX);
    histogram->min = xt_result_microseconds(reader, object, "min");
    histogram->max = xt_result_microseconds(reader, object, "max");
    const struct xt_json_value *values =
        xt_result_want_type(reader, object, "values", XT_JSON_ARRAY, "must be a list of pairs");
    if (xt_json_size(values) > XT_HISTOGRAM_SLOTS) {
        xt_result_complain(reader, "values", "has more pairs than there are buckets");
    }
    uint64_t seen = 0;
    struct xt_json_walk walk = xt_json_walk_over(values);
    while (reader->status == XT_OK && xt_json_walk_next(&walk)) {
        read_bucket(reader, walk.value, histogram, &seen);
    }
    if (reader->status == XT_OK && !adds_up(histogram, seen)) {
        xt_result_complain(reader, "values", "do not add up to count, sum, min and max");
    }
    reader->within = "";
}

static void read_knee(struct xt_result_reader *reader, const struct xt_json_value *root,
                      struct xt_bench_result *result)
{
    const struct xt_json_value *object = xt_result_want(reader, root, "knee");
    result->has_knee = object != NULL && xt_json_type_of(object) != XT_JSON_NULL;
    if (!result->has_knee) {
        return;
    }
    reader->within = "knee.";
    result->slo_us = xt_result_microseconds(reader, object, "slo_p99_us");
    result->knee.rate = xt_result_integer(reader, object, "rate", XT_RESULT_COUNT_MAX);
    const struct xt_json_value *steps =
        xt_result_want_type(reader, object, "steps", XT_JSON_ARRAY, "must be a list");
    if (xt_json_size(steps) > XT_LOAD_STEPS_MAX) {
        xt_result_complain(reader, "steps", "has more than 64 rows");
    }
    reader->within = "knee.steps: ";
    struct xt_json_walk walk = xt_json_walk_over(steps);
    while (reader->status == XT_OK && xt_json_walk_next(&walk)) {
        struct xt_load_step *step = &result->knee.steps[result->knee.count++];
        step->rate = xt_result_integer(reader, walk.value, "wanted_rate", XT_RESULT_COUNT_MAX);
        step->achieved =
            xt_result_integer(reader, walk.value, "achieved_rate", XT_RESULT_COUNT_MAX);
        step->errors = xt_result_integer(reader, walk.value, "errors", XT_RESULT_COUNT_MAX);
        step->p50 = xt_result_microseconds(reader, walk.value, "p50_us");
        step->p99 = xt_result_microseconds(reader, walk.value, "p99_us");
        step->p999 = xt_result_microseconds(reader, walk.value, "p99.9_us");
        step->kept = xt_result_boolean(reader, walk.value, "kept");
    }
    reader->within = "";
}

static void read_format(struct xt_result_reader *reader, const struct xt_json_value *root,
                        struct xt_bench_result *result)
{
    const struct xt_json_value *format = xt_json_member_of(root, "format");
    if (!xt_span_is(xt_json_text(format), "xacthuc-load/1")) {
        reader->status = xt_fail(reader->failure, XT_UNSUPPORTED,
                                 "%.200s: no result of 'xacthuc-bench load --out': format must be "
                                 "\"xacthuc-load/1\"",
                                 reader->label);
        return;
    }
    const struct xt_json_value *program =
        xt_result_want_type(reader, root, "program", XT_JSON_STRING, "must be text");
    xt_result_copy_text(xt_json_text(program), result->program, sizeof(result->program));
}

enum xt_status xt_result_read(const struct xt_json_value *value, const char *label,
                              struct xt_bench_result **result, struct xt_failure *failure)
{
    struct xt_result_reader reader = {.label = label, .within = "", .failure = failure};
    struct xt_bench_result *made = calloc(1, sizeof(*made));
    *result = NULL;
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory for a result; free some");
    }
    xt_result_copy_text(xt_span_of_string(label), made->label, sizeof(made->label));
    read_format(&reader, value, made);
    if (reader.status == XT_OK) {
        read_configuration(&reader, value, made);
        read_run(&reader, value, made);
        read_seconds(&reader, value, made);
        read_histogram(&reader, value, "histogram", "histogram.", &made->latency);
        read_histogram(&reader, value, "handshake", "handshake.", &made->handshake);
        read_knee(&reader, value, made);
    }
    if (reader.status == XT_OK && made->latency.count != made->right) {
        xt_result_complain(&reader, "histogram.count", "must be run.right");
    }
    if (reader.status == XT_OK && made->right_in_time > made->right) {
        xt_result_complain(&reader, "run.right_in_time", "must not be more than run.right");
    }
    if (reader.status != XT_OK) {
        xt_result_free(made);
        return reader.status;
    }
    *result = made;
    return XT_OK;
}

void xt_result_free(struct xt_bench_result *result)
{
    if (result != NULL) {
        free(result->seconds);
        free(result);
    }
}
