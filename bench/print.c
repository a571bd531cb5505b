#include "bench/print.h"

#include <stdarg.h>
#include <stdio.h>

enum xt_status xt_print(struct xt_output *output, struct xt_failure *failure, const char *format,
                        ...)
{
    enum xt_status status = xt_output_room(output, XT_PRINT_MAX, failure);
    if (status != XT_OK) {
        return status;
    }
    char text[XT_PRINT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    xt_require(size >= 0 && (size_t)size < sizeof(text));
    xt_write(&output->writer, text, (size_t)size);
    return XT_OK;
}

enum xt_status xt_print_string(struct xt_output *output, struct xt_failure *failure,
                               const char *text)
{
    enum xt_status status = xt_output_room(output, 6 * strlen(text) + 2, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_write_byte(&output->writer, '"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        char escape[8];
        if (byte == '"' || byte == '\\') {
            xt_write_byte(&output->writer, '\\');
            xt_write_byte(&output->writer, byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", byte);
            xt_write_string(&output->writer, escape);
        } else {
            xt_write_byte(&output->writer, byte);
        }
    }
    xt_write_byte(&output->writer, '"');
    return XT_OK;
}
