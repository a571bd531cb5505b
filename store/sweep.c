#include "store/sweep.h"

#include "store/crew.h"

struct state {
    struct xt_sweep *sweep;
    pthread_mutex_t looking; /* at progress: whoever finds it taken need not */
};

struct part {
    unsigned table;
    uint32_t from, to;
};

/* Parts are numbered in the order of the tables and their pages. */
static uint64_t parts_of(const struct xt_sweep *sweep, unsigned table)
{
    return ((uint64_t)sweep->pages[table] + XT_SWEEP_PAGES - 1) / XT_SWEEP_PAGES;
}

/* false: there are not so many. */
static bool part_at(const struct xt_sweep *sweep, uint64_t number, struct part *part)
{
    unsigned table = 0;
    while (table < XT_TABLE_COUNT && number >= parts_of(sweep, table)) {
        number -= parts_of(sweep, table++);
    }
    if (table == XT_TABLE_COUNT) {
        return false;
    }
    uint32_t from = (uint32_t)number * XT_SWEEP_PAGES;
    uint32_t left = sweep->pages[table] - from;
    *part = (struct part){table, from, from + (left < XT_SWEEP_PAGES ? left : XT_SWEEP_PAGES)};
    return true;
}

static void show(struct state *state)
{
    struct xt_sweep *sweep = state->sweep;
    if (sweep->progress != NULL && pthread_mutex_trylock(&state->looking) == 0) {
        xt_progress_look(sweep->progress, __atomic_load_n(&sweep->done, __ATOMIC_RELAXED));
        pthread_mutex_unlock(&state->looking);
    }
}

static enum xt_status work(void *context, unsigned thread, uint64_t number,
                           struct xt_failure *failure)
{
    struct state *state = context;
    struct xt_sweep *sweep = state->sweep;
    struct part part;
    struct part
        ahead; /* as many further on as there are threads: the next ones to ask come to it */
    xt_require(part_at(sweep, number, &part));
    (void)failure;
    if (xt_progress_interrupted(sweep->progress)) {
        return XT_CLOSED;
    }
    if (part_at(sweep, number + sweep->threads, &ahead)) {
        xt_table_file_expect(sweep->file, ahead.table, ahead.from, ahead.to);
    }
    enum xt_status status = sweep->part(sweep->context, thread, part.table, part.from, part.to);
    xt_table_file_forget(sweep->file, part.table, part.from, part.to);
    show(state);
    return status;
}

enum xt_status xt_sweep_run(struct xt_sweep *sweep)
{
    struct state state = {.sweep = sweep};
    uint64_t parts = 0;
    for (unsigned table = 0; table < XT_TABLE_COUNT; table++) {
        parts += parts_of(sweep, table);
    }
    pthread_mutex_init(&state.looking, NULL);
    enum xt_status status = xt_crew_run(sweep->threads, parts, work, &state, NULL);
    show(&state);
    pthread_mutex_destroy(&state.looking);
    return status;
}
