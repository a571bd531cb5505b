/* bench/machine: what this machine is, and what processes have used, from /proc. */
#ifndef XT_BENCH_MACHINE_H
#define XT_BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct xt_machine {
    char processor[128], kernel[128], architecture[32];
    unsigned cores; /* this process may run on */
    uint64_t memory_bytes;
    double load_average; /* of the last minute, before the run */
};
void xt_machine_read(struct xt_machine *machine);

#define XT_PROCESSES_MAX 4096U /* looked at for children */

struct xt_process_use {
    uint64_t cpu_us;         /* user and system, also of children that have ended */
    uint64_t resident_bytes; /* pages shared between them count once for each */
    unsigned processes;
};

/* Of pid and all that descend from it. false: there is no such process. The kernel counts CPU in
 * ticks of 10 ms, so measure over seconds. */
bool xt_process_read(int pid, struct xt_process_use *use);

#endif
