/* A body of lines that is streamed through a small window gives the same lines however it is cut, in chunks
 * and in reads; and each is one of the body's, or too long for the window. */
#include <stdio.h>

#include "net/http.h"
#include "net/stream.h"
#include "tests/fuzz/fuzz.h"

#define WINDOW 48
#define BODY_MAX 4096

struct lines {
    struct xt_stream base;
    uint64_t digest, taken;
    unsigned refusals; /* every so many lines one is not taken at first */
    bool refused;
};

static bool take_line(struct xt_stream *base, uint64_t number, uint8_t *line, size_t size,
                      bool too_long)
{
    struct lines *lines = (struct lines *)(void *)base;
    xt_require(size <= WINDOW && (size == 0 || memchr(line, '\n', size) == NULL));
    if (lines->refusals > 0 && lines->taken % lines->refusals == 0 && !lines->refused) {
        lines->refused = true;
        return false;
    }
    lines->refused = false;
    lines->taken++;
    const uint64_t facts[] = {number, size, too_long};
    for (size_t i = 0; i < sizeof(facts) + size; i++) { /* FNV-1a */
        uint8_t byte = i < sizeof(facts) ? ((const uint8_t *)facts)[i] : line[i - sizeof(facts)];
        lines->digest = (lines->digest ^ byte) * 0x100000001b3ULL;
    }
    return true;
}

static const struct xt_stream_kind kind = {.take_line = take_line};

static bool always(const void *context, const struct xt_http_request *request)
{
    (void)context;
    (void)request;
    return true;
}

/* The body as a chunked request, in chunks of `chunk` bytes. */
static size_t wrap(const uint8_t *body, size_t size, size_t chunk, uint8_t *request, size_t room)
{
    struct xt_writer writer = xt_writer_over(request, room);
    xt_write_literal(&writer, "POST /l HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < size; at += chunk) {
        char head[16];
        size_t piece = chunk < size - at ? chunk : size - at;
        snprintf(head, sizeof(head), "%zx\r\n", piece);
        xt_write_string(&writer, head);
        xt_write(&writer, body + at, piece);
        xt_write_literal(&writer, "\r\n");
    }
    xt_write_literal(&writer, "0\r\n\r\n");
    xt_require(!writer.overflow);
    return writer.size;
}

static void drain(struct xt_http *http, struct lines *lines)
{
    struct xt_http_request *request = &http->request;
    for (size_t used = 1; used > 0 || lines->base.no_room;) {
        unsigned taken = 0;
        lines->base.no_room = false;
        used = xt_stream_feed(&lines->base, request->body, request->body_size,
                              http->stage == XT_HTTP_READY,
                              request->body_size == http->body_capacity, 3, &taken);
        xt_http_take(http, used);
    }
}

static struct lines play(struct xt_http_shared *shared, uint8_t *request, size_t size, size_t step,
                         unsigned refusals)
{
    struct lines lines = {.base = {.kind = &kind}, .digest = 0xcbf29ce484222325ULL};
    struct xt_http http;
    size_t at = 0;
    lines.refusals = refusals;
    xt_http_open(&http, shared, true);
    http.is_streamed = always;
    while (http.stage != XT_HTTP_READY) {
        size_t used = 0, piece = step < size - at ? step : size - at;
        enum xt_http_event event = xt_http_parse(&http, request + at, piece, &used);
        xt_require(event != XT_HTTP_ERROR && used <= piece);
        at += used;
        if (http.stage >= XT_HTTP_BODY) {
            drain(&http, &lines);
        }
    }
    xt_require(at == size && http.request.body_size == 0);
    xt_http_done(&http);
    xt_http_close(&http);
    return lines;
}

void fuzz_one(uint8_t *data, size_t size)
{
    static uint8_t request[BODY_MAX * 6 + 256];
    struct xt_settings settings;
    struct xt_http_shared shared;
    size = size < BODY_MAX ? size : BODY_MAX;
    xt_settings_defaults(&settings);
    settings.body_bytes = WINDOW;
    xt_http_shared_open(&shared, &settings);
    size_t length = wrap(data, size, BODY_MAX, request, sizeof(request));
    struct lines whole = play(&shared, request, length, length, 0);
    const size_t cuts[] = {1, 2, 7, 31, size > 0 ? 1 + (size_t)data[0] : 1};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        length = wrap(data, size, cuts[i], request, sizeof(request));
        for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
            struct lines cut = play(&shared, request, length, cuts[j], (unsigned)j);
            xt_require(cut.taken == whole.taken && cut.digest == whole.digest &&
                       cut.base.lines == whole.base.lines);
        }
    }
    xt_http_shared_close(&shared);
}
