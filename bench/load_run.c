#include "bench/load_run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "bench/clock.h"

#define POLL_NS 50000000ULL        /* how soon an interruption is noticed */
#define START_DELAY_NS 20000000ULL /* so that every thread sees the start before it */

static volatile sig_atomic_t interrupted;

static void note_interruption(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void xt_load_watch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_interruption, .sa_flags = SA_RESETHAND};
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction before;
        /* One that is ignored (nohup) stays so. */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            (void)sigaction(signals[i], &action, NULL);
        }
    }
}

bool xt_load_interrupted(void)
{
    return interrupted != 0;
}

enum xt_status xt_load_resolve(const struct xt_load_options *options, struct xt_load_target *target,
                               struct xt_failure *failure)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int error = getaddrinfo(options->host, options->port, &hints, &list);
    if (error != 0) {
        return xt_fail(failure, XT_IO, "cannot find %s: %s", options->host, gai_strerror(error));
    }
    target->size = list->ai_addrlen;
    memcpy(&target->address, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return XT_OK;
}

/* A run while it goes on. */
struct conduct {
    struct xt_load_shared shared;
    struct xt_load_thread *threads;
    unsigned thread_count; /* started */
    struct xt_load_figures *figures;
};

static uint64_t client_cpu_us(void)
{
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000U +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void sleep_until(uint64_t ns)
{
    struct timespec until = {.tv_sec = (time_t)(ns / 1000000000U),
                             .tv_nsec = (long)(ns % 1000000000U)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static enum xt_status start_threads(struct conduct *conduct, struct xt_failure *failure)
{
    struct xt_load_shared *shared = &conduct->shared;
    sigset_t all;
    sigset_t before;
    conduct->threads = calloc(shared->threads, sizeof(*conduct->threads));
    if (conduct->threads == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory for the threads");
    }
    /* Signals are for the thread that waits here. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    for (unsigned i = 0; error == 0 && i < shared->threads; i++) {
        struct xt_load_thread *thread = &conduct->threads[i];
        thread->shared = shared;
        thread->index = i;
        error = pthread_create(&thread->id, NULL, xt_load_loop_run, thread);
        conduct->thread_count += error == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? XT_OK
                      : xt_fail(failure, XT_IO, "cannot start a thread: %s", strerror(error));
}

static void join_threads(struct conduct *conduct)
{
    for (unsigned i = 0; i < conduct->thread_count; i++) {
        (void)pthread_join(conduct->threads[i].id, NULL);
    }
}

static enum xt_status thread_failure(const struct conduct *conduct, struct xt_failure *failure)
{
    for (unsigned i = 0; i < conduct->thread_count; i++) {
        if (conduct->threads[i].result.failed) {
            *failure = conduct->threads[i].result.failure;
            return XT_INVALID;
        }
    }
    return XT_OK;
}

static void set_up(struct conduct *conduct, const struct xt_load_options *options,
                   const struct xt_workload *workload, const struct xt_load_target *target)
{
    *conduct = (struct conduct){.shared = {.options = options,
                                           .workload = workload,
                                           .address = target->address,
                                           .address_size = target->size,
                                           .threads = 1,
                                           .mutex = PTHREAD_MUTEX_INITIALIZER}};
    atomic_store(&conduct->shared.end_ns, UINT64_MAX);
}

static void tear_down(struct conduct *conduct)
{
    for (unsigned i = 0; conduct->shared.seconds != NULL && i < conduct->shared.second_count; i++) {
        free(conduct->shared.seconds[i]);
    }
    free(conduct->shared.seconds);
    free(conduct->threads);
    (void)pthread_mutex_destroy(&conduct->shared.mutex);
}

enum xt_status xt_load_try(const struct xt_load_options *options,
                           const struct xt_workload *workload, const struct xt_load_target *target,
                           struct xt_failure *failure)
{
    static const char *const advice[XT_LOAD_ERRORS] = {
        [XT_LOAD_CONNECT] = "is the server running?",
        [XT_LOAD_HANDSHAKE] = "look at --cert, --key and --ca",
        [XT_LOAD_TIMEOUT] = "look at the server's log",
        [XT_LOAD_CLOSED] = "look at the server's log",
        [XT_LOAD_UNFINISHED] = "look at the server's log"};
    struct conduct conduct;
    set_up(&conduct, options, workload, target);
    conduct.shared.once = true;
    uint64_t now = xt_clock_ns();
    atomic_store(&conduct.shared.start_ns, now);
    atomic_store(&conduct.shared.end_ns, now + options->timeout_ns);
    enum xt_status status = start_threads(&conduct, failure);
    while (status == XT_OK && atomic_load(&conduct.shared.finished) < conduct.thread_count) {
        sleep_until(xt_clock_ns() + 1000000);
        if (xt_load_interrupted()) {
            atomic_store(&conduct.shared.end_ns, 1);
            status = xt_fail(failure, XT_IO, "interrupted before it began");
        }
    }
    join_threads(&conduct);
    if (status == XT_OK) {
        status = thread_failure(&conduct, failure);
    }
    for (unsigned i = 0; status == XT_OK && i < XT_LOAD_ERRORS; i++) {
        if (advice[i] != NULL && conduct.shared.details[i][0] != '\0') {
            status = xt_fail(failure, XT_IO, "%s: %s: %s; %s", options->server,
                             xt_load_error_name((enum xt_load_error)i), conduct.shared.details[i],
                             advice[i]);
        }
    }
    tear_down(&conduct);
    return status;
}

/* ---- a run ---- */

/* Takes over a second that every thread has left behind. */
static void take_second(struct conduct *conduct, unsigned second)
{
    struct xt_load_figures *figures = conduct->figures;
    struct xt_load_shared *shared = &conduct->shared;
    xt_require(pthread_mutex_lock(&shared->mutex) == 0);
    struct xt_load_tally *tally = shared->seconds[second];
    shared->seconds[second] = NULL;
    xt_require(pthread_mutex_unlock(&shared->mutex) == 0);
    struct xt_load_second *row = &figures->seconds[figures->second_count++];
    *row = (struct xt_load_second){.second = second};
    if (tally == NULL) {
        return;
    }
    for (unsigned i = 0; i < XT_LOAD_ERRORS; i++) {
        row->errors += tally->errors[i];
        figures->errors[i] += tally->errors[i];
    }
    figures->error_count += row->errors;
    row->right = tally->latency.count;
    row->p50 = xt_histogram_percentile(&tally->latency, 50000);
    row->p90 = xt_histogram_percentile(&tally->latency, 90000);
    row->p99 = xt_histogram_percentile(&tally->latency, 99000);
    row->p999 = xt_histogram_percentile(&tally->latency, 99900);
    row->max = tally->latency.max;
    xt_histogram_merge(&figures->latency, &tally->latency);
    figures->in_time += tally->in_time;
    free(tally);
}

static unsigned complete_seconds(const struct conduct *conduct)
{
    unsigned least = conduct->shared.second_count;
    for (unsigned i = 0; i < conduct->thread_count; i++) {
        unsigned published = atomic_load(&conduct->threads[i].result.published);
        least = published < least ? published : least;
    }
    return least;
}

static void take_seconds(struct conduct *conduct, unsigned before, xt_load_watcher *watcher,
                         void *data)
{
    struct xt_load_figures *figures = conduct->figures;
    unsigned complete = complete_seconds(conduct);
    complete = complete < before ? complete : before;
    while (figures->second_count < complete) {
        take_second(conduct, figures->second_count);
        if (watcher != NULL) {
            watcher(data, figures);
        }
    }
}

static void wait_until_ready(struct conduct *conduct)
{
    const struct xt_load_shared *shared = &conduct->shared;
    uint64_t give_up = xt_clock_ns() + shared->options->timeout_ns;
    while (atomic_load(&shared->ready) + atomic_load(&shared->finished) < conduct->thread_count &&
           xt_clock_ns() < give_up && !xt_load_interrupted()) {
        sleep_until(xt_clock_ns() + 1000000);
    }
}

static uint64_t server_cpu_us(const struct conduct *conduct)
{
    struct xt_load_figures *figures = conduct->figures;
    int pid = conduct->shared.options->server_pid;
    struct xt_process_use use;
    figures->has_server = pid != 0 && xt_process_read(pid, &use);
    if (!figures->has_server) {
        return 0;
    }
    figures->server = use;
    int helper = conduct->shared.options->helper_pid;
    if (helper != 0) {
        figures->has_server = xt_process_read(helper, &use);
        figures->server.cpu_us += use.cpu_us;
        figures->server.resident_bytes += use.resident_bytes;
        figures->server.processes += use.processes;
    }
    return figures->server.cpu_us;
}

/* From the start to the end of the drain. */
static void follow(struct conduct *conduct, xt_load_watcher *watcher, void *data)
{
    struct xt_load_shared *shared = &conduct->shared;
    struct xt_load_figures *figures = conduct->figures;
    const struct xt_load_options *options = shared->options;
    uint64_t start = xt_clock_ns() + START_DELAY_NS;
    uint64_t end = start + options->ramp_ns + options->warmup_ns + options->duration_ns;
    shared->measure_ns = end - options->duration_ns;
    atomic_store(&shared->end_ns, end);
    atomic_store(&shared->start_ns, start);
    uint64_t client_before = 0;
    uint64_t server_before = 0;
    bool measuring = false;
    uint64_t now = xt_clock_ns();
    unsigned whole = (unsigned)((options->duration_ns + XT_LOAD_SECOND_NS - 1) / XT_LOAD_SECOND_NS);
    while (now < end) {
        uint64_t next = measuring ? end : shared->measure_ns;
        sleep_until(now + POLL_NS < next ? now + POLL_NS : next);
        now = xt_clock_ns();
        if (!measuring && now >= shared->measure_ns) {
            struct timeval time;
            (void)gettimeofday(&time, NULL);
            measuring = true;
            figures->began = (double)time.tv_sec + (double)time.tv_usec / 1e6;
            client_before = client_cpu_us();
            server_before = server_cpu_us(conduct);
        }
        if (xt_load_interrupted() || atomic_load(&shared->finished) == conduct->thread_count) {
            figures->interrupted = now < end;
            end = now < end ? now : end;
            atomic_store(&shared->end_ns, end);
        }
        take_seconds(conduct, whole, watcher, data);
    }
    figures->client_cpu_us = measuring ? client_cpu_us() - client_before : 0;
    bool had_server = figures->has_server;
    uint64_t server_after = measuring ? server_cpu_us(conduct) : 0;
    figures->has_server = figures->has_server && had_server;
    figures->server_cpu_us = figures->has_server ? server_after - server_before : 0;
    figures->measured = measuring ? (double)(end - shared->measure_ns) / 1e9 : 0;
}

static void gather(struct conduct *conduct)
{
    struct xt_load_figures *figures = conduct->figures;
    unsigned last = 0;
    for (unsigned i = 0; i < conduct->shared.second_count; i++) {
        if (conduct->shared.seconds[i] != NULL) {
            last = i + 1;
        }
    }
    take_seconds(conduct, last, NULL, NULL);
    for (unsigned i = 0; i < conduct->thread_count; i++) {
        const struct xt_load_loop_result *result = &conduct->threads[i].result;
        figures->connections += result->connections;
        figures->resumed += result->resumed;
        figures->signatures += result->signatures;
        figures->early_right += result->early_right;
        xt_histogram_merge(&figures->handshake, &result->handshake);
        for (unsigned kind = 0; kind < XT_LOAD_ERRORS; kind++) {
            figures->early_errors += result->early[kind];
        }
    }
    memcpy(figures->details, conduct->shared.details, sizeof(figures->details));
    figures->found_wrong = figures->details[XT_LOAD_VERDICT][0] != '\0' ||
                           figures->details[XT_LOAD_MALFORMED][0] != '\0' ||
                           figures->details[XT_LOAD_STATUS][0] != '\0';
}

enum xt_status xt_load_run(const struct xt_load_options *options,
                           const struct xt_workload *workload, const struct xt_load_target *target,
                           uint64_t rate, xt_load_watcher *watcher, void *data,
                           struct xt_load_figures **figures, struct xt_failure *failure)
{
    struct conduct conduct;
    set_up(&conduct, options, workload, target);
    struct xt_load_shared *shared = &conduct.shared;
    shared->rate = rate;
    shared->threads = options->threads;
    shared->second_count =
        (unsigned)((options->duration_ns + XT_LOAD_DRAIN_NS) / XT_LOAD_SECOND_NS) + 3;
    shared->seconds = calloc(shared->second_count, sizeof(struct xt_load_tally *));
    struct xt_load_figures *made = calloc(1, sizeof(*made));
    if (made != NULL) {
        made->seconds = calloc(shared->second_count, sizeof(*made->seconds));
    }
    conduct.figures = made;
    if (made == NULL || made->seconds == NULL || shared->seconds == NULL) {
        xt_load_figures_free(made);
        tear_down(&conduct);
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory for the results");
    }
    made->rate = rate;
    enum xt_status status = start_threads(&conduct, failure);
    if (status == XT_OK) {
        wait_until_ready(&conduct);
        follow(&conduct, watcher, data);
    } else {
        atomic_store(&shared->end_ns, 1); /* those that did start end at once */
    }
    join_threads(&conduct);
    if (status == XT_OK) {
        status = thread_failure(&conduct, failure);
    }
    if (status == XT_OK) {
        gather(&conduct);
        *figures = made;
    } else {
        xt_load_figures_free(made);
    }
    tear_down(&conduct);
    return status;
}

void xt_load_figures_free(struct xt_load_figures *figures)
{
    if (figures != NULL) {
        free(figures->seconds);
        free(figures);
    }
}
