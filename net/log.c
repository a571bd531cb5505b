#include "net/log.h"

#include <time.h>
#include <unistd.h>

#include "core/request.h"
#include "net/shared.h"
#include "net/trace.h"

#define TAIL 3 /* bytes kept free for the end of a line that was cut: quote, brace, newline */

static const char *const level_names[] = {"info", "warning", "error"};

void xt_log_begin(struct xt_log_line *line, enum xt_log_level level, const char *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char timestamp[XT_TIMESTAMP];
    xt_timestamp_format((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, timestamp);
    line->writer = xt_writer_over(line->text, sizeof(line->text) - TAIL);
    xt_write_literal(&line->writer, "{\"ts\":\"");
    xt_write(&line->writer, timestamp, sizeof(timestamp));
    xt_write_literal(&line->writer, "\",\"level\":\"");
    xt_write_string(&line->writer, level_names[level]);
    xt_write_literal(&line->writer, "\",\"event\":\"");
    xt_write_string(&line->writer, event);
    xt_write_byte(&line->writer, '"');
}

/* Bytes of the well-formed UTF-8 sequence at data; 0 when there is none (RFC 3629). */
static size_t utf8_sequence(const uint8_t *data, size_t size)
{
    uint8_t lead = data[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || lead > 0xf4 || length > size) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((lead == 0xe0 && data[1] < 0xa0) || (lead == 0xed && data[1] > 0x9f) ||
        (lead == 0xf0 && data[1] < 0x90) || (lead == 0xf4 && data[1] > 0x8f)) {
        return 0;
    }
    return length;
}

static void write_escaped(struct xt_writer *writer, struct xt_span value)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < value.size;) {
        uint8_t byte = value.data[i];
        size_t length = utf8_sequence(value.data + i, value.size - i);
        if (byte == '"' || byte == '\\') {
            uint8_t escape[2] = {'\\', byte};
            xt_write(writer, escape, sizeof(escape));
        } else if (byte < 0x20 || byte == 0x7f) {
            char escape[] = "\\u0000";
            escape[4] = hex[byte >> 4];
            escape[5] = hex[byte & 15];
            xt_write(writer, escape, sizeof(escape) - 1);
        } else if (length == 0) {
            xt_write_byte(writer, '?');
        } else {
            xt_write(writer, value.data + i, length);
        }
        i += length == 0 ? 1 : length;
    }
}

static void write_key(struct xt_log_line *line, const char *key)
{
    xt_write_literal(&line->writer, ",\"");
    xt_write_string(&line->writer, key);
    xt_write_literal(&line->writer, "\":");
}

void xt_log_span(struct xt_log_line *line, const char *key, struct xt_span value)
{
    struct xt_writer before = line->writer;
    write_key(line, key);
    xt_write_byte(&line->writer, '"');
    write_escaped(&line->writer, value);
    xt_write_byte(&line->writer, '"');
    if (line->writer.overflow) {
        line->writer = before; /* a field that does not fit is left out whole */
    }
}

void xt_log_text(struct xt_log_line *line, const char *key, const char *value)
{
    xt_log_span(line, key, xt_span_of_string(value));
}

void xt_log_number(struct xt_log_line *line, const char *key, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    struct xt_writer before = line->writer;
    write_key(line, key);
    xt_write(&line->writer, digits + at, sizeof(digits) - at);
    if (line->writer.overflow) {
        line->writer = before;
    }
}

void xt_log_trace(struct xt_log_line *line, struct xt_span traceparent)
{
    struct xt_trace trace;
    if (xt_trace_parse(traceparent, &trace)) {
        xt_log_span(line, "trace_id", trace.trace_id);
        xt_log_span(line, "span_id", trace.span_id);
    }
}

void xt_log_end(struct xt_log_line *line)
{
    line->writer.capacity = sizeof(line->text);
    xt_write_literal(&line->writer, "}\n");
    ssize_t written = write(STDERR_FILENO, line->text, line->writer.size);
    (void)written; /* there is nowhere left to say that the log cannot be written */
}

bool xt_log_begin_limited(struct xt_log_limit *limit, uint64_t now_ms, struct xt_log_line *line,
                          enum xt_log_level level, const char *event)
{
    if (limit->second != now_ms / 1000) {
        limit->second = now_ms / 1000;
        limit->lines = 0;
    }
    if (limit->lines >= XT_LOG_PER_SECOND) {
        limit->suppressed++;
        if (limit->counter != NULL) {
            xt_counter_add(limit->counter, 1);
        }
        return false;
    }
    limit->lines++;
    xt_log_begin(line, level, event);
    if (limit->suppressed > 0) {
        xt_log_number(line, "suppressed", limit->suppressed);
        limit->suppressed = 0;
    }
    return true;
}
