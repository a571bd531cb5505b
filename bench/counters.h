/* bench/counters: what the kernel and the processor count about the processes of a server.
 *
 * CPU time comes from the processes' CPU clocks (clock_getcpuclockid, in nanoseconds: /proc/PID/stat
 * has ticks of 10 ms), its split into user and system and the context switches from /proc. Instructions
 * and cycles come from perf_event_open, in user mode and kernel together, where the machine has the
 * counters and lets us (virtual machines mostly have none; /proc/sys/kernel/perf_event_paranoid of at
 * most 1 lets an unprivileged user): `hardware` tells, and why not.
 * A counter belongs to one thread and is inherited only by what that thread starts later, so one is
 * opened for every thread of every process of the tree that is there at xt_counters_open.
 * What a process counted is lost when it ends: read while the same ones run, see `complete`.
 * Thread: one.
 */
#ifndef XT_BENCH_COUNTERS_H
#define XT_BENCH_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

struct xt_counters; /* opaque */

struct xt_counts {
    uint64_t cpu_ns; /* user and system */
    /* Of which: split in ticks of 10 ms by the kernel, so over seconds only. */
    uint64_t user_us, system_us;
    uint64_t switches;             /* of context: waited, or was interrupted */
    uint64_t instructions, cycles; /* 0 without hardware counters */
    unsigned processes;
    bool complete; /* the same processes as at xt_counters_open */
};

/* pid and all that descend from it. NULL: there is no such process, or no memory. */
struct xt_counters *xt_counters_open(int pid);
void xt_counters_close(struct xt_counters *counters); /* NULL is fine */

void xt_counters_read(struct xt_counters *counters, struct xt_counts *counts);

/* Whether instructions and cycles are counted. When not, *reason (NULL is fine) says why, in words
 * that hold for the machine ("no hardware counters here: No such file or directory"). */
bool xt_counters_hardware(const struct xt_counters *counters, const char **reason);

#endif
