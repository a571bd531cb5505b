/* core/structured_field: dictionaries of HTTP structured fields (RFC 8941), read strictly and in place.
 *
 *   sig=("@status" "@path";req);created;nonce="a",  other=:AAAA:
 *   key  list of items, each with parameters; parameters of the list    the next member
 *
 * A reader walks once from the left. Whatever a caller does not ask for (the parameters of an item, the
 * rest of a list) is read all the same before the next member, so that nothing malformed passes. Once
 * something is malformed the reader gives no more and `bad` is set: look at it when a walk has ended,
 * before anything of it is believed. The same key again is given again; RFC 8941 has the last one win,
 * and whoever reads a dictionary here refuses or checks both.
 * RFC 9651's dates and display strings are refused: nothing here has them.
 * Memory: borrows the field's value; allocates nothing.
 */
#ifndef XT_CORE_STRUCTURED_FIELD_H
#define XT_CORE_STRUCTURED_FIELD_H

#include "core/span.h"

enum xt_field_type {
    XT_FIELD_INTEGER,
    XT_FIELD_DECIMAL,
    XT_FIELD_STRING,
    XT_FIELD_TOKEN,
    XT_FIELD_BYTES,
    XT_FIELD_BOOLEAN,
    XT_FIELD_LIST /* an inner list: xt_field_item gives what is in it */
};

struct xt_field_value {
    enum xt_field_type type;
    int64_t number; /* INTEGER; thousandths of a DECIMAL; BOOLEAN: 0 or 1 */
    struct xt_span
        text; /* STRING: between its quotes, with its escapes; TOKEN; BYTES: their base64 */
};

struct xt_field_reader {
    const uint8_t *at, *end;
    bool bad;
    bool began, in_list, first_item;
};

struct xt_field_reader xt_field_over(struct xt_span field);

/* The next member of the dictionary. One without a value is true. */
bool xt_field_member(struct xt_field_reader *reader, struct xt_span *key,
                     struct xt_field_value *value);
/* The next item of the list that was given last; false: it is over. */
bool xt_field_item(struct xt_field_reader *reader, struct xt_field_value *value);
/* The next parameter of the member or item that was given last; of a list once xt_field_item gave
 * false. */
bool xt_field_parameter(struct xt_field_reader *reader, struct xt_span *key,
                        struct xt_field_value *value);

/* Writes bytes as an item (":AAAA:"), padded. */
#define XT_FIELD_BYTES_SIZE(size) (((size) + 2) / 3 * 4 + 2) /* characters of so many bytes */
void xt_field_write_bytes(struct xt_writer *writer, const uint8_t *data, size_t size);

#endif
