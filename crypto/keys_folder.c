#include "crypto/keys_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The form of what xt_file_write makes beside a file: .NAME.XXXXXX */
static bool is_temporary(const char *name)
{
    size_t size = strlen(name);
    return name[0] == '.' && size > 8 && name[size - 7] == '.' &&
           strspn(name + size - 6,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == 6;
}

static void clear(int folder)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL) {
        if (copy >= 0) {
            close(copy);
        }
        return; /* what is left over is as private as the keys themselves */
    }
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (is_temporary(entry->d_name)) {
            (void)unlinkat(folder, entry->d_name, 0);
        }
    }
    closedir(list);
}

enum xt_status xt_keys_lock(const char *dir, int *fd, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct stat facts;
    if (xt_path_join(path, dir, "keys") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return xt_fail(failure, errno == ENOENT || errno == ENOTDIR ? XT_NOT_FOUND : XT_IO,
                       "cannot open %s: %s", path, strerror(errno));
    }
    enum xt_status status = XT_OK;
    if (fstat(folder, &facts) != 0) {
        status = xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    } else if (facts.st_uid != geteuid()) {
        status = xt_fail(failure, XT_DENIED,
                         "%s belongs to another user (uid %u): run this as that user, or the "
                         "server could not read what is made",
                         path, (unsigned)facts.st_uid);
    } else if (flock(folder, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK
                     ? xt_fail(failure, XT_BUSY,
                               "another command works on the keys in %s: wait for it to end", path)
                     : xt_fail(failure, XT_IO, "cannot lock %s: %s", path, strerror(errno));
    }
    if (status != XT_OK) {
        close(folder);
        return status;
    }
    clear(folder);
    *fd = folder;
    return XT_OK;
}
