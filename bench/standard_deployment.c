#include <ftw.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/requests.h"
#include "bench/standard.h"

#define COMMAND_LIMIT_MS 300000U
#define START_LIMIT_MS 60000U
#define STOP_LIMIT_MS 35000U /* a drain lasts at most 30 s */
#define POLL_NS 2000000L
#define COUNTED_PEOPLE "20000"
#define COUNTED_TIMES 2U /* so that the file shows how far the count repeats itself */

static const char claims[] =
    "full_name,date_of_birth,sex,phone,card_issued_on,card_expires_on,old_id,"
    "province,health_insurance,social_insurance,driving_licence,vehicle,"
    "passport,tax";

/* What a program that was waited for has used. */
struct use {
    double cpu_s;
    uint64_t peak_bytes;
};

static const char *in_folder(char *path, const struct xt_standard *set, const char *name)
{
    (void)snprintf(path, XT_STANDARD_PATH_MAX, "%.200s/%s", set->folder, name);
    return path;
}

static bool given_up(void)
{
    return xt_load_interrupted();
}

/* The largest a process has been, from VmHWM; rusage would count what we were at its fork. */
static void note_peak(int pid, uint64_t *peak)
{
    char path[64];
    char line[256];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            uint64_t bytes = strtoull(line + 6, NULL, 10) * 1024;
            *peak = bytes > *peak ? bytes : *peak;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static double children_cpu_s(void)
{
    struct rusage use;
    (void)getrusage(RUSAGE_CHILDREN, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Runs a command on the server's core; use: NULL is fine. */
static enum xt_status run(const struct xt_standard *set, const char *const *arguments,
                          const char *log, struct use *use, struct xt_failure *failure)
{
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    struct xt_process process;
    struct use used = {0};
    struct xt_failure cause = {""};
    plan.arguments = arguments;
    plan.log = log;
    plan.core = set->server_core;
    if (log != NULL) {
        (void)unlink(log); /* its last line is told when the command fails: it should be its own */
    }
    double before = children_cpu_s();
    enum xt_status status = xt_process_start(&plan, &process, &cause);
    while (status == XT_OK && use != NULL && xt_process_runs(&process) && !given_up()) {
        struct timespec pause = {.tv_nsec = POLL_NS};
        note_peak(process.pid, &used.peak_bytes);
        (void)nanosleep(&pause, NULL);
    }
    if (status == XT_OK) {
        status = xt_process_finish(&process, COMMAND_LIMIT_MS, given_up, &cause);
        xt_process_stop(&process, 0);
    }
    if (status != XT_OK) {
        const char *name = strrchr(arguments[0], '/');
        return xt_fail(failure, status, "%s %s: %.400s", name != NULL ? name + 1 : arguments[0],
                       arguments[1], cause.text);
    }
    used.cpu_s = children_cpu_s() - before;
    if (use != NULL) {
        *use = used;
    }
    return XT_OK;
}

/* ---- removal ---- */

static int allow(const char *path, const struct stat *facts, int type, struct FTW *place)
{
    (void)facts;
    (void)place;
    return type == FTW_D && chmod(path, 0700) != 0 ? 1 : 0;
}

static int take_away(const char *path, const struct stat *facts, int type, struct FTW *place)
{
    (void)facts;
    (void)type;
    (void)place;
    return remove(path) != 0 ? 1 : 0;
}

void xt_standard_remove(const char *folder)
{
    (void)nftw(folder, allow, 16, FTW_PHYS);
    (void)nftw(folder, take_away, 16, FTW_PHYS | FTW_DEPTH);
}

/* ---- a deployment ---- */

static void round_folder(const struct xt_standard *set, unsigned round, char *path)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "round-%u", round + 1);
    (void)in_folder(path, set, name);
}

static enum xt_status make_people(struct xt_standard *set, const char *people, const char *log,
                                  struct xt_failure *failure)
{
    char count[32];
    struct use use = {0};
    (void)snprintf(count, sizeof(count), "%llu", (unsigned long long)set->options->count);
    const char *const gen[] = {set->bench_program, "gen",   "--count", count, "--seed",
                               XT_STANDARD_SEED,   "--out", people,    NULL};
    enum xt_status status = run(set, gen, log, &use, failure);
    if (status == XT_OK) {
        xt_standard_add(&set->measures, "gen_cpu", "s", XT_COMPARE_SLICES, false, use.cpu_s);
        xt_standard_add(&set->measures, "gen_peak_memory", "bytes", XT_COMPARE_SLICES, false,
                        (double)use.peak_bytes);
    }
    return status;
}

static enum xt_status import(struct xt_standard *set, const char *folder, const char *people,
                             const char *log, struct xt_failure *failure)
{
    struct use use = {0};
    const char *const init[] = {set->options->program, "init", folder, NULL};
    const char *const load[] = {set->options->program, "import", folder, people, "--quiet", NULL};
    enum xt_status status = run(set, init, log, NULL, failure);
    if (status == XT_OK) {
        status = run(set, load, log, &use, failure);
    }
    if (status == XT_OK) {
        xt_standard_add(&set->measures, "import_cpu", "s", XT_COMPARE_SLICES, false, use.cpu_s);
        xt_standard_add(&set->measures, "import_peak_memory", "bytes", XT_COMPARE_SLICES, false,
                        (double)use.peak_bytes);
    }
    return status;
}

static enum xt_status serve(const struct xt_standard *set, const char *folder, const char *log,
                            struct xt_standard_server *server, struct xt_failure *failure)
{
    char listen[32];
    char admin[32];
    struct xt_failure cause = {""};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    const char *const arguments[] = {
        set->options->program, "serve", folder, "--listen", listen, "--admin", admin, NULL};
    server->port = xt_process_free_port();
    unsigned admin_port = xt_process_free_port();
    for (unsigned tries = 0; admin_port == server->port && tries < 100; tries++) {
        admin_port = xt_process_free_port();
    }
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", server->port);
    (void)snprintf(admin, sizeof(admin), "127.0.0.1:%u", admin_port);
    plan.arguments = arguments;
    plan.log = log;
    plan.core = set->server_core;
    enum xt_status status = xt_process_start(&plan, &server->process, &cause);
    if (status == XT_OK) {
        status =
            xt_process_wait_port(&server->process, server->port, START_LIMIT_MS, given_up, &cause);
    }
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "xacthuc serve does not start: %.400s", cause.text);
}

enum xt_status xt_standard_deploy(struct xt_standard *set, unsigned round,
                                  struct xt_standard_server *server, struct xt_failure *failure)
{
    char folder[XT_STANDARD_PATH_MAX];
    char people[XT_STANDARD_PATH_MAX];
    char issued[XT_STANDARD_PATH_MAX];
    char log[XT_STANDARD_PATH_MAX];
    *server = (struct xt_standard_server){0};
    round_folder(set, round, folder);
    (void)in_folder(people, set, "people.ndjson");
    (void)in_folder(issued, set, "issued");
    (void)in_folder(log, set, "log");
    const char *const partner[] = {
        set->options->program, "partner",          "add",      folder, "standard",
        "--purpose",           XT_REQUEST_PURPOSE, "--claims", claims, "--right",
        "per_claim",           "--issue",          issued,     NULL};
    (void)in_folder(server->certificate, set, "issued/standard.crt");
    (void)in_folder(server->key, set, "issued/standard.key");
    (void)in_folder(server->authority, set, "issued/ca.crt");
    enum xt_status status = make_people(set, people, log, failure);
    if (status == XT_OK) {
        status = import(set, folder, people, log, failure);
    }
    if (status == XT_OK) {
        status = run(set, partner, log, NULL, failure);
    }
    (void)unlink(people);
    return status == XT_OK ? serve(set, folder, log, server, failure) : status;
}

enum xt_status xt_standard_undeploy(struct xt_standard *set, unsigned round,
                                    struct xt_standard_server *server, struct xt_failure *failure)
{
    char path[XT_STANDARD_PATH_MAX];
    enum xt_status status = XT_OK;
    bool ran = server->process.pid != 0;
    if (ran) {
        (void)kill(server->process.pid, SIGTERM);
        status = xt_process_finish(&server->process, STOP_LIMIT_MS, NULL, failure);
        xt_process_stop(&server->process, 0);
    }
    round_folder(set, round, path);
    xt_standard_remove(path);
    xt_standard_remove(in_folder(path, set, "issued"));
    return status;
}

/* ---- instructions ---- */

/* The number behind callgrind's "Collected :"; 0: there is none. */
static double collected(const char *log)
{
    char line[512];
    double value = 0;
    FILE *file = fopen(log, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, "Collected : ");
        if (at != NULL) {
            value = strtod(at + strlen("Collected : "), NULL);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return value;
}

static void count_one(struct xt_standard *set, const char *name, const char *program,
                      const char *const *rest)
{
    char log[XT_STANDARD_PATH_MAX];
    struct xt_failure failure = {""};
    const char *arguments[16] = {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                 program};
    for (unsigned i = 0; rest[i] != NULL; i++) {
        xt_require(i + 4 < 15);
        arguments[i + 4] = rest[i];
    }
    (void)in_folder(log, set, "counted");
    if (run(set, arguments, log, NULL, &failure) != XT_OK) {
        (void)snprintf(set->no_valgrind, sizeof(set->no_valgrind),
                       "the program does not run under valgrind");
        return;
    }
    double count = collected(log);
    if (count > 0) {
        xt_standard_add(&set->measures, name, "", XT_COMPARE_COUNTED, false, count);
    }
}

enum xt_status xt_standard_instructions(struct xt_standard *set, struct xt_failure *failure)
{
    char valgrind[XT_STANDARD_PATH_MAX];
    char folder[XT_STANDARD_PATH_MAX];
    char people[XT_STANDARD_PATH_MAX];
    if (xt_process_find("valgrind", valgrind, sizeof(valgrind)) != XT_OK) {
        (void)snprintf(set->no_valgrind, sizeof(set->no_valgrind), "valgrind is not installed");
        return XT_OK;
    }
    (void)in_folder(folder, set, "counting");
    (void)in_folder(people, set, "counted.ndjson");
    const char *const gen[] = {
        "gen", "--count", COUNTED_PEOPLE, "--seed", XT_STANDARD_SEED, "--out", people, NULL};
    const char *const load[] = {"import", folder, people, "--quiet", NULL};
    const char *const init[] = {set->options->program, "init", folder, NULL};
    enum xt_status status = XT_OK;
    for (unsigned i = 0; status == XT_OK && set->no_valgrind[0] == '\0' && i < COUNTED_TIMES; i++) {
        count_one(set, "gen_instructions", set->bench_program, gen);
        status = given_up() ? xt_fail(failure, XT_CLOSED, "interrupted")
                            : run(set, init, NULL, NULL, failure);
        if (status == XT_OK && set->no_valgrind[0] == '\0') {
            count_one(set, "import_instructions", set->options->program, load);
        }
        xt_standard_remove(folder);
    }
    (void)unlink(people);
    return status;
}
