#include "net/answer.h"

#include <time.h>

#include "net/http.h"

static struct xt_span status_line(unsigned status)
{
#define LINE(code, reason)                                                                         \
    case code:                                                                                     \
        return xt_span_of("HTTP/1.1 " #code " " reason "\r\n",                                     \
                          sizeof("HTTP/1.1 " #code " " reason "\r\n") - 1)
    switch (status) {
        LINE(200, "OK");
        LINE(204, "No Content");
        LINE(400, "Bad Request");
        LINE(401, "Unauthorized");
        LINE(403, "Forbidden");
        LINE(404, "Not Found");
        LINE(405, "Method Not Allowed");
        LINE(408, "Request Timeout");
        LINE(409, "Conflict");
        LINE(411, "Length Required");
        LINE(413, "Content Too Large");
        LINE(414, "URI Too Long");
        LINE(415, "Unsupported Media Type");
        LINE(417, "Expectation Failed");
        LINE(429, "Too Many Requests");
        LINE(431, "Request Header Fields Too Large");
        LINE(501, "Not Implemented");
        LINE(503, "Service Unavailable");
        LINE(505, "HTTP Version Not Supported");
    default:
        return xt_span_of("HTTP/1.1 500 Internal Server Error\r\n",
                          sizeof("HTTP/1.1 500 Internal Server Error\r\n") - 1);
    }
#undef LINE
}

static void write_two(struct xt_writer *writer, int value)
{
    xt_write_byte(writer, (uint8_t)('0' + value / 10 % 10));
    xt_write_byte(writer, (uint8_t)('0' + value % 10));
}

/* IMF-fixdate (RFC 9110 section 5.6.7), without the locale that strftime would use. */
static void write_date(struct xt_writer *writer, uint64_t unix_s)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    xt_write(writer, days + 3 * tm.tm_wday, 3);
    xt_write_literal(writer, ", ");
    write_two(writer, tm.tm_mday);
    xt_write_byte(writer, ' ');
    xt_write(writer, months + 3 * tm.tm_mon, 3);
    xt_write_byte(writer, ' ');
    write_two(writer, (tm.tm_year + 1900) / 100);
    write_two(writer, tm.tm_year + 1900);
    xt_write_byte(writer, ' ');
    write_two(writer, tm.tm_hour);
    xt_write_byte(writer, ':');
    write_two(writer, tm.tm_min);
    xt_write_byte(writer, ':');
    write_two(writer, tm.tm_sec);
    xt_write_literal(writer, " GMT");
}

void xt_answer_head_set_time(struct xt_answer_head *head, uint64_t unix_s)
{
    struct xt_writer writer = xt_writer_over(head->text, sizeof(head->text));
    xt_write_literal(&writer, "Date: ");
    write_date(&writer, unix_s);
    xt_write_literal(&writer, "\r\n");
    head->date_size = writer.size;
    xt_write_literal(&writer, "Cache-Control: no-store\r\n");
    head->rest_at = writer.size;
    xt_write_literal(&writer, "X-Content-Type-Options: nosniff\r\n");
    head->plain_size = writer.size;
    xt_write_literal(&writer, "Strict-Transport-Security: max-age=63072000\r\n");
    xt_require(!writer.overflow);
    head->size = writer.size;
}

static void write_allow(struct xt_writer *writer, uint8_t allow)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"};
    const char *separator = "Allow: ";
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((allow & 1U << i) != 0) {
            xt_write_string(writer, separator);
            xt_write_string(writer, names[i]);
            separator = ", ";
        }
    }
    xt_write_literal(writer, "\r\n");
}

void xt_answer_write(const struct xt_answer_head *head, const struct xt_answer *answer,
                     struct xt_answer_form form, struct xt_writer *writer)
{
    xt_write_span(writer, status_line(answer->status));
    if (answer->type == XT_TYPE_JSON) {
        xt_write_literal(writer, "Content-Type: application/json\r\n");
    } else if (answer->type == XT_TYPE_PROBLEM) {
        xt_write_literal(writer, "Content-Type: application/problem+json\r\n");
    } else if (answer->type == XT_TYPE_METRICS) {
        xt_write_literal(writer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    }
    if (answer->type == XT_TYPE_LINES) {
        xt_write_literal(writer, "Content-Type: application/x-ndjson\r\n");
    }
    if (answer->pieces != NULL || answer->stream != NULL) {
        if (!form.http10) {
            xt_write_literal(writer, "Transfer-Encoding: chunked\r\n");
        }
    } else if (answer->type != XT_TYPE_NONE) {
        xt_write_literal(writer, "Content-Length: ");
        xt_write_digits(writer, answer->body.size);
        xt_write_literal(writer, "\r\n");
    }
    size_t head_size = form.tls ? head->size : head->plain_size;
    if (answer->max_age_s == 0) {
        xt_write(writer, head->text, head_size);
    } else {
        xt_write(writer, head->text, head->date_size);
        xt_write_literal(writer, "Cache-Control: max-age=");
        xt_write_digits(writer, answer->max_age_s);
        xt_write_literal(writer, "\r\n");
        xt_write(writer, head->text + head->rest_at, head_size - head->rest_at);
    }
    if (answer->language != NULL) {
        xt_write_literal(writer, "Content-Language: ");
        xt_write_string(writer, answer->language);
        xt_write_literal(writer, "\r\n");
    }
    if (answer->retry_after_s > 0) {
        xt_write_literal(writer, "Retry-After: ");
        xt_write_digits(writer, answer->retry_after_s);
        xt_write_literal(writer, "\r\n");
    }
    if (answer->allow != 0) {
        write_allow(writer, answer->allow);
    }
    if (answer->status == 401) {
        /* It must be there (RFC 9110, section 15.5.2). No scheme is registered for certificates: the name that
         * OpenAPI has for them. */
        xt_write_literal(writer, "WWW-Authenticate: mutualTLS\r\n");
    }
    xt_write_span(writer, answer->signature);
    if (form.close) {
        xt_write_literal(writer, "Connection: close\r\n");
    }
    xt_write_literal(writer, "\r\n");
    if (!form.without_body) {
        xt_write_span(writer, answer->body);
    }
}
