/* A deployment out of a backup. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/audit_verify.h"
#include "store/backup_internal.h"
#include "store/check.h"
#include "store/command_line.h"
#include "store/identity.h"
#include "store/statistics_file.h"

struct restore {
    const struct xt_backup_plan *plan;
    char partial[XT_PATH_MAX], files[XT_PATH_MAX];
    struct xt_backup_manifest manifest;
    struct xt_key_bundle *bundle;
    struct xt_keyring *keyring;
};

/* ---- keys ------------------------------------------------------------------------------------- */

/* With a bundle, the keys in it are who may have signed: not those that came with the backup. */
static enum xt_status open_public(struct restore *restore, struct xt_audit_public **keys,
                                  struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    const struct xt_backup_plan *plan = restore->plan;
    if (plan->keys == NULL) {
        enum xt_status status = xt_key_path(plan->dir, "audit.pub", path, failure);
        if (status == XT_OK && xt_audit_public_open(path, keys, NULL) == XT_OK) {
            return XT_OK;
        }
        return xt_fail(failure, XT_DENIED,
                       "nothing can be checked or opened without the keys: give --keys FILE, or "
                       "audit.pub, audit.key and master.keys as credentials");
    }
    enum xt_status status =
        xt_key_bundle_read(plan->keys, plan->passphrase, &restore->bundle, failure);
    if (status == XT_OK) {
        status = xt_backup_put_keys(restore->bundle, restore->partial, failure);
    }
    if (status == XT_OK && (xt_path_join(path, restore->partial, "keys/audit.pub") != XT_OK ||
                            access(path, F_OK) != 0)) {
        status =
            xt_fail(failure, XT_DENIED, "%s has no audit.pub: it is of no deployment", plan->keys);
    }
    return status == XT_OK ? xt_audit_public_open(path, keys, failure) : status;
}

static enum xt_status open_manifest(struct restore *restore, struct xt_failure *failure)
{
    struct xt_audit_public *keys = NULL;
    enum xt_status status = open_public(restore, &keys, failure);
    if (status == XT_OK) {
        status = xt_backup_manifest_read(restore->plan->out, keys, &restore->manifest, failure);
    }
    xt_audit_public_close(keys);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------ */

static enum xt_status copy_file(struct restore *restore, const struct xt_backup_file *file,
                                struct xt_progress *progress, struct xt_failure *failure)
{
    char from[XT_PATH_MAX], to[XT_PATH_MAX];
    struct stat facts;
    struct xt_backup_content content = {.size = file->size};
    if (xt_path_join(from, restore->files, file->path) != XT_OK ||
        xt_path_join(to, restore->partial, file->path) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "a path of the deployment is too long");
    }
    /* Those of the bundle are newer, or the same, and were given with the passphrase. */
    if (strncmp(file->path, "keys/", 5) == 0 && lstat(to, &facts) == 0) {
        return XT_OK;
    }
    enum xt_status status = xt_backup_make_folders(restore->partial, file->path, failure);
    if (status == XT_OK) {
        status = xt_backup_copy(from, to, file->mode, &content, progress, failure);
    }
    if (status == XT_NOT_FOUND) {
        return xt_fail(failure, XT_CORRUPT, "%s is missing: take another copy of the backup", from);
    }
    if (status == XT_OK && (memcmp(content.digest, file->digest, XT_DIGEST_BYTES) != 0 ||
                            stat(from, &facts) != 0 || (uint64_t)facts.st_size != file->size)) {
        status = xt_fail(failure, XT_CORRUPT,
                         "%s is damaged, or was changed: take another copy of the backup", from);
    }
    return status;
}

static enum xt_status copy_files(struct restore *restore, uint64_t *bytes,
                                 struct xt_failure *failure)
{
    static const char *const folders[] = {"keys", "partners",   "identity",
                                          "live", "supervisor", "audit"};
    const struct xt_backup_manifest *manifest = &restore->manifest;
    struct xt_progress progress;
    enum xt_status status = XT_OK;
    for (size_t i = 0; status == XT_OK && i < sizeof(folders) / sizeof(folders[0]); i++) {
        char path[XT_PATH_MAX];
        status = xt_path_join(path, restore->partial, folders[i]) == XT_OK
                     ? xt_folder_make(path, 0700, failure)
                     : xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    *bytes = 0;
    for (size_t i = 0; i < manifest->count; i++) {
        *bytes += manifest->files[i].size;
    }
    xt_progress_start(&progress, "restoring", "bytes", *bytes, restore->plan->quiet);
    progress.interrupted = restore->plan->interrupted;
    for (size_t i = 0; status == XT_OK && i < manifest->count; i++) {
        status = copy_file(restore, &manifest->files[i], &progress, failure);
    }
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    return status;
}

/* As an import leaves it: the folder closed, the link named. */
static enum xt_status switch_to(struct restore *restore, struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME], folder[XT_PATH_MAX];
    uint32_t number = (uint32_t)restore->manifest.generation;
    if (number == 0) {
        return XT_OK;
    }
    xt_identity_name(number, name);
    enum xt_status status = xt_identity_path(restore->partial, name, folder, failure);
    if (status == XT_OK && chmod(folder, 0500) != 0) {
        status = xt_fail(failure, XT_CORRUPT, "the backup lacks generation %06u", number);
    }
    if (status == XT_OK) {
        status = xt_identity_intend(restore->partial, number, failure);
    }
    return status == XT_OK ? xt_identity_switch(restore->partial, failure) : status;
}

/* ---- checks ----------------------------------------------------------------------------------- */

static enum xt_status check_generation(struct restore *restore, struct xt_failure *failure)
{
    static struct xt_check_report report;
    const struct xt_check_plan plan = {.quiet = restore->plan->quiet,
                                       .interrupted = restore->plan->interrupted};
    uint32_t number = (uint32_t)restore->manifest.generation;
    struct xt_failure why;
    if (number == 0) {
        return XT_OK;
    }
    enum xt_status status =
        xt_generation_check(restore->partial, number, restore->keyring, &plan, &report, &why);
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "generation %06u: %.400s", number, why.text);
}

static enum xt_status check_live(struct restore *restore, const struct xt_manifest *over,
                                 struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint64_t sequence = 0;
    enum xt_status status = XT_OK;
    if (xt_backup_manifest_find(&restore->manifest, "live/live.mdb") != NULL) {
        status = xt_path_join(path, restore->partial, "live/live.mdb") == XT_OK
                     ? xt_backup_look_at_live(path, restore->keyring, over, &sequence, failure)
                     : xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    return status == XT_OK && sequence != restore->manifest.sequence
               ? xt_fail(failure, XT_CORRUPT, "the live store ends with event %llu, not %llu",
                         (unsigned long long)sequence,
                         (unsigned long long)restore->manifest.sequence)
               : status;
}

/* What lies beside and over a generation: its counts, if it has any, and the live store. */
static enum xt_status check_around(struct restore *restore, struct xt_failure *failure)
{
    struct xt_generation *generation = NULL;
    struct xt_tally tally = {.places = 0};
    uint32_t number = (uint32_t)restore->manifest.generation;
    if (number == 0) {
        return check_live(restore, NULL, failure);
    }
    enum xt_status status =
        xt_generation_open(restore->partial, number, restore->keyring, &generation, failure);
    if (status != XT_OK) {
        return status;
    }
    const struct xt_manifest *sealed = xt_generation_manifest(generation);
    status = xt_generation_statistics(restore->partial, sealed, restore->keyring, &tally, failure);
    if (status == XT_OK || status == XT_NOT_FOUND) {
        status = check_live(restore, sealed, failure);
    }
    xt_tally_free(&tally);
    xt_generation_close(generation);
    return status;
}

static enum xt_status check_audit(struct restore *restore, struct xt_failure *failure)
{
    struct xt_audit_report report;
    const struct xt_audit_plan plan = {.quiet = restore->plan->quiet,
                                       .at_least = restore->manifest.checkpoint,
                                       .interrupted = restore->plan->interrupted};
    enum xt_status status =
        xt_audit_verify(restore->partial, restore->keyring, &plan, &report, failure);
    if (status == XT_CORRUPT && report.fault_count > 0) {
        status = xt_fail(failure, XT_CORRUPT, "the audit log in the backup: %s: %s",
                         report.faults[0].file, report.faults[0].what);
    }
    xt_audit_report_free(&report);
    return status;
}

/* What follows in this log is of a deployment that was restored: whatever the other one logged after the
 * backup is not before it. */
static enum xt_status write_down(struct restore *restore, struct xt_failure *failure)
{
    struct xt_audit_checkpoints *list = NULL;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    enum xt_status status = xt_audit_checkpoints_open(restore->partial, &list, failure);
    if (status == XT_OK) {
        status = xt_audit_checkpoint_write(list, unix_ms, XT_AUDIT_FLAG_RESTORED, NULL, 0, failure);
    }
    xt_audit_checkpoints_close(list);
    return status;
}

static enum xt_status check_all(struct restore *restore, struct xt_failure *failure)
{
    enum xt_status status = xt_deployment_keyring(restore->partial, &restore->keyring, failure);
    if (status == XT_OK) {
        status = check_generation(restore, failure);
    }
    if (status == XT_OK) {
        status = check_around(restore, failure);
    }
    if (status == XT_OK) {
        status = check_audit(restore, failure);
    }
    return status == XT_OK ? write_down(restore, failure) : status;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static enum xt_status run(struct restore *restore, struct xt_backup_facts *facts,
                          struct xt_failure *failure)
{
    const struct xt_backup_plan *plan = restore->plan;
    enum xt_status status = xt_backup_make_partial(plan->dir, restore->partial, failure);
    if (status == XT_OK && xt_path_join(restore->files, plan->out, XT_BACKUP_FILES) != XT_OK) {
        status = xt_fail(failure, XT_TOO_LARGE, "the path of the backup is too long");
    }
    if (status == XT_OK) {
        status = open_manifest(restore, failure);
    }
    if (status == XT_OK) {
        status = copy_files(restore, &facts->bytes, failure);
    }
    if (status == XT_OK) {
        status = switch_to(restore, failure);
    }
    if (status == XT_OK) {
        status = check_all(restore, failure);
    }
    if (status == XT_OK) {
        status = xt_backup_sync(restore->partial, failure);
    }
    if (status == XT_OK && plan->interrupted != NULL && *plan->interrupted != 0) {
        status = xt_fail(failure, XT_CLOSED, "interrupted; nothing was made");
    }
    if (status == XT_OK) {
        status = xt_backup_name(restore->partial, plan->dir, true, failure);
    }
    if (status != XT_OK && restore->partial[0] != 0) {
        xt_backup_remove(restore->partial);
    }
    return status;
}

/* Only at the end could it be told otherwise, after all the work. */
static enum xt_status refuse_existing(const char *dir, struct xt_failure *failure)
{
    struct stat facts;
    if (lstat(dir, &facts) != 0) {
        return XT_OK;
    }
    DIR *list = S_ISDIR(facts.st_mode) ? opendir(dir) : NULL;
    bool empty = list != NULL;
    for (const struct dirent *entry; empty && (entry = readdir(list)) != NULL;) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    if (list != NULL) {
        closedir(list);
    }
    return empty ? XT_OK
                 : xt_fail(failure, XT_EXISTS,
                           "%s exists and is not an empty folder; nothing was changed", dir);
}

enum xt_status xt_backup_restore(const struct xt_backup_plan *plan, struct xt_backup_facts *facts,
                                 struct xt_failure *failure)
{
    enum xt_status status = refuse_existing(plan->dir, failure);
    if (status != XT_OK) {
        return status;
    }
    struct restore *restore = calloc(1, sizeof(*restore));
    if (restore == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    restore->plan = plan;
    *facts = (struct xt_backup_facts){.files = 0};
    status = run(restore, facts, failure);
    facts->made_unix_ms = restore->manifest.made_unix_ms;
    facts->generation = restore->manifest.generation;
    facts->sequence = restore->manifest.sequence;
    facts->checkpoint = restore->manifest.checkpoint;
    facts->files = restore->manifest.count;
    xt_backup_manifest_free(&restore->manifest);
    xt_key_bundle_close(restore->bundle);
    xt_keyring_close(restore->keyring);
    free(restore);
    return status;
}
