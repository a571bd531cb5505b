#include "bench/machine.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_processor(char *text, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            colon[strcspn(colon, "\n")] = '\0';
            (void)snprintf(text, size, "%s", colon + 1 + (colon[1] == ' '));
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

void xt_machine_read(struct xt_machine *machine)
{
    struct utsname name;
    cpu_set_t cores;
    double load[1];
    *machine = (struct xt_machine){.processor = "unknown"};
    read_processor(machine->processor, sizeof(machine->processor));
    if (uname(&name) == 0) {
        (void)snprintf(machine->kernel, sizeof(machine->kernel), "%.40s %.80s", name.sysname,
                       name.release);
        (void)snprintf(machine->architecture, sizeof(machine->architecture), "%.31s", name.machine);
    }
    if (sched_getaffinity(0, sizeof(cores), &cores) == 0) {
        machine->cores = (unsigned)CPU_COUNT(&cores);
    }
    machine->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    machine->load_average = getloadavg(load, 1) == 1 ? load[0] : 0;
}

struct process {
    int pid, parent;
    uint64_t ticks, pages, started;
    bool counted;
};

/* /proc/PID/stat, proc(5): the name in brackets may hold anything, so fields count from the last one. */
static bool read_stat(int pid, struct process *process)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    char *field = strrchr(text, ')');
    if (field == NULL) {
        return false;
    }
    char *state;
    *process = (struct process){.pid = pid};
    field = strtok_r(field + 1, " ", &state);
    for (unsigned number = 3; field != NULL; number++, field = strtok_r(NULL, " ", &state)) {
        if (number == 4) {
            process->parent = (int)strtol(field, NULL, 10);
        } else if (number >= 14 && number <= 17) { /* utime, stime, cutime, cstime */
            process->ticks += strtoull(field, NULL, 10);
        } else if (number == 22) {
            process->started = strtoull(field, NULL, 10);
        } else if (number == 24) {
            process->pages = strtoull(field, NULL, 10);
            return true;
        }
    }
    return false;
}

static unsigned read_all(struct process *list)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    while (folder != NULL && count < XT_PROCESSES_MAX && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
            count += read_stat((int)strtol(entry->d_name, NULL, 10), &list[count]);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

static bool is_counted(const struct process *list, unsigned count, int pid)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].pid == pid) {
            return list[i].counted;
        }
    }
    return false;
}

/* Marks pid and all that descend from it as counted; gives how many. */
static unsigned mark_tree(struct process *list, unsigned count, int pid)
{
    unsigned marked = 0;
    for (unsigned i = 0; i < count; i++) {
        list[i].counted = list[i].pid == pid;
        marked += list[i].counted;
    }
    for (bool more = marked > 0; more;) { /* one generation a round */
        more = false;
        for (unsigned i = 0; i < count; i++) {
            if (!list[i].counted && is_counted(list, count, list[i].parent)) {
                list[i].counted = true;
                marked++;
                more = true;
            }
        }
    }
    return marked;
}

bool xt_process_read(int pid, struct xt_process_use *use)
{
    struct process *list = calloc(XT_PROCESSES_MAX, sizeof(*list));
    *use = (struct xt_process_use){0};
    if (list == NULL) {
        return false;
    }
    unsigned count = read_all(list);
    use->processes = mark_tree(list, count, pid);
    for (unsigned i = 0; i < count; i++) {
        if (list[i].counted) {
            use->cpu_us += list[i].ticks * 1000000U / (uint64_t)sysconf(_SC_CLK_TCK);
            use->resident_bytes += list[i].pages * (uint64_t)sysconf(_SC_PAGESIZE);
        }
    }
    free(list);
    return use->processes > 0;
}

unsigned xt_process_tree(int pid, struct xt_process_id *tree, unsigned most)
{
    struct process *list = calloc(XT_PROCESSES_MAX, sizeof(*list));
    unsigned found = 0;
    if (list == NULL) {
        return 0;
    }
    unsigned count = read_all(list);
    (void)mark_tree(list, count, pid);
    for (unsigned i = 0; i < count && found < most; i++) {
        if (list[i].counted) {
            tree[found++] = (struct xt_process_id){list[i].pid, list[i].started};
        }
    }
    free(list);
    return found;
}

bool xt_process_is(struct xt_process_id process)
{
    struct process now;
    return read_stat(process.pid, &now) && now.started == process.started;
}

/* "Pss_Anon:     1234 kB" of /proc/PID/smaps_rollup. false: a line about something else. */
static bool add_line(const char *line, const char *name, uint64_t *bytes)
{
    size_t size = strlen(name);
    if (strncmp(line, name, size) != 0) {
        return false;
    }
    *bytes += strtoull(line + size, NULL, 10) * 1024;
    return true;
}

/* false: not ours to look at. One that has just ended adds nothing. */
static bool add_memory(int pid, struct xt_process_memory *memory)
{
    char path[64];
    char line[256];
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    errno = 0;
    FILE *file = fopen(path, "re");
    bool allowed = file != NULL || (errno != EACCES && errno != EPERM);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void)add_line(line, "Pss:", &memory->bytes);
        (void)(add_line(line, "Pss_Anon:", &memory->anonymous_bytes) ||
               add_line(line, "Pss_File:", &memory->file_bytes) ||
               add_line(line, "Pss_Shmem:", &memory->shared_bytes));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return allowed;
}

bool xt_process_memory(int pid, struct xt_process_memory *memory)
{
    struct xt_process_id tree[XT_PROCESS_TREE_MAX];
    unsigned count = xt_process_tree(pid, tree, XT_PROCESS_TREE_MAX);
    *memory = (struct xt_process_memory){0};
    bool allowed = true;
    for (unsigned i = 0; i < count; i++) {
        allowed = add_memory(tree[i].pid, memory) && allowed;
    }
    return allowed && memory->bytes > 0;
}
