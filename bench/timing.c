/* xacthuc-bench timing: whether the time of an answer tells what the answer does not. */
#include "bench/timing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/commands.h"
#include "bench/load_run.h"
#include "bench/standard.h"
#include "core/command.h"

#define TLS_CLASSES                                                                                \
    (1U << XT_TIMING_WRONG | 1U << XT_TIMING_UNKNOWN | 1U << XT_TIMING_DECEASED |                  \
     1U << XT_TIMING_CONTROL | 1U << XT_TIMING_TOKEN_REVOKED | 1U << XT_TIMING_TOKEN_OVER |        \
     1U << XT_TIMING_TOKEN_FOREIGN | 1U << XT_TIMING_TOKEN_NOBODY |                                \
     1U << XT_TIMING_TOKEN_DECEASED)

static enum xt_status measure_in_process(const struct xt_timing_options *options,
                                         const struct xt_micro_deployment *deployment,
                                         const struct xt_timing_cases *cases,
                                         struct xt_timing_run *run, struct xt_failure *failure)
{
    struct xt_timing_samples samples;
    enum xt_status status = xt_timing_samples_open(options->requests / 3, &samples, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_timing_in_process(deployment, cases, options->deploy.seed, options->deploy.quiet,
                                  &samples, failure);
    if (status == XT_OK) {
        status = xt_timing_judge(&samples, cases, XT_TIMING_RESOLVES, run, failure);
    }
    xt_timing_samples_close(&samples);
    return status;
}

static enum xt_status measure_over_tls(const struct xt_timing_options *options,
                                       const struct xt_micro_deployment *deployment,
                                       struct xt_timing_cases *cases, struct xt_timing_run *run,
                                       struct xt_failure *failure)
{
    struct xt_timing_samples samples;
    enum xt_status status = xt_timing_samples_open(options->tls_requests / 3, &samples, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_timing_over_tls(options, deployment, cases, TLS_CLASSES, &samples, failure);
    if (status == XT_OK) {
        status = xt_timing_judge(&samples, cases, XT_TIMING_RESOLVES_TLS, run, failure);
    }
    xt_timing_samples_close(&samples);
    return status;
}

static enum xt_status measure_deployed(const struct xt_timing_options *options,
                                       const struct xt_micro_deployment *deployment,
                                       const struct xt_population *population,
                                       struct xt_timing_size *size, struct xt_failure *failure)
{
    struct xt_timing_cases cases;
    enum xt_status status = xt_micro_check_people(deployment->generation, population, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_timing_cases_open(population, &cases, failure);
    if (status == XT_OK) {
        size->pool = cases.counts[XT_TIMING_WRONG];
        status = measure_in_process(options, deployment, &cases, &size->runs[0], failure);
    }
    if (status == XT_OK && options->tls_requests > 0) {
        status = measure_over_tls(options, deployment, &cases, &size->runs[1], failure);
    }
    xt_timing_cases_close(&cases);
    return status;
}

static enum xt_status measure_size(const struct xt_timing_options *options, uint64_t count,
                                   struct xt_timing_size *size, struct xt_failure *failure)
{
    struct xt_micro_deployment deployment;
    struct xt_population *population = NULL;
    size->count = count;
    enum xt_status status = xt_population_open(options->deploy.seed, count, &population);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot make this population");
    }
    status = xt_micro_deploy(&options->deploy, count, &deployment, failure);
    if (status == XT_OK) {
        status = measure_deployed(options, &deployment, population, size, failure);
    }
    xt_micro_undeploy(&deployment);
    xt_population_close(population);
    return status;
}

static void describe(const struct xt_timing_options *options, struct xt_timing_result *result)
{
    time_t now = time(NULL);
    struct tm utc;
    (void)snprintf(result->program, sizeof(result->program), "xacthuc-bench %s", XT_VERSION);
    (void)snprintf(result->commit, sizeof(result->commit), "%s", options->deploy.commit);
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(result->date, sizeof(result->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    result->seed = options->deploy.seed;
    xt_machine_read(&result->machine);
}

static enum xt_status measure(const struct xt_timing_options *options,
                              struct xt_timing_result *result, struct xt_failure *failure)
{
    const struct xt_micro_options *deploy = &options->deploy;
    if (deploy->core >= 0 && !xt_standard_pin(deploy->core)) {
        return xt_fail(failure, XT_IO, "cannot run on core %d: %s", deploy->core, strerror(errno));
    }
    enum xt_status status = XT_OK;
    for (unsigned i = 0; i < deploy->size_count && status == XT_OK; i++) {
        status = measure_size(options, deploy->counts[i], &result->sizes[i], failure);
        result->size_count += status == XT_OK;
    }
    if (status == XT_OK && deploy->out != NULL) {
        status = xt_timing_write(result, deploy->out, failure);
    }
    return status;
}

int xt_bench_timing(int argc, char **argv)
{
    struct xt_timing_options options;
    struct xt_failure failure = {""};
    int exit_status = xt_timing_parse(argc, argv, &options);
    if (exit_status >= 0) {
        return exit_status;
    }
    struct xt_timing_result *result = calloc(1, sizeof(*result));
    if (result == NULL) {
        (void)fputs("xacthuc-bench timing: not enough memory\n", stderr);
        return XT_EXIT_FAILED;
    }
    describe(&options, result);
    xt_load_watch_signals();
    if (measure(&options, result, &failure) != XT_OK) {
        (void)fprintf(stderr, "xacthuc-bench timing: %s\n",
                      xt_load_interrupted() ? "interrupted; nothing is written" : failure.text);
        free(result);
        return XT_EXIT_FAILED;
    }
    if (options.deploy.out == NULL || strcmp(options.deploy.out, "-") != 0) {
        xt_timing_print(result);
    }
    bool blind;
    bool passes = xt_timing_failures(result, &blind) == 0;
    free(result);
    return fflush(stdout) == 0 && passes ? XT_EXIT_OK : XT_EXIT_FAILED;
}
