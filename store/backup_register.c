/* The generation and the live store of a backup: taken so that they belong together. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/backup_internal.h"
#include "store/command_line.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/live_copy.h"
#include "store/statistics_file.h"

#define LIVE_PATH "live/live.mdb"

/* ---- the generation --------------------------------------------------------------------------- */

static enum xt_status take_data(struct xt_backup_job *job, const char *name,
                                const struct xt_manifest *sealed, struct xt_failure *failure)
{
    char path[XT_BACKUP_PATH];
    struct xt_progress progress;
    const struct xt_backup_taking small = {.size = XT_BACKUP_ANY};
    const struct xt_backup_taking data = {.size = sealed->file_bytes,
                                          .digest = sealed->digest,
                                          .sealed = true,
                                          .progress = &progress};
    snprintf(path, sizeof(path), "identity/%s/" XT_MANIFEST_NAME, name);
    enum xt_status status = xt_backup_take(job, path, &small, failure);
    if (status != XT_OK) {
        return status;
    }
    snprintf(path, sizeof(path), "identity/%s/" XT_DATA_NAME, name);
    xt_progress_start(&progress, "taking the generation", "bytes", sealed->file_bytes,
                      job->plan->quiet);
    progress.interrupted = job->plan->interrupted;
    status = xt_backup_take(job, path, &data, failure);
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    return status;
}

/* Older generations have none. Counts that do not open would be missed on the day of the restore. */
static enum xt_status take_statistics(struct xt_backup_job *job, const char *name,
                                      const struct xt_manifest *sealed,
                                      const struct xt_keyring *keyring, struct xt_failure *failure)
{
    char path[XT_BACKUP_PATH], folder[XT_PATH_MAX];
    struct xt_tally tally = {.places = 0};
    const struct xt_backup_taking taking = {.size = XT_BACKUP_ANY, .sealed = true};
    snprintf(path, sizeof(path), "identity/%s/" XT_STATISTICS_NAME, name);
    enum xt_status status = xt_backup_take(job, path, &taking, failure);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    status = xt_identity_path(job->files, name, folder, failure);
    if (status == XT_OK) {
        status = xt_statistics_file_read(folder, sealed, keyring, &tally, failure);
    }
    xt_tally_free(&tally);
    return status;
}

/* XT_NOT_FOUND: it went while it was taken. */
static enum xt_status take_generation(struct xt_backup_job *job, uint32_t number,
                                      const struct xt_keyring *keyring, struct xt_manifest *sealed,
                                      struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME];
    char folder[XT_PATH_MAX];
    struct xt_structure structure = {.pages = NULL};
    xt_identity_name(number, name);
    enum xt_status status = xt_identity_path(job->plan->dir, name, folder, failure);
    if (status == XT_OK) {
        status = xt_manifest_read(folder, keyring, sealed, &structure, failure);
    }
    xt_structure_free(&structure);
    if (status == XT_OK) {
        status = take_data(job, name, sealed, failure);
    }
    return status == XT_OK ? take_statistics(job, name, sealed, keyring, failure) : status;
}

/* *number 0: nothing was imported yet. */
static enum xt_status look_at_current(const char *dir, uint32_t *number, struct stat *data,
                                      struct xt_failure *failure)
{
    *number = 0;
    *data = (struct stat){.st_ino = 0};
    enum xt_status status = xt_generation_current(dir, number, failure);
    if (status == XT_OK && !xt_generation_look(dir, *number, data)) {
        status = xt_fail(failure, XT_CORRUPT, "generation %06u is not there: restore it", *number);
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* ---- the live store --------------------------------------------------------------------------- */

/* The reader stays open until the end: LMDB must not be opened twice in a process. */
static enum xt_status open_live(struct xt_backup_job *job, struct xt_failure *failure)
{
    if (job->live != NULL) {
        return XT_OK;
    }
    xt_keyring_close(job->keyring);
    job->keyring = NULL;
    enum xt_status status = xt_deployment_keyring(job->plan->dir, &job->keyring, failure);
    if (status == XT_OK) {
        status = xt_live_open_reader(job->plan->dir, job->keyring, &job->live, failure);
        status = status == XT_NOT_FOUND ? XT_OK : status; /* there is no live store yet */
    }
    return status;
}

static enum xt_status copy_live(struct xt_backup_job *job, struct xt_failure *failure)
{
    char to[XT_PATH_MAX];
    enum xt_status status = open_live(job, failure);
    if (status != XT_OK || job->live == NULL) {
        return status;
    }
    if (xt_path_join(to, job->files, LIVE_PATH) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the backup is too long");
    }
    status = xt_backup_make_folders(job->files, LIVE_PATH, failure);
    if (status == XT_OK) {
        status = xt_live_copy(job->live, to, failure);
    }
    if (status == XT_OK && chmod(to, 0600) != 0) {
        status = xt_fail(failure, XT_IO, "cannot write %s: %s", to, strerror(errno));
    }
    return status;
}

enum xt_status xt_backup_look_at_live(const char *path, const struct xt_keyring *keyring,
                                      const struct xt_manifest *over, uint64_t *sequence,
                                      struct xt_failure *failure)
{
    struct xt_live_facts facts = {.sequence = 0};
    uint32_t number = over != NULL ? over->number : 0;
    enum xt_status status = xt_live_inspect(path, keyring, over, &facts, failure);
    *sequence = facts.sequence;
    if (status == XT_OK && facts.generation > number) {
        status = xt_fail(failure, XT_INVALID,
                         "identity/current leads to generation %06u, and the live store lies over "
                         "%06u: let it lead there, or have the server serve the older one",
                         number, facts.generation);
    }
    return status;
}

/* A copy that does not open, or that no server would take, is no backup. keyring: as it is now. */
static enum xt_status note_live(struct xt_backup_job *job, const struct xt_keyring *keyring,
                                const struct xt_manifest *over, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint64_t sequence = 0;
    if (job->live == NULL) {
        return XT_OK;
    }
    enum xt_status status = xt_path_join(path, job->files, LIVE_PATH);
    xt_require(status == XT_OK);
    status = xt_backup_look_at_live(path, keyring, over, &sequence, failure);
    if (status == XT_OK) {
        status = xt_backup_take_made(job, LIVE_PATH, failure);
    }
    job->manifest.sequence = sequence;
    return status;
}

/* ---- both ------------------------------------------------------------------------------------- */

/* *moved: the register was switched meanwhile, or a key was made: what was taken does not belong together. */
static enum xt_status attempt(struct xt_backup_job *job, bool *moved, struct xt_failure *failure)
{
    const char *dir = job->plan->dir;
    uint32_t number = 0, later = 0;
    struct stat data, then;
    struct xt_manifest sealed;
    struct xt_keyring *keyring = NULL;
    enum xt_status status = look_at_current(dir, &number, &data, failure);
    if (status == XT_OK) {
        status = xt_deployment_keyring(dir, &keyring, failure);
    }
    if (status == XT_OK && number != 0) {
        status = take_generation(job, number, keyring, &sealed, failure);
    }
    if (status == XT_OK) {
        status = copy_live(job, failure);
    }
    xt_keyring_close(keyring);
    keyring = NULL;
    enum xt_status looked = look_at_current(dir, &later, &then, status == XT_OK ? failure : NULL);
    *moved = looked == XT_OK &&
             (later != number || then.st_ino != data.st_ino || then.st_dev != data.st_dev);
    status = status == XT_OK ? looked : status;
    if (status == XT_OK && !*moved) {
        status = xt_deployment_keyring(dir, &keyring, failure);
    }
    if (status == XT_OK && !*moved) {
        status = note_live(job, keyring, number != 0 ? &sealed : NULL, failure);
    }
    xt_keyring_close(keyring);
    *moved = *moved || status == XT_DENIED; /* sealed anew while the keys were read */
    job->manifest.generation = number;
    return status;
}

enum xt_status xt_backup_take_register(struct xt_backup_job *job, struct xt_failure *failure)
{
    for (unsigned tries = 0; tries < XT_BACKUP_TRIES; tries++) {
        bool moved = false;
        size_t count = job->manifest.count;
        uint64_t linked = job->linked;
        enum xt_status status = attempt(job, &moved, failure);
        if (!moved || status == XT_CLOSED) {
            return status;
        }
        xt_backup_forget(job, count, "identity");
        xt_backup_forget(job, count, "live");
        job->linked = linked;
        if (status == XT_DENIED && tries + 1 == XT_BACKUP_TRIES) {
            return status;
        }
    }
    return xt_fail(failure, XT_BUSY,
                   "the generation was switched again and again meanwhile: take the backup when "
                   "import and compact are done");
}
