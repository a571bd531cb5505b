#include "store/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#define LOOK_EVERY_MS 100 /* at progress and interruption, while others work */

struct state {
    struct xt_sweep *sweep;
    pthread_mutex_t lock;  /* of what follows */
    pthread_cond_t ended;  /* a thread has */
    unsigned table, begun; /* the next part's table; threads given their number */
    uint32_t page;         /* and first page */
    unsigned running;
    enum xt_status status; /* other than XT_OK: no more parts */
};

struct part {
    unsigned table;
    uint32_t from, to;
};

/* The part at a place, or the first after it; false: none is left. */
static bool part_at(const struct xt_sweep *sweep, unsigned table, uint32_t page, struct part *part)
{
    while (table < XT_TABLE_COUNT && page >= sweep->pages[table]) {
        table++;
        page = 0;
    }
    if (table == XT_TABLE_COUNT) {
        return false;
    }
    uint32_t left = sweep->pages[table] - page;
    *part = (struct part){table, page, page + (left < XT_SWEEP_PAGES ? left : XT_SWEEP_PAGES)};
    return true;
}

/* Takes a part for a thread and gives in *ahead the one that is to be read meanwhile: as many further
 * on as there are threads, which the next ones to ask will come to. */
static bool take_part(struct state *state, struct part *part, struct part *ahead, bool *has_ahead)
{
    struct xt_sweep *sweep = state->sweep;
    bool stop = xt_progress_interrupted(sweep->progress);
    pthread_mutex_lock(&state->lock);
    if (stop && state->status == XT_OK) {
        state->status = XT_CLOSED;
    }
    bool any = state->status == XT_OK && part_at(sweep, state->table, state->page, part);
    if (any) {
        state->table = part->table;
        state->page = part->to;
        *has_ahead =
            part_at(sweep, part->table, part->to + (sweep->threads - 1) * XT_SWEEP_PAGES, ahead);
    }
    pthread_mutex_unlock(&state->lock);
    return any;
}

static void *work(void *context)
{
    struct state *state = context;
    struct xt_sweep *sweep = state->sweep;
    struct part part, ahead;
    bool has_ahead;
    pthread_mutex_lock(&state->lock);
    unsigned thread = state->begun++;
    pthread_mutex_unlock(&state->lock);
    enum xt_status status = XT_OK;
    while (status == XT_OK && take_part(state, &part, &ahead, &has_ahead)) {
        if (has_ahead) {
            xt_table_file_expect(sweep->file, ahead.table, ahead.from, ahead.to);
        }
        status = sweep->part(sweep->context, thread, part.table, part.from, part.to);
        xt_table_file_forget(sweep->file, part.table, part.from, part.to);
    }
    pthread_mutex_lock(&state->lock);
    if (state->status == XT_OK) {
        state->status = status;
    }
    state->running--;
    pthread_cond_signal(&state->ended);
    pthread_mutex_unlock(&state->lock);
    return NULL;
}

unsigned xt_sweep_threads(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > XT_SWEEP_THREADS_MAX ? XT_SWEEP_THREADS_MAX : (unsigned)count;
}

/* Until every thread has ended. */
static void wait_for_all(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    while (state->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&state->ended, &state->lock, &until);
        if (state->sweep->progress != NULL) {
            xt_progress_look(state->sweep->progress,
                             __atomic_load_n(&state->sweep->done, __ATOMIC_RELAXED));
        }
    }
    pthread_mutex_unlock(&state->lock);
}

enum xt_status xt_sweep_run(struct xt_sweep *sweep)
{
    pthread_t threads[XT_SWEEP_THREADS_MAX];
    pthread_condattr_t monotonic;
    struct state state = {.sweep = sweep};
    unsigned started = 0;
    xt_require(sweep->threads > 0 && sweep->threads <= XT_SWEEP_THREADS_MAX);
    pthread_mutex_init(&state.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&state.ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (; started < sweep->threads; started++) {
        pthread_mutex_lock(&state.lock);
        state.running++;
        pthread_mutex_unlock(&state.lock);
        if (pthread_create(&threads[started], NULL, work, &state) != 0) {
            pthread_mutex_lock(&state.lock);
            state.running--; /* fewer do it as well; none cannot */
            state.status = started == 0 ? XT_NO_MEMORY : state.status;
            pthread_mutex_unlock(&state.lock);
            break;
        }
    }
    wait_for_all(&state);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_cond_destroy(&state.ended);
    pthread_mutex_destroy(&state.lock);
    if (sweep->progress != NULL) {
        xt_progress_look(sweep->progress, sweep->done);
    }
    return state.status;
}
