/* A form that is taken points into its own body, has each name once, and is taken again as the same when all of
 * it is written with percent signs. */
#include "core/form.h"

#include <stdio.h>

#include "tests/fuzz/fuzz.h"

static void write_encoded(struct xt_writer *writer, struct xt_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char code[4];
        snprintf(code, sizeof(code), "%%%02X", text.data[i]);
        xt_write(writer, code, 3);
    }
}

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_form form, again;
    if (xt_form_read(data, size, &form) != XT_OK) {
        return;
    }
    uint8_t *text = malloc(3 * size + 1);
    xt_require(text != NULL && form.count <= XT_FORM_FIELDS_MAX);
    struct xt_writer writer = xt_writer_over(text, 3 * size);
    for (unsigned i = 0; i < form.count; i++) {
        struct xt_span name = form.fields[i].name, value = form.fields[i].value;
        xt_require(name.size > 0 && name.data >= data && value.data + value.size <= data + size);
        xt_write_string(&writer, i > 0 ? "&" : "");
        write_encoded(&writer, name);
        xt_write_byte(&writer, '=');
        write_encoded(&writer, value);
    }
    xt_require(!writer.overflow);
    xt_require(xt_form_read(text, writer.size, &again) == XT_OK && again.count == form.count);
    for (unsigned i = 0; i < form.count; i++) {
        xt_require(xt_span_equal(form.fields[i].name, again.fields[i].name));
        xt_require(xt_span_equal(form.fields[i].value, again.fields[i].value));
    }
    free(text);
}
