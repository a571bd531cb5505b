/* net/children: one child process of the supervisor and the channel to it.
 *
 *   xt_child_start -> running -> ended (told once, when the process is gone and its channel is read)
 *
 * A child is this very program, started again from the supervisor's own executable (whatever lies under
 * its name by now), with a fresh address layout and three descriptors of ours: standard output and
 * error, and the channel as XT_CONTROL_FD. The one kind that is started by a name is the program that
 * takes over at an upgrade.
 * Ownership: a child is freed after it has told that it ended; nobody may use it from then on.
 * Thread: the supervisor's loop. Blocks: never.
 */
#ifndef XT_NET_CHILDREN_H
#define XT_NET_CHILDREN_H

#include <uv.h>

#include "net/control.h"

struct xt_child; /* opaque */

struct xt_child_end {
    int status; /* of exit; 0 when a signal ended it */
    int signal; /* 0: none did */
    uint64_t uptime_ms;
};

struct xt_child_plan {
    const char *program;  /* NULL: this program */
    char *const *command; /* argv, ends with NULL */
    bool heir;            /* takes over: it may close the channel and go on without us */
    /* A message; it is released by the caller. */
    void (*told)(void *context, struct xt_child *child, struct xt_control_message *message);
    /* The channel takes messages again, after xt_child_send gave XT_AGAIN. */
    void (*writable)(void *context, struct xt_child *child);
    /* The process is gone. The child is freed after this. */
    void (*ended)(void *context, struct xt_child *child, const struct xt_child_end *end);
    void *context;
};

/* XT_DENIED: the program may not be run. XT_NO_MEMORY. XT_IO. */
XT_MUST_USE enum xt_status xt_child_start(uv_loop_t *loop, const struct xt_child_plan *plan,
                                          struct xt_child **child, struct xt_failure *failure);

/* XT_AGAIN: `writable` will be told; from within `writable`: try again in a second. XT_CLOSED: it is going; `ended` will be told. */
XT_MUST_USE enum xt_status xt_child_send(struct xt_child *child,
                                         const struct xt_control_message *message);
void xt_child_signal(struct xt_child *child, int signal);
pid_t xt_child_pid(const struct xt_child *child);

/* Lets it go on by itself: nothing of it is told any more, and it is freed. */
void xt_child_forget(struct xt_child *child);

#endif
