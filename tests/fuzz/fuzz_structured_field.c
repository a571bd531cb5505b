/* A dictionary that is taken, written again as RFC 8941 section 4.1 has it, is taken again and comes out
 * the same; nothing points outside the field. */
#include "core/structured_field.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

static void write_value(struct xt_writer *writer, const struct xt_field_value *value)
{
    char number[48];
    long long whole = (long long)(value->number / 1000), part = (long long)(value->number % 1000);
    switch (value->type) {
    case XT_FIELD_INTEGER:
        snprintf(number, sizeof(number), "%" PRId64, value->number);
        xt_write_string(writer, number);
        break;
    case XT_FIELD_DECIMAL:
        snprintf(number, sizeof(number), "%s%lld.%03lld", value->number < 0 ? "-" : "",
                 whole < 0 ? -whole : whole, part < 0 ? -part : part);
        xt_write_string(writer, number);
        break;
    case XT_FIELD_STRING:
        xt_write_byte(writer, '"');
        xt_write_span(writer, value->text);
        xt_write_byte(writer, '"');
        break;
    case XT_FIELD_BYTES:
        xt_write_byte(writer, ':');
        xt_write_span(writer, value->text);
        xt_write_byte(writer, ':');
        break;
    case XT_FIELD_TOKEN:
        xt_write_span(writer, value->text);
        break;
    case XT_FIELD_BOOLEAN:
        xt_write_string(writer, value->number != 0 ? "?1" : "?0");
        break;
    case XT_FIELD_LIST:
        break;
    }
}

static void write_parameters(struct xt_field_reader *reader, struct xt_writer *writer)
{
    struct xt_span key;
    struct xt_field_value value;
    while (xt_field_parameter(reader, &key, &value)) {
        xt_require(key.size > 0 && value.type != XT_FIELD_LIST);
        xt_write_byte(writer, ';');
        xt_write_span(writer, key);
        xt_write_byte(writer, '=');
        write_value(writer, &value);
    }
}

/* false: malformed. */
static bool rewrite(struct xt_span field, struct xt_writer *writer)
{
    struct xt_field_reader reader = xt_field_over(field);
    struct xt_span key;
    struct xt_field_value value;
    bool first = true;
    while (xt_field_member(&reader, &key, &value)) {
        xt_require(key.data >= field.data && key.data + key.size <= field.data + field.size);
        xt_write_string(writer, first ? "" : ", ");
        xt_write_span(writer, key);
        xt_write_byte(writer, '=');
        if (value.type == XT_FIELD_LIST) {
            xt_write_byte(writer, '(');
            for (bool in = false; xt_field_item(&reader, &value); in = true) {
                xt_write_string(writer, in ? " " : "");
                write_value(writer, &value);
                write_parameters(&reader, writer);
            }
            xt_write_byte(writer, ')');
        } else {
            write_value(writer, &value);
        }
        write_parameters(&reader, writer);
        first = false;
    }
    xt_require(!xt_field_member(&reader, &key, &value)); /* over is over */
    return !reader.bad;
}

static bool walk_keys(struct xt_span field)
{
    struct xt_field_reader reader = xt_field_over(field);
    struct xt_span key;
    struct xt_field_value value;
    while (xt_field_member(&reader, &key, &value)) {
    }
    return !reader.bad;
}

void fuzz_one(uint8_t *data, size_t size)
{
    size_t room = 8 * size + 64;
    uint8_t *first = malloc(room), *second = malloc(room);
    xt_require(first != NULL && second != NULL);
    struct xt_writer once = xt_writer_over(first, room), twice = xt_writer_over(second, room);
    bool taken = rewrite(xt_span_of(data, size), &once);
    xt_require(taken == walk_keys(xt_span_of(data, size))); /* unread parts are judged as well */
    if (taken) {
        xt_require(!once.overflow && rewrite(xt_written(&once), &twice));
        xt_require(xt_span_equal(xt_written(&once), xt_written(&twice)));
    }
    free(first);
    free(second);
}
