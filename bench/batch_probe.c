#include "bench/batch_probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/clock.h"

static void pause_for(struct xt_batch_probe *probe)
{
    uint64_t began = xt_clock_ns();
    (void)usleep((useconds_t)probe->pause_us);
    uint64_t taken_us = (xt_clock_ns() - began) / 1000;
    xt_histogram_record(&probe->late, taken_us > probe->pause_us ? taken_us - probe->pause_us : 0);
}

/* One request and its answer. */
static bool ask(struct xt_wire *wire, struct xt_span body)
{
    uint8_t room[XT_REQUEST_BODY_MAX + 512];
    struct xt_response_head head;
    struct xt_span request = xt_wire_request("/v1/verify", XT_WIRE_JSON, body, room, sizeof(room));
    return xt_wire_ask(wire, request, &head) == XT_OK && head.status == 200;
}

static void *run(void *argument)
{
    struct xt_batch_probe *probe = argument;
    struct xt_wire wire = {.fd = 0};
    if (xt_wire_open(&wire, probe->port, probe->context, 0) != XT_OK) {
        probe->failed++;
        xt_wire_close(&wire);
        return NULL;
    }
    for (uint64_t i = 0; !__atomic_load_n(&probe->stop, __ATOMIC_RELAXED); i++) {
        uint64_t began = xt_clock_ns();
        if (!ask(&wire, xt_batch_people_line(probe->people, i))) {
            probe->failed++;
            break;
        }
        xt_histogram_record(&probe->answers, (xt_clock_ns() - began) / 1000);
        if (probe->pause_us > 1) {
            pause_for(probe);
        }
    }
    xt_wire_close(&wire);
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

void xt_batch_probe_print(const struct xt_batch_probe *probe)
{
    printf(",\"probe\":{\"requests\":%" PRIu64 ",\"failed\":%" PRIu64, probe->answers.count,
           probe->failed);
    printf(",\"us\":");
    xt_histogram_print(&probe->answers);
    if (probe->late.count > 0) {
        printf(",\"late_us\":");
        xt_histogram_print(&probe->late);
    }
    printf("}");
}
