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
    assert_true(process_is_alive(pid));
    assert_int_equal(server_log_count("\"event\":\"worker_hung\""), 0);
    kill(pid, SIGSTOP);
    assert_true(wait_until_gone(pid, 20000));
    assert_true(server_log_has("it has no heartbeat any more", 1000));
    assert_true(server_wait_for_workers(&server, 1, pid, 5000));
    assert_int_equal(status_of(&server, "demo", question), 200);
    assert_int_equal(server_stop(&server), 0);
}

/* It would serve on by what was reloaded: the other one has taken it at once. */
static void worker_that_does_not_take_a_reload_is_replaced(void **state)
{
    (void)state;
    struct server server;
    pid_t pids[2];
    unsigned before = server_log_count("\"event\":\"reloaded\"");
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(server_workers(&server, pids, 2), 2);
    kill(pids[0], SIGSTOP);
    kill(server.pid, SIGHUP);
    assert_true(wait_until_gone(pids[0], 15000));
    assert_true(server_log_has("it does not take what it was told", 1000));
    assert_true(server_wait_for_workers(&server, 2, pids[0], 5000));
    for (double end = now_s() + 5; server_log_count("\"event\":\"reloaded\"") == before;) {
        assert_true(now_s() < end);
        sleep_ms(10);
    }
    assert_true(process_is_alive(pids[1]));
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
