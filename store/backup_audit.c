/* The audit log of a backup: the list of checkpoints up to the one that its head names, and of every segment
 * what that list says. What is appended meanwhile is not in it. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/audit_checkpoint.h"
#include "store/audit_internal.h"
#include "store/backup_internal.h"

static enum xt_status open_public(const char *dir, struct xt_audit_public **keys,
                                  struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_key_path(dir, "audit.pub", path, failure);
    return status == XT_OK ? xt_audit_public_open(path, keys, failure) : status;
}

/* The head's bytes, and the list as it was when it had that head. */
struct moment {
    struct xt_audit_snapshot snapshot;
    struct xt_audit_walk walk;
    uint8_t head[XT_AUDIT_HEAD_BYTES];
};

/* XT_BUSY: a checkpoint came between. */
static enum xt_status read_head(const char *dir, const struct xt_audit_public *keys,
                                struct moment *moment, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    struct xt_audit_head head;
    enum xt_status status = xt_audit_path(dir, "head", path, failure);
    if (status == XT_OK) {
        status = xt_file_read(path, XT_AUDIT_HEAD_BYTES, &content, &size, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_audit_head_parse(xt_span_of(content, size), keys, &head);
    if (status != XT_OK) {
        status = xt_fail(failure, status, "%s is damaged: see xacthuc audit verify %s", path, dir);
    } else if (head.number != moment->snapshot.head.number) {
        status = xt_fail(failure, XT_BUSY, "the audit log goes on too fast: try again");
    } else {
        memcpy(moment->head, content, sizeof(moment->head));
    }
    xt_file_release(content, size);
    return status;
}

static enum xt_status choose_moment(const char *dir, const struct xt_audit_public *keys,
                                    struct moment *moment, struct xt_failure *failure)
{
    const char *file = "";
    enum xt_status status = xt_audit_snapshot_take(dir, keys, &moment->snapshot, &file, failure);
    if (status == XT_OK) {
        status = read_head(dir, keys, moment, failure);
    }
    if (status == XT_OK && moment->snapshot.fd >= 0) {
        /* One that is appended and that the head does not name yet is left out. */
        moment->snapshot.size = moment->snapshot.head.end;
        status = xt_audit_walk(&moment->walk, &moment->snapshot, keys, NULL, NULL, failure);
    }
    return status;
}

/* ---- taking ----------------------------------------------------------------------------------- */

static uint64_t total_bytes(const struct xt_audit_known *known)
{
    uint64_t total = 0;
    for (size_t i = 0; i < known->count; i++) {
        total += known->rows[i].kind != XT_AUDIT_EXPIRED ? known->rows[i].state.bytes : 0;
    }
    return total;
}

static enum xt_status take_segments(struct xt_backup_job *job, const struct xt_audit_known *known,
                                    struct xt_failure *failure)
{
    struct xt_progress progress;
    enum xt_status status = XT_OK;
    xt_progress_start(&progress, "taking the audit log", "bytes", total_bytes(known),
                      job->plan->quiet);
    progress.interrupted = job->plan->interrupted;
    for (size_t i = 0; status == XT_OK && i < known->count; i++) {
        const struct xt_audit_state *state = &known->rows[i].state;
        const struct xt_backup_taking taking = {
            .size = state->bytes, .grows = true, .progress = &progress};
        char name[XT_AUDIT_NAME], path[XT_BACKUP_PATH];
        if (known->rows[i].kind == XT_AUDIT_EXPIRED) {
            continue;
        }
        xt_audit_name(state->start_ms, state->worker, state->id, name);
        snprintf(path, sizeof(path), "audit/%s", name);
        status = xt_backup_take(job, path, &taking, failure);
    }
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    return status;
}

static enum xt_status attempt(struct xt_backup_job *job, struct moment *moment,
                              struct xt_failure *failure)
{
    struct xt_audit_public *keys = NULL;
    enum xt_status status = open_public(job->plan->dir, &keys, failure);
    if (status == XT_OK) {
        status = choose_moment(job->plan->dir, keys, moment, failure);
    }
    if (status == XT_OK && moment->snapshot.fd >= 0) {
        const struct xt_backup_taking list = {.size = moment->snapshot.size};
        status = xt_backup_take(job, "audit/checkpoints", &list, failure);
    }
    if (status == XT_OK) {
        status = take_segments(job, &moment->walk.known, failure);
    }
    if (status == XT_OK) {
        status = xt_backup_take_bytes(
            job, "audit/head", xt_span_of(moment->head, sizeof(moment->head)), 0600, failure);
    }
    job->manifest.checkpoint = moment->snapshot.head.number;
    xt_audit_public_close(keys);
    return status;
}

/* A checkpoint, an expiry or a new key may come between, so that something does not fit: again then. */
enum xt_status xt_backup_take_audit(struct xt_backup_job *job, struct xt_failure *failure)
{
    enum xt_status status = XT_BUSY;
    for (unsigned tries = 0; tries < XT_BACKUP_TRIES &&
                             (status == XT_BUSY || status == XT_NOT_FOUND || status == XT_CORRUPT);
         tries++) {
        struct moment moment = {.snapshot = {.fd = -1}};
        size_t count = job->manifest.count;
        uint64_t linked = job->linked;
        status = attempt(job, &moment, failure);
        if (status != XT_OK) {
            xt_backup_forget(job, count, "audit");
            job->linked = linked;
        }
        if (moment.snapshot.fd >= 0) {
            close(moment.snapshot.fd);
        }
        xt_audit_known_free(&moment.walk.known);
    }
    return status == XT_NOT_FOUND ? XT_CORRUPT : status;
}
