/* bench/batch_options: the command line of `xacthuc-bench batch`. */
#ifndef XT_BENCH_BATCH_OPTIONS_H
#define XT_BENCH_BATCH_OPTIONS_H

#include "bench/crowd.h"

#define XT_BATCH_CONNECTIONS_MAX 64

struct xt_batch_options {
    struct xt_crowd_options server;
    uint64_t seed, count, lines, total, probe_us, pid;
    unsigned partners; /* lists go round by them */
};

/* -1: go on; else the exit status. */
int xt_batch_options_parse(int argc, char **argv, struct xt_batch_options *options);

#endif
