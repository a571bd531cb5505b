#include "store/csv_rows.h"

#include <csv.h>
#include <stdlib.h>

#include "crypto/keyring.h"

#define OPTIONS (CSV_STRICT | CSV_STRICT_FINI)

struct xt_csv {
    struct csv_parser parser;
    unsigned count; /* fields of this row; one more than the maximum: too many */
    unsigned rows;
    char separator;
    size_t used; /* bytes of text */
    struct xt_span fields[XT_PERSON_CSV_COLUMNS_MAX];
    uint8_t text[XT_PERSON_JSON_MAX];
};

enum xt_status xt_csv_open(struct xt_csv **opened)
{
    struct xt_csv *csv = calloc(1, sizeof(*csv));
    if (csv == NULL) {
        return XT_NO_MEMORY;
    }
    if (csv_init(&csv->parser, OPTIONS) != 0) {
        free(csv);
        return XT_NO_MEMORY;
    }
    csv->separator = CSV_COMMA;
    *opened = csv;
    return XT_OK;
}

void xt_csv_separate_by(struct xt_csv *csv, char separator)
{
    csv->separator = separator;
    csv_set_delim(&csv->parser, (unsigned char)separator);
}

/* The library's own buffer held a field of a person. */
static void forget(struct xt_csv *csv)
{
    if (csv->parser.entry_buf != NULL) {
        xt_wipe(csv->parser.entry_buf, csv->parser.entry_size);
    }
    csv_free(&csv->parser);
}

void xt_csv_close(struct xt_csv *csv)
{
    if (csv != NULL) {
        forget(csv);
        xt_wipe(csv, sizeof(*csv));
        free(csv);
    }
}

static void take_field(void *data, size_t size, void *context)
{
    struct xt_csv *csv = context;
    if (csv->count >= XT_PERSON_CSV_COLUMNS_MAX || size > sizeof(csv->text) - csv->used) {
        csv->count = XT_PERSON_CSV_COLUMNS_MAX + 1;
        return;
    }
    uint8_t *place = csv->text + csv->used;
    if (size > 0) {
        memcpy(place, data, size);
    }
    csv->fields[csv->count++] = xt_span_of(place, size);
    csv->used += size;
}

static void take_row(int terminator, void *context)
{
    struct xt_csv *csv = context;
    (void)terminator;
    csv->rows++;
}

enum xt_status xt_csv_row(struct xt_csv *csv, struct xt_span line, const struct xt_span **fields,
                          unsigned *count, const char **code)
{
    csv->count = 0;
    csv->rows = 0;
    csv->used = 0;
    if (csv_parse(&csv->parser, line.data, line.size, take_field, take_row, csv) != line.size ||
        csv_fini(&csv->parser, take_field, take_row, csv) != 0 || csv->rows > 1) {
        /* A failed parser keeps its state: begin with a fresh one. */
        forget(csv);
        (void)csv_init(&csv->parser, OPTIONS); /* only sets members */
        csv_set_delim(&csv->parser, (unsigned char)csv->separator);
        *code = "malformed_csv";
        return XT_INVALID;
    }
    if (csv->count > XT_PERSON_CSV_COLUMNS_MAX) {
        *code = "too_many_fields";
        return XT_INVALID;
    }
    *fields = csv->fields;
    *count = csv->count;
    return XT_OK;
}
