#include "crypto/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "crypto/keyring.h"

#define READ_PADDING 8 /* zero bytes after the content, for parsers that look ahead */

static enum xt_status status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return XT_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return XT_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return XT_DENIED;
    case ENOSPC:
    case EDQUOT:
        return XT_DISK_FULL;
    case ENOMEM:
        return XT_NO_MEMORY;
    case ENAMETOOLONG:
        return XT_TOO_LARGE;
    default:
        return XT_IO;
    }
}

static enum xt_status fail_errno(struct xt_failure *failure, const char *what, const char *path)
{
    int error = errno;
    return xt_fail(failure, status_of_errno(error), "cannot %s %s: %s", what, path,
                   strerror(error));
}

/* Bytes of path up to and with its last slash; 0 when it has none. */
static size_t folder_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* The folder of path: "." for a bare name, "/" for what stands in the root. */
static enum xt_status folder_of(const char *path, char folder[XT_PATH_MAX])
{
    size_t size = folder_size(path);
    if (size == 0) {
        folder[0] = '.';
        folder[1] = 0;
        return XT_OK;
    }
    if (size >= XT_PATH_MAX) {
        return XT_TOO_LARGE;
    }
    memcpy(folder, path, size);
    folder[size > 1 ? size - 1 : 1] = 0;
    return XT_OK;
}

static bool write_all(int fd, struct xt_span content)
{
    while (content.size > 0) {
        ssize_t written = write(fd, content.data, content.size);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        content.data += written;
        content.size -= (size_t)written;
    }
    return true;
}

/* A rename that never replaces, also where the file system does not know RENAME_NOREPLACE. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    if (link(from, to) != 0) {
        return -1;
    }
    return unlink(from);
}

enum xt_status xt_file_is_no_link(const char *path, struct xt_failure *failure)
{
    struct stat facts;
    return lstat(path, &facts) == 0 && S_ISLNK(facts.st_mode)
               ? xt_fail(failure, XT_DENIED,
                         "%s is a symbolic link, which a new file would replace: put the file "
                         "itself there, or change the keys where it lies",
                         path)
               : XT_OK;
}

enum xt_status xt_file_write(const char *path, struct xt_span content, mode_t mode, bool replace,
                             struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char temporary[XT_PATH_MAX];
    size_t prefix = folder_size(path);
    int size =
        snprintf(temporary, sizeof(temporary), "%.*s.%s.XXXXXX", (int)prefix, path, path + prefix);
    if (size < 0 || (size_t)size >= sizeof(temporary) || folder_of(path, folder) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "cannot write %.100s...: the path is too long", path);
    }
    struct stat present;
    if (!replace && lstat(path, &present) == 0) {
        return xt_fail(failure, XT_EXISTS,
                       "%s exists and is not overwritten: move it away or choose another name",
                       path);
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(failure, "write", path);
    }
    enum xt_status status;
    if (!write_all(fd, content) || fchmod(fd, mode) != 0 || fsync(fd) != 0) {
        status = fail_errno(failure, "write", path);
        close(fd);
        goto fail;
    }
    if (close(fd) != 0) {
        status = fail_errno(failure, "write", path);
        goto fail;
    }
    if ((replace ? rename(temporary, path) : rename_new(temporary, path)) != 0) {
        status = fail_errno(failure, "write", path);
        goto fail;
    }
    return xt_folder_sync(folder, failure);

fail:
    unlink(temporary);
    return status;
}

/* Reads size bytes, or fewer when the file ends earlier; -1 and errno on an error. */
static ssize_t read_all(int fd, uint8_t *data, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t more = read(fd, data + got, size - got);
        if (more < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -1;
        }
        if (more == 0) {
            break;
        }
        got += (size_t)more;
    }
    return (ssize_t)got;
}

/* Whoever else can read or replace the file could have its keys. */
static enum xt_status check_secret(const char *path, const struct stat *facts,
                                   struct xt_failure *failure)
{
    if (xt_is_credential(path)) {
        return xt_credential_is_private(facts)
                   ? XT_OK
                   : xt_fail(failure, XT_DENIED,
                             "%s is no credential that the service alone can read (mode %03o)",
                             path, (unsigned)facts->st_mode & 0777U);
    }
    if (facts->st_uid != 0 && facts->st_uid != geteuid()) {
        return xt_fail(failure, XT_DENIED,
                       "%s belongs to another user (uid %u): run chown %u %s and chmod 600 %s",
                       path, (unsigned)facts->st_uid, (unsigned)geteuid(), path, path);
    }
    if ((facts->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return xt_fail(failure, XT_DENIED,
                       "%s holds a secret that others than its owner may use (mode %03o): "
                       "run chmod 600 %s",
                       path, (unsigned)facts->st_mode & 0777U, path);
    }
    return XT_OK;
}

static uint8_t *content_alloc(size_t size, bool secret)
{
    if (!secret) {
        return calloc(1, size);
    }
    uint8_t *content = xt_secret_alloc(size);
    if (content != NULL) {
        memset(content, 0, size);
    }
    return content;
}

static void content_free(uint8_t *content, size_t size, bool secret)
{
    if (secret) {
        xt_file_release_secret(content);
    } else {
        xt_file_release(content, size);
    }
}

static enum xt_status read_file(const char *path, size_t max, bool secret, uint8_t **content,
                                size_t *size, struct xt_failure *failure)
{
    /* Non-blocking: a FIFO put in the file's place must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail_errno(failure, "read", path);
    }
    enum xt_status status = XT_OK;
    uint8_t *data = NULL;
    size_t expected = 0;
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        status = fail_errno(failure, "read", path);
        goto fail;
    }
    if (!S_ISREG(facts.st_mode)) {
        status = xt_fail(failure, XT_INVALID, "cannot read %s: it is not a plain file", path);
        goto fail;
    }
    if (secret && (status = check_secret(path, &facts, failure)) != XT_OK) {
        goto fail;
    }
    if ((uintmax_t)facts.st_size > max) {
        status = xt_fail(failure, XT_TOO_LARGE, "cannot read %s: it is larger than %zu bytes", path,
                         max);
        goto fail;
    }
    expected = (size_t)facts.st_size;
    data = content_alloc(expected + 1 + READ_PADDING, secret);
    if (data == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot read %s: out of memory", path);
        goto fail;
    }
    ssize_t got = read_all(fd, data, expected + 1);
    if (got < 0) {
        status = fail_errno(failure, "read", path);
        goto fail;
    }
    if ((size_t)got != expected) {
        status =
            xt_fail(failure, XT_BUSY, "cannot read %s: somebody is writing it; try again", path);
        goto fail;
    }
    close(fd);
    *content = data;
    *size = expected;
    return XT_OK;

fail:
    content_free(data, expected, secret);
    close(fd);
    return status;
}

enum xt_status xt_file_read(const char *path, size_t max, uint8_t **content, size_t *size,
                            struct xt_failure *failure)
{
    return read_file(path, max, false, content, size, failure);
}

enum xt_status xt_file_read_secret(const char *path, size_t max, uint8_t **content, size_t *size,
                                   struct xt_failure *failure)
{
    return read_file(path, max, true, content, size, failure);
}

void xt_file_release(uint8_t *content, size_t size)
{
    if (content != NULL) {
        xt_wipe(content, size + 1 + READ_PADDING);
        free(content);
    }
}

void xt_file_release_secret(uint8_t *content)
{
    xt_secret_free(content);
}

enum xt_status xt_folder_make(const char *path, mode_t mode, struct xt_failure *failure)
{
    if (mkdir(path, mode) == 0) {
        return XT_OK;
    }
    int error = errno;
    struct stat facts;
    if (error == EEXIST && stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        return XT_OK;
    }
    errno = error;
    return fail_errno(failure, "make the folder", path);
}

enum xt_status xt_folder_sync(const char *path, struct xt_failure *failure)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(failure, "open the folder", path);
    }
    /* EINVAL: the file system has nothing to sync for a folder. */
    bool synced = fsync(fd) == 0 || errno == EINVAL;
    enum xt_status status = synced ? XT_OK : fail_errno(failure, "sync the folder", path);
    close(fd);
    return status;
}

enum xt_status xt_path_join(char path[XT_PATH_MAX], const char *folder, const char *name)
{
    size_t size = strlen(folder);
    const char *separator = size > 0 && folder[size - 1] == '/' ? "" : "/";
    int written = snprintf(path, XT_PATH_MAX, "%s%s%s", folder, separator, name);
    if (written < 0 || written >= XT_PATH_MAX) {
        path[0] = 0;
        return XT_TOO_LARGE;
    }
    return XT_OK;
}
