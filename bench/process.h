/* bench/process: other programs started, watched and stopped by this one.
 *
 *   xt_process_start --> runs, in a process group of its own, pinned, output in a file
 *        |-- xt_process_wait_port: until it accepts connections (a server)
 *        |-- xt_process_finish: until it has ended by itself (a command)
 *        '-- xt_process_stop: its end signal, then SIGKILL for all that is left of it
 *
 * Nothing is left when we are killed: a child gets its end signal then as well (PR_SET_PDEATHSIG), and
 * what it has started is its own business, as on any other shutdown.
 * Thread: all calls from the thread that started the process; the signal above is tied to it.
 * CPU and memory of what runs here: bench/machine, with its pid.
 */
#ifndef XT_BENCH_PROCESS_H
#define XT_BENCH_PROCESS_H

#include <signal.h>

#include "core/span.h"
#include "core/status.h"

#define XT_PROCESS_LOG_MAX 1024 /* bytes of a log file's path */

struct xt_process_plan {
    const char *const *arguments; /* NULL-terminated; [0] is a path, or a name looked for in PATH */
    const char *const *set; /* "NAME=value" for its environment, NULL-terminated; NULL: none */
    const char *log;        /* stdout and stderr are appended to this file; NULL: /dev/null */
    const char *folder;     /* to run in; NULL: ours */
    int input;              /* its standard input, borrowed; -1: /dev/null */
    int output;             /* its standard output in place of the log, borrowed; -1: none */
    int core;               /* pinned to this one, with all it starts; -1: to none */
    unsigned user, group;   /* to become, when we are root; 0: as we are */
    int end_signal;         /* what makes it end in an orderly way; 0: SIGTERM */
};
#define XT_PROCESS_PLAN                                                                            \
    {                                                                                              \
        .input = -1, .output = -1, .core = -1                                                      \
    }

struct xt_process {
    int pid; /* and number of its process group; 0: there is none */
    int end_signal;
    bool ended;
    int exit_status; /* when ended: 0-255, or 128 + the signal that ended it */
    char log[XT_PROCESS_LOG_MAX];
};

/* XT_NOT_FOUND: there is no such program. *process needs no stop unless XT_OK. */
XT_MUST_USE enum xt_status xt_process_start(const struct xt_process_plan *plan,
                                            struct xt_process *process, struct xt_failure *failure);

/* Whether it still runs; never waits. */
bool xt_process_runs(struct xt_process *process);

/* Told between looks at the clock; true ends the waiting with XT_CLOSED. NULL: never. */
typedef bool xt_process_given_up(void);

/* Waits until 127.0.0.1:port accepts a connection. XT_IO: it ended before, or not within limit_ms;
 * *failure has the last line of its log. */
XT_MUST_USE enum xt_status xt_process_wait_port(struct xt_process *process, unsigned port,
                                                unsigned limit_ms, xt_process_given_up *given_up,
                                                struct xt_failure *failure);
/* The same for a path that must come to be; a Unix socket there must accept a connection. */
XT_MUST_USE enum xt_status xt_process_wait_path(struct xt_process *process, const char *path,
                                                unsigned limit_ms, xt_process_given_up *given_up,
                                                struct xt_failure *failure);

/* Waits until it has ended; XT_IO unless with exit status 0 within limit_ms. Stops it otherwise. */
XT_MUST_USE enum xt_status xt_process_finish(struct xt_process *process, unsigned limit_ms,
                                             xt_process_given_up *given_up,
                                             struct xt_failure *failure);

/* Ends it and whatever it has started: end signal, SIGKILL after limit_ms. Fine when it has ended or
 * was never started (zeroed). */
void xt_process_stop(struct xt_process *process, unsigned limit_ms);

/* Start and finish. */
XT_MUST_USE enum xt_status xt_process_run(const struct xt_process_plan *plan, unsigned limit_ms,
                                          xt_process_given_up *given_up,
                                          struct xt_failure *failure);

/* A TCP port of 127.0.0.1 that nobody listens on at the moment; 0 when there is none. */
unsigned xt_process_free_port(void);

/* Full path of a program: name as it is when it has a slash, else out of PATH and the folders of
 * system programs (/usr/sbin, /sbin), which PATH often lacks. XT_NOT_FOUND. */
XT_MUST_USE enum xt_status xt_process_find(const char *name, char *path, size_t size);

#endif
