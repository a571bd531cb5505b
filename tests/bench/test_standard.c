/* xacthuc-bench standard on the real program, and the counters it reads, on real processes. */
#include "tests/test.h"

#include "bench/compare.h"
#include "bench/counters.h"
#include "bench/process.h"
#include "bench/standard_window.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 120000

static char folder[] = "/tmp/xt-standard-XXXXXX";

/* Valid until eight more were asked for. */
static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

static char *read_whole(const char *name)
{
    static char text[1 << 18];
    FILE *file = fopen(in_folder(name), "re");
    if (file == NULL) {
        return NULL;
    }
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

static void assert_said(const char *text)
{
    const char *said = read_whole("said");
    if (said == NULL || strstr(said, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, said != NULL ? said : "(nothing)");
    }
}

/* ---- counters ---- */

static uint64_t own_cpu_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void wait_for(int pipe_end)
{
    char byte;
    while (read(pipe_end, &byte, 1) < 0 && errno == EINTR) {
    }
}

/* A process with a child of its own. Each writes a byte when it is there; when go closes, the child
 * works for 200 ms of CPU time, and waits 60 times, writes a byte; both end when they are killed. */
struct worker {
    pid_t pid;
    int ready, go;
};

static void work(int ready, int go)
{
    (void)!write(ready, "r", 1);
    wait_for(go);
    for (uint64_t start = own_cpu_ns(); own_cpu_ns() - start < 200000000;) {
    }
    for (unsigned i = 0; i < 60; i++) {
        sleep_ms(1);
    }
    (void)!write(ready, "d", 1);
    for (;;) {
        (void)pause();
    }
}

static void start_worker(struct worker *worker)
{
    int ready[2];
    int go[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    worker->pid = fork();
    assert_true(worker->pid >= 0);
    if (worker->pid == 0) {
        (void)close(go[1]);
        (void)setpgid(0, 0);
        if (fork() == 0) {
            work(ready[1], go[0]);
        }
        for (;;) {
            (void)pause();
        }
    }
    (void)setpgid(worker->pid, worker->pid);
    (void)close(ready[1]);
    (void)close(go[0]);
    worker->ready = ready[0];
    worker->go = go[1];
    wait_for(worker->ready);
}

static void let_it_work(struct worker *worker)
{
    (void)close(worker->go);
    wait_for(worker->ready);
}

static void end_worker(struct worker *worker)
{
    (void)kill(-worker->pid, SIGKILL);
    (void)waitpid(worker->pid, NULL, 0);
    (void)close(worker->ready);
}

static void counters_see_what_a_child_of_the_process_does(void **state)
{
    (void)state;
    struct worker worker;
    struct xt_counts before;
    struct xt_counts after;
    const char *reason = NULL;
    start_worker(&worker);
    struct xt_counters *counters = xt_counters_open(worker.pid);
    assert_non_null(counters);
    xt_counters_read(counters, &before);
    let_it_work(&worker);
    xt_counters_read(counters, &after);
    assert_true(before.complete && after.complete);
    assert_int_equal(after.processes, 2);
    assert_true(after.cpu_ns - before.cpu_ns >= 190000000);
    assert_true(after.cpu_ns - before.cpu_ns < 2000000000);
    assert_true(after.switches - before.switches >= 60);
    /* In ticks of 10 ms, and the kernel rounds the two parts apart. */
    assert_true(after.user_us + after.system_us >= before.user_us + before.system_us + 150000);
    if (xt_counters_hardware(counters, &reason)) {
        assert_true(after.instructions - before.instructions > 1000000);
        assert_true(after.cycles > before.cycles);
    } else {
        print_message("not counted: %s\n", reason);
        assert_true(strlen(reason) > 10);
        assert_int_equal(after.instructions, 0);
    }
    end_worker(&worker);
    xt_counters_read(counters, &after);
    assert_false(after.complete);
    xt_counters_close(counters);
    assert_null(xt_counters_open(worker.pid));
    xt_counters_close(NULL);
}

static double unix_now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void a_window_gives_what_was_used_within_it(void **state)
{
    (void)state;
    struct worker worker;
    struct xt_window_use use;
    start_worker(&worker);
    struct xt_window *window = xt_window_open(worker.pid);
    assert_non_null(window);
    sleep_ms(200); /* so that there is a reading before it begins */
    double start = unix_now();
    let_it_work(&worker);
    double end = unix_now();
    sleep_ms(200);
    assert_true(xt_window_close(window, start, end - start, &use));
    assert_true(use.cpu_us >= 150000 && use.cpu_us < 2000000);
    assert_true(use.switches >= 40);
    window = xt_window_open(worker.pid);
    assert_non_null(window);
    sleep_ms(120);
    assert_false(xt_window_close(window, start, end - start, &use)); /* before any reading */
    window = xt_window_open(worker.pid);
    assert_non_null(window);
    start = unix_now();
    end_worker(&worker);
    sleep_ms(120);
    assert_false(xt_window_close(window, start, 0.05, &use)); /* gone */
    assert_null(xt_window_open(worker.pid));
}

/* ---- the command ---- */

/* PATH without valgrind, which would take longer than all the rest. */
static void start_bench(const char *const *rest, struct xt_process *process)
{
    static char temporary[300];
    (void)snprintf(temporary, sizeof(temporary), "TMPDIR=%s", folder);
    const char *set[] = {"PATH=/nowhere", temporary, NULL};
    const char *arguments[32] = {getenv("XT_BENCH"), "standard"};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    struct xt_failure failure = {""};
    assert_non_null(arguments[0]);
    for (unsigned i = 0; rest[i] != NULL; i++) {
        assert_true(i + 2 < 31);
        arguments[i + 2] = rest[i];
    }
    plan.arguments = arguments;
    plan.set = set;
    plan.log = in_folder("said");
    (void)unlink(plan.log);
    if (xt_process_start(&plan, process, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

static int finish(struct xt_process *process)
{
    struct xt_failure failure = {""};
    (void)!xt_process_finish(process, LIMIT_MS, NULL, &failure);
    int status = process->exit_status;
    xt_process_stop(process, 0);
    return status;
}

static int standard(const char *const *rest)
{
    struct xt_process process;
    start_bench(rest, &process);
    return finish(&process);
}

/* Names in the folder that start like those of temporary folders. */
static unsigned left_behind(void)
{
    DIR *files = opendir(folder);
    unsigned found = 0;
    struct dirent *entry;
    assert_non_null(files);
    while ((entry = readdir(files)) != NULL) {
        found += strncmp(entry->d_name, "xacthuc-standard-", 17) == 0 ||
                 strstr(entry->d_name, ".part") != NULL;
    }
    (void)closedir(files);
    return found;
}

/* Processes that have our folder in their command line. */
static unsigned still_running(void)
{
    DIR *processes = opendir("/proc");
    unsigned found = 0;
    struct dirent *entry;
    assert_non_null(processes);
    while ((entry = readdir(processes)) != NULL) {
        char path[300];
        char line[4096];
        (void)snprintf(path, sizeof(path), "/proc/%.200s/cmdline", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (file != NULL) {
            size_t size = fread(line, 1, sizeof(line), file);
            (void)fclose(file);
            found += size > 0 && memmem(line, size, folder, strlen(folder)) != NULL;
        }
    }
    (void)closedir(processes);
    return found;
}

static const struct xt_compare_measure *measure_of(const struct xt_compare_input *set,
                                                   const char *run, const char *name)
{
    for (unsigned i = 0; i < set->measure_count; i++) {
        if (strcmp(set->measures[i].run, run) == 0 && strcmp(set->measures[i].name, name) == 0) {
            return &set->measures[i];
        }
    }
    fail_msg("no measure %s %s", run, name);
    return NULL;
}

static void assert_above(const struct xt_compare_input *set, const char *run, const char *name,
                         double least)
{
    const struct xt_compare_measure *measure = measure_of(set, run, name);
    assert_int_equal(measure->count, 1);
    if (!(measure->values[0] > least)) {
        fail_msg("%s %s is %g", run, name, measure->values[0]);
    }
}

static void assert_measured(const struct xt_compare_input *set)
{
    static const char *const runs[] = {"keep_alive", "open_low",       "open_high",
                                       "pipelined",  "handshake_full", "handshake_resumed"};
    static const char *const machine[] = {
        "reference_integer", "reference_memory",   "reference_kernel", "gen_cpu", "import_cpu",
        "gen_peak_memory",   "import_peak_memory", "server_memory",    "idle_cpu"};
    for (unsigned i = 0; i < sizeof(machine) / sizeof(machine[0]); i++) {
        assert_above(set, "", machine[i], 0);
    }
    for (unsigned i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        assert_above(set, runs[i], "requests", 10);
        assert_above(set, runs[i], "server_cpu_per_request", 1);
        assert_above(set, runs[i], "client_cpu_per_request", 1);
        assert_int_equal((int)measure_of(set, runs[i], "errors")->values[0], 0);
    }
    assert_above(set, "open_low", "p99.9", 1);
    assert_above(set, "handshake_full", "handshake_p99", 1);
    assert_true(measure_of(set, "handshake_full", "server_cpu_per_request")->values[0] >
                measure_of(set, "keep_alive", "server_cpu_per_request")->values[0]);
}

static unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; at != NULL && (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

static void a_set_is_measured_written_and_compared_with_itself(void **state)
{
    (void)state;
    const char *const rest[] = {"--xacthuc", getenv("XT_XACTHUC"),
                                "--out",     in_folder("set.json"),
                                "--rounds",  "1",
                                "--seconds", "1",
                                "--count",   "1000",
                                "--rates",   "100,200",
                                "--commit",  "1234567-dirty",
                                NULL};
    struct xt_compare_input *set = NULL;
    struct xt_failure failure = {""};
    /* A machine that stands still for most of a run's one second leaves it without a figure: then again. */
    for (unsigned attempts = 0; attempts < 3; attempts++) {
        (void)unlink(in_folder("set.json"));
        if (standard(rest) != 0) {
            fail_msg("%s", read_whole("said"));
        }
        if (occurrences(read_whole("set.json"), "\"server_cpu_per_request\"") >= 6) {
            break;
        }
    }
    assert_said("round 1 of 1: handshake_resumed");
    assert_int_equal(left_behind(), 0);
    assert_int_equal(still_running(), 0);
    const char *text = read_whole("set.json");
    assert_non_null(text);
    assert_true(strlen(text) < 20000);
    assert_null(strstr(text, "/tmp"));
    assert_null(strstr(text, "127.0.0.1"));
    assert_null(strstr(text, "/xacthuc\""));
    assert_non_null(strstr(text, "\"gen_instructions\":\"valgrind is not installed\""));
    if (xt_compare_input_load(in_folder("set.json"), &set, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_true(set->standard);
    assert_non_null(strstr(set->about, "commit 1234567-dirty, 20"));
    assert_measured(set);
    struct xt_comparison *comparison = malloc(sizeof(*comparison));
    assert_non_null(comparison);
    xt_compare(set, set, 0.95, 0.02, comparison);
    assert_true(comparison->comparable);
    assert_int_equal(comparison->difference_count, 0);
    assert_int_equal(comparison->row_count, set->measure_count);
    assert_int_equal(comparison->worse + comparison->better, 0);
    free(comparison);
    xt_compare_input_free(set);
}

static void an_interrupted_set_leaves_nothing_behind(void **state)
{
    (void)state;
    const char *const rest[] = {"--xacthuc", getenv("XT_XACTHUC"),
                                "--out",     in_folder("no.json"),
                                "--rounds",  "1",
                                "--seconds", "60",
                                "--count",   "1000",
                                "--quiet",   NULL};
    struct xt_process process;
    start_bench(rest, &process);
    for (unsigned i = 0; i < 2000 && still_running() < 2; i++) { /* the server, or who makes it */
        sleep_ms(10);
    }
    sleep_ms(1000);
    assert_int_equal(kill(process.pid, SIGINT), 0);
    assert_int_equal(finish(&process), 1);
    assert_said(": interrupted; nothing is written\n");
    assert_null(read_whole("no.json"));
    assert_int_equal(left_behind(), 0);
    assert_int_equal(still_running(), 0);
}

static void a_program_that_does_not_work_is_named(void **state)
{
    (void)state;
    const char *const rest[] = {"--xacthuc",          "/bin/false", "--out",
                                in_folder("no.json"), "--count",    "1000",
                                "--rounds",           "1",          NULL};
    assert_int_equal(standard(rest), 1);
    assert_said("false init: exit status 1; nothing is written\n");
    assert_null(read_whole("no.json"));
    assert_int_equal(left_behind(), 0);
}

static void wrong_usage_is_said_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *words[6], *says;
    } cases[] = {
        {{NULL}, "needs --xacthuc and --out"},
        {{"--xacthuc", "/bin/true"}, "needs --xacthuc and --out"},
        {{"--xacthuc", "true", "--out", "x"}, "true is no program"},
        {{"--xacthuc", "/nowhere", "--out", "x"}, "/nowhere is no program"},
        {{"--rounds", "0"}, "--rounds takes"},
        {{"--rounds", "65"}, "--rounds takes"},
        {{"--seconds", "1s"}, "--seconds takes"},
        {{"--count", "999"}, "--count takes"},
        {{"--rates", "5000"}, "--rates takes"},
        {{"--rates", "5000,0"}, "--rates takes"},
        {{"--commit", "a b"}, "--commit takes"},
        {{"--commit", "/x"}, "--commit takes"},
        {{"--colour"}, "does not know --colour"},
        {{"more"}, "takes no 'more'"},
        {{"--out"}, "--out needs a value"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(standard(cases[i].words), 2);
        assert_said(cases[i].says);
        assert_said("see xacthuc-bench standard --help\n");
    }
    const char *const help[] = {"--help", NULL};
    assert_int_equal(standard(help), 0);
    assert_said("Exit status");
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"set.json", "no.json", "said"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unlink(in_folder(names[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_see_what_a_child_of_the_process_does),
        cmocka_unit_test(a_window_gives_what_was_used_within_it),
        cmocka_unit_test(wrong_usage_is_said_in_one_line),
        cmocka_unit_test(a_program_that_does_not_work_is_named),
        cmocka_unit_test(an_interrupted_set_leaves_nothing_behind),
        cmocka_unit_test(a_set_is_measured_written_and_compared_with_itself),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
