/* bench/batch_list: one list of bench/batch: what is sent of it, and whether what comes back is right.
 *
 *   the lines of batch_people, around and around --chunks of a TLS record--> socket --> answers, each checked
 *
 * Thread: one.
 */
#ifndef XT_BENCH_BATCH_LIST_H
#define XT_BENCH_BATCH_LIST_H

#include "bench/batch_people.h"
#include "bench/wire.h"

#define XT_BATCH_ANSWER_MAX 2048

/* Of all lists. */
struct xt_batch_tally {
    uint64_t answered, wrong, refused;
    const char *why; /* of the last wrong one */
};

enum xt_batch_reading {
    XT_BATCH_IN_HEAD,
    XT_BATCH_IN_SIZE,
    XT_BATCH_IN_CHUNK,
    XT_BATCH_IN_END,
    XT_BATCH_IN_TRAILER
};

struct xt_batch_list {
    const struct xt_batch_people *people;
    struct xt_batch_tally *tally;
    struct xt_wire *wire; /* its `more`: the last chunk is not sent; `finished`: the summary came */
    uint64_t first;       /* which of the people's lines is its first */
    uint64_t most;        /* lines; 0: until ended */
    uint64_t sent, answered; /* lines */
    bool ended;              /* by the caller: no line follows */
    enum xt_batch_reading reading;
    size_t matched; /* bytes of what ends a head */
    size_t chunk_left;
    size_t kept; /* bytes of a line that is not whole */
    char line[XT_BATCH_ANSWER_MAX];
};

/* The head of its request. */
XT_MUST_USE bool xt_batch_list_begin(struct xt_batch_list *list);
/* As much as the socket takes; false: the connection is gone. */
XT_MUST_USE bool xt_batch_list_send(struct xt_batch_list *list);
/* What was received; false: the connection is gone, or what came is no such answer. */
XT_MUST_USE bool xt_batch_list_take(struct xt_batch_list *list);

#endif
