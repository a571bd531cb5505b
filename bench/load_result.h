/* bench/load_result: the result file of `xacthuc-bench load`, which report and compare read.
 *
 * JSON, "format":"xacthuc-load/1". Times are seconds or, where named _us, whole microseconds.
 *   configuration  the options in force; "scenario": its parts
 *   machine        the client's
 *   run            wanted and achieved rate, counts, errors by kind, CPU, percentiles;
 *                  "interrupted":true when it ended early
 *   seconds        [{second,right,errors,p50_us,...}]: when answers came; past the duration: the drain
 *   histogram      {"unit":"us","lowest":1,"highest":60000000,"digits":3,"count",...,
 *                   "values":[[lowest value of the bucket, count],...]}: adding the counts of equal
 *                  values merges two files without loss
 *   handshake      the same for connection and handshake, over the whole run
 *   knee           with --find-knee: the steps; `run`, `seconds` and `histogram` are then those of the
 *                  fastest step that kept the objective
 */
#ifndef XT_BENCH_LOAD_RESULT_H
#define XT_BENCH_LOAD_RESULT_H

#include "bench/load_run.h"

#define XT_LOAD_STEPS_MAX 64U

struct xt_load_step {
    uint64_t rate, achieved, errors;
    uint32_t p50, p99, p999;
    bool kept; /* the objective, and the rate, without errors */
};

struct xt_load_knee {
    unsigned count;
    struct xt_load_step steps[XT_LOAD_STEPS_MAX];
    uint64_t rate; /* the fastest that kept the objective; 0: none */
};

struct xt_load_result {
    const struct xt_load_options *options;
    const struct xt_workload *workload;
    const struct xt_machine *machine;
    const struct xt_load_figures *figures;
    const struct xt_load_knee *knee; /* NULL: without --find-knee */
};

XT_MUST_USE enum xt_status xt_load_result_write(const struct xt_load_result *result,
                                                const char *path, struct xt_failure *failure);

#endif
