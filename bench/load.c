/* xacthuc-bench load: drives a server, checks every answer, says how fast it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/commands.h"
#include "bench/load_result.h"
#include "bench/load_view.h"
#include "bench/output.h"
#include "core/command.h"

/* The search for the knee. */
#define KNEE_STEP 2U      /* the rate rises by one part in 2 until a step fails */
#define KNEE_CLOSE 33U    /* bisect until the bounds differ by less than a 33rd (3 %) */
#define KNEE_ACHIEVED 99U /* per cent of the wanted rate that must be reached */
#define FILES_RESERVE 64U /* descriptors beside the connections' */

static int fail(const struct xt_failure *failure)
{
    (void)fprintf(stderr, "xacthuc-bench load: %s\n", failure->text);
    return XT_EXIT_FAILED;
}

/* Found out before the run, not after it. */
static enum xt_status check_writable(const char *path, struct xt_failure *failure)
{
    char folder[XT_OUTPUT_PATH_MAX];
    if (path == NULL || strcmp(path, "-") == 0 || access(path, W_OK) == 0) {
        return XT_OK;
    }
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (size >= sizeof(folder)) {
        return xt_fail(failure, XT_TOO_LARGE, "the path given to --out is too long; shorten it");
    }
    memcpy(folder, path, size);
    memcpy(folder + size, ".", 2);
    return access(path, F_OK) != 0 && access(folder, W_OK) == 0
               ? XT_OK
               : xt_fail(failure, XT_IO, "cannot write to %s; choose another file", path);
}

static enum xt_status allow_files(unsigned connections, struct xt_failure *failure)
{
    struct rlimit limit;
    rlim_t wanted = connections + FILES_RESERVE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return XT_OK;
    }
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (limit.rlim_cur < wanted || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return xt_fail(failure, XT_INVALID,
                       "%u connections need %llu open files; raise ulimit -n or ask for fewer",
                       connections, (unsigned long long)wanted);
    }
    return XT_OK;
}

static enum xt_status write_hdr(const struct xt_histogram *histogram, const char *path,
                                struct xt_failure *failure)
{
    struct xt_output output;
    enum xt_status status = xt_output_open(&output, path, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_histogram_write(histogram, &output, failure);
    if (status == XT_OK) {
        status = xt_output_commit(&output, failure);
    }
    xt_output_close(&output);
    return status;
}

/* ---- the knee ---- */

struct search {
    const struct xt_load_options *options;
    const struct xt_workload *workload;
    const struct xt_load_target *target;
    struct xt_load_knee knee;
    struct xt_load_figures *best, *last; /* of the fastest step that kept it; of the last one */
};

static enum xt_status step(struct search *search, uint64_t rate, bool *kept,
                           struct xt_failure *failure)
{
    struct xt_load_figures *figures;
    enum xt_status status = xt_load_run(search->options, search->workload, search->target, rate,
                                        NULL, NULL, &figures, failure);
    if (status != XT_OK) {
        return status;
    }
    double achieved = figures->measured > 0 ? (double)figures->in_time / figures->measured : 0;
    struct xt_load_step row = {.rate = rate,
                               .achieved = (uint64_t)(achieved + 0.5),
                               .errors = figures->error_count,
                               .p50 = xt_histogram_percentile(&figures->latency, 50000),
                               .p99 = xt_histogram_percentile(&figures->latency, 99000),
                               .p999 = xt_histogram_percentile(&figures->latency, 99900)};
    row.kept = !figures->interrupted && row.errors == 0 && row.p99 <= search->options->slo_us &&
               row.achieved * 100 >= rate * KNEE_ACHIEVED;
    search->knee.steps[search->knee.count++] = row;
    if (!search->options->quiet) {
        (void)fprintf(stderr,
                      "%8llu/s: %8llu/s, p50 %u us, p99 %u us, p99.9 %u us, %llu errors%s\n",
                      (unsigned long long)rate, (unsigned long long)row.achieved, row.p50, row.p99,
                      row.p999, (unsigned long long)row.errors, row.kept ? "" : "  too much");
    }
    *kept = row.kept;
    if (search->last != search->best) {
        xt_load_figures_free(search->last);
    }
    search->last = figures;
    if (row.kept && rate > search->knee.rate) {
        xt_load_figures_free(search->best);
        search->best = figures;
        search->knee.rate = rate;
    }
    return XT_OK;
}

/* A step that fails is tried once more: a hiccup of the machine is not the server's limit. A wrong
 * answer ends the search. */
static enum xt_status try_rate(struct search *search, uint64_t rate, bool *kept,
                               struct xt_failure *failure)
{
    enum xt_status status = step(search, rate, kept, failure);
    if (status == XT_OK && !*kept && !search->last->found_wrong && !xt_load_interrupted()) {
        status = step(search, rate, kept, failure);
    }
    return status;
}

static bool may_go_on(const struct search *search)
{
    return search->knee.count + 2 <= XT_LOAD_STEPS_MAX && !xt_load_interrupted() &&
           (search->last == NULL || !search->last->found_wrong);
}

static enum xt_status find_knee(struct search *search, struct xt_failure *failure)
{
    uint64_t rate = search->options->rate;
    uint64_t kept_rate = 0;
    uint64_t failed_rate = 0;
    bool kept = false;
    enum xt_status status = XT_OK;
    while (status == XT_OK && failed_rate == 0 && may_go_on(search)) {
        status = try_rate(search, rate, &kept, failure);
        if (kept) {
            kept_rate = rate;
            if (rate == XT_LOAD_RATE_MAX) {
                return status;
            }
            rate += rate / KNEE_STEP + 1;
            rate = rate < XT_LOAD_RATE_MAX ? rate : XT_LOAD_RATE_MAX;
        } else {
            failed_rate = rate;
        }
    }
    while (status == XT_OK && failed_rate - kept_rate > failed_rate / KNEE_CLOSE + 1 &&
           may_go_on(search)) {
        rate = kept_rate + (failed_rate - kept_rate) / 2;
        status = try_rate(search, rate, &kept, failure);
        *(kept ? &kept_rate : &failed_rate) = rate;
    }
    return status;
}

static void print_knee(const struct xt_load_knee *knee, const struct xt_load_options *options,
                       FILE *out)
{
    if (knee->rate > 0) {
        (void)fprintf(out, "knee         %llu/s: the most with p99 of at most %llu us\n",
                      (unsigned long long)knee->rate, (unsigned long long)options->slo_us);
    } else {
        (void)fprintf(out,
                      "knee         none: p99 is past %llu us, or the rate not reached, from the "
                      "start; try a lower --rate\n",
                      (unsigned long long)options->slo_us);
    }
}

/* ---- the command ---- */

static int report(const struct xt_load_result *result)
{
    const struct xt_load_options *options = result->options;
    const struct xt_load_figures *figures = result->figures;
    struct xt_failure failure = {""};
    bool to_output = options->out != NULL && strcmp(options->out, "-") == 0;
    FILE *out = to_output ? stderr : stdout;
    if (result->knee != NULL) {
        print_knee(result->knee, options, out);
    }
    xt_load_summary(options, figures, out);
    if (fflush(out) != 0 ||
        (options->hdr != NULL && write_hdr(&figures->latency, options->hdr, &failure) != XT_OK) ||
        (options->out != NULL && xt_load_result_write(result, options->out, &failure) != XT_OK)) {
        return fail(&failure);
    }
    bool fine = figures->latency.count > 0 && figures->early_errors == 0 &&
                (result->knee != NULL ? result->knee->rate > 0 && !figures->found_wrong
                                      : figures->error_count == 0);
    return fine ? XT_EXIT_OK : XT_EXIT_FAILED;
}

static int run(struct xt_load_result *result, const struct xt_load_target *target)
{
    const struct xt_load_options *options = result->options;
    struct xt_failure failure = {""};
    struct xt_load_view view;
    struct xt_load_figures *figures = NULL;
    xt_load_view_init(&view, options);
    enum xt_status status = xt_load_run(options, result->workload, target, options->rate,
                                        xt_load_view_watch, &view, &figures, &failure);
    xt_load_view_end(&view);
    if (status != XT_OK) {
        return fail(&failure);
    }
    result->figures = figures;
    int exit_status = report(result);
    xt_load_figures_free(figures);
    return exit_status;
}

static int run_search(struct xt_load_result *result, const struct xt_load_target *target)
{
    struct xt_failure failure = {""};
    struct search search = {
        .options = result->options, .workload = result->workload, .target = target};
    int exit_status = XT_EXIT_FAILED;
    if (find_knee(&search, &failure) != XT_OK) {
        (void)fail(&failure);
    } else if (search.last == NULL) {
        (void)fputs("xacthuc-bench load: interrupted before the first step was over\n", stderr);
    } else {
        bool wrong = search.last->found_wrong; /* a wrong answer matters more than the best step */
        result->figures = search.best != NULL && !wrong ? search.best : search.last;
        result->knee = &search.knee;
        exit_status = report(result);
    }
    if (search.last != search.best) {
        xt_load_figures_free(search.last);
    }
    xt_load_figures_free(search.best);
    return exit_status;
}

int xt_bench_load(int argc, char **argv)
{
    struct xt_load_options options;
    struct xt_workload workload = {0};
    struct xt_load_target target;
    struct xt_machine machine;
    struct xt_failure failure = {""};
    int status = xt_load_options_parse(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    enum xt_status made = xt_workload_make(&options, &workload, &failure);
    if (made == XT_INVALID) {
        return xt_load_usage("%s", failure.text);
    }
    if (made != XT_OK) {
        return fail(&failure);
    }
    xt_machine_read(&machine);
    struct xt_process_use use;
    struct xt_load_result result = {
        .options = &options, .workload = &workload, .machine = &machine};
    xt_load_watch_signals();
    if (options.server_pid != 0 && !xt_process_read(options.server_pid, &use)) {
        (void)xt_fail(&failure, XT_NOT_FOUND, "there is no process %d; look at --server-pid",
                      options.server_pid);
        status = fail(&failure);
    } else if (check_writable(options.out, &failure) != XT_OK ||
               check_writable(options.hdr, &failure) != XT_OK ||
               allow_files(options.connections, &failure) != XT_OK ||
               xt_load_resolve(&options, &target, &failure) != XT_OK ||
               xt_load_try(&options, &workload, &target, &failure) != XT_OK) {
        status = fail(&failure);
    } else {
        status = options.find_knee ? run_search(&result, &target) : run(&result, &target);
    }
    xt_workload_free(&workload);
    return status;
}
