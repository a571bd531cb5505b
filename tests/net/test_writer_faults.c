/* The writer under a disk that fails, a clock that leaps, and SIGKILL: nothing acknowledged is lost, nothing
 * counts twice, and it goes on, or the next one does.
 * XT_KILLS in the environment: how many writers are killed under load (30; a soak takes 2000).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/sandbox.h"
#include "tests/core/mutate.h"
#include "tests/net/writer_rig.h"
#include "tests/test.h"

#define FEW 150 /* events, before and after */

static void go_on(unsigned events)
{
    uint64_t until = rig.acknowledged + events;
    rig_run_until(rig.acknowledged >= until);
}

static void go_on_for(unsigned ms)
{
    uint64_t until = uv_hrtime() + ms * 1000000ULL;
    rig_run_until(uv_hrtime() >= until);
}

/* Everything that is under way is answered. */
static void come_to_rest(void)
{
    rig_patience();
    while (xt_writer_channel_waiting(rig.channel) > 0) {
        uv_run(&rig.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&rig.patience);
}

static void finish(void)
{
    go_on(FEW);
    come_to_rest();
    for (unsigned i = 0; i < RIG_SUBJECTS; i++) {
        if (rig.subjects[i].told > rig.subjects[i].done) { /* refused or given up on the way */
            unsigned done = rig.subjects[i].done;
            rig_run_until(rig.subjects[i].done > done);
        }
    }
    come_to_rest();
    rig_check(true);
    rig_drain();
    rig_passed();
}

static void fail_next(unsigned which, enum preload_how how, int error, unsigned times)
{
    rig.control->how = how;
    rig.control->error = error;
    rig.control->after = (uint32_t)(next_random(&rig.random) % 12);
    rig.control->times = times;
    rig.control->failed = 0;
    __atomic_store_n(&rig.control->which, which, __ATOMIC_RELEASE);
}

/* ---- a disk that fails -------------------------------------------------------------------------- */

static void a_disk_that_fails_ends_the_writer_and_the_next_one_goes_on(void **state)
{
    (void)state;
    static const struct {
        unsigned which;
        enum preload_how how;
        int error;
        unsigned times;
    } faults[] = {
        {PRELOAD_META, PRELOAD_FAILS, EIO, 1},    {PRELOAD_META, PRELOAD_FAILS, EIO, 2},
        {PRELOAD_META, PRELOAD_FAILS, ENOSPC, 1}, {PRELOAD_META, PRELOAD_SHORT, 0, 1},
        {PRELOAD_META, PRELOAD_LATE, EIO, 1},     {PRELOAD_META, PRELOAD_LATE, EIO, 2},
        {PRELOAD_DATA, PRELOAD_FAILS, EIO, 1},    {PRELOAD_DATA, PRELOAD_SHORT, 0, 1},
        {PRELOAD_DATA, PRELOAD_LATE, EIO, 1},     {PRELOAD_SYNCS, PRELOAD_FAILS, EIO, 1},
        {PRELOAD_META, PRELOAD_KILLED, 0, 1},     {PRELOAD_DATA, PRELOAD_KILLED, 0, 1},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        go_on(FEW);
        fail_next(faults[i].which, faults[i].how, faults[i].error, faults[i].times);
        rig_run_until(!rig_has_writer());
        rig.control->which = 0;
        assert_true(rig.control->failed > 0);
        int status = rig_reap();
        if (faults[i].how == PRELOAD_KILLED) {
            assert_true(WIFSIGNALED(status));
        } else {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        }
        rig_start();
        rig_check(false);
    }
    finish();
}

static void a_disk_without_room_refuses_and_the_writer_goes_on(void **state)
{
    (void)state;
    static const struct {
        unsigned which;
        int error;
    } faults[] = {
        {PRELOAD_DATA, ENOSPC},  {PRELOAD_DATA, EDQUOT},  {PRELOAD_DATA, EFBIG},
        {PRELOAD_SYNCS, ENOSPC}, {PRELOAD_SYNCS, EDQUOT},
    };
    pid_t writer = rig.writer;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint64_t refused = rig.refused;
        go_on(FEW);
        fail_next(faults[i].which, PRELOAD_FAILS, faults[i].error, 5);
        rig_run_until(rig.control->failed == 5);
        rig.control->which = 0;
        go_on(FEW);
        assert_true(rig.refused > refused);
        rig_check(false);
    }
    assert_int_equal(rig.writer, writer);
    assert_true(rig_has_writer());
    finish();
}

static void leave(void)
{
    come_to_rest();
    rig_drain();
    rig_run_until(!rig_has_writer());
}

static void little_room_is_told_of_before_there_is_none(void **state)
{
    (void)state;
    const struct xt_writer_counters *counters = xt_shared_writer_counters(rig.shared);
    go_on(FEW);
    assert_true(xt_counter_get(&counters->store_bytes) > 0);
    leave();
    rig.file_limit = 1024UL << 20;
    rig_start();
    assert_false(rig_has_logged("live_room_low"));
    leave();
    rig.file_limit = 32UL << 20;
    rig_start();
    assert_true(rig_has_logged("live_room_low"));
    uint64_t used = xt_counter_get(&counters->store_bytes);
    assert_true(used >= 8 * 4096 && used < 32UL << 20);
    assert_int_equal(xt_counter_get(&counters->room_bytes), (32UL << 20) - used);
    finish();
}

/* What the writer before left is on the disk before it is answered for: or there is no writer. */
static void a_writer_whose_disk_fails_at_its_start_ends(void **state)
{
    (void)state;
    go_on(FEW);
    come_to_rest();
    assert_int_equal(kill(rig.writer, SIGKILL), 0);
    (void)rig_reap();
    rig_patience();
    while (rig_has_writer()) {
        uv_run(&rig.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&rig.patience);
    static const unsigned which[] = {PRELOAD_SYNCS, PRELOAD_META};
    for (unsigned i = 0; i < 2; i++) {
        fail_next(which[i], PRELOAD_FAILS, EIO, 1);
        rig.control->after = 0;
        assert_int_equal(rig_try_start(), 1);
        assert_int_equal(rig.control->failed, 1);
    }
    rig.control->which = 0;
    rig_start();
    finish();
}

/* ---- a clock that leaps ------------------------------------------------------------------------- */

static void a_clock_that_leaps_neither_stops_it_nor_makes_events_count_twice(void **state)
{
    (void)state;
    static const int64_t hours[] = {0, -1, 365 * 24, 365 * 24 + 1, 0, -20 * 365 * 24, 1, 0};
    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
        go_on(FEW);
        come_to_rest();
        __atomic_store_n(&rig.control->clock_ms, hours[i] * 3600 * 1000, __ATOMIC_RELAXED);
        for (unsigned again = 0; again < 3; again++) {
            unsigned subject = (unsigned)(next_random(&rig.random) % RIG_SUBJECTS);
            while (rig.subjects[subject].done == 0) { /* its turn has not come yet */
                subject = (subject + 1) % RIG_SUBJECTS;
            }
            rig_tell_again(subject); /* it had no answer, say */
        }
        if (i % 3 == 2) {
            leave();
            rig_start();
        }
        go_on(FEW);
        rig_check(false);
    }
    finish();
}

/* ---- SIGKILL ------------------------------------------------------------------------------------ */

static void writers_killed_under_load_lose_nothing_and_apply_nothing_twice(void **state)
{
    (void)state;
    const char *text = getenv("XT_KILLS");
    unsigned kills = text == NULL ? 30 : (unsigned)strtoul(text, NULL, 10);
    for (unsigned i = 0; i < kills; i++) {
        go_on((unsigned)(next_random(&rig.random) % 120));
        if (i % 16 ==
            8) { /* about when it folds changes into the cells of its statistics, once a second */
            go_on_for(970 + (unsigned)(next_random(&rig.random) % 60));
        }
        if (i % 4 == 0) { /* when a commit is written and nobody was told */
            fail_next(PRELOAD_META, PRELOAD_KILLED, 0, 1);
        } else { /* anywhere in its work */
            rig_feed();
            (void)uv_run(&rig.loop, UV_RUN_NOWAIT);
            usleep((useconds_t)(next_random(&rig.random) % 500));
            assert_int_equal(kill(rig.writer, SIGKILL), 0);
        }
        rig_run_until(!rig_has_writer()); /* answers that it had sent are taken */
        rig.control->which = 0;
        assert_true(WIFSIGNALED(rig_reap()));
        rig_check(false); /* as it left it: readers see nothing more yet than it had told of */
        rig_start();
        rig_check(false);
    }
    finish();
    print_message("%u kills, %llu events acknowledged, %llu of them were a second time\n", kills,
                  (unsigned long long)rig.acknowledged, (unsigned long long)rig.duplicates);
    assert_true(rig.duplicates > 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, rig_make, rig_remove)

int main(void)
{
    struct xt_failure no_rings; /* as the supervisor leaves it to its children */
    if (xt_sandbox_without_rings(&no_rings) != XT_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EACH(a_disk_that_fails_ends_the_writer_and_the_next_one_goes_on),
        EACH(a_disk_without_room_refuses_and_the_writer_goes_on),
        EACH(little_room_is_told_of_before_there_is_none),
        EACH(a_writer_whose_disk_fails_at_its_start_ends),
        EACH(a_clock_that_leaps_neither_stops_it_nor_makes_events_count_twice),
        EACH(writers_killed_under_load_lose_nothing_and_apply_nothing_twice),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
