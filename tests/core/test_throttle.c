#include "core/throttle.h"

#include "tests/test.h"

#define NOW 1795316400000ULL

static struct xt_throttle after(unsigned failures)
{
    struct xt_throttle throttle = {.failures = 0};
    for (unsigned i = 0; i < failures; i++) {
        xt_throttle_failed(&throttle, NOW);
    }
    return throttle;
}

static void waits_grow_from_thirty_seconds_to_an_hour(void **state)
{
    (void)state;
    static const uint64_t seconds[] = {0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600};
    for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        struct xt_throttle throttle = after(i);
        assert_true(xt_throttle_wait_ms(&throttle, NOW) == seconds[i] * 1000);
    }
    struct xt_throttle last = after(XT_THROTTLE_STOP - 1);
    assert_true(xt_throttle_wait_ms(&last, NOW) == XT_THROTTLE_LONGEST_MS);
}

static void a_wait_ends_to_the_millisecond(void **state)
{
    (void)state;
    struct xt_throttle throttle = after(6);
    assert_true(xt_throttle_wait_ms(&throttle, NOW + 1) == 59999);
    assert_true(xt_throttle_wait_ms(&throttle, NOW + 59999) == 1);
    assert_true(xt_throttle_wait_ms(&throttle, NOW + 60000) == 0);
}

static void nothing_is_let_through_after_a_hundred(void **state)
{
    (void)state;
    struct xt_throttle throttle = after(XT_THROTTLE_STOP);
    assert_true(xt_throttle_wait_ms(&throttle, NOW + (1ULL << 40)) == XT_THROTTLE_STOPPED);
    xt_throttle_failed(&throttle, NOW);
    assert_int_equal(throttle.failures, XT_THROTTLE_STOP);
    xt_throttle_succeeded(&throttle);
    assert_true(xt_throttle_wait_ms(&throttle, NOW) == 0);
}

static void a_clock_set_back_keeps_nobody_out_for_longer(void **state)
{
    (void)state;
    struct xt_throttle throttle = after(5);
    assert_true(xt_throttle_wait_ms(&throttle, 0) == XT_THROTTLE_FIRST_MS);
}

static void a_success_begins_anew(void **state)
{
    (void)state;
    struct xt_throttle throttle = after(99);
    xt_throttle_succeeded(&throttle);
    for (unsigned i = 0; i < XT_THROTTLE_FREE; i++) {
        xt_throttle_failed(&throttle, NOW);
        assert_true(xt_throttle_wait_ms(&throttle, NOW) == 0);
    }
    xt_throttle_failed(&throttle, NOW);
    assert_true(xt_throttle_wait_ms(&throttle, NOW) == XT_THROTTLE_FIRST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_grow_from_thirty_seconds_to_an_hour),
        cmocka_unit_test(a_wait_ends_to_the_millisecond),
        cmocka_unit_test(nothing_is_let_through_after_a_hundred),
        cmocka_unit_test(a_clock_set_back_keeps_nobody_out_for_longer),
        cmocka_unit_test(a_success_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
