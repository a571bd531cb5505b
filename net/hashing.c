#include "net/hashing.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "crypto/keyring.h"

/* Written by the loop before it is published, by one thread until it is done, then by the loop again. */
struct job {
    atomic_bool done;
    bool makes; /* a new hash, without comparing */
    struct xt_passcode_costs costs;
    uint8_t pepper[XT_PASSCODE_PEPPER];
    uint8_t passcode[XT_PASSCODE_MAX];
    size_t passcode_size;
    char phc[XT_PASSCODE_PHC_MAX]; /* to compare with; then the new one */
    size_t phc_size;
    enum xt_status status;
    bool outdated;
    uint32_t cell;
    xt_hashing_callback callback; /* NULL: called */
    void *context;
};

struct xt_hashing {
    const struct xt_settings *settings;
    /* Tells the loop that jobs are done. Not uv_async_t: with libuv 1.44 the loop spins until the thread that woke
     * it has returned from waking it, and where others want the processor that thread does not get to. */
    int done_fd;
    uv_poll_t done;
    uv_sem_t published;         /* as often as there are jobs that no thread has taken */
    atomic_uint taken;          /* how many were, modulo 2^32 */
    atomic_uint_fast64_t count; /* hashes computed */
    unsigned first, next; /* jobs first .. next - 1 are under way, or called back behind others */
    unsigned waiting;     /* of them, not called back */
    atomic_bool stopping;
    bool stopped;
    uint16_t of_cell[XT_CELLS]; /* jobs that are not called back, of a partner */
    cpu_set_t processors;       /* of the server */
    unsigned thread_count;
    uv_thread_t threads[XT_HASHING_THREADS_MOST];
    struct job *jobs; /* XT_HASHING_MOST, in memory for secrets */
};

_Static_assert((XT_HASHING_MOST & (XT_HASHING_MOST - 1)) == 0, "numbers of jobs may wrap");

static struct job *job_at(struct xt_hashing *hashing, unsigned number)
{
    return &hashing->jobs[number % XT_HASHING_MOST];
}

/* ---- threads ------------------------------------------------------------------------------------ */

/* One hash for each job. */
static void work(struct xt_hashing *hashing, struct job *job)
{
    struct xt_span passcode = xt_span_of(job->passcode, job->passcode_size);
    size_t size = 0;
    job->outdated = false;
    if (job->makes) {
        job->status = xt_passcode_hash(&job->costs, job->pepper, passcode, job->phc, &size);
    } else {
        job->status =
            xt_passcode_verify(&job->costs, job->pepper, xt_span_of(job->phc, job->phc_size),
                               passcode, &job->outdated);
    }
    job->phc_size = size;
    (void)atomic_fetch_add(&hashing->count, 1);
    xt_wipe(job->passcode, sizeof(job->passcode));
    xt_wipe(job->pepper, sizeof(job->pepper));
}

/* What is not allowed (an old kernel, a filter of the service manager) is done without. */
static void yield_to_others(const struct xt_hashing *hashing)
{
    static const struct sched_param none;
    (void)sched_setscheduler(0, SCHED_IDLE, &none);
    (void)sched_setaffinity(0, sizeof(hashing->processors), &hashing->processors);
}

static void run(void *context)
{
    struct xt_hashing *hashing = context;
    yield_to_others(hashing);
    for (;;) {
        uv_sem_wait(&hashing->published);
        if (atomic_load(&hashing->stopping)) {
            return;
        }
        struct job *job = job_at(hashing, atomic_fetch_add(&hashing->taken, 1));
        work(hashing, job);
        atomic_store(&job->done, true);
        const uint64_t one = 1;
        (void)!write(hashing->done_fd, &one, sizeof(one));
    }
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void call_back(struct xt_hashing *hashing, struct job *job, enum xt_status status)
{
    char phc[XT_PASSCODE_PHC_MAX];
    struct xt_hashing_result result = {.status = status,
                                       .outdated = status == XT_OK && job->outdated};
    xt_hashing_callback callback = job->callback;
    if (status == XT_OK) {
        memcpy(phc, job->phc, job->phc_size);
        result.phc = xt_span_of(phc, job->phc_size);
    }
    xt_wipe(job->phc, sizeof(job->phc));
    job->callback = NULL;
    hashing->waiting--;
    if (job->cell != XT_NO_CELL) {
        hashing->of_cell[job->cell]--;
    }
    callback(job->context, &result); /* it may submit another */
    xt_wipe(phc, sizeof(phc));
}

static void on_done(uv_poll_t *poll, int status, int events)
{
    struct xt_hashing *hashing = poll->data;
    unsigned end = hashing->next;
    uint64_t count;
    (void)status;
    (void)events;
    /* Before looking: whatever is done later tells again. */
    (void)!read(hashing->done_fd, &count, sizeof(count));
    for (unsigned at = hashing->first; at != end; at++) {
        struct job *job = job_at(hashing, at);
        if (job->callback != NULL && atomic_load(&job->done)) {
            call_back(hashing, job, job->status);
        }
    }
    while (hashing->first != hashing->next && job_at(hashing, hashing->first)->callback == NULL) {
        hashing->first++;
    }
}

/* One partner leaves half of the queue to others; of a queue of one nothing is left. */
static bool has_room(const struct xt_hashing *hashing, uint32_t cell)
{
    uint32_t queue = hashing->settings->passcode_queue;
    return hashing->waiting < queue && hashing->next - hashing->first < XT_HASHING_MOST &&
           (cell == XT_NO_CELL || hashing->of_cell[cell] < (queue + 1) / 2);
}

static enum xt_status submit(struct xt_hashing *hashing, uint32_t cell, bool makes,
                             const uint8_t *pepper, struct xt_span phc, struct xt_span passcode,
                             xt_hashing_callback callback, void *context)
{
    const struct xt_settings *settings = hashing->settings;
    xt_require(passcode.size <= XT_PASSCODE_MAX);
    if (hashing->stopped) {
        return XT_CLOSED;
    }
    if (!has_room(hashing, cell)) {
        return XT_AGAIN;
    }
    struct job *job = job_at(hashing, hashing->next);
    job->makes = makes;
    job->cell = cell;
    job->costs = (struct xt_passcode_costs){.memory_kib = settings->passcode_memory * 1024,
                                            .passes = settings->passcode_passes};
    memcpy(job->pepper, pepper, sizeof(job->pepper));
    memcpy(job->passcode, passcode.data, passcode.size);
    job->passcode_size = passcode.size;
    job->phc_size = phc.size <= sizeof(job->phc) ? phc.size : 0;
    if (job->phc_size > 0) {
        memcpy(job->phc, phc.data, job->phc_size);
    }
    job->callback = callback;
    job->context = context;
    atomic_store(&job->done, false);
    hashing->next++;
    hashing->waiting++;
    if (cell != XT_NO_CELL) {
        hashing->of_cell[cell]++;
    }
    uv_sem_post(&hashing->published);
    return XT_OK;
}

enum xt_status xt_hashing_verify(struct xt_hashing *hashing, uint32_t cell,
                                 const uint8_t pepper[XT_PASSCODE_PEPPER], struct xt_span phc,
                                 struct xt_span passcode, xt_hashing_callback callback,
                                 void *context)
{
    return submit(hashing, cell, false, pepper, phc, passcode, callback, context);
}

enum xt_status xt_hashing_make(struct xt_hashing *hashing, uint32_t cell,
                               const uint8_t pepper[XT_PASSCODE_PEPPER], struct xt_span passcode,
                               xt_hashing_callback callback, void *context)
{
    return submit(hashing, cell, true, pepper, xt_span_of(NULL, 0), passcode, callback, context);
}

unsigned xt_hashing_waiting(const struct xt_hashing *hashing)
{
    return hashing->waiting;
}

uint64_t xt_hashing_count(const struct xt_hashing *hashing)
{
    return atomic_load(&hashing->count);
}

/* ---- beginning and end -------------------------------------------------------------------------- */

static enum xt_status open_done(uv_loop_t *loop, struct xt_hashing *hashing)
{
    hashing->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hashing->done_fd < 0) {
        return XT_NO_MEMORY;
    }
    if (uv_poll_init(loop, &hashing->done, hashing->done_fd) != 0) {
        close(hashing->done_fd);
        return XT_NO_MEMORY;
    }
    hashing->done.data = hashing;
    (void)uv_poll_start(&hashing->done, UV_READABLE, on_done); /* of an open handle: cannot fail */
    uv_unref((uv_handle_t *)&hashing->done);
    return XT_OK;
}

unsigned xt_hashing_threads(const struct xt_settings *settings, unsigned processors)
{
    if (settings->passcode_threads > 0) {
        return settings->passcode_threads;
    }
    if (settings->workers == 0 || settings->workers >= processors) {
        return 1; /* as many as there are processors */
    }
    unsigned share = (processors + settings->workers - 1) / settings->workers;
    return share < XT_HASHING_THREADS_SHARE ? share : XT_HASHING_THREADS_SHARE;
}

enum xt_status xt_hashing_open(uv_loop_t *loop, const struct xt_settings *settings,
                               struct xt_hashing **opened)
{
    struct xt_hashing *hashing = calloc(1, sizeof(*hashing));
    struct job *jobs = xt_secret_alloc(XT_HASHING_MOST * sizeof(*jobs));
    if (hashing == NULL || jobs == NULL) {
        xt_secret_free(jobs);
        free(hashing);
        return XT_NO_MEMORY;
    }
    memset(jobs, 0, XT_HASHING_MOST * sizeof(*jobs));
    hashing->jobs = jobs;
    hashing->settings = settings;
    /* The worker is on a processor of its own; whoever started it may use all that we may. */
    if (sched_getaffinity(getppid(), sizeof(hashing->processors), &hashing->processors) != 0) {
        (void)sched_getaffinity(0, sizeof(hashing->processors), &hashing->processors);
    }
    if (uv_sem_init(&hashing->published, 0) != 0) {
        xt_secret_free(jobs);
        free(hashing);
        return XT_NO_MEMORY;
    }
    if (open_done(loop, hashing) != XT_OK) {
        uv_sem_destroy(&hashing->published);
        xt_secret_free(jobs);
        free(hashing);
        return XT_NO_MEMORY;
    }
    *opened = hashing;
    unsigned threads = xt_hashing_threads(settings, (unsigned)CPU_COUNT(&hashing->processors));
    while (hashing->thread_count < threads) {
        if (uv_thread_create(&hashing->threads[hashing->thread_count], run, hashing) != 0) {
            return XT_NO_MEMORY; /* the caller stops and closes it */
        }
        hashing->thread_count++;
    }
    return XT_OK;
}

void xt_hashing_stop(struct xt_hashing *hashing)
{
    if (hashing == NULL || hashing->stopped) {
        return;
    }
    hashing->stopped = true;
    atomic_store(&hashing->stopping, true);
    for (unsigned i = 0; i < hashing->thread_count; i++) {
        uv_sem_post(&hashing->published);
    }
    for (unsigned i = 0; i < hashing->thread_count; i++) {
        (void)uv_thread_join(&hashing->threads[i]);
    }
    for (unsigned at = hashing->first; at != hashing->next; at++) {
        struct job *job = job_at(hashing, at);
        if (job->callback != NULL) {
            xt_wipe(job->passcode, sizeof(job->passcode));
            xt_wipe(job->pepper, sizeof(job->pepper));
            call_back(hashing, job, XT_CLOSED);
        }
    }
    hashing->first = hashing->next;
    uv_close((uv_handle_t *)&hashing->done, NULL);
    close(hashing->done_fd);
}

void xt_hashing_close(struct xt_hashing *hashing)
{
    if (hashing != NULL) {
        uv_sem_destroy(&hashing->published);
        xt_secret_free(hashing->jobs);
        free(hashing);
    }
}
