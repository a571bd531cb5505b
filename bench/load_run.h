/* bench/load_run: one run of load from its threads' start to its figures. */
#ifndef XT_BENCH_LOAD_RUN_H
#define XT_BENCH_LOAD_RUN_H

#include <netdb.h>

#include "bench/load_loop.h"
#include "bench/machine.h"

struct xt_load_second {
    unsigned second; /* of the measured time, from 0; past its end: the drain */
    uint64_t right, errors;
    uint32_t p50, p90, p99, p999, max; /* us; 0 where nothing was right */
};

struct xt_load_figures {
    uint64_t rate;    /* wanted; 0: closed loop */
    double began;     /* Unix seconds of the measured time's beginning */
    double measured;  /* seconds: the wanted duration, or less when interrupted */
    uint64_t in_time; /* right answers that came before the end */
    bool interrupted;
    bool found_wrong; /* a wrong or malformed answer, ramp and warm-up included */
    uint64_t errors[XT_LOAD_ERRORS], error_count;
    uint64_t early_errors, early_right; /* in ramp and warm-up */
    char details[XT_LOAD_ERRORS][XT_LOAD_DETAIL_MAX];
    uint64_t connections, resumed;
    uint64_t signatures; /* verified, ramp and warm-up included */
    struct xt_histogram latency, handshake;
    unsigned second_count;
    struct xt_load_second *seconds;
    uint64_t client_cpu_us; /* in the measured time, all threads */
    bool has_server;
    uint64_t server_cpu_us; /* in the measured time */
    struct xt_process_use server;
};

/* Told every second while it runs (on the calling thread). */
typedef void xt_load_watcher(void *data, const struct xt_load_figures *so_far);

struct xt_load_target {
    struct sockaddr_storage address;
    socklen_t size;
};
XT_MUST_USE enum xt_status xt_load_resolve(const struct xt_load_options *options,
                                           struct xt_load_target *target,
                                           struct xt_failure *failure);

/* One request on one connection. XT_IO: it could not be asked at all, *failure says why. A wrong answer
 * is none of its business. */
XT_MUST_USE enum xt_status xt_load_try(const struct xt_load_options *options,
                                       const struct xt_workload *workload,
                                       const struct xt_load_target *target,
                                       struct xt_failure *failure);

/* rate: 0 for a closed loop. XT_OK also when there were errors: see the figures. */
XT_MUST_USE enum xt_status
xt_load_run(const struct xt_load_options *options, const struct xt_workload *workload,
            const struct xt_load_target *target, uint64_t rate, xt_load_watcher *watcher,
            void *data, struct xt_load_figures **figures, struct xt_failure *failure);
void xt_load_figures_free(struct xt_load_figures *figures);

/* SIGINT, SIGTERM and SIGHUP end a run early from now on; a second one ends the process. */
void xt_load_watch_signals(void);
bool xt_load_interrupted(void);

#endif
