/* SIGUSR2: another program takes over without a refused connection; and what the service manager is
 * told of all that. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/callers.h"
#include "tests/test.h"

static const char *const two_workers[] = {"--workers", "2", NULL};
static const char question[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}";

static unsigned count_in_log(const char *text)
{
    char *log = server_log();
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(log);
    return count;
}

static bool logged_again(const char *event, unsigned before)
{
    char text[128];
    snprintf(text, sizeof(text), "\"event\":\"%s\"", event);
    for (double end = now_s() + 20; now_s() < end; sleep_ms(10)) {
        if (count_in_log(text) > before) {
            return true;
        }
    }
    return false;
}

static unsigned logged(const char *event)
{
    char text[128];
    snprintf(text, sizeof(text), "\"event\":\"%s\"", event);
    return count_in_log(text);
}

/* The child that is a supervisor itself; 0: none. */
static pid_t server_heir(const struct server *server)
{
    char path[64], text[16];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)server->pid, (int)server->pid);
    char *children = read_text(path);
    pid_t found = 0;
    for (char *at = children, *end; found == 0; at = end) {
        pid_t pid = (pid_t)strtol(at, &end, 10);
        if (end == at) {
            break;
        }
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        char *name = read_text(path);
        snprintf(text, sizeof(text), "%.15s", name);
        found = strcmp(text, "xacthuc\n") == 0 ? pid : 0;
        free(name);
    }
    free(children);
    return found;
}

/* Goes on with the one that took over last. */
static void adopt_last(struct server *server)
{
    char *log = server_log(), *line = NULL;
    for (char *at = log; (at = strstr(at, "\"event\":\"upgraded\"")) != NULL; at++) {
        line = at;
    }
    assert_non_null(line);
    char *pid = strstr(line, "\"pid\":");
    assert_non_null(pid);
    server_adopt(server, (pid_t)strtol(pid + 6, NULL, 10));
    free(log);
}

/* Waits for the one before to end and goes on with the one that took over. */
static void upgrade(struct server *server)
{
    unsigned before = logged("upgraded"), settled = logged("writer_started");
    kill(server->pid, SIGUSR2);
    assert_true(logged_again("upgraded", before));
    assert_int_equal(server_wait(server, 20000), 0);
    adopt_last(server);
    assert_true(logged_again("writer_started", settled));
}

static void upgrades_cost_no_answer(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 4);
    for (unsigned i = 0; i < 3; i++) {
        pid_t before = server.pid;
        assert_true(callers_wait(callers, 50, 10000));
        upgrade(&server);
        assert_int_not_equal(server.pid, before);
    }
    assert_true(callers_wait(callers, 50, 10000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    pid_t pids[8];
    assert_int_equal(server_workers(&server, pids, 8), 2);
    assert_int_equal(server_stop(&server), 0);
}

static void sessions_are_resumed_after_a_crash_and_after_an_upgrade(void **state)
{
    (void)state;
    struct server server;
    struct xt_failure failure = {0};
    struct xt_tls_context *context = NULL;
    server_start_with(&server, NULL, two_workers);
    struct test_client_options options = options_as(&server, "demo");
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority,
                                        .resume = true};
    assert_int_equal(xt_tls_client(&files, &context, &failure), XT_OK);
    options = (struct test_client_options){
        .port = server.port, .context = context, .server_name = "127.0.0.1"};
    for (unsigned i = 0; i < 12; i++) {
        struct test_response response;
        pid_t pids[4];
        char error[TEST_ERROR_MAX] = "";
        struct test_client *client = test_client_open(&options, error);
        assert_non_null(client);
        assert_int_equal(verify(client, question, &response), 200);
        test_response_release(&response);
        assert_int_equal(xt_tls_resumed(test_client_tls(client)), i > 0);
        test_client_close(client);
        if (i == 3) {
            unsigned count = server_workers(&server, pids, 4), before = logged("worker_started");
            assert_int_equal(count, 2);
            kill(pids[0], SIGKILL);
            assert_true(logged_again("worker_started", before));
        } else if (i == 7) {
            upgrade(&server);
        }
    }
    xt_tls_context_close(context);
    assert_int_equal(server_stop(&server), 0);
}

static void upgrade_that_fails_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 4);
    char *conf = read_text(deployment("DIR/xacthuc.conf"));
    write_text(deployment("DIR/xacthuc.conf"), "[limits]\nshoe_size = 43\n");
    unsigned before = logged("upgrade_failed");
    pid_t workers[4], after[4];
    assert_int_equal(server_workers(&server, workers, 4), 2);
    kill(server.pid, SIGUSR2);
    assert_true(logged_again("upgrade_failed", before));
    assert_true(callers_wait(callers, 50, 10000));
    assert_int_equal(server_workers(&server, after, 4), 2);
    assert_true(workers[0] == after[0] || workers[0] == after[1]);
    write_text(deployment("DIR/xacthuc.conf"), conf);
    free(conf);
    upgrade(&server); /* the next one may succeed */
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_stop(&server), 0);
}

static void copy_program(const char *to)
{
    char command[1200];
    snprintf(command, sizeof(command), "cp '%s' '%s.new' && mv '%s.new' '%s'", xacthuc(), to, to,
             to);
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
}

/* The program's file is replaced as an installation does it. What runs goes on with what it was
 * started from, whatever lies there now, until it is told to upgrade. */
static void crashed_worker_is_not_replaced_by_another_version(void **state)
{
    (void)state;
    struct server server;
    char program[512], original[512];
    pid_t pids[4];
    snprintf(original, sizeof(original), "%s", xacthuc());
    snprintf(program, sizeof(program), "%s", deployment("program"));
    copy_program(program);
    assert_int_equal(setenv("XT_XACTHUC", program, 1), 0);
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(setenv("XT_XACTHUC", original, 1), 0);
    assert_int_equal(unlink(program), 0);
    write_text(program, "#!/bin/sh\nexit 1\n");
    assert_int_equal(chmod(program, 0755), 0);
    unsigned started = logged("worker_started"), failed = logged("upgrade_failed");
    assert_int_equal(server_workers(&server, pids, 4), 2);
    kill(pids[0], SIGKILL);
    assert_true(logged_again("worker_started", started));
    kill(server.pid, SIGUSR2); /* that is no server */
    assert_true(logged_again("upgrade_failed", failed));
    assert_int_equal(status_of(&server, "demo", question), 200);
    copy_program(program);
    upgrade(&server);
    assert_int_equal(status_of(&server, "demo", question), 200);
    assert_int_equal(server_stop(&server), 0);
}

static void shut_out(const char *partner)
{
    char name[64];
    snprintf(name, sizeof(name), "issued/%s.crt", partner);
    assert_int_equal(
        run(xacthuc(), "partner", "revoke", deployment("DIR"), "--cert", deployment(name), NULL),
        0);
}

/* The status for that partner; 0: no connection, or none that lasts. */
static int answer_to(const struct server *server, const char *partner)
{
    char error[TEST_ERROR_MAX];
    struct test_response response = {0};
    struct test_client_options options = options_as(server, partner);
    struct test_client *client = test_client_open(&options, error);
    int status = 0;
    if (client != NULL &&
        test_client_request(client, "POST", "/v1/verify", "Content-Type: application/json\r\n",
                            question, &response)) {
        status = response.status;
        test_response_release(&response);
    }
    test_client_close(client);
    return status;
}

/* What the operator told the one before while the heir was starting is in force with the heir. The heir
 * is stopped when it has read everything, so that it cannot have read this. */
static void reload_during_an_upgrade_is_not_lost(void **state)
{
    (void)state;
    struct server server;
    pid_t heir = 0, workers[4];
    server_start_with(&server, NULL, two_workers);
    unsigned upgraded = logged("upgraded"), reloaded = logged("reloaded");
    kill(server.pid, SIGUSR2);
    for (double end = now_s() + 20; heir == 0; sleep_ms(1)) {
        assert_true(now_s() < end);
        pid_t child = server_heir(&server);
        struct server one = {.pid = child};
        heir = child != 0 && server_workers(&one, workers, 4) > 0 ? child : 0;
    }
    kill(heir, SIGSTOP);
    assert_int_equal(logged("upgraded"), upgraded);
    shut_out("narrow");
    kill(server.pid, SIGHUP);
    assert_true(logged_again("reloaded", reloaded));
    kill(heir, SIGCONT);
    assert_true(logged_again("upgraded", upgraded));
    assert_true(logged_again("reloaded", reloaded + 1));
    assert_int_equal(server_wait(&server, 20000), 0);
    adopt_last(&server);
    for (unsigned i = 0; i < 12; i++) { /* of both workers */
        assert_int_not_equal(answer_to(&server, "narrow"), 200);
        assert_int_not_equal(answer_to(&server, "narrow"), 403);
    }
    assert_int_equal(answer_to(&server, "demo"), 200);
    assert_int_equal(server_stop(&server), 0);
}

/* As a reload without it is: who was shut out would be let in again. */
static void upgrade_without_the_list_in_force_is_refused(void **state)
{
    (void)state;
    struct server server;
    shut_out("wide");
    server_start_with(&server, NULL, two_workers);
    char *list = read_text(deployment("DIR/revoked.crl"));
    assert_int_equal(unlink(deployment("DIR/revoked.crl")), 0);
    unsigned failed = logged("upgrade_failed");
    kill(server.pid, SIGUSR2);
    assert_true(logged_again("upgrade_failed", failed));
    assert_int_not_equal(answer_to(&server, "wide"), 200);
    write_text(deployment("DIR/revoked.crl"), list);
    free(list);
    upgrade(&server);
    assert_int_equal(server_stop(&server), 0);
}

/* The writer before keeps the store until its last worker has drained; that is nobody's outage. */
static void service_stays_ready_through_an_upgrade(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    char head[256];
    unsigned upgraded = logged("upgraded");
    server_start_with(&server, "drain_timeout = 3s\n", two_workers);
    /* A request that is not complete keeps a worker of the one before, and so its writer. */
    struct test_client *busy = connect_as(&server, "demo");
    snprintf(head, sizeof(head),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(question));
    assert_true(test_client_send_text(busy, head));
    /* And a probe that the one before has begun to read. */
    struct test_client *early = connect_plain(server.admin_port);
    assert_true(test_client_send_text(early, "GET /readyz HTTP/1.1\r\nHost: a\r\n"));
    sleep_ms(200);
    kill(server.pid, SIGUSR2);
    assert_true(logged_again("upgraded", upgraded));
    sleep_ms(200);
    assert_true(test_client_send_text(early, "\r\n"));
    assert_true(test_client_response(early, false, &response));
    assert_int_equal(response.status, 200);
    test_response_release(&response);
    test_client_close(early);
    for (unsigned i = 0; i < 20; i++) {
        struct test_client *probe = connect_plain(server.admin_port);
        assert_true(test_client_request(probe, "GET", "/readyz", NULL, NULL, &response));
        assert_int_equal(response.status, 200);
        test_response_release(&response);
        test_client_close(probe);
        sleep_ms(50);
    }
    test_client_close(busy);
    assert_int_equal(server_wait(&server, 20000), 0);
    adopt_last(&server);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- the service manager ---------------------------------------------------------------------- */

static int open_manager(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    struct timeval limit = {.tv_sec = 10};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    return fd;
}

/* Reads messages until one begins a line with this; *told is that message. */
static bool is_told(int manager, const char *line, char told[1024])
{
    for (;;) {
        ssize_t size = recv(manager, told, 1023, 0);
        if (size < 0) {
            return false;
        }
        told[size] = '\0';
        for (const char *at = told; at != NULL && *at != '\0';) {
            if (strncmp(at, line, strlen(line)) == 0) {
                return true;
            }
            at = strchr(at, '\n');
            at = at == NULL ? NULL : at + 1;
        }
    }
}

static void follow_service(const char *name)
{
    struct server server;
    char told[1024];
    int manager = open_manager(name);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "2000000", 1), 0);
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
    assert_true(is_told(manager, "READY=1", told));
    assert_non_null(strstr(told, "STATUS=2 workers serve generation 1, 3 partners"));
    assert_true(is_told(manager, "WATCHDOG=1", told));
    kill(server.pid, SIGHUP);
    assert_true(is_told(manager, "RELOADING=1", told));
    assert_non_null(strstr(told, "MONOTONIC_USEC="));
    assert_true(is_told(manager, "READY=1", told));
    pid_t before = server.pid;
    upgrade(&server);
    assert_true(is_told(manager, "MAINPID=", told));
    assert_int_equal(strtol(told + strlen("MAINPID="), NULL, 10), server.pid);
    assert_int_not_equal(server.pid, before);
    assert_true(is_told(manager, "READY=1", told)); /* by the new one, which has the address, too */
    assert_true(is_told(manager, "WATCHDOG=1", told));
    assert_int_equal(server_stop(&server), 0);
    assert_true(is_told(manager, "STOPPING=1", told));
    close(manager);
}

static void service_manager_is_told_by_path(void **state)
{
    (void)state;
    follow_service(deployment("notify"));
}

static void service_manager_is_told_by_abstract_name(void **state)
{
    char name[64];
    (void)state;
    snprintf(name, sizeof(name), "@xacthuc-test-%d", (int)getpid());
    follow_service(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upgrades_cost_no_answer),
        cmocka_unit_test(sessions_are_resumed_after_a_crash_and_after_an_upgrade),
        cmocka_unit_test(upgrade_that_fails_leaves_all_as_it_was),
        cmocka_unit_test(crashed_worker_is_not_replaced_by_another_version),
        cmocka_unit_test(reload_during_an_upgrade_is_not_lost),
        cmocka_unit_test(upgrade_without_the_list_in_force_is_refused),
        cmocka_unit_test(service_stays_ready_through_an_upgrade),
        cmocka_unit_test(service_manager_is_told_by_path),
        cmocka_unit_test(service_manager_is_told_by_abstract_name),
    };
    /* One that took over becomes our child when the one before has ended. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
