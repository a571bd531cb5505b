/* bench/standard: the standard set: the same measurements of every version, for `compare`.
 *
 *   instructions of gen and import (valgrind), twice
 *   round 1 ... R:  reference of the machine -> a new deployment -> serve, on one core
 *                   -> the runs in turns, from the other core -> idle -> stop
 *
 * Whole rounds are repeated, not single runs longer: a drift of the machine then hits all runs alike,
 * and every round has a process, memory layout, keys and store of its own, which is where much of the
 * variation between equal programs comes from (Mytkowicz et al. 2009; Kalibera & Jones 2013). A round
 * gives one value of each measure. Many short rounds say more than few long ones.
 *
 * The file, JSON, "format":"xacthuc-standard/1" (no path, name or address of the machine in it):
 *   commit, date (UTC), program, command
 *   settings       what must be alike in two sets to compare them; effort: rounds and seconds
 *   machine        of client and server: one machine
 *   not_available  {measure: why}
 *   measures       {name: {unit, kind, better, values: [one a round]}}; kinds: bench/compare.h
 *   runs           {name: {configuration, measures, rounds: [[[right, errors, p50_us, p90_us, p99_us,
 *                  p99.9_us, max_us] of each second] of each round]}}
 */
#ifndef XT_BENCH_STANDARD_H
#define XT_BENCH_STANDARD_H

#include "bench/compare.h"
#include "bench/machine.h"
#include "bench/process.h"

#define XT_STANDARD_RUNS 6U
#define XT_STANDARD_ROUNDS_MAX 64U
#define XT_STANDARD_SECONDS_MAX 600U
#define XT_STANDARD_COUNT_MAX 10000000U
#define XT_STANDARD_SEED "1"
#define XT_STANDARD_REQUESTS "50000"
#define XT_STANDARD_MEASURES_MAX 24U
#define XT_STANDARD_PATH_MAX 512

struct xt_standard_options {
    const char *program; /* xacthuc */
    const char *out;
    const char *commit; /* "" : not told */
    unsigned rounds, seconds;
    uint64_t count;
    uint64_t rates[2]; /* of the two open loops, a second */
    bool quiet;
};

struct xt_standard_measure {
    const char *name, *unit;
    enum xt_compare_kind kind;
    bool more_is_better;
    unsigned count;
    double values[XT_STANDARD_ROUNDS_MAX];
};

struct xt_standard_measures {
    unsigned count;
    struct xt_standard_measure list[XT_STANDARD_MEASURES_MAX];
};

/* One second of one run; what came after the last whole second is not kept. */
struct xt_standard_second {
    uint64_t right, errors;
    uint32_t p50, p90, p99, p999, max;
};

struct xt_standard_run {
    const char *name;
    uint64_t rate; /* 0: closed loop */
    unsigned connections, pipeline;
    enum xt_load_handshake handshake;
    struct xt_standard_measures measures;
    struct xt_standard_second *seconds; /* [rounds][seconds] */
};

struct xt_standard {
    const struct xt_standard_options *options;
    struct xt_machine machine;
    char date[32];
    int server_core, client_core;      /* the same where there is only one */
    char folder[XT_STANDARD_PATH_MAX]; /* temporary */
    char bench_program[XT_STANDARD_PATH_MAX];
    char no_counters[160], no_valgrind[160]; /* why; "" : there are */
    bool no_memory;                          /* it may not be looked at */
    unsigned rounds_done;
    uint64_t errors;
    char first_error[256]; /* "keep_alive: timeout: ..." */
    struct xt_standard_measures measures;
    struct xt_standard_run runs[XT_STANDARD_RUNS];
};

/* Appends a value to the measure of that name, which is made when it is the first. */
void xt_standard_add(struct xt_standard_measures *measures, const char *name, const char *unit,
                     enum xt_compare_kind kind, bool more_is_better, double value);

/* ---- one deployment (standard_deployment.c) ---- */

struct xt_standard_server {
    struct xt_process process;
    unsigned port;
    char certificate[XT_STANDARD_PATH_MAX], key[XT_STANDARD_PATH_MAX],
        authority[XT_STANDARD_PATH_MAX];
};

/* Makes people, imports them (both measured), adds a partner, serves. */
XT_MUST_USE enum xt_status xt_standard_deploy(struct xt_standard *set, unsigned round,
                                              struct xt_standard_server *server,
                                              struct xt_failure *failure);
/* SIGTERM; XT_IO unless it ended by itself with exit status 0. Removes the round's folder. */
XT_MUST_USE enum xt_status xt_standard_undeploy(struct xt_standard *set, unsigned round,
                                                struct xt_standard_server *server,
                                                struct xt_failure *failure);
/* Instructions of gen and import under valgrind, where it is installed. */
XT_MUST_USE enum xt_status xt_standard_instructions(struct xt_standard *set,
                                                    struct xt_failure *failure);
/* Read-only files and folders as well; fine when there is nothing. */
void xt_standard_remove(const char *folder);

/* ---- what is measured on it (standard_runs.c) ---- */

void xt_standard_runs_init(struct xt_standard *set);
XT_MUST_USE enum xt_status xt_standard_run_all(struct xt_standard *set, unsigned round,
                                               const struct xt_standard_server *server,
                                               struct xt_failure *failure);

/* ---- the machine (standard_reference.c) ---- */

/* On the server's core, before it is there: what the machine gives at this moment. */
void xt_standard_reference(struct xt_standard *set);
/* To one core; false: it is not ours. */
bool xt_standard_pin(int core);

/* ---- the file (standard_write.c) ---- */

XT_MUST_USE enum xt_status xt_standard_write(const struct xt_standard *set,
                                             struct xt_failure *failure);

#endif
