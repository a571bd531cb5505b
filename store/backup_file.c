#include "store/backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (1U << 20)

static enum xt_status fail_errno(struct xt_failure *failure, const char *what, const char *path)
{
    int error = errno;
    enum xt_status status = error == ENOENT || error == ENOTDIR                    ? XT_NOT_FOUND
                            : error == ENOSPC || error == EDQUOT || error == EFBIG ? XT_DISK_FULL
                            : error == EEXIST || error == ENOTEMPTY                ? XT_EXISTS
                            : error == EACCES || error == EPERM || error == EROFS  ? XT_DENIED
                            : error == ELOOP                                       ? XT_CORRUPT
                                                                                   : XT_IO;
    return xt_fail(failure, status, "cannot %s %s: %s", what, path, strerror(error));
}

/* ---- copying ---------------------------------------------------------------------------------- */

static bool write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        data += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

static ssize_t read_some(int fd, uint8_t *data, size_t size)
{
    ssize_t got;
    do {
        got = read(fd, data, size);
    } while (got < 0 && errno == EINTR);
    return got;
}

struct transfer {
    const char *from, *to;
    int in, out; /* out -1: it is only read */
    struct xt_digest *digest;
    uint64_t size, left;
    uint8_t *buffer;
};

static enum xt_status move_bytes(struct transfer *transfer, struct xt_progress *progress,
                                 struct xt_failure *failure)
{
    while (transfer->left > 0) {
        size_t wanted = transfer->left < BUFFER ? (size_t)transfer->left : BUFFER;
        if (xt_progress_interrupted(progress)) {
            return xt_fail(failure, XT_CLOSED, "interrupted");
        }
        ssize_t got = read_some(transfer->in, transfer->buffer, wanted);
        if (got < 0) {
            return fail_errno(failure, "read", transfer->from);
        }
        if (got == 0) {
            return transfer->size == XT_BACKUP_ANY
                       ? XT_OK
                       : xt_fail(failure, XT_CORRUPT,
                                 "%s is shorter than it must be: it is damaged", transfer->from);
        }
        xt_digest_add(transfer->digest, xt_span_of(transfer->buffer, (size_t)got));
        if (transfer->out >= 0 && !write_all(transfer->out, transfer->buffer, (size_t)got)) {
            return fail_errno(failure, "write", transfer->to);
        }
        transfer->left -= (uint64_t)got;
        if (progress != NULL) {
            xt_progress_look(progress, progress->done + (uint64_t)got);
        }
    }
    return XT_OK;
}

static enum xt_status open_both(struct transfer *transfer, struct stat *facts,
                                struct xt_failure *failure)
{
    transfer->in = open(transfer->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (transfer->in < 0 || fstat(transfer->in, facts) != 0) {
        return fail_errno(failure, "read", transfer->from);
    }
    if (!S_ISREG(facts->st_mode)) {
        return xt_fail(failure, XT_CORRUPT, "%s is no plain file", transfer->from);
    }
    if (transfer->to != NULL) {
        transfer->out = open(transfer->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (transfer->out < 0) {
            return fail_errno(failure, "write", transfer->to);
        }
    }
    return XT_OK;
}

enum xt_status xt_backup_copy(const char *from, const char *to, uint32_t mode,
                              struct xt_backup_content *content, struct xt_progress *progress,
                              struct xt_failure *failure)
{
    struct stat facts = {.st_mode = 0};
    struct transfer transfer = {.from = from,
                                .to = to,
                                .in = -1,
                                .out = -1,
                                .size = content->size,
                                .left = content->size,
                                .buffer = malloc(BUFFER)};
    if (transfer.buffer == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    enum xt_status status = open_both(&transfer, &facts, failure);
    if (status == XT_OK) {
        transfer.digest = xt_digest_start();
        status = move_bytes(&transfer, progress, failure);
        xt_digest_finish(transfer.digest, status == XT_OK ? content->digest : NULL);
        content->size -= transfer.left;
        content->mode = facts.st_mode & 0777U;
    }
    if (status == XT_OK && transfer.out >= 0) {
        if (fchmod(transfer.out, (mode_t)mode) != 0) {
            status = fail_errno(failure, "write", to);
        }
    }
    if (transfer.in >= 0) {
        close(transfer.in);
    }
    if (transfer.out >= 0 && close(transfer.out) != 0 && status == XT_OK) {
        status = fail_errno(failure, "write", to);
    }
    free(transfer.buffer);
    return status;
}

bool xt_backup_link(const char *from, const char *to)
{
    return link(from, to) == 0;
}

/* ---- folders ---------------------------------------------------------------------------------- */

enum xt_status xt_backup_make_folders(const char *root, const char *path,
                                      struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    if (xt_path_join(folder, root, path) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path %.200s... is too long", root);
    }
    enum xt_status status = XT_OK;
    for (char *slash = folder + strlen(root) + 1;
         status == XT_OK && (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        status = xt_folder_make(folder, 0700, failure);
        *slash = '/';
    }
    return status;
}

static enum xt_status sync_file(const char *path, struct xt_failure *failure)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return fail_errno(failure, "read", path);
    }
    enum xt_status status = fsync(fd) == 0 ? XT_OK : fail_errno(failure, "write", path);
    close(fd);
    return status;
}

enum xt_status xt_backup_sync(const char *path, struct xt_failure *failure)
{
    char copy[XT_PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    char *paths[] = {copy, NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    enum xt_status status = walk == NULL ? fail_errno(failure, "read", path) : XT_OK;
    for (const FTSENT *entry; status == XT_OK && (entry = fts_read(walk)) != NULL;) {
        status = entry->fts_info == FTS_DP  ? xt_folder_sync(entry->fts_path, failure)
                 : entry->fts_info == FTS_F ? sync_file(entry->fts_path, failure)
                                            : XT_OK;
    }
    if (walk != NULL) {
        (void)fts_close(walk);
    }
    return status;
}

void xt_backup_remove(const char *path)
{
    char copy[XT_PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    char *paths[] = {copy, NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (walk == NULL) {
        return;
    }
    for (const FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_D) {
            (void)chmod(entry->fts_accpath, 0700); /* a generation's is 0500 */
        } else if (entry->fts_info == FTS_DP) {
            (void)rmdir(entry->fts_accpath);
        } else {
            (void)unlink(entry->fts_accpath);
        }
    }
    (void)fts_close(walk);
}

enum xt_status xt_backup_name(const char *partial, const char *path, bool replace_empty,
                              struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    bool named = renameat2(AT_FDCWD, partial, AT_FDCWD, path, RENAME_NOREPLACE) == 0;
    /* rename(2) itself takes the place of an empty folder only. */
    if (!named && (errno == EINVAL || errno == ENOSYS || (replace_empty && errno == EEXIST))) {
        struct stat facts;
        bool folder_or_new = replace_empty || lstat(path, &facts) != 0;
        errno = folder_or_new ? errno : EEXIST;
        named = folder_or_new && rename(partial, path) == 0;
    }
    if (!named) {
        return fail_errno(failure, "make", path);
    }
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        return xt_folder_sync(".", failure);
    }
    slash[slash == folder] = 0;
    return xt_folder_sync(folder, failure);
}
