/* bench/load_internal: what load_loop.c (schedule, counting) and load_connection.c (socket, TLS, HTTP)
 * share. Private to these two.
 *
 *   CLOSED --open--> CONNECTING --TCP--> SHAKING --TLS--> OPEN --any end--> CLOSED
 *
 * A connection is in the loop's list of those with room when it can take a request: keep-alive, when
 * it is OPEN with less than `pipeline` under way; else, when it is CLOSED (taking one opens it).
 */
#ifndef XT_BENCH_LOAD_INTERNAL_H
#define XT_BENCH_LOAD_INTERNAL_H

#include "bench/load_loop.h"

#define XT_LOAD_INPUT_MAX (32U << 10)  /* plaintext of answers not yet consumed, a connection */
#define XT_LOAD_SCRATCH (16U << 10)    /* ciphertext of one read */
#define XT_LOAD_OUTPUT_MAX (48U << 10) /* waiting to be sent; then a connection takes no more */
#define XT_LOAD_TICK_NS 100000000ULL   /* timeouts, reconnects, the queue's bound */
#define XT_LOAD_RETRY_NS 100000000ULL  /* after a failed connection */

struct xt_load_flight {
    const struct xt_workload_request *request;
    uint64_t due, sent;
};

enum xt_load_state { XT_LOAD_IDLE, XT_LOAD_CONNECTING, XT_LOAD_SHAKING, XT_LOAD_OPEN };

struct xt_load_connection {
    enum xt_load_state state;
    int socket;
    bool in_room, dirty, wants_write;
    unsigned index;
    struct xt_load_connection *previous, *next; /* in the list of those with room */
    uint64_t since;                             /* connect() */
    uint64_t retry_at;
    uint64_t skip;     /* bytes of a body that nobody looks at, still to come */
    unsigned status;   /* of the answer whose body that is */
    bool closing;      /* the server said so: this answer is the last */
    bool has_answered; /* at least one request since it was opened */
    struct xt_tls *tls;
    unsigned first, flying, unsent; /* a ring in flights; the last `unsent` are not written yet */
    struct xt_load_flight *flights;
    uint8_t *input;
    size_t input_size;
    uint8_t *output; /* plain HTTP only */
    size_t output_begin, output_end;
};

struct xt_load_loop {
    struct xt_load_shared *shared;
    struct xt_load_loop_result *result;
    unsigned index;
    int epoll;
    struct xt_tls_context *tls;
    uint64_t now; /* looked at once a turn and after each read */

    unsigned connection_count;
    struct xt_load_connection *connections;
    struct xt_load_connection *room_first, *room_last;
    unsigned dirty_count;
    struct xt_load_connection **dirty;
    unsigned flying; /* over all connections */

    uint64_t issued;   /* of this thread's schedule */
    uint64_t next_due; /* of number `issued` */
    unsigned cursor;   /* into the workload */
    unsigned judged;   /* answers whose signatures were looked at */
    unsigned retry_count;
    struct xt_load_flight *retries; /* due again: the server closed without looking at them */

    unsigned second; /* being counted */
    struct xt_load_tally tally;
    uint8_t scratch[XT_LOAD_SCRATCH];
};

/* load_connection.c */
void xt_load_open(struct xt_load_loop *loop, struct xt_load_connection *connection);
/* Takes a request; it leaves with the next xt_load_flush. */
void xt_load_take(struct xt_load_loop *loop, struct xt_load_connection *connection,
                  struct xt_load_flight flight);
void xt_load_flush(struct xt_load_loop *loop, struct xt_load_connection *connection);
void xt_load_event(struct xt_load_loop *loop, struct xt_load_connection *connection,
                   uint32_t events);
/* Ends it; what was under way failed with this error. detail: NULL, or a few words. */
void xt_load_fail(struct xt_load_loop *loop, struct xt_load_connection *connection,
                  enum xt_load_error error, const char *detail);
void xt_load_release(struct xt_load_connection *connection);

/* load_loop.c */
void xt_load_count_right(struct xt_load_loop *loop, const struct xt_load_flight *flight);
void xt_load_count_error(struct xt_load_loop *loop, enum xt_load_error error, uint64_t count,
                         const char *detail);
/* In or out of the list of those with room, as its state says. */
void xt_load_update_room(struct xt_load_loop *loop, struct xt_load_connection *connection);
void xt_load_retry(struct xt_load_loop *loop, struct xt_load_flight flight);

#endif
