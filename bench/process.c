#include "bench/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/machine.h"

#define POLL_MS 5U
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define SYSTEM_PATH ":/usr/local/sbin:/usr/sbin:/sbin"

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nap(void)
{
    struct timespec time = {.tv_nsec = POLL_MS * 1000000L};
    (void)nanosleep(&time, NULL);
}

enum xt_status xt_process_find(const char *name, char *path, size_t size)
{
    const char *folders = getenv("PATH");
    char all[4096];
    if (strchr(name, '/') != NULL) {
        int length = snprintf(path, size, "%s", name);
        return length > 0 && (size_t)length < size && access(path, X_OK) == 0 ? XT_OK
                                                                              : XT_NOT_FOUND;
    }
    (void)snprintf(all, sizeof(all), "%s" SYSTEM_PATH, folders != NULL ? folders : DEFAULT_PATH);
    char *rest = NULL;
    for (char *folder = strtok_r(all, ":", &rest); folder != NULL;
         folder = strtok_r(NULL, ":", &rest)) {
        struct stat facts;
        int length = snprintf(path, size, "%s/%s", folder, name);
        if (length > 0 && (size_t)length < size && access(path, X_OK) == 0 &&
            stat(path, &facts) == 0 && S_ISREG(facts.st_mode)) {
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

/* ---- in the child, between fork and exec ---- */

static bool set_descriptors(const struct xt_process_plan *plan)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = plan->log == NULL ? nothing
                                : open(plan->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return nothing >= 0 && log >= 0 &&
           dup2(plan->input >= 0 ? plan->input : nothing, STDIN_FILENO) >= 0 &&
           dup2(plan->output >= 0 ? plan->output : log, STDOUT_FILENO) >= 0 &&
           dup2(log, STDERR_FILENO) >= 0;
}

static bool pin(int core)
{
    cpu_set_t cores;
    if (core < 0) {
        return true;
    }
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    return sched_setaffinity(0, sizeof(cores), &cores) == 0;
}

static bool become(const struct xt_process_plan *plan)
{
    if (plan->user == 0 || geteuid() != 0) {
        return true;
    }
    return setgroups(0, NULL) == 0 && setgid(plan->group) == 0 && setuid(plan->user) == 0;
}

static void default_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
}

static void become_program(const struct xt_process_plan *plan, const char *path, int end_signal,
                           int parent, int report)
{
    default_signals();
    bool fine = setpgid(0, 0) == 0 && set_descriptors(plan) && pin(plan->core) && become(plan) &&
                (plan->folder == NULL || chdir(plan->folder) == 0);
    for (unsigned i = 0; fine && plan->set != NULL && plan->set[i] != NULL; i++) {
        const char *equals = strchr(plan->set[i], '=');
        char name[64];
        fine = equals != NULL && (size_t)(equals - plan->set[i]) < sizeof(name);
        if (fine) {
            memcpy(name, plan->set[i], (size_t)(equals - plan->set[i]));
            name[equals - plan->set[i]] = '\0';
            fine = setenv(name, equals + 1, 1) == 0;
        }
    }
    /* Last: becoming another user takes it away. The parent may have died before it was set. */
    if (fine && prctl(PR_SET_PDEATHSIG, (unsigned long)end_signal) == 0 && getppid() == parent) {
        (void)execv(path, (char *const *)(uintptr_t)plan->arguments);
    }
    int error = errno;
    (void)!write(report, &error, sizeof(error));
    _exit(127);
}

/* ---- */

/* Gives 0, or the errno that kept the child from becoming the program. */
static int read_report(int report)
{
    int error = 0;
    ssize_t size;
    do {
        size = read(report, &error, sizeof(error));
    } while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof(error) ? (error == 0 ? ECHILD : error) : 0;
}

enum xt_status xt_process_start(const struct xt_process_plan *plan, struct xt_process *process,
                                struct xt_failure *failure)
{
    const char *name = plan->arguments[0];
    char path[4096];
    int report[2];
    *process = (struct xt_process){0};
    if (plan->log != NULL && strlen(plan->log) >= sizeof(process->log)) {
        return xt_fail(failure, XT_TOO_LARGE, "%s: the path of its log is too long", name);
    }
    if (xt_process_find(name, path, sizeof(path)) != XT_OK) {
        return xt_fail(failure, XT_NOT_FOUND, "there is no program %s here", name);
    }
    if (pipe2(report, O_CLOEXEC) != 0) {
        return xt_fail(failure, XT_IO, "cannot start %s: %s", name, strerror(errno));
    }
    int end_signal = plan->end_signal == 0 ? SIGTERM : plan->end_signal;
    int parent = getpid();
    (void)fflush(NULL);
    int pid = fork();
    if (pid == 0) {
        become_program(plan, path, end_signal, parent, report[1]);
    }
    int error = pid < 0 ? errno : 0;
    (void)close(report[1]);
    if (error == 0) {
        error = read_report(report[0]);
    }
    (void)close(report[0]);
    if (error != 0) {
        if (pid > 0) {
            (void)waitpid(pid, NULL, 0);
        }
        return xt_fail(failure, XT_IO, "cannot start %s: %s", name, strerror(error));
    }
    process->pid = pid;
    process->end_signal = end_signal;
    if (plan->log != NULL) {
        memcpy(process->log, plan->log, strlen(plan->log) + 1);
    }
    return XT_OK;
}

/* The ended child is left to be waited for until xt_process_stop, so that its number, and its group's,
 * are nobody else's meanwhile. */
bool xt_process_runs(struct xt_process *process)
{
    siginfo_t facts = {0};
    if (process->pid == 0 || process->ended) {
        return false;
    }
    if (waitid(P_PID, (id_t)process->pid, &facts, WEXITED | WNOHANG | WNOWAIT) != 0) {
        process->ended = errno != EINTR;
        process->exit_status = 255;
    } else if (facts.si_pid == process->pid) {
        process->ended = true;
        process->exit_status =
            facts.si_code == CLD_EXITED ? facts.si_status : 128 + facts.si_status;
    }
    return !process->ended;
}

/* The last line of the log that is not empty: mostly the reason. */
static void last_line(const char *log, char *line, size_t size)
{
    char text[1024];
    line[0] = '\0';
    FILE *file = log[0] == '\0' ? NULL : fopen(log, "re");
    if (file == NULL) {
        return;
    }
    if (fseek(file, -(long)(sizeof(text) - 1), SEEK_END) != 0) {
        rewind(file);
    }
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' ')) {
        length--;
    }
    text[length] = '\0';
    char *last = strrchr(text, '\n');
    last = last == NULL ? text : last + 1;
    for (char *at = last; *at != '\0'; at++) { /* somebody else's text on our terminal */
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            *at = ' ';
        }
    }
    (void)snprintf(line, size, "%.300s", last);
}

static enum xt_status fail_with_log(const struct xt_process *process, struct xt_failure *failure,
                                    const char *what)
{
    char line[320];
    last_line(process->log, line, sizeof(line));
    return xt_fail(failure, XT_IO, "%s%s%s", what, line[0] == '\0' ? "" : ": ", line);
}

static bool accepts(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool fine =
        socket_fd >= 0 && connect(socket_fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (socket_fd >= 0) {
        (void)close(socket_fd);
    }
    return fine;
}

/* A path is there; a socket accepts. */
static bool is_there(const char *path)
{
    struct stat facts;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (stat(path, &facts) != 0 || !S_ISSOCK(facts.st_mode) ||
        strlen(path) >= sizeof(address.sun_path)) {
        return access(path, F_OK) == 0;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool fine =
        socket_fd >= 0 && connect(socket_fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (socket_fd >= 0) {
        (void)close(socket_fd);
    }
    return fine;
}

static enum xt_status wait_ready(struct xt_process *process, unsigned port, const char *path,
                                 unsigned limit_ms, xt_process_given_up *given_up,
                                 struct xt_failure *failure)
{
    uint64_t until = now_ms() + limit_ms;
    for (;;) {
        if (!xt_process_runs(process)) {
            return fail_with_log(process, failure, "it ended at once");
        }
        if (path != NULL ? is_there(path) : accepts(port)) {
            return XT_OK;
        }
        if (given_up != NULL && given_up()) {
            return xt_fail(failure, XT_CLOSED, "interrupted");
        }
        if (now_ms() >= until) {
            return fail_with_log(process, failure, "it is not ready in time");
        }
        nap();
    }
}

enum xt_status xt_process_wait_port(struct xt_process *process, unsigned port, unsigned limit_ms,
                                    xt_process_given_up *given_up, struct xt_failure *failure)
{
    return wait_ready(process, port, NULL, limit_ms, given_up, failure);
}

enum xt_status xt_process_wait_path(struct xt_process *process, const char *path, unsigned limit_ms,
                                    xt_process_given_up *given_up, struct xt_failure *failure)
{
    return wait_ready(process, 0, path, limit_ms, given_up, failure);
}

enum xt_status xt_process_finish(struct xt_process *process, unsigned limit_ms,
                                 xt_process_given_up *given_up, struct xt_failure *failure)
{
    uint64_t until = now_ms() + limit_ms;
    char what[64];
    while (xt_process_runs(process)) {
        bool enough = given_up != NULL && given_up();
        if (enough || now_ms() >= until) {
            xt_process_stop(process, 1000);
            return enough ? xt_fail(failure, XT_CLOSED, "interrupted")
                          : fail_with_log(process, failure, "it took too long");
        }
        nap();
    }
    if (process->exit_status == 0) {
        return XT_OK;
    }
    (void)snprintf(what, sizeof(what), "exit status %d", process->exit_status);
    return fail_with_log(process, failure, what);
}

/* ---- ends ---- */

void xt_process_stop(struct xt_process *process, unsigned limit_ms)
{
    struct xt_process_id tree[XT_PROCESS_TREE_MAX];
    if (process->pid == 0) {
        return;
    }
    unsigned count = xt_process_tree(process->pid, tree, XT_PROCESS_TREE_MAX);
    if (xt_process_runs(process)) {
        (void)kill(process->pid, process->end_signal);
        (void)kill(process->pid, SIGCONT); /* a stopped one could not end */
        uint64_t until = now_ms() + limit_ms;
        while (xt_process_runs(process) && now_ms() < until) {
            nap();
        }
    }
    (void)kill(-process->pid, SIGKILL);    /* the group, which may outlive its first member */
    for (unsigned i = 0; i < count; i++) { /* and who has left the group */
        if (xt_process_is(tree[i])) {
            (void)kill(tree[i].pid, SIGKILL);
        }
    }
    while (xt_process_runs(process)) {
        nap();
    }
    (void)waitpid(process->pid, NULL, 0);
    process->pid = 0;
}

enum xt_status xt_process_run(const struct xt_process_plan *plan, unsigned limit_ms,
                              xt_process_given_up *given_up, struct xt_failure *failure)
{
    struct xt_process process;
    enum xt_status status = xt_process_start(plan, &process, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_process_finish(&process, limit_ms, given_up, failure);
    xt_process_stop(&process, 0);
    return status;
}

unsigned xt_process_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    unsigned port = 0;
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_fd >= 0 && bind(socket_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockname(socket_fd, (struct sockaddr *)&address, &size) == 0) {
        port = ntohs(address.sin_port);
    }
    if (socket_fd >= 0) {
        (void)close(socket_fd);
    }
    return port;
}
