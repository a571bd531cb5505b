#include "store/background.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ioprio_set(2), which has no header of its own. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

void xt_background_enter(void)
{
    static const struct sched_param none;
    (void)sched_setscheduler(0, SCHED_IDLE, &none);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

/* Threads have their class from whoever starts them, and keep it. */
static bool in_background(void)
{
    static _Thread_local enum { UNKNOWN, NO, YES } known;
    if (known == UNKNOWN) {
        known = sched_getscheduler(0) == SCHED_IDLE ? YES : NO;
    }
    return known == YES;
}

void xt_background_yield(void)
{
    static _Thread_local uint64_t last;
    struct timespec now;
    if (!in_background()) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    if (now_ns - last >= XT_YIELD_NS) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        last = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    }
}

void xt_background_write_out(int fd)
{
    if (in_background()) {
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
    }
}
