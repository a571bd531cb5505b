#include "store/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/generation.h"

#define CURRENT "current"
#define SWITCHING ".switching" /* the new link before it is renamed */
#define LOCK ".lock"
#define BUILDING "building-"

void xt_identity_name(uint32_t number, char name[XT_GENERATION_NAME])
{
    snprintf(name, XT_GENERATION_NAME, "%06u", number);
}

/* "000007" -> 7; 0 for every other name. */
static uint32_t number_of(const char *name)
{
    char *end = NULL;
    char canonical[XT_GENERATION_NAME];
    if (name[0] < '0' || name[0] > '9' || strlen(name) > 10) {
        return 0;
    }
    unsigned long number = strtoul(name, &end, 10);
    if (*end != 0 || number == 0 || number >= UINT32_MAX) {
        return 0;
    }
    xt_identity_name((uint32_t)number, canonical);
    return strcmp(name, canonical) == 0 ? (uint32_t)number : 0;
}

enum xt_status xt_identity_path(const char *dir, const char *name, char path[XT_PATH_MAX],
                                struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    if (xt_path_join(folder, dir, "identity") != XT_OK ||
        xt_path_join(path, folder, name) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    return XT_OK;
}

enum xt_status xt_identity_is_local(const char *dir, struct xt_failure *failure)
{
    /* Only what is a network for certain: FUSE and 9P also carry local disks into containers. */
    static const struct {
        uint32_t magic;
        const char *name;
    } networks[] = {{0x6969, "NFS"},        {0x517b, "SMB"},      {0xfe534d42, "SMB"},
                    {0xff534d42, "CIFS"},   {0x5346414f, "AFS"},  {0x00c36400, "Ceph"},
                    {0x0bd00bd0, "Lustre"}, {0x01161970, "GFS2"}, {0x7461636f, "OCFS2"}};
    char path[XT_PATH_MAX];
    struct statfs facts;
    enum xt_status status = xt_identity_path(dir, "", path, failure);
    if (status != XT_OK) {
        return status;
    }
    if (statfs(path, &facts) != 0) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO,
                       "%s is not a deployment (%s): run xacthuc init %s", dir, strerror(errno),
                       dir);
    }
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        if ((uint32_t)facts.f_type == networks[i].magic) {
            return xt_fail(failure, XT_UNSUPPORTED,
                           "%s is on a network file system (%s), where memory maps are not safe: "
                           "put the deployment on a local disk",
                           dir, networks[i].name);
        }
    }
    return XT_OK;
}

enum xt_status xt_identity_lock(const char *dir, int *fd, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_identity_path(dir, LOCK, path, failure);
    if (status != XT_OK) {
        return status;
    }
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
        return errno == ENOENT
                   ? xt_fail(failure, XT_NOT_FOUND,
                             "%s is not a deployment: run xacthuc init %s first", dir, dir)
                   : xt_fail(failure, XT_IO, "cannot lock %s: %s", path, strerror(errno));
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK
                     ? xt_fail(failure, XT_BUSY,
                               "another import is at work on %s: wait for it to end", dir)
                     : xt_fail(failure, XT_IO, "cannot lock %s: %s", path, strerror(errno));
        close(lock);
        return status;
    }
    *fd = lock;
    return XT_OK;
}

void xt_identity_remove(const char *folder)
{
    (void)chmod(folder, 0700);
    DIR *list = opendir(folder);
    if (list != NULL) {
        struct dirent *entry;
        while ((entry = readdir(list)) != NULL) {
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                (void)unlinkat(dirfd(list), entry->d_name, 0);
            }
        }
        closedir(list);
    }
    (void)rmdir(folder);
}

enum xt_status xt_generation_current(const char *dir, uint32_t *number, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    char target[XT_GENERATION_NAME] = "";
    enum xt_status status = xt_identity_path(dir, CURRENT, path, failure);
    if (status != XT_OK) {
        return status;
    }
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    if (size < 0) {
        return errno == ENOENT
                   ? xt_fail(failure, XT_NOT_FOUND,
                             "nothing was imported into %s yet: run xacthuc import %s FILE", dir,
                             dir)
                   : xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    *number = number_of(target);
    return *number != 0
               ? XT_OK
               : xt_fail(failure, XT_CORRUPT,
                         "%s does not point to a generation: make it a link to the newest number",
                         path);
}

/* Calls action for every name in the folder. Names may be removed meanwhile. */
static enum xt_status each_name(const char *folder, void (*action)(void *, const char *),
                                void *context, struct xt_failure *failure)
{
    DIR *list = opendir(folder);
    if (list == NULL) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", folder, strerror(errno));
    }
    struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        action(context, entry->d_name);
    }
    closedir(list);
    return XT_OK;
}

struct clearing {
    const char *folder;
    uint32_t served, before, highest; /* 0: none */
};

static void survey_name(void *context, const char *name)
{
    struct clearing *clearing = context;
    uint32_t number = number_of(name);
    clearing->highest = number > clearing->highest ? number : clearing->highest;
    if (number < clearing->served && number > clearing->before) {
        clearing->before = number;
    }
}

static void clear_name(void *context, const char *name)
{
    const struct clearing *clearing = context;
    uint32_t number = number_of(name);
    bool stale = number != 0 && number != clearing->served && number != clearing->before;
    if (!stale && strncmp(name, BUILDING, sizeof(BUILDING) - 1) != 0 &&
        strcmp(name, SWITCHING) != 0) {
        return;
    }
    char path[XT_PATH_MAX];
    if (xt_path_join(path, clearing->folder, name) != XT_OK) {
        return;
    }
    if (strcmp(name, SWITCHING) == 0) {
        (void)unlink(path);
    } else {
        xt_identity_remove(path);
    }
}

enum xt_status xt_identity_clear(const char *dir, uint32_t *next, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    struct clearing clearing = {.folder = folder};
    enum xt_status status = xt_identity_path(dir, "", folder, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_generation_current(dir, &clearing.served, failure);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return status;
    }
    status = each_name(folder, survey_name, &clearing, failure);
    if (status == XT_OK) {
        status = each_name(folder, clear_name, &clearing, failure);
    }
    *next = clearing.highest + 1;
    return status;
}

enum xt_status xt_identity_switch(const char *dir, uint32_t number, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char switching[XT_PATH_MAX];
    char current[XT_PATH_MAX];
    char name[XT_GENERATION_NAME];
    enum xt_status status = xt_identity_path(dir, "", folder, failure);
    if (status == XT_OK) {
        status = xt_identity_path(dir, SWITCHING, switching, failure);
    }
    if (status == XT_OK) {
        status = xt_identity_path(dir, CURRENT, current, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    xt_identity_name(number, name);
    (void)unlink(switching);
    if (symlink(name, switching) != 0 || rename(switching, current) != 0) {
        status = xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO, "cannot switch %s: %s",
                         current, strerror(errno));
        (void)unlink(switching);
        return status;
    }
    return xt_folder_sync(folder, failure);
}
