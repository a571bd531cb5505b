/* The small files of a backup: partners, settings, certificates, what was asked today; and the keys, which
 * go elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/backup_internal.h"

#define SMALL_MAX (64U << 20) /* bytes: lists of revoked certificates can be long */
#define DEPTH_MAX 4           /* folders below the deployment */

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), tail = strlen(end);
    return size > tail && strcmp(name + size - tail, end) == 0;
}

bool xt_backup_is_setting(const char *name)
{
    static const char *const ends[] = {".conf", ".crt", ".crl", ".pem", ".der"};
    bool is = false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        is = is || ends_with(name, ends[i]);
    }
    return is && name[0] != '.';
}

bool xt_backup_is_secret(struct xt_span content)
{
    static const char mark[] = "PRIVATE KEY"; /* of all forms of PEM (RFC 7468, RFC 5915) */
    return content.size >= sizeof(mark) - 1 &&
           memmem(content.data, content.size, mark, sizeof(mark) - 1) != NULL;
}

/* ---- folders ---------------------------------------------------------------------------------- */

/* Calls take for the plain files of one folder whose names are fit for it. XT_OK where there is no folder. */
static enum xt_status each_file(const char *dir, const char *folder, xt_backup_setting take,
                                void *context, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    if (xt_path_join(path, dir, folder) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    DIR *list = opendir(path);
    if (list == NULL) {
        return errno == ENOENT
                   ? XT_OK
                   : xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    enum xt_status status = XT_OK;
    for (const struct dirent *entry; status == XT_OK && (entry = readdir(list)) != NULL;) {
        int size = entry->d_name[0] == '.'
                       ? -1
                       : snprintf(path, XT_BACKUP_PATH + 1, "%s/%s", folder, entry->d_name);
        if (size > 0 && size <= XT_BACKUP_PATH) {
            status = take(context, path, failure);
        }
    }
    closedir(list);
    return status;
}

static bool is_data(const FTSENT *entry)
{
    static const char *const folders[] = {"keys", "partners",   "identity",
                                          "live", "supervisor", "audit"};
    bool is = false;
    for (size_t i = 0; entry->fts_level == 1 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        is = is || strcmp(entry->fts_name, folders[i]) == 0;
    }
    return is || entry->fts_level > DEPTH_MAX || entry->fts_name[0] == '.';
}

enum xt_status xt_backup_each_setting(const char *dir, xt_backup_setting take, void *context,
                                      struct xt_failure *failure)
{
    char copy[XT_PATH_MAX];
    int size = snprintf(copy, sizeof(copy), "%s", dir);
    char *paths[] = {copy, NULL};
    FTS *walk =
        size > 0 && size < XT_PATH_MAX ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    if (walk == NULL) {
        return xt_fail(failure, XT_IO, "cannot read %s", dir);
    }
    enum xt_status status = XT_OK;
    for (FTSENT *entry; status == XT_OK && (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_D && entry->fts_level > 0 && is_data(entry)) {
            (void)fts_set(walk, entry, FTS_SKIP);
        } else if (entry->fts_info == FTS_F && xt_backup_is_setting(entry->fts_name)) {
            const char *path = entry->fts_path + size;
            status = take(context, path + strspn(path, "/"), failure);
        }
    }
    (void)fts_close(walk);
    return status;
}

/* ---- into the backup -------------------------------------------------------------------------- */

static enum xt_status take_setting(void *context, const char *path, struct xt_failure *failure)
{
    struct xt_backup_job *job = context;
    char from[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    if (!xt_key_bundle_name_is_valid(xt_span_of_string(path)) ||
        xt_path_join(from, job->plan->dir, path) != XT_OK) {
        return XT_OK; /* nothing that the program names so */
    }
    enum xt_status status = xt_file_read(from, SMALL_MAX, &content, &size, failure);
    struct stat facts;
    uint32_t mode = stat(from, &facts) == 0 ? facts.st_mode & 0777U : 0600U;
    if (status == XT_OK && !xt_backup_is_secret(xt_span_of(content, size))) {
        status = xt_backup_take_bytes(job, path, xt_span_of(content, size), mode, failure);
    }
    xt_file_release(content, size);
    return status == XT_NOT_FOUND ? XT_OK : status; /* it was taken away meanwhile */
}

static enum xt_status take_partner(void *context, const char *path, struct xt_failure *failure)
{
    return ends_with(path, ".json") ? take_setting(context, path, failure) : XT_OK;
}

/* The index first: the day's file may then have more room than it says, never less. */
static enum xt_status take_quota(void *context, const char *path, struct xt_failure *failure)
{
    struct xt_backup_job *job = context;
    const struct xt_backup_taking taking = {.size = XT_BACKUP_ANY};
    char day[XT_BACKUP_PATH + 1];
    size_t count = job->manifest.count;
    if (strncmp(path, "supervisor/quota-", 17) != 0 || !ends_with(path, ".index")) {
        return XT_OK;
    }
    snprintf(day, sizeof(day), "%.*s", (int)(strlen(path) - strlen(".index")), path);
    enum xt_status status = xt_backup_take(job, path, &taking, failure);
    if (status == XT_OK) {
        status = xt_backup_take(job, day, &taking, failure);
    }
    if (status == XT_NOT_FOUND) { /* the day is over */
        xt_backup_forget(job, count, path);
        return XT_OK;
    }
    return status;
}

enum xt_status xt_backup_take_rest(struct xt_backup_job *job, struct xt_failure *failure)
{
    const char *dir = job->plan->dir;
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    enum xt_status status = each_file(dir, "partners", take_partner, job, failure);
    if (status == XT_OK) {
        status = each_file(dir, "supervisor", take_quota, job, failure);
    }
    if (status == XT_OK) {
        status = xt_backup_each_setting(dir, take_setting, job, failure);
    }
    if (status == XT_OK) {
        status = xt_key_path(dir, "audit.pub", path, failure);
    }
    if (status == XT_OK) {
        status = xt_file_read(path, SMALL_MAX, &content, &size, failure);
    }
    if (status == XT_OK) {
        status =
            xt_backup_take_bytes(job, "keys/audit.pub", xt_span_of(content, size), 0600, failure);
    }
    xt_file_release(content, size);
    return status;
}

/* ---- keys ------------------------------------------------------------------------------------- */

struct collecting {
    const char *dir;
    struct xt_key_bundle *bundle;
};

static enum xt_status add_file(struct xt_key_bundle *bundle, const char *name, const char *path,
                               bool only_secret, struct xt_failure *failure)
{
    uint8_t *content = NULL;
    size_t size = 0;
    struct xt_span already;
    if (!xt_key_bundle_name_is_valid(xt_span_of_string(name)) ||
        xt_key_bundle_find(bundle, name, &already)) {
        return XT_OK;
    }
    enum xt_status status =
        xt_file_read(path, only_secret ? SMALL_MAX : XT_KEY_BUNDLE_MAX, &content, &size, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK; /* ca.key may be kept elsewhere, signing.key need not be there */
    }
    if (status == XT_OK && (!only_secret || xt_backup_is_secret(xt_span_of(content, size)))) {
        status = xt_key_bundle_add(bundle, name, xt_span_of(content, size));
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "the keys are more than a file of keys takes (%u bytes)",
                          XT_KEY_BUNDLE_MAX);
        }
    }
    xt_file_release(content, size);
    return status;
}

static enum xt_status collect(struct collecting *collecting, const char *path, bool only_secret,
                              struct xt_failure *failure)
{
    char from[XT_PATH_MAX];
    return xt_path_join(from, collecting->dir, path) == XT_OK
               ? add_file(collecting->bundle, path, from, only_secret, failure)
               : xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
}

static enum xt_status collect_key(void *context, const char *path, struct xt_failure *failure)
{
    return collect(context, path, false, failure);
}

static enum xt_status collect_secret(void *context, const char *path, struct xt_failure *failure)
{
    return collect(context, path, true, failure);
}

/* Where the service manager gives a key, that one, as the server has it. */
static enum xt_status collect_named(struct xt_key_bundle *bundle, const char *dir,
                                    struct xt_failure *failure)
{
    static const char *const names[] = {"master.keys", "audit.key",   "audit.pub",
                                        "server.key",  "signing.key", "ca.key"};
    enum xt_status status = XT_OK;
    for (size_t i = 0; status == XT_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        char path[XT_PATH_MAX], name[64];
        snprintf(name, sizeof(name), "keys/%s", names[i]);
        status = xt_key_path(dir, names[i], path, failure);
        if (status == XT_OK) {
            status = add_file(bundle, name, path, false, failure);
        }
    }
    return status;
}

enum xt_status xt_backup_write_keys(const struct xt_backup_plan *plan, struct xt_failure *failure)
{
    struct collecting collecting = {.dir = plan->dir};
    if (xt_key_bundle_new(&collecting.bundle) != XT_OK) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    enum xt_status status = collect_named(collecting.bundle, plan->dir, failure);
    if (status == XT_OK) {
        status = each_file(plan->dir, "keys", collect_key, &collecting, failure);
    }
    if (status == XT_OK) {
        status = xt_backup_each_setting(plan->dir, collect_secret, &collecting, failure);
    }
    if (status == XT_OK) {
        status = xt_key_bundle_write(collecting.bundle, plan->keys, plan->passphrase, failure);
    }
    xt_key_bundle_close(collecting.bundle);
    return status;
}

enum xt_status xt_backup_put_keys(const struct xt_key_bundle *bundle, const char *dir,
                                  struct xt_failure *failure)
{
    size_t place = 0;
    enum xt_status status = XT_OK;
    for (struct xt_span name, content;
         status == XT_OK && xt_key_bundle_next(bundle, &place, &name, &content);) {
        char path[XT_PATH_MAX], text[XT_KEY_BUNDLE_NAME_MAX + 1];
        memcpy(text, name.data, name.size); /* valid: it was looked at when it was opened */
        text[name.size] = 0;
        status = xt_path_join(path, dir, text) == XT_OK
                     ? xt_backup_make_folders(dir, text, failure)
                     : xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
        if (status == XT_OK) {
            status = xt_file_write(path, content, 0600, true, failure);
        }
    }
    return status;
}
