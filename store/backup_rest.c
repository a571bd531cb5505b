/* The small files of a backup: partners, settings, certificates, what was asked today; and the keys, which
 * go elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/authority.h"
#include "crypto/credential.h"
#include "store/backup_internal.h"

#define SMALL_MAX (64U << 20) /* bytes: lists of revoked certificates can be long */
#define CONFIG "xacthuc.conf"

/* Takes a file by its path in the deployment. */
typedef enum xt_status (*take_file)(void *context, const char *path, struct xt_failure *failure);

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), tail = strlen(end);
    return size > tail && strcmp(name + size - tail, end) == 0;
}

static bool ends_with_any(const char *name, const char *const *ends, size_t count)
{
    bool does = false;
    for (size_t i = 0; i < count; i++) {
        does = does || ends_with(name, ends[i]);
    }
    return does;
}

static bool is_setting(const char *name)
{
    static const char *const ends[] = {".conf", ".crt", ".crl", ".pem", ".der", ".key"};
    return name[0] != '.' && ends_with_any(name, ends, sizeof(ends) / sizeof(ends[0]));
}

/* What is no certificate and no list, for all we know, is a private key in some form. */
static bool is_secret(const char *name, struct xt_span content)
{
    static const char *const ends[] = {".crt", ".crl", ".pem", ".der"};
    return ends_with(name, ".key") || xt_has_private_key(content) ||
           (ends_with_any(name, ends, sizeof(ends) / sizeof(ends[0])) &&
            !xt_is_certificate_or_list(content));
}

static enum xt_status refuse_name(const char *path, struct xt_failure *failure)
{
    return xt_fail(failure, XT_INVALID,
                   "%s: a backup takes names of letters, digits, '.', '_' and '-' only", path);
}

/* ---- folders ---------------------------------------------------------------------------------- */

/* Calls take for what is in a folder, but for names that begin with a dot. XT_OK where there is no folder. */
static enum xt_status each_file(const char *dir, const char *folder, take_file take, void *context,
                                struct xt_failure *failure)
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
    const struct dirent *entry = NULL;
    while (status == XT_OK && (errno = 0, entry = readdir(list)) != NULL) {
        if (entry->d_name[0] != '.') {
            int size = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            xt_require(size > 0 && (size_t)size < sizeof(path));
            status = take(context, path, failure);
        }
    }
    if (status == XT_OK && errno != 0) {
        status = xt_fail(failure, XT_IO, "cannot read %s/%s: %s", dir, folder, strerror(errno));
    }
    closedir(list);
    return status;
}

/* Folders, or links to them, that are taken otherwise or are none of the deployment's. */
static bool is_passed_over(const FTSENT *entry)
{
    static const char *const folders[] = {"keys",  "partners",   "identity",  "live",
                                          "audit", "supervisor", "lost+found"};
    bool is = entry->fts_level > 0 && entry->fts_name[0] == '.';
    for (size_t i = 0; entry->fts_level == 1 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        is = is || strcmp(entry->fts_name, folders[i]) == 0;
    }
    return is;
}

/* What cannot be read, or leads somewhere, might have settings in it: silence would cost them. */
static enum xt_status look_at_odd(const FTSENT *entry, bool *take, struct xt_failure *failure)
{
    struct stat facts;
    bool named = is_setting(entry->fts_name);
    switch (entry->fts_info) {
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return entry->fts_errno == ENOENT && entry->fts_level > 0
                   ? XT_OK /* it was taken away meanwhile */
                   : xt_fail(failure, XT_IO, "cannot read %s: %s", entry->fts_path,
                             strerror(entry->fts_errno));
    case FTS_SL:
        *take = named && stat(entry->fts_accpath, &facts) == 0 && S_ISREG(facts.st_mode);
        if (!named && (is_passed_over(entry) || stat(entry->fts_accpath, &facts) != 0 ||
                       !S_ISDIR(facts.st_mode))) {
            return XT_OK;
        }
        return *take ? XT_OK
                     : xt_fail(failure, XT_INVALID,
                               "%s is a link that a backup does not follow: put what it leads to "
                               "in its place",
                               entry->fts_path);
    case FTS_DEFAULT:
        return named ? xt_fail(failure, XT_INVALID, "%s is no plain file", entry->fts_path) : XT_OK;
    default:
        return XT_OK;
    }
}

/* Settings, certificates, private keys below dir, but not what is below keys, partners and the data. */
static enum xt_status each_setting(const char *dir, take_file take, void *context,
                                   struct xt_failure *failure)
{
    char copy[XT_PATH_MAX];
    int size = snprintf(copy, sizeof(copy), "%s", dir);
    char *paths[] = {copy, NULL};
    FTS *walk = size > 0 && size < XT_PATH_MAX
                    ? fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL)
                    : NULL;
    if (walk == NULL) {
        return xt_fail(failure, XT_IO, "cannot read %s", dir);
    }
    enum xt_status status = XT_OK;
    FTSENT *entry = NULL;
    while (status == XT_OK && (errno = 0, entry = fts_read(walk)) != NULL) {
        bool taken = entry->fts_info == FTS_F && is_setting(entry->fts_name);
        if (entry->fts_info == FTS_D && is_passed_over(entry)) {
            (void)fts_set(walk, entry, FTS_SKIP);
        } else {
            status = look_at_odd(entry, &taken, failure);
        }
        if (status == XT_OK && taken) {
            const char *path = entry->fts_path + size;
            status = take(context, path + strspn(path, "/"), failure);
        }
    }
    if (status == XT_OK && errno != 0) {
        status = xt_fail(failure, XT_IO, "cannot read %s: %s", dir, strerror(errno));
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
    if (ends_with(path, ".key")) {
        return XT_OK;
    }
    if (!xt_key_bundle_name_is_valid(xt_span_of_string(path))) {
        return refuse_name(path, failure);
    }
    if (xt_path_join(from, job->plan->dir, path) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = xt_file_read(from, SMALL_MAX, &content, &size, failure);
    struct stat facts;
    uint32_t mode = stat(from, &facts) == 0 ? facts.st_mode & 0777U : 0600U;
    if (status == XT_OK && !is_secret(path, xt_span_of(content, size))) {
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

static bool is_taken(const struct xt_backup_job *job, const char *path)
{
    bool is = false;
    for (size_t i = 0; !is && i < job->manifest.count; i++) {
        is = strcmp(job->manifest.files[i].path, path) == 0;
    }
    return is;
}

static bool is_there(const char *dir, const char *name)
{
    char path[XT_PATH_MAX];
    struct stat facts;
    return xt_path_join(path, dir, name) == XT_OK && stat(path, &facts) == 0;
}

/* "revocations = lists/any.name" of a line; NULL: another. As net/config reads it, whatever the section. */
static const char *revocations_of(char *line)
{
    static const char name[] = "revocations";
    char *at = line + strspn(line, " \t");
    if (strncmp(at, name, sizeof(name) - 1) != 0) {
        return NULL;
    }
    at += sizeof(name) - 1;
    at += strspn(at, " \t");
    if (*at != '=' && *at != ':') {
        return NULL;
    }
    at += 1 + strspn(at + 1, " \t\r");
    for (char *c = at; *c != 0; c++) { /* a comment, after a space */
        if (*c == ';' && (c == at || c[-1] == ' ' || c[-1] == '\t')) {
            *c = 0;
            break;
        }
    }
    for (size_t size = strlen(at); size > 0 && strchr(" \t\r", at[size - 1]) != NULL; size--) {
        at[size - 1] = 0;
    }
    return at;
}

/* The list that the server reads, which may be called anything. */
static enum xt_status take_revocations(struct xt_backup_job *job, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    if (xt_path_join(path, job->plan->dir, CONFIG) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = xt_file_read(path, SMALL_MAX, &content, &size, failure);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    char *rest = NULL;
    for (char *line = strtok_r((char *)content, "\n", &rest); status == XT_OK && line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *name = revocations_of(line);
        if (name != NULL && name[0] != 0 && !is_taken(job, name)) {
            status = take_setting(job, name, failure);
            if (status == XT_OK && is_there(job->plan->dir, name) && !is_taken(job, name)) {
                status =
                    xt_fail(failure, XT_INVALID, "%s is no list of revoked certificates", name);
            }
        }
    }
    xt_file_release(content, size);
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
        status = each_setting(dir, take_setting, job, failure);
    }
    if (status == XT_OK) {
        status = take_revocations(job, failure);
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

/* only_secret: certificates and settings are read as well, and left out. */
static enum xt_status read_key(const char *name, const char *path, bool only_secret,
                               uint8_t **content, size_t *size, struct xt_failure *failure)
{
    return only_secret || ends_with(name, ".pub")
               ? xt_file_read(path, SMALL_MAX, content, size, failure)
               : xt_file_read_secret(path, XT_KEY_BUNDLE_MAX, content, size, failure);
}

static enum xt_status add_file(struct xt_key_bundle *bundle, const char *name, const char *path,
                               bool only_secret, struct xt_failure *failure)
{
    uint8_t *content = NULL;
    size_t size = 0;
    struct xt_span already;
    only_secret = only_secret && !ends_with(name, ".key");
    if (!xt_key_bundle_name_is_valid(xt_span_of_string(name))) {
        return refuse_name(name, failure);
    }
    if (xt_key_bundle_find(bundle, name, &already)) {
        return XT_OK;
    }
    enum xt_status status = read_key(name, path, only_secret, &content, &size, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK; /* ca.key may be kept elsewhere, signing.key and token.key need not be there */
    }
    if (status == XT_OK && (!only_secret || is_secret(name, xt_span_of(content, size)))) {
        status = xt_key_bundle_add(bundle, name, xt_span_of(content, size));
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "the keys are more than a file of keys takes (%u bytes)",
                          XT_KEY_BUNDLE_MAX);
        }
    }
    if (only_secret || ends_with(name, ".pub")) {
        xt_file_release(content, size);
    } else {
        xt_file_release_secret(content);
    }
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
    static const char *const names[] = {"master.keys", "audit.key", "audit.pub", "server.key",
                                        "signing.key", "token.key", "ca.key"};
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

enum xt_status xt_backup_write_keys(const struct xt_backup_plan *plan, const char *path,
                                    struct xt_failure *failure)
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
        status = each_setting(plan->dir, collect_secret, &collecting, failure);
    }
    if (status == XT_OK) {
        status = xt_key_bundle_write(collecting.bundle, path, plan->passphrase, failure);
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
