#include "store/import_read.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/crew.h"
#include "store/csv_rows.h"
#include "store/lines.h"
#include "store/progress.h"

/* A reject waiting for its turn to be written. There may be as many as lines, and a line may be two
 * bytes: this is followed by as much of the pointer as there is, not by all that it could be. */
struct refused {
    uint64_t line;
    const char *code; /* static text */
    uint8_t pointer_size;
};
#define REFUSED_BYTES (offsetof(struct refused, pointer_size) + 1)

/* One block of lines on its way around. */
struct job {
    enum { FREE, FILLED, PARSED } state;
    struct xt_line_block block;
    size_t start;             /* where the first line of people begins: after a header */
    struct xt_memory refused; /* of struct refused and pointers, in the order of the lines */
    uint64_t taken;
    enum xt_status status;
    struct xt_failure failure;
};

struct reading;

struct lane {
    struct reading *reading;
    unsigned number;
    pthread_t thread;
    struct xt_csv *csv;
    struct xt_memory arena; /* of the JSON parser: it holds people too */
};

struct reading {
    const struct xt_import_input *input;
    const struct xt_import_taker *taker;
    bool header_read; /* of a CSV; before any lane sees a line */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *jobs; /* a ring */
    unsigned job_count, lane_count;
    uint64_t filled, taken; /* how many blocks were */
    bool over;              /* nothing more will be filled */
    bool failed;            /* a lane did: reading on is no use */
    struct lane lanes[XT_CREW_MAX];
};

/* ---- a lane ------------------------------------------------------------------------------- */

static enum xt_status refuse(struct job *job, uint64_t line, const struct xt_reject *reject)
{
    uint8_t *place;
    size_t size = strnlen(reject->pointer, sizeof(reject->pointer) - 1);
    struct refused refused = {.line = line, .code = reject->code, .pointer_size = (uint8_t)size};
    if (xt_memory_extend(&job->refused, REFUSED_BYTES + size, &place) != XT_OK) {
        return xt_fail(&job->failure, XT_NO_MEMORY, "out of memory");
    }
    memcpy(place, &refused, REFUSED_BYTES);
    memcpy(place + REFUSED_BYTES, reject->pointer, size);
    return XT_OK;
}

/* Not every reject of line 1: a register of millions read in the wrong format is one mistake. */
static bool is_csv_header(uint64_t number, struct xt_span line, const char *column)
{
    return number == 1 && line.data[0] != '{' &&
           memmem(line.data, line.size, column, strlen(column)) != NULL &&
           memchr(line.data, ',', line.size) != NULL;
}

static enum xt_status take_line(struct lane *lane, struct job *job, uint64_t number,
                                struct xt_span line)
{
    const struct reading *reading = lane->reading;
    const struct xt_import_taker *taker = reading->taker;
    struct xt_reject reject = {.code = "", .pointer = ""};
    struct xt_import_line taken = {.lane = lane->number,
                                   .number = number,
                                   .text = line,
                                   .arena = {lane->arena.data, lane->arena.size}};
    enum xt_status status = XT_OK;
    if (reading->input->is_csv) {
        status = xt_csv_row(lane->csv, line, &taken.fields, &taken.field_count, &reject.code);
    }
    if (status == XT_OK) {
        status = taker->take(taker->context, &taken, &reject, &job->failure);
    }
    if (status == XT_INVALID && !reading->input->is_csv &&
        is_csv_header(number, line, taker->column)) {
        return xt_fail(&job->failure, XT_INVALID,
                       "the first line of %s is a CSV header: give --format csv",
                       reading->input->name);
    }
    if (status == XT_INVALID) {
        return refuse(job, number, &reject);
    }
    job->taken += status == XT_OK;
    return status == XT_OK || job->failure.text[0] != 0
               ? status
               : xt_fail(&job->failure, status, "cannot read line %llu of %s",
                         (unsigned long long)number, reading->input->name);
}

static void parse(struct lane *lane, struct job *job)
{
    const struct xt_reject too_long = {.code = "line_too_long", .pointer = ""};
    size_t at = job->start;
    uint64_t number = job->block.first_line + (at > 0 ? 1 : 0);
    job->status = XT_OK;
    for (; job->status == XT_OK; number++) {
        struct xt_span line;
        enum xt_status got = xt_line_next(&job->block, &at, &line);
        if (got == XT_CLOSED) {
            break;
        }
        if (got == XT_TOO_LARGE) {
            job->status = refuse(job, number, &too_long);
        } else if (line.size > 0) {
            job->status = take_line(lane, job, number, line);
        }
    }
}

/* Whoever waits for input looks up. */
static void wake(const struct xt_import_input *input)
{
    const uint64_t one = 1;
    ssize_t wrote = write(input->wake, &one, sizeof(one));
    (void)wrote; /* it can only be full: then it is readable as well */
}

static void *run_lane(void *data)
{
    struct lane *lane = data;
    struct reading *reading = lane->reading;
    pthread_mutex_lock(&reading->mutex);
    for (;;) {
        while (reading->taken == reading->filled && !reading->over) {
            pthread_cond_wait(&reading->changed, &reading->mutex);
        }
        if (reading->taken == reading->filled) {
            break;
        }
        struct job *job = &reading->jobs[reading->taken++ % reading->job_count];
        pthread_mutex_unlock(&reading->mutex);
        parse(lane, job);
        pthread_mutex_lock(&reading->mutex);
        job->state = PARSED;
        if (job->status != XT_OK) {
            reading->failed = true;
            wake(reading->input);
        }
        pthread_cond_broadcast(&reading->changed);
    }
    pthread_mutex_unlock(&reading->mutex);
    return NULL;
}

/* ---- the reading thread ------------------------------------------------------------------- */

static enum xt_status tell_refused(struct job *job, struct xt_rejects *rejects,
                                   struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (size_t at = 0; at < job->refused.size && status == XT_OK;) {
        struct refused refused;
        struct xt_reject reject;
        memcpy(&refused, job->refused.data + at, REFUSED_BYTES);
        memcpy(reject.pointer, job->refused.data + at + REFUSED_BYTES, refused.pointer_size);
        reject.pointer[refused.pointer_size] = 0;
        status = xt_rejects_add(rejects, refused.line, 0, refused.code, reject.pointer, failure);
        at += REFUSED_BYTES + refused.pointer_size;
    }
    job->refused.size = 0;
    return status;
}

/* Waits until a job was parsed (or was never filled), writes its rejects and makes it free. */
static enum xt_status retire(struct reading *reading, struct job *job, struct xt_rejects *rejects,
                             uint64_t *taken, struct xt_failure *failure)
{
    pthread_mutex_lock(&reading->mutex);
    while (job->state == FILLED) {
        pthread_cond_wait(&reading->changed, &reading->mutex);
    }
    pthread_mutex_unlock(&reading->mutex);
    if (job->state == FREE) {
        return XT_OK;
    }
    enum xt_status status = tell_refused(job, rejects, failure);
    *taken += job->taken;
    job->taken = 0;
    job->state = FREE;
    if (status == XT_OK && job->status != XT_OK) {
        status = job->status;
        *failure = job->failure;
    }
    return status;
}

/* The first line of a CSV that is not empty is its header. */
static enum xt_status read_header(struct reading *reading, struct job *job,
                                  struct xt_failure *failure)
{
    struct xt_span line = xt_span_of(NULL, 0);
    const struct xt_span *fields = NULL;
    unsigned count = 0;
    struct xt_reject reject = {.code = "line_too_long", .pointer = ""};
    size_t at = 0;
    uint64_t number = job->block.first_line - 1;
    enum xt_status status = XT_OK;
    while (status == XT_OK && line.size == 0) {
        status = xt_line_next(&job->block, &at, &line);
        number++;
    }
    if (status == XT_CLOSED) {
        job->block.size = 0; /* nothing but empty lines */
        return XT_OK;
    }
    if (status == XT_OK) {
        status = xt_csv_row(reading->lanes[0].csv, line, &fields, &count, &reject.code);
    }
    if (status == XT_OK) {
        status = reading->taker->header(reading->taker->context, fields, count, &reject);
    }
    if (status != XT_OK) {
        return xt_fail(failure, XT_DENIED,
                       "the header of the CSV cannot be used: %s %s (line %llu): name the members "
                       "of a %s as in the README",
                       reject.code, reject.pointer, (unsigned long long)number,
                       reading->taker->what);
    }
    reading->header_read = true;
    job->start = at;
    job->block.first_line = number;
    return XT_OK;
}

static bool has_failed(struct reading *reading)
{
    pthread_mutex_lock(&reading->mutex);
    bool failed = reading->failed;
    pthread_mutex_unlock(&reading->mutex);
    return failed;
}

/* Fills a free job; XT_NOT_FOUND: there is nothing more, or it is no use because a lane failed, which
 * its job tells. */
static enum xt_status fill(struct reading *reading, struct xt_lines *lines, struct job *job,
                           struct xt_failure *failure)
{
    const struct xt_import_input *input = reading->input;
    enum xt_status status;
    do { /* what makes `wake` readable ends this */
        if (*input->stop != 0) {
            return xt_fail(failure, XT_CLOSED, "interrupted; nothing was changed");
        }
        if (has_failed(reading)) {
            return XT_NOT_FOUND;
        }
        status = xt_lines_fill(lines, &job->block);
    } while (status == XT_AGAIN);
    if (status == XT_IO) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", input->name, strerror(errno));
    }
    if (status == XT_CLOSED) {
        return XT_NOT_FOUND;
    }
    job->start = 0;
    if (status == XT_OK && input->is_csv && !reading->header_read) {
        status = read_header(reading, job, failure);
    }
    return status;
}

static void pass_on(struct reading *reading, struct job *job)
{
    pthread_mutex_lock(&reading->mutex);
    job->state = FILLED;
    reading->filled++;
    pthread_cond_broadcast(&reading->changed);
    pthread_mutex_unlock(&reading->mutex);
}

static enum xt_status read_blocks(struct reading *reading, struct xt_rejects *rejects,
                                  uint64_t *taken, struct xt_failure *failure)
{
    struct xt_lines lines;
    struct xt_progress progress;
    const struct xt_import_input *input = reading->input;
    enum xt_status status = xt_lines_start(&lines, input->fd, input->wake);
    if (status != XT_OK) {
        xt_lines_end(&lines);
        return xt_fail(failure, status, "out of memory");
    }
    xt_progress_start(&progress, "reading", input->bytes > 0 ? "bytes" : "lines", input->bytes,
                      input->quiet);
    while (status == XT_OK) {
        struct job *job = &reading->jobs[reading->filled % reading->job_count];
        status = retire(reading, job, rejects, taken, failure);
        if (status == XT_OK) {
            status = fill(reading, &lines, job, failure);
        }
        if (status == XT_OK) {
            pass_on(reading, job);
            xt_progress_look(&progress, input->bytes > 0 ? lines.bytes : *taken);
        }
    }
    status = status == XT_NOT_FOUND ? XT_OK : status;
    for (unsigned i = 0; i < reading->job_count && status == XT_OK; i++) {
        unsigned oldest = (unsigned)((reading->filled + i) % reading->job_count);
        status = retire(reading, &reading->jobs[oldest], rejects, taken, failure);
    }
    xt_progress_set(&progress, input->bytes > 0 ? lines.bytes : *taken);
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    xt_lines_end(&lines);
    return status;
}

static enum xt_status start_lane(struct reading *reading, unsigned number)
{
    struct lane *lane = &reading->lanes[number];
    uint8_t *place;
    *lane = (struct lane){.reading = reading, .number = number};
    enum xt_status status = xt_memory_extend(&lane->arena, XT_PERSON_JSON_ARENA, &place);
    if (status == XT_OK) {
        status = xt_csv_open(&lane->csv);
    }
    if (status == XT_OK && pthread_create(&lane->thread, NULL, run_lane, lane) != 0) {
        status = XT_NO_MEMORY;
    }
    return status;
}

static enum xt_status start_lanes(struct reading *reading, unsigned lanes)
{
    enum xt_status status = XT_OK;
    reading->job_count = lanes * 2 + 2;
    reading->jobs = calloc(reading->job_count, sizeof(*reading->jobs));
    if (reading->jobs == NULL) {
        reading->job_count = 0;
        return XT_NO_MEMORY;
    }
    for (unsigned i = 0; i < reading->job_count && status == XT_OK; i++) {
        status = xt_line_block_start(&reading->jobs[i].block);
    }
    for (unsigned i = 0; i < lanes && status == XT_OK; i++) {
        status = start_lane(reading, i);
        reading->lane_count += status == XT_OK;
    }
    return reading->lane_count > 0 ? XT_OK : status; /* fewer do it as well */
}

static void end_lanes(struct reading *reading)
{
    pthread_mutex_lock(&reading->mutex);
    reading->over = true;
    reading->taken = reading->filled; /* after a failure: what was not begun is left */
    pthread_cond_broadcast(&reading->changed);
    pthread_mutex_unlock(&reading->mutex);
    for (unsigned i = 0; i < reading->lane_count; i++) {
        pthread_join(reading->lanes[i].thread, NULL);
    }
    for (unsigned i = 0; i < XT_CREW_MAX; i++) {
        xt_csv_close(reading->lanes[i].csv);
        xt_memory_free(&reading->lanes[i].arena);
    }
    for (unsigned i = 0; i < reading->job_count; i++) {
        xt_line_block_end(&reading->jobs[i].block);
        xt_memory_free(&reading->jobs[i].refused);
    }
    free(reading->jobs);
}

enum xt_status xt_import_read(const struct xt_import_input *input,
                              const struct xt_import_taker *taker, struct xt_rejects *rejects,
                              uint64_t *taken, struct xt_failure *failure)
{
    sigset_t all;
    sigset_t before;
    struct reading *reading = calloc(1, sizeof(*reading));
    if (reading == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    reading->input = input;
    reading->taker = taker;
    pthread_mutex_init(&reading->mutex, NULL);
    pthread_cond_init(&reading->changed, NULL);
    sigfillset(&all); /* signals come to this thread: they are what wakes a read */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum xt_status status = start_lanes(reading, taker->lanes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    status = status == XT_OK ? read_blocks(reading, rejects, taken, failure)
                             : xt_fail(failure, status, "out of memory");
    end_lanes(reading);
    pthread_cond_destroy(&reading->changed);
    pthread_mutex_destroy(&reading->mutex);
    free(reading);
    return status;
}
