/* A document that was read, as JSON or as the fields of a row, is one that a record can hold. */
#include "core/link_line.h"
#include "core/record.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_PERSON_JSON_ARENA];

static void check(const struct xt_link_line *read)
{
    static struct xt_person person;
    static struct xt_links links;
    uint8_t record[256];
    uint64_t number = 0;
    struct xt_writer writer = xt_writer_over(record, sizeof(record));
    person.number = read->number;
    person.link_count = 1;
    person.links[0] = read->link;
    xt_cold_encode(&person, &writer);
    xt_require(!writer.overflow && xt_cold_links(xt_written(&writer), &number, &links) == XT_OK &&
               number == read->number && links.count == 1);
    xt_require(links.links[0].type == read->link.type &&
               links.links[0].valid_from == read->link.valid_from &&
               links.links[0].valid_until == read->link.valid_until);
}

/* The first line is the header. */
static void read_rows(uint8_t *data, size_t size)
{
    struct xt_span fields[XT_LINK_LINE_COLUMNS + 1];
    struct xt_link_columns columns = {.count = 0};
    struct xt_link_line read;
    struct xt_reject reject;
    unsigned count = 0;
    bool header = true;
    size_t from = 0;
    for (size_t at = 0; at <= size; at++) {
        if (at < size && data[at] != ',' && data[at] != '\n') {
            continue;
        }
        if (count <= XT_LINK_LINE_COLUMNS) {
            fields[count++] = xt_span_of(data + from, at - from);
        }
        from = at + 1;
        if (at < size && data[at] == ',') {
            continue;
        }
        if (header && xt_link_csv_header(fields, count, &columns, &reject) != XT_OK) {
            return;
        }
        if (!header && xt_link_line_from_csv(&columns, fields, count, &read, &reject) == XT_OK) {
            check(&read);
        }
        header = false;
        count = 0;
    }
}

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_link_line read;
    struct xt_reject reject;
    struct xt_json_arena memory = {arena, sizeof(arena)};
    if (xt_link_line_from_json(xt_span_of(data, size), memory, &read, &reject) == XT_OK) {
        check(&read);
    }
    read_rows(data, size);
}
