#include "net/exchange.h"

#include "crypto/keyring.h"

#define ANSWER_ROOM (XT_ANSWER_HEAD_MAX + XT_SCRATCH) /* bytes any answer but a document needs */

void xt_exchange_open(struct xt_exchange *exchange, struct xt_http_shared *shared,
                      struct xt_service *service, const struct xt_routes *routes, bool tls)
{
    exchange->service = service;
    exchange->routes = routes;
    exchange->answered = 0;
    exchange->retire = false;
    exchange->tls = tls;
    memset(&exchange->peer, 0, sizeof(exchange->peer));
    xt_http_open(&exchange->http, shared, tls);
}

void xt_exchange_close(struct xt_exchange *exchange)
{
    xt_http_close(&exchange->http);
}

static void write_answer(struct xt_exchange *exchange, const struct xt_answer *answer, bool close,
                         struct xt_writer *output)
{
    struct xt_answer_form form = {.tls = exchange->tls,
                                  .close = close,
                                  .without_body = exchange->http.request.method == XT_HEAD};
    xt_answer_write(&exchange->service->head, answer, form, output);
}

static struct xt_call begin_call(struct xt_exchange *exchange)
{
    struct xt_call call = {
        .service = exchange->service, .peer = &exchange->peer, .request = &exchange->http.request};
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
    } else if (request->has_query) {
        xt_call_refuse(call, XT_PROBLEM_QUERY_NOT_PERMITTED, NULL, answer);
    } else if (request->method == XT_POST && !request->has_framing) {
        xt_call_refuse(call, XT_PROBLEM_LENGTH_REQUIRED, NULL, answer);
    } else {
        return route;
    }
    return NULL;
}

/* Answers the request that is whole. Gives false when its answer has no room yet. */
static bool answer_request(struct xt_exchange *exchange, struct xt_writer *output, bool *last)
{
    struct xt_http_request *request = &exchange->http.request;
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    const struct xt_route *route = find_route(exchange, &call, &answer);
    if (route != NULL) {
        route->handle(&call, &answer);
    }
    if (output->capacity - output->size < XT_ANSWER_HEAD_MAX + answer.body.size) {
        xt_require(output->size > 0); /* every answer fits into an empty output */
        return false; /* only a fixed document: handlers of others have their room already */
    }
    exchange->answered++;
    *last = request->close || exchange->retire ||
            exchange->answered >= exchange->service->settings->connection_requests;
    write_answer(exchange, &answer, *last, output);
    xt_http_done(&exchange->http);
    return true;
}

void xt_exchange_refuse(struct xt_exchange *exchange, enum xt_problem problem,
                        struct xt_writer *output)
{
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    xt_call_refuse(&call, problem, NULL, &answer);
    write_answer(exchange, &answer, true, output);
}

/* The client waits for leave to send its body: what can be refused by the head is refused now. */
static bool answer_expectation(struct xt_exchange *exchange, struct xt_writer *output)
{
    struct xt_call call = begin_call(exchange);
    struct xt_answer answer;
    if (find_route(exchange, &call, &answer) == NULL) {
        write_answer(exchange, &answer, true, output);
        return false;
    }
    xt_write_literal(output, "HTTP/1.1 100 Continue\r\n\r\n");
    return true;
}

enum xt_exchange_result xt_exchange_run(struct xt_exchange *exchange, const uint8_t *data,
                                        size_t size, size_t *used, struct xt_writer *output)
{
    struct xt_http *http = &exchange->http;
    *used = 0;
    while (*used < size || http->stage == XT_HTTP_READY) {
        if (output->capacity - output->size < ANSWER_ROOM) {
            return XT_EXCHANGE_FULL;
        }
        size_t taken = 0;
        bool last = false;
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
