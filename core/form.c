#include "core/form.h"

#include "core/plain_text.h"

/* -1: no hex digit. */
static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    uint8_t lower = byte | 32;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool is_itself(uint8_t byte)
{
    return byte > ' ' && byte <= '~' && byte != '%' && byte != '+';
}

/* The same of so many bytes at once, which compilers make few instructions of. */
#define STEP 32U
static bool are_themselves(const uint8_t text[STEP])
{
    uint8_t other = 0;
    for (unsigned i = 0; i < STEP; i++) {
        other |=
            (uint8_t)((text[i] <= ' ') | (text[i] > '~') | (text[i] == '%') | (text[i] == '+'));
    }
    return other == 0;
}

/* Decodes in place. */
static bool decode(uint8_t *text, size_t size, struct xt_span *decoded)
{
    size_t made = 0;
    while (made + STEP <= size && are_themselves(text + made)) { /* a token is so as a whole */
        made += STEP;
    }
    while (made < size && is_itself(text[made])) {
        made++;
    }
    if (made == size) {
        *decoded = xt_span_of(text, size);
        return true;
    }
    for (size_t i = made; i < size; i++) {
        uint8_t byte = text[i];
        if (byte <= ' ' || byte > '~') {
            return false;
        }
        if (byte == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        text[made++] = byte;
    }
    *decoded = xt_span_of(text, made);
    return xt_text_is_utf8(*decoded) && !xt_text_has_control(*decoded);
}

static bool is_new(const struct xt_form *form, struct xt_span name)
{
    for (unsigned i = 0; i < form->count; i++) {
        if (xt_span_equal(form->fields[i].name, name)) {
            return false;
        }
    }
    return true;
}

static bool take_field(uint8_t *text, size_t size, struct xt_form *form)
{
    uint8_t *equals = size == 0 ? NULL : memchr(text, '=', size);
    if (equals == NULL || equals == text || form->count == XT_FORM_FIELDS_MAX) {
        return false;
    }
    struct xt_span name, value;
    size_t name_size = (size_t)(equals - text);
    if (!decode(text, name_size, &name) || !decode(equals + 1, size - name_size - 1, &value) ||
        name.size == 0 || !is_new(form, name)) {
        return false;
    }
    form->fields[form->count].name = name;
    form->fields[form->count++].value = value;
    return true;
}

enum xt_status xt_form_read(uint8_t *body, size_t size, struct xt_form *form)
{
    form->count = 0;
    for (size_t at = 0; at < size;) {
        uint8_t *end = memchr(body + at, '&', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - body) - at;
        if (!take_field(body + at, length, form) || (end != NULL && at + length + 1 == size)) {
            return XT_INVALID;
        }
        at += length + 1;
    }
    return XT_OK;
}

bool xt_form_find(const struct xt_form *form, const char *name, struct xt_span *value)
{
    for (unsigned i = 0; i < form->count; i++) {
        if (xt_span_is(form->fields[i].name, name)) {
            *value = form->fields[i].value;
            return value->size > 0;
        }
    }
    *value = xt_span_of(NULL, 0);
    return false;
}
