#include <strings.h>

#include "net/http_internal.h"
#include "net/request_line.h"

enum field {
    FIELD_OTHER,
    FIELD_HOST,
    FIELD_EXPECT,
    FIELD_UPGRADE,
    FIELD_CONNECTION,
    FIELD_RESUME_FROM,
    FIELD_TRACEPARENT,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_DIGEST,
    FIELD_CONTENT_LENGTH,
    FIELD_ACCEPT_LANGUAGE,
    FIELD_ACCEPT_SIGNATURE,
    FIELD_CONTENT_ENCODING,
    FIELD_TRANSFER_ENCODING
};

static int on_header_field(llhttp_t *parser, const char *at, size_t length)
{
    struct xt_http *http = xt_http_of(parser);
    for (size_t i = 0; i < length && http->name_length <= XT_HTTP_NAME_MAX; i++) {
        if (http->name_length < XT_HTTP_NAME_MAX) {
            char c = at[i];
            http->name[http->name_length] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        http->name_length++; /* one past the limit: too long to be one we know */
    }
    return 0;
}

static enum field field_named(const char *name, size_t length)
{
#define IS(text, field)                                                                            \
    case sizeof(text) - 1:                                                                         \
        return memcmp(name, text, sizeof(text) - 1) == 0 ? (field) : FIELD_OTHER
/* The same for two names of one length. */
#define IS_EITHER(text, field, other, other_field)                                                 \
    case sizeof(text) - 1:                                                                         \
        return memcmp(name, text, sizeof(text) - 1) == 0     ? (field)                             \
               : memcmp(name, other, sizeof(other) - 1) == 0 ? (other_field)                       \
                                                             : FIELD_OTHER
    switch (length) {
        IS("host", FIELD_HOST);
        IS("expect", FIELD_EXPECT);
        IS("upgrade", FIELD_UPGRADE);
        IS("connection", FIELD_CONNECTION);
        IS_EITHER("traceparent", FIELD_TRACEPARENT, "resume-from", FIELD_RESUME_FROM);
        IS("content-type", FIELD_CONTENT_TYPE);
        IS_EITHER("content-length", FIELD_CONTENT_LENGTH, "content-digest", FIELD_CONTENT_DIGEST);
        IS("accept-language", FIELD_ACCEPT_LANGUAGE);
        IS_EITHER("content-encoding", FIELD_CONTENT_ENCODING, "accept-signature",
                  FIELD_ACCEPT_SIGNATURE);
        IS("transfer-encoding", FIELD_TRANSFER_ENCODING);
    default:
        return FIELD_OTHER;
    }
#undef IS
#undef IS_EITHER
}

static int on_header_field_complete(llhttp_t *parser)
{
    struct xt_http *http = xt_http_of(parser);
    enum field field = field_named(http->name, http->name_length);
    http->name_length = 0;
    if (++http->fields > http->fields_limit) {
        return xt_http_refuse(http, XT_PROBLEM_HEADER_TOO_LARGE);
    }
    bool seen = (http->seen & 1U << field) != 0;
    http->seen |= (uint16_t)(1U << field);
    if (field != FIELD_OTHER && http->stage == XT_HTTP_BODY) {
        return xt_http_refuse(http,
                              XT_PROBLEM_MALFORMED_HTTP); /* framing and the like in a trailer */
    }
    if (field == FIELD_HOST && seen) {
        return xt_http_refuse(http, XT_PROBLEM_BAD_HOST);
    }
    if (field == FIELD_UPGRADE ||
        (seen && (field == FIELD_CONTENT_TYPE || field == FIELD_CONTENT_LENGTH ||
                  field == FIELD_CONTENT_ENCODING || field == FIELD_TRANSFER_ENCODING ||
                  field == FIELD_CONTENT_DIGEST || field == FIELD_ACCEPT_SIGNATURE ||
                  field == FIELD_RESUME_FROM))) {
        return xt_http_refuse(http, XT_PROBLEM_MALFORMED_HTTP);
    }
    if (seen && field == FIELD_TRACEPARENT) { /* two of them: neither can be believed */
        http->request.traceparent = xt_span_of(NULL, 0);
    }
    /* The others may come again, as lists: each Expect and Connection is looked at, else the first. */
    bool each = field == FIELD_EXPECT || field == FIELD_CONNECTION;
    http->field = seen && !each ? FIELD_OTHER : (uint8_t)field;
    http->value_start = http->block_used;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length)
{
    struct xt_http *http = xt_http_of(parser);
    if (http->field != FIELD_OTHER) {
        /* Fits: the head is counted in bytes before llhttp gets it. */
        xt_require(length <= http->block_size - http->block_used);
        memcpy(http->block + http->block_used, at, length);
        http->block_used += length;
    }
    return 0;
}

static bool is_word(struct xt_span text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Whether a comma-separated list has this member, in any case (RFC 9110 section 5.6.1). Not left to
 * llhttp, which takes no tab around members and believes Proxy-Connection as well. */
static bool list_has(struct xt_span list, const char *member)
{
    size_t at = 0;
    while (at < list.size) {
        size_t end = at;
        while (end < list.size && list.data[end] != ',') {
            end++;
        }
        struct xt_span part = xt_span_of(list.data + at, end - at);
        at = end + 1;
        while (part.size > 0 && is_blank(part.data[0])) {
            part = xt_span_of(part.data + 1, part.size - 1);
        }
        while (part.size > 0 && is_blank(part.data[part.size - 1])) {
            part.size--;
        }
        if (is_word(part, member)) {
            return true;
        }
    }
    return false;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct xt_http *http = xt_http_of(parser);
    struct xt_http_request *request = &http->request;
    struct xt_span value =
        xt_span_of(http->block + http->value_start, http->block_used - http->value_start);
    while (value.size > 0 && is_blank(value.data[value.size - 1])) {
        value.size--; /* llhttp leaves white space at the end */
    }
    switch ((enum field)http->field) {
    case FIELD_HOST:
        return xt_host_is_valid(value) ? 0 : xt_http_refuse(http, XT_PROBLEM_BAD_HOST);
    case FIELD_EXPECT:
        if (!is_word(value, "100-continue")) {
            return xt_http_refuse(http, XT_PROBLEM_EXPECTATION_FAILED);
        }
        http->expects = !request->is_http10;
        break;
    case FIELD_CONNECTION:
        request->close = request->close || list_has(value, "close");
        break;
    case FIELD_TRACEPARENT:
        request->traceparent = value; /* who logs it judges it (net/trace) */
        break;
    case FIELD_RESUME_FROM:
        request->resume_from = value; /* the handler judges it */
        break;
    case FIELD_CONTENT_TYPE:
        request->content_type = value;
        break;
    case FIELD_CONTENT_DIGEST:
        request->content_digest = value; /* judged with the body (net/signature) */
        break;
    case FIELD_ACCEPT_SIGNATURE:
        request->accept_signature = value;
        break;
    case FIELD_CONTENT_LENGTH:
        return xt_is_digits(value) ? 0 : xt_http_refuse(http, XT_PROBLEM_MALFORMED_HTTP);
    case FIELD_ACCEPT_LANGUAGE:
        request->accept_language = value;
        break;
    case FIELD_CONTENT_ENCODING:
        request->content_encoding = value;
        break;
    case FIELD_TRANSFER_ENCODING:
        if (request->is_http10 || value.size == 0) {
            return xt_http_refuse(http, XT_PROBLEM_MALFORMED_HTTP);
        }
        if (!is_word(value, "chunked")) {
            return xt_http_refuse(http, XT_PROBLEM_NOT_IMPLEMENTED); /* RFC 9112 section 6.1 */
        }
        http->chunked = true;
        break;
    case FIELD_UPGRADE:
    case FIELD_OTHER:
        break;
    }
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct xt_http *http = xt_http_of(parser);
    const unsigned host = 1U << FIELD_HOST, length = 1U << FIELD_CONTENT_LENGTH;
    if (!http->request.is_http10 && (http->seen & host) == 0) {
        return xt_http_refuse(http, XT_PROBLEM_BAD_HOST);
    }
    bool has_length = (http->seen & length) != 0;
    if (has_length && http->chunked) { /* llhttp refuses it too; not left to its flags alone */
        return xt_http_refuse(http, XT_PROBLEM_MALFORMED_HTTP);
    }
    http->request.has_framing = has_length || http->chunked;
    http->streamed = http->request.has_framing && http->is_streamed != NULL &&
                     http->is_streamed(http->context, &http->request);
    if (has_length && parser->content_length > http->body_limit && !http->streamed) {
        return xt_http_refuse(http, XT_PROBLEM_BODY_TOO_LARGE);
    }
    http->request.close = http->request.close || http->request.is_http10;
    http->stage = XT_HTTP_BODY;
    http->request.body = http->block + http->block_used;
    http->body_capacity = http->block_size - http->block_used - XT_HTTP_BODY_PADDING;
    bool has_body = http->chunked || (has_length && parser->content_length > 0);
    http->expects = http->expects && has_body;
    http->opening = http->streamed && has_body; /* else it is READY at once */
    if (http->opening && !xt_http_open_window(http)) {
        return xt_http_refuse(http, XT_PROBLEM_OVERLOADED);
    }
    /* Pausing tells how far the head went: chunk syntax is counted from here. */
    return http->chunked || http->expects || http->opening ? HPE_PAUSED : 0;
}

void xt_http_set_field_callbacks(llhttp_settings_t *callbacks)
{
    callbacks->on_header_field = on_header_field;
    callbacks->on_header_field_complete = on_header_field_complete;
    callbacks->on_header_value = on_header_value;
    callbacks->on_header_value_complete = on_header_value_complete;
    callbacks->on_headers_complete = on_headers_complete;
}
