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

/* A process, and not another one that has got its number since. */
struct xt_process_id {
    int pid;
    uint64_t started; /* ticks since the machine started */
};
#define XT_PROCESS_TREE_MAX 256U

/* pid and all that descend from it; gives how many, 0: there is no such process. */
unsigned xt_process_tree(int pid, struct xt_process_id *list, unsigned most);
bool xt_process_is(struct xt_process_id process);

struct xt_process_memory {
    /* Each page counts once: one that several processes map is shared out among them. */
    uint64_t anonymous_bytes, file_bytes,
        shared_bytes; /* shared: tmpfs and shm; file: mapped ones */
    uint64_t bytes;   /* of the three */
};
/* The same of memory, from smaps_rollup (proc(5)): it walks all pages, so not while something is being
 * measured. false: there is no such process, or we may not look at all of them (PR_SET_DUMPABLE). */
bool xt_process_memory(int pid, struct xt_process_memory *memory);

#endif
