/* net/shared: the memory, and who can write to which part of it. */
#include "net/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/shared_internal.h"

#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1; older headers do not have it */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define MAGIC 0x7874736861726564ULL /* "xtshared" */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* ---- layout ----------------------------------------------------------------------------------- */

static size_t in_pages(size_t size)
{
    return (size + XT_SHARED_PAGE - 1) / XT_SHARED_PAGE * XT_SHARED_PAGE;
}

/* Of a worker or, behind them, the writer. */
static size_t row_at(unsigned place)
{
    return place * in_pages(sizeof(struct xt_counters));
}

static size_t row_size(unsigned place, unsigned workers)
{
    return in_pages(place < workers ? sizeof(struct xt_counters)
                                    : sizeof(struct xt_writer_counters));
}

static size_t rows_size(unsigned workers)
{
    return row_at(workers) + row_size(workers, workers);
}

static size_t size_of(enum xt_shared_fd file, unsigned workers)
{
    return file == XT_SHARED_HEADER  ? in_pages(sizeof(struct xt_shared_header))
           : file == XT_SHARED_RATES ? in_pages(sizeof(struct xt_shared_rates))
                                     : rows_size(workers);
}

/* Changes when a struct here does; two builds with the same sizes and different meanings never meet,
 * since children are started from the supervisor's own executable. */
static uint64_t layout(void)
{
    return (uint64_t)sizeof(struct xt_shared_header) << 32 ^ sizeof(struct xt_counters) << 8 ^
           sizeof(struct xt_writer_counters);
}

/* ---- maps ------------------------------------------------------------------------------------- */

/* NULL: it cannot be mapped. */
static void *map(int fd, size_t at, size_t size, int protection)
{
    void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, (off_t)at);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

static struct xt_shared *make(unsigned workers, unsigned place)
{
    struct xt_shared *shared = calloc(1, sizeof(*shared));
    if (shared != NULL) {
        shared->workers = shared->slots = workers;
        shared->place = place;
        for (unsigned i = 0; i < XT_SHARED_FDS; i++) {
            shared->fds[i] = -1;
        }
    }
    return shared;
}

/* What is not this place's can only be read, and stays so once the descriptors are closed. */
static bool map_all(struct xt_shared *shared, const int fds[XT_SHARED_FDS])
{
    unsigned workers = shared->workers, place = shared->place;
    bool supervisor = place == xt_shared_supervisor_place(workers);
    bool writer = place == xt_shared_writer_place(workers);
    shared->header = map(fds[XT_SHARED_HEADER], 0, size_of(XT_SHARED_HEADER, workers),
                         supervisor ? PROT_READ | PROT_WRITE : PROT_READ);
    shared->rows = map(fds[XT_SHARED_VIEW], 0, rows_size(workers), PROT_READ);
    if (!supervisor) {
        shared->own = map(fds[XT_SHARED_ROWS], row_at(place), row_size(place, workers),
                          PROT_READ | PROT_WRITE);
    }
    if (!writer) {
        shared->rates =
            map(fds[XT_SHARED_RATES], 0, size_of(XT_SHARED_RATES, workers), PROT_READ | PROT_WRITE);
    }
    return shared->header != NULL && shared->rows != NULL && (supervisor || shared->own != NULL) &&
           (writer || shared->rates != NULL);
}

static void unmap(void *memory, size_t size)
{
    if (memory != NULL) {
        munmap(memory, size);
    }
}

void xt_shared_close(struct xt_shared *shared)
{
    if (shared == NULL) {
        return;
    }
    unmap(shared->header, size_of(XT_SHARED_HEADER, shared->workers));
    unmap(shared->rates, size_of(XT_SHARED_RATES, shared->workers));
    unmap(shared->rows, rows_size(shared->workers));
    unmap(shared->own, row_size(shared->place, shared->workers));
    for (unsigned i = 0; i < XT_SHARED_FDS; i++) {
        if (shared->fds[i] >= 0) {
            close(shared->fds[i]);
        }
    }
    free(shared->book);
    free(shared);
}

/* ---- the supervisor --------------------------------------------------------------------------- */

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* -1 and errno: cannot. */
static int make_file(const char *name, size_t size, int seals)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 &&
        (ftruncate(fd, (off_t)size) != 0 || (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) != 0))) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool make_files(struct xt_shared *shared)
{
    static const char *const names[] = {"xacthuc-shared", "xacthuc-rates", "xacthuc-rows"};
    for (unsigned i = 0; i < XT_SHARED_VIEW; i++) {
        /* The header is sealed once the supervisor has its map. */
        shared->fds[i] = make_file(names[i], size_of((enum xt_shared_fd)i, shared->workers),
                                   i == XT_SHARED_HEADER ? 0 : SEALS | F_SEAL_SEAL);
        if (shared->fds[i] < 0) {
            return false;
        }
    }
    char path[40];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", shared->fds[XT_SHARED_ROWS]);
    shared->fds[XT_SHARED_VIEW] = open(path, O_RDONLY | O_CLOEXEC);
    return shared->fds[XT_SHARED_VIEW] >= 0;
}

static enum xt_status open_supervisor(struct xt_shared *shared, struct xt_failure *failure)
{
    shared->book = calloc(1, sizeof(*shared->book));
    if (shared->book == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the partners' cells");
    }
    if (!make_files(shared)) {
        return xt_fail(failure, XT_IO, "cannot make shared memory: %s", strerror(errno));
    }
    if (!map_all(shared, shared->fds)) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot map the shared memory");
    }
    if (fcntl(shared->fds[XT_SHARED_HEADER], F_ADD_SEALS,
              SEALS | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
        return xt_fail(failure, XT_IO, "cannot seal shared memory (Linux 5.1 can): %s",
                       strerror(errno));
    }
    return XT_OK;
}

enum xt_status xt_shared_create(unsigned workers, struct xt_shared **shared,
                                struct xt_failure *failure)
{
    if (workers == 0 || workers > XT_SHARED_WORKERS_MAX) {
        return xt_fail(failure, XT_INVALID, "there can be 1 to %u workers", XT_SHARED_WORKERS_MAX);
    }
    unsigned place = xt_shared_supervisor_place(workers);
    struct xt_shared *made = make(workers, place);
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the view of shared memory");
    }
    enum xt_status status = open_supervisor(made, failure);
    if (status != XT_OK) {
        xt_shared_close(made);
        return status;
    }
    made->started_unix_ms = unix_ms();
    made->header->start.magic = MAGIC;
    made->header->start.layout = layout();
    made->header->start.workers = made->header->start.slots = workers;
    made->header->start.started_unix_ms = made->started_unix_ms;
    xt_shared_set_process(made, place, XT_PROCESS_STARTING, getpid());
    xt_shared_set_process(made, place, XT_PROCESS_SERVING, getpid());
    *shared = made;
    return XT_OK;
}

void xt_shared_hand(const struct xt_shared *shared, int fds[XT_SHARED_FDS])
{
    memcpy(fds, shared->fds, sizeof(shared->fds));
}

void xt_shared_set_slots(struct xt_shared *shared, unsigned slots)
{
    xt_require(slots > 0 && slots <= shared->workers);
    shared->slots = shared->header->start.slots = slots;
}

/* ---- a child ---------------------------------------------------------------------------------- */

static bool is_sealed(int fd, size_t size)
{
    struct stat stat;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &stat) == 0 &&
           (uint64_t)stat.st_size == size;
}

/* What the maps go by, read once. */
static enum xt_status read_start(const int fds[XT_SHARED_FDS], struct xt_shared_start *start)
{
    if (!is_sealed(fds[XT_SHARED_HEADER], size_of(XT_SHARED_HEADER, 0)) ||
        pread(fds[XT_SHARED_HEADER], start, sizeof(*start), 0) != (ssize_t)sizeof(*start)) {
        return XT_IO;
    }
    if (start->magic != MAGIC || start->layout != layout() || start->workers == 0 ||
        start->workers > XT_SHARED_WORKERS_MAX || start->slots == 0 ||
        start->slots > start->workers) {
        return XT_UNSUPPORTED;
    }
    for (unsigned i = XT_SHARED_RATES; i < XT_SHARED_FDS; i++) {
        if (!is_sealed(fds[i], size_of((enum xt_shared_fd)i, start->workers))) {
            return XT_UNSUPPORTED;
        }
    }
    return XT_OK;
}

enum xt_status xt_shared_attach(const int fds[XT_SHARED_FDS], unsigned place,
                                struct xt_shared **shared, struct xt_failure *failure)
{
    struct xt_shared_start start;
    enum xt_status status = read_start(fds, &start);
    if (status != XT_OK) {
        return xt_fail(failure, status, "the shared memory is not of this program");
    }
    if (place > xt_shared_writer_place(start.workers)) {
        return xt_fail(failure, XT_INVALID, "there is no place %u for a child", place);
    }
    struct xt_shared *made = make(start.workers, place);
    if (made == NULL || !map_all(made, fds)) {
        xt_shared_close(made);
        return xt_fail(failure, XT_NO_MEMORY, "cannot map the shared memory");
    }
    made->slots = start.slots;
    made->started_unix_ms = start.started_unix_ms;
    if (place < start.workers) {
        memset(&xt_shared_counters(made, place)->now, 0, sizeof(struct xt_gauges));
    } else {
        xt_counter_set(&xt_shared_writer_counters(made)->queue, 0);
    }
    *shared = made;
    return XT_OK;
}

/* ---- parts ------------------------------------------------------------------------------------ */

unsigned xt_shared_workers(const struct xt_shared *shared)
{
    return shared->workers;
}

unsigned xt_shared_slots(const struct xt_shared *shared)
{
    return shared->slots;
}

uint64_t xt_shared_started_unix_ms(const struct xt_shared *shared)
{
    return shared->started_unix_ms;
}

static void *row_of(const struct xt_shared *shared, unsigned place)
{
    return place == shared->place ? shared->own : shared->rows + row_at(place);
}

struct xt_counters *xt_shared_counters(const struct xt_shared *shared, unsigned worker)
{
    xt_require(worker < shared->workers);
    return row_of(shared, worker);
}

struct xt_writer_counters *xt_shared_writer_counters(const struct xt_shared *shared)
{
    return row_of(shared, xt_shared_writer_place(shared->workers));
}

struct xt_vitals *xt_shared_vitals(const struct xt_shared *shared, unsigned place)
{
    if (place < shared->workers) {
        return &xt_shared_counters(shared, place)->vitals;
    }
    return place == xt_shared_writer_place(shared->workers)
               ? &xt_shared_writer_counters(shared)->vitals
               : &shared->header->supervisor;
}
