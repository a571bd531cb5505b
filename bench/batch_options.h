/* bench/batch_options: the command line of `xacthuc-bench batch`. */
#ifndef XT_BENCH_BATCH_OPTIONS_H
#define XT_BENCH_BATCH_OPTIONS_H

#include <stdint.h>

#define XT_BATCH_CONNECTIONS_MAX 64
#define XT_BATCH_PARTNERS_MAX 2

struct xt_batch_options {
    uint64_t port, seed, count, connections, lines, total, seconds, probe_us, server;
    const char *certificates[XT_BATCH_PARTNERS_MAX], *keys[XT_BATCH_PARTNERS_MAX];
    unsigned partners; /* lists go round by them */
    const char *authority;
};

/* -1: go on; else the exit status. */
int xt_batch_options_parse(int argc, char **argv, struct xt_batch_options *options);

#endif
