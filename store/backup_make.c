#include "store/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/backup_internal.h"

/* ---- one file --------------------------------------------------------------------------------- */

static enum xt_status too_long(struct xt_failure *failure)
{
    return xt_fail(failure, XT_TOO_LARGE, "a path of the deployment or its backup is too long");
}

static enum xt_status note(struct xt_backup_job *job, const char *path,
                           const struct xt_backup_content *content, struct xt_failure *failure)
{
    struct xt_backup_file file = {.mode = content->mode, .size = content->size};
    snprintf(file.path, sizeof(file.path), "%s", path);
    memcpy(file.digest, content->digest, sizeof(file.digest));
    job->bytes += content->size;
    return xt_backup_manifest_add(&job->manifest, &file) == XT_OK
               ? XT_OK
               : xt_fail(failure, XT_NO_MEMORY, "out of memory");
}

/* Where the file of the earlier backup is what is wanted. It is read again: a file that has changed since is
 * copied anew. *done: it has its name in this one too. */
static enum xt_status link_since(const struct xt_backup_job *job, const char *path, const char *to,
                                 const struct xt_backup_taking *taking,
                                 struct xt_backup_content *content, bool *done,
                                 struct xt_failure *failure)
{
    char from[XT_PATH_MAX];
    const struct xt_backup_file *file = xt_backup_manifest_find(&job->before, path);
    *done = false;
    if (file == NULL || file->size != taking->size ||
        xt_path_join(from, job->since, path) != XT_OK ||
        !(taking->digest != NULL ? memcmp(file->digest, taking->digest, XT_DIGEST_BYTES) == 0
                                 : taking->grows) ||
        !xt_backup_link(from, to)) {
        return XT_OK;
    }
    *content = (struct xt_backup_content){.size = file->size};
    uint64_t before = taking->progress != NULL ? taking->progress->done : 0;
    enum xt_status status = xt_backup_copy(to, NULL, 0, content, taking->progress, failure);
    *done = status == XT_OK && memcmp(content->digest, file->digest, XT_DIGEST_BYTES) == 0;
    if (!*done) {
        (void)unlink(to);
        if (taking->progress != NULL) {
            taking->progress->done = before;
        }
    }
    return status == XT_CORRUPT ? XT_OK : status;
}

static enum xt_status link_or_copy(const char *from, const char *to,
                                   const struct xt_backup_taking *taking,
                                   struct xt_backup_content *content, bool *linked,
                                   struct xt_failure *failure)
{
    struct stat facts;
    *content = (struct xt_backup_content){.size = taking->size};
    *linked = taking->sealed && xt_backup_link(from, to);
    if (*linked) {
        return xt_backup_copy(to, NULL, 0, content, taking->progress, failure);
    }
    bool there = stat(from, &facts) == 0;
    return xt_backup_copy(from, to, there ? (uint32_t)facts.st_mode & 0777U : 0600U, content,
                          taking->progress, failure);
}

enum xt_status xt_backup_take(struct xt_backup_job *job, const char *path,
                              const struct xt_backup_taking *taking, struct xt_failure *failure)
{
    char from[XT_PATH_MAX], to[XT_PATH_MAX];
    struct xt_backup_content content;
    bool linked = false;
    if (!xt_key_bundle_name_is_valid(xt_span_of_string(path))) {
        return xt_fail(failure, XT_INVALID,
                       "%s: a backup takes names of letters, digits, '.', '_' and '-' only", path);
    }
    if (xt_path_join(from, job->plan->dir, path) != XT_OK ||
        xt_path_join(to, job->files, path) != XT_OK) {
        return too_long(failure);
    }
    enum xt_status status = xt_backup_make_folders(job->files, path, failure);
    if (status == XT_OK) {
        status = link_since(job, path, to, taking, &content, &linked, failure);
    }
    if (status == XT_OK && !linked) {
        status = link_or_copy(from, to, taking, &content, &linked, failure);
    }
    if (status == XT_OK && taking->digest != NULL &&
        memcmp(content.digest, taking->digest, XT_DIGEST_BYTES) != 0) {
        status = xt_fail(failure, XT_CORRUPT, "%s is damaged: see xacthuc check %s", from,
                         job->plan->dir);
    }
    if (status != XT_OK) {
        (void)unlink(to);
        return status;
    }
    job->linked += linked ? content.size : 0;
    return note(job, path, &content, failure);
}

enum xt_status xt_backup_take_bytes(struct xt_backup_job *job, const char *path,
                                    struct xt_span bytes, uint32_t mode, struct xt_failure *failure)
{
    char to[XT_PATH_MAX];
    struct xt_backup_content content = {.size = bytes.size, .mode = mode};
    if (xt_path_join(to, job->files, path) != XT_OK) {
        return too_long(failure);
    }
    enum xt_status status = xt_backup_make_folders(job->files, path, failure);
    if (status == XT_OK) {
        status = xt_file_write(to, bytes, (mode_t)mode, false, failure);
    }
    if (status == XT_OK) {
        struct xt_digest *digest = xt_digest_start();
        xt_digest_add(digest, bytes);
        xt_digest_finish(digest, content.digest);
        status = note(job, path, &content, failure);
    }
    return status;
}

enum xt_status xt_backup_take_made(struct xt_backup_job *job, const char *path,
                                   struct xt_failure *failure)
{
    char made[XT_PATH_MAX];
    struct xt_backup_content content = {.size = XT_BACKUP_ANY};
    if (xt_path_join(made, job->files, path) != XT_OK) {
        return too_long(failure);
    }
    enum xt_status status = xt_backup_copy(made, NULL, 0, &content, NULL, failure);
    return status == XT_OK ? note(job, path, &content, failure) : status;
}

void xt_backup_forget(struct xt_backup_job *job, size_t count, const char *folder)
{
    char path[XT_PATH_MAX];
    while (job->manifest.count > count) {
        job->bytes -= job->manifest.files[--job->manifest.count].size;
    }
    if (xt_path_join(path, job->files, folder) == XT_OK) {
        xt_backup_remove(path);
    }
}

/* ---- all of it -------------------------------------------------------------------------------- */

enum xt_status xt_backup_make_partial(const char *path, char partial[XT_PATH_MAX],
                                      struct xt_failure *failure)
{
    int size = snprintf(partial, XT_PATH_MAX, "%s.partial-XXXXXX", path);
    if (size < 0 || size >= XT_PATH_MAX) {
        return too_long(failure);
    }
    if (mkdtemp(partial) == NULL) {
        int error = errno;
        partial[0] = 0;
        return xt_fail(failure, error == ENOENT ? XT_NOT_FOUND : XT_IO,
                       "cannot make a folder beside %s: %s", path, strerror(error));
    }
    return XT_OK;
}

/* The earlier backup must be of this deployment: its signature tells. */
static enum xt_status open_since(struct xt_backup_job *job, const struct xt_audit_public *keys,
                                 struct xt_failure *failure)
{
    job->since[0] = 0;
    if (job->plan->since == NULL) {
        return XT_OK;
    }
    return xt_path_join(job->since, job->plan->since, XT_BACKUP_FILES) == XT_OK
               ? xt_backup_manifest_read(job->plan->since, keys, &job->before, failure)
               : too_long(failure);
}

static enum xt_status take_all(struct xt_backup_job *job, struct xt_failure *failure)
{
    enum xt_status status = xt_backup_take_register(job, failure);
    if (status == XT_OK) {
        status = xt_backup_take_audit(job, failure);
    }
    return status == XT_OK ? xt_backup_take_rest(job, failure) : status;
}

/* OUT first: keys without it are of no use, and those of a backup that has its name are never removed again. */
static enum xt_status name_both(struct xt_backup_job *job, const char *keys,
                                struct xt_failure *failure)
{
    const struct xt_backup_plan *plan = job->plan;
    struct stat facts;
    struct xt_failure why;
    enum xt_status status = plan->interrupted != NULL && *plan->interrupted != 0
                                ? xt_fail(failure, XT_CLOSED, "interrupted; nothing was made")
                                : xt_backup_name(job->partial, plan->out, false, failure);
    if (keys[0] == 0) {
        return status;
    }
    if (lstat(job->partial, &facts) == 0) { /* it has not */
        (void)unlink(keys);
        return status;
    }
    enum xt_status named = xt_backup_name(keys, plan->keys, false, &why);
    return named == XT_OK ? status
                          : xt_fail(failure, named, "%s is made, its keys are in %s: %.300s",
                                    plan->out, keys, why.text);
}

/* Keys last: every key that something in the backup needs is there by then. */
static enum xt_status finish(struct xt_backup_job *job, const struct xt_audit_key *key,
                             struct xt_failure *failure)
{
    const struct xt_backup_plan *plan = job->plan;
    char keys[XT_PATH_MAX] = "";
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    job->manifest.made_unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    enum xt_status status = xt_backup_manifest_write(job->partial, &job->manifest, key, failure);
    if (status == XT_OK) {
        status = xt_backup_sync(job->partial, failure);
    }
    if (status == XT_OK && plan->keys != NULL) {
        const char *end = strrchr(job->partial, '-'); /* the same six letters */
        int size = snprintf(keys, sizeof(keys), "%s.partial%s", plan->keys, end);
        status = size > 0 && (size_t)size < sizeof(keys) ? xt_backup_write_keys(plan, keys, failure)
                                                         : too_long(failure);
    }
    if (status != XT_OK && status != XT_EXISTS && keys[0] != 0) {
        (void)unlink(keys);
    }
    return status == XT_OK ? name_both(job, keys, failure) : status;
}

static enum xt_status run(struct xt_backup_job *job, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_audit_key *key = NULL;
    struct xt_audit_public *keys = NULL;
    enum xt_status status = xt_key_path(job->plan->dir, "audit.key", path, failure);
    if (status == XT_OK) {
        status = xt_audit_key_open(path, &key, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_public_for(job->plan->dir, key, &keys, failure);
    }
    if (status == XT_OK) {
        status = open_since(job, keys, failure);
    }
    if (status == XT_OK) {
        status = xt_backup_make_partial(job->plan->out, job->partial, failure);
    }
    if (status == XT_OK) {
        status = xt_path_join(job->files, job->partial, XT_BACKUP_FILES) == XT_OK
                     ? xt_folder_make(job->files, 0700, failure)
                     : too_long(failure);
    }
    if (status == XT_OK) {
        status = take_all(job, failure);
    }
    if (status == XT_OK) {
        status = finish(job, key, failure);
    }
    if (status != XT_OK && job->partial[0] != 0) {
        xt_backup_remove(job->partial);
    }
    xt_audit_public_close(keys);
    xt_audit_key_close(key);
    return status;
}

static enum xt_status refuse_existing(const char *path, struct xt_failure *failure)
{
    struct stat facts;
    return lstat(path, &facts) == 0
               ? xt_fail(failure, XT_EXISTS, "%s exists: choose another name", path)
               : XT_OK;
}

/* A backup on the disk, and in the way, of what it is to replace; and what is in it would be taken again. */
static enum xt_status refuse_inside(const struct xt_backup_plan *plan, struct xt_failure *failure)
{
    char parent[XT_PATH_MAX];
    snprintf(parent, sizeof(parent), "%s", plan->out);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent] = 0;
    }
    char *dir = realpath(plan->dir, NULL);
    char *place = realpath(slash != NULL ? parent : ".", NULL);
    size_t size = dir != NULL ? strlen(dir) : 0;
    bool inside = dir != NULL && place != NULL && strncmp(place, dir, size) == 0 &&
                  (place[size] == 0 || place[size] == '/');
    free(dir);
    free(place);
    return inside ? xt_fail(failure, XT_INVALID, "%s is inside %s: a backup goes elsewhere",
                            plan->out, plan->dir)
                  : XT_OK;
}

enum xt_status xt_backup_make(const struct xt_backup_plan *plan, struct xt_backup_facts *facts,
                              struct xt_failure *failure)
{
    enum xt_status status = refuse_existing(plan->out, failure);
    if (status == XT_OK && plan->keys != NULL) {
        status = refuse_existing(plan->keys, failure);
    }
    if (status == XT_OK) {
        status = refuse_inside(plan, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    struct xt_backup_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    job->plan = plan;
    status = run(job, failure);
    *facts = (struct xt_backup_facts){.made_unix_ms = job->manifest.made_unix_ms,
                                      .generation = job->manifest.generation,
                                      .sequence = job->manifest.sequence,
                                      .checkpoint = job->manifest.checkpoint,
                                      .files = job->manifest.count,
                                      .bytes = job->bytes,
                                      .linked = job->linked};
    xt_live_close(job->live);
    xt_keyring_close(job->keyring);
    xt_backup_manifest_free(&job->manifest);
    xt_backup_manifest_free(&job->before);
    free(job);
    return status;
}
