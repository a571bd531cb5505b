/* A register to measure on: the one given, or one made for the occasion. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bench/load_run.h"
#include "bench/micro.h"
#include "bench/process.h"
#include "bench/random.h"
#include "bench/standard.h"
#include "store/command_line.h"
#include "store/progress.h"
#include "store/warm_up.h"

#define INIT_LIMIT_MS 60000U
#define IMPORT_LIMIT_MS 3600000U /* the largest population takes a third of it on two cores */
#define PERSON_BYTES 450U        /* on disk at the peak of an import, roughly */
#define FULL_PERSON_BYTES 1000U  /* the same with documents */
#define SAMPLED 1000U
#define WARM_STEP (16U << 20)

static bool given_up(void)
{
    return xt_load_interrupted();
}

static enum xt_status interrupted(struct xt_failure *failure)
{
    return xt_fail(failure, XT_CLOSED, "interrupted");
}

/* ---- room ---- */

static enum xt_status make_folder(const struct xt_micro_options *options,
                                  struct xt_micro_deployment *deployment,
                                  struct xt_failure *failure)
{
    const char *base = options->folder != NULL ? options->folder : getenv("TMPDIR");
    base = base != NULL && base[0] != '\0' ? base : "/tmp";
    int size =
        snprintf(deployment->folder, sizeof(deployment->folder), "%s/xacthuc-micro-XXXXXX", base);
    if (size <= 0 || size >= XT_MICRO_PATH_MAX - 64 || mkdtemp(deployment->folder) == NULL) {
        deployment->folder[0] = '\0';
        return xt_fail(failure, XT_IO, "cannot make a folder in %.200s: %s; give another --temp",
                       base, strerror(errno));
    }
    return XT_OK;
}

static enum xt_status check_room(const char *folder, uint64_t needed, struct xt_failure *failure)
{
    struct statvfs facts;
    if (statvfs(folder, &facts) != 0) {
        return xt_fail(failure, XT_IO, "cannot look at %.200s: %s", folder, strerror(errno));
    }
    uint64_t free_bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
    return free_bytes >= needed
               ? XT_OK
               : xt_fail(failure, XT_DISK_FULL,
                         "%.200s has room for %.1f GB and this needs %.1f: make some, or give "
                         "another --temp",
                         folder, (double)free_bytes / 1e9, (double)needed / 1e9);
}

/* ---- people made and imported ---- */

enum xt_status xt_micro_beside_us(const char *name, char path[XT_MICRO_PATH_MAX],
                                  struct xt_failure *failure)
{
    ssize_t size = readlink("/proc/self/exe", path, XT_MICRO_PATH_MAX - 32);
    if (size <= 0 || size >= XT_MICRO_PATH_MAX - 32) {
        return xt_fail(failure, XT_IO, "cannot tell where xacthuc-bench is; is /proc mounted?");
    }
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    (void)snprintf(slash + 1, 32, "%s", name);
    return XT_OK;
}

/* gen | import, so that the people never stand on a disk in the clear. */
static enum xt_status import(const char *program, const char *gen_program,
                             const struct xt_micro_options *options, uint64_t count,
                             const char *dir, struct xt_failure *failure)
{
    char people[32];
    char seed[32];
    int ends[2];
    struct xt_process from = {0};
    struct xt_process to = {0};
    struct xt_process_plan gen = XT_PROCESS_PLAN;
    struct xt_process_plan load = XT_PROCESS_PLAN;
    (void)snprintf(people, sizeof(people), "%llu", (unsigned long long)count);
    (void)snprintf(seed, sizeof(seed), "%llu", (unsigned long long)options->seed);
    const char *const gen_words[] = {
        gen_program, "gen", "--count", people, "--seed", seed, options->full ? "--full" : NULL,
        NULL};
    const char *const load_words[] = {
        program, "import", dir, "-", options->quiet ? "--quiet" : NULL, NULL};
    char log[XT_MICRO_PATH_MAX + 16];
    (void)snprintf(log, sizeof(log), "%s.log", dir);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return xt_fail(failure, XT_IO, "cannot make a pipe: %s", strerror(errno));
    }
    gen.arguments = gen_words;
    gen.output = ends[1];
    load.arguments = load_words;
    load.input = ends[0];
    load.log = options->quiet ? log : "/dev/stderr"; /* its progress is ours */
    enum xt_status status = xt_process_start(&load, &to, failure);
    if (status == XT_OK) {
        status = xt_process_start(&gen, &from, failure);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    if (status == XT_OK) {
        status = xt_process_finish(&to, IMPORT_LIMIT_MS, given_up, failure);
    }
    xt_process_stop(&from, 0);
    xt_process_stop(&to, 5000);
    if (status != XT_OK && given_up()) {
        return interrupted(failure);
    }
    return status;
}

static enum xt_status make_people(const struct xt_micro_options *options, uint64_t count,
                                  struct xt_micro_deployment *deployment,
                                  struct xt_failure *failure)
{
    char beside[XT_MICRO_PATH_MAX];
    char gen[XT_MICRO_PATH_MAX];
    enum xt_status status = xt_micro_beside_us("xacthuc", beside, failure);
    if (status == XT_OK) {
        status = xt_micro_beside_us("xacthuc-bench", gen, failure);
    }
    if (status == XT_OK) {
        status = check_room(deployment->folder,
                            count * (options->full ? FULL_PERSON_BYTES : PERSON_BYTES), failure);
    }
    if (status != XT_OK) {
        return status;
    }
    const char *program = options->program != NULL ? options->program : beside;
    if (access(program, X_OK) != 0) {
        return xt_fail(failure, XT_NOT_FOUND, "%.200s is no program; say where it is by --xacthuc",
                       program);
    }
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    const char *const init[] = {program, "init", deployment->dir, NULL};
    plan.arguments = init;
    (void)snprintf(deployment->dir, sizeof(deployment->dir), "%.450s/DIR", deployment->folder);
    status = xt_process_run(&plan, INIT_LIMIT_MS, given_up, failure);
    return status == XT_OK ? import(program, gen, options, count, deployment->dir, failure)
                           : status;
}

/* ---- opening ---- */

static enum xt_status open_generation(const char *dir, struct xt_generation **generation,
                                      struct xt_failure *failure)
{
    uint32_t number = 0;
    struct xt_keyring *keyring = NULL;
    enum xt_status status = xt_generation_current(dir, &number, failure);
    if (status == XT_OK) {
        status = xt_deployment_keyring(dir, &keyring, failure);
    }
    if (status == XT_OK) {
        status = xt_generation_open(dir, number, keyring, generation, failure);
    }
    xt_keyring_close(keyring);
    return status;
}

/* Out of the page cache, so that what is read next comes in as large pieces as the file system has,
 * whoever wrote or read the file before, and figures of one run compare with those of another. */
static void make_cold(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        (void)fdatasync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}

/* Reads in order what the rounds will look up at random, and maps none of it. */
static enum xt_status read_ahead(const char *dir, bool quiet, struct xt_failure *failure)
{
    struct xt_generation *generation = NULL;
    struct xt_warm_up warm_up;
    struct xt_progress progress;
    char path[XT_MICRO_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.450s/identity/current/data.mdb", dir);
    make_cold(path);
    enum xt_status status = open_generation(dir, &generation, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_warm_up_begin(&warm_up, generation, XT_WARM_HOT_ONLY);
    xt_progress_start(&progress, "reading the register", "bytes", warm_up.wanted, quiet);
    while (status == XT_OK && !given_up()) {
        status = xt_warm_up_step(&warm_up, WARM_STEP);
        xt_progress_set(&progress, warm_up.at.done);
    }
    xt_progress_finish(&progress);
    xt_warm_up_end(&warm_up);
    return given_up()               ? interrupted(failure)
           : status == XT_NOT_FOUND ? XT_OK
                                    : xt_fail(failure, status, "cannot read %.200s", dir);
}

static bool same_person(const struct xt_hot *hot, const struct xt_resident *person)
{
    struct xt_name name;
    return hot->number == person->number && hot->date_of_birth == person->date_of_birth &&
           xt_name_parse(xt_span_of(person->full_name.data, person->full_name.size), &name) ==
               XT_OK &&
           xt_name_matches(&name, &hot->name, XT_NAME_EXACT);
}

enum xt_status xt_micro_check_people(struct xt_generation *generation,
                                     const struct xt_population *population,
                                     struct xt_failure *failure)
{
    uint64_t count = xt_population_count(population);
    uint64_t people = xt_generation_manifest(generation)->people;
    struct xt_stream stream = xt_stream_of(xt_population_seed(population), count);
    bool same = people == count;
    for (unsigned i = 0; same && i < SAMPLED; i++) {
        struct xt_resident person;
        struct xt_found found;
        xt_population_person(population, xt_stream_below(&stream, (uint32_t)count), &person);
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = person.number};
        enum xt_status status = xt_generation_find(generation, id, &found);
        if (status != XT_OK) {
            return xt_fail(failure, status, "the register is damaged; see xacthuc check");
        }
        same = found.found && same_person(&found.hot, &person);
    }
    return same ? XT_OK
                : xt_fail(failure, XT_INVALID,
                          "this register holds %llu people, and not those of --count %llu --seed "
                          "%llu: say what they were made with (xacthuc-bench gen), without --full",
                          (unsigned long long)people, (unsigned long long)count,
                          (unsigned long long)xt_population_seed(population));
}

/* ---- the plain layout ---- */

static bool watch(void *context, uint64_t done)
{
    xt_progress_set(context, done);
    return !given_up();
}

enum xt_status xt_micro_deploy_plain(const struct xt_micro_options *options,
                                     struct xt_micro_deployment *deployment,
                                     struct xt_failure *failure)
{
    char path[XT_MICRO_PATH_MAX];
    struct xt_progress progress;
    uint64_t bytes = xt_plain_table_bytes(deployment->generation);
    enum xt_status status = XT_OK;
    if (deployment->folder[0] == '\0') {
        status = make_folder(options, deployment, failure);
    }
    if (status == XT_OK) {
        status = check_room(deployment->folder, bytes, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    (void)snprintf(path, sizeof(path), "%.450s/plain.mdb", deployment->folder);
    xt_progress_start(&progress, "making the plain layout", "records",
                      xt_generation_manifest(deployment->generation)->tables[XT_TABLE_HOT].records,
                      options->quiet);
    status = xt_plain_table_make(deployment->generation, path, watch, &progress, &deployment->plain,
                                 failure);
    xt_progress_finish(&progress);
    struct stat facts;
    make_cold(path);
    if (status == XT_OK && stat(path, &facts) == 0) {
        deployment->plain_bytes = (uint64_t)facts.st_size;
    }
    return status;
}

enum xt_status xt_micro_deploy(const struct xt_micro_options *options, uint64_t count,
                               struct xt_micro_deployment *deployment, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    *deployment = (struct xt_micro_deployment){.folder = ""};
    if (options->dir == NULL) {
        status = make_folder(options, deployment, failure);
        if (status == XT_OK) {
            status = make_people(options, count, deployment, failure);
        }
    }
    const char *dir = options->dir != NULL ? options->dir : deployment->dir;
    if (status == XT_OK) {
        status = read_ahead(dir, options->quiet, failure);
    }
    if (status == XT_OK) {
        status = open_generation(dir, &deployment->generation, failure);
    }
    return status;
}

void xt_micro_undeploy(struct xt_micro_deployment *deployment)
{
    xt_plain_table_close(deployment->plain);
    xt_live_close(deployment->live);
    xt_keyring_close(deployment->keyring);
    xt_generation_close(deployment->generation);
    if (deployment->folder[0] != '\0') {
        xt_standard_remove(deployment->folder);
    }
    *deployment = (struct xt_micro_deployment){.folder = ""};
}
