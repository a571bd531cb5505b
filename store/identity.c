#include "store/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/generation.h"
#include "store/local_disk.h"

#define CURRENT "current"
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
    char path[XT_PATH_MAX];
    enum xt_status status = xt_identity_path(dir, "", path, failure);
    if (status == XT_OK) {
        status = xt_disk_check(path, XT_DISK_READ_MAPS, failure);
    }
    return status != XT_NOT_FOUND
               ? status
               : xt_fail(failure, status, "%s is not a deployment: run xacthuc init %s", dir, dir);
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
        status =
            errno == EWOULDBLOCK
                ? xt_fail(failure, XT_BUSY,
                          "another import or compaction is at work on %s: wait for it to end", dir)
                : xt_fail(failure, XT_IO, "cannot lock %s: %s", path, strerror(errno));
        close(lock);
        return status;
    }
    *fd = lock;
    return XT_OK;
}

/* Never follows a symbolic link: what one points to is not ours to empty. */
static void remove_in(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        (void)unlinkat(parent, name, 0); /* a link or a file: it alone goes */
        return;
    }
    (void)fchmod(fd, 0700);
    struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(fd, entry->d_name, 0);
        }
    }
    closedir(list);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

void xt_identity_remove(const char *dir, const char *name)
{
    char folder[XT_PATH_MAX];
    int parent = xt_identity_path(dir, "", folder, NULL) == XT_OK
                     ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : -1;
    if (parent >= 0) {
        remove_in(parent, name);
        close(parent);
    }
}

/* The number that a link in DIR/identity points to. XT_NOT_FOUND: there is no such link; XT_INVALID:
 * it points to no generation. */
static enum xt_status read_link(const char *path, uint32_t *number)
{
    char target[XT_GENERATION_NAME] = "";
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    if (size < 0) {
        return errno == ENOENT ? XT_NOT_FOUND : errno == EINVAL ? XT_INVALID : XT_IO;
    }
    *number = number_of(target);
    return *number != 0 ? XT_OK : XT_INVALID;
}

enum xt_status xt_generation_current(const char *dir, uint32_t *number, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_identity_path(dir, CURRENT, path, failure);
    if (status != XT_OK) {
        return status;
    }
    switch (read_link(path, number)) {
    case XT_OK:
        return XT_OK;
    case XT_NOT_FOUND:
        return xt_fail(failure, XT_NOT_FOUND,
                       "nothing was imported into %s yet: run xacthuc import %s FILE", dir, dir);
    case XT_IO:
        return xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    default:
        return xt_fail(failure, XT_CORRUPT,
                       "%s does not point to a generation: make it a link to the newest number",
                       path);
    }
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

struct survey {
    uint32_t highest;  /* of all numbers; 0: none */
    uint32_t intended; /* a number that was made and never switched to; 0: none */
    uint32_t other;    /* a number apart from that; 0: none */
    uint32_t current;  /* what `current` points to; 0: there is no such link */
    bool has_current;  /* its folder is there */
};

static void survey_name(void *context, const char *name)
{
    struct survey *survey = context;
    uint32_t number = number_of(name);
    survey->highest = number > survey->highest ? number : survey->highest;
    survey->has_current = survey->has_current || (number != 0 && number == survey->current);
    if (number != 0 && number != survey->intended && number > survey->other) {
        survey->other = number;
    }
}

static void take_highest(void *context, const char *name)
{
    uint32_t *highest = context;
    uint32_t number = number_of(name);
    *highest = number > *highest ? number : *highest;
}

uint32_t xt_identity_highest(const char *dir)
{
    char folder[XT_PATH_MAX];
    uint32_t highest = 0;
    return xt_identity_path(dir, "", folder, NULL) == XT_OK &&
                   each_name(folder, take_highest, &highest, NULL) == XT_OK
               ? highest
               : 0;
}

enum xt_status xt_identity_sync(const char *dir, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    enum xt_status status = xt_identity_path(dir, "", folder, failure);
    return status == XT_OK ? xt_folder_sync(folder, failure) : status;
}

struct clearing {
    int folder;
    uint32_t served, before; /* these stay; served 0: every number does */
    bool keep_switching;     /* while there is no `current` it is the proof (see the header) */
};

static void clear_name(void *context, const char *name)
{
    const struct clearing *clearing = context;
    uint32_t number = number_of(name);
    bool stale = clearing->served != 0 && number != 0 && number != clearing->served &&
                 number != clearing->before;
    bool switching = strcmp(name, XT_IDENTITY_SWITCHING) == 0;
    if (stale || strncmp(name, BUILDING, sizeof(BUILDING) - 1) == 0 ||
        (switching && !clearing->keep_switching)) {
        remove_in(clearing->folder, name);
    }
}

static enum xt_status clear(const char *folder, struct clearing clearing,
                            struct xt_failure *failure)
{
    clearing.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (clearing.folder < 0) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", folder, strerror(errno));
    }
    enum xt_status status = each_name(folder, clear_name, &clearing, failure);
    close(clearing.folder);
    return status;
}

/* Numbers without `current`: somebody took the link away, and any of them may be the one that counts.
 * The one exception is what an import made that was killed before its switch (see the header). */
static enum xt_status refuse_unlinked(const char *folder, uint32_t number,
                                      struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME];
    xt_identity_name(number, name);
    return xt_fail(failure, XT_CORRUPT,
                   "%s/" CURRENT " is missing, but there are generations: nothing was changed. "
                   "Link the one to serve, as in ln -s %s %s/" CURRENT,
                   folder, name, folder);
}

enum xt_status xt_identity_prepare(const char *dir, uint32_t *next, uint32_t *before,
                                   struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char switching[XT_PATH_MAX];
    struct survey survey = {.highest = 0};
    enum xt_status status = xt_identity_path(dir, XT_IDENTITY_SWITCHING, switching, failure);
    if (status == XT_OK) {
        status = xt_identity_path(dir, ".", folder, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    folder[strlen(folder) - 2] = 0; /* DIR/identity, as messages show it */
    status = xt_generation_current(dir, &survey.current, failure);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return status;
    }
    if (read_link(switching, &survey.intended) != XT_OK) {
        survey.intended = 0;
    }
    status = each_name(folder, survey_name, &survey, failure);
    if (status == XT_OK && survey.current == 0 && survey.other != 0) {
        status = refuse_unlinked(folder, survey.other, failure);
    }
    uint32_t highest = survey.highest > survey.current ? survey.highest : survey.current;
    if (status == XT_OK && highest >= UINT32_MAX - 1) {
        status = xt_fail(failure, XT_TOO_LARGE,
                         "%s/%u leaves no higher number for an import: no import made that folder; "
                         "move it away",
                         folder, highest);
    }
    if (status != XT_OK) {
        return status;
    }
    *next = highest + 1;
    *before = survey.has_current ? survey.current : survey.other;
    return clear(folder, (struct clearing){.keep_switching = survey.current == 0}, failure);
}

enum xt_status xt_identity_clear(const char *dir, uint32_t served, uint32_t before,
                                 struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    xt_require(served != 0);
    enum xt_status status = xt_identity_path(dir, "", folder, failure);
    return status == XT_OK
               ? clear(folder, (struct clearing){.served = served, .before = before}, failure)
               : status;
}

static enum xt_status fail_switch(const char *path, struct xt_failure *failure)
{
    return xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO, "cannot switch %s: %s", path,
                   strerror(errno));
}

enum xt_status xt_identity_intend(const char *dir, uint32_t number, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char switching[XT_PATH_MAX];
    char name[XT_GENERATION_NAME];
    enum xt_status status = xt_identity_path(dir, "", folder, failure);
    if (status == XT_OK) {
        status = xt_identity_path(dir, XT_IDENTITY_SWITCHING, switching, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    /* What an import made that was killed before its first switch goes now, when its successor is
     * complete, and before the link that proves it was never served. */
    uint32_t intended = 0, current = 0;
    if (read_link(switching, &intended) == XT_OK && intended != number &&
        xt_generation_current(dir, &current, NULL) == XT_NOT_FOUND) {
        xt_identity_name(intended, name);
        xt_identity_remove(dir, name);
    }
    xt_identity_name(number, name);
    (void)unlink(switching);
    return symlink(name, switching) == 0 ? xt_folder_sync(folder, failure)
                                         : fail_switch(switching, failure);
}

enum xt_status xt_identity_switch(const char *dir, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char switching[XT_PATH_MAX];
    char current[XT_PATH_MAX];
    enum xt_status status = xt_identity_path(dir, "", folder, failure);
    if (status == XT_OK) {
        status = xt_identity_path(dir, XT_IDENTITY_SWITCHING, switching, failure);
    }
    if (status == XT_OK) {
        status = xt_identity_path(dir, CURRENT, current, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    return rename(switching, current) == 0 ? xt_folder_sync(folder, failure)
                                           : fail_switch(current, failure);
}
