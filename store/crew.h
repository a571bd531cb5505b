/* store/crew: a few threads that work through a row of tasks, for commands that run alone.
 *
 * Tasks are numbered from 0 and begun in order. What must happen in their order as well (to give
 * out ordinals, to append to a file) stands between xt_order_wait and xt_order_pass.
 *
 * The server does not use it: there a process is one loop and one thread.
 */
#ifndef XT_STORE_CREW_H
#define XT_STORE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#define XT_CREW_MAX 64

/* Processors that this process may run on, at most XT_CREW_MAX. */
unsigned xt_crew_processors(void);

/* One task. thread: 0 to threads - 1, the same for all tasks that one thread does. Anything but XT_OK
 * ends the row: tasks that were begun are finished, and the status is what xt_crew_run gives. Of
 * several failures the first in the order of the tasks counts. */
typedef enum xt_status (*xt_crew_work)(void *context, unsigned thread, uint64_t task,
                                       struct xt_failure *failure);

/* Does tasks 0 to count - 1. Threads take no signals: they come to the caller. */
XT_MUST_USE enum xt_status xt_crew_run(unsigned threads, uint64_t count, xt_crew_work work,
                                       void *context, struct xt_failure *failure);

/* Whose turn it is. */
struct xt_order {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t next;
    uint64_t failed; /* the first task that did; UINT64_MAX: none */
};
void xt_order_init(struct xt_order *order);
void xt_order_destroy(struct xt_order *order);

/* Waits until all tasks before this one have passed. XT_CLOSED: one of them failed. */
XT_MUST_USE enum xt_status xt_order_wait(struct xt_order *order, uint64_t task);

/* To the next task, or to nobody when status is a failure. Call it once for every task, also for one
 * that failed before it waited. */
void xt_order_pass(struct xt_order *order, uint64_t task, enum xt_status status);

#endif
