/* A file of `micro` read back: somebody else's text, so everything that is used is checked. */
#include <string.h>

#include "bench/micro.h"
#include "bench/result_reader.h"

#define NANOSECONDS_MAX 1e9 /* of one operation */
#define COUNT_MAX XT_POPULATION_MAX

static void read_values(struct xt_result_reader *reader, const struct xt_json_value *object,
                        const char *name, double *values, unsigned count)
{
    const struct xt_json_value *list =
        xt_result_want_type(reader, object, name, XT_JSON_ARRAY, "must be a list");
    if (list == NULL) {
        return;
    }
    if (xt_json_size(list) != count) {
        xt_result_complain(reader, name, "must have a value for each round");
        return;
    }
    struct xt_json_walk walk = xt_json_walk_over(list);
    for (unsigned i = 0; xt_json_walk_next(&walk); i++) {
        enum xt_json_type type = xt_json_type_of(walk.value);
        values[i] = xt_json_real(walk.value);
        if ((type != XT_JSON_INTEGER && type != XT_JSON_NUMBER) || !(values[i] >= 0) ||
            values[i] > NANOSECONDS_MAX) {
            xt_result_complain(reader, name, "must hold nanoseconds, from 0 to 1e9");
            return;
        }
    }
}

static void read_measure(struct xt_result_reader *reader, const struct xt_json_value *object,
                         struct xt_micro_measure *measure)
{
    const struct xt_json_value *values =
        xt_result_want_type(reader, object, "values", XT_JSON_ARRAY, "must be a list");
    size_t count = xt_json_size(values);
    if (values != NULL && (count == 0 || count > XT_MICRO_ROUNDS_MAX)) {
        xt_result_complain(reader, "values", "must have 1 to 100 values");
    }
    if (reader->status != XT_OK) {
        return;
    }
    measure->count = (unsigned)count;
    measure->operations = xt_result_integer(reader, object, "operations", XT_RESULT_COUNT_MAX);
    read_values(reader, object, "values", measure->wall, measure->count);
    read_values(reader, object, "cpu_values", measure->cpu, measure->count);
    if (reader->status == XT_OK) {
        xt_micro_measure_settle(measure); /* never believed from the file */
    }
}

static void read_size(struct xt_result_reader *reader, const struct xt_json_value *object,
                      struct xt_micro_size *size)
{
    reader->within = "sizes.";
    size->count = xt_result_integer(reader, object, "count", COUNT_MAX);
    size->hot_bytes = xt_result_integer(reader, object, "hot_bytes", XT_RESULT_COUNT_MAX);
    size->file_bytes = xt_result_integer(reader, object, "file_bytes", XT_RESULT_COUNT_MAX);
    size->plain_bytes = xt_result_integer(reader, object, "plain_bytes", XT_RESULT_COUNT_MAX);
    const struct xt_json_value *measures =
        xt_result_want_type(reader, object, "measures", XT_JSON_OBJECT, "must be an object");
    if (reader->status == XT_OK && size->count == 0) {
        xt_result_complain(reader, "count", "must be above 0");
    }
    reader->within = "sizes.measures.";
    for (unsigned i = 0; reader->status == XT_OK && i < XT_MICRO_PARTS; i++) {
        const struct xt_json_value *measure =
            xt_json_member_of(measures, xt_micro_part_name((enum xt_micro_part)i));
        if (measure != NULL) {
            read_measure(reader, measure, &size->measures[i]);
        }
    }
}

static void read_text(struct xt_result_reader *reader, const struct xt_json_value *object,
                      const char *name, char *to, size_t capacity)
{
    const struct xt_json_value *value =
        xt_result_want_type(reader, object, name, XT_JSON_STRING, "must be text");
    xt_result_copy_text(value != NULL ? xt_json_text(value) : xt_span_of(NULL, 0), to, capacity);
}

static void read_machine(struct xt_result_reader *reader, const struct xt_json_value *object,
                         struct xt_machine *machine)
{
    reader->within = "machine.";
    read_text(reader, object, "processor", machine->processor, sizeof(machine->processor));
    read_text(reader, object, "kernel", machine->kernel, sizeof(machine->kernel));
    read_text(reader, object, "architecture", machine->architecture, sizeof(machine->architecture));
    machine->cores = (unsigned)xt_result_integer(reader, object, "cores", 1U << 20);
    machine->memory_bytes = xt_result_integer(reader, object, "memory_bytes", XT_RESULT_COUNT_MAX);
    machine->load_average = xt_result_real(reader, object, "load_average_before", 1e6);
}

enum xt_status xt_micro_read(const struct xt_json_value *root, const char *label,
                             struct xt_micro_result *result, struct xt_failure *failure)
{
    struct xt_result_reader reader = {
        .label = label, .within = "", .status = XT_OK, .failure = failure};
    memset(result, 0, sizeof(*result));
    read_text(&reader, root, "program", result->program, sizeof(result->program));
    read_text(&reader, root, "commit", result->commit, sizeof(result->commit));
    read_text(&reader, root, "date", result->date, sizeof(result->date));
    const struct xt_json_value *settings =
        xt_result_want_type(&reader, root, "settings", XT_JSON_OBJECT, "must be an object");
    const struct xt_json_value *machine =
        xt_result_want_type(&reader, root, "machine", XT_JSON_OBJECT, "must be an object");
    const struct xt_json_value *sizes =
        xt_result_want_type(&reader, root, "sizes", XT_JSON_ARRAY, "must be a list");
    size_t count = xt_json_size(sizes);
    if (reader.status == XT_OK && (count == 0 || count > XT_MICRO_SIZES_MAX)) {
        xt_result_complain(&reader, "sizes", "must have 1 to 16 sizes");
    }
    if (reader.status != XT_OK) {
        return reader.status;
    }
    reader.within = "settings.";
    result->seed = xt_result_integer(&reader, settings, "seed", UINT64_MAX);
    result->rounds = (unsigned)xt_result_integer(&reader, settings, "rounds", XT_MICRO_ROUNDS_MAX);
    result->keys = (unsigned)xt_result_integer(&reader, settings, "keys", UINT32_MAX);
    result->requests = (unsigned)xt_result_integer(&reader, settings, "requests", UINT32_MAX);
    result->group = (unsigned)xt_result_integer(&reader, settings, "group", UINT32_MAX);
    read_machine(&reader, machine, &result->machine);
    struct xt_json_walk walk = xt_json_walk_over(sizes);
    while (reader.status == XT_OK && xt_json_walk_next(&walk)) {
        read_size(&reader, walk.value, &result->sizes[result->size_count++]);
    }
    return reader.status;
}
