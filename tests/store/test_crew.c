#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/crew.h"
#include "tests/test.h"

#define TASKS 200U

struct work {
    struct xt_order order;
    uint64_t in_order[TASKS]; /* tasks as they passed */
    uint64_t passed;
    _Atomic uint64_t done;
    uint64_t fail_at; /* UINT64_MAX: never */
};

static void start(struct work *work, uint64_t fail_at)
{
    memset(work, 0, sizeof(*work));
    work->fail_at = fail_at;
    xt_order_init(&work->order);
}

static enum xt_status one(void *context, unsigned thread, uint64_t task, struct xt_failure *failure)
{
    struct work *work = context;
    assert_in_range(thread, 0, 7);
    /* Odd tasks dawdle, so that later ones are ready before them. */
    nanosleep(&(struct timespec){0, task % 2 == 1 ? 300000 : 0}, NULL);
    enum xt_status status = task >= work->fail_at
                                ? xt_fail(failure, XT_IO, "task %llu", (unsigned long long)task)
                                : xt_order_wait(&work->order, task);
    if (status == XT_OK) {
        work->in_order[work->passed++] = task;
    }
    xt_order_pass(&work->order, task, status);
    work->done++;
    return status;
}

static void every_task_is_done_once_and_passes_in_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads *= 2) {
        struct work work;
        struct xt_failure failure;
        start(&work, UINT64_MAX);
        assert_int_equal(xt_crew_run(threads, TASKS, one, &work, &failure), XT_OK);
        assert_int_equal(work.done, TASKS);
        assert_int_equal(work.passed, TASKS);
        for (uint64_t i = 0; i < TASKS; i++) {
            assert_int_equal(work.in_order[i], i);
        }
        xt_order_destroy(&work.order);
    }
}

static void the_first_failure_ends_the_row_and_is_told(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads *= 2) {
        struct work work;
        struct xt_failure failure = {.text = ""};
        start(&work, 50);
        assert_int_equal(xt_crew_run(threads, TASKS, one, &work, &failure), XT_IO);
        assert_string_equal(failure.text, "task 50");
        assert_in_range(work.done, 51, 50 + threads);
        assert_int_equal(work.passed, 50); /* those before it are not disturbed */
        xt_order_destroy(&work.order);
    }
}

#define LATE 50U

/* Only one task fails, and late: all others that were begun already wait for their turn. */
static enum xt_status all_but_one(void *context, unsigned thread, uint64_t task,
                                  struct xt_failure *failure)
{
    struct work *work = context;
    enum xt_status status;
    (void)thread;
    if (task == LATE) {
        nanosleep(&(struct timespec){0, 20000000}, NULL);
        status = xt_fail(failure, XT_IO, "task %llu", (unsigned long long)task);
    } else {
        status = xt_order_wait(&work->order, task);
        work->passed += status == XT_OK;
    }
    xt_order_pass(&work->order, task, status);
    work->done++;
    return status;
}

static void whoever_waits_behind_a_failure_is_let_go(void **state)
{
    (void)state;
    (void)alarm(20); /* else they wait for ever */
    for (unsigned threads = 1; threads <= 8; threads *= 2) {
        struct work work;
        struct xt_failure failure = {.text = ""};
        start(&work, UINT64_MAX);
        assert_int_equal(xt_crew_run(threads, TASKS, all_but_one, &work, &failure), XT_IO);
        assert_string_equal(failure.text, "task 50");
        assert_int_equal(work.passed, LATE);
        assert_in_range(work.done, LATE + 1, LATE + threads);
        xt_order_destroy(&work.order);
    }
    (void)alarm(0);
}

static void no_tasks_are_no_work(void **state)
{
    (void)state;
    struct work work;
    struct xt_failure failure;
    start(&work, 0);
    assert_int_equal(xt_crew_run(4, 0, one, &work, &failure), XT_OK);
    assert_int_equal(work.done, 0);
    xt_order_destroy(&work.order);
    assert_in_range(xt_crew_processors(), 1, XT_CREW_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_done_once_and_passes_in_order),
        cmocka_unit_test(the_first_failure_ends_the_row_and_is_told),
        cmocka_unit_test(whoever_waits_behind_a_failure_is_let_go),
        cmocka_unit_test(no_tasks_are_no_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
