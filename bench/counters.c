#include "bench/counters.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/machine.h"

#define THREADS_MAX 1024U

enum event { INSTRUCTIONS, CYCLES, EVENTS };

struct xt_counters {
    unsigned process_count;
    struct xt_process_id processes[XT_PROCESS_TREE_MAX];
    clockid_t clocks[XT_PROCESS_TREE_MAX];
    unsigned file_count; /* of each event */
    int files[EVENTS][THREADS_MAX];
    bool hardware;
    char reason[160];
};

/* ---- hardware ---- */

static int open_event(int thread, enum event event)
{
    static const uint64_t events[EVENTS] = {
        [INSTRUCTIONS] = PERF_COUNT_HW_INSTRUCTIONS, [CYCLES] = PERF_COUNT_HW_CPU_CYCLES};
    struct perf_event_attr plan = {.size = sizeof(plan),
                                   .type = PERF_TYPE_HARDWARE,
                                   .config = events[event],
                                   .inherit = 1,
                                   .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED |
                                                  PERF_FORMAT_TOTAL_TIME_RUNNING};
    return (int)syscall(SYS_perf_event_open, &plan, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void close_events(struct xt_counters *counters)
{
    for (unsigned event = 0; event < EVENTS; event++) {
        for (unsigned i = 0; i < counters->file_count; i++) {
            (void)close(counters->files[event][i]);
        }
    }
    counters->file_count = 0;
}

/* false: it cannot be counted, counters->reason says why. A thread that has ended is none. */
static bool open_thread(struct xt_counters *counters, int thread)
{
    int files[EVENTS];
    if (counters->file_count == THREADS_MAX) {
        (void)snprintf(counters->reason, sizeof(counters->reason), "more than %u threads",
                       THREADS_MAX);
        return false;
    }
    for (unsigned event = 0; event < EVENTS; event++) {
        files[event] = open_event(thread, (enum event)event);
        if (files[event] < 0) {
            int error = errno;
            while (event > 0) {
                (void)close(files[--event]);
            }
            (void)snprintf(counters->reason, sizeof(counters->reason), "%s: %s",
                           error == EACCES || error == EPERM
                               ? "not permitted (kernel.perf_event_paranoid, or the server)"
                               : "no hardware counters here",
                           strerror(error));
            return error == ESRCH;
        }
    }
    for (unsigned event = 0; event < EVENTS; event++) {
        counters->files[event][counters->file_count] = files[event];
    }
    counters->file_count++;
    return true;
}

static bool open_process(struct xt_counters *counters, int pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    bool fine = true;
    struct dirent *entry;
    while (fine && folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
            fine = open_thread(counters, (int)strtol(entry->d_name, NULL, 10));
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return fine;
}

/* A counter that had to share the processor's few registers ran only part of the time: scaled up. */
static uint64_t read_event(int file)
{
    uint64_t values[3] = {0}; /* count, time enabled, time running */
    if (read(file, values, sizeof(values)) != (ssize_t)sizeof(values) || values[2] == 0) {
        return 0;
    }
    return values[1] == values[2]
               ? values[0]
               : (uint64_t)((double)values[0] * (double)values[1] / (double)values[2]);
}

static uint64_t read_events(const struct xt_counters *counters, enum event event)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < counters->file_count; i++) {
        sum += read_event(counters->files[event][i]);
    }
    return sum;
}

/* ---- the kernel's accounts ---- */

/* utime and stime, fields 14 and 15 of /proc/PID/stat (proc(5)); the name in brackets, field 2, may hold
 * anything, so counting starts behind its end. */
static void add_split(int pid, struct xt_counts *counts)
{
    char path[64];
    char text[1024];
    uint64_t tick = 1000000U / (uint64_t)sysconf(_SC_CLK_TCK);
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    char *rest = strrchr(text, ')');
    char *state = NULL;
    char *field = rest == NULL ? NULL : strtok_r(rest + 1, " ", &state);
    for (unsigned number = 3; field != NULL && number <= 15; number++) {
        if (number == 14) {
            counts->user_us += strtoull(field, NULL, 10) * tick;
        } else if (number == 15) {
            counts->system_us += strtoull(field, NULL, 10) * tick;
        }
        field = strtok_r(NULL, " ", &state);
    }
}

static uint64_t thread_switches(int pid, const char *thread)
{
    char path[320];
    char line[256];
    uint64_t sum = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, thread);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, "voluntary_ctxt_switches:"); /* and nonvoluntary_ */
        if (at != NULL) {
            sum += strtoull(strchr(at, ':') + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return sum;
}

static uint64_t process_switches(int pid)
{
    char path[64];
    uint64_t sum = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
            sum += thread_switches(pid, entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return sum;
}

/* ---- */

struct xt_counters *xt_counters_open(int pid)
{
    struct xt_counters *counters = calloc(1, sizeof(*counters));
    if (counters == NULL) {
        return NULL;
    }
    counters->process_count = xt_process_tree(pid, counters->processes, XT_PROCESS_TREE_MAX);
    if (counters->process_count == 0) {
        free(counters);
        return NULL;
    }
    counters->hardware = true;
    for (unsigned i = 0; i < counters->process_count; i++) {
        if (clock_getcpuclockid(counters->processes[i].pid, &counters->clocks[i]) != 0) {
            counters->processes[i].pid = 0; /* has ended since */
            continue;
        }
        counters->hardware =
            counters->hardware && open_process(counters, counters->processes[i].pid);
    }
    if (!counters->hardware) {
        close_events(counters);
    }
    return counters;
}

void xt_counters_close(struct xt_counters *counters)
{
    if (counters != NULL) {
        close_events(counters);
        free(counters);
    }
}

void xt_counters_read(struct xt_counters *counters, struct xt_counts *counts)
{
    *counts = (struct xt_counts){.complete = true};
    for (unsigned i = 0; i < counters->process_count; i++) {
        struct xt_process_id process = counters->processes[i];
        struct timespec time;
        if (process.pid == 0 || !xt_process_is(process) ||
            clock_gettime(counters->clocks[i], &time) != 0) {
            counts->complete = false;
            continue;
        }
        counts->cpu_ns += (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
        counts->switches += process_switches(process.pid);
        add_split(process.pid, counts);
        counts->processes++;
    }
    counts->instructions = counters->hardware ? read_events(counters, INSTRUCTIONS) : 0;
    counts->cycles = counters->hardware ? read_events(counters, CYCLES) : 0;
}

bool xt_counters_hardware(const struct xt_counters *counters, const char **reason)
{
    if (reason != NULL) {
        *reason = counters->hardware ? "" : counters->reason;
    }
    return counters->hardware;
}
