/* net/answer: HTTP answers into the output, from prepared pieces.
 *
 *   HTTP/1.1 200 OK
 *   Content-Type, Content-Length, Date, Cache-Control, X-Content-Type-Options,
 *   Strict-Transport-Security (TLS only, RFC 6797 7.2)        always, in this order
 *   Content-Language, Retry-After, Allow where they apply
 *   Content-Digest, Signature-Input, Signature                where it is signed
 *   Connection
 */
#ifndef XT_NET_ANSWER_H
#define XT_NET_ANSWER_H

#include "core/span.h"
#include "core/status.h"

#define XT_SIGNATURE_LINES_MAX 768 /* bytes of Content-Digest, Signature-Input and Signature */
#define XT_ANSWER_HEAD_MAX (640 + XT_SIGNATURE_LINES_MAX) /* bytes of any head */

enum xt_content_type {
    XT_TYPE_NONE,
    XT_TYPE_JSON,
    XT_TYPE_PROBLEM,
    XT_TYPE_METRICS,
    XT_TYPE_LINES
};

/* A body that is made piece by piece, as the client takes it. */
#define XT_PIECE_MIN 8192 /* bytes that a writer has at least when the next piece is asked for */
struct xt_pieces {
    /* Writes as much as it likes; true: there is more, and something was written. */
    bool (*next)(struct xt_pieces *pieces, struct xt_writer *writer);
    void (*close)(struct xt_pieces *pieces); /* exactly once, also when the client has gone */
};

struct xt_answer {
    unsigned status;
    enum xt_content_type type;    /* NONE: no body */
    struct xt_span body;          /* borrowed until it is written */
    struct xt_pieces *pieces;     /* instead of a body; the exchange's from now on. NULL: none */
    struct xt_stream *stream;     /* the same, where the request's body is streamed (net/stream) */
    struct xt_deferred *deferred; /* the same, where the answer comes later (net/deferred) */
    const char *language;         /* Content-Language; NULL: none */
    uint32_t retry_after_s;       /* 0: none */
    uint32_t max_age_s;           /* may be kept for so long; 0: no-store */
    struct xt_span signature;     /* fields made by net/signature; size 0: not signed */
    uint8_t allow;                /* set of enum xt_method for Allow; 0: none */
};

/* The part that is the same in all answers of one second. */
struct xt_answer_head {
    size_t date_size;  /* of Date, which comes first */
    size_t rest_at;    /* what follows Cache-Control */
    size_t plain_size; /* without what is for TLS only */
    size_t size;
    uint8_t text[256];
};
void xt_answer_head_set_time(struct xt_answer_head *head, uint64_t unix_s);

struct xt_answer_form {
    bool tls;
    bool close;        /* the connection's last */
    bool without_body; /* to HEAD */
    bool http10;       /* pieces end with the connection instead of a last chunk */
};
void xt_answer_write(const struct xt_answer_head *head, const struct xt_answer *answer,
                     struct xt_answer_form form, struct xt_writer *writer);

#endif
