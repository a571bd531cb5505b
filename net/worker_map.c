/* What the supervisor's warm-up has read is mapped by each worker before it is asked for it. In pieces between
 * other turns of its loop, none of which may wait long. */
#include "net/worker.h"

#define EVERY_MS 1         /* while there is something to map */
#define SLICE_NS 250000ULL /* of a turn; the last piece of it may take some 200 us more */

static void on_turn(uv_timer_t *timer)
{
    struct xt_worker *worker = timer->data;
    struct xt_generation *generation = worker->service.generation;
    uint32_t number = xt_generation_manifest(generation)->number;
    uint64_t below = xt_shared_warmed_up(worker->shared, number);
    uint64_t end = uv_hrtime() + SLICE_NS;
    enum xt_status status = XT_OK;
    while (status == XT_OK && uv_hrtime() < end) {
        status = xt_warm_map_step(&worker->mapped, generation, below);
    }
    if (status != XT_OK) {
        (void)uv_timer_stop(timer); /* until the next look */
    }
    /* No client's fault, as with what the supervisor tells. */
    worker->api.connections.turn_began_ns = worker->admin.connections.turn_began_ns = 0;
    worker->service.clock_ns = 0;
}

bool xt_worker_map_open(struct xt_worker *worker)
{
    worker->mapping.data = worker;
    return uv_timer_init(&worker->loop, &worker->mapping) == 0;
}

void xt_worker_map_anew(struct xt_worker *worker)
{
    worker->mapped = (struct xt_warm_place){.done = 0};
}

void xt_worker_map_look(struct xt_worker *worker)
{
    const struct xt_generation *generation = worker->service.generation;
    if (worker->stopped || generation == NULL || uv_is_active((uv_handle_t *)&worker->mapping)) {
        return;
    }
    uint32_t number = xt_generation_manifest(generation)->number;
    if (worker->mapped.done < xt_shared_warmed_up(worker->shared, number)) {
        (void)uv_timer_start(&worker->mapping, on_turn, EVERY_MS, EVERY_MS);
    }
}

void xt_worker_map_stop(struct xt_worker *worker)
{
    uv_close((uv_handle_t *)&worker->mapping, NULL);
}
