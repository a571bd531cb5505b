/* An overlay of people whose address changed, over the register that is measured: made as the server makes
 * one, by events, each group of them durable. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/load_run.h"
#include "bench/micro.h"
#include "crypto/file.h"
#include "store/live.h"
#include "store/progress.h"

static enum xt_status open_keyring(const char *dir, struct xt_keyring **keyring,
                                   struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    return xt_path_join(path, dir, "keys/master.keys") == XT_OK
               ? xt_keyring_open(path, keyring, failure)
               : xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
}

struct making {
    const struct xt_population *population;
    struct xt_live *live;
    struct xt_registry_event told;
    uint8_t memory[XT_LIVE_GROUP_MAX][XT_EVENT_MAX];
};

/* Person `index` has moved. */
static struct xt_span write_event(struct making *making, uint64_t index, uint8_t *memory)
{
    struct xt_resident person;
    struct xt_event event;
    uint8_t body[XT_EVENT_BODY_MAX];
    char event_id[24];
    int size = snprintf(event_id, sizeof(event_id), "%llu", (unsigned long long)index);
    struct xt_registry_envelope envelope = {.event_id = xt_span_of(event_id, (size_t)size)};
    xt_population_person(making->population, index, &person);
    making->told.type = XT_REGISTRY_ADDRESS_CHANGED;
    making->told.number = person.number;
    making->told.person.address_province = 1 + (unsigned)(index % 63);
    enum xt_status status = xt_event_from_registry("micro", &envelope, &making->told, body, &event);
    struct xt_writer writer = xt_writer_over(memory, XT_EVENT_MAX);
    xt_event_encode(&event, &writer);
    xt_require(status == XT_OK && !writer.overflow);
    return xt_written(&writer);
}

static enum xt_status apply(struct making *making, uint64_t from, uint64_t to, bool quiet,
                            struct xt_failure *failure)
{
    struct xt_progress progress;
    enum xt_status status = XT_OK;
    xt_progress_start(&progress, "changing people", "people", to - from, quiet);
    for (uint64_t at = from; at < to && status == XT_OK; at += XT_LIVE_GROUP_MAX) {
        struct xt_span events[XT_LIVE_GROUP_MAX];
        struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
        unsigned count =
            to - at < XT_LIVE_GROUP_MAX ? (unsigned)(to - at) : (unsigned)XT_LIVE_GROUP_MAX;
        for (unsigned i = 0; i < count; i++) {
            events[i] = write_event(making, at + i, making->memory[i]);
        }
        status = xt_live_apply(making->live, 1 + at, events, count, outcomes, failure);
        for (unsigned i = 0; i < count && status == XT_OK; i++) {
            if (outcomes[i].status != XT_OK &&
                outcomes[i].status != XT_DENIED) { /* the dead stay */
                status = xt_fail(failure, outcomes[i].status, "a change was refused: %s",
                                 xt_status_name(outcomes[i].status));
            }
        }
        xt_progress_set(&progress, at + count - from);
        status = status == XT_OK && xt_load_interrupted()
                     ? xt_fail(failure, XT_CLOSED, "interrupted")
                     : status;
    }
    xt_progress_finish(&progress);
    return status;
}

/* The writer's part, in a process of its own: LMDB wants a file opened once in each. */
static enum xt_status be_writer(const struct xt_population *population, const char *dir,
                                uint64_t from, uint64_t to, bool quiet, struct xt_failure *failure)
{
    struct making *making = calloc(1, sizeof(*making));
    struct xt_keyring *keyring = NULL;
    struct xt_generation *base = NULL;
    uint32_t number = 0;
    if (making == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    making->population = population;
    enum xt_status status = open_keyring(dir, &keyring, failure);
    if (status == XT_OK) {
        status = xt_generation_current(dir, &number, failure);
    }
    if (status == XT_OK) {
        status = xt_generation_open(dir, number, keyring, &base, failure);
    }
    if (status == XT_OK) {
        status = xt_live_open_writer(dir, keyring, &making->live, failure);
    }
    if (status == XT_OK) {
        xt_live_set_base(making->live, base);
        status = apply(making, from, to, quiet, failure);
    }
    xt_live_close(making->live);
    xt_generation_close(base);
    xt_keyring_close(keyring);
    free(making);
    return status;
}

static enum xt_status run_writer(const struct xt_population *population, const char *dir,
                                 uint64_t changed, bool quiet, struct xt_failure *failure)
{
    uint64_t count = xt_population_count(population);
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct xt_failure reason = {.text = ""};
        bool fine = be_writer(population, dir, count - changed, count, quiet, &reason) == XT_OK;
        if (!fine) {
            (void)fprintf(stderr, "%s\n", reason.text);
        }
        _exit(fine ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return xt_fail(failure, XT_IO, "cannot start a process");
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? XT_OK
               : xt_fail(failure, XT_IO, "the overlay was not made");
}

enum xt_status xt_micro_deploy_overlay(const struct xt_micro_options *options,
                                       const struct xt_population *population,
                                       struct xt_micro_deployment *deployment,
                                       struct xt_failure *failure)
{
    if (options->overlay > xt_population_count(population) / 2) {
        return xt_fail(failure, XT_INVALID, "--overlay takes at most half of --count");
    }
    enum xt_status status =
        run_writer(population, deployment->dir, options->overlay, options->quiet, failure);
    if (status == XT_OK) {
        status = open_keyring(deployment->dir, &deployment->keyring, failure);
    }
    if (status == XT_OK) {
        status =
            xt_live_open_reader(deployment->dir, deployment->keyring, &deployment->live, failure);
    }
    return status;
}
