#include "net/http_internal.h"

#include "net/request_line.h"

#define SMALL_BLOCK 16384      /* bytes: a usual head and body */
#define SMALL_BLOCKS_KEPT 256  /* 4 MiB of free memory at most */
#define LARGE_BLOCKS_KEPT 16   /* 1 MiB */
#define LARGE_BLOCKS_LENT 2048 /* 128 MiB; a verify takes about 300 bytes and none of these */
#define BLANK_LINES_MAX 2      /* before a request line; RFC 9112 section 2.2 wants one at least */
#define CHUNK_OVERHEAD 16384   /* bytes of chunk syntax a body may have beyond twice its limit */

/* ---- body ------------------------------------------------------------------------------------- */

/* A chunk extension has a name (RFC 9112 section 7.1.1); llhttp takes an empty one before "=". */
static int on_extension_name(llhttp_t *parser, const char *at, size_t length)
{
    (void)at;
    xt_http_of(parser)->has_extension_name |= length > 0;
    return 0;
}

static int on_extension_name_complete(llhttp_t *parser)
{
    struct xt_http *http = xt_http_of(parser);
    bool named = http->has_extension_name;
    http->has_extension_name = false;
    return named ? 0 : xt_http_refuse(http, XT_PROBLEM_MALFORMED_HTTP);
}

static int on_chunk_header(llhttp_t *parser)
{
    struct xt_http *http = xt_http_of(parser);
    http->last_chunk = parser->content_length == 0;
    if (http->streamed) {
        return 0;
    }
    size_t left = http->body_limit - http->request.body_size;
    return parser->content_length <= left ? 0 : xt_http_refuse(http, XT_PROBLEM_BODY_TOO_LARGE);
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct xt_http *http = xt_http_of(parser);
    struct xt_http_request *request = &http->request;
    if (http->streamed) { /* no more than has room was given to the parser */
        xt_require(length <= http->body_capacity - request->body_size);
        http->raw_bytes = 0; /* chunk syntax is limited between bytes of content */
    } else if (length > http->body_capacity - request->body_size) {
        size_t capacity = http->shared->large.block_size - XT_HTTP_BODY_PADDING;
        if (http->large != NULL || request->body_size > capacity ||
            length > capacity - request->body_size) {
            return xt_http_refuse(http,
                                  XT_PROBLEM_BODY_TOO_LARGE); /* the limit was lowered meanwhile */
        }
        http->large = xt_pool_take(&http->shared->large);
        if (http->large == NULL) {
            return xt_http_refuse(http, XT_PROBLEM_OVERLOADED);
        }
        memcpy(http->large, request->body, request->body_size);
        request->body = http->large;
        http->body_capacity = capacity;
    }
    memcpy(request->body + request->body_size, at, length);
    request->body_size += length;
    return 0;
}

bool xt_http_open_window(struct xt_http *http)
{
    http->large = xt_pool_take(&http->shared->large);
    http->request.body = http->large;
    http->body_capacity = http->shared->large.block_size - XT_HTTP_BODY_PADDING;
    return http->large != NULL;
}

void xt_http_take(struct xt_http *http, size_t size)
{
    struct xt_http_request *request = &http->request;
    xt_require(http->streamed && size <= request->body_size);
    if (size > 0) {
        memmove(request->body, request->body + size, request->body_size - size);
        request->body_size -= size;
    }
}

static int on_message_complete(llhttp_t *parser)
{
    xt_http_of(parser)->stage = XT_HTTP_READY;
    return HPE_PAUSED;
}

/* ---- the machine ------------------------------------------------------------------------------ */

void xt_http_shared_open(struct xt_http_shared *shared, const struct xt_settings *settings)
{
    *shared = (struct xt_http_shared){.settings = settings};
    xt_pool_open(&shared->small, SMALL_BLOCK, SMALL_BLOCKS_KEPT, 0);
    xt_pool_open(&shared->large, SMALL_BLOCK, LARGE_BLOCKS_KEPT, LARGE_BLOCKS_LENT);
    xt_http_shared_reload(shared);
    llhttp_settings_init(&shared->callbacks);
    xt_http_set_field_callbacks(&shared->callbacks);
    shared->callbacks.on_chunk_extension_name = on_extension_name;
    shared->callbacks.on_chunk_extension_name_complete = on_extension_name_complete;
    shared->callbacks.on_chunk_header = on_chunk_header;
    shared->callbacks.on_body = on_body;
    shared->callbacks.on_message_complete = on_message_complete;
}

void xt_http_shared_reload(struct xt_http_shared *shared)
{
    const struct xt_settings *settings = shared->settings;
    shared->header_bytes = settings->header_bytes;
    shared->header_fields = settings->header_fields;
    shared->body_bytes = settings->body_bytes;
    size_t small = settings->header_bytes + 2 * (size_t)XT_HTTP_BODY_PADDING;
    xt_pool_resize(&shared->small, small < SMALL_BLOCK ? SMALL_BLOCK : small);
    xt_pool_resize(&shared->large, settings->body_bytes + (size_t)XT_HTTP_BODY_PADDING);
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
    http->block_size = http->shared->small.block_size;
    http->header_limit = http->shared->header_bytes;
    http->fields_limit = http->shared->header_fields;
    http->body_limit = http->shared->body_bytes;
    http->block_used = http->head_bytes = http->raw_bytes = 0;
    http->fields = http->seen = 0;
    http->name_length = 0;
    http->chunked = http->expects = http->last_chunk = http->has_extension_name = false;
    http->streamed = http->opening = false;
    memset(&http->request, 0, sizeof(http->request));
    return true;
}

/* Collects the request line and takes it apart once it is whole. */
static enum xt_http_event read_line(struct xt_http *http, const uint8_t *data, size_t size,
                                    size_t *used)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t length = end == NULL ? size : (size_t)(end - data) + 1;
    if (length > http->header_limit - http->block_used) {
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
    if (http->stage == XT_HTTP_HEAD) {
        return http->header_limit - http->head_bytes;
    }
    return http->chunked ? 2 * (size_t)http->body_limit + CHUNK_OVERHEAD - http->raw_bytes
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
    if (http->streamed && before == XT_HTTP_BODY) {
        size_t room = http->body_capacity - http->request.body_size;
        if (room == 0) {
            return XT_HTTP_WINDOW;
        }
        give = give < room ? give : room;
    }
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
        if (http->opening) {
            http->opening = false;
            return XT_HTTP_OPENED;
        }
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
        if (event != XT_HTTP_MORE && event != XT_HTTP_REQUEST) {
            return event;
        }
        if (*used == size && http->stage != XT_HTTP_READY) {
            return XT_HTTP_MORE;
        }
    }
}
