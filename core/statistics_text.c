/* Sets of dimensions as they are asked for, and tables as they are told. */
#include <stdio.h>

#include "core/statistics.h"

static const char *const names[XT_BY_COUNT] = {
    [XT_BY_PROVINCE] = "province", [XT_BY_AGE] = "age",         [XT_BY_SEX] = "sex",
    [XT_BY_CARD] = "card",         [XT_BY_ACCOUNT] = "account", [XT_BY_UNIT] = "unit",
};

const char *xt_dimension_name(enum xt_dimension dimension)
{
    xt_require((unsigned)dimension < XT_BY_COUNT);
    return names[dimension];
}

static enum xt_status take_name(struct xt_span name, unsigned *by)
{
    for (unsigned d = 0; d < XT_BY_COUNT; d++) {
        if (xt_span_is(name, names[d]) && (*by & XT_BY_BIT(d)) == 0) {
            *by |= XT_BY_BIT(d);
            return XT_OK;
        }
    }
    return XT_INVALID;
}

enum xt_status xt_statistics_by_parse(struct xt_span text, unsigned *by)
{
    *by = 0;
    while (text.size > 0) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        size_t size = comma == NULL ? text.size : (size_t)(comma - text.data);
        enum xt_status status = take_name(xt_span_of(text.data, size), by);
        if (status != XT_OK || size + 1 == text.size) { /* or it ends with a comma */
            return XT_INVALID;
        }
        size += comma != NULL;
        text = xt_span_of(text.data + size, text.size - size);
    }
    return xt_statistics_is_offered(*by) ? XT_OK : XT_DENIED;
}

static const char *name_of(const char *const *list, unsigned count, unsigned value)
{
    xt_require(value < count);
    return list[value];
}

const char *xt_dimension_value(enum xt_dimension dimension, unsigned value,
                               char code[XT_STATISTICS_CODE])
{
    static const char *const sexes[] = {"male", "female"};
    static const char *const cards[] = {"none", "valid", "expired", "lost", "revoked"};
    static const char *const accounts[] = {"none", "1", "2"};
    switch (dimension) {
    case XT_BY_PROVINCE:
        if (value != XT_PROVINCE_NONE) {
            const struct xt_province *province = xt_province_at(value);
            (void)snprintf(code, XT_STATISTICS_CODE, "%03u", (unsigned)province->code);
            return province->name;
        }
        (void)snprintf(code, XT_STATISTICS_CODE, "unknown");
        return "";
    case XT_BY_UNIT:
        (void)snprintf(code, XT_STATISTICS_CODE, "%s",
                       value != 0 ? xt_province_unit_name(value) : "unknown");
        return "";
    case XT_BY_AGE:
        (void)snprintf(code, XT_STATISTICS_CODE, value + 1 < XT_STATISTICS_AGES ? "%u-%u" : "%u+",
                       value * 5, value * 5 + 4);
        return "";
    case XT_BY_SEX:
        (void)snprintf(code, XT_STATISTICS_CODE, "%s", name_of(sexes, 2, value));
        return "";
    case XT_BY_CARD:
        (void)snprintf(code, XT_STATISTICS_CODE, "%s", name_of(cards, 5, value));
        return "";
    default:
        (void)snprintf(code, XT_STATISTICS_CODE, "%s", name_of(accounts, 3, value));
        return "";
    }
}

unsigned xt_statistics_values(const struct xt_statistics *statistics, enum xt_dimension dimension)
{
    return dimension == XT_BY_UNIT ? statistics->shape.units : statistics->shape.sizes[dimension];
}

bool xt_statistics_has_unknown(const struct xt_statistics *statistics)
{
    const struct xt_statistics_table *by_unit =
        xt_statistics_table(statistics, XT_BY_BIT(XT_BY_UNIT));
    return statistics->marks[by_unit->offset] != XT_CELL_ABSENT;
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static void write_number(struct xt_writer *writer, uint32_t number)
{
    char text[12];
    int size = snprintf(text, sizeof(text), "%lu", (unsigned long)number);
    xt_write(writer, text, (size_t)size);
}

/* Names need no escapes: they are ours. */
static void write_text(struct xt_writer *writer, const char *text)
{
    xt_write_byte(writer, '"');
    xt_write_string(writer, text);
    xt_write_byte(writer, '"');
}

unsigned xt_dimension_list(unsigned by, enum xt_dimension list[XT_DIMENSIONS])
{
    unsigned count = 0;
    if ((by & XT_BY_BIT(XT_BY_UNIT)) != 0) {
        list[count++] = XT_BY_UNIT;
    }
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        if ((by & XT_BY_BIT(d)) != 0) {
            list[count++] = (enum xt_dimension)d;
        }
    }
    return count;
}

unsigned xt_dimension_first(const struct xt_statistics *statistics, enum xt_dimension dimension)
{
    bool place = dimension == XT_BY_PROVINCE || dimension == XT_BY_UNIT;
    return place && !xt_statistics_has_unknown(statistics);
}

static void write_values(const struct xt_statistics *statistics, enum xt_dimension dimension,
                         struct xt_writer *writer)
{
    unsigned first = xt_dimension_first(statistics, dimension);
    write_text(writer, names[dimension]);
    xt_write_literal(writer, ":[");
    for (unsigned value = first; value < xt_statistics_values(statistics, dimension); value++) {
        char code[XT_STATISTICS_CODE];
        const char *name = xt_dimension_value(dimension, value, code);
        xt_write_string(writer, value > first ? ",{\"code\":" : "{\"code\":");
        write_text(writer, code);
        if (name[0] != 0) {
            xt_write_literal(writer, ",\"name\":");
            write_text(writer, name);
        }
        xt_write_byte(writer, '}');
    }
    xt_write_byte(writer, ']');
}

struct telling {
    const struct xt_statistics *statistics;
    const struct xt_statistics_table *table;
    enum xt_dimension list[XT_DIMENSIONS];
    unsigned count;
    struct xt_writer *writer;
};

/* The part of a table from the depth-th dimension on. */
static void write_counts(const struct telling *telling, unsigned depth, uint32_t cell)
{
    struct xt_writer *writer = telling->writer;
    const struct xt_statistics *statistics = telling->statistics;
    if (depth == telling->count) {
        if (statistics->marks[cell] == XT_CELL_TOLD) {
            write_number(writer, statistics->counts[cell]);
        } else {
            xt_write_literal(writer, "null");
        }
        return;
    }
    enum xt_dimension dimension = telling->list[depth];
    unsigned first = xt_dimension_first(statistics, dimension);
    unsigned stride = telling->table->strides[dimension == XT_BY_UNIT ? XT_BY_PROVINCE : dimension];
    xt_write_byte(writer, '[');
    for (unsigned value = first; value < xt_statistics_values(statistics, dimension); value++) {
        if (value > first) {
            xt_write_byte(writer, ',');
        }
        write_counts(telling, depth + 1, cell + value * stride);
    }
    xt_write_byte(writer, ']');
}

void xt_statistics_to_json(const struct xt_statistics *statistics, unsigned by, xt_date as_of,
                           struct xt_writer *writer)
{
    struct telling telling = {
        .statistics = statistics, .table = xt_statistics_table(statistics, by), .writer = writer};
    char date[XT_DATE_TEXT_MAX];
    telling.count = xt_dimension_list(by, telling.list);
    xt_write_literal(writer, "{\"as_of\":\"");
    xt_write(writer, date, xt_date_format(as_of, date));
    xt_write_literal(writer, "\",\"suppressed_below\":");
    write_number(writer, XT_STATISTICS_SMALLEST);
    xt_write_literal(writer, ",\"by\":[");
    for (unsigned i = 0; i < telling.count; i++) {
        xt_write_string(writer, i > 0 ? "," : "");
        write_text(writer, names[telling.list[i]]);
    }
    xt_write_literal(writer, "],\"values\":{");
    for (unsigned i = 0; i < telling.count; i++) {
        xt_write_string(writer, i > 0 ? "," : "");
        write_values(statistics, telling.list[i], writer);
    }
    xt_write_literal(writer, "},\"counts\":");
    if (telling.table->withdrawn) {
        xt_write_literal(writer, "null");
    } else {
        write_counts(&telling, 0, telling.table->offset);
    }
    xt_write_byte(writer, '}');
}
