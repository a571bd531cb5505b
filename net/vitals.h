/* net/vitals: how this process itself is doing, told to all through the shared memory: CPU time, major
 * page faults (reads that had to wait for the disk), resident memory.
 *
 * Counters go on from what the process before it in this place left. Call xt_vitals_update about once a
 * second. Costs two system calls; needs no file to be opened after the start, so it works in the sandbox.
 */
#ifndef XT_NET_VITALS_H
#define XT_NET_VITALS_H

#include "net/shared.h"

struct xt_vitals_source {
    struct xt_vitals *told;
    int statm; /* /proc/self/statm, held open; -1: it cannot be had, and memory is not told */
    uint64_t cpu_us_before, major_faults_before;
};

/* Before the sandbox. told is this process's own (xt_shared_vitals of its place). Never fails. */
void xt_vitals_open(struct xt_vitals_source *source, struct xt_vitals *told);
void xt_vitals_update(struct xt_vitals_source *source);
void xt_vitals_close(struct xt_vitals_source *source);

#endif
