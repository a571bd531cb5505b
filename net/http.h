/* net/http: bytes in, one whole request at a time out. Knows no socket, no route and no clock.
 *
 *                     +--------------------------------------------------------------+
 *                     v                                                              |
 *   BETWEEN -> LINE (request line) -> HEAD (fields) -> BODY -> READY --xt_http_done--+
 *      any error: FAILED, and the connection must close after one answer
 *
 * A request that the caller takes piece by piece (is_streamed) is told of at the end of its head
 * (XT_HTTP_OPENED); its body passes through request.body as through a window: parse fills it, the caller
 * takes from its front (xt_http_take), and there is no limit to what passes. READY: the rest is in it.
 *
 * The request line is collected and judged whole before llhttp sees it; fields, lengths and chunks are
 * llhttp's, in strict mode. What llhttp 9.2 lets through and we do not (RFC 9112, design section 4):
 * HTTP/0.9, 2.0 and no version, RTSP and ICE, TRACE and CONNECT, Upgrade, fragments and characters
 * that RFC 3986 has not, no Host (1.1), two or a malformed one, Transfer-Encoding other than exactly
 * `chunked`, on 1.0, or empty; unbounded leading blank lines, white space, chunk extensions and
 * trailers; chunk extensions without a name; framing and the like in trailers. Of what RFC 9112 has
 * a server take, llhttp's strict mode refuses a tab after a length or a coding and white space before
 * a chunk extension: we leave it so, since that is where intermediaries differ. Every limit counts bytes from the start of the request, so that any split of the same
 * bytes is answered the same.
 *
 * Memory: a request lives in a block of the pool from its first byte to xt_http_done; a body that does
 *         not fit beside the head takes a large block. Between requests there is none.
 * Limits: taken from the settings when a request begins; new ones count from the next request on.
 */
#ifndef XT_NET_HTTP_H
#define XT_NET_HTTP_H

#include <llhttp.h>

#include "core/settings.h"
#include "core/span.h"
#include "net/pool.h"
#include "net/problem.h"

#define XT_HTTP_BODY_PADDING 16 /* spare bytes after a body, for parsers that work in place */
#define XT_HTTP_NAME_MAX 20     /* bytes of field names that we know */

/* A set, for Allow. */
enum xt_method {
    XT_GET = 1 << 0,
    XT_HEAD = 1 << 1,
    XT_POST = 1 << 2,
    XT_OPTIONS = 1 << 3,
    XT_PUT = 1 << 4,
    XT_DELETE = 1 << 5,
    XT_PATCH = 1 << 6
};

struct xt_http_request {
    enum xt_method method;
    bool is_http10;
    bool has_query;
    bool has_framing;     /* Content-Length or Transfer-Encoding is there */
    bool close;           /* the client asks for it, or speaks HTTP/1.0; set by the head */
    struct xt_span path;  /* without the query; "*" for OPTIONS * */
    struct xt_span query; /* what follows the question mark, as it came; size 0: nothing */
    struct xt_span content_type, content_encoding, accept_language, traceparent; /* size 0: none */
    struct xt_span content_digest, accept_signature, resume_from;                /* the same */
    uint8_t *body; /* writable, with XT_HTTP_BODY_PADDING spare bytes after it */
    size_t body_size;
};

enum xt_http_stage {
    XT_HTTP_BETWEEN,
    XT_HTTP_LINE,
    XT_HTTP_HEAD,
    XT_HTTP_BODY,
    XT_HTTP_READY,
    XT_HTTP_FAILED
};

/* What the parsers of one loop share. */
struct xt_http_shared {
    const struct xt_settings *settings;
    uint32_t header_bytes, header_fields, body_bytes; /* of requests to come */
    struct xt_pool small, large; /* blocks for heads with small bodies; for bodies */
    llhttp_settings_t callbacks;
};
void xt_http_shared_open(struct xt_http_shared *shared, const struct xt_settings *settings);
/* After the settings have changed: until then the limits are those of before. Requests under way keep
 * theirs. */
void xt_http_shared_reload(struct xt_http_shared *shared);
void xt_http_shared_close(struct xt_http_shared *shared);

struct xt_http {
    struct xt_http_request request; /* whole in stage READY; the head also in BODY */
    enum xt_http_stage stage;
    enum xt_problem problem; /* in stage FAILED */
    /* Whether the body of this request, whose head is whole, is taken piece by piece; NULL: never. */
    bool (*is_streamed)(const void *context, const struct xt_http_request *request);
    const void *context;
    bool streamed; /* this one is */
    bool opening;  /* and XT_HTTP_OPENED is to be told */
    struct xt_http_shared *shared;
    const char *scheme; /* "https" or "http": the only one in absolute targets */
    uint8_t *block;     /* small: request line, then field values, then the body */
    uint8_t *large;     /* the body when it does not fit */
    uint32_t header_limit, fields_limit, body_limit; /* of this request */
    size_t block_size, block_used, body_capacity;
    size_t head_bytes, raw_bytes; /* of this request so far */
    size_t value_start;
    unsigned blank_lines, fields;
    uint8_t name_length;
    char name[XT_HTTP_NAME_MAX];
    uint8_t field; /* which known field is being read */
    uint16_t seen; /* set of known fields seen */
    bool chunked, expects, last_chunk, has_extension_name;
    llhttp_t parser;
};

/* tls: which scheme absolute targets must have. */
void xt_http_open(struct xt_http *http, struct xt_http_shared *shared, bool tls);
void xt_http_close(struct xt_http *http);

enum xt_http_event {
    XT_HTTP_MORE,     /* all input used; the request is not whole */
    XT_HTTP_REQUEST,  /* http->request is whole; xt_http_done when it is answered */
    XT_HTTP_CONTINUE, /* the head is whole and the client waits for 100; call again */
    XT_HTTP_OPENED, /* the head is whole, the body is streamed; http->expects: the client waits for 100 */
    XT_HTTP_WINDOW, /* of a streamed body: request.body is full, take from it first */
    XT_HTTP_ERROR   /* http->problem; answer once and close */
};

/* Reads up to and including one request. *used tells how many bytes of data it took. */
enum xt_http_event xt_http_parse(struct xt_http *http, const uint8_t *data, size_t size,
                                 size_t *used);

/* Of a streamed body: the first `size` bytes of request.body were taken. */
void xt_http_take(struct xt_http *http, size_t size);

/* The request is answered: its memory goes back. */
void xt_http_done(struct xt_http *http);

#endif
