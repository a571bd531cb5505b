/* bench/batch_probe: single requests beside the lists: one, its answer, a pause, the next one.
 *
 * The probe has a thread and a connection of its own. What it tells is the server's doing only as far as this
 * machine lets the thread run when its answer is there, and a kernel without preemption lets whoever computes
 * go on up to 4 ms. So the lists give way (store/background) while there is a probe, and the probe tells
 * as well how late it was woken from its pauses (late): by about that much an answer looks later than it was.
 */
#ifndef XT_BENCH_BATCH_PROBE_H
#define XT_BENCH_BATCH_PROBE_H

#include <pthread.h>

#include "bench/batch_people.h"
#include "bench/histogram.h"
#include "bench/wire.h"

struct xt_batch_probe {
    uint16_t port;
    uint64_t pause_us; /* 1: none */
    struct xt_tls_context *context;
    const struct xt_batch_people *people;
    pthread_t thread;
    bool stop; /* atomic */
    uint64_t failed;
    struct xt_histogram answers, late; /* us */
};

/* After the members before thread were set. false: there is none. */
XT_MUST_USE bool xt_batch_probe_start(struct xt_batch_probe *probe);
void xt_batch_probe_stop(struct xt_batch_probe *probe);
/* ,"probe":{...} */
void xt_batch_probe_print(const struct xt_batch_probe *probe);

#endif
