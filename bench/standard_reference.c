/* What the machine itself gives, so that a set from a slower hour or another machine is known as such. */
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/random.h"
#include "bench/standard.h"

#define INTEGER_STEPS 20000000U
/* Of 64 bytes: 32 MiB, more than most last-level caches give one core. */
#define CHASE_NODES (1U << 19)
#define CHASE_STEPS 400000U
#define CALL_STEPS 30000U

bool xt_standard_pin(int core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    return sched_setaffinity(0, sizeof(cores), &cores) == 0;
}

static double integer_ns(void)
{
    volatile uint64_t sink;
    uint64_t value = 1;
    double start = xt_clock_s();
    for (unsigned i = 0; i < INTEGER_STEPS; i++) {
        value = xt_mix(value + i);
    }
    sink = value;
    (void)sink;
    return (xt_clock_s() - start) * 1e9 / INTEGER_STEPS;
}

/* Every load waits for the one before it: one cycle through all nodes (Sattolo), from a fixed seed. */
static double memory_ns(void)
{
    struct node {
        uint32_t next;
        uint32_t padding[15];
    };
    volatile uint32_t sink;
    struct node *nodes = calloc(CHASE_NODES, sizeof(*nodes));
    struct xt_stream stream = xt_stream_of(1, 0);
    if (nodes == NULL) {
        return 0;
    }
    for (uint32_t i = 0; i < CHASE_NODES; i++) {
        nodes[i].next = i;
    }
    for (uint32_t i = CHASE_NODES - 1; i > 0; i--) {
        uint32_t other = xt_stream_below(&stream, i);
        uint32_t kept = nodes[i].next;
        nodes[i].next = nodes[other].next;
        nodes[other].next = kept;
    }
    uint32_t at = 0;
    double start = xt_clock_s();
    for (unsigned i = 0; i < CHASE_STEPS; i++) {
        at = nodes[at].next;
    }
    double ns = (xt_clock_s() - start) * 1e9 / CHASE_STEPS;
    sink = at;
    (void)sink;
    free(nodes);
    return ns;
}

/* A request's worth of bytes through the kernel and back. */
static double kernel_ns(void)
{
    char bytes[512] = {0};
    int ends[2];
    bool fine = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
    if (!fine) {
        return 0;
    }
    double start = xt_clock_s();
    for (unsigned i = 0; fine && i < CALL_STEPS; i++) {
        fine = write(ends[0], bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) &&
               read(ends[1], bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes);
    }
    double ns = (xt_clock_s() - start) * 1e9 / CALL_STEPS;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return fine ? ns : 0;
}

void xt_standard_reference(struct xt_standard *set)
{
    struct xt_standard_measures *measures = &set->measures;
    (void)xt_standard_pin(set->server_core);
    xt_standard_add(measures, "reference_integer", "ns", XT_COMPARE_REFERENCE, false, integer_ns());
    xt_standard_add(measures, "reference_memory", "ns", XT_COMPARE_REFERENCE, false, memory_ns());
    xt_standard_add(measures, "reference_kernel", "ns", XT_COMPARE_REFERENCE, false, kernel_ns());
    (void)xt_standard_pin(set->client_core);
}
