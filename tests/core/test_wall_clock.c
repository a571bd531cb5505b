/* core/wall_clock: after a leap nothing is believed for a day, and a clock that goes on as time passes always is. */
#include "core/wall_clock.h"
#include "tests/test.h"

#define SECOND 1000ULL
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define START (1800000000 * SECOND)

static struct xt_wall_clock watched;
static uint64_t unix_ms, steady_ms;

static int begin(void **state)
{
    (void)state;
    watched = (struct xt_wall_clock){0};
    unix_ms = START;
    steady_ms = 5 * HOUR;
    return xt_wall_clock_begin(&watched, START - 10 * SECOND, unix_ms, steady_ms) ? 1 : 0;
}

static bool pass(uint64_t ms)
{
    unix_ms += ms;
    steady_ms += ms;
    return xt_wall_clock_look(&watched, unix_ms, steady_ms);
}

static bool believed(void)
{
    return xt_wall_clock_is_believed(&watched, steady_ms);
}

static void a_clock_that_goes_on_is_believed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) { /* 8 s off an hour, as a bad crystal: 11 hours in all */
        unix_ms += 8 * SECOND;
        assert_false(pass(HOUR));
        assert_true(believed());
    }
    assert_false(pass(300 * DAY)); /* asleep */
    assert_true(believed());
}

static void after_a_leap_either_way_a_day_passes(void **state)
{
    (void)state;
    static const int64_t leaps[] = {(int64_t)(HOUR + SECOND), -(int64_t)(HOUR + SECOND),
                                    40 * (int64_t)DAY, -40 * (int64_t)DAY, -(int64_t)START};
    for (unsigned i = 0; i < sizeof(leaps) / sizeof(leaps[0]); i++) {
        assert_true(believed());
        unix_ms += (uint64_t)leaps[i];
        assert_true(pass(SECOND));
        assert_false(believed());
        assert_false(pass(DAY - SECOND));
        assert_false(believed());
        assert_false(pass(SECOND));
        assert_true(believed());
    }
}

static void another_leap_begins_the_day_anew(void **state)
{
    (void)state;
    unix_ms += 2 * HOUR;
    assert_true(pass(SECOND));
    assert_false(pass(DAY - HOUR));
    unix_ms -= 2 * HOUR; /* it is put right */
    assert_true(pass(SECOND));
    assert_false(pass(DAY - SECOND));
    assert_false(believed());
    assert_false(pass(SECOND));
    assert_true(believed());
}

static void small_steps_add_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        unix_ms += 10 * 60 * SECOND;
        assert_false(pass(SECOND));
    }
    unix_ms += SECOND;
    assert_true(pass(SECOND));
    assert_false(believed());
}

static void a_start_long_after_or_before_what_was_written_last_is_a_leap(void **state)
{
    (void)state;
    assert_true(xt_wall_clock_begin(&watched, START - HOUR - 1, START, steady_ms));
    assert_false(believed());
    assert_false(xt_wall_clock_begin(&watched, START - HOUR, START, steady_ms));
    assert_true(believed());
    assert_true(xt_wall_clock_begin(&watched, START + HOUR + 1, START, steady_ms));
    assert_false(believed());
    assert_false(xt_wall_clock_begin(&watched, 0, START, steady_ms)); /* the first start of all */
    assert_true(believed());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_clock_that_goes_on_is_believed, begin),
        cmocka_unit_test_setup(after_a_leap_either_way_a_day_passes, begin),
        cmocka_unit_test_setup(another_leap_begins_the_day_anew, begin),
        cmocka_unit_test_setup(small_steps_add_up, begin),
        cmocka_unit_test_setup(a_start_long_after_or_before_what_was_written_last_is_a_leap, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
