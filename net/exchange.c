#include "net/exchange.h"

#include "crypto/keyring.h"
#include "net/metrics.h"
#include "net/signature.h"

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define CHUNK_HEAD 6 /* bytes: four digits and CRLF */
#define CHUNK_TAIL 7 /* bytes: CRLF, and the last chunk and its CRLF */
#define ANSWER_ROOM (XT_ANSWER_HEAD_MAX + XT_SCRATCH) /* bytes any answer but a document needs */

static bool is_streamed(const void *context, const struct xt_http_request *request)
{
    const struct xt_route *route =
        request->method == XT_POST ? xt_route_find(context, request->path) : NULL;
    return route != NULL && (route->methods & XT_STREAMED) != 0;
}

void xt_exchange_open(struct xt_exchange *exchange, struct xt_http_shared *shared,
                      struct xt_service *service, const struct xt_routes *routes, bool tls)
{
    exchange->service = service;
    exchange->routes = routes;
    exchange->answered = 0;
    exchange->turn_left = UINT32_MAX;
    exchange->retire = exchange->overloaded = exchange->awaits_log = false;
    exchange->pieces = NULL;
    exchange->stream = NULL;
    exchange->deferred = NULL;
    exchange->stream_steps = 0;
    exchange->stream_left = XT_STREAM_LINES_PER_TURN;
    exchange->wake = NULL;
    exchange->tls = tls;
    memset(&exchange->peer, 0, sizeof(exchange->peer));
    xt_http_open(&exchange->http, shared, tls);
    exchange->http.is_streamed = is_streamed;
    exchange->http.context = routes;
}

static void close_stream(struct xt_exchange *exchange)
{
    if (exchange->stream != NULL) {
        exchange->stream->wake = NULL;
        exchange->stream->kind->close(exchange->stream);
        exchange->stream = NULL;
    }
}

void xt_exchange_leave(struct xt_exchange *exchange)
{
    if (exchange->deferred != NULL) {
        xt_deferred_leave(exchange->deferred);
        exchange->deferred = NULL;
    }
}

void xt_exchange_close(struct xt_exchange *exchange)
{
    xt_exchange_leave(exchange);
    if (exchange->pieces != NULL) {
        exchange->pieces->close(exchange->pieces);
        exchange->pieces = NULL;
    }
    close_stream(exchange);
    xt_http_close(&exchange->http);
}

static bool is_logged(const struct xt_exchange *exchange)
{
    return exchange->routes->logged && exchange->service->trail != NULL;
}

/* What cannot be written down is not answered: a refusal that tells nothing stands in its place. */
static void log_answer(struct xt_exchange *exchange, struct xt_call *call, struct xt_answer *answer)
{
    if (!is_logged(exchange) || call->problem == XT_PROBLEM_NOT_LOGGED) {
        return;
    }
    if (xt_call_log(call, answer->status) == XT_OK) {
        exchange->awaits_log = true;
    } else {
        if (answer->pieces != NULL) {
            answer->pieces->close(answer->pieces);
        }
        if (answer->stream != NULL) {
            answer->stream->kind->close(answer->stream);
        }
        xt_call_refuse(call, XT_PROBLEM_NOT_LOGGED, NULL, answer);
    }
}

static void write_answer(struct xt_exchange *exchange, struct xt_call *call,
                         struct xt_answer *answer, bool close, struct xt_writer *output)
{
    if (exchange->deferred != NULL) {
        xt_metrics_count_later(call, answer->status, exchange->deferred->began_ns);
    } else {
        xt_metrics_count(call, answer->status);
    }
    struct xt_answer_form form = {.tls = exchange->tls,
                                  .close = close,
                                  .http10 = exchange->http.request.is_http10,
                                  .without_body = exchange->http.request.method == XT_HEAD};
    xt_answer_write(&exchange->service->head, answer, form, output);
}

static struct xt_call begin_call(struct xt_exchange *exchange)
{
    struct xt_call call = {
        .service = exchange->service, .peer = &exchange->peer, .request = &exchange->http.request};
    call.route = XT_ROUTE_OTHER;
    call.outcome = XT_OUTCOME_ANSWERED;
    uint8_t random[10];
    xt_random(random, sizeof(random));
    xt_answer_id_make(exchange->service->unix_ms, random, call.answer_id);
    return call;
}

/* Gives NULL where a problem or an OPTIONS answer is already in *answer. */
static const struct xt_route *find_route(struct xt_exchange *exchange, struct xt_call *call,
                                         struct xt_answer *answer)
{
    const struct xt_http_request *request = call->request;
    const struct xt_route *route = xt_route_find(exchange->routes, request->path);
    call->route = xt_route_id_of(route);
    if (request->method == XT_OPTIONS && (route != NULL || xt_span_is(request->path, "*"))) {
        *answer = (struct xt_answer){
            .status = 204, .allow = route != NULL ? route->methods : exchange->routes->methods};
        return NULL;
    }
    if (route == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_FOUND, NULL, answer);
    } else if ((request->method & route->methods) == 0) {
        xt_call_refuse(call, XT_PROBLEM_METHOD_NOT_ALLOWED, NULL, answer);
        answer->allow = route->methods;
    } else if (request->has_query && !xt_route_has_query(route)) {
        xt_call_refuse(call, XT_PROBLEM_QUERY_NOT_PERMITTED, NULL, answer);
    } else if (request->method == XT_POST && !request->has_framing) {
        xt_call_refuse(call, XT_PROBLEM_LENGTH_REQUIRED, NULL, answer);
    } else {
        return route;
    }
    return NULL;
}

/* A chunk of an answer: its content is written between the two. */
static struct xt_writer begin_chunk(const struct xt_writer *output)
{
    return xt_writer_over(output->data + output->size + CHUNK_HEAD,
                          output->capacity - output->size - CHUNK_HEAD - CHUNK_TAIL);
}

static void end_chunk(struct xt_writer *output, const struct xt_writer *piece, bool chunked)
{
    uint8_t *start = output->data + output->size;
    xt_require(!piece->overflow && piece->size <= 0xffff);
    if (!chunked) {
        memmove(start, piece->data, piece->size);
        output->size += piece->size;
    } else if (piece->size > 0) {
        static const char hex[] = "0123456789abcdef";
        const char head[CHUNK_HEAD] = {hex[piece->size >> 12],
                                       hex[piece->size >> 8 & 15],
                                       hex[piece->size >> 4 & 15],
                                       hex[piece->size & 15],
                                       '\r',
                                       '\n'};
        xt_write(output, head, sizeof(head));
        output->size += piece->size;
        xt_write_literal(output, "\r\n");
    }
}

/* Goes on with the body under way. Gives false when it is not all written. */
static bool write_pieces(struct xt_exchange *exchange, struct xt_writer *output)
{
    bool chunked = !exchange->pieces_http10, more = true;
    while (more) {
        size_t room = output->capacity - output->size;
        if (room < XT_PIECE_MIN + CHUNK_HEAD + CHUNK_TAIL) {
            return false;
        }
        struct xt_writer piece = begin_chunk(output);
        more = exchange->pieces->next(exchange->pieces, &piece);
        xt_require(piece.size > 0 || !more);
        end_chunk(output, &piece, chunked);
    }
    if (chunked) {
        xt_write_literal(output, "0\r\n\r\n");
    }
    exchange->pieces->close(exchange->pieces);
    exchange->pieces = NULL;
    xt_http_done(&exchange->http);
    return true;
}

/* The same, and what the answer is to be signed with. */
static const struct xt_route *admit(struct xt_exchange *exchange, struct xt_call *call,
                                    bool has_early_digest, struct xt_signing *signing,
                                    struct xt_answer *answer)
{
    enum xt_problem problem =
        exchange->tls ? xt_signature_read(call->request, call->service->answer_keys, signing)
                      : XT_PROBLEM_NONE;
    if (problem == XT_PROBLEM_NONE && has_early_digest) {
        problem =
            XT_PROBLEM_BAD_CONTENT_DIGEST; /* when it could be checked, all lines are applied */
    }
    if (problem == XT_PROBLEM_NONE && exchange->http.streamed && signing->wanted) {
        problem = XT_PROBLEM_SIGNATURE_NOT_POSSIBLE; /* its digest is not known when it begins */
    }
    if (problem != XT_PROBLEM_NONE) {
        xt_call_refuse(call, problem, NULL, answer);
        return NULL;
    }
    return find_route(exchange, call, answer);
}

/* A signature costs many times the work of a refusal, so only partners get them, and what is no answer of
 * their rate takes another request's worth of it: who is over his rate gets no signed refusals either. */
static bool may_have_signature(const struct xt_exchange *exchange, const struct xt_call *call)
{
    const struct xt_service *service = exchange->service;
    const struct xt_peer *peer = &exchange->peer;
    const struct xt_partner *partner = peer->has_certificate && service->partners != NULL
                                           ? xt_partners_by_spki(service->partners, peer->spki)
                                           : NULL;
    if (partner == NULL || !partner->active || peer->refused ||
        (int64_t)(service->unix_ms / 1000) > peer->not_after) {
        return false;
    }
    if (call->problem == XT_PROBLEM_NONE && call->allowance != NULL) {
        return true;
    }
    if (service->rates == NULL) {
        return true; /* nothing is shared, so there are no limits */
    }
    const struct xt_allowance *allowance = xt_rates_of(service->rates, partner);
    uint64_t wait_ms;
    return xt_rate_take(allowance->word, &allowance->rate, service->monotonic_ns, &wait_ms);
}

/* Signs the answer where the request or the partner's rights ask for it. A signature takes the place of
 * several answers in this turn, so that who wants them does not make others wait. */
static void sign_answer(struct xt_exchange *exchange, const struct xt_call *call,
                        struct xt_signing *signing, struct xt_answer *answer)
{
    struct xt_service *service = exchange->service;
    const struct xt_answer_keys *keys = service->answer_keys;
    if (!signing->wanted && keys != NULL && call->allowance != NULL &&
        (call->allowance->partner->rights & XT_RIGHT_SIGNED) != 0) {
        xt_signature_by_right(call->request, signing);
    }
    if (!signing->wanted || !may_have_signature(exchange, call)) {
        return;
    }
    /* What HEAD is answered with has no content (RFC 9530 section 2, RFC 9110 section 9.3.2). */
    struct xt_span body = call->request->method == XT_HEAD ? xt_span_of(NULL, 0) : answer->body;
    struct xt_writer lines = xt_writer_over(service->signature, sizeof(service->signature));
    xt_signature_write(keys, signing, call->request, answer->status, body, service->unix_ms / 1000,
                       &lines);
    answer->signature = xt_written(&lines);
    uint32_t more = XT_SIGNATURE_REQUESTS - 1; /* the answer itself is counted with all others */
    exchange->turn_left -= exchange->turn_left > more ? more : exchange->turn_left - 1;
}

static void begin_stream(struct xt_exchange *exchange, struct xt_stream *stream, bool last)
{
    exchange->stream = stream;
    stream->wake = exchange->wake;
    stream->context = exchange->wake_context;
    exchange->pieces_http10 = exchange->http.request.is_http10;
    exchange->pieces_last = last || exchange->pieces_http10;
}

/* From the answer on: what all requests have in common. *last: it is the connection's. */
static void end_request(struct xt_exchange *exchange, struct xt_call *call,
                        struct xt_signing *signing, struct xt_answer *answer,
                        struct xt_writer *output, bool *last)
{
    const struct xt_http_request *request = &exchange->http.request;
    if (answer->stream == NULL) {
        sign_answer(exchange, call, signing, answer);
    }
    log_answer(exchange, call, answer);
    exchange->answered++;
    exchange->turn_left--;
    bool unread = exchange->http.stage != XT_HTTP_READY && answer->stream == NULL;
    *last = unread || request->close || exchange->retire ||
            (answer->pieces != NULL && request->is_http10) ||
            exchange->answered >= exchange->service->settings->connection_requests;
    if (exchange->http.expects && answer->stream != NULL) {
        exchange->http.expects = false;
        xt_write_literal(output, CONTINUE);
    }
    write_answer(exchange, call, answer, *last, output);
    if (answer->stream != NULL) {
        begin_stream(exchange, answer->stream, *last);
        *last = false;
        return;
    }
    if (unread) {
        return;
    }
    if (answer->pieces != NULL && request->method == XT_HEAD) {
        answer->pieces->close(answer->pieces);
    } else if (answer->pieces != NULL) { /* the request stays READY until all of it is written */
        exchange->pieces = answer->pieces;
        exchange->pieces_http10 = request->is_http10;
        exchange->pieces_last = *last;
        *last = false;
        return;
    }
    xt_http_done(&exchange->http);
}

/* Its answer comes later. The request stays READY until then, so that nothing behind it is looked at. */
static void begin_deferred(struct xt_exchange *exchange, const struct xt_signing *signing,
                           struct xt_deferred *deferred)
{
    struct xt_http_request *request = &exchange->http.request;
    exchange->deferred = deferred;
    deferred->signing = *signing;
    deferred->wake = exchange->wake;
    deferred->context = exchange->wake_context;
    xt_wipe(request->body, request->body_size);
}

static void answer_deferred(struct xt_exchange *exchange, struct xt_writer *output, bool *last)
{
    struct xt_deferred *deferred = exchange->deferred;
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    xt_deferred_finish(deferred, &call, &answer);
    end_request(exchange, &call, &deferred->signing, &answer, output, last);
    exchange->deferred = NULL;
    xt_deferred_end(deferred);
}

/* Answers the request that is whole, or whose head is and whose body is streamed. Gives false when its answer has no room yet. */
static bool answer_request(struct xt_exchange *exchange, struct xt_writer *output, bool *last)
{
    struct xt_http_request *request = &exchange->http.request;
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    struct xt_signing signing = {0};
    const struct xt_route *route = NULL;
    bool has_early_digest = exchange->http.streamed && request->content_digest.size > 0;
    if (exchange->http.streamed) { /* a body that has not come yet has no digest */
        request->content_digest = xt_span_of(NULL, 0);
    }
    if (is_logged(exchange) && !xt_audit_trail_can(exchange->service->trail)) {
        xt_call_refuse(&call, XT_PROBLEM_NOT_LOGGED, NULL, &answer);
    } else if (exchange->overloaded) { /* the cheap way out: whoever waits behind it waits less */
        xt_call_refuse(&call, XT_PROBLEM_OVERLOADED, NULL, &answer);
    } else {
        route = admit(exchange, &call, has_early_digest, &signing, &answer);
    }
    if (route != NULL && output->size > 0 &&
        output->capacity - output->size < XT_ANSWER_HEAD_MAX + xt_route_room(route)) {
        return false; /* once only: it takes of the partner's rate */
    }
    if (route != NULL) {
        route->handle(&call, &answer);
    }
    if (output->capacity - output->size < XT_ANSWER_HEAD_MAX + answer.body.size) {
        xt_require(output->size > 0); /* every answer fits into an empty output */
        return false; /* only a fixed document: handlers of others have their room already */
    }
    if (answer.deferred != NULL) {
        begin_deferred(exchange, &signing, answer.deferred);
    } else {
        end_request(exchange, &call, &signing, &answer, output, last);
    }
    return true;
}

void xt_exchange_refuse(struct xt_exchange *exchange, enum xt_problem problem,
                        struct xt_writer *output)
{
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    xt_call_refuse(&call, problem, NULL, &answer);
    log_answer(exchange, &call, &answer);
    write_answer(exchange, &call, &answer, true, output);
}

/* The client waits for leave to send its body: what can be refused by the head is refused now. */
static bool answer_expectation(struct xt_exchange *exchange, struct xt_writer *output)
{
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    if (find_route(exchange, &call, &answer) == NULL) {
        log_answer(exchange, &call, &answer);
        write_answer(exchange, &call, &answer, true, output);
        return false;
    }
    xt_write_literal(output, CONTINUE);
    return true;
}

bool xt_exchange_give_up(struct xt_exchange *exchange)
{
    if (exchange->deferred != NULL) {
        exchange->deferred->late = true;
        return true;
    }
    return exchange->stream != NULL && exchange->stream->kind->give_up(exchange->stream);
}

/* ---- streams ---------------------------------------------------------------------------------- */

/* Gives false when there is more to write than room. */
static bool write_due(struct xt_exchange *exchange, struct xt_writer *output)
{
    struct xt_stream *stream = exchange->stream;
    while (stream->kind->is_due(stream)) {
        if (output->capacity - output->size < ANSWER_ROOM) {
            return false;
        }
        struct xt_writer piece = begin_chunk(output);
        while (stream->kind->is_due(stream) &&
               piece.capacity - piece.size >= XT_STREAM_ANSWER_MAX) {
            stream->kind->write(stream, &piece);
            stream->no_room = false;
            exchange->stream_steps++;
        }
        exchange->awaits_log = exchange->awaits_log || is_logged(exchange);
        end_chunk(output, &piece, !exchange->pieces_http10);
    }
    return true;
}

static enum xt_exchange_result end_stream(struct xt_exchange *exchange, bool unread,
                                          struct xt_writer *output)
{
    struct xt_writer piece = begin_chunk(output);
    exchange->stream->kind->summarize(exchange->stream, unread, &piece);
    end_chunk(output, &piece, !exchange->pieces_http10);
    if (!exchange->pieces_http10) {
        xt_write_literal(output, "0\r\n\r\n");
    }
    close_stream(exchange);
    if (exchange->pieces_last || unread) {
        return XT_EXCHANGE_LAST;
    }
    xt_http_done(&exchange->http);
    return XT_EXCHANGE_MORE;
}

/* Goes on with the stream until it ends, waits, or has had its turn. With XT_EXCHANGE_MORE all input is
 * used, or it has ended. */
static enum xt_exchange_result run_stream(struct xt_exchange *exchange, const uint8_t *data,
                                          size_t size, size_t *used, struct xt_writer *output)
{
    struct xt_http *http = &exchange->http;
    struct xt_stream *stream = exchange->stream;
    if (exchange->stream_left == 0) { /* nobody counts turns */
        exchange->stream_left = XT_STREAM_LINES_PER_TURN;
    }
    stream->kind->work(stream);
    for (;;) {
        if (!write_due(exchange, output)) {
            return XT_EXCHANGE_FULL;
        }
        bool whole = http->stage == XT_HTTP_READY;
        unsigned taken = 0;
        if (!stream->no_room && !exchange->retire && !stream->over) {
            uint64_t blank = stream->blank;
            size_t fed = xt_stream_feed(stream, http->request.body, http->request.body_size, whole,
                                        http->request.body_size == http->body_capacity,
                                        exchange->stream_left, &taken);
            exchange->stream_left -= taken;
            /* What asks nothing keeps no connection. */
            exchange->stream_steps += taken - (uint32_t)(stream->blank - blank);
            stream->kind->work(stream);
            xt_http_take(http, fed); /* its lines are still there while they are worked on */
        }
        bool ended = (whole && http->request.body_size == 0) || exchange->retire || stream->over;
        if (stream->kind->is_due(stream)) {
            continue;
        }
        if (ended && !stream->kind->is_busy(stream)) {
            if (output->capacity - output->size < ANSWER_ROOM) {
                return XT_EXCHANGE_FULL;
            }
            return end_stream(exchange, !whole || http->request.body_size > 0, output);
        }
        if (ended || stream->no_room) {
            return XT_EXCHANGE_WAIT;
        }
        if (exchange->stream_left == 0) {
            return XT_EXCHANGE_TURN;
        }
        if (*used == size) {
            return XT_EXCHANGE_MORE;
        }
        size_t read = 0;
        enum xt_http_event event = xt_http_parse(http, data + *used, size - *used, &read);
        *used += read;
        if (event == XT_HTTP_ERROR) { /* nothing can be said in the middle of an answer */
            return XT_EXCHANGE_LAST;
        }
    }
}

enum xt_exchange_result xt_exchange_run(struct xt_exchange *exchange, const uint8_t *data,
                                        size_t size, size_t *used, struct xt_writer *output)
{
    struct xt_http *http = &exchange->http;
    *used = 0;
    while (*used < size || http->stage == XT_HTTP_READY || exchange->stream != NULL) {
        if (output->capacity - output->size < ANSWER_ROOM) {
            return XT_EXCHANGE_FULL;
        }
        if (exchange->pieces != NULL) {
            if (!write_pieces(exchange, output)) {
                return XT_EXCHANGE_FULL;
            }
            if (exchange->pieces_last) {
                return XT_EXCHANGE_LAST;
            }
            continue;
        }
        if (exchange->stream != NULL) {
            enum xt_exchange_result result = run_stream(exchange, data, size, used, output);
            if (result != XT_EXCHANGE_MORE || exchange->stream != NULL) {
                return result;
            }
            continue;
        }
        if (exchange->deferred != NULL && !exchange->deferred->ready && !exchange->deferred->late) {
            return XT_EXCHANGE_WAIT;
        }
        if (exchange->turn_left == 0) {
            return XT_EXCHANGE_TURN;
        }
        size_t taken = 0;
        bool last = false;
        if (exchange->deferred != NULL) {
            if (output->size > 0 &&
                output->capacity - output->size < XT_ANSWER_HEAD_MAX + exchange->deferred->room) {
                return XT_EXCHANGE_FULL;
            }
            answer_deferred(exchange, output, &last);
            if (last) {
                return XT_EXCHANGE_LAST;
            }
            continue;
        }
        enum xt_http_event event = xt_http_parse(http, data + *used, size - *used, &taken);
        *used += taken;
        switch (event) {
        case XT_HTTP_MORE:
            break;
        case XT_HTTP_REQUEST:
            if (!answer_request(exchange, output, &last)) {
                return XT_EXCHANGE_FULL;
            }
            break;
        case XT_HTTP_OPENED:
            if (!answer_request(exchange, output, &last)) {
                return XT_EXCHANGE_FULL;
            }
            break;
        case XT_HTTP_WINDOW: /* of a stream: it is run above */
            break;
        case XT_HTTP_CONTINUE:
            last = !answer_expectation(exchange, output);
            break;
        case XT_HTTP_ERROR:
            xt_exchange_refuse(exchange, http->problem, output);
            last = true;
            break;
        }
        xt_require(!output->overflow);
        if (last) {
            return XT_EXCHANGE_LAST;
        }
    }
    return XT_EXCHANGE_MORE;
}
