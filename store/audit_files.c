#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/audit_internal.h"

enum xt_status xt_audit_path(const char *dir, const char *name, char path[XT_PATH_MAX],
                             struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    if (xt_path_join(folder, dir, "audit") != XT_OK ||
        (name[0] != 0 && xt_path_join(path, folder, name) != XT_OK)) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    if (name[0] == 0) {
        memcpy(path, folder, XT_PATH_MAX);
    }
    return XT_OK;
}

enum xt_status xt_audit_read_at(int fd, uint64_t offset, uint8_t *bytes, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t more = pread(fd, bytes + *got, size - *got, (off_t)(offset + *got));
        if (more < 0 && errno != EINTR) {
            return XT_IO;
        }
        if (more == 0) {
            break;
        }
        *got += more > 0 ? (size_t)more : 0;
    }
    return XT_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct xt_audit_file *left = a, *right = b;
    return strcmp(left->name, right->name);
}

enum xt_status xt_audit_files(const char *dir, struct xt_audit_file **files, size_t *count,
                              struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    enum xt_status status = xt_audit_path(dir, "", folder, failure);
    if (status != XT_OK) {
        return status;
    }
    DIR *list = opendir(folder);
    if (list == NULL) {
        return xt_fail(failure, errno == ENOENT || errno == ENOTDIR ? XT_NOT_FOUND : XT_IO,
                       "cannot read %s: %s", folder, strerror(errno));
    }
    size_t room = 0;
    *files = NULL;
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (!xt_audit_is_name(entry->d_name) || strlen(entry->d_name) >= XT_AUDIT_NAME) {
            continue;
        }
        if (*count == room) {
            room = room == 0 ? 64 : room * 2;
            struct xt_audit_file *more = realloc(*files, room * sizeof(**files));
            if (more == NULL) {
                free(*files);
                closedir(list);
                return xt_fail(failure, XT_NO_MEMORY, "cannot read %s: out of memory", folder);
            }
            *files = more;
        }
        memcpy((*files)[(*count)++].name, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(list);
    if (*count > 0) {
        qsort(*files, *count, sizeof(**files), by_name);
    }
    return XT_OK;
}
