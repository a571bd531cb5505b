/* What a process of `serve` can no longer do once it has gone into its sandbox. Every attempt is made by
 * a child of its own, since what is given up cannot be taken back and some attempts end the process. */
#include "net/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/span.h"
#include "tests/test.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

static char dir[64];
static int listening, inherited; /* open before the sandbox, as in a worker */
static struct sockaddr_in address;

static const char *place(const char *name)
{
    static char path[128];
    xt_require(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path));
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/xacthuc-sandbox-XXXXXX");
    assert_non_null(mkdtemp(dir));
    static const char *const folders[] = {"identity", "identity/000001", "live", "audit",
                                          "keys",     "partners"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        assert_int_equal(mkdir(place(folders[i]), 0700), 0);
    }
    static const char *const files[] = {"identity/000001/data.mdb", "keys/master.keys",
                                        "partners/demo.json", "live/live.mdb", "audit/0"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        int fd = open(place(files[i]), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
    }
    inherited = open(place("audit/0"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(inherited >= 0);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(address);
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listening, 4), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    return 0;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    close(listening);
    close(inherited);
    return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- attempts: each gives the result of its call ------------------------------------------------ */

static long as_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
    return fd;
}

static long open_at(const char *path, int flags)
{
    return as_fd(openat(AT_FDCWD, path, flags | O_CLOEXEC, 0600));
}

static long read_generation(void)
{
    return open_at(place("identity/000001/data.mdb"), O_RDONLY);
}
static long list_generations(void)
{
    return open_at(place("identity"), O_RDONLY | O_DIRECTORY);
}
static long read_keys(void)
{
    return open_at(place("keys/master.keys"), O_RDONLY);
}
static long read_partner(void)
{
    return open_at(place("partners/demo.json"), O_RDONLY);
}
static long read_passwd(void)
{
    return open_at("/etc/passwd", O_RDONLY);
}
static long read_memory_of_parent(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
    return open_at(path, O_RDONLY);
}
static long read_own_environment(void)
{
    return open_at("/proc/self/environ", O_RDONLY);
}
static long write_generation(void)
{
    return open_at(place("identity/000001/data.mdb"), O_RDWR);
}
static long make_file_beside_generation(void)
{
    return open_at(place("identity/000001/new"), O_WRONLY | O_CREAT);
}
static long make_file_in_tmp(void)
{
    return open_at(dir, O_WRONLY | O_TMPFILE);
}
static long write_live(void)
{
    return open_at(place("live/live.mdb"), O_RDWR);
}
static long make_live_file(void)
{
    return open_at(place("live/new"), O_RDWR | O_CREAT);
}
static long read_live(void)
{
    return open_at(place("live/live.mdb"), O_RDONLY);
}
static long remove_generation(void)
{
    return unlinkat(AT_FDCWD, place("identity/000001/data.mdb"), 0);
}
static long write_inherited(void)
{
    return write(inherited, "y", 1);
}
static long run_program(void)
{
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    return execve("/bin/true", arguments, arguments + 1);
}
static long run_from_descriptor(void)
{
    return syscall(SYS_execveat, listening, "", NULL, NULL, AT_EMPTY_PATH);
}
static long make_process(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        _exit(0);
    }
    return pid;
}
static long make_tcp_socket(void)
{
    return as_fd(socket(AF_INET, SOCK_STREAM, 0));
}
static long make_unix_socket(void)
{
    return as_fd(socket(AF_UNIX, SOCK_STREAM, 0));
}
static long make_pair(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}
static long connect_out(void)
{
    return connect(inherited, (struct sockaddr *)&address, sizeof(address));
}
static long signal_parent(void)
{
    return kill(getppid(), 0);
}
static long trace_parent(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}
static long read_parent(void)
{
    char byte;
    return syscall(SYS_process_vm_readv, getppid(), &byte, 1, &byte, 1, 0);
}
static long map_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}
static long make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
static long map_memory(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : munmap(page, 4096);
}
static long grow_map(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED || mremap(page, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0;
}
static long become_root(void)
{
    return setresuid(0, 0, 0);
}
static long change_mode(void)
{
    return fchmod(inherited, 0666);
}
static long ring(void)
{
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 4, parameters);
}
static long load_program_into_kernel(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}
static long mount_something(void)
{
    return syscall(SYS_mount, "none", dir, "tmpfs", 0, NULL);
}
static long leave_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}
static long use_capability(void)
{
    /* Root without capabilities may not ignore the mode of another's file; see as_root below. */
    return syscall(SYS_setpriority, 0, 0, -5);
}
static long accept_client(void)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    return as_fd(fd);
}
static long deafen_listener(void)
{
    return shutdown(listening, SHUT_RD);
}
static long filter_listener(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 60};
    return setsockopt(listening, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}
static long steer_group(void)
{
    return setsockopt(listening, SOL_SOCKET, 51 /* SO_ATTACH_REUSEPORT_CBPF */, NULL, 0);
}
static long hurry_listener(void)
{
    int on = 1;
    return setsockopt(listening, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}
static long make_listener_block(void)
{
    return fcntl(listening, F_SETFL, 0);
}
static long make_listener_not_block(void)
{
    return fcntl(listening, F_SETFL, O_NONBLOCK);
}
static long own_signals(void)
{
    return fcntl(listening, F_SETOWN, getppid());
}
static long lock_import(void)
{
    int fd = openat(AT_FDCWD, place("identity/000001/data.mdb"), O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fd : flock(fd, LOCK_EX | LOCK_NB);
}
static long lock_range(void)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    return fcntl(inherited, F_SETLK, &range);
}
static long read_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit);
}
static long change_limit(void)
{
    struct rlimit limit = {64, 64};
    return setrlimit(RLIMIT_NOFILE, &limit);
}
static long list_program_folder(void)
{
    return open_at("/usr/bin", O_RDONLY | O_DIRECTORY);
}

/* REFUSED: by Landlock; NOT_CALLED: by the list of calls, which a sanitizer's build does not have. */
enum outcome { FINE, REFUSED, NOT_CALLED, KILLED };

struct attempt {
    const char *name;
    long (*make)(void);
    enum outcome expected;
};

static const struct attempt by_worker[] = {
    {"reads a generation", read_generation, FINE},
    {"lists generations", list_generations, FINE},
    {"writes to what was open already", write_inherited, FINE},
    {"maps memory", map_memory, FINE},
    {"makes a map larger", grow_map, NOT_CALLED},
    {"accepts a client", accept_client, FINE},
    {"reads the master keys", read_keys, REFUSED},
    {"reads a partner", read_partner, REFUSED},
    {"reads the live store", read_live, REFUSED},
    {"reads /etc/passwd", read_passwd, REFUSED},
    {"reads its parent's memory", read_memory_of_parent, REFUSED},
    {"reads its environment", read_own_environment, REFUSED},
    {"lists programs", list_program_folder, REFUSED},
    {"writes a generation", write_generation, REFUSED},
    {"makes a file beside a generation", make_file_beside_generation, REFUSED},
    {"makes a temporary file", make_file_in_tmp, REFUSED},
    {"writes the live store", write_live, REFUSED},
    {"removes a generation", remove_generation, REFUSED},
    {"raises its priority", use_capability, NOT_CALLED},
    {"makes a process", make_process, NOT_CALLED},
    {"sets an option that it needs", hurry_listener, FINE},
    {"makes a socket not block", make_listener_not_block, FINE},
    {"reads a limit", read_limit, FINE},
    {"deafens the supervisor's socket", deafen_listener, NOT_CALLED},
    {"lets its close wait", filter_listener, NOT_CALLED},
    {"steers the others' clients", steer_group, NOT_CALLED},
    {"makes a socket block", make_listener_block, NOT_CALLED},
    {"has signals sent", own_signals, NOT_CALLED},
    {"locks out an import", lock_import, NOT_CALLED},
    {"locks a range", lock_range, NOT_CALLED},
    {"changes a limit", change_limit, NOT_CALLED},
    {"runs a program", run_program, KILLED},
    {"runs a descriptor", run_from_descriptor, KILLED},
    {"makes a TCP socket", make_tcp_socket, KILLED},
    {"makes a Unix socket", make_unix_socket, KILLED},
    {"makes a pair of sockets", make_pair, KILLED},
    {"connects", connect_out, KILLED},
    {"signals its parent", signal_parent, KILLED},
    {"traces its parent", trace_parent, KILLED},
    {"reads another process", read_parent, KILLED},
    {"maps executable memory", map_executable, KILLED},
    {"makes memory executable", make_executable, KILLED},
    {"becomes root", become_root, KILLED},
    {"changes a mode", change_mode, KILLED},
    {"makes an io_uring", ring, NOT_CALLED},
    {"loads BPF", load_program_into_kernel, KILLED},
    {"mounts", mount_something, KILLED},
    {"makes a namespace", leave_namespace, KILLED},
};

static const struct attempt by_writer[] = {
    {"reads the live store", read_live, FINE},
    {"writes the live store", write_live, FINE},
    {"makes a file in it", make_live_file, FINE},
    {"locks a range", lock_range, FINE},
    {"reads a limit", read_limit, FINE},
    {"has signals sent", own_signals, NOT_CALLED},
    {"lets its close wait", filter_listener, NOT_CALLED},
    {"reads a generation", read_generation, FINE},
    {"writes a generation", write_generation, REFUSED},
    {"removes a generation", remove_generation, REFUSED},
    {"reads the master keys", read_keys, REFUSED},
    {"reads /etc/passwd", read_passwd, REFUSED},
    {"makes a process", make_process, NOT_CALLED},
    {"runs a program", run_program, KILLED},
    {"makes a TCP socket", make_tcp_socket, KILLED},
    {"connects", connect_out, KILLED},
    {"signals its parent", signal_parent, KILLED},
    {"traces its parent", trace_parent, KILLED},
    {"maps executable memory", map_executable, KILLED},
    {"becomes root", become_root, KILLED},
};

static const struct attempt by_supervisor[] = {
    {"reads the master keys", read_keys, FINE},
    {"reads a partner", read_partner, FINE},
    {"reads a generation", read_generation, FINE},
    {"makes a process", make_process, FINE},
    {"makes a pair of sockets", make_pair, FINE},
    {"writes a generation", write_generation, REFUSED},
    {"makes a temporary file", make_file_in_tmp, REFUSED},
    {"removes a generation", remove_generation, REFUSED},
    {"reads /etc/passwd", read_passwd, REFUSED},
    {"reads another process", read_parent, KILLED},
    {"loads BPF", load_program_into_kernel, KILLED},
    {"mounts", mount_something, KILLED},
    {"makes a namespace", leave_namespace, KILLED},
#ifndef SANITIZED
    {"traces its parent", trace_parent, KILLED},
#endif
};

static bool can_be_tried_here(const struct attempt *attempt, int landlock)
{
#ifdef SANITIZED
    /* A leak checker traces its own process. */
    if (attempt->expected == NOT_CALLED || attempt->make == map_executable ||
        attempt->make == make_executable || attempt->make == trace_parent) {
        return false;
    }
#endif
    return attempt->expected != REFUSED || landlock > 0;
}

/* Which process; then what is in force, by a pipe's other end. */
enum who { WORKER, WRITER, SUPERVISOR };

static enum xt_status enter(enum who who, struct xt_sandbox_report *report,
                            struct xt_failure *failure)
{
    switch (who) {
    case WORKER:
        return xt_sandbox_worker(dir, report, failure);
    case WRITER:
        return xt_sandbox_writer(dir, report, failure);
    case SUPERVISOR:
        return xt_sandbox_supervisor(dir, "/usr/local/bin/xacthuc", report, failure);
    }
    return XT_INVALID;
}

#define NO_SANDBOX 100
#define LANDLOCK_IS_MISSING 64

/* In the child: 0 the call worked, 1 it failed, and the version of Landlock. */
static int attempt_in_sandbox(enum who who, const struct attempt *attempt)
{
    struct xt_sandbox_report report;
    struct xt_failure failure = {{0}};
    if (enter(who, &report, &failure) != XT_OK) {
        (void)!write(STDERR_FILENO, failure.text, strlen(failure.text));
        return NO_SANDBOX;
    }
    errno = 0;
    long result = attempt->make();
    return (result < 0 ? 1 : 0) + (report.landlock > 0 ? 0 : LANDLOCK_IS_MISSING);
}

static void attempt_all(enum who who, const struct attempt *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int client = -1;
        if (attempts[i].make == accept_client) {
            client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
        }
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            _exit(attempt_in_sandbox(who, &attempts[i]));
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (client >= 0) {
            close(client);
        }
        enum outcome outcome = KILLED;
        int landlock = 1;
        if (WIFEXITED(status)) {
            assert_int_not_equal(WEXITSTATUS(status), NO_SANDBOX);
            outcome = (WEXITSTATUS(status) & 1) != 0 ? REFUSED : FINE;
            landlock = (WEXITSTATUS(status) & LANDLOCK_IS_MISSING) != 0 ? 0 : 1;
        } else {
            assert_int_equal(WTERMSIG(status), SIGSYS);
        }
        bool as_expected = outcome == attempts[i].expected ||
                           (outcome == REFUSED && attempts[i].expected == NOT_CALLED);
        if (can_be_tried_here(&attempts[i], landlock) && !as_expected) {
            fail_msg("%s: %s", attempts[i].name,
                     outcome == FINE      ? "it can"
                     : outcome == REFUSED ? "it is refused"
                                          : "it is killed");
        }
    }
}

#define ATTEMPT_ALL(who, list) attempt_all(who, list, sizeof(list) / sizeof((list)[0]))

static void worker_can_only_answer(void **state)
{
    (void)state;
    ATTEMPT_ALL(WORKER, by_worker);
}

static void writer_can_only_write_the_live_store(void **state)
{
    (void)state;
    ATTEMPT_ALL(WRITER, by_writer);
}

static void supervisor_changes_nothing_on_disk(void **state)
{
    (void)state;
    ATTEMPT_ALL(SUPERVISOR, by_supervisor);
}

/* The attempts above must be able to succeed, or their failing would tell nothing. */
static void the_same_works_outside(void **state)
{
    (void)state;
    long (*const possible[])(void) = {read_generation, read_keys,        read_partner,
                                      read_passwd,     write_generation, write_live,
                                      make_tcp_socket, make_pair,        map_executable,
                                      make_executable, filter_listener,  make_listener_block,
                                      lock_import,     lock_range,       make_process,
                                      signal_parent,   change_mode,      read_own_environment,
                                      read_live};
    for (size_t i = 0; i < sizeof(possible) / sizeof(possible[0]); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            _exit(possible[i]() < 0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

/* A child of the supervisor goes into its own sandbox inside of the supervisor's. */
static void sandboxes_nest(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct xt_sandbox_report report;
        struct xt_failure failure;
        _exit(enter(SUPERVISOR, &report, &failure) != XT_OK ||
              enter(WORKER, &report, &failure) != XT_OK || read_generation() < 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_missing_folder_is_named(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct xt_sandbox_report report;
        struct xt_failure failure = {{0}};
        enum xt_status status = xt_sandbox_worker("/nonexistent", &report, &failure);
        _exit(status == XT_OK ? report.landlock > 0
                              : strstr(failure.text, "/nonexistent/identity") == NULL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_works_outside),
        cmocka_unit_test(worker_can_only_answer),
        cmocka_unit_test(writer_can_only_write_the_live_store),
        cmocka_unit_test(supervisor_changes_nothing_on_disk),
        cmocka_unit_test(sandboxes_nest),
        cmocka_unit_test(a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
