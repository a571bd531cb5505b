/* Any split of the same bytes is parsed the same: whole, and cut where the input says. */
#include "net/http.h"
#include "tests/fuzz/fuzz.h"

/* What one run over the bytes gave, as a digest of its events. */
struct run {
    unsigned requests, continues;
    enum xt_problem problem;
    bool failed;
    uint64_t digest;
};

static uint64_t mix(uint64_t digest, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) { /* FNV-1a */
        digest = (digest ^ bytes[i]) * 0x100000001b3ULL;
    }
    return digest;
}

static void note_request(struct run *run, const struct xt_http_request *request)
{
    struct xt_span parts[] = {request->path,
                              request->content_type,
                              request->accept_language,
                              request->traceparent,
                              request->content_digest,
                              request->accept_signature,
                              xt_span_of(request->body, request->body_size)};
    run->requests++;
    run->digest = mix(run->digest, &request->method, sizeof(request->method));
    run->digest = mix(run->digest, &request->close, sizeof(request->close));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        run->digest = mix(run->digest, &parts[i].size, sizeof(parts[i].size));
        run->digest = mix(run->digest, parts[i].data, parts[i].size);
    }
    /* Parsers in place write behind the body. */
    memset(request->body + request->body_size, 0, request->body == NULL ? 0 : XT_HTTP_BODY_PADDING);
}

static void feed(struct xt_http *http, struct run *run, const uint8_t *data, size_t size)
{
    uint8_t *piece = malloc(size > 0 ? size : 1);
    xt_require(piece != NULL);
    memcpy(piece, data, size);
    size_t at = 0;
    while (!run->failed && (at < size || http->stage == XT_HTTP_READY)) {
        size_t used = 0;
        enum xt_http_event event = xt_http_parse(http, piece + at, size - at, &used);
        at += used;
        xt_require(at <= size);
        if (event == XT_HTTP_REQUEST) {
            note_request(run, &http->request);
            xt_http_done(http);
        } else if (event == XT_HTTP_CONTINUE) {
            run->continues++;
        } else if (event == XT_HTTP_ERROR) {
            run->failed = true;
            run->problem = http->problem;
        } else {
            xt_require(at == size);
        }
    }
    free(piece);
}

/* step 0: all at once. */
static struct run play(struct xt_http_shared *shared, const uint8_t *data, size_t size, size_t step)
{
    struct run run = {.digest = 0xcbf29ce484222325ULL};
    struct xt_http http;
    xt_http_open(&http, shared, true);
    for (size_t at = 0; at < size && !run.failed;) {
        size_t piece = step == 0 || step > size - at ? size - at : step;
        feed(&http, &run, data + at, piece);
        at += piece;
    }
    xt_http_close(&http);
    return run;
}

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_settings settings;
    struct xt_http_shared shared;
    xt_settings_defaults(&settings);
    xt_http_shared_open(&shared, &settings);
    struct run whole = play(&shared, data, size, 0);
    const size_t steps[] = {1, 2, 7, size / 2 + 1, size > 0 ? 1 + data[size - 1] : 1};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct run split = play(&shared, data, size, steps[i]);
        xt_require(split.requests == whole.requests && split.continues == whole.continues);
        xt_require(split.failed == whole.failed && split.digest == whole.digest);
        xt_require(!whole.failed || split.problem == whole.problem);
    }
    xt_http_shared_close(&shared); /* aborts if a request's memory was not given back */
}
