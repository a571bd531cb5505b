#include "bench/standard_window.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define EVERY_NS 50000000L
#define READINGS_MAX (20U * 3600U) /* an hour; then it goes on without keeping more */

struct reading {
    double time; /* Unix seconds */
    struct xt_counts counts;
};

struct xt_window {
    struct xt_counters *counters;
    pthread_t thread;
    _Atomic bool end;
    unsigned count, capacity;
    struct reading *readings;
};

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void take(struct xt_window *window)
{
    if (window->count == window->capacity) {
        unsigned capacity = window->capacity * 2 + 256;
        struct reading *larger =
            window->count < READINGS_MAX
                ? realloc(window->readings, capacity * sizeof(*window->readings))
                : NULL;
        if (larger == NULL) {
            return; /* then the window is not covered, which its end tells */
        }
        window->readings = larger;
        window->capacity = capacity;
    }
    struct reading *reading = &window->readings[window->count++];
    double before = now_s();
    xt_counters_read(window->counters, &reading->counts);
    reading->time = (before + now_s()) / 2;
}

static void *keep_reading(void *argument)
{
    struct xt_window *window = argument;
    while (!atomic_load(&window->end)) {
        struct timespec pause = {.tv_nsec = EVERY_NS};
        take(window);
        (void)nanosleep(&pause, NULL);
    }
    take(window);
    return NULL;
}

struct xt_window *xt_window_open(int pid)
{
    struct xt_window *window = calloc(1, sizeof(*window));
    if (window == NULL) {
        return NULL;
    }
    window->counters = xt_counters_open(pid);
    if (window->counters != NULL) {
        take(window); /* here: the thread may come too late on a busy machine */
    }
    if (window->counters == NULL ||
        pthread_create(&window->thread, NULL, keep_reading, window) != 0) {
        xt_counters_close(window->counters);
        free(window->readings);
        free(window);
        return NULL;
    }
    return window;
}

static double between(double a, double b, double share)
{
    return a + (b - a) * share;
}

/* The counters at a time, from the readings around it. false: it is not covered. */
static bool read_off(const struct xt_window *window, double time, struct xt_window_use *use)
{
    unsigned after = 0;
    while (after < window->count && window->readings[after].time < time) {
        after++;
    }
    if (after == 0 || after == window->count) {
        return false;
    }
    const struct reading *a = &window->readings[after - 1];
    const struct reading *b = &window->readings[after];
    double share = (time - a->time) / (b->time - a->time);
    use->cpu_us = between((double)a->counts.cpu_ns, (double)b->counts.cpu_ns, share) / 1e3;
    use->user_us = between((double)a->counts.user_us, (double)b->counts.user_us, share);
    use->system_us = between((double)a->counts.system_us, (double)b->counts.system_us, share);
    use->switches = between((double)a->counts.switches, (double)b->counts.switches, share);
    use->instructions =
        between((double)a->counts.instructions, (double)b->counts.instructions, share);
    use->cycles = between((double)a->counts.cycles, (double)b->counts.cycles, share);
    return a->counts.complete && b->counts.complete;
}

bool xt_window_close(struct xt_window *window, double from, double seconds,
                     struct xt_window_use *use)
{
    struct xt_window_use start;
    struct xt_window_use end;
    atomic_store(&window->end, true);
    (void)pthread_join(window->thread, NULL);
    bool fine = read_off(window, from, &start) && read_off(window, from + seconds, &end);
    if (fine) {
        *use = (struct xt_window_use){.cpu_us = end.cpu_us - start.cpu_us,
                                      .user_us = end.user_us - start.user_us,
                                      .system_us = end.system_us - start.system_us,
                                      .switches = end.switches - start.switches,
                                      .instructions = end.instructions - start.instructions,
                                      .cycles = end.cycles - start.cycles};
    }
    xt_counters_close(window->counters);
    free(window->readings);
    free(window);
    return fine;
}
