#include "net/sandbox_internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "crypto/file.h"

#ifndef PR_SET_MDWE /* since Linux 6.3 */
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static enum xt_status no_new_privileges(struct xt_failure *failure)
{
    struct rlimit none = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        setrlimit(RLIMIT_CORE, &none) != 0) {
        return xt_fail(failure, XT_IO, "cannot give up privileges: %s", strerror(errno));
    }
    return XT_OK;
}

/* Root without capabilities owns its files and nothing more. */
static enum xt_status drop_capabilities(struct xt_failure *failure)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0) {
        return xt_fail(failure, XT_IO, "cannot drop capabilities: %s", strerror(errno));
    }
    return XT_OK;
}

/* Folders of a deployment, joined. */
static enum xt_status join(char path[XT_PATH_MAX], const char *dir, const char *name,
                           struct xt_failure *failure)
{
    return xt_path_join(path, dir, name) == XT_OK
               ? XT_OK
               : xt_fail(failure, XT_TOO_LARGE, "the path %s is too long", dir);
}

/* Reads the generations; writes `written`, NULL: nothing. */
static enum xt_status child(const char *dir, const char *written, enum xt_sandbox_calls who,
                            struct xt_sandbox_report *report, struct xt_failure *failure)
{
    char identity[XT_PATH_MAX], path[XT_PATH_MAX];
    const struct xt_sandbox_place places[] = {{.path = identity, .access = XT_SANDBOX_READ},
                                              {.path = path, .access = XT_SANDBOX_WRITE}};
    enum xt_status status = join(identity, dir, "identity", failure);
    if (status == XT_OK && written != NULL) {
        status = join(path, dir, written, failure);
    }
    if (status == XT_OK) {
        status = no_new_privileges(failure);
    }
    if (status == XT_OK) {
        status =
            xt_sandbox_files(places, written != NULL ? 2 : 1, true, &report->landlock, failure);
    }
    if (status == XT_OK) {
        status = drop_capabilities(failure);
    }
    (void)prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); /* where the kernel has it */
    return status == XT_OK ? xt_sandbox_calls(who, failure) : status;
}

enum xt_status xt_sandbox_worker(const char *dir, struct xt_sandbox_report *report,
                                 struct xt_failure *failure)
{
    return child(dir, NULL, XT_SANDBOX_WORKER, report, failure);
}

enum xt_status xt_sandbox_writer(const char *dir, struct xt_sandbox_report *report,
                                 struct xt_failure *failure)
{
    return child(dir, "live", XT_SANDBOX_WRITER, report, failure);
}

enum xt_status xt_sandbox_supervisor(const char *dir, const char *program,
                                     struct xt_sandbox_report *report, struct xt_failure *failure)
{
    char live[XT_PATH_MAX], audit[XT_PATH_MAX], own[XT_PATH_MAX], folder[XT_PATH_MAX];
    enum xt_status status = join(live, dir, "live", failure);
    if (status == XT_OK) {
        status = join(own, dir, XT_SUPERVISOR_FOLDER, failure);
    }
    if (status == XT_OK) {
        status = join(audit, dir, "audit", failure);
    }
    const char *credentials = xt_credential_folder();
    /* The folder, not the file: an upgrade puts another file in its place. */
    const char *slash = strrchr(program, '/');
    if (status != XT_OK || slash == NULL || (size_t)(slash - program) >= sizeof(folder)) {
        return status != XT_OK ? status
                               : xt_fail(failure, XT_INVALID, "%s is no absolute path", program);
    }
    memcpy(folder, program, (size_t)(slash - program));
    folder[slash - program] = '\0';
    const struct xt_sandbox_place places[] = {
        {dir, XT_SANDBOX_READ, false},
        {credentials != NULL ? credentials : dir, XT_SANDBOX_READ, true},
        {live, XT_SANDBOX_WRITE, true},
        {audit, XT_SANDBOX_WRITE, true},
        {own, XT_SANDBOX_WRITE, true},
        {folder[0] == '\0' ? "/" : folder, XT_SANDBOX_RUN, false},
        {"/usr", XT_SANDBOX_RUN, true},
        {"/lib", XT_SANDBOX_RUN, true},
        {"/lib64", XT_SANDBOX_RUN, true},
        {"/etc/ld.so.cache", XT_SANDBOX_READ, true},
        {"/etc/ld.so.preload", XT_SANDBOX_READ, true},
        {"/dev/null", XT_SANDBOX_WRITE, true},
        {"/dev/urandom", XT_SANDBOX_READ, true},
        {"/proc", XT_SANDBOX_READ, true},
        {"/sys/devices/system", XT_SANDBOX_READ, true},
        {"/sys/fs/cgroup", XT_SANDBOX_READ, true},
    };
    status = no_new_privileges(failure);
    if (status == XT_OK) {
        status = xt_sandbox_files(places, sizeof(places) / sizeof(places[0]), false,
                                  &report->landlock, failure);
    }
    return status == XT_OK ? xt_sandbox_calls(XT_SANDBOX_SUPERVISOR, failure) : status;
}
