#include "bench/report_page.h"

#include <stdarg.h>
#include <stdio.h>

#include "bench/print.h"
#include "core/utf8.h"

void xt_page_open(struct xt_report_page *page, const char *path, struct xt_failure *failure)
{
    *page = (struct xt_report_page){.failure = failure};
    page->status = xt_output_open(&page->output, path, failure);
}

enum xt_status xt_page_close(struct xt_report_page *page)
{
    if (page->status == XT_OK) {
        page->status = xt_output_commit(&page->output, page->failure);
    }
    xt_output_close(&page->output);
    return page->status;
}

void xt_page_put(struct xt_report_page *page, const char *format, ...)
{
    char text[XT_PRINT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    xt_require(size >= 0 && (size_t)size < sizeof(text));
    xt_page_raw(page, text);
}

static void write_bytes(struct xt_report_page *page, const char *bytes, size_t size)
{
    while (page->status == XT_OK && size > 0) {
        size_t part = size < XT_PRINT_MAX ? size : XT_PRINT_MAX;
        page->status = xt_output_room(&page->output, part, page->failure);
        if (page->status == XT_OK) {
            xt_write(&page->output.writer, bytes, part);
        }
        bytes += part;
        size -= part;
    }
}

void xt_page_raw(struct xt_report_page *page, const char *text)
{
    write_bytes(page, text, strlen(text));
}

void xt_page_html(struct xt_report_page *page, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            xt_page_raw(page, "&amp;");
            break;
        case '<':
            xt_page_raw(page, "&lt;");
            break;
        case '>':
            xt_page_raw(page, "&gt;");
            break;
        case '"':
            xt_page_raw(page, "&quot;");
            break;
        case '\'':
            xt_page_raw(page, "&#39;");
            break;
        default:
            write_bytes(page, text, 1);
        }
    }
}

/* CommonMark takes a backslash before any ASCII punctuation. */
void xt_page_markdown(struct xt_report_page *page, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\`*_{}[]<>()#!|~@&:$", *text) != NULL) {
            xt_page_raw(page, "\\");
        }
        write_bytes(page, text, 1);
    }
}

void xt_page_csv(struct xt_report_page *page, const char *text)
{
    xt_page_raw(page, "\"");
    if (*text != '\0' && strchr("=+-@", *text) != NULL) {
        xt_page_raw(page, "'"); /* spreadsheets would compute it */
    }
    for (; *text != '\0'; text++) {
        write_bytes(page, text, 1);
        if (*text == '"') {
            xt_page_raw(page, "\"");
        }
    }
    xt_page_raw(page, "\"");
}

void xt_page_json(struct xt_report_page *page, const char *text)
{
    if (page->status == XT_OK) {
        page->status = xt_print_string(&page->output, page->failure, text);
    }
}

void xt_page_clean(const char *text, char *to, size_t capacity)
{
    struct xt_writer writer = xt_writer_over(to, capacity - 1);
    size_t left = strlen(text);
    while (left > 0 && !writer.overflow) {
        uint32_t code_point;
        const uint8_t *at = (const uint8_t *)text;
        size_t size = xt_utf8_read(at, left, &code_point);
        if (size == 0) {
            xt_write_literal(&writer, "\xef\xbf\xbd");
            size = 1;
        } else if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0)) {
            xt_write_byte(&writer, ' ');
        } else {
            xt_write(&writer, at, size);
        }
        text += size;
        left -= size;
    }
    to[writer.size] = '\0';
}
