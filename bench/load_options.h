/* bench/load_options: what `xacthuc-bench load` is told, and the bounds of all of it. */
#ifndef XT_BENCH_LOAD_OPTIONS_H
#define XT_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define XT_LOAD_CONNECTIONS_MAX 20000U
#define XT_LOAD_THREADS_MAX 64U
#define XT_LOAD_PIPELINE_MAX 64U
#define XT_LOAD_RATE_MAX 10000000U
#define XT_LOAD_REQUESTS_MAX 1000000U /* prepared in memory, about 500 bytes each */
#define XT_LOAD_QUEUE_MAX 100000000U
#define XT_LOAD_HOST_MAX 256

enum xt_load_handshake {
    XT_LOAD_KEEP_ALIVE,  /* one handshake a connection */
    XT_LOAD_RESUME,      /* a connection per request, with the ticket of an earlier one */
    XT_LOAD_PER_REQUEST, /* a connection and a full handshake per request */
};
const char *xt_load_handshake_name(enum xt_load_handshake handshake);

struct xt_load_options {
    const char *server; /* as given */
    bool tls, insecure;
    char host[XT_LOAD_HOST_MAX], port[8];
    const char *certificate, *key, *authority; /* PEM files, NULL: none */

    unsigned connections, threads, pipeline;
    uint64_t rate;  /* requests a second; 0: closed loop */
    uint64_t queue; /* requests that may wait for a free connection; open loop */
    uint64_t ramp_ns, warmup_ns, duration_ns, timeout_ns;
    enum xt_load_handshake handshake;

    const char *scenario, *path, *purpose, *claims, *mix; /* NULL: not given */
    bool has_people;                                      /* --seed and --count */
    uint64_t seed, count;
    unsigned requests;
    bool full, verdict_only, unchecked;
    const char
        *signed_keys; /* answers are to be signed: the server's JWK set; NULL: they are not */

    bool find_knee;
    uint64_t slo_us; /* of p99 */
    int server_pid;  /* 0: not given */
    int helper_pid;  /* of a process tree that serves beside it, a data base; 0: none */
    const char *out, *hdr;
    bool quiet;
};

/* -1: go on; else the exit status. */
int xt_load_options_parse(int argc, char **argv, struct xt_load_options *options);

/* One line on stderr that ends with where the help is; gives XT_EXIT_USAGE. */
int xt_load_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
