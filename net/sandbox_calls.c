#include "net/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define END                                                                                        \
    (-1000000) /* of a list; system calls that libseccomp emulates have small negative numbers */

/* O_TMPFILE without the O_DIRECTORY that it contains. */
#define TEMPORARY_FILE (O_TMPFILE & ~O_DIRECTORY)

/* No process of ours ever has a reason for these: they look into others, change the machine, or give
 * a way around what else is forbidden. */
static const int never[] = {
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(quotactl),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    END,
};

/* LeakSanitizer traces its own process. */
static const int tracing[] = {SCMP_SYS(ptrace), END};

/* What only code of a stranger would try in a process that answers. */
static const int never_in_children[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(connect),
    SCMP_SYS(open),
    SCMP_SYS(creat),
    SCMP_SYS(openat2),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(fchown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(capset),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(memfd_create),
    SCMP_SYS(memfd_secret),
    SCMP_SYS(pkey_mprotect),
    SCMP_SYS(personality),
    SCMP_SYS(setxattr),
    SCMP_SYS(fsetxattr),
    END,
};

/* All that an answering process needs once everything is open. Not mremap, by which the one row of
 * shared memory that a child may write (net/shared) would grow over those of others; realloc copies
 * instead. */
static const int allowed_in_children[] = {
    /* the loop and its sockets */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(accept4),
    SCMP_SYS(accept),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(close),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(eventfd2),
    /* files that are opened for reading, and their maps */
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),
    SCMP_SYS(statfs),
    SCMP_SYS(lseek),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(fadvise64),
    SCMP_SYS(readahead),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(mincore),
    SCMP_SYS(brk),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(membarrier),
    SCMP_SYS(fdatasync),
    /* time, threads of our own, signals to oneself, the end */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(times),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    END,
};

/* The writer makes, grows and cuts files below DIR/live. */
static const int allowed_in_writer[] = {
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(flock),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(msync),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(sync_file_range),
    END,
};

static bool add_list(scmp_filter_ctx filter, uint32_t action, const int *list)
{
    for (; *list != END; list++) {
        if (seccomp_rule_add(filter, action, *list, 0) != 0) {
            return false;
        }
    }
    return true;
}

static bool add_when(scmp_filter_ctx filter, uint32_t action, int call,
                     struct scmp_arg_cmp condition)
{
    return seccomp_rule_add_array(filter, action, call, 1, &condition) == 0;
}

/* Allowed when these bits of an argument are clear. */
static bool allow_without(scmp_filter_ctx filter, int call, unsigned argument, uint64_t bits)
{
    return add_when(filter, SCMP_ACT_ALLOW, call,
                    (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, bits, 0});
}

static bool kill_with(scmp_filter_ctx filter, int call, unsigned argument, uint64_t bits)
{
    return add_when(filter, SCMP_ACT_KILL_PROCESS, call,
                    (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, bits, bits});
}

static bool allow_exactly(scmp_filter_ctx filter, int call, unsigned argument, uint64_t value)
{
    return add_when(filter, SCMP_ACT_ALLOW, call,
                    (struct scmp_arg_cmp){argument, SCMP_CMP_EQ, value, 0});
}

static bool allow_two(scmp_filter_ctx filter, int call, struct scmp_arg_cmp first,
                      struct scmp_arg_cmp second)
{
    const struct scmp_arg_cmp both[] = {first, second};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 2, both) == 0;
}

/* A listening socket is one with the supervisor's: what is changed on it would outlive this process, and
 * so would a filter, a linger time or a signal's receiver. */
static bool add_sockets(scmp_filter_ctx filter)
{
    static const int options[] = {TCP_NODELAY, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT};
    bool fine = allow_exactly(filter, SCMP_SYS(shutdown), 1, SHUT_WR);
    for (size_t i = 0; fine && i < sizeof(options) / sizeof(options[0]); i++) {
        fine = allow_two(filter, SCMP_SYS(setsockopt),
                         (struct scmp_arg_cmp){1, SCMP_CMP_EQ, IPPROTO_TCP, 0},
                         (struct scmp_arg_cmp){2, SCMP_CMP_EQ, (uint64_t)options[i], 0});
    }
    return fine;
}

/* Allowed on descriptors from 4 on: what 0 to 3 are (the log, the supervisor's channel) is not this process's
 * to cut or to copy. The kernel looks at 32 bits of a descriptor, so a comparison of all 64 would not do:
 * one of the bits above the second is set. condition: another one that must hold, of argument 1; NULL. */
static bool allow_on_own(scmp_filter_ctx filter, int call, const struct scmp_arg_cmp *condition)
{
    bool fine = true;
    for (unsigned bit = 2; fine && bit < 21; bit++) { /* RLIMIT_NOFILE is at most 2^20 */
        struct scmp_arg_cmp own = {0, SCMP_CMP_MASKED_EQ, 1U << bit, 1U << bit};
        fine = condition == NULL ? add_when(filter, SCMP_ACT_ALLOW, call, own)
                                 : allow_two(filter, call, own, *condition);
    }
    return fine;
}

/* The audit segment is given room behind its end. Nothing is ever cut: other files that a worker has to
 * write (the day's quotas) are mapped by all, and cutting them would end everybody. */
static bool add_segment(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp keep_size = {1, SCMP_CMP_EQ, FALLOC_FL_KEEP_SIZE, 0};
    return allow_on_own(filter, SCMP_SYS(fallocate), &keep_size);
}

/* Of fcntl neither a receiver of signals nor a socket that blocks; locks are the writer's. */
static bool add_descriptors(scmp_filter_ctx filter, bool locks)
{
    static const int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_GET_SEALS};
    const struct scmp_arg_cmp copy = {1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0};
    static const int locking[] = {F_GETLK, F_SETLK, F_SETLKW};
    bool fine =
        allow_two(filter, SCMP_SYS(fcntl), (struct scmp_arg_cmp){1, SCMP_CMP_EQ, F_SETFL, 0},
                  (struct scmp_arg_cmp){2, SCMP_CMP_MASKED_EQ, O_NONBLOCK | O_ASYNC, O_NONBLOCK});
    for (size_t i = 0; fine && i < sizeof(commands) / sizeof(commands[0]); i++) {
        fine = allow_exactly(filter, SCMP_SYS(fcntl), 1, (uint64_t)commands[i]);
    }
    fine = fine && allow_on_own(filter, SCMP_SYS(fcntl), &copy);
    for (size_t i = 0; fine && locks && i < sizeof(locking) / sizeof(locking[0]); i++) {
        fine = allow_exactly(filter, SCMP_SYS(fcntl), 1, (uint64_t)locking[i]);
    }
    return fine;
}

/* Limits are read, of the own process. */
static bool add_limits(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(getrlimit), 0) == 0 &&
           allow_two(filter, SCMP_SYS(prlimit64), (struct scmp_arg_cmp){0, SCMP_CMP_EQ, 0, 0},
                     (struct scmp_arg_cmp){2, SCMP_CMP_EQ, 0, 0});
}

/* Memory is never executable that was not so at the start. */
static bool add_memory(scmp_filter_ctx filter)
{
    return allow_without(filter, SCMP_SYS(mmap), 2, PROT_EXEC) &&
           allow_without(filter, SCMP_SYS(mprotect), 2, PROT_EXEC) &&
           kill_with(filter, SCMP_SYS(mmap), 2, PROT_EXEC) &&
           kill_with(filter, SCMP_SYS(mprotect), 2, PROT_EXEC);
}

/* Threads yes (the loop's pool, and those that hash, which come after everybody else), processes no. glibc asks for clone3 first, whose flags a filter
 * cannot see, and takes ENOSYS for an old kernel. */
static bool add_threads(scmp_filter_ctx filter)
{
    return add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone),
                    (struct scmp_arg_cmp){0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}) &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
           allow_exactly(filter, SCMP_SYS(sched_setscheduler), 1, SCHED_IDLE) &&
           allow_exactly(filter, SCMP_SYS(sched_setaffinity), 0, 0) &&
           allow_exactly(filter, SCMP_SYS(tgkill), 0, (uint64_t)getpid());
}

static bool add_files(scmp_filter_ctx filter, bool writes)
{
    /* The writer's folder is Landlock's business; where there is none, it may write as its user. */
    uint64_t forbidden = writes ? 0 : O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | TEMPORARY_FILE;
    bool fine = writes ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 0) == 0
                       : allow_without(filter, SCMP_SYS(openat), 2, forbidden);
    return fine && allow_exactly(filter, SCMP_SYS(ioctl), 1, FIONBIO) &&
           allow_exactly(filter, SCMP_SYS(ioctl), 1, FIOCLEX) &&
           allow_exactly(filter, SCMP_SYS(ioctl), 1, FIONREAD) &&
           (writes ? add_list(filter, SCMP_ACT_ALLOW, allowed_in_writer) : add_segment(filter));
}

static bool fill(scmp_filter_ctx filter, enum xt_sandbox_calls who)
{
    /* A ring would be a way around the filter. libuv asks for one from 1.45 on, and takes ENOSYS for an
     * old kernel. */
    bool fine =
        add_list(filter, SCMP_ACT_KILL_PROCESS, never) &&
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0) == 0 &&
        (SANITIZED || add_list(filter, SCMP_ACT_KILL_PROCESS, tracing));
    if (!fine || who == XT_SANDBOX_SUPERVISOR) {
        return fine;
    }
    fine = add_list(filter, SCMP_ACT_KILL_PROCESS, never_in_children);
    bool writes = who == XT_SANDBOX_WRITER;
    return fine && (SANITIZED || (add_list(filter, SCMP_ACT_ALLOW, allowed_in_children) &&
                                  add_memory(filter) && add_threads(filter) &&
                                  add_sockets(filter) && add_descriptors(filter, writes) &&
                                  add_limits(filter) && add_files(filter, writes)));
}

enum xt_status xt_sandbox_without_rings(struct xt_failure *failure)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot make a system call filter: out of memory");
    }
    enum xt_status status = XT_OK;
    bool fine = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0) == 0;
    int error = fine ? -seccomp_load(filter) : EINVAL;
    if (error != 0) {
        status = xt_fail(failure, XT_IO, "cannot restrict system calls: %s", strerror(error));
    }
    seccomp_release(filter);
    return status;
}

enum xt_status xt_sandbox_calls(enum xt_sandbox_calls who, struct xt_failure *failure)
{
    bool open = who == XT_SANDBOX_SUPERVISOR || SANITIZED;
    scmp_filter_ctx filter = seccomp_init(open ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot make a system call filter: out of memory");
    }
    enum xt_status status = XT_OK;
    /* A binary tree: the common calls of a long list cost as much as the rare ones, some 10 ns. */
    bool fine = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && fill(filter, who);
    int error = fine ? -seccomp_load(filter) : EINVAL;
    if (error != 0) {
        status = xt_fail(failure, XT_IO, "cannot restrict system calls: %s", strerror(error));
    }
    seccomp_release(filter);
    return status;
}
