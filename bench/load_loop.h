/* bench/load_loop: one thread of load: an epoll loop, its connections, its share of the schedule.
 *
 *   time  start        measure                          end            end + drain
 *     ----|--- ramp ---|-- warm-up --|==== measured ====|--- drain ----|
 *   sends |<-------------------------------------------->|  only what was due before the end
 *
 * Open loop: request n is due at a time that follows from n, the rate and the ramp alone. What is due
 * while every connection is busy waits; waiting is the distance between the schedule and what was
 * sent, so the queue costs no memory and its time counts. Closed loop: due when sent.
 * What is counted: right answers with their latency, in the second they came; errors by kind.
 *
 * Thread: everything in struct xt_load_loop belongs to its thread; struct xt_load_shared is read
 *         only but for what says otherwise.
 */
#ifndef XT_BENCH_LOAD_LOOP_H
#define XT_BENCH_LOAD_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "bench/histogram.h"
#include "bench/workload.h"
#include "crypto/tls.h"

#define XT_LOAD_DRAIN_NS 2000000000ULL /* for answers that are still under way at the end */
#define XT_LOAD_SECOND_NS 1000000000ULL
#define XT_LOAD_DETAIL_MAX 160

enum xt_load_error {
    XT_LOAD_CONNECT,    /* no connection */
    XT_LOAD_HANDSHAKE,  /* TLS refused, by either side */
    XT_LOAD_TIMEOUT,    /* no answer in time */
    XT_LOAD_CLOSED,     /* the server ended the connection before it answered */
    XT_LOAD_STATUS,     /* another status than the right one */
    XT_LOAD_MALFORMED,  /* no HTTP, or no answer to a verify request */
    XT_LOAD_VERDICT,    /* a well-formed wrong answer */
    XT_LOAD_DROPPED,    /* waited longest when the queue was full: never sent */
    XT_LOAD_UNFINISHED, /* due before the end, not answered when the drain was over */
    XT_LOAD_ERRORS
};
const char *xt_load_error_name(enum xt_load_error error);

/* What happened in one second. */
struct xt_load_tally {
    uint64_t errors[XT_LOAD_ERRORS];
    uint64_t in_time;            /* right answers that came before the end */
    struct xt_histogram latency; /* of right answers; its count is theirs */
};

struct xt_load_shared {
    const struct xt_load_options *options;
    const struct xt_workload *workload;
    struct sockaddr_storage address;
    socklen_t address_size;
    uint64_t rate; /* 0: closed loop */
    bool once;     /* end after the first outcome: the try-out before a run */
    unsigned threads;

    _Atomic uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC; start: 0 until all are connected */
    uint64_t measure_ns;               /* set before start_ns */
    _Atomic unsigned ready;            /* threads whose connections stand or failed once */
    _Atomic unsigned finished;         /* threads that have ended */

    pthread_mutex_t mutex;          /* for what follows */
    unsigned second_count;          /* room in seconds */
    struct xt_load_tally **seconds; /* allocated when first published; taken by the reader */
    char details[XT_LOAD_ERRORS][XT_LOAD_DETAIL_MAX]; /* the first of each kind */
};

/* What one thread gives back besides the seconds. Read it after joining, `published` always. */
struct xt_load_loop_result {
    _Atomic unsigned published;     /* seconds before this one are complete */
    struct xt_histogram handshake;  /* us from connect() to an established connection */
    uint64_t connections, resumed;  /* established; of these, by a ticket */
    uint64_t early[XT_LOAD_ERRORS]; /* before the measured time */
    uint64_t early_right;
    uint64_t signatures; /* verified, over the whole run */
    bool failed;
    struct xt_failure failure; /* of setting up, when failed */
};

struct xt_load_thread {
    pthread_t id;
    struct xt_load_shared *shared;
    unsigned index;
    struct xt_load_loop_result result;
};

/* pthread_create's function; argument: struct xt_load_thread. */
void *xt_load_loop_run(void *argument);

#endif
