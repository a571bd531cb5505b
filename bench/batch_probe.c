#include "bench/batch_probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static void pause_for(struct xt_batch_probe *probe)
{
    uint64_t began = xt_batch_now();
    (void)usleep((useconds_t)probe->pause_us);
    uint64_t taken_us = (xt_batch_now() - began) / 1000;
    xt_histogram_record(&probe->late, taken_us > probe->pause_us ? taken_us - probe->pause_us : 0);
}

static void *run(void *argument)
{
    struct xt_batch_probe *probe = argument;
    struct xt_batch_peer peer;
    if (xt_batch_connect(probe->port, probe->context, &peer) != XT_OK) {
        probe->failed++;
        xt_batch_disconnect(&peer);
        return NULL;
    }
    for (uint64_t i = 0; !__atomic_load_n(&probe->stop, __ATOMIC_RELAXED); i++) {
        uint64_t began = xt_batch_now();
        if (!xt_batch_ask(&peer, xt_batch_people_line(probe->people, i))) {
            probe->failed++;
            break;
        }
        xt_histogram_record(&probe->answers, (xt_batch_now() - began) / 1000);
        if (probe->pause_us > 1) {
            pause_for(probe);
        }
    }
    xt_batch_disconnect(&peer);
    return NULL;
}

bool xt_batch_probe_start(struct xt_batch_probe *probe)
{
    xt_histogram_reset(&probe->answers);
    xt_histogram_reset(&probe->late);
    return pthread_create(&probe->thread, NULL, run, probe) == 0;
}

void xt_batch_probe_stop(struct xt_batch_probe *probe)
{
    __atomic_store_n(&probe->stop, true, __ATOMIC_RELAXED);
    (void)pthread_join(probe->thread, NULL);
}

static void print_times(const char *name, const struct xt_histogram *histogram)
{
    printf(",\"%s\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p99_9\":%u,\"max\":%u}", name,
           xt_histogram_percentile(histogram, 50000), xt_histogram_percentile(histogram, 90000),
           xt_histogram_percentile(histogram, 99000), xt_histogram_percentile(histogram, 99900),
           histogram->max);
}

void xt_batch_probe_print(const struct xt_batch_probe *probe)
{
    printf(",\"probe\":{\"requests\":%" PRIu64 ",\"failed\":%" PRIu64, probe->answers.count,
           probe->failed);
    print_times("us", &probe->answers);
    if (probe->late.count > 0) {
        print_times("late_us", &probe->late);
    }
    printf("}");
}
