/* Built as a shared library of its own. It calls the kernel itself: what it stands in front of may not be
 * ready yet, or be another's that stands in front of it. */
#include "tests/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define OURS __attribute__((visibility("default")))
#define PATH_SIZE 512
#define RECORD_FD 700 /* out of the way of programs that count theirs */

static int record = -1;
static const char *folder;
static size_t folder_size;
static struct preload_control none;
static struct preload_control *control = &none;

__attribute__((constructor)) static void start(void)
{
    const char *to = getenv("PRELOAD_RECORD");
    const char *by = getenv("PRELOAD_CONTROL");
    folder = getenv("PRELOAD_FOLDER");
    folder_size = folder == NULL ? 0 : strlen(folder);
    if (to != NULL && folder != NULL) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_APPEND | O_CREAT, 0600);
        record = (int)syscall(SYS_dup3, fd, RECORD_FD, O_CLOEXEC);
        syscall(SYS_close, fd);
    }
    if (by != NULL) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, by, O_RDWR | O_CLOEXEC);
        void *shared = (void *)syscall(SYS_mmap, NULL, sizeof(*control), PROT_READ | PROT_WRITE,
                                       MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED) {
            control = shared;
        }
        syscall(SYS_close, fd);
    }
}

/* ---- whose file --------------------------------------------------------------------------------- */

/* The path below the folder; NULL: it is none of ours. LMDB's locks are not for what comes after a cut. */
static const char *below(const char *path)
{
    if (folder == NULL || strncmp(path, folder, folder_size) != 0) {
        return NULL;
    }
    path += folder_size;
    size_t size = strlen(path);
    if (size > 5 && strcmp(path + size - 5, "-lock") == 0) {
        return NULL;
    }
    return *path == '/' ? path + 1 : *path == '\0' ? path : NULL;
}

static const char *path_of(int fd, char path[PATH_SIZE])
{
    static const char deleted[] = " (deleted)";
    char link[64];
    int before = errno;
    if (folder == NULL) {
        return NULL;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_SIZE - 1);
    errno = before;
    if (size <= 0) {
        return NULL;
    }
    path[size] = '\0';
    size_t end = sizeof(deleted) - 1;
    if ((size_t)size > end && strcmp(path + size - end, deleted) == 0) {
        return NULL;
    }
    return below(path);
}

static bool is_live(const char *path)
{
    const char *name = path == NULL ? NULL : strrchr(path, '/');
    return path != NULL && strcmp(name == NULL ? path : name + 1, "live.mdb") == 0;
}

/* ---- the record --------------------------------------------------------------------------------- */

static void note(enum preload_type type, enum preload_synced synced, const char *path,
                 const char *other, uint64_t offset, const struct iovec *bytes, int count)
{
    struct preload_op op = {.type = type, .synced = synced, .offset = offset};
    struct iovec parts[3 + 64];
    int before = errno;
    if (record < 0 || path == NULL || count > 64) {
        return;
    }
    op.path = (uint32_t)strlen(path);
    op.other = other == NULL ? 0 : (uint32_t)strlen(other);
    parts[0] = (struct iovec){&op, sizeof(op)};
    parts[1] = (struct iovec){(void *)(uintptr_t)path, op.path};
    parts[2] = (struct iovec){(void *)(uintptr_t)other, op.other};
    for (int i = 0; i < count; i++) {
        parts[3 + i] = bytes[i];
        op.size += bytes[i].iov_len;
    }
    (void)syscall(SYS_writev, record, parts, 3 + count);
    errno = before;
}

static void note_name(enum preload_type type, const char *path, const char *other)
{
    note(type, PRELOAD_CACHED, path, other, 0, NULL, 0);
}

/* ---- writes ------------------------------------------------------------------------------------- */

static bool fails_now(unsigned which)
{
    if ((control->which & which) == 0 || control->times == 0) {
        return false;
    }
    if (control->after > 0) {
        control->after--;
        return false;
    }
    control->times--;
    control->failed++;
    return true;
}

static ssize_t written(ssize_t done, enum preload_how how)
{
    if (how == PRELOAD_KILLED) {
        (void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    }
    if (how == PRELOAD_LATE) {
        errno = control->error;
        return -1;
    }
    return done;
}

static ssize_t write_at(int fd, const struct iovec *bytes, int count, off_t offset)
{
    char memory[PATH_SIZE];
    const char *path = path_of(fd, memory);
    long page = sysconf(_SC_PAGESIZE);
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        size += bytes[i].iov_len;
    }
    bool synced = path != NULL && (fcntl(fd, F_GETFL) & O_DSYNC) != 0 &&
                  (control->without & PRELOAD_NO_META_SYNC) == 0;
    if (is_live(path)) {
        bool meta = offset < 2 * page && size < (size_t)page;
        control->writes++;
        if (fails_now(meta ? PRELOAD_META : PRELOAD_DATA)) {
            enum preload_how how = control->how;
            if (how == PRELOAD_FAILS) {
                errno = control->error;
                return -1;
            }
            struct iovec half = {bytes[0].iov_base, bytes[0].iov_len / 2};
            note(PRELOAD_WRITE, how == PRELOAD_LATE ? PRELOAD_GIVEN_UP : PRELOAD_CACHED, path, NULL,
                 (uint64_t)offset, how == PRELOAD_SHORT ? &half : bytes,
                 how == PRELOAD_SHORT ? 1 : count);
            return written(how == PRELOAD_SHORT
                               ? syscall(SYS_pwrite64, fd, half.iov_base, half.iov_len, offset)
                               : syscall(SYS_pwritev, fd, bytes, count, offset, 0),
                           how);
        }
    }
    note(PRELOAD_WRITE, synced ? PRELOAD_SYNCED : PRELOAD_CACHED, path, NULL, (uint64_t)offset,
         bytes, count);
    return syscall(SYS_pwritev, fd, bytes, count, offset, 0);
}

OURS ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    struct iovec one = {(void *)(uintptr_t)bytes, size};
    return write_at(fd, &one, 1, offset);
}
OURS ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite(fd, bytes, size, offset);
}
OURS ssize_t pwritev(int fd, const struct iovec *bytes, int count, off_t offset)
{
    return write_at(fd, bytes, count, offset);
}
OURS ssize_t pwritev64(int fd, const struct iovec *bytes, int count, off_t offset)
{
    return write_at(fd, bytes, count, offset);
}

/* At the file's own position, which is where it was told to go, or the end. -1: it has none. */
static off_t position(int fd)
{
    char memory[PATH_SIZE];
    struct stat facts;
    int before = errno;
    off_t at = -1;
    if (path_of(fd, memory) != NULL && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)) {
        at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? facts.st_size
                                                  : (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    }
    errno = before;
    return at;
}

OURS ssize_t writev(int fd, const struct iovec *bytes, int count)
{
    off_t at = position(fd);
    if (at < 0) {
        return syscall(SYS_writev, fd, bytes, count);
    }
    ssize_t done = write_at(fd, bytes, count, at);
    if (done > 0) {
        syscall(SYS_lseek, fd, at + done, SEEK_SET);
    }
    return done;
}

OURS ssize_t write(int fd, const void *bytes, size_t size)
{
    struct iovec one = {(void *)(uintptr_t)bytes, size};
    return position(fd) < 0 ? syscall(SYS_write, fd, bytes, size) : writev(fd, &one, 1);
}

/* ---- syncs -------------------------------------------------------------------------------------- */

static int sync_by(long call, int fd)
{
    char memory[PATH_SIZE];
    const char *path = path_of(fd, memory);
    struct stat facts;
    if (path != NULL && (control->without & PRELOAD_NO_DATA_SYNC) != 0 && fstat(fd, &facts) == 0 &&
        S_ISREG(facts.st_mode)) {
        return 0;
    }
    if (is_live(path) && fails_now(PRELOAD_SYNCS)) {
        errno = control->error;
        return -1;
    }
    int result = (int)syscall(call, fd);
    if (result == 0) {
        note_name(PRELOAD_SYNC, path, NULL);
    }
    return result;
}

OURS int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}
OURS int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

OURS int ftruncate(int fd, off_t size)
{
    char memory[PATH_SIZE];
    note(PRELOAD_TRUNCATE, PRELOAD_CACHED, path_of(fd, memory), NULL, (uint64_t)size, NULL, 0);
    return (int)syscall(SYS_ftruncate, fd, size);
}
OURS int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

OURS void *mmap(void *at, size_t size, int rights, int flags, int fd, off_t offset)
{
    char memory[PATH_SIZE];
    const char *path = fd < 0 || (rights & PROT_WRITE) == 0 || (flags & MAP_SHARED) == 0
                           ? NULL
                           : path_of(fd, memory);
    note_name(PRELOAD_MAPPED, path, NULL);
    return (void *)syscall(SYS_mmap, at, size, rights, flags, fd, offset);
}
OURS void *mmap64(void *at, size_t size, int rights, int flags, int fd, off_t offset)
{
    return mmap(at, size, rights, flags, fd, offset);
}

/* ---- names -------------------------------------------------------------------------------------- */

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    const char *ours = (flags & O_CREAT) == 0 ? NULL : below(path);
    struct stat facts;
    int before = errno;
    if (ours != NULL && lstat(path, &facts) != 0) {
        note_name(PRELOAD_CREATE, ours, NULL);
    }
    errno = before;
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

#define WITH_MODE(flags)                                                                           \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) {                                                \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

OURS int open(const char *path, int flags, ...)
{
    WITH_MODE(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}
OURS int open64(const char *path, int flags, ...)
{
    WITH_MODE(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

OURS int mkdir(const char *path, mode_t mode)
{
    note_name(PRELOAD_MKDIR, below(path), NULL);
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

OURS int rename(const char *from, const char *to)
{
    note_name(PRELOAD_RENAME, below(from), below(to));
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
OURS int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    int result = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (result == 0) {
        note_name(PRELOAD_RENAME, below(from), below(to));
    }
    return result;
}

OURS int symlink(const char *target, const char *path)
{
    note_name(PRELOAD_SYMLINK, below(path), target);
    return (int)syscall(SYS_symlinkat, target, AT_FDCWD, path);
}

OURS int link(const char *path, const char *other)
{
    note_name(PRELOAD_LINK, below(path), below(other));
    return (int)syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, other, 0);
}

static int unlink_at(const char *path, int flags)
{
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
    if (result == 0) {
        note_name(PRELOAD_UNLINK, below(path), NULL);
    }
    return result;
}
OURS int unlink(const char *path)
{
    return unlink_at(path, 0);
}
OURS int unlinkat(int at, const char *name, int flags)
{
    char memory[PATH_SIZE], path[2 * PATH_SIZE];
    const char *parent = at == AT_FDCWD ? NULL : path_of(at, memory);
    int result = (int)syscall(SYS_unlinkat, at, name, flags);
    if (result == 0 && parent != NULL) {
        snprintf(path, sizeof(path), "%s%s%s", parent, *parent == '\0' ? "" : "/", name);
        note_name(PRELOAD_UNLINK, path, NULL);
    }
    return result;
}
OURS int rmdir(const char *path)
{
    return unlink_at(path, AT_REMOVEDIR);
}

/* ---- the clock ---------------------------------------------------------------------------------- */

OURS int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ms = __atomic_load_n(&control->clock_ms, __ATOMIC_RELAXED);
        now->tv_sec += ms / 1000;
        now->tv_nsec += ms % 1000 * 1000000;
        now->tv_sec += now->tv_nsec >= 1000000000 ? 1 : now->tv_nsec < 0 ? -1 : 0;
        now->tv_nsec += now->tv_nsec >= 1000000000 ? -1000000000
                        : now->tv_nsec < 0         ? 1000000000
                                                   : 0;
    }
    return result;
}

OURS time_t time(time_t *to)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (to != NULL) {
        *to = now.tv_sec;
    }
    return now.tv_sec;
}
