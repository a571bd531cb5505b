/* A worker that runs and does nothing is found out. The limits are seconds of the supervisor's clock, and
 * these tests wait for them. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/net/deployment.h"
#include "tests/test.h"

static const char *const two_workers[] = {"--workers", "2", NULL};
static const char *const one_worker[] = {"--workers", "1", NULL};
static const char question[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}";

/* Waits until there are so many workers and none of them is `gone`. */
static bool wait_for_workers(const struct server *server, unsigned wanted, pid_t gone,
                             unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(5)) {
        pid_t pids[8];
        unsigned count = server_workers(server, pids, 8);
        bool there = count == wanted;
        for (unsigned i = 0; i < count; i++) {
            there = there && pids[i] != gone;
        }
        if (there) {
            return true;
        }
    }
    return false;
}

static bool is_alive(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    char *stat = read_text(path);
    const char *state = strrchr(stat, ')');
    bool alive = state != NULL && state[2] != 'Z' && state[2] != 'X';
    free(stat);
    return alive;
}

static bool wait_until_gone(pid_t pid, unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(5)) {
        if (!is_alive(pid)) {
            return true;
        }
    }
    return false;
}

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

/* One that is stopped for a moment goes on; one that stays so is killed, and another is there. */
static void worker_that_hangs_is_replaced(void **state)
{
    (void)state;
    struct server server;
    pid_t pid;
    server_start_with(&server, NULL, one_worker);
    assert_int_equal(server_workers(&server, &pid, 1), 1);
    kill(pid, SIGSTOP);
    sleep_ms(1000);
    kill(pid, SIGCONT);
    assert_int_equal(status_of(&server, "demo", question), 200);
    assert_true(is_alive(pid));
    assert_int_equal(count_in_log("\"event\":\"worker_hung\""), 0);
    kill(pid, SIGSTOP);
    assert_true(wait_until_gone(pid, 20000));
    assert_true(server_log_has("it has no heartbeat any more", 1000));
    assert_true(wait_for_workers(&server, 1, pid, 5000));
    assert_int_equal(status_of(&server, "demo", question), 200);
    assert_int_equal(server_stop(&server), 0);
}

/* It would serve on by what was reloaded: the other one has taken it at once. */
static void worker_that_does_not_take_a_reload_is_replaced(void **state)
{
    (void)state;
    struct server server;
    pid_t pids[2];
    unsigned before = count_in_log("\"event\":\"reloaded\"");
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(server_workers(&server, pids, 2), 2);
    kill(pids[0], SIGSTOP);
    kill(server.pid, SIGHUP);
    assert_true(wait_until_gone(pids[0], 15000));
    assert_true(server_log_has("it does not take what it was told", 1000));
    assert_true(wait_for_workers(&server, 2, pids[0], 5000));
    for (double end = now_s() + 5; count_in_log("\"event\":\"reloaded\"") == before;) {
        assert_true(now_s() < end);
        sleep_ms(10);
    }
    assert_true(is_alive(pids[1]));
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_that_hangs_is_replaced),
        cmocka_unit_test(worker_that_does_not_take_a_reload_is_replaced),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
