/* bench/wire: a connection over TLS to a server at 127.0.0.1, and requests over it one at a time.
 *
 *   open -> send, flush -> receive -> read                  streams of lines; bench/crowd drives many of them
 *                               \---> answer                one request at a time, without waiting
 *        -> ask                                             the same, waiting for the answer
 *
 * bench/load has connections of its own (bench/load_connection): they are opened without waiting, take several
 * requests at a time, and may be without TLS.
 *
 * A zeroed one is closed. Thread: one at a time.
 */
#ifndef XT_BENCH_WIRE_H
#define XT_BENCH_WIRE_H

#include "bench/response.h"
#include "crypto/tls.h"

#define XT_WIRE_INPUT 65536U /* bytes of ciphertext that one read takes */
#define XT_WIRE_TEXT 16384U  /* bytes of an answer to one request; its body has at most half */

struct xt_wire {
    int fd; /* 0: none */
    struct xt_tls *tls;
    bool more;     /* there is something to send besides what is pending (bench/crowd) */
    bool finished; /* nothing more is expected from it (bench/crowd) */
    size_t text_size;
    uint8_t text[XT_WIRE_TEXT]; /* an answer so far */
    uint8_t input[XT_WIRE_INPUT];
};

/* Waits for the connection and the handshake, and is opened or to be closed all the same. limit_s: seconds that
 * anything waits for the server, 0: for ever. XT_IO: why is in xt_tls_error, or else in errno. */
XT_MUST_USE enum xt_status xt_wire_open(struct xt_wire *wire, uint16_t port,
                                        struct xt_tls_context *context, unsigned limit_s);
void xt_wire_close(struct xt_wire *wire);

/* Sends what is pending: all of it, or what the socket takes now. false: the connection is gone. */
XT_MUST_USE bool xt_wire_flush(struct xt_wire *wire, bool wait);
/* Sends this as well. */
XT_MUST_USE bool xt_wire_send(struct xt_wire *wire, struct xt_span plain, bool wait);

/* Takes what has come. XT_AGAIN: nothing, when it does not wait; XT_CLOSED: the connection is gone, with errno. */
XT_MUST_USE enum xt_status xt_wire_receive(struct xt_wire *wire, bool wait);
/* Of what was received, in clear: until XT_AGAIN, before anything more is received. */
XT_MUST_USE enum xt_status xt_wire_read(struct xt_wire *wire, uint8_t *data, size_t size,
                                        size_t *got);

#define XT_WIRE_JSON "application/json"
/* POST of this body, or GET where body.data is NULL, written into room; too little room aborts. */
struct xt_span xt_wire_request(const char *target, const char *type, struct xt_span body,
                               uint8_t *room, size_t size);
/* The answer to the one request under way; head and body are borrowed until the next call. XT_AGAIN: it is not
 * whole. An answer after which the server closes is an error. */
XT_MUST_USE enum xt_status xt_wire_answer(struct xt_wire *wire, struct xt_response_head *head);
static inline struct xt_span xt_wire_body(const struct xt_wire *wire,
                                          const struct xt_response_head *head)
{
    return xt_span_of(wire->text + head->size, (size_t)head->body_size);
}
/* Sends a request and waits for its answer. */
XT_MUST_USE enum xt_status xt_wire_ask(struct xt_wire *wire, struct xt_span request,
                                       struct xt_response_head *head);

#endif
