/* The process tree: what dies is replaced, and nobody else notices; what ends takes all with it. */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/control.h"
#include "tests/net/callers.h"
#include "tests/test.h"

#define CONNECTIONS 24 /* that all go to one of two workers: once in 2^23 */
#define PROCESSORS_MOST 64

static const char *const two_workers[] = {"--workers", "2", NULL};
static const char *const one_worker[] = {"--workers", "1", NULL};
static const char question[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}";

static unsigned count_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    unsigned count = 0;
    DIR *list = opendir(path);
    assert_non_null(list);
    while (readdir(list) != NULL) {
        count++;
    }
    closedir(list);
    return count;
}

static void killed_worker_costs_its_own_connections_only(void **state)
{
    (void)state;
    struct server server;
    struct test_client *clients[CONNECTIONS];
    pid_t pids[4];
    unsigned answered = 0;
    server_start_with(&server, NULL, two_workers);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct test_response response;
        clients[i] = connect_as(&server, "demo");
        assert_int_equal(verify(clients[i], question, &response), 200);
        test_response_release(&response);
    }
    assert_int_equal(server_workers(&server, pids, 4), 2);
    kill(pids[0], SIGKILL);
    assert_true(wait_until_gone(pids[0], 2000));
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct test_response response;
        if (test_client_request(clients[i], "POST", "/v1/verify",
                                "Content-Type: application/json\r\n", question, &response)) {
            assert_int_equal(response.status, 200);
            test_response_release(&response);
            answered++;
        }
        test_client_close(clients[i]);
    }
    assert_in_range(answered, 1, CONNECTIONS - 1);
    assert_true(server_wait_for_workers(&server, 2, pids[0], 2000));
    assert_true(server_log_has("\"event\":\"worker_died\",\"worker\":", 1000));
    assert_true(server_log_has("\"signal\":9,\"uptime_ms\":", 1000));
    for (unsigned i = 0; i < CONNECTIONS; i++) { /* both answer again */
        assert_int_equal(status_of(&server, "demo", question), 200);
    }
    assert_int_equal(server_stop(&server), 0);
}

/* The socket is the supervisor's: who waits in its queue is served by the one that comes next. */
static void clients_in_the_queue_of_a_killed_worker_are_served_by_the_next(void **state)
{
    (void)state;
    struct server server;
    struct test_client *waiting[8];
    pid_t pid;
    server_start_with(&server, NULL, one_worker);
    assert_int_equal(server_workers(&server, &pid, 1), 1);
    kill(pid, SIGSTOP);
    for (unsigned i = 0; i < 8; i++) {
        waiting[i] = connect_plain(server.admin_port); /* the kernel has accepted it */
    }
    kill(pid, SIGKILL);
    for (unsigned i = 0; i < 8; i++) {
        struct test_response response;
        assert_true(test_client_request(waiting[i], "GET", "/healthz", NULL, NULL, &response));
        assert_int_equal(response.status, 200);
        test_response_release(&response);
        test_client_close(waiting[i]);
    }
    assert_int_equal(server_stop(&server), 0);
}

static void killing_on_and_on_loses_neither_answers_nor_descriptors(void **state)
{
    (void)state;
    enum { KILLS = 21 };
    struct server server;
    /* A warm-up has the register open until it is over. */
    server_start_with(&server, "[server]\nwarm_up_rate = 0\n", two_workers);
    struct callers *callers = callers_start(&server, 4);
    assert_true(callers_wait(callers, 40, 5000));
    unsigned before = count_descriptors(server.pid);
    for (unsigned i = 0; i < KILLS; i++) {
        pid_t pids[4];
        unsigned count =
            i % 3 == 2 ? server_writers(&server, pids, 4) : server_workers(&server, pids, 4);
        if (count == 0) { /* it waits for its turn: several quick deaths in a row */
            sleep_ms(100);
            continue;
        }
        kill(pids[i % count], SIGKILL);
        assert_true(wait_until_gone(pids[i % count], 2000));
        sleep_ms(250);
    }
    pid_t writer;
    assert_true(server_wait_for_workers(&server, 2, 0, 6000));
    for (double end = now_s() + 6; server_writers(&server, &writer, 1) == 0 && now_s() < end;) {
        sleep_ms(10);
    }
    assert_true(callers_wait(callers, 100, 10000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong, 0);
    assert_true(result.longest_wait_ms < 8000);
    /* What is still under way has one more: a process that starts, or one that is not reaped yet. */
    unsigned after = count_descriptors(server.pid);
    for (double end = now_s() + 5; after != before && now_s() < end;) {
        sleep_ms(100);
        after = count_descriptors(server.pid);
    }
    assert_int_equal(after, before);
    assert_int_equal(server_stop(&server), 0);
}

/* Its successor, told to end as well while it drains, must not leave the place empty until then. */
static void slot_whose_both_processes_drain_gets_a_third(void **state)
{
    (void)state;
    struct server server;
    struct test_client *busy;
    pid_t first, second = 0;
    char head[256];
    server_start_with(&server, "drain_timeout = 20s\n", one_worker);
    assert_int_equal(server_workers(&server, &first, 1), 1);
    snprintf(head, sizeof(head),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(question));
    struct test_client *held[2];
    for (unsigned i = 0; i < 2; i++) {
        unsigned started = server_log_count("\"event\":\"worker_started\"");
        busy = held[i] = connect_as(&server, "demo");
        assert_true(test_client_send_text(busy, head));
        sleep_ms(300);
        if (i == 1) {
            pid_t pids[4];
            unsigned count = server_workers(&server, pids, 4);
            assert_int_equal(count, 2);
            second = pids[0] == first ? pids[1] : pids[0];
        }
        kill(i == 0 ? first : second, SIGTERM);
        for (double end = now_s() + 6;
             server_log_count("\"event\":\"worker_started\"") == started;) {
            assert_true(now_s() < end); /* both may drain for 20 s */
            sleep_ms(10);
        }
    }
    assert_true(wait_until_gone(first, 3000));
    assert_true(process_is_alive(second));
    assert_int_equal(status_of(&server, "demo", question), 200);
    test_client_close(held[0]);
    test_client_close(held[1]);
    assert_int_equal(server_stop(&server), 0);
}

/* Somebody's kill without a number: it leaves as if it had been told to, and another is there at once. */
static void worker_that_is_told_to_end_is_replaced_first(void **state)
{
    (void)state;
    struct server server;
    pid_t pids[4];
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 4);
    assert_true(callers_wait(callers, 40, 5000));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(server_workers(&server, pids, 4), 2);
        kill(pids[i % 2], SIGTERM);
        assert_true(wait_until_gone(pids[i % 2], 8000));
        assert_true(server_wait_for_workers(&server, 2, pids[i % 2], 5000));
        assert_true(callers_wait(callers, 40, 5000));
    }
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_true(server_log_count("\"event\":\"worker_leaving\"") >= 4);
    assert_int_equal(server_stop(&server), 0);
}

/* What a terminal does with Ctrl-C: every process gets the signal, and the supervisor decides. */
static void interrupt_to_the_whole_group_drains(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    char head[256];
    pid_t pids[8];
    server_start_with(&server, NULL, two_workers);
    struct test_client *busy = connect_as(&server, "demo");
    snprintf(head, sizeof(head),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(question));
    assert_true(test_client_send_text(busy, head));
    sleep_ms(200);
    unsigned count = server_workers(&server, pids, 4);
    count += server_writers(&server, pids + count, 2);
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < count; i++) {
        kill(pids[i], SIGINT);
    }
    kill(server.pid, SIGINT);
    sleep_ms(300);
    assert_true(test_client_send_text(busy, question));
    assert_true(test_client_response(busy, false, &response));
    assert_int_equal(response.status, 200);
    test_response_release(&response);
    test_client_close(busy);
    assert_int_equal(server_wait(&server, 5000), 0);
}

static void without_their_supervisor_all_end_by_themselves(void **state)
{
    (void)state;
    struct server server;
    pid_t pids[8];
    server_start_with(&server, "drain_timeout = 2s\n", two_workers);
    struct test_client *idle = connect_as(&server, "demo");
    unsigned count = server_workers(&server, pids, 4);
    count += server_writers(&server, pids + count, 2);
    assert_int_equal(count, 3);
    kill(server.pid, SIGKILL);
    assert_int_equal(server_wait(&server, 2000), 128 + SIGKILL);
    for (unsigned i = 0; i < count; i++) {
        assert_true(wait_until_gone(pids[i], 8000));
    }
    assert_true(test_client_wait_closed(idle));
    test_client_close(idle);
}

static void every_process_is_hardened_and_pinned(void **state)
{
    (void)state;
    struct server server;
    pid_t pids[PROCESSORS_MOST + 2];
    cpu_set_t ours, theirs, all;
    server_start(&server, NULL);
    assert_int_equal(sched_getaffinity(0, sizeof(ours), &ours), 0);
    unsigned workers = server_workers(&server, pids, PROCESSORS_MOST);
    CPU_ZERO(&all);
    for (unsigned i = 0; i < workers; i++) {
        assert_int_equal(sched_getaffinity(pids[i], sizeof(theirs), &theirs), 0);
        assert_int_equal(CPU_COUNT(&theirs), 1);
        CPU_OR(&all, &all, &theirs);
    }
    if (CPU_COUNT(&ours) < PROCESSORS_MOST) {
        assert_int_equal(workers, CPU_COUNT(&ours));
        assert_true(CPU_EQUAL(&all, &ours)); /* each has one of its own */
    }
    workers += server_writers(&server, pids + workers, 1);
    pids[workers++] = server.pid;
    for (unsigned i = 0; i < workers; i++) {
        struct rlimit core;
        assert_int_equal(prlimit(pids[i], RLIMIT_CORE, NULL, &core), 0);
        assert_int_equal(core.rlim_max, 0);
    }
    assert_int_equal(server_stop(&server), 0);
}

/* Nothing may stay behind a start that fails, and the reason must be told. */
static void start_that_fails_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    char *key = read_text(deployment("DIR/keys/server.key"));
    char *client_key = read_text(deployment("issued/demo.key"));
    write_text(deployment("DIR/keys/server.key"), client_key);
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--listen", "127.0.0.1:0",
                         "--admin", "127.0.0.1:0", NULL),
                     1);
    write_text(deployment("DIR/keys/server.key"), key);
    char *log = read_text(deployment("commands.log"));
    assert_non_null(strstr(log, "does not belong to the first certificate"));
    assert_null(strstr(log, "worker_started"));
    free(log);
    free(client_key);
    free(key);
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--workers", "129", NULL), 2);
    assert_int_equal(run(xacthuc(), "serve-worker", NULL), 1);
}

/* Two servers at one address would share its clients without anybody having meant it. */
static void second_server_at_the_same_address_is_refused(void **state)
{
    (void)state;
    struct server server;
    char address[32];
    server_start(&server, NULL);
    snprintf(address, sizeof(address), "127.0.0.1:%u", server.port);
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--listen", address, "--admin",
                         "127.0.0.1:0", NULL),
                     1);
    assert_int_equal(server_stop(&server), 0);
}

static unsigned count_listening(unsigned port)
{
    char wanted[64];
    unsigned count = 0;
    char *table = read_text("/proc/net/tcp");
    snprintf(wanted, sizeof(wanted), ": 0100007F:%04X 00000000:0000 0A", port);
    for (const char *at = table; (at = strstr(at, wanted)) != NULL; at++) {
        count++;
    }
    free(table);
    return count;
}

/* What one of them does to its sockets is nobody else's trouble. */
static void each_worker_has_sockets_of_its_own(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(count_listening(server.port), 2);
    assert_int_equal(count_listening(server.admin_port), 2);
    assert_int_equal(server_stop(&server), 0);
}

/* It does not wait for ever for a store that is served already. */
static void second_server_of_the_same_store_is_refused(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, "drain_timeout = 1s\n", one_worker);
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--listen", "127.0.0.1:0",
                         "--admin", "127.0.0.1:0", "--workers", "1", NULL),
                     1);
    char *log = read_text(deployment("commands.log"));
    assert_non_null(strstr(log, "\"event\":\"writer_waits\""));
    assert_non_null(strstr(log, "is xacthuc serve running there already?"));
    free(log);
    assert_int_equal(status_of(&server, "demo", question), 200);
    assert_int_equal(server_stop(&server), 0);
}

static void deployment_without_its_folder_for_changes_says_what_to_do(void **state)
{
    (void)state;
    char from[512];
    snprintf(from, sizeof(from), "%s", deployment("DIR/live"));
    assert_int_equal(rename(from, deployment("DIR/lives")), 0);
    int status = run(xacthuc(), "serve", deployment("DIR"), "--listen", "127.0.0.1:0", "--admin",
                     "127.0.0.1:0", NULL);
    assert_int_equal(rename(deployment("DIR/lives"), from), 0);
    assert_int_equal(status, 1);
    char *log = read_text(deployment("commands.log"));
    assert_non_null(strstr(log, "mkdir -m 700"));
    free(log);
}

/* Nobody who gets hold of a child can fill the supervisor's table of descriptors. */
static void supervisors_end_takes_no_descriptors(void **state)
{
    (void)state;
    int ends[2], unknown = 1;
    socklen_t size = sizeof(unknown);
    struct xt_failure failure = {0};
    struct xt_control_message message = {
        .type = XT_CONTROL_READY, .fds = {STDERR_FILENO}, .fd_count = 1};
    assert_int_equal(xt_control_pair(ends, &failure), XT_OK);
    if (getsockopt(ends[0], SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &unknown, &size) != 0) {
        close(ends[0]);
        close(ends[1]);
        skip(); /* before Linux 6.16 */
    }
    xt_control_take_no_descriptors(ends[0]);
    assert_int_not_equal(xt_control_send(ends[1], &message), XT_OK);
    message.fd_count = 0;
    assert_int_equal(xt_control_send(ends[1], &message), XT_OK);
    message.fd_count = 1;
    assert_int_equal(xt_control_send(ends[0], &message), XT_OK);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_worker_costs_its_own_connections_only),
        cmocka_unit_test(clients_in_the_queue_of_a_killed_worker_are_served_by_the_next),
        cmocka_unit_test(killing_on_and_on_loses_neither_answers_nor_descriptors),
        cmocka_unit_test(slot_whose_both_processes_drain_gets_a_third),
        cmocka_unit_test(worker_that_is_told_to_end_is_replaced_first),
        cmocka_unit_test(interrupt_to_the_whole_group_drains),
        cmocka_unit_test(without_their_supervisor_all_end_by_themselves),
        cmocka_unit_test(every_process_is_hardened_and_pinned),
        cmocka_unit_test(start_that_fails_says_why_and_leaves_nothing),
        cmocka_unit_test(second_server_at_the_same_address_is_refused),
        cmocka_unit_test(each_worker_has_sockets_of_its_own),
        cmocka_unit_test(second_server_of_the_same_store_is_refused),
        cmocka_unit_test(deployment_without_its_folder_for_changes_says_what_to_do),
        cmocka_unit_test(supervisors_end_takes_no_descriptors),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
