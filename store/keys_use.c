#include "store/keys_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/audit_internal.h"
#include "store/identity.h"
#include "store/live.h"
#include "store/manifest.h"
#include "store/quota_internal.h"

static struct xt_key_use_count *entry_of(struct xt_keys_use *use, uint32_t id)
{
    for (size_t i = 0; i < use->count; i++) {
        if (use->keys[i].id == id) {
            return &use->keys[i];
        }
    }
    struct xt_key_use_count *more = realloc(use->keys, (use->count + 1) * sizeof(*more));
    if (more == NULL) {
        return NULL;
    }
    use->keys = more;
    more[use->count] = (struct xt_key_use_count){.id = id};
    return &more[use->count++];
}

static enum xt_status no_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY, "out of memory");
}

/* ---- generations ------------------------------------------------------------------------------ */

static enum xt_status look_at_generation(struct xt_keys_use *use, const char *dir, const char *name,
                                         const struct xt_keyring *keyring,
                                         struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    struct xt_manifest manifest = {.number = 0};
    struct xt_structure structure = {.pages = NULL};
    enum xt_status status = xt_identity_path(dir, name, folder, failure);
    if (status == XT_OK) {
        status = xt_manifest_read(folder, keyring, &manifest, &structure, failure);
    }
    if (status == XT_OK) {
        xt_structure_free(&structure);
    }
    if (status == XT_DENIED && manifest.key_id != 0) {
        status = XT_OK; /* of a key that is not here: it names it all the same */
    }
    if (status != XT_OK) {
        return status;
    }
    struct xt_key_use_count *entry = entry_of(use, manifest.key_id);
    if (entry == NULL) {
        return no_memory(failure);
    }
    if (entry->generations == 0 || manifest.number < entry->first_generation) {
        entry->first_generation = manifest.number;
    }
    if (manifest.number > entry->last_generation) {
        entry->last_generation = manifest.number;
    }
    entry->generations++;
    return XT_OK;
}

static enum xt_status look_at_generations(struct xt_keys_use *use, const char *dir,
                                          const struct xt_keyring *keyring,
                                          struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_identity_path(dir, "", path, failure);
    DIR *list = status == XT_OK ? opendir(path) : NULL;
    if (status == XT_OK && list == NULL) {
        status = xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    if (status != XT_OK || list == NULL) {
        return status;
    }
    for (const struct dirent *entry; status == XT_OK && (entry = readdir(list)) != NULL;) {
        size_t digits = strspn(entry->d_name, "0123456789");
        if (digits > 0 && entry->d_name[digits] == 0) {
            status = look_at_generation(use, dir, entry->d_name, keyring, failure);
        }
    }
    closedir(list);
    return status;
}

/* ---- live store ------------------------------------------------------------------------------- */

static enum xt_status look_at_live(struct xt_keys_use *use, const char *dir,
                                   const struct xt_keyring *keyring, struct xt_failure *failure)
{
    struct xt_live *live = NULL;
    enum xt_status status = xt_live_open_reader(dir, keyring, &live, failure);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    struct xt_key_use_count *entry = entry_of(use, xt_live_key_id(live));
    if (entry != NULL) {
        entry->live_store = true;
    }
    xt_live_close(live);
    return entry != NULL ? XT_OK : no_memory(failure);
}

/* ---- audit log -------------------------------------------------------------------------------- */

static enum xt_status look_at_segment(struct xt_keys_use *use, const char *dir, const char *name,
                                      struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t bytes[XT_AUDIT_HEADER_BYTES];
    struct xt_audit_header header;
    size_t got = 0;
    enum xt_status status = xt_audit_path(dir, name, path, failure);
    if (status != XT_OK) {
        return status;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT
                   ? XT_OK /* expired meanwhile */
                   : xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    status = xt_audit_read_at(fd, 0, bytes, sizeof(bytes), &got);
    close(fd);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot read %s", path);
    }
    if (got == 0) {
        return XT_OK; /* just made: nothing is sealed in it */
    }
    if (xt_audit_header_parse(xt_span_of(bytes, got), &header) != XT_OK) {
        return xt_fail(failure, XT_CORRUPT,
                       "the header of %s is damaged, so nobody can tell which key it needs: see "
                       "xacthuc audit verify",
                       path);
    }
    struct xt_key_use_count *entry = entry_of(use, header.key_id);
    if (entry == NULL) {
        return no_memory(failure);
    }
    entry->segments++;
    return XT_OK;
}

static enum xt_status look_at_segments(struct xt_keys_use *use, const char *dir,
                                       struct xt_failure *failure)
{
    struct xt_audit_file *files = NULL;
    size_t count = 0;
    enum xt_status status = xt_audit_files(dir, &files, &count, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK;
    }
    for (size_t i = 0; status == XT_OK && i < count; i++) {
        status = look_at_segment(use, dir, files[i].name, failure);
    }
    free(files);
    return status;
}

/* ---- quotas ----------------------------------------------------------------------------------- */

static enum xt_status look_at_quota(struct xt_keys_use *use, int folder, const char *name,
                                    struct xt_failure *failure)
{
    struct xt_quota_head head;
    size_t got = 0;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT
                   ? XT_OK /* a day that is over */
                   : xt_fail(failure, XT_IO, "cannot read live/%s: %s", name, strerror(errno));
    }
    enum xt_status status = xt_audit_read_at(fd, 0, (uint8_t *)&head, sizeof(head), &got);
    close(fd);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot read live/%s", name);
    }
    if (got != sizeof(head) || head.magic != XT_QUOTA_MAGIC) {
        return XT_OK; /* damaged: its day begins anew, whatever the key */
    }
    struct xt_key_use_count *entry = entry_of(use, head.key_id);
    if (entry == NULL) {
        return no_memory(failure);
    }
    entry->quota_days++;
    return XT_OK;
}

static enum xt_status look_at_quotas(struct xt_keys_use *use, const char *dir,
                                     struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    int32_t day;
    DIR *list = xt_path_join(path, dir, XT_SUPERVISOR_FOLDER) == XT_OK ? opendir(path) : NULL;
    enum xt_status status = XT_OK;
    if (list == NULL) {
        return XT_OK; /* no server ran here yet */
    }
    for (const struct dirent *entry; status == XT_OK && (entry = readdir(list)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".index") == 0 && xt_quota_day_of(entry->d_name, &day)) {
            status = look_at_quota(use, dirfd(list), entry->d_name, failure);
        }
    }
    closedir(list);
    return status;
}

/* ---- all -------------------------------------------------------------------------------------- */

enum xt_status xt_keys_use_read(const char *dir, const struct xt_keyring *keyring,
                                struct xt_keys_use *use, struct xt_failure *failure)
{
    *use = (struct xt_keys_use){.count = 0};
    enum xt_status status = XT_OK;
    for (size_t i = 0; status == XT_OK && i < xt_keyring_count(keyring); i++) {
        char made[XT_KEY_TIME + 1];
        status =
            entry_of(use, xt_keyring_at(keyring, i, made)) != NULL ? XT_OK : no_memory(failure);
    }
    if (status == XT_OK) {
        status = look_at_generations(use, dir, keyring, failure);
    }
    if (status == XT_OK) {
        status = look_at_live(use, dir, keyring, failure);
    }
    if (status == XT_OK) {
        status = look_at_segments(use, dir, failure);
    }
    if (status == XT_OK) {
        status = look_at_quotas(use, dir, failure);
    }
    if (status != XT_OK) {
        xt_keys_use_free(use);
    }
    return status;
}

void xt_keys_use_free(struct xt_keys_use *use)
{
    free(use->keys);
    *use = (struct xt_keys_use){.count = 0};
}

struct xt_key_use_count xt_keys_use_of(const struct xt_keys_use *use, uint32_t id)
{
    for (size_t i = 0; i < use->count; i++) {
        if (use->keys[i].id == id) {
            return use->keys[i];
        }
    }
    return (struct xt_key_use_count){.id = id};
}

bool xt_key_is_used(const struct xt_key_use_count *count)
{
    return count->generations > 0 || count->live_store || count->segments > 0 ||
           count->quota_days > 0;
}
