/* A clock that leaps ahead while the service stops or runs makes no segment of the audit log old: it stays for a
 * day, in which somebody can put the clock right. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/net/deployment.h"
#include "tests/preload.h"
#include "tests/test.h"

#define DAY_MS (24LL * 3600 * 1000)

static struct server server;
static struct preload_control *control;

static int begin(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    int fd = open(deployment("control"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, sizeof(*control)) == 0);
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(control != MAP_FAILED);
    close(fd);
    return 0;
}

/* Under a clock that is so far ahead, and deletes after a day. */
static void start(int64_t ahead_ms)
{
    char options[512];
    const char *asan = getenv("ASAN_OPTIONS");
    const char *library = getenv("XT_PRELOAD");
    assert_non_null(library);
    control->clock_ms = ahead_ms;
    /* A sanitizer wants to be the first library. */
    snprintf(options, sizeof(options), "%s:verify_asan_link_order=0", asan == NULL ? "" : asan);
    assert_int_equal(setenv("ASAN_OPTIONS", options, 1), 0);
    assert_int_equal(setenv("PRELOAD_FOLDER", deployment("none"), 1), 0);
    assert_int_equal(setenv("PRELOAD_CONTROL", deployment("control"), 1), 0);
    assert_int_equal(setenv("LD_PRELOAD", library, 1), 0);
    server_start(&server, "[audit]\nretention_days = 1\n");
    assert_int_equal(unsetenv("LD_PRELOAD"), 0);
}

static void ask(void)
{
    assert_int_equal(
        status_of(
            &server, "demo",
            "{\"id\":\"001099999777\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}"),
        200);
}

/* How many entries the log has. */
static unsigned entries(void)
{
    char command[1024];
    unsigned count = 0;
    snprintf(command, sizeof(command), "%s audit export %s > %s", xacthuc(), deployment("DIR"),
             deployment("found.txt"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    char *found = read_text(deployment("found.txt"));
    for (const char *at = found; (at = strchr(at, '\n')) != NULL; at++) {
        count++;
    }
    free(found);
    return count;
}

static void a_clock_that_leapt_while_nobody_served_deletes_nothing(void **state)
{
    (void)state;
    start(0);
    ask();
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("audit_expiry_held"), 0);
    unsigned before = entries();
    assert_true(before > 0);
    start(40 * DAY_MS);
    assert_true(server_log_has("audit_expiry_held", 1000));
    sleep_ms(2500); /* it looks each second */
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("audit_expired"), 0);
    assert_int_equal(entries(), before);
    start(40 * DAY_MS); /* nor does a restart under the same clock */
    sleep_ms(2500);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("audit_expiry_held"), 2);
    assert_int_equal(server_log_count("audit_expired"), 0);
    assert_int_equal(entries(), before);
}

/* Once the day has passed, and with it the mark that the clock was doubted. */
static void a_clock_that_is_believed_deletes(void **state)
{
    (void)state;
    assert_int_equal(unlink(deployment("DIR/supervisor/clock.doubted")), 0);
    start(40 * DAY_MS);
    assert_true(server_log_has("audit_expired", 10000));
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(entries(), 0);
}

static void a_clock_that_leaps_while_it_serves_is_told_of(void **state)
{
    (void)state;
    start(40 * DAY_MS);
    unsigned held = server_log_count("audit_expiry_held");
    unsigned expired = server_log_count("audit_expired");
    __atomic_store_n(&control->clock_ms, 43 * DAY_MS, __ATOMIC_RELAXED);
    for (double until = now_s() + 20; server_log_count("audit_expiry_held") == held;) {
        assert_true(now_s() < until);
        sleep_ms(20);
    }
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("audit_expired"), expired);
    start(43 * DAY_MS);
    sleep_ms(2500);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("audit_expired"), expired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_leapt_while_nobody_served_deletes_nothing),
        cmocka_unit_test(a_clock_that_is_believed_deletes),
        cmocka_unit_test(a_clock_that_leaps_while_it_serves_is_told_of),
    };
    return cmocka_run_group_tests(tests, begin, deployment_remove);
}
