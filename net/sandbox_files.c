#include "net/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers of the kernel's interface that older headers lack; landlock(7) tells the versions. */
#define FS_REFER (1ULL << 13)     /* 2 */
#define FS_TRUNCATE (1ULL << 14)  /* 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define NET_BIND_TCP (1ULL << 0)  /* 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL (1ULL << 1)

#define FS_FIRST_VERSION ((1ULL << 13) - 1)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Files are made, written, cut and removed, but no device, socket, link or folder. */
#define FS_WRITE                                                                                   \
    (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                       \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE)
/* What a rule on a file, not a folder, may name. */
#define FS_OF_FILES                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     FS_TRUNCATE)

/* As of version 6; the kernel is told how much of it it knows. */
struct ruleset {
    uint64_t files, network, scoped;
};

static size_t ruleset_size(int version)
{
    return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

static uint64_t files_handled(int version)
{
    uint64_t all = FS_FIRST_VERSION;
    all |= version >= 2 ? FS_REFER : 0;
    all |= version >= 3 ? FS_TRUNCATE : 0;
    all |= version >= 5 ? FS_IOCTL_DEV : 0;
    return all;
}

static uint64_t access_of(enum xt_sandbox_access access)
{
    switch (access) {
    case XT_SANDBOX_READ:
        return FS_READ;
    case XT_SANDBOX_RUN:
        return FS_READ | LANDLOCK_ACCESS_FS_EXECUTE;
    case XT_SANDBOX_WRITE:
        return FS_WRITE;
    }
    return 0;
}

static enum xt_status add_place(int ruleset, const struct xt_sandbox_place *place, uint64_t handled,
                                struct xt_failure *failure)
{
    int fd = open(place->path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return place->optional
                   ? XT_OK
                   : xt_fail(failure, XT_IO, "cannot open %s: %s", place->path, strerror(errno));
    }
    struct stat about;
    struct landlock_path_beneath_attr rule = {.allowed_access = access_of(place->access) & handled,
                                              .parent_fd = fd};
    enum xt_status status = XT_OK;
    if (fstat(fd, &about) != 0) {
        status = XT_IO;
    } else {
        rule.allowed_access &= S_ISDIR(about.st_mode) ? ~0ULL : FS_OF_FILES;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
            status = XT_IO;
        }
    }
    if (status != XT_OK) {
        status = xt_fail(failure, status, "cannot confine the process to %s: %s", place->path,
                         strerror(errno));
    }
    close(fd);
    return status;
}

enum xt_status xt_sandbox_files(const struct xt_sandbox_place *places, size_t count, bool scoped,
                                int *version, struct xt_failure *failure)
{
    long known = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *version = 0;
    if (known <= 0) {
        return XT_OK; /* ENOSYS: older than 5.13; EOPNOTSUPP: switched off at boot */
    }
    struct ruleset handled = {.files = files_handled((int)known),
                              .network = NET_BIND_TCP | NET_CONNECT_TCP,
                              .scoped = scoped ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, ruleset_size((int)known), 0);
    if (ruleset < 0) {
        return xt_fail(failure, XT_IO, "cannot confine the process: %s", strerror(errno));
    }
    enum xt_status status = XT_OK;
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        status = add_place(ruleset, &places[i], handled.files, failure);
    }
    if (status == XT_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        status = xt_fail(failure, XT_IO, "cannot confine the process: %s", strerror(errno));
    }
    close(ruleset);
    if (status == XT_OK) {
        *version = (int)known;
    }
    return status;
}
