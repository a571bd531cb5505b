#include "net/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/shared_internal.h"

#define MAGIC 0x7874736861726564ULL /* "xtshared" */

/* ---- layout ----------------------------------------------------------------------------------- */

static size_t in_pages(size_t size)
{
    return (size + XT_SHARED_PAGE - 1) / XT_SHARED_PAGE * XT_SHARED_PAGE;
}

static size_t rates_at(void)
{
    return in_pages(sizeof(struct xt_shared_header));
}

static size_t counters_at(unsigned worker)
{
    return rates_at() + in_pages(sizeof(struct xt_shared_rates)) +
           worker * in_pages(sizeof(struct xt_counters));
}

static size_t last_at(unsigned workers)
{
    return counters_at(workers);
}

static size_t size_for(unsigned workers)
{
    return last_at(workers) + in_pages(sizeof(struct xt_shared_last));
}

/* Changes when a struct here does; two builds with the same sizes and different meanings never meet,
 * since children are started from the supervisor's own executable. */
static uint64_t layout(void)
{
    return (uint64_t)sizeof(struct xt_shared_header) << 32 ^ sizeof(struct xt_counters) << 8 ^
           sizeof(struct xt_shared_last);
}

struct xt_shared_header *xt_shared_header_of(const struct xt_shared *shared)
{
    return (struct xt_shared_header *)(void *)shared->map;
}

struct xt_shared_rates *xt_shared_rates_of(const struct xt_shared *shared)
{
    return (struct xt_shared_rates *)(void *)(shared->map + rates_at());
}

static struct xt_shared_last *last_of(const struct xt_shared *shared)
{
    return (struct xt_shared_last *)(void *)(shared->map + last_at(shared->workers));
}

/* ---- opening ---------------------------------------------------------------------------------- */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void protect(const struct xt_shared *shared, size_t at, size_t size, int protection)
{
    xt_require(mprotect(shared->map + at, in_pages(size), protection) == 0);
}

/* Maps all of it; what is not this place's row, or the cells, can only be read. */
static enum xt_status map(int fd, unsigned workers, unsigned place, struct xt_shared **made)
{
    struct xt_shared *shared = calloc(1, sizeof(*shared));
    if (shared == NULL) {
        return XT_NO_MEMORY;
    }
    shared->workers = workers;
    shared->size = size_for(workers);
    void *memory = mmap(NULL, shared->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        free(shared);
        return XT_NO_MEMORY;
    }
    shared->map = memory;
    (void)madvise(memory, shared->size, MADV_DONTDUMP);
    bool supervisor = place == xt_shared_supervisor_place(workers);
    protect(shared, 0, sizeof(struct xt_shared_header),
            supervisor ? PROT_READ | PROT_WRITE : PROT_READ);
    for (unsigned worker = 0; worker < workers; worker++) {
        if (worker != place) {
            protect(shared, counters_at(worker), sizeof(struct xt_counters), PROT_READ);
        }
    }
    if (place != xt_shared_writer_place(workers)) {
        protect(shared, last_at(workers), XT_SHARED_PAGE, PROT_READ);
    }
    if (!supervisor) {
        protect(shared, last_at(workers) + offsetof(struct xt_shared_last, supervisor),
                XT_SHARED_PAGE, PROT_READ);
    }
    *made = shared;
    return XT_OK;
}

enum xt_status xt_shared_create(unsigned workers, struct xt_shared **shared, int *fd,
                                struct xt_failure *failure)
{
    if (workers == 0 || workers > XT_SHARED_WORKERS_MAX) {
        return xt_fail(failure, XT_INVALID, "there can be 1 to %u workers", XT_SHARED_WORKERS_MAX);
    }
    int memory = memfd_create("xacthuc-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, (off_t)size_for(workers)) != 0 ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        enum xt_status status =
            xt_fail(failure, XT_IO, "cannot make shared memory: %s", strerror(errno));
        if (memory >= 0) {
            close(memory);
        }
        return status;
    }
    unsigned place = xt_shared_supervisor_place(workers);
    if (map(memory, workers, place, shared) != XT_OK) {
        close(memory);
        return xt_fail(failure, XT_NO_MEMORY, "cannot map the shared memory");
    }
    struct xt_shared_header *header = xt_shared_header_of(*shared);
    header->magic = MAGIC;
    header->layout = layout();
    header->size = (*shared)->size;
    header->workers = workers;
    header->slots = workers;
    header->started_unix_ms = clock_ms(CLOCK_REALTIME);
    xt_shared_set_process(*shared, place, XT_PROCESS_STARTING, getpid());
    xt_shared_set_process(*shared, place, XT_PROCESS_SERVING, getpid());
    *fd = memory;
    return XT_OK;
}

/* Reads the header alone, to learn how large the rest is. */
static enum xt_status read_workers(int fd, unsigned *workers)
{
    struct stat stat;
    struct {
        uint64_t magic, layout, size, started_unix_ms;
        uint32_t workers;
    } start;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &stat) != 0 ||
        pread(fd, &start, sizeof(start), 0) != (ssize_t)sizeof(start)) {
        return XT_IO;
    }
    if (start.magic != MAGIC || start.layout != layout() || start.workers == 0 ||
        start.workers > XT_SHARED_WORKERS_MAX || start.size != size_for(start.workers) ||
        (uint64_t)stat.st_size != start.size) {
        return XT_UNSUPPORTED;
    }
    *workers = start.workers;
    return XT_OK;
}

enum xt_status xt_shared_attach(int fd, unsigned place, struct xt_shared **shared,
                                struct xt_failure *failure)
{
    unsigned workers = 0;
    enum xt_status status = read_workers(fd, &workers);
    if (status != XT_OK) {
        return xt_fail(failure, status, "the shared memory is not of this program");
    }
    if (place > xt_shared_writer_place(workers)) {
        return xt_fail(failure, XT_INVALID, "there is no place %u for a child", place);
    }
    status = map(fd, workers, place, shared);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot map the shared memory");
    }
    if (place < workers) {
        memset(&xt_shared_counters(*shared, place)->now, 0, sizeof(struct xt_gauges));
    } else {
        xt_counter_set(&xt_shared_writer_counters(*shared)->queue, 0);
    }
    return XT_OK;
}

void xt_shared_close(struct xt_shared *shared)
{
    if (shared != NULL) {
        munmap(shared->map, shared->size);
        free(shared);
    }
}

unsigned xt_shared_workers(const struct xt_shared *shared)
{
    return shared->workers;
}

void xt_shared_set_slots(struct xt_shared *shared, unsigned slots)
{
    xt_require(slots > 0 && slots <= shared->workers);
    xt_shared_header_of(shared)->slots = slots;
}

unsigned xt_shared_slots(const struct xt_shared *shared)
{
    return xt_shared_header_of(shared)->slots;
}

uint64_t xt_shared_started_unix_ms(const struct xt_shared *shared)
{
    return xt_shared_header_of(shared)->started_unix_ms;
}

struct xt_counters *xt_shared_counters(struct xt_shared *shared, unsigned worker)
{
    xt_require(worker < shared->workers);
    return (struct xt_counters *)(void *)(shared->map + counters_at(worker));
}

struct xt_writer_counters *xt_shared_writer_counters(struct xt_shared *shared)
{
    return &last_of(shared)->writer;
}

struct xt_vitals *xt_shared_vitals(struct xt_shared *shared, unsigned place)
{
    if (place < shared->workers) {
        return &xt_shared_counters(shared, place)->vitals;
    }
    return place == xt_shared_writer_place(shared->workers) ? &last_of(shared)->writer.vitals
                                                            : &last_of(shared)->supervisor;
}

/* ---- processes -------------------------------------------------------------------------------- */

const struct xt_process *xt_shared_process(const struct xt_shared *shared, unsigned place)
{
    xt_require(place <= xt_shared_supervisor_place(shared->workers));
    return &xt_shared_header_of(shared)->processes[place];
}

void xt_shared_set_process(struct xt_shared *shared, unsigned place, enum xt_process_state state,
                           pid_t pid)
{
    xt_require(place <= xt_shared_supervisor_place(shared->workers));
    struct xt_process *process = &xt_shared_header_of(shared)->processes[place];
    xt_counter_set(&process->pid, (uint64_t)pid);
    if (state == XT_PROCESS_STARTING) {
        xt_counter_set(&process->started_ms, clock_ms(CLOCK_MONOTONIC));
    }
    xt_counter_set(&process->state, state);
}

void xt_shared_count_restart(struct xt_shared *shared, unsigned place)
{
    xt_require(place <= xt_shared_supervisor_place(shared->workers));
    struct xt_process *process = &xt_shared_header_of(shared)->processes[place];
    xt_counter_set(&process->state, XT_PROCESS_DEAD);
    xt_counter_set(&process->pid, 0);
    xt_counter_add(&process->restarts, 1);
}

static enum xt_process_state state_of(const struct xt_shared *shared, unsigned place)
{
    return (enum xt_process_state)xt_counter_get(&xt_shared_process(shared, place)->state);
}

bool xt_shared_is_ready(const struct xt_shared *shared, struct xt_readiness *readiness)
{
    unsigned slots = xt_shared_slots(shared);
    *readiness = (struct xt_readiness){.workers = slots};
    for (unsigned slot = 0; slot < slots; slot++) {
        bool serving = false, with_generation = false;
        for (unsigned place = slot; place < shared->workers; place += slots) {
            const struct xt_counters *counters =
                (const struct xt_counters *)(const void *)(shared->map + counters_at(place));
            bool serves = state_of(shared, place) == XT_PROCESS_SERVING;
            serving = serving || serves;
            with_generation =
                with_generation || (serves && xt_counter_get(&counters->now.generation) != 0);
        }
        readiness->serving += serving;
        readiness->with_generation += with_generation;
    }
    enum xt_process_state writer = state_of(shared, xt_shared_writer_place(shared->workers));
    readiness->writer_wanted = writer != XT_PROCESS_NONE;
    readiness->writer_serving = writer == XT_PROCESS_SERVING;
    readiness->draining =
        state_of(shared, xt_shared_supervisor_place(shared->workers)) == XT_PROCESS_DRAINING;
    return readiness->with_generation == slots && !readiness->draining &&
           (readiness->writer_serving || !readiness->writer_wanted);
}
