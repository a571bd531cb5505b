/* bench/crowd: connections (bench/wire) that one thread drives with poll, for `auth`, `batch` and `events`; and the
 * options that these have in common.
 *
 *   xt_crowd_drive: until the end, begins what is due and looks; then looks until all is answered
 *   xt_crowd_look:  waits until something can be sent or has come, and hands it on
 *
 * Open loop (a rate) or closed loop is what `begin_due` makes of it. bench/load has a loop of its own
 * (bench/load_loop): threads, epoll, and a schedule with a ramp.
 */
#ifndef XT_BENCH_CROWD_H
#define XT_BENCH_CROWD_H

#include "bench/wire.h"

#define XT_CROWD_MAX 512U    /* connections */
#define XT_CROWD_PARTNERS 2U /* whose they are, in turn */

/* Of the command line. */
struct xt_crowd_options {
    uint64_t port, connections;
    uint64_t rate, seconds; /* rate: a second, of all; 0: a closed loop */
    const char *certificates[XT_CROWD_PARTNERS], *keys[XT_CROWD_PARTNERS]; /* the second: NULL */
    const char *authority;
};

/* Entries of a table for getopt_long, and what becomes of them; false: it is none of them, or not right. */
#define XT_CROWD_OPTIONS                                                                           \
    {"port", required_argument, NULL, 'p'}, {"cert", required_argument, NULL, 'c'},                \
        {"key", required_argument, NULL, 'k'}, {"ca", required_argument, NULL, 'a'},               \
        {"connections", required_argument, NULL, 'C'},                                             \
    {                                                                                              \
        "seconds", required_argument, NULL, 'S'                                                    \
    }
XT_MUST_USE bool xt_crowd_take_option(int option, const char *text, uint64_t most_connections,
                                      struct xt_crowd_options *options);
/* A number of the command line. */
XT_MUST_USE bool xt_crowd_number(const char *text, uint64_t least, uint64_t most, uint64_t *value);

struct xt_crowd {
    unsigned count;
    struct xt_wire *wires;
    struct xt_tls_context *contexts[XT_CROWD_PARTNERS];

    void *context; /* for the functions */
    /* It is open; NULL: nothing is sent yet. false: the connection is gone. */
    bool (*begin)(void *context, unsigned index);
    /* The socket takes something; NULL: what is pending is sent. false: the connection is gone. */
    bool (*send)(void *context, unsigned index);
    /* Something was received; false: the connection is gone, or what came is wrong. */
    bool (*take)(void *context, unsigned index);

    /* For xt_crowd_drive. Begins what is due by now; false: a connection is gone. */
    bool (*begin_due)(void *context, uint64_t now_ns);
    uint64_t end_ns; /* for the last answers */
    uint64_t began_ns, begun, answered;
};

/* Reads the files of the partners and the authority. Close it in any case, as after xt_crowd_open. */
XT_MUST_USE enum xt_status xt_crowd_read(struct xt_crowd *crowd,
                                         const struct xt_crowd_options *options,
                                         struct xt_failure *failure);
/* Connects them all to 127.0.0.1. */
XT_MUST_USE enum xt_status xt_crowd_open(struct xt_crowd *crowd,
                                         const struct xt_crowd_options *options,
                                         struct xt_failure *failure);
void xt_crowd_close(struct xt_crowd *crowd);

/* Waits at most so long. false: a connection is gone. */
XT_MUST_USE bool xt_crowd_look(struct xt_crowd *crowd, int wait_ms);
/* true: everything that was begun is answered. */
XT_MUST_USE bool xt_crowd_drive(struct xt_crowd *crowd, const struct xt_crowd_options *options);

#endif
