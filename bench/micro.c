/* xacthuc-bench micro: what the parts of a verify cost, without a network. */
#include "bench/micro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/commands.h"
#include "bench/load_run.h"
#include "bench/standard.h"
#include "core/command.h"
#include "store/progress.h"

/* ---- one size ---- */

static enum xt_status keep_going(struct xt_failure *failure)
{
    return xt_load_interrupted() ? xt_fail(failure, XT_CLOSED, "interrupted") : XT_OK;
}

struct warming {
    struct xt_progress progress;
    uint64_t done;
};

static enum xt_status look(void *context, const struct xt_hot *hot)
{
    struct warming *warming = context;
    (void)hot;
    xt_progress_set(&warming->progress, ++warming->done);
    return xt_load_interrupted() ? XT_CLOSED : XT_OK;
}

/* Every page of the hot tables is looked at, so that the rounds wait for no disk and no page fault. */
static enum xt_status warm(const struct xt_micro_options *options,
                           const struct xt_micro_deployment *deployment, struct xt_failure *failure)
{
    struct warming warming = {.done = 0};
    xt_progress_start(&warming.progress, "looking through the register", "people",
                      xt_generation_manifest(deployment->generation)->people, options->quiet);
    enum xt_status status = xt_generation_each(deployment->generation, look, &warming);
    xt_progress_finish(&warming.progress);
    if (status == XT_OK && deployment->plain != NULL) {
        status = xt_plain_table_warm(deployment->plain);
    }
    return status == XT_OK       ? XT_OK
           : status == XT_CLOSED ? keep_going(failure)
                                 : xt_fail(failure, status,
                                           "the register is damaged; see xacthuc "
                                           "check");
}

/* What a part works on must be new to the caches where it stands for a register that is larger than them:
 * chosen for it alone. */
static unsigned needs_of(enum xt_micro_part part)
{
    return part >= XT_MICRO_HIT && part <= XT_MICRO_OVERLAY_CHANGED   ? XT_MICRO_KEYS
           : part == XT_MICRO_VERIFY || part == XT_MICRO_VERIFY_BATCH ? XT_MICRO_NEW_REQUESTS
                                                                      : 0;
}

/* Parts take turns in being first. Round 0 does not count. */
static enum xt_status run_round(const struct xt_micro_options *options,
                                const struct xt_micro_place *place, unsigned round,
                                struct xt_micro_size *size, struct xt_failure *failure)
{
    const unsigned turns = XT_MICRO_PARTS + 1; /* of a round */
    enum xt_status status =
        xt_micro_people_choose(place->people, round * turns,
                               XT_MICRO_KEYS | XT_MICRO_NEW_NAMES | XT_MICRO_NEW_REQUESTS, failure);
    if (status == XT_OK) {
        status = xt_micro_check_answers(place, failure);
    }
    for (unsigned i = 0; i < XT_MICRO_PARTS && status == XT_OK; i++) {
        enum xt_micro_part part = (enum xt_micro_part)((i + round) % XT_MICRO_PARTS);
        struct xt_micro_measure *measure = &size->measures[part];
        struct xt_micro_sample sample;
        sample.operations = 0;
        status = keep_going(failure);
        bool wanted = (options->parts & 1U << part) != 0;
        if (status == XT_OK && wanted) {
            status = xt_micro_people_choose(place->people, round * turns + 1 + part, needs_of(part),
                                            failure);
        }
        if (status == XT_OK && wanted) {
            status = xt_micro_part_run(part, place, &sample, failure);
        }
        if (status == XT_OK && round > 0 && sample.operations > 0) {
            measure->operations = sample.operations;
            measure->wall[measure->count] = sample.wall_ns / (double)sample.operations;
            measure->cpu[measure->count] = sample.cpu_ns / (double)sample.operations;
            measure->count++;
        }
    }
    return status;
}

static enum xt_status run_rounds(const struct xt_micro_options *options,
                                 const struct xt_micro_deployment *deployment,
                                 const struct xt_population *population, struct xt_micro_size *size,
                                 struct xt_failure *failure)
{
    struct xt_progress progress;
    struct xt_micro_place place = {
        .generation = deployment->generation, .plain = deployment->plain, .live = deployment->live};
    enum xt_status status = xt_micro_people_open(population, options, &place.people, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_progress_start(&progress, "measuring", "rounds", options->rounds + 1, options->quiet);
    for (unsigned round = 0; round <= options->rounds && status == XT_OK; round++) {
        status = run_round(options, &place, round, size, failure);
        xt_progress_set(&progress, round + 1);
    }
    xt_progress_finish(&progress);
    xt_micro_people_close(place.people);
    return status;
}

static enum xt_status measure_deployed(const struct xt_micro_options *options,
                                       struct xt_micro_deployment *deployment,
                                       const struct xt_population *population,
                                       struct xt_micro_size *size, struct xt_failure *failure)
{
    enum xt_status status = xt_micro_check_people(deployment->generation, population, failure);
    if (status == XT_OK && options->plain) {
        status = xt_micro_deploy_plain(options, deployment, failure);
    }
    if (status == XT_OK && options->overlay > 0) {
        status = xt_micro_deploy_overlay(options, population, deployment, failure);
    }
    if (status == XT_OK) {
        status = warm(options, deployment, failure);
    }
    if (status == XT_OK) {
        status = run_rounds(options, deployment, population, size, failure);
    }
    const struct xt_manifest *manifest = xt_generation_manifest(deployment->generation);
    size->hot_bytes = manifest->tables[XT_TABLE_HOT].disk_bytes;
    size->file_bytes = manifest->file_bytes;
    size->plain_bytes = deployment->plain_bytes;
    for (unsigned i = 0; i < XT_MICRO_PARTS; i++) {
        xt_micro_measure_settle(&size->measures[i]);
    }
    return status;
}

static enum xt_status measure_size(const struct xt_micro_options *options, uint64_t count,
                                   struct xt_micro_size *size, struct xt_failure *failure)
{
    struct xt_micro_deployment deployment;
    struct xt_population *population = NULL;
    size->count = count;
    enum xt_status status = xt_population_open(options->seed, count, &population);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot make this population");
    }
    status = xt_micro_deploy(options, count, &deployment, failure);
    if (status == XT_OK) {
        status = measure_deployed(options, &deployment, population, size, failure);
    }
    xt_micro_undeploy(&deployment);
    xt_population_close(population);
    return status;
}

/* ---- */

static void describe(const struct xt_micro_options *options, struct xt_micro_result *result)
{
    time_t now = time(NULL);
    struct tm utc;
    (void)snprintf(result->program, sizeof(result->program), "xacthuc-bench %s", XT_VERSION);
    (void)snprintf(result->commit, sizeof(result->commit), "%s", options->commit);
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(result->date, sizeof(result->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    result->seed = options->seed;
    result->rounds = options->rounds;
    result->keys = options->keys;
    result->requests = options->requests;
    result->group = XT_TABLE_GROUP;
    xt_machine_read(&result->machine);
}

static enum xt_status measure(const struct xt_micro_options *options,
                              struct xt_micro_result *result, struct xt_failure *failure)
{
    if (options->core >= 0 && !xt_standard_pin(options->core)) {
        return xt_fail(failure, XT_IO, "cannot run on core %d: %s", options->core, strerror(errno));
    }
    enum xt_status status = XT_OK;
    for (unsigned i = 0; i < options->size_count && status == XT_OK; i++) {
        status = measure_size(options, options->counts[i], &result->sizes[i], failure);
        result->size_count += status == XT_OK;
    }
    if (status == XT_OK && options->out != NULL) {
        status = xt_micro_write(result, options->out, failure);
    }
    return status;
}

int xt_bench_micro(int argc, char **argv)
{
    struct xt_micro_options options;
    struct xt_failure failure = {""};
    int exit_status = xt_micro_parse(argc, argv, &options);
    if (exit_status >= 0) {
        return exit_status;
    }
    struct xt_micro_result *result = calloc(1, sizeof(*result));
    if (result == NULL) {
        (void)fputs("xacthuc-bench micro: not enough memory\n", stderr);
        return XT_EXIT_FAILED;
    }
    describe(&options, result);
    xt_load_watch_signals();
    if (measure(&options, result, &failure) != XT_OK) {
        (void)fprintf(stderr, "xacthuc-bench micro: %s\n",
                      xt_load_interrupted() ? "interrupted; nothing is written" : failure.text);
        free(result);
        return XT_EXIT_FAILED;
    }
    if (options.out == NULL || strcmp(options.out, "-") != 0) {
        xt_micro_print(result);
    }
    free(result);
    return fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
}
