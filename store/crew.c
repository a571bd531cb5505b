#include "store/crew.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

unsigned xt_crew_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > XT_CREW_MAX ? XT_CREW_MAX : (unsigned)count;
}

struct crew {
    pthread_mutex_t mutex;
    uint64_t next, count;
    uint64_t failed_task; /* count: none */
    enum xt_status status;
    struct xt_failure failure;
    xt_crew_work work;
    void *context;
};

struct member {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

static void note_failure(struct crew *crew, uint64_t task, enum xt_status status,
                         const struct xt_failure *failure)
{
    pthread_mutex_lock(&crew->mutex);
    if (task < crew->failed_task) {
        crew->failed_task = task;
        crew->status = status;
        crew->failure = *failure;
    }
    pthread_mutex_unlock(&crew->mutex);
}

static void *work_through(void *data)
{
    const struct member *member = data;
    struct crew *crew = member->crew;
    for (;;) {
        pthread_mutex_lock(&crew->mutex);
        bool over = crew->next == crew->count || crew->failed_task != crew->count;
        uint64_t task = over ? 0 : crew->next++;
        pthread_mutex_unlock(&crew->mutex);
        if (over) {
            return NULL;
        }
        struct xt_failure failure = {.text = ""};
        enum xt_status status = crew->work(crew->context, member->number, task, &failure);
        if (status != XT_OK) {
            note_failure(crew, task, status, &failure);
        }
    }
}

enum xt_status xt_crew_run(unsigned threads, uint64_t count, xt_crew_work work, void *context,
                           struct xt_failure *failure)
{
    struct crew crew = {
        .count = count, .failed_task = count, .status = XT_OK, .work = work, .context = context};
    struct member members[XT_CREW_MAX];
    sigset_t all;
    sigset_t before;
    xt_require(threads >= 1 && threads <= XT_CREW_MAX);
    pthread_mutex_init(&crew.mutex, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    unsigned started = 1; /* this one */
    for (; started < threads && started < count; started++) {
        members[started] = (struct member){.crew = &crew, .number = started};
        if (pthread_create(&members[started].thread, NULL, work_through, &members[started]) != 0) {
            break; /* fewer do it as well */
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    members[0] = (struct member){.crew = &crew, .number = 0};
    (void)work_through(&members[0]);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(members[i].thread, NULL);
    }
    pthread_mutex_destroy(&crew.mutex);
    if (crew.status != XT_OK && failure != NULL) {
        *failure = crew.failure;
    }
    return crew.status;
}

void xt_order_init(struct xt_order *order)
{
    memset(order, 0, sizeof(*order));
    order->failed = UINT64_MAX;
    pthread_mutex_init(&order->mutex, NULL);
    pthread_cond_init(&order->changed, NULL);
}

void xt_order_destroy(struct xt_order *order)
{
    pthread_mutex_destroy(&order->mutex);
    pthread_cond_destroy(&order->changed);
}

enum xt_status xt_order_wait(struct xt_order *order, uint64_t task)
{
    pthread_mutex_lock(&order->mutex);
    while (order->next != task && task < order->failed) {
        pthread_cond_wait(&order->changed, &order->mutex);
    }
    bool is_next = order->next == task;
    pthread_mutex_unlock(&order->mutex);
    return is_next ? XT_OK : XT_CLOSED;
}

void xt_order_pass(struct xt_order *order, uint64_t task, enum xt_status status)
{
    pthread_mutex_lock(&order->mutex);
    if (status != XT_OK) {
        order->failed = task < order->failed ? task : order->failed;
    } else if (order->next == task) {
        order->next++;
    }
    pthread_cond_broadcast(&order->changed);
    pthread_mutex_unlock(&order->mutex);
}
