/* Passcodes hashed by threads beside the loop: each job is called back once, whatever comes between. */
#include "net/hashing.h"

#include <stdio.h>
#include <string.h>

#include "crypto/keyring.h"
#include "tests/test.h"

static uv_loop_t loop;
static struct xt_settings settings;
static struct xt_hashing *hashing;
static const uint8_t pepper[XT_PASSCODE_PEPPER] = {7};

struct told {
    unsigned times;
    enum xt_status status;
    bool outdated;
    char phc[XT_PASSCODE_PHC_MAX];
    size_t phc_size;
};

static void on_told(void *context, const struct xt_hashing_result *result)
{
    struct told *told = context;
    told->times++;
    told->status = result->status;
    told->outdated = result->outdated;
    told->phc_size = result->phc.size;
    if (result->phc.size > 0) {
        memcpy(told->phc, result->phc.data, result->phc.size);
    }
}

static void begin(uint32_t threads, uint32_t queue)
{
    xt_settings_defaults(&settings);
    settings.passcode_memory = 7;
    settings.passcode_passes = 1;
    settings.passcode_threads = threads;
    settings.passcode_queue = queue;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(xt_hashing_open(&loop, &settings, &hashing), XT_OK);
}

static void end(void)
{
    xt_hashing_stop(hashing);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    xt_hashing_close(hashing);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void do_nothing(uv_timer_t *timer)
{
    (void)timer;
}

static void wait_until_idle(void)
{
    uv_timer_t tick; /* keeps the loop going: the jobs themselves do not */
    assert_int_equal(uv_timer_init(&loop, &tick), 0);
    assert_int_equal(uv_timer_start(&tick, do_nothing, 10, 10), 0);
    for (unsigned i = 0; i < 3000 && xt_hashing_waiting(hashing) > 0; i++) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(xt_hashing_waiting(hashing), 0);
}

static uint32_t cell = XT_NO_CELL; /* of who asks */

static enum xt_status ask(const char *phc, size_t phc_size, const char *passcode, struct told *told)
{
    return xt_hashing_verify(hashing, cell, pepper, xt_span_of(phc, phc_size),
                             xt_span_of_string(passcode), on_told, told);
}

static void hash_that_is_made_is_compared_with(void **state)
{
    (void)state;
    struct told made = {0}, right = {0}, wrong = {0}, nobody = {0};
    begin(2, 16);
    assert_int_equal(
        xt_hashing_make(hashing, cell, pepper, xt_span_of_string("246810"), on_told, &made), XT_OK);
    wait_until_idle();
    assert_int_equal(made.status, XT_OK);
    assert_memory_equal(made.phc, "$argon2id$v=19$m=7168,t=1,p=1,keyid=", 36);
    assert_int_equal(ask(made.phc, made.phc_size, "246810", &right), XT_OK);
    assert_int_equal(ask(made.phc, made.phc_size, "246811", &wrong), XT_OK);
    assert_int_equal(ask("", 0, "246810", &nobody), XT_OK);
    wait_until_idle();
    assert_int_equal(right.status, XT_OK);
    assert_int_equal(right.phc_size, 0);
    assert_false(right.outdated);
    assert_int_equal(wrong.status, XT_DENIED);
    assert_int_equal(nobody.status, XT_DENIED);
    end();
}

static uint64_t hashes_for(const char *phc, const char *passcode, struct told *told)
{
    uint64_t before = xt_hashing_count(hashing);
    assert_int_equal(ask(phc, strlen(phc), passcode, told), XT_OK);
    wait_until_idle();
    return xt_hashing_count(hashing) - before;
}

/* Whoever may not be let in now could read off the time that his guess was right. */
static void right_passcode_costs_no_more_hashes_than_a_wrong_one(void **state)
{
    (void)state;
    struct told made = {0}, right = {0}, wrong = {0}, nobody = {0};
    begin(1, 16);
    assert_int_equal(
        xt_hashing_make(hashing, cell, pepper, xt_span_of_string("246810"), on_told, &made), XT_OK);
    wait_until_idle();
    made.phc[made.phc_size] = '\0';
    settings.passcode_passes = 2; /* dearer from now on */
    assert_int_equal(hashes_for(made.phc, "246810", &right), 1);
    assert_int_equal(hashes_for(made.phc, "246811", &wrong), 1);
    assert_int_equal(hashes_for("", "246810", &nobody), 1);
    assert_int_equal(right.status, XT_OK);
    assert_true(right.outdated); /* for whoever has his verdict */
    assert_int_equal(right.phc_size, 0);
    assert_int_equal(wrong.status, XT_DENIED);
    assert_false(wrong.outdated);
    assert_false(nobody.outdated);
    end();
}

static void full_queue_is_told_at_once(void **state)
{
    (void)state;
    enum { QUEUE = 5 };
    struct told told[QUEUE + 1] = {0};
    begin(1, QUEUE);
    for (unsigned i = 0; i < QUEUE; i++) {
        assert_int_equal(ask("", 0, "246810", &told[i]), XT_OK);
    }
    assert_int_equal(ask("", 0, "246810", &told[QUEUE]), XT_AGAIN);
    wait_until_idle();
    for (unsigned i = 0; i < QUEUE; i++) {
        assert_int_equal(told[i].times, 1);
    }
    assert_int_equal(told[QUEUE].times, 0);
    assert_int_equal(ask("", 0, "246810", &told[QUEUE]), XT_OK); /* there is room again */
    wait_until_idle();
    end();
}

static void partner_leaves_half_of_the_queue_to_others(void **state)
{
    (void)state;
    enum { QUEUE = 7, SHARE = 4 };
    struct told told[QUEUE + 1] = {0};
    begin(1, QUEUE);
    for (unsigned round = 0; round < 2; round++) { /* what is called back counts no more */
        cell = 3;
        for (unsigned i = 0; i < SHARE; i++) {
            assert_int_equal(ask("", 0, "246810", &told[i]), XT_OK);
        }
        assert_int_equal(ask("", 0, "246810", &told[QUEUE]), XT_AGAIN);
        cell = 4;
        for (unsigned i = SHARE; i < QUEUE; i++) {
            assert_int_equal(ask("", 0, "246810", &told[i]), XT_OK);
        }
        assert_int_equal(ask("", 0, "246810", &told[QUEUE]), XT_AGAIN);
        wait_until_idle();
    }
    cell = XT_NO_CELL;
    assert_int_equal(told[QUEUE].times, 0);
    end();
}

static void each_of_many_is_called_back_once(void **state)
{
    (void)state;
    enum { MANY = XT_HASHING_MOST + 44 };
    static struct told told[MANY];
    begin(3, XT_HASHING_MOST);
    settings.passcode_memory = 7;
    unsigned asked = 0;
    while (asked < MANY) {
        enum xt_status status = ask("", 0, "246810", &told[asked]);
        assert_true(status == XT_OK || status == XT_AGAIN);
        if (status == XT_OK) {
            asked++;
        } else {
            wait_until_idle();
        }
    }
    wait_until_idle();
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(told[i].times, 1);
        assert_int_equal(told[i].status, XT_DENIED);
    }
    end();
}

static void end_calls_back_what_is_not_done(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    struct told told[COUNT] = {0}, late = {0};
    begin(1, COUNT);
    settings.passcode_memory = 64;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(ask("", 0, "246810", &told[i]), XT_OK);
    }
    xt_hashing_stop(hashing);
    unsigned closed = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(told[i].times, 1);
        closed += told[i].status == XT_CLOSED;
    }
    assert_true(closed >= COUNT - 2); /* but for what was at work */
    assert_int_equal(ask("", 0, "246810", &late), XT_CLOSED);
    end();
    assert_int_equal(late.times, 0);
}

static void threads_are_a_share_of_the_processors(void **state)
{
    (void)state;
    static const struct {
        uint32_t set, workers;
        unsigned processors, threads;
    } cases[] = {{0, 0, 8, 1}, {0, 8, 8, 1}, {0, 12, 8, 1}, {0, 1, 1, 1}, {0, 1, 2, 2},
                 {0, 2, 3, 2}, {0, 1, 8, 2}, {0, 3, 0, 1},  {1, 1, 8, 1}, {8, 8, 2, 8}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xt_settings some;
        xt_settings_defaults(&some);
        assert_int_equal(some.passcode_threads, 0);
        some.passcode_threads = cases[i].set;
        some.workers = cases[i].workers;
        assert_int_equal(xt_hashing_threads(&some, cases[i].processors), cases[i].threads);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_that_is_made_is_compared_with),
        cmocka_unit_test(right_passcode_costs_no_more_hashes_than_a_wrong_one),
        cmocka_unit_test(full_queue_is_told_at_once),
        cmocka_unit_test(partner_leaves_half_of_the_queue_to_others),
        cmocka_unit_test(each_of_many_is_called_back_once),
        cmocka_unit_test(threads_are_a_share_of_the_processors),
        cmocka_unit_test(end_calls_back_what_is_not_done),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
