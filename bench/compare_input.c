#include "bench/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define VALUE_MOST 1e18

/* Reading goes on after a complaint; the first one is told. */
struct reader {
    struct xt_compare_input *input;
    enum xt_status status;
    struct xt_failure *failure;
};

static void complain(struct reader *reader, const char *run, const char *name, const char *must)
{
    if (reader->status == XT_OK) {
        reader->status = xt_fail(reader->failure, XT_INVALID, "%.200s: %.64s%s%.64s %s",
                                 reader->input->label, run, run[0] != '\0' ? ": " : "", name, must);
    }
}

/* Control characters become spaces: this goes to terminals. */
static void copy_text(struct xt_span from, char *to, size_t capacity)
{
    size_t size = from.size < capacity ? from.size : capacity - 1;
    for (size_t i = 0; i < size; i++) {
        to[i] = from.data[i] < 0x20 || from.data[i] == 0x7f ? ' ' : (char)from.data[i];
    }
    to[size] = '\0';
}

static void add_pair(struct reader *reader, const char *group, const char *name, const char *value,
                     bool matters)
{
    struct xt_compare_input *input = reader->input;
    if (input->pair_count == XT_COMPARE_PAIRS_MAX) {
        complain(reader, group, name, "is one setting too many");
        return;
    }
    struct xt_compare_pair *pair = &input->pairs[input->pair_count++];
    (void)snprintf(pair->name, sizeof(pair->name), "%.60s%s%.60s", group,
                   group[0] != '\0' ? "." : "", name);
    (void)snprintf(pair->value, sizeof(pair->value), "%s", value);
    pair->matters = matters;
}

static struct xt_compare_measure *add_measure(struct reader *reader, const char *run,
                                              const char *name, const char *unit,
                                              enum xt_compare_kind kind, size_t count)
{
    struct xt_compare_input *input = reader->input;
    if (reader->status != XT_OK) {
        return NULL;
    }
    if (input->measure_count == XT_COMPARE_MEASURES_MAX || count > XT_COMPARE_SLICES_MAX) {
        complain(reader, run, name, "is one measure, or slice, too many");
        return NULL;
    }
    double *values = calloc(count + 1, sizeof(*values));
    if (values == NULL) {
        reader->status = xt_fail(reader->failure, XT_NO_MEMORY, "not enough memory for the files");
        return NULL;
    }
    struct xt_compare_measure *measure = &input->measures[input->measure_count++];
    *measure =
        (struct xt_compare_measure){.kind = kind, .count = (unsigned)count, .values = values};
    (void)snprintf(measure->run, sizeof(measure->run), "%s", run);
    (void)snprintf(measure->name, sizeof(measure->name), "%s", name);
    (void)snprintf(measure->unit, sizeof(measure->unit), "%s", unit);
    return measure;
}

/* ---- a single run ---- */

/* Where a run was, for how long and how it was prepared does not change what is measured per second. */
static bool setting_matters(const char *name)
{
    static const char *const others[] = {"server",   "queue",      "timeout_s", "ramp_s",
                                         "warmup_s", "duration_s", "threads"};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(name, others[i]) == 0) {
            return false;
        }
    }
    return true;
}

static void take_settings(struct reader *reader, const struct xt_bench_result *result)
{
    char rate[32];
    for (unsigned i = 0; i < result->configuration.count; i++) {
        const struct xt_result_pair *pair = &result->configuration.list[i];
        add_pair(reader, "", pair->name, pair->value, setting_matters(pair->name));
        if (strcmp(pair->name, "server") == 0) {
            add_pair(reader, "", "tls", strncmp(pair->value, "https:", 6) == 0 ? "yes" : "no",
                     true);
        }
    }
    (void)snprintf(rate, sizeof(rate), "%" PRIu64, result->wanted_rate); /* of the knee's step */
    add_pair(reader, "run", "wanted_rate", rate, true);
    for (unsigned i = 0; i < result->machine.count; i++) {
        const struct xt_result_pair *pair = &result->machine.list[i];
        if (strncmp(pair->name, "load_average", 12) != 0) {
            add_pair(reader, "machine", pair->name, pair->value, false);
        }
    }
}

static void add_one(struct reader *reader, const char *name, const char *unit,
                    enum xt_compare_kind kind, double value)
{
    struct xt_compare_measure *measure = add_measure(reader, "", name, unit, kind, 1);
    if (measure != NULL) {
        measure->values[0] = value;
    }
}

/* Per second of the measured time; a second that has no row had no answer. */
static void take_counts(struct reader *reader, const struct xt_bench_result *result,
                        unsigned seconds)
{
    struct xt_compare_measure *rate =
        add_measure(reader, "", "requests", "1/s", XT_COMPARE_SLICES, seconds);
    struct xt_compare_measure *errors =
        add_measure(reader, "", "errors", "1/s", XT_COMPARE_ERRORS, seconds + 1);
    if (rate == NULL || errors == NULL) {
        return;
    }
    rate->more_is_better = true;
    for (unsigned i = 0; i < result->second_count; i++) {
        const struct xt_load_second *row = &result->seconds[i];
        if (row->second < seconds) {
            rate->values[row->second] = (double)row->right;
        }
        /* What came to light in the drain, or in a last part of a second, counts as well. */
        errors->values[row->second < seconds ? row->second : seconds] += (double)row->errors;
    }
}

/* Seconds without an answer have no latency; their wait shows in the second that ended it. */
static void take_latencies(struct reader *reader, const struct xt_bench_result *result,
                           unsigned seconds)
{
    static const char *const names[] = {"p50", "p99", "p99.9"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct xt_compare_measure *measure =
            add_measure(reader, "", names[i], "us",
                        result->open_loop ? XT_COMPARE_SLICES : XT_COMPARE_SHOWN, seconds);
        unsigned count = 0;
        for (unsigned row = 0; measure != NULL && row < result->second_count; row++) {
            const struct xt_load_second *second = &result->seconds[row];
            if (second->second < seconds && second->right > 0 && count < seconds) {
                const uint32_t values[] = {second->p50, second->p99, second->p999};
                measure->values[count++] = values[i];
            }
        }
        if (measure != NULL) {
            measure->count = count;
        }
    }
}

static void take_result(struct reader *reader, const struct xt_bench_result *result)
{
    unsigned seconds = (unsigned)fmin(floor(result->measured + 1e-3), XT_COMPARE_SLICES_MAX - 1);
    uint64_t asked = result->right + result->errors;
    reader->input->interrupted = result->interrupted;
    (void)snprintf(reader->input->about, sizeof(reader->input->about), "%.63s, %s, %.0f s",
                   result->program, result->open_loop ? "open loop" : "closed loop",
                   result->measured);
    take_settings(reader, result);
    take_counts(reader, result, seconds);
    take_latencies(reader, result, seconds);
    if (result->has_server) {
        add_one(reader, "server_cpu_per_request", "us", XT_COMPARE_SLICES,
                result->server_cpu_per_request);
    }
    add_one(reader, "client_cpu_per_request", "us", XT_COMPARE_SLICES,
            result->client_cpu_per_request);
    if (result->handshake.count > 0) {
        add_one(reader, "handshake_p50", "us", XT_COMPARE_SLICES,
                xt_histogram_percentile(&result->handshake, 50000));
        add_one(reader, "handshake_p99", "us", XT_COMPARE_SLICES,
                xt_histogram_percentile(&result->handshake, 99000));
    }
    add_one(reader, "errors_before", "", XT_COMPARE_ERRORS, (double)result->early_errors);
    add_one(reader, "right_share", "%", XT_COMPARE_SHOWN,
            asked > 0 ? 100.0 * (double)result->right / (double)asked : 0);
}

/* ---- a standard set ---- */

static void scalar_text(const struct xt_json_value *value, char *to, size_t capacity)
{
    switch (xt_json_type_of(value)) {
    case XT_JSON_BOOL:
        (void)snprintf(to, capacity, "%s", xt_json_bool(value) ? "yes" : "no");
        break;
    case XT_JSON_INTEGER:
        (void)snprintf(to, capacity, "%" PRIu64, xt_json_integer(value));
        break;
    case XT_JSON_NUMBER:
        (void)snprintf(to, capacity, "%.10g", xt_json_real(value));
        break;
    default:
        copy_text(xt_json_text(value), to, capacity);
    }
}

static const struct xt_json_value *member(struct reader *reader, const char *run,
                                          const struct xt_json_value *object, const char *name,
                                          enum xt_json_type type)
{
    const struct xt_json_value *value = xt_json_member_of(object, name);
    if (value == NULL || xt_json_type_of(value) != type) {
        complain(reader, run, name, "is missing, or not what it should be");
        return NULL;
    }
    return value;
}

static void take_pairs(struct reader *reader, const char *group, const struct xt_json_value *object,
                       bool matters)
{
    struct xt_json_walk walk = xt_json_walk_over(object);
    while (object != NULL && walk.is_object && xt_json_walk_next(&walk)) {
        char name[XT_COMPARE_NAME_MAX];
        char value[XT_RESULT_TEXT_MAX];
        copy_text(walk.name, name, sizeof(name));
        scalar_text(walk.value, value, sizeof(value));
        if (strncmp(name, "load_average", 12) != 0) {
            add_pair(reader, group, name, value, matters);
        }
    }
}

static bool kind_of(struct xt_span text, enum xt_compare_kind *kind)
{
    static const char *const names[] = {"slices", "counted", "errors", "reference", "shown"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (xt_span_is(text, names[i])) {
            *kind = (enum xt_compare_kind)i;
            return true;
        }
    }
    return false;
}

static void take_measure(struct reader *reader, const char *run, struct xt_span called,
                         const struct xt_json_value *object)
{
    char name[XT_COMPARE_NAME_MAX];
    char unit[16];
    enum xt_compare_kind kind = XT_COMPARE_SHOWN;
    copy_text(called, name, sizeof(name));
    const struct xt_json_value *values = member(reader, run, object, "values", XT_JSON_ARRAY);
    copy_text(xt_json_text(member(reader, run, object, "unit", XT_JSON_STRING)), unit,
              sizeof(unit));
    if (!kind_of(xt_json_text(member(reader, run, object, "kind", XT_JSON_STRING)), &kind)) {
        complain(reader, run, name, "has a kind that is not known");
    }
    if (values == NULL || xt_json_size(values) == 0) {
        complain(reader, run, name, "has no values");
        return;
    }
    struct xt_compare_measure *measure =
        add_measure(reader, run, name, unit, kind, xt_json_size(values));
    if (measure == NULL) {
        return;
    }
    measure->more_is_better =
        xt_span_is(xt_json_text(member(reader, run, object, "better", XT_JSON_STRING)), "more");
    struct xt_json_walk walk = xt_json_walk_over(values);
    for (unsigned i = 0; xt_json_walk_next(&walk); i++) {
        enum xt_json_type type = xt_json_type_of(walk.value);
        double number = xt_json_real(walk.value);
        if ((type != XT_JSON_INTEGER && type != XT_JSON_NUMBER) ||
            !(number >= 0 && number <= VALUE_MOST)) {
            complain(reader, run, name, "has a value that is no number, negative or absurd");
            return;
        }
        measure->values[i] = number;
    }
}

static void take_measures(struct reader *reader, const char *run,
                          const struct xt_json_value *object)
{
    struct xt_json_walk walk = xt_json_walk_over(object);
    while (object != NULL && xt_json_walk_next(&walk)) {
        take_measure(reader, run, walk.name, walk.value);
    }
}

static void take_standard(struct reader *reader, const struct xt_json_value *root)
{
    struct xt_compare_input *input = reader->input;
    char commit[64];
    char date[32];
    input->standard = true;
    copy_text(xt_json_text(member(reader, "", root, "commit", XT_JSON_STRING)), commit,
              sizeof(commit));
    copy_text(xt_json_text(member(reader, "", root, "date", XT_JSON_STRING)), date, sizeof(date));
    (void)snprintf(input->about, sizeof(input->about), "commit %s, %s",
                   commit[0] != '\0' ? commit : "not told", date);
    take_pairs(reader, "settings", member(reader, "", root, "settings", XT_JSON_OBJECT), true);
    take_pairs(reader, "effort", member(reader, "", root, "effort", XT_JSON_OBJECT), false);
    take_pairs(reader, "machine", member(reader, "", root, "machine", XT_JSON_OBJECT), false);
    take_measures(reader, "", member(reader, "", root, "measures", XT_JSON_OBJECT));
    struct xt_json_walk walk = xt_json_walk_over(member(reader, "", root, "runs", XT_JSON_OBJECT));
    while (reader->status == XT_OK && xt_json_walk_next(&walk)) {
        char run[XT_COMPARE_NAME_MAX];
        copy_text(walk.name, run, sizeof(run));
        take_pairs(reader, run, member(reader, run, walk.value, "configuration", XT_JSON_OBJECT),
                   true);
        take_measures(reader, run, member(reader, run, walk.value, "measures", XT_JSON_OBJECT));
    }
}

/* ---- */

static void take_document(struct reader *reader, const struct xt_json_value *root)
{
    struct xt_span format = xt_json_text(xt_json_member_of(root, "format"));
    if (xt_span_is(format, "xacthuc-standard/1")) {
        take_standard(reader, root);
    } else if (xt_span_is(format, "xacthuc-load/1")) {
        struct xt_bench_result *result = NULL;
        reader->status = xt_result_read(root, reader->input->label, &result, reader->failure);
        if (reader->status == XT_OK) {
            take_result(reader, result);
        }
        xt_result_free(result);
    } else {
        complain(reader, "", "format",
                 "is not xacthuc-load/1 (xacthuc-bench load --out) or xacthuc-standard/1");
    }
}

enum xt_status xt_compare_input_load(const char *path, struct xt_compare_input **input,
                                     struct xt_failure *failure)
{
    struct xt_json_document *document = NULL;
    enum xt_status status = xt_result_document(path, &document, failure);
    if (status != XT_OK) {
        return status;
    }
    struct reader reader = {.input = calloc(1, sizeof(*reader.input)), .failure = failure};
    if (reader.input == NULL) {
        xt_json_document_free(document);
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory for the files");
    }
    copy_text(xt_span_of_string(path), reader.input->label, sizeof(reader.input->label));
    take_document(&reader, xt_json_document_root(document));
    xt_json_document_free(document);
    if (reader.status != XT_OK) {
        xt_compare_input_free(reader.input);
        return reader.status;
    }
    *input = reader.input;
    return XT_OK;
}

void xt_compare_input_free(struct xt_compare_input *input)
{
    for (unsigned i = 0; input != NULL && i < input->measure_count; i++) {
        free(input->measures[i].values);
    }
    free(input);
}
