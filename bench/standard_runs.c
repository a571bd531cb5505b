#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bench/clock.h"
#include "bench/standard.h"
#include "bench/standard_window.h"

#define WARMUP "1s"
#define IDLE_SETTLE_S 0.5 /* connections of the last run are closed by then */
#define IDLE_MOST_S 3U    /* less when the runs are shorter */

/* Enough connections that the server is never without work in a closed loop, few enough that it is not
 * a test of the kernel's socket tables. */
void xt_standard_runs_init(struct xt_standard *set)
{
    const uint64_t *rates = set->options->rates;
    const struct xt_standard_run runs[XT_STANDARD_RUNS] = {
        {.name = "keep_alive", .connections = 64, .pipeline = 1},
        {.name = "open_low", .rate = rates[0], .connections = 64, .pipeline = 1},
        {.name = "open_high", .rate = rates[1], .connections = 64, .pipeline = 1},
        {.name = "pipelined", .connections = 16, .pipeline = 16},
        {.name = "handshake_full",
         .connections = 16,
         .pipeline = 1,
         .handshake = XT_LOAD_PER_REQUEST},
        {.name = "handshake_resumed",
         .connections = 16,
         .pipeline = 1,
         .handshake = XT_LOAD_RESUME},
    };
    memcpy(set->runs, runs, sizeof(runs));
}

void xt_standard_add(struct xt_standard_measures *measures, const char *name, const char *unit,
                     enum xt_compare_kind kind, bool more_is_better, double value)
{
    unsigned at = 0;
    while (at < measures->count && strcmp(measures->list[at].name, name) != 0) {
        at++;
    }
    xt_require(at < XT_STANDARD_MEASURES_MAX);
    struct xt_standard_measure *measure = &measures->list[at];
    if (at == measures->count) {
        *measure = (struct xt_standard_measure){
            .name = name, .unit = unit, .kind = kind, .more_is_better = more_is_better};
        measures->count++;
    }
    xt_require(measure->count < XT_STANDARD_ROUNDS_MAX);
    measure->values[measure->count++] = isfinite(value) && value > 0 ? value : 0;
}

/* ---- one run ---- */

static enum xt_status parse_options(const struct xt_standard *set,
                                    const struct xt_standard_run *run,
                                    const struct xt_standard_server *server,
                                    struct xt_load_options *options, char texts[6][48])
{
    char *const words[] = {
        "load", "--server", texts[0], "--seed", XT_STANDARD_SEED, "--count", texts[1],
        "--connections", texts[2], "--pipeline", texts[3], "--duration", texts[4], "--warmup",
        WARMUP, "--handshake", (char *)(uintptr_t)xt_load_handshake_name(run->handshake),
        "--requests", XT_STANDARD_REQUESTS, "--quiet", "--cert",
        (char *)(uintptr_t)server->certificate, "--key", (char *)(uintptr_t)server->key, "--ca",
        (char *)(uintptr_t)server->authority,
        /* last, so that a closed loop can leave them out */
        "--rate", texts[5], NULL};
    int count = (int)(sizeof(words) / sizeof(words[0])) - 1 - (run->rate == 0 ? 2 : 0);
    char *arguments[sizeof(words) / sizeof(words[0])]; /* getopt may reorder them */
    memcpy(arguments, words, sizeof(words));
    arguments[count] = NULL;
    (void)snprintf(texts[0], 48, "https://127.0.0.1:%u", server->port);
    (void)snprintf(texts[1], 48, "%llu", (unsigned long long)set->options->count);
    (void)snprintf(texts[2], 48, "%u", run->connections);
    (void)snprintf(texts[3], 48, "%u", run->pipeline);
    (void)snprintf(texts[4], 48, "%us", set->options->seconds);
    (void)snprintf(texts[5], 48, "%llu", (unsigned long long)run->rate);
    return xt_load_options_parse(count, arguments, options) < 0 ? XT_OK : XT_INVALID;
}

static void keep_seconds(const struct xt_standard *set, struct xt_standard_run *run, unsigned round,
                         const struct xt_load_figures *figures)
{
    for (unsigned i = 0; i < figures->second_count; i++) {
        const struct xt_load_second *row = &figures->seconds[i];
        if (row->second < set->options->seconds) {
            run->seconds[round * set->options->seconds + row->second] =
                (struct xt_standard_second){.right = row->right,
                                            .errors = row->errors,
                                            .p50 = row->p50,
                                            .p90 = row->p90,
                                            .p99 = row->p99,
                                            .p999 = row->p999,
                                            .max = row->max};
        }
    }
}

static void keep_errors(struct xt_standard *set, struct xt_standard_run *run,
                        const struct xt_load_figures *figures)
{
    uint64_t errors = figures->error_count + figures->early_errors;
    set->errors += errors;
    xt_standard_add(&run->measures, "errors", "", XT_COMPARE_ERRORS, false, (double)errors);
    for (unsigned kind = 0; kind < XT_LOAD_ERRORS && set->first_error[0] == '\0'; kind++) {
        if (figures->details[kind][0] != '\0') {
            (void)snprintf(set->first_error, sizeof(set->first_error), "%s: %s: %s", run->name,
                           xt_load_error_name((enum xt_load_error)kind), figures->details[kind]);
        }
    }
}

static void add_latency(struct xt_standard_run *run, const struct xt_load_figures *figures)
{
    static const struct {
        const char *name, *of_handshake;
        uint32_t thousandths;
    } list[] = {
        {"p50", "handshake_p50", 50000}, {"p99", "handshake_p99", 99000}, {"p99.9", NULL, 99900}};
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (run->rate > 0) { /* a closed loop's would hide pauses */
            xt_standard_add(&run->measures, list[i].name, "us", XT_COMPARE_SLICES, false,
                            xt_histogram_percentile(&figures->latency, list[i].thousandths));
        } else if (run->handshake != XT_LOAD_KEEP_ALIVE && list[i].of_handshake != NULL) {
            xt_standard_add(&run->measures, list[i].of_handshake, "us", XT_COMPARE_SLICES, false,
                            xt_histogram_percentile(&figures->handshake, list[i].thousandths));
        }
    }
}

static void add_use(struct xt_standard_run *run, const struct xt_window_use *use, double requests)
{
    struct xt_standard_measures *measures = &run->measures;
    xt_standard_add(measures, "server_cpu_per_request", "us", XT_COMPARE_SLICES, false,
                    use->cpu_us / requests);
    xt_standard_add(measures, "server_user_per_request", "us", XT_COMPARE_SHOWN, false,
                    use->user_us / requests);
    xt_standard_add(measures, "server_system_per_request", "us", XT_COMPARE_SHOWN, false,
                    use->system_us / requests);
    xt_standard_add(measures, "switches_per_request", "", XT_COMPARE_SLICES, false,
                    use->switches / requests);
    if (use->instructions > 0) {
        xt_standard_add(measures, "instructions_per_request", "", XT_COMPARE_SLICES, false,
                        use->instructions / requests);
        xt_standard_add(measures, "cycles_per_request", "", XT_COMPARE_SLICES, false,
                        use->cycles / requests);
    }
}

static enum xt_status measure(struct xt_standard *set, struct xt_standard_run *run, unsigned round,
                              const struct xt_load_figures *figures,
                              const struct xt_window_use *use, struct xt_failure *failure)
{
    double requests = (double)figures->in_time;
    if (xt_load_interrupted() || figures->interrupted) {
        return xt_fail(failure, XT_CLOSED, "interrupted");
    }
    keep_errors(set, run, figures);
    if (figures->in_time == 0 || figures->measured <= 0) {
        return XT_OK; /* told as errors; there is nothing else to tell */
    }
    keep_seconds(set, run, round, figures);
    xt_standard_add(&run->measures, "requests", "1/s", XT_COMPARE_SLICES, true,
                    requests / figures->measured);
    add_latency(run, figures);
    xt_standard_add(&run->measures, "client_cpu_per_request", "us", XT_COMPARE_SLICES, false,
                    (double)figures->client_cpu_us / requests);
    if (use != NULL) {
        add_use(run, use, requests);
    }
    return XT_OK;
}

static void tell(const struct xt_standard *set, const struct xt_standard_run *run, unsigned round,
                 const struct xt_load_figures *figures, const struct xt_window_use *use)
{
    (void)fprintf(stderr, "round %u of %u: %-17s %8.0f/s, %llu errors", round + 1,
                  set->options->rounds, run->name,
                  figures->measured > 0 ? (double)figures->in_time / figures->measured : 0,
                  (unsigned long long)(figures->error_count + figures->early_errors));
    if (use != NULL && figures->in_time > 0) {
        (void)fprintf(stderr, ", %.2f us CPU a request", use->cpu_us / (double)figures->in_time);
    }
    (void)fputc('\n', stderr);
}

static enum xt_status run_one(struct xt_standard *set, struct xt_standard_run *run, unsigned round,
                              const struct xt_standard_server *server, struct xt_failure *failure)
{
    struct xt_load_options options;
    struct xt_workload workload = {0};
    struct xt_load_target target;
    struct xt_load_figures *figures = NULL;
    struct xt_window *window = NULL;
    struct xt_window_use use;
    char texts[6][48];
    enum xt_status status = parse_options(set, run, server, &options, texts);
    if (status != XT_OK) {
        return xt_fail(failure, status, "%s: load does not take these options", run->name);
    }
    status = xt_workload_make(&options, &workload, failure);
    if (status == XT_OK) {
        status = xt_load_resolve(&options, &target, failure);
    }
    if (status == XT_OK) {
        status = xt_load_try(&options, &workload, &target, failure);
    }
    if (status == XT_OK) {
        window = xt_window_open(server->process.pid);
        status =
            xt_load_run(&options, &workload, &target, run->rate, NULL, NULL, &figures, failure);
    }
    bool covered = window != NULL && xt_window_close(window, figures != NULL ? figures->began : 0,
                                                     figures != NULL ? figures->measured : 0, &use);
    if (status == XT_OK && figures != NULL) {
        status = measure(set, run, round, figures, covered ? &use : NULL, failure);
    }
    if (status == XT_OK && figures != NULL && !set->options->quiet) {
        tell(set, run, round, figures, covered ? &use : NULL);
    }
    xt_load_figures_free(figures);
    xt_workload_free(&workload);
    return status;
}

/* ---- a server that nobody asks ---- */

static bool sleep_s(double seconds)
{
    for (double until = xt_clock_s() + seconds; xt_clock_s() < until && !xt_load_interrupted();) {
        struct timespec pause = {.tv_nsec = 20000000};
        (void)nanosleep(&pause, NULL);
    }
    return !xt_load_interrupted();
}

static enum xt_status measure_idle(struct xt_standard *set, const struct xt_standard_server *server,
                                   struct xt_failure *failure)
{
    struct xt_process_memory memory;
    struct xt_counts before;
    struct xt_counts after;
    struct xt_counters *counters = NULL;
    const char *reason = "";
    if (sleep_s(IDLE_SETTLE_S)) {
        counters = xt_counters_open(server->process.pid);
    }
    if (counters == NULL) {
        return xt_fail(failure, XT_IO, xt_load_interrupted() ? "interrupted" : "the server ended");
    }
    double start = xt_clock_s();
    xt_counters_read(counters, &before);
    bool slept = sleep_s(set->options->seconds < IDLE_MOST_S ? set->options->seconds : IDLE_MOST_S);
    xt_counters_read(counters, &after);
    double seconds = xt_clock_s() - start;
    if (!xt_counters_hardware(counters, &reason)) {
        (void)snprintf(set->no_counters, sizeof(set->no_counters), "%s", reason);
    }
    xt_counters_close(counters);
    if (!slept) {
        return xt_fail(failure, XT_CLOSED, "interrupted");
    }
    if (before.complete && after.complete) {
        xt_standard_add(&set->measures, "idle_cpu", "us/s", XT_COMPARE_SLICES, false,
                        (double)(after.cpu_ns - before.cpu_ns) / 1e3 / seconds);
        xt_standard_add(&set->measures, "idle_switches", "1/s", XT_COMPARE_SLICES, false,
                        (double)(after.switches - before.switches) / seconds);
    }
    if (xt_process_memory(server->process.pid, &memory)) {
        xt_standard_add(&set->measures, "server_memory", "bytes", XT_COMPARE_SLICES, false,
                        (double)memory.bytes);
    } else {
        set->no_memory = true;
    }
    return XT_OK;
}

enum xt_status xt_standard_run_all(struct xt_standard *set, unsigned round,
                                   const struct xt_standard_server *server,
                                   struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (unsigned i = 0; status == XT_OK && i < XT_STANDARD_RUNS; i++) {
        status = run_one(set, &set->runs[i], round, server, failure);
    }
    return status == XT_OK ? measure_idle(set, server, failure) : status;
}
