#include "bench/result_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void xt_result_complain(struct xt_result_reader *reader, const char *name, const char *must)
{
    if (reader->status == XT_OK) {
        reader->status = xt_fail(reader->failure, XT_INVALID, "%.200s: %s%.64s %s", reader->label,
                                 reader->within, name, must);
    }
}

const struct xt_json_value *xt_result_want(struct xt_result_reader *reader,
                                           const struct xt_json_value *object, const char *name)
{
    const struct xt_json_value *value = xt_json_member_of(object, name);
    if (value == NULL) {
        xt_result_complain(reader, name, "is missing or stands there twice");
    }
    return value;
}

const struct xt_json_value *xt_result_want_type(struct xt_result_reader *reader,
                                                const struct xt_json_value *object,
                                                const char *name, enum xt_json_type type,
                                                const char *must)
{
    const struct xt_json_value *value = xt_result_want(reader, object, name);
    if (value != NULL && xt_json_type_of(value) != type) {
        xt_result_complain(reader, name, must);
        return NULL;
    }
    return value;
}

uint64_t xt_result_integer(struct xt_result_reader *reader, const struct xt_json_value *object,
                           const char *name, uint64_t max)
{
    const struct xt_json_value *value =
        xt_result_want_type(reader, object, name, XT_JSON_INTEGER, "must be a whole number");
    uint64_t number = xt_json_integer(value);
    if (number > max) {
        xt_result_complain(reader, name, "is larger than it can be");
        return 0;
    }
    return number;
}

uint32_t xt_result_microseconds(struct xt_result_reader *reader, const struct xt_json_value *object,
                                const char *name)
{
    return (uint32_t)xt_result_integer(reader, object, name, XT_HISTOGRAM_HIGHEST);
}

double xt_result_real(struct xt_result_reader *reader, const struct xt_json_value *object,
                      const char *name, double max)
{
    const struct xt_json_value *value = xt_result_want(reader, object, name);
    if (value == NULL) {
        return 0;
    }
    enum xt_json_type type = xt_json_type_of(value);
    double number = xt_json_real(value);
    if ((type != XT_JSON_INTEGER && type != XT_JSON_NUMBER) || !isfinite(number) || number < 0 ||
        number > max) {
        xt_result_complain(reader, name, "must be a number that is not negative and not absurd");
        return 0;
    }
    return number;
}

bool xt_result_boolean(struct xt_result_reader *reader, const struct xt_json_value *object,
                       const char *name)
{
    return xt_json_bool(
        xt_result_want_type(reader, object, name, XT_JSON_BOOL, "must be true or false"));
}

void xt_result_copy_text(struct xt_span from, char *to, size_t capacity)
{
    size_t size = from.size < capacity ? from.size : capacity - 1;
    while (size < from.size && size > 0 && (from.data[size] & 0xc0) == 0x80) {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        to[i] = from.data[i] < 0x20 || from.data[i] == 0x7f ? ' ' : (char)from.data[i];
    }
    to[size] = '\0';
}

/* A number, a boolean, a string or null as people read it. */
static void scalar_text(const struct xt_json_value *value, char *to, size_t capacity)
{
    to[0] = '\0';
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
    case XT_JSON_STRING:
        xt_result_copy_text(xt_json_text(value), to, capacity);
        break;
    default:
        break;
    }
}

static struct xt_result_pair *new_pair(struct xt_result_reader *reader,
                                       struct xt_result_pairs *pairs)
{
    if (pairs->count == XT_RESULT_PAIRS_MAX) {
        xt_result_complain(reader, "", "has too many members");
        return NULL;
    }
    return &pairs->list[pairs->count++];
}

/* One element of a list, such as a part of a scenario, in one line: "kind verify, weight 3". */
static void list_element(struct xt_result_reader *reader, struct xt_result_pairs *pairs,
                         const char *name, unsigned number, const struct xt_json_value *value)
{
    struct xt_result_pair *pair = new_pair(reader, pairs);
    if (pair == NULL) {
        return;
    }
    (void)snprintf(pair->name, sizeof(pair->name), "%.40s %u", name, number);
    if (xt_json_type_of(value) != XT_JSON_OBJECT) {
        scalar_text(value, pair->value, sizeof(pair->value));
        return;
    }
    struct xt_writer line = xt_writer_over(pair->value, sizeof(pair->value) - 1);
    struct xt_json_walk walk = xt_json_walk_over(value);
    while (xt_json_walk_next(&walk)) {
        char member[XT_RESULT_NAME_MAX];
        char text[XT_RESULT_NAME_MAX];
        if (xt_json_type_of(walk.value) == XT_JSON_NULL) {
            continue;
        }
        xt_result_copy_text(walk.name, member, sizeof(member));
        scalar_text(walk.value, text, sizeof(text));
        if (line.size > 0) {
            xt_write_literal(&line, ", ");
        }
        xt_write_string(&line, member);
        xt_write_byte(&line, ' ');
        xt_write_string(&line, text);
    }
    pair->value[line.size] = '\0';
}

/* Settings are shown and compared, not interpreted: whatever stands there is flattened. */
void xt_result_read_pairs(struct xt_result_reader *reader, const struct xt_json_value *object,
                          const char *prefix, unsigned depth, struct xt_result_pairs *pairs)
{
    struct xt_json_walk walk = xt_json_walk_over(object);
    while (reader->status == XT_OK && xt_json_walk_next(&walk)) {
        char member[XT_RESULT_NAME_MAX / 2];
        char name[XT_RESULT_NAME_MAX];
        xt_result_copy_text(walk.name, member, sizeof(member));
        (void)snprintf(name, sizeof(name), "%s%s", prefix, member);
        enum xt_json_type type = xt_json_type_of(walk.value);
        if (type == XT_JSON_OBJECT && depth == 0) {
            char below[XT_RESULT_NAME_MAX / 2 + 1];
            (void)snprintf(below, sizeof(below), "%.30s.", member);
            xt_result_read_pairs(reader, walk.value, below, depth + 1, pairs);
        } else if (type == XT_JSON_ARRAY) {
            struct xt_json_walk list = xt_json_walk_over(walk.value);
            for (unsigned i = 1; reader->status == XT_OK && xt_json_walk_next(&list); i++) {
                list_element(reader, pairs, name, i, list.value);
            }
        } else {
            struct xt_result_pair *pair = new_pair(reader, pairs);
            if (pair != NULL) {
                memcpy(pair->name, name, sizeof(name));
                scalar_text(walk.value, pair->value, sizeof(pair->value));
            }
        }
    }
}
