/* bench/response: reads the head of an HTTP/1.1 response, strictly, over bytes of the caller.
 *
 * Takes what a correct server sends to a load generator that asked GET or POST: a status line, fields,
 * Content-Length. Anything else is malformed and therefore a finding: chunked bodies, 1xx, two
 * lengths, bare line feeds, folded lines, control characters.
 */
#ifndef XT_BENCH_RESPONSE_H
#define XT_BENCH_RESPONSE_H

#include "core/span.h"
#include "core/status.h"

#define XT_RESPONSE_HEAD_MAX 8192U        /* bytes up to and including the empty line */
#define XT_RESPONSE_BODY_MAX (1ULL << 30) /* bytes a Content-Length may announce */

struct xt_response_head {
    unsigned status;    /* 200 ... 599 */
    size_t size;        /* bytes of the head */
    uint64_t body_size; /* bytes that follow it; 0 with 204 and 304 */
    bool close;         /* no further answer comes on this connection */
    struct xt_span content_digest, signature_input, signature; /* in the input; size 0: none */
    const char *wrong; /* XT_INVALID: what is malformed, in a few words; static */
};

/* XT_AGAIN: not all there yet; XT_INVALID: malformed or too long. */
XT_MUST_USE enum xt_status xt_response_read(struct xt_span input, struct xt_response_head *head);

#endif
