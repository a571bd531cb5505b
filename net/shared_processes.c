/* net/shared_processes: who serves, and how far the supervisor's warm-up is. */
#include <time.h>

#include "net/shared_internal.h"

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const struct xt_process *xt_shared_process(const struct xt_shared *shared, unsigned place)
{
    xt_require(place <= xt_shared_supervisor_place(shared->workers));
    return &shared->header->processes[place];
}

void xt_shared_set_process(struct xt_shared *shared, unsigned place, enum xt_process_state state,
                           pid_t pid)
{
    xt_require(place <= xt_shared_supervisor_place(shared->workers));
    struct xt_process *process = &shared->header->processes[place];
    xt_counter_set(&process->pid, (uint64_t)pid);
    if (state == XT_PROCESS_STARTING) {
        xt_counter_set(&process->started_ms, monotonic_ms());
    }
    xt_counter_set(&process->state, state);
}

void xt_shared_count_restart(struct xt_shared *shared, unsigned place)
{
    xt_require(place <= xt_shared_supervisor_place(shared->workers));
    struct xt_process *process = &shared->header->processes[place];
    xt_counter_set(&process->state, XT_PROCESS_DEAD);
    xt_counter_set(&process->pid, 0);
    xt_counter_add(&process->restarts, 1);
}

void xt_shared_set_checkpoint(struct xt_shared *shared, uint64_t number, uint64_t unix_s)
{
    xt_counter_set(&shared->header->checkpoint, number);
    xt_counter_set(&shared->header->checkpoint_unix_s, unix_s);
}

void xt_shared_checkpoint(const struct xt_shared *shared, uint64_t *number, uint64_t *unix_s)
{
    *number = xt_counter_get(&shared->header->checkpoint);
    *unix_s = xt_counter_get(&shared->header->checkpoint_unix_s);
}

void xt_shared_set_warm_up(struct xt_shared *shared, uint32_t generation, uint64_t done,
                           uint64_t wanted)
{
    if (xt_counter_get(&shared->header->warm_generation) != generation) {
        xt_counter_set(&shared->header->warm_done, 0); /* before it is another's */
    }
    xt_counter_set(&shared->header->warm_generation, generation);
    xt_counter_set(&shared->header->warm_done, done);
    xt_counter_set(&shared->header->warm_wanted, wanted);
}

uint64_t xt_shared_warmed_up(const struct xt_shared *shared, uint32_t generation)
{
    bool same = xt_counter_get(&shared->header->warm_generation) == generation; /* first */
    return same ? xt_counter_get(&shared->header->warm_done) : 0;
}

void xt_shared_warm_up(const struct xt_shared *shared, uint64_t *done, uint64_t *wanted)
{
    *done = xt_counter_get(&shared->header->warm_done);
    *wanted = xt_counter_get(&shared->header->warm_wanted);
}

/* Any number may stand there as far as a reader is concerned: it is only compared. */
static enum xt_process_state state_of(const struct xt_shared *shared, unsigned place)
{
    return (enum xt_process_state)xt_counter_get(&xt_shared_process(shared, place)->state);
}

bool xt_shared_is_ready(const struct xt_shared *shared, struct xt_readiness *readiness)
{
    unsigned slots = shared->slots;
    *readiness = (struct xt_readiness){.workers = slots};
    for (unsigned slot = 0; slot < slots; slot++) {
        bool serving = false, with_generation = false, logging = false;
        for (unsigned place = slot; place < shared->workers; place += slots) {
            const struct xt_counters *counters = xt_shared_counters(shared, place);
            bool serves = state_of(shared, place) == XT_PROCESS_SERVING;
            serving = serving || serves;
            with_generation =
                with_generation || (serves && xt_counter_get(&counters->now.generation) != 0);
            logging = logging || (serves && xt_counter_get(&counters->now.audit_full) == 0);
        }
        readiness->serving += serving;
        readiness->with_generation += with_generation;
        readiness->logging += logging;
    }
    enum xt_process_state writer = state_of(shared, xt_shared_writer_place(shared->workers));
    readiness->writer_wanted = writer != XT_PROCESS_NONE;
    readiness->writer_serving = writer == XT_PROCESS_SERVING;
    readiness->draining =
        state_of(shared, xt_shared_supervisor_place(shared->workers)) == XT_PROCESS_DRAINING;
    return readiness->with_generation == slots && readiness->logging == slots &&
           !readiness->draining && (readiness->writer_serving || !readiness->writer_wanted);
}
