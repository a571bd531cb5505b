#include "store/audit_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/audit_internal.h"
#include "store/audit_reader.h"
#include "store/crew.h"
#include "store/progress.h"

#define TORN_TRIES 20 /* of 50 ms: a batch that is just being written is whole by then */

/* What became of one segment's file. */
struct result {
    struct xt_audit_header header; /* where has_header */
    bool has_header, faulty;
    struct xt_audit_state state;
    const struct xt_audit_row *row; /* NULL: no checkpoint names it */
    struct xt_audit_fault fault;
};

struct job {
    const char *dir;
    const struct xt_keyring *keyring;
    const struct xt_audit_plan *plan;
    struct xt_audit_report *report;
    struct xt_audit_file *files;
    size_t count;
    struct result *results;
    struct xt_audit_walk walk;
    bool list_is_sound;
    pthread_mutex_t mutex;
    struct xt_progress progress;
    uint64_t done; /* bytes */
};

static void add_fault(struct xt_audit_report *report, const char *file, uint64_t offset,
                      const char *what)
{
    struct xt_audit_fault *more =
        realloc(report->faults, (report->fault_count + 1) * sizeof(*more));
    xt_require(more != NULL);
    report->faults = more;
    struct xt_audit_fault *fault = &more[report->fault_count++];
    *fault = (struct xt_audit_fault){.offset = offset};
    snprintf(fault->file, sizeof(fault->file), "%.*s", (int)sizeof(fault->file) - 1, file);
    snprintf(fault->what, sizeof(fault->what), "%.*s", (int)sizeof(fault->what) - 1, what);
}

void xt_audit_report_free(struct xt_audit_report *report)
{
    free(report->faults);
    report->faults = NULL;
    report->fault_count = 0;
}

/* ---- one segment ------------------------------------------------------------------------------ */

static void blame(struct result *result, uint64_t offset, const char *what)
{
    if (!result->faulty) {
        result->faulty = true;
        result->fault.offset = offset;
        snprintf(result->fault.what, sizeof(result->fault.what), "%s", what);
    }
}

/* Whether the state agrees with what the last checkpoint says of it; *met: it stood at just that many bytes
 * before, and what comes after is not in a checkpoint yet. */
static bool agrees(const struct xt_audit_state *state, const struct xt_audit_row *row, bool *met)
{
    if (*met || row == NULL || state->bytes < row->state.bytes) {
        return true;
    }
    *met = true;
    return state->bytes == row->state.bytes && state->batches == row->state.batches &&
           state->entries == row->state.entries &&
           memcmp(state->digest, row->state.digest, XT_AUDIT_DIGEST) == 0;
}

static bool look_around(struct job *job, uint64_t bytes)
{
    pthread_mutex_lock(&job->mutex);
    job->done += bytes;
    xt_progress_set(&job->progress, job->done);
    bool stop = xt_progress_interrupted(&job->progress);
    pthread_mutex_unlock(&job->mutex);
    return stop;
}

/* A batch that is not whole yet: the server may be writing it at this moment. */
static enum xt_status peek_patiently(struct xt_audit_reader *reader, bool patient,
                                     struct xt_audit_batch *batch)
{
    const struct timespec wait = {.tv_nsec = 50000000};
    enum xt_status status = xt_audit_reader_peek(reader, batch);
    for (unsigned i = 0; patient && status == XT_AGAIN && i < TORN_TRIES; i++) {
        (void)nanosleep(&wait, NULL);
        status = xt_audit_reader_peek(reader, batch);
    }
    return status;
}

static void check_end(struct result *result, enum xt_status status, uint64_t bytes)
{
    const struct xt_audit_row *row = result->row;
    if (row != NULL && bytes < row->state.bytes) {
        blame(result, bytes, "it ends here, and a checkpoint knows more of it: it was cut");
    } else if (status == XT_AGAIN) {
        blame(result, bytes,
              "it ends within a batch: torn by a crash (the next start of the server cuts it off "
              "and writes that down), or cut");
    }
}

static enum xt_status read_batches(struct job *job, struct xt_audit_reader *reader,
                                   struct result *result)
{
    const struct xt_audit_row *row = result->row;
    const struct xt_audit_state *state = xt_audit_reader_state(reader);
    bool closed = row != NULL && row->kind == XT_AUDIT_CLOSED;
    struct xt_audit_batch batch;
    struct xt_span plain;
    const char *what = "this is no batch, or not the next one";
    uint64_t told = 0;
    bool met = false;
    enum xt_status status;
    for (;;) {
        uint64_t at = state->bytes;
        if (!agrees(state, row, &met)) {
            blame(result, at, "up to here it is another than a checkpoint says: it was replaced");
            return XT_OK;
        }
        status = peek_patiently(reader, !closed && job->list_is_sound, &batch);
        if (status != XT_NOT_FOUND && closed && at >= row->state.bytes) {
            blame(result, at, "something was added after its end");
            return XT_OK;
        }
        if (status == XT_NOT_FOUND || status == XT_AGAIN) {
            check_end(result, status, at);
            return XT_OK;
        }
        if (status == XT_OK) {
            status = xt_audit_reader_take(reader, &batch, &plain, &what);
        }
        if (status != XT_OK) {
            if (status == XT_IO || status == XT_NO_MEMORY) {
                return status;
            }
            blame(result, at, what);
            return XT_OK;
        }
        if (state->bytes - told > (1U << 20)) {
            if (look_around(job, state->bytes - told)) {
                return XT_CLOSED;
            }
            told = state->bytes;
        }
    }
}

static enum xt_status try_open(struct job *job, const char *name, struct result *result,
                               struct xt_audit_reader **reader, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_audit_path(job->dir, name, path, failure);
    if (status != XT_OK) {
        return status;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT || errno == ELOOP) {
            blame(result, 0, "it is no file");
            return XT_OK;
        }
        return xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    status = xt_audit_reader_open(fd, job->keyring, reader);
    switch (status) {
    case XT_OK:
    case XT_AGAIN:
        return status;
    case XT_CORRUPT:
        blame(result, 0, "its header was changed, or is not of this deployment");
        return XT_OK;
    case XT_NOT_FOUND:
        blame(result, 0,
              "its header names a master key that keys/master.keys has not: it was changed, "
              "or the key must be restored");
        return XT_OK;
    case XT_UNSUPPORTED:
        blame(result, 0, "its header is of a later version, or was changed");
        return XT_OK;
    default:
        return xt_fail(failure, status, "cannot read %s", path);
    }
}

/* Its reader; none where it is blamed for what it is. A header that is not whole may be on its way. */
static enum xt_status open_segment(struct job *job, const char *name, struct result *result,
                                   struct xt_audit_reader **reader, struct xt_failure *failure)
{
    const struct timespec wait = {.tv_nsec = 50000000};
    bool patient = result->row == NULL && job->list_is_sound;
    enum xt_status status = try_open(job, name, result, reader, failure);
    for (unsigned i = 0; patient && status == XT_AGAIN && i < TORN_TRIES; i++) {
        (void)nanosleep(&wait, NULL);
        status = try_open(job, name, result, reader, failure);
    }
    if (status == XT_AGAIN) {
        blame(result, 0, "it ends within its header");
        return XT_OK;
    }
    return status;
}

static enum xt_status verify_segment(void *context, unsigned thread, uint64_t task,
                                     struct xt_failure *failure)
{
    (void)thread;
    struct job *job = context;
    struct result *result = &job->results[task];
    const char *name = job->files[task].name;
    struct xt_audit_reader *reader = NULL;
    result->row = xt_audit_known_by_name(&job->walk.known, name);
    if (result->row != NULL && result->row->kind == XT_AUDIT_EXPIRED) {
        return XT_OK; /* left over by an expiry that was interrupted */
    }
    enum xt_status status = open_segment(job, name, result, &reader, failure);
    if (status != XT_OK || reader == NULL) {
        return status;
    }
    char right[XT_AUDIT_NAME];
    result->header = *xt_audit_reader_header(reader);
    xt_audit_name(result->header.unix_ms, result->header.worker, result->header.id, right);
    if (strcmp(right, name) != 0) {
        blame(result, 0, "its header is of another file: it was renamed or copied");
    } else {
        result->has_header = true;
        status = read_batches(job, reader, result);
        result->state = *xt_audit_reader_state(reader);
    }
    xt_audit_reader_close(reader);
    if (status == XT_CLOSED) {
        return xt_fail(failure, status, "interrupted");
    }
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "cannot read %s", name);
}

/* ---- between segments ------------------------------------------------------------------------- */

static const struct result *result_of(const struct job *job, const uint8_t id[XT_AUDIT_ID])
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->results[i].has_header && memcmp(job->results[i].header.id, id, XT_AUDIT_ID) == 0) {
            return &job->results[i];
        }
    }
    return NULL;
}

/* What a segment says its worker wrote before it must have been written so. */
static void check_link(const struct job *job, struct result *result)
{
    const struct xt_audit_link *before = &result->header.before;
    if (result->faulty || !result->has_header || xt_audit_id_is_none(before->id)) {
        return;
    }
    const struct result *other = result_of(job, before->id);
    const struct xt_audit_row *row = xt_audit_known_find(&job->walk.known, before->id);
    const uint8_t *digest = other != NULL && other->faulty              ? NULL
                            : row != NULL && row->kind != XT_AUDIT_OPEN ? row->state.digest
                            : other != NULL                             ? other->state.digest
                                                                        : NULL;
    if (digest != NULL && memcmp(digest, before->digest, XT_AUDIT_DIGEST) != 0) {
        blame(result, 0, "it does not follow the segment that it names as the one before");
    } else if (other == NULL && row == NULL && job->list_is_sound) {
        blame(result, 0, "the segment that it names as the one before is missing");
    }
}

static void check_missing(struct job *job)
{
    for (size_t i = 0; i < job->walk.known.count; i++) {
        const struct xt_audit_row *row = &job->walk.known.rows[i];
        char name[XT_AUDIT_NAME];
        bool found = row->kind == XT_AUDIT_EXPIRED;
        xt_audit_name(row->state.start_ms, row->state.worker, row->state.id, name);
        for (size_t j = 0; !found && j < job->count; j++) {
            found = strcmp(job->files[j].name, name) == 0;
        }
        if (!found) {
            add_fault(job->report, name, 0, "it is missing");
        }
    }
}

static void sum_up(struct job *job)
{
    struct xt_audit_report *report = job->report;
    for (size_t i = 0; i < job->walk.known.count; i++) {
        const struct xt_audit_row *row = &job->walk.known.rows[i];
        report->expired += row->kind == XT_AUDIT_EXPIRED;
        report->repaired += row->cut > 0;
        report->cut += row->cut;
    }
    for (size_t i = 0; i < job->count; i++) {
        struct result *result = &job->results[i];
        check_link(job, result);
        if (result->faulty) {
            add_fault(report, job->files[i].name, result->fault.offset, result->fault.what);
        }
        if (result->has_header) {
            uint64_t covered = result->row != NULL ? result->row->state.entries : 0;
            report->segments++;
            report->batches += result->state.batches;
            report->entries += result->state.entries;
            report->bytes += result->state.bytes;
            report->uncovered +=
                result->state.entries > covered ? result->state.entries - covered : 0;
        }
    }
}

/* ---- all -------------------------------------------------------------------------------------- */

static enum xt_status open_public(const struct job *job, struct xt_audit_public **keys,
                                  struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    const char *file = job->plan->public_key;
    if (file == NULL) {
        enum xt_status named = xt_key_path(job->dir, "audit.pub", path, failure);
        if (named != XT_OK) {
            return named;
        }
        file = path;
    }
    enum xt_status status = xt_audit_public_open(file, keys, failure);
    /* Whoever kept an older copy learns of the keys since from the signatures of those he has. */
    struct xt_audit_public *present = NULL;
    if (status == XT_OK && job->plan->public_key != NULL &&
        xt_key_path(job->dir, "audit.pub", path, NULL) == XT_OK &&
        xt_audit_public_open(path, &present, NULL) == XT_OK) {
        xt_audit_public_extend(*keys, present);
        xt_audit_public_close(present);
    }
    return status;
}

/* The keys as they are once there is a snapshot: a key is in the file before it signs. */
static enum xt_status take_snapshot(const struct job *job, struct xt_audit_public **keys,
                                    struct xt_audit_snapshot *snapshot, const char **file,
                                    struct xt_failure *why)
{
    enum xt_status status = XT_CORRUPT;
    for (unsigned tries = 0; tries < 2 && status == XT_CORRUPT; tries++) {
        struct xt_audit_public *later = NULL;
        if (snapshot->fd >= 0) {
            close(snapshot->fd);
        }
        status = xt_audit_snapshot_take(job->dir, *keys, snapshot, file, why);
        if (open_public(job, &later, NULL) == XT_OK) {
            xt_audit_public_close(*keys);
            *keys = later;
        }
    }
    return status;
}

/* What the list says before it begins to be wrong, so that a fault in it is not told of the segments too. */
static enum xt_status believe_until(struct job *job, const struct xt_audit_snapshot *snapshot,
                                    uint64_t end)
{
    struct xt_audit_snapshot sound = {.fd = snapshot->fd, .size = end};
    xt_audit_known_free(&job->walk.known);
    job->walk = (struct xt_audit_walk){.number = 0};
    enum xt_status status = xt_audit_walk(&job->walk, &sound, NULL, NULL, NULL, NULL);
    return status == XT_CORRUPT ? XT_OK : status;
}

static void count_restores(void *context, const struct xt_audit_checkpoint *checkpoint,
                           uint64_t offset)
{
    struct xt_audit_report *report = context;
    (void)offset;
    report->restored += (checkpoint->flags & XT_AUDIT_FLAG_RESTORED) != 0;
}

/* The list's own faults go into the report; what is known of it so far counts. */
static enum xt_status read_list(struct job *job, struct xt_failure *failure)
{
    struct xt_audit_snapshot snapshot = {.fd = -1};
    struct xt_audit_public *keys = NULL;
    const char *file = "";
    enum xt_status status = open_public(job, &keys, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_failure why = {.text = ""};
    status = take_snapshot(job, &keys, &snapshot, &file, &why);
    job->list_is_sound = status == XT_OK;
    if (status == XT_CORRUPT) {
        add_fault(job->report, file, 0, why.text);
        status = XT_OK;
    }
    if (status == XT_OK && snapshot.fd >= 0) {
        /* Without a head, the list as far as it goes by itself. */
        status = xt_audit_walk(&job->walk, &snapshot, job->list_is_sound ? keys : NULL,
                               count_restores, job->report, &why);
        if (status == XT_CORRUPT) {
            add_fault(job->report, "checkpoints", job->walk.fault, why.text);
            job->list_is_sound = false;
            status = believe_until(job, &snapshot, job->walk.fault);
        }
    }
    if (status == XT_OK && job->list_is_sound && job->walk.number < job->plan->at_least) {
        char text[128];
        snprintf(text, sizeof(text),
                 "checkpoint %llu was expected, the last is %llu: an older log "
                 "was put in its place",
                 (unsigned long long)job->plan->at_least, (unsigned long long)job->walk.number);
        add_fault(job->report, "checkpoints", job->walk.end, text);
    }
    job->report->checkpoints = job->walk.number;
    if (status != XT_OK && failure != NULL) {
        *failure = why;
    }
    if (snapshot.fd >= 0) {
        close(snapshot.fd);
    }
    xt_audit_public_close(keys);
    return status;
}

static uint64_t total_bytes(const struct job *job)
{
    uint64_t total = 0;
    for (size_t i = 0; i < job->count; i++) {
        char path[XT_PATH_MAX];
        struct stat facts;
        if (xt_audit_path(job->dir, job->files[i].name, path, NULL) == XT_OK &&
            stat(path, &facts) == 0) {
            total += (uint64_t)facts.st_size;
        }
    }
    return total;
}

static enum xt_status read_segments(struct job *job, struct xt_failure *failure)
{
    unsigned threads = job->plan->threads > 0 ? job->plan->threads : xt_crew_processors();
    job->results = calloc(job->count + 1, sizeof(*job->results));
    if (job->results == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    xt_progress_start(&job->progress, "verifying the audit log", "bytes", total_bytes(job),
                      job->plan->quiet);
    job->progress.interrupted = job->plan->interrupted;
    enum xt_status status = xt_crew_run(threads, job->count, verify_segment, job, failure);
    if (status == XT_OK) {
        xt_progress_finish(&job->progress);
    } else {
        xt_progress_break(&job->progress);
    }
    return status;
}

enum xt_status xt_audit_verify(const char *dir, const struct xt_keyring *keyring,
                               const struct xt_audit_plan *plan, struct xt_audit_report *report,
                               struct xt_failure *failure)
{
    struct job job = {.dir = dir, .keyring = keyring, .plan = plan, .report = report};
    *report = (struct xt_audit_report){.segments = 0};
    xt_require(pthread_mutex_init(&job.mutex, NULL) == 0);
    /* The list first: what the server writes meanwhile is then more than the list says, never less. */
    enum xt_status status = read_list(&job, failure);
    if (status == XT_OK) {
        status = xt_audit_files(dir, &job.files, &job.count, failure);
    }
    if (status == XT_OK) {
        status = read_segments(&job, failure);
    }
    if (status == XT_OK) {
        check_missing(&job);
        sum_up(&job);
        if (report->fault_count > 0) {
            status = xt_fail(failure, XT_CORRUPT,
                             "the audit log is damaged or was tampered with in "
                             "%zu file%s",
                             report->fault_count, report->fault_count == 1 ? "" : "s");
        }
    }
    pthread_mutex_destroy(&job.mutex);
    xt_audit_known_free(&job.walk.known);
    free(job.results);
    free(job.files);
    return status;
}
