#include "core/structured_field.h"

#define INTEGER_DIGITS 15
#define DECIMAL_DIGITS 12 /* before the point */
#define FRACTION_DIGITS 3

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_small(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(uint8_t c)
{
    return is_small(c) || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool refuse(struct xt_field_reader *reader)
{
    reader->bad = true;
    reader->at = reader->end;
    return false;
}

/* The byte that comes next; 0 at the end, which no rule takes. */
static uint8_t next(const struct xt_field_reader *reader)
{
    return reader->at < reader->end ? *reader->at : 0;
}

static bool take(struct xt_field_reader *reader, uint8_t c)
{
    if (reader->at < reader->end && *reader->at == c) {
        reader->at++;
        return true;
    }
    return false;
}

static void skip_spaces(struct xt_field_reader *reader)
{
    while (take(reader, ' ')) {
    }
}

static struct xt_span since(const struct xt_field_reader *reader, const uint8_t *start)
{
    return xt_span_of(start, (size_t)(reader->at - start));
}

/* RFC 8941 section 4.2.3.3. */
static bool read_key(struct xt_field_reader *reader, struct xt_span *key)
{
    const uint8_t *start = reader->at;
    if (!is_small(next(reader)) && next(reader) != '*') {
        return refuse(reader);
    }
    while (is_small(next(reader)) || is_digit(next(reader)) || is_one_of(next(reader), "_-.*")) {
        reader->at++;
    }
    *key = since(reader, start);
    return true;
}

/* ---- bare items (RFC 8941 section 4.2.3.1) ------------------------------------------------------ */

static bool read_number(struct xt_field_reader *reader, struct xt_field_value *value)
{
    bool negative = take(reader, '-');
    unsigned digits = 0, fraction = 0;
    value->type = XT_FIELD_INTEGER;
    for (; is_digit(next(reader)) && digits <= INTEGER_DIGITS; digits++, reader->at++) {
        value->number = value->number * 10 + (*reader->at - '0');
    }
    if (digits == 0 || digits > INTEGER_DIGITS ||
        (next(reader) == '.' && digits > DECIMAL_DIGITS)) {
        return refuse(reader);
    }
    if (take(reader, '.')) {
        value->type = XT_FIELD_DECIMAL;
        for (; is_digit(next(reader)) && fraction <= FRACTION_DIGITS; fraction++, reader->at++) {
            value->number = value->number * 10 + (*reader->at - '0');
        }
        if (fraction == 0 || fraction > FRACTION_DIGITS) {
            return refuse(reader);
        }
        for (; fraction < FRACTION_DIGITS; fraction++) {
            value->number *= 10;
        }
    }
    value->number = negative ? -value->number : value->number;
    return true;
}

static bool read_string(struct xt_field_reader *reader, struct xt_field_value *value)
{
    const uint8_t *start = ++reader->at;
    value->type = XT_FIELD_STRING;
    while (reader->at < reader->end) {
        uint8_t c = *reader->at;
        if (c == '"') {
            value->text = since(reader, start);
            reader->at++;
            return true;
        }
        if (c == '\\') {
            reader->at++;
            c = next(reader);
            if (c != '"' && c != '\\') {
                return refuse(reader);
            }
        } else if (c < 0x20 || c > 0x7e) {
            return refuse(reader);
        }
        reader->at++;
    }
    return refuse(reader);
}

static bool read_token(struct xt_field_reader *reader, struct xt_field_value *value)
{
    const uint8_t *start = reader->at;
    value->type = XT_FIELD_TOKEN;
    while (is_letter(next(reader)) || is_digit(next(reader)) ||
           is_one_of(next(reader), "!#$%&'*+-.^_`|~:/")) {
        reader->at++;
    }
    value->text = since(reader, start);
    return true;
}

static bool read_bytes(struct xt_field_reader *reader, struct xt_field_value *value)
{
    const uint8_t *start = ++reader->at;
    value->type = XT_FIELD_BYTES;
    while (is_letter(next(reader)) || is_digit(next(reader)) || is_one_of(next(reader), "+/=")) {
        reader->at++;
    }
    value->text = since(reader, start);
    return take(reader, ':') || refuse(reader);
}

static bool read_boolean(struct xt_field_reader *reader, struct xt_field_value *value)
{
    reader->at++;
    value->type = XT_FIELD_BOOLEAN;
    value->number = next(reader) == '1';
    return take(reader, '1') || take(reader, '0') || refuse(reader);
}

static bool read_item(struct xt_field_reader *reader, struct xt_field_value *value)
{
    uint8_t c = next(reader);
    *value = (struct xt_field_value){0};
    if (c == '-' || is_digit(c)) {
        return read_number(reader, value);
    }
    if (c == '"') {
        return read_string(reader, value);
    }
    if (c == ':') {
        return read_bytes(reader, value);
    }
    if (c == '?') {
        return read_boolean(reader, value);
    }
    if (c == '*' || is_letter(c)) {
        return read_token(reader, value);
    }
    return refuse(reader);
}

static void set_true(struct xt_field_value *value)
{
    *value = (struct xt_field_value){.type = XT_FIELD_BOOLEAN, .number = 1};
}

/* ---- the walk ----------------------------------------------------------------------------------- */

struct xt_field_reader xt_field_over(struct xt_span field)
{
    struct xt_field_reader reader = {.at = field.data, .end = field.data};
    if (field.size > 0) {
        reader.end = field.data + field.size;
    }
    return reader;
}

bool xt_field_parameter(struct xt_field_reader *reader, struct xt_span *key,
                        struct xt_field_value *value)
{
    if (!take(reader, ';')) {
        return false;
    }
    skip_spaces(reader);
    if (!read_key(reader, key)) {
        return false;
    }
    if (take(reader, '=')) {
        return read_item(reader, value);
    }
    set_true(value);
    return true;
}

static void skip_parameters(struct xt_field_reader *reader)
{
    struct xt_span key;
    struct xt_field_value value;
    while (xt_field_parameter(reader, &key, &value)) {
    }
}

bool xt_field_item(struct xt_field_reader *reader, struct xt_field_value *value)
{
    if (!reader->in_list) {
        return false;
    }
    if (!reader->first_item) {
        skip_parameters(reader);
        if (next(reader) != ' ' && next(reader) != ')') {
            reader->in_list = false;
            return refuse(reader);
        }
    }
    reader->first_item = false;
    skip_spaces(reader);
    if (take(reader, ')')) {
        reader->in_list = false;
        return false;
    }
    if (!read_item(reader, value)) {
        reader->in_list = false;
        return false;
    }
    return true;
}

/* To the end of the member that was given last. */
static void finish_member(struct xt_field_reader *reader)
{
    struct xt_field_value value;
    while (xt_field_item(reader, &value)) {
    }
    skip_parameters(reader);
}

static void skip_blanks(struct xt_field_reader *reader)
{
    while (take(reader, ' ') || take(reader, '\t')) {
    }
}

bool xt_field_member(struct xt_field_reader *reader, struct xt_span *key,
                     struct xt_field_value *value)
{
    if (reader->began) {
        finish_member(reader);
        skip_blanks(reader);
        if (reader->at == reader->end) {
            return false;
        }
        if (!take(reader, ',')) {
            return refuse(reader);
        }
        skip_blanks(reader);
    } else {
        skip_spaces(reader);
        reader->began = true;
        if (reader->at == reader->end) {
            return false; /* an empty dictionary is one */
        }
    }
    if (!read_key(reader, key)) { /* also where nothing follows a comma */
        return false;
    }
    if (!take(reader, '=')) {
        set_true(value);
        return true;
    }
    if (take(reader, '(')) {
        *value = (struct xt_field_value){.type = XT_FIELD_LIST};
        reader->in_list = reader->first_item = true;
        return true;
    }
    return read_item(reader, value);
}

void xt_field_write_bytes(struct xt_writer *writer, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *place = xt_write_reserve(writer, XT_FIELD_BYTES_SIZE(size));
    if (place == NULL) {
        return;
    }
    *place++ = ':';
    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        uint32_t group = (uint32_t)data[at] << 16 | (left > 1 ? (uint32_t)data[at + 1] << 8 : 0) |
                         (left > 2 ? data[at + 2] : 0);
        *place++ = (uint8_t)digits[group >> 18];
        *place++ = (uint8_t)digits[group >> 12 & 63];
        *place++ = left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=';
        *place++ = left > 2 ? (uint8_t)digits[group & 63] : '=';
    }
    *place = ':';
}
