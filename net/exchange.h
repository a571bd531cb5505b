/* net/exchange: the requests of one connection, answered one after the other in order.
 *
 *   plaintext in -> [ http: parse ] -> [ route, handler ] -> [ answer ] -> plaintext out
 *
 * No socket, no TLS, no timer: tests drive it with bytes. It stops when the output has no room for
 * another answer, and goes on when it is called with an empty one; and it stops after the answers that
 * one turn of the loop has for it, so that a client with many requests under way is not alone.
 */
#ifndef XT_NET_EXCHANGE_H
#define XT_NET_EXCHANGE_H

#include "net/deferred.h"
#include "net/http.h"
#include "net/route.h"
#include "net/service.h"
#include "net/stream.h"

/* Bytes an output must hold; TLS has room for them and for what it adds. */
#define XT_OUTPUT_MAX 61440

struct xt_exchange {
    struct xt_http http;
    struct xt_service *service;
    const struct xt_routes *routes;
    struct xt_peer peer;
    bool tls;
    uint32_t answered;  /* requests so far */
    uint32_t turn_left; /* requests that it may still answer in this turn; the caller sets it */
    bool retire;        /* the next answer is the last (drain, age of the connection) */
    bool awaits_log; /* there are answers whose entries are not written yet: the caller clears it */
    bool overloaded; /* requests are answered 503 without looking at them (this turn is long) */
    struct xt_pieces *pieces; /* of the answer under way; NULL: none */
    bool pieces_http10, pieces_last;
    struct xt_stream *stream;     /* of the request under way; NULL: none */
    struct xt_deferred *deferred; /* the same */
    uint32_t stream_steps;        /* lines taken and answers written, of all of them */
    uint32_t stream_left;        /* lines that it may still take in this turn; the caller sets it */
    void (*wake)(void *context); /* a stream or a deferred has something for us: run it */
    void *wake_context;
};

void xt_exchange_open(struct xt_exchange *exchange, struct xt_http_shared *shared,
                      struct xt_service *service, const struct xt_routes *routes, bool tls);
void xt_exchange_close(struct xt_exchange *exchange);
/* Its client has gone: whatever is not answered yet will not be. */
void xt_exchange_leave(struct xt_exchange *exchange);

enum xt_exchange_result {
    XT_EXCHANGE_MORE, /* all input is used */
    XT_EXCHANGE_FULL, /* no room in the output; input may be left: call again once it is empty */
    XT_EXCHANGE_TURN, /* turn_left is 0 and input is left: others first */
    XT_EXCHANGE_WAIT, /* a stream takes no more, or an answer is not there, until it wakes; input may be
                       * left: read nothing */
    XT_EXCHANGE_LAST /* the last answer is written: send it and close; the rest is not read */
};

XT_MUST_USE enum xt_exchange_result xt_exchange_run(struct xt_exchange *exchange,
                                                    const uint8_t *data, size_t size, size_t *used,
                                                    struct xt_writer *output);

/* A stream has not moved, or an answer has been waited for, too long; false: it waits for its client. */
XT_MUST_USE bool xt_exchange_give_up(struct xt_exchange *exchange);

/* Writes the one answer to a request that did not arrive in time or cannot be taken now. */
void xt_exchange_refuse(struct xt_exchange *exchange, enum xt_problem problem,
                        struct xt_writer *output);

#endif
