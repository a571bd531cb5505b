/* bench/process and what bench/machine tells of a process with its children, on real ones. */
#include "tests/test.h"

#include "bench/machine.h"
#include "bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 20000

static char folder[] = "/tmp/xt-process-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static struct xt_process start_shell(const char *script)
{
    const char *arguments[] = {"sh", "-c", script, NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    struct xt_process process;
    struct xt_failure failure;
    plan.arguments = arguments;
    plan.log = in_folder("log");
    plan.folder = folder;
    (void)unlink(plan.log);
    if (xt_process_start(&plan, &process, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return process;
}

static void read_file(const char *name, char *text, size_t size)
{
    FILE *file = fopen(in_folder(name), "re");
    size_t got = file == NULL ? 0 : fread(text, 1, size - 1, file);
    text[got] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
}

static bool runs(int pid)
{
    char path[64];
    char text[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    (void)!fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    char *state = strrchr(text, ')');
    return state != NULL && state[2] != 'Z';
}

static void wait_for(struct xt_process *process, const char *file)
{
    char path[256];
    struct xt_failure failure;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    if (xt_process_wait_path(process, path, LIMIT_MS, NULL, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

static void a_command_says_how_it_ended(void **state)
{
    (void)state;
    struct xt_failure failure = {""};
    struct xt_process process = start_shell("echo told; echo and why >&2");
    assert_int_equal(xt_process_finish(&process, LIMIT_MS, NULL, &failure), XT_OK);
    xt_process_stop(&process, 0);
    char text[64];
    read_file("log", text, sizeof(text));
    assert_string_equal(text, "told\nand why\n");
    process = start_shell("echo first; echo out of paper >&2; exit 3");
    assert_int_equal(xt_process_finish(&process, LIMIT_MS, NULL, &failure), XT_IO);
    assert_string_equal(failure.text, "exit status 3: out of paper");
    assert_int_equal(process.exit_status, 3);
    xt_process_stop(&process, 0);
    process = start_shell("kill -KILL $$");
    assert_int_equal(xt_process_finish(&process, LIMIT_MS, NULL, &failure), XT_IO);
    assert_int_equal(process.exit_status, 128 + SIGKILL);
    xt_process_stop(&process, 0);
    assert_int_equal(process.pid, 0);
}

static void a_program_that_is_not_there_is_said_so(void **state)
{
    (void)state;
    const char *arguments[] = {"surely-no-such-program", NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    struct xt_process process;
    struct xt_failure failure = {""};
    plan.arguments = arguments;
    assert_int_equal(xt_process_start(&plan, &process, &failure), XT_NOT_FOUND);
    assert_non_null(strstr(failure.text, "surely-no-such-program"));
    xt_process_stop(&process, 0); /* harmless */
    arguments[0] = "sh";
    plan.folder = "/surely/not/there";
    assert_int_equal(xt_process_start(&plan, &process, &failure), XT_IO);
    assert_non_null(strstr(failure.text, "No such file"));
}

static bool at_once(void)
{
    return true;
}

static void waiting_ends_when_told_or_late(void **state)
{
    (void)state;
    struct xt_failure failure = {""};
    struct xt_process process = start_shell("exec sleep 100");
    int pid = process.pid;
    assert_int_equal(xt_process_finish(&process, LIMIT_MS, at_once, &failure), XT_CLOSED);
    assert_false(runs(pid));
    process = start_shell("exec sleep 100");
    pid = process.pid;
    assert_int_equal(xt_process_finish(&process, 50, NULL, &failure), XT_IO);
    assert_false(runs(pid));
    process = start_shell("echo no licence >&2; exit 1");
    assert_int_equal(xt_process_wait_port(&process, 1, LIMIT_MS, NULL, &failure), XT_IO);
    assert_string_equal(failure.text, "it ended at once: no licence");
    xt_process_stop(&process, 0);
}

static void a_server_is_ready_when_its_port_accepts(void **state)
{
    (void)state;
    char script[256];
    struct xt_failure failure = {""};
    unsigned port = xt_process_free_port();
    assert_true(port > 0);
    (void)snprintf(script, sizeof(script),
                   "sleep 0.2; exec python3 -c 'import socket,time\n"
                   "s=socket.create_server((\"127.0.0.1\",%u)); time.sleep(100)'",
                   port);
    struct xt_process process = start_shell(script);
    if (xt_process_wait_port(&process, port, LIMIT_MS, NULL, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_process_stop(&process, LIMIT_MS);
    process = start_shell("exec sleep 100");
    assert_int_equal(xt_process_wait_port(&process, port, 50, NULL, &failure), XT_IO);
    xt_process_stop(&process, LIMIT_MS);
}

static void a_socket_that_is_only_bound_is_not_ready(void **state)
{
    (void)state;
    struct xt_failure failure = {""};
    struct xt_process process = start_shell("exec python3 -c 'import socket,time\n"
                                            "s=socket.socket(socket.AF_UNIX); s.bind(\"sock\")\n"
                                            "time.sleep(0.3); open(\"bound\",\"w\"); s.listen()\n"
                                            "time.sleep(100)'");
    wait_for(&process, "sock");
    assert_int_equal(access(in_folder("bound"), F_OK), 0); /* it did wait */
    xt_process_stop(&process, LIMIT_MS);
    assert_int_equal(xt_process_wait_path(&process, in_folder("sock"), 50, NULL, &failure), XT_IO);
    (void)unlink(in_folder("sock"));
    (void)unlink(in_folder("bound"));
}

static void stopping_takes_the_whole_tree(void **state)
{
    (void)state;
    char text[64];
    /* One that ends when asked, but not what it has started: a child in the group, and one that left
     * it as PostgreSQL's do. */
    struct xt_process process = start_shell("trap 'echo bye > bye; exit 0' TERM\n"
                                            "sleep 1000 & echo $! > child\n"
                                            "setsid sh -c 'echo $$ > left; exec sleep 1000' &\n"
                                            "while [ ! -s left ]; do sleep 0.01; done\n"
                                            "echo > ready; while :; do sleep 0.01; done");
    int pid = process.pid;
    wait_for(&process, "ready");
    read_file("child", text, sizeof(text));
    int child = atoi(text);
    read_file("left", text, sizeof(text));
    int left = atoi(text);
    assert_true(runs(child) && runs(left));
    xt_process_stop(&process, LIMIT_MS);
    assert_false(runs(pid));
    for (unsigned i = 0; i < 400 && (runs(child) || runs(left)); i++) {
        (void)usleep(5000);
    }
    assert_false(runs(child));
    assert_false(runs(left));
    read_file("bye", text, sizeof(text));
    assert_string_equal(text, "bye\n"); /* asked first */
    (void)unlink(in_folder("ready"));
    (void)unlink(in_folder("left"));
}

static void who_does_not_listen_is_killed(void **state)
{
    (void)state;
    struct xt_process process = start_shell("trap '' TERM; echo > deaf; sleep 1000; sleep 1000");
    int pid = process.pid;
    wait_for(&process, "deaf");
    assert_true(xt_process_runs(&process));
    xt_process_stop(&process, 50);
    assert_false(runs(pid));
    assert_false(xt_process_runs(&process));
}

static void a_stopped_process_ends_too(void **state)
{
    (void)state;
    struct xt_process process = start_shell("exec sleep 1000");
    int pid = process.pid;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    xt_process_stop(&process, LIMIT_MS);
    assert_int_equal(process.exit_status, 128 + SIGTERM); /* not killed */
    assert_false(runs(pid));
}

static void nothing_is_left_when_its_parent_is_killed(void **state)
{
    (void)state;
    int pipes[2];
    int child = 0;
    assert_int_equal(pipe(pipes), 0);
    int parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        struct xt_process process = start_shell("exec sleep 1000");
        (void)!write(pipes[1], &process.pid, sizeof(process.pid));
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(pipes[0], &child, sizeof(child)), sizeof(child));
    assert_true(runs(child));
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    for (unsigned i = 0; i < 400 && runs(child); i++) {
        (void)usleep(5000);
    }
    assert_false(runs(child));
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

static void a_child_gets_its_core_and_its_environment(void **state)
{
    (void)state;
    const char *arguments[] = {
        "sh", "-c", "grep Cpus_allowed_list /proc/self/status; echo $XT_ONE $1", "sh", "two", NULL};
    const char *set[] = {"XT_ONE=1=one", NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    struct xt_failure failure = {""};
    char text[128];
    plan.arguments = arguments;
    plan.set = set;
    plan.core = 0;
    plan.log = in_folder("env");
    assert_int_equal(xt_process_run(&plan, LIMIT_MS, NULL, &failure), XT_OK);
    read_file("env", text, sizeof(text));
    assert_string_equal(text, "Cpus_allowed_list:\t0\n1=one two\n");
}

static void cpu_and_memory_are_those_of_the_whole_tree(void **state)
{
    (void)state;
    /* 0.3 s of CPU in a child that has ended and been waited for, 0.3 s in one that still runs and
     * holds 40 MB. */
    static const char burn[] =
        "import time,sys\nb=bytearray(40<<20) if len(sys.argv)>1 else b''\n"
        "while time.process_time()<0.3: pass\n"
        "if len(sys.argv)>1:\n b[::4096]=b'x'*len(b[::4096]); open('hot','w').write('x'); "
        "time.sleep(1000)\n";
    FILE *file = fopen(in_folder("burn.py"), "we");
    assert_non_null(file);
    assert_true(fputs(burn, file) >= 0);
    (void)fclose(file);
    struct xt_process process =
        start_shell("python3 burn.py; python3 burn.py stay & while :; do sleep 1; done");
    wait_for(&process, "hot");
    struct xt_process_use use;
    struct xt_process_memory memory;
    assert_true(xt_process_read(process.pid, &use));
    assert_true(use.processes >= 2);
    assert_true(use.cpu_us >= 560000); /* ticks of 10 ms, cut */
    assert_true(use.resident_bytes >= 40 << 20);
    assert_true(xt_process_memory(process.pid, &memory));
    assert_true(memory.bytes >= 40 << 20);
    assert_true(memory.anonymous_bytes >= 40 << 20);
    uint64_t sum = memory.anonymous_bytes + memory.file_bytes + memory.shared_bytes;
    /* Each is rounded to KiB for itself in each process. */
    assert_true(sum + 64 * 1024 >= memory.bytes && sum <= memory.bytes + 64 * 1024);
    struct xt_process_id tree[8];
    unsigned count = xt_process_tree(process.pid, tree, 8);
    assert_true(count >= 2);
    for (unsigned i = 0; i < count; i++) {
        if (tree[i].pid == process.pid) {
            assert_true(xt_process_is(tree[i]));
            tree[i].started++; /* its number, but another one */
            assert_false(xt_process_is(tree[i]));
        }
    }
    int pid = process.pid;
    xt_process_stop(&process, LIMIT_MS);
    assert_false(xt_process_memory(pid, &memory));
    assert_false(xt_process_read(pid, &use));
    (void)unlink(in_folder("hot"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"log",  "child", "left", "ready",  "bye",
                                        "deaf", "env",   "hot",  "burn.py"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unlink(in_folder(names[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_says_how_it_ended),
        cmocka_unit_test(a_program_that_is_not_there_is_said_so),
        cmocka_unit_test(waiting_ends_when_told_or_late),
        cmocka_unit_test(a_server_is_ready_when_its_port_accepts),
        cmocka_unit_test(a_socket_that_is_only_bound_is_not_ready),
        cmocka_unit_test(stopping_takes_the_whole_tree),
        cmocka_unit_test(who_does_not_listen_is_killed),
        cmocka_unit_test(a_stopped_process_ends_too),
        cmocka_unit_test(nothing_is_left_when_its_parent_is_killed),
        cmocka_unit_test(a_child_gets_its_core_and_its_environment),
        cmocka_unit_test(cpu_and_memory_are_those_of_the_whole_tree),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
