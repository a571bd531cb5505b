#include "net/http.h"

#include <strings.h>

#include "net/request_line.h"

#define SMALL_BLOCK 16384      /* bytes: a usual head and body */
#define SMALL_BLOCKS_KEPT 256  /* 4 MiB of free memory at most */
#define LARGE_BLOCKS_KEPT 16   /* 1 MiB */
#define LARGE_BLOCKS_LENT 2048 /* 128 MiB; a verify takes about 300 bytes and none of these */
#define BLANK_LINES_MAX 2      /* before a request line; RFC 9112 section 2.2 wants one at least */
#define CHUNK_OVERHEAD 16384   /* bytes of chunk syntax a body may have beyond twice its limit */

enum field {
    FIELD_OTHER,
    FIELD_HOST,
    FIELD_EXPECT,
    FIELD_UPGRADE,
    FIELD_TRACEPARENT,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_LENGTH,
    FIELD_ACCEPT_LANGUAGE,
    FIELD_CONTENT_ENCODING,
    FIELD_TRANSFER_ENCODING
};

static struct xt_http *of(llhttp_t *parser)
{
    return parser->data;
}

static int refuse(struct xt_http *http, enum xt_problem problem)
{
    http->problem = problem;
    return HPE_USER;
}

/* ---- fields ----------------------------------------------------------------------------------- */

static int on_header_field(llhttp_t *parser, const char *at, size_t length)
{
    struct xt_http *http = of(parser);
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
    switch (length) {
        IS("host", FIELD_HOST);
        IS("expect", FIELD_EXPECT);
        IS("upgrade", FIELD_UPGRADE);
        IS("traceparent", FIELD_TRACEPARENT);
        IS("content-type", FIELD_CONTENT_TYPE);
        IS("content-length", FIELD_CONTENT_LENGTH);
        IS("accept-language", FIELD_ACCEPT_LANGUAGE);
        IS("content-encoding", FIELD_CONTENT_ENCODING);
        IS("transfer-encoding", FIELD_TRANSFER_ENCODING);
    default:
        return FIELD_OTHER;
    }
#undef IS
}

static int on_header_field_complete(llhttp_t *parser)
{
    struct xt_http *http = of(parser);
    enum field field = field_named(http->name, http->name_length);
    http->name_length = 0;
    if (++http->fields > http->shared->settings->header_fields) {
        return refuse(http, XT_PROBLEM_HEADER_TOO_LARGE);
    }
    bool seen = (http->seen & 1U << field) != 0;
    http->seen |= (uint16_t)(1U << field);
    if (field != FIELD_OTHER && http->stage == XT_HTTP_BODY) {
        return refuse(http, XT_PROBLEM_MALFORMED_HTTP); /* framing and the like in a trailer */
    }
    if (field == FIELD_HOST && seen) {
        return refuse(http, XT_PROBLEM_BAD_HOST);
    }
    if (field == FIELD_UPGRADE ||
        (seen && (field == FIELD_CONTENT_TYPE || field == FIELD_CONTENT_LENGTH ||
                  field == FIELD_CONTENT_ENCODING || field == FIELD_TRANSFER_ENCODING))) {
        return refuse(http, XT_PROBLEM_MALFORMED_HTTP);
    }
    /* The others may come again (lists); the first one counts. */
    http->field = seen ? FIELD_OTHER : (uint8_t)field;
    http->value_start = http->block_used;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length)
{
    struct xt_http *http = of(parser);
    if (http->field != FIELD_OTHER) {
        /* Fits: the head is counted in bytes before llhttp gets it. */
        xt_require(length <= http->shared->small.block_size - http->block_used);
        memcpy(http->block + http->block_used, at, length);
        http->block_used += length;
    }
    return 0;
}

static bool is_word(struct xt_span text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

/* version "-" trace-id "-" parent-id "-" flags (W3C Trace Context); anything else is ignored. */
static bool is_traceparent(struct xt_span text)
{
    if (text.size != 55) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool hyphen = i == 2 || i == 35 || i == 52;
        if (hyphen ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct xt_http *http = of(parser);
    struct xt_http_request *request = &http->request;
    struct xt_span value =
        xt_span_of(http->block + http->value_start, http->block_used - http->value_start);
    while (value.size > 0 &&
           (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t')) {
        value.size--; /* llhttp leaves white space at the end */
    }
    switch ((enum field)http->field) {
    case FIELD_HOST:
        return xt_host_is_valid(value) ? 0 : refuse(http, XT_PROBLEM_BAD_HOST);
    case FIELD_EXPECT:
        if (!is_word(value, "100-continue")) {
            return refuse(http, XT_PROBLEM_EXPECTATION_FAILED);
        }
        http->expects = !request->is_http10;
        break;
    case FIELD_TRACEPARENT:
        if (is_traceparent(value)) {
            request->traceparent = value;
        }
        break;
    case FIELD_CONTENT_TYPE:
        request->content_type = value;
        break;
    case FIELD_CONTENT_LENGTH:
        return xt_is_digits(value) ? 0 : refuse(http, XT_PROBLEM_MALFORMED_HTTP);
    case FIELD_ACCEPT_LANGUAGE:
        request->accept_language = value;
        break;
    case FIELD_CONTENT_ENCODING:
        request->content_encoding = value;
        break;
    case FIELD_TRANSFER_ENCODING:
        if (request->is_http10 || value.size == 0) {
            return refuse(http, XT_PROBLEM_MALFORMED_HTTP);
        }
        if (!is_word(value, "chunked")) {
            return refuse(http, XT_PROBLEM_NOT_IMPLEMENTED); /* RFC 9112 section 6.1 */
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
    struct xt_http *http = of(parser);
    const unsigned host = 1U << FIELD_HOST, length = 1U << FIELD_CONTENT_LENGTH;
    if (!http->request.is_http10 && (http->seen & host) == 0) {
        return refuse(http, XT_PROBLEM_BAD_HOST);
    }
    bool has_length = (http->seen & length) != 0;
    if (has_length && http->chunked) { /* llhttp refuses it too; not left to its flags alone */
        return refuse(http, XT_PROBLEM_MALFORMED_HTTP);
    }
    if (has_length && parser->content_length > http->shared->settings->body_bytes) {
        return refuse(http, XT_PROBLEM_BODY_TOO_LARGE);
    }
    http->request.has_framing = has_length || http->chunked;
    http->request.close = http->request.is_http10 || (parser->flags & F_CONNECTION_CLOSE) != 0;
    http->stage = XT_HTTP_BODY;
    http->request.body = http->block + http->block_used;
    http->body_capacity = http->shared->small.block_size - http->block_used - XT_HTTP_BODY_PADDING;
    bool has_body = http->chunked || (has_length && parser->content_length > 0);
    http->expects = http->expects && has_body;
    /* Pausing tells how far the head went: chunk syntax is counted from here. */
    return http->chunked || http->expects ? HPE_PAUSED : 0;
}

/* ---- body ------------------------------------------------------------------------------------- */

static int on_chunk_header(llhttp_t *parser)
{
    struct xt_http *http = of(parser);
    http->last_chunk = parser->content_length == 0;
    size_t left = http->shared->settings->body_bytes - http->request.body_size;
    return parser->content_length <= left ? 0 : refuse(http, XT_PROBLEM_BODY_TOO_LARGE);
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct xt_http *http = of(parser);
    struct xt_http_request *request = &http->request;
    if (length > http->body_capacity - request->body_size) {
        xt_require(http->large == NULL); /* it holds any body below the limit */
        http->large = xt_pool_take(&http->shared->large);
        if (http->large == NULL) {
            return refuse(http, XT_PROBLEM_OVERLOADED);
        }
        memcpy(http->large, request->body, request->body_size);
        request->body = http->large;
        http->body_capacity = http->shared->large.block_size - XT_HTTP_BODY_PADDING;
    }
    memcpy(request->body + request->body_size, at, length);
    request->body_size += length;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    of(parser)->stage = XT_HTTP_READY;
    return HPE_PAUSED;
}

/* ---- the machine ------------------------------------------------------------------------------ */

void xt_http_shared_open(struct xt_http_shared *shared, const struct xt_settings *settings)
{
    *shared = (struct xt_http_shared){.settings = settings};
    size_t small = settings->header_bytes + 2 * (size_t)XT_HTTP_BODY_PADDING;
    xt_pool_open(&shared->small, small < SMALL_BLOCK ? SMALL_BLOCK : small, SMALL_BLOCKS_KEPT, 0);
    xt_pool_open(&shared->large, settings->body_bytes + (size_t)XT_HTTP_BODY_PADDING,
                 LARGE_BLOCKS_KEPT, LARGE_BLOCKS_LENT);
    llhttp_settings_init(&shared->callbacks);
    shared->callbacks.on_header_field = on_header_field;
    shared->callbacks.on_header_field_complete = on_header_field_complete;
    shared->callbacks.on_header_value = on_header_value;
    shared->callbacks.on_header_value_complete = on_header_value_complete;
    shared->callbacks.on_headers_complete = on_headers_complete;
    shared->callbacks.on_chunk_header = on_chunk_header;
    shared->callbacks.on_body = on_body;
    shared->callbacks.on_message_complete = on_message_complete;
}

void xt_http_shared_close(struct xt_http_shared *shared)
{
    xt_pool_close(&shared->small);
    xt_pool_close(&shared->large);
}

void xt_http_open(struct xt_http *http, struct xt_http_shared *shared, bool tls)
{
    *http = (struct xt_http){.shared = shared, .scheme = tls ? "https" : "http"};
    llhttp_init(&http->parser, HTTP_REQUEST, &shared->callbacks);
    http->parser.data = http;
}

static void release(struct xt_http *http)
{
    xt_pool_give(&http->shared->small, http->block);
    xt_pool_give(&http->shared->large, http->large);
    http->block = NULL;
    http->large = NULL;
    memset(&http->request, 0, sizeof(http->request)); /* it pointed into them */
}

void xt_http_close(struct xt_http *http)
{
    release(http);
}

void xt_http_done(struct xt_http *http)
{
    xt_require(http->stage == XT_HTTP_READY);
    release(http);
    http->stage = XT_HTTP_BETWEEN;
    http->blank_lines = 0;
}

static enum xt_http_event failed(struct xt_http *http, enum xt_problem problem)
{
    http->stage = XT_HTTP_FAILED;
    http->problem = problem;
    return XT_HTTP_ERROR;
}

static bool begin(struct xt_http *http)
{
    http->block = xt_pool_take(&http->shared->small);
    if (http->block == NULL) {
        return false;
    }
    http->stage = XT_HTTP_LINE;
    http->block_used = http->head_bytes = http->raw_bytes = 0;
    http->fields = http->seen = 0;
    http->name_length = 0;
    http->chunked = http->expects = http->last_chunk = false;
    memset(&http->request, 0, sizeof(http->request));
    return true;
}

/* Collects the request line and takes it apart once it is whole. */
static enum xt_http_event read_line(struct xt_http *http, const uint8_t *data, size_t size,
                                    size_t *used)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t length = end == NULL ? size : (size_t)(end - data) + 1;
    if (length > http->shared->settings->header_bytes - http->block_used) {
        return failed(http, XT_PROBLEM_TARGET_TOO_LONG);
    }
    memcpy(http->block + http->block_used, data, length);
    http->block_used += length;
    *used += length;
    if (end == NULL) {
        return XT_HTTP_MORE;
    }
    struct xt_span line = xt_span_of(http->block, http->block_used);
    if (line.size == 2 && line.data[0] == '\r' && http->blank_lines < BLANK_LINES_MAX) {
        http->blank_lines++;
        release(http);
        http->stage = XT_HTTP_BETWEEN;
        return XT_HTTP_MORE;
    }
    enum xt_problem problem = xt_request_line_parse(line, http->scheme, &http->request);
    if (problem != XT_PROBLEM_NONE) {
        return failed(http, problem);
    }
    llhttp_reset(&http->parser);
    if (llhttp_execute(&http->parser, (const char *)line.data, line.size) != HPE_OK) {
        return failed(http, XT_PROBLEM_MALFORMED_HTTP);
    }
    http->head_bytes = line.size;
    http->stage = XT_HTTP_HEAD;
    return XT_HTTP_MORE;
}

/* How many more bytes llhttp may have in this stage. */
static size_t budget(const struct xt_http *http)
{
    const struct xt_settings *settings = http->shared->settings;
    if (http->stage == XT_HTTP_HEAD) {
        return settings->header_bytes - http->head_bytes;
    }
    return http->chunked ? 2 * (size_t)settings->body_bytes + CHUNK_OVERHEAD - http->raw_bytes
                         : SIZE_MAX;
}

static enum xt_http_event read_rest(struct xt_http *http, const uint8_t *data, size_t size,
                                    size_t *used)
{
    enum xt_http_stage before = http->stage;
    size_t allowed = budget(http);
    if (allowed == 0) {
        return failed(http, before == XT_HTTP_BODY && !http->last_chunk
                                ? XT_PROBLEM_BODY_TOO_LARGE
                                : XT_PROBLEM_HEADER_TOO_LARGE);
    }
    size_t give = size < allowed ? size : allowed;
    http->problem = XT_PROBLEM_NONE;
    llhttp_errno_t error = llhttp_execute(&http->parser, (const char *)data, give);
    size_t taken = give;
    if (error == HPE_PAUSED) {
        taken = (size_t)((const uint8_t *)llhttp_get_error_pos(&http->parser) - data);
    } else if (error != HPE_OK) {
        return failed(http,
                      http->problem != XT_PROBLEM_NONE ? http->problem : XT_PROBLEM_MALFORMED_HTTP);
    }
    *used += taken;
    if (before == XT_HTTP_HEAD) {
        http->head_bytes += taken;
    } else {
        http->raw_bytes += taken;
    }
    if (http->stage == XT_HTTP_READY) {
        return XT_HTTP_REQUEST;
    }
    if (error == HPE_PAUSED) {
        llhttp_resume(&http->parser);
        if (http->expects) {
            http->expects = false;
            return XT_HTTP_CONTINUE;
        }
    }
    return XT_HTTP_MORE;
}

enum xt_http_event xt_http_parse(struct xt_http *http, const uint8_t *data, size_t size,
                                 size_t *used)
{
    *used = 0;
    for (;;) {
        enum xt_http_event event = XT_HTTP_MORE;
        switch (http->stage) {
        case XT_HTTP_READY:
            return XT_HTTP_REQUEST;
        case XT_HTTP_FAILED:
            return XT_HTTP_ERROR;
        case XT_HTTP_BETWEEN:
            if (*used < size && !begin(http)) {
                return failed(http, XT_PROBLEM_OVERLOADED);
            }
            break;
        case XT_HTTP_LINE:
            if (*used < size) {
                event = read_line(http, data + *used, size - *used, used);
            }
            break;
        case XT_HTTP_HEAD:
        case XT_HTTP_BODY:
            if (*used < size) {
                event = read_rest(http, data + *used, size - *used, used);
            }
            break;
        }
        if (event == XT_HTTP_ERROR || event == XT_HTTP_CONTINUE) {
            return event;
        }
        if (*used == size && http->stage != XT_HTTP_READY) {
            return XT_HTTP_MORE;
        }
    }
}
