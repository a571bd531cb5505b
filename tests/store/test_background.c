/* Work that gives way to who answers. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/background.h"
#include "tests/test.h"

/* What is said of a process that enters is seen by one of its own: there may be no way back. */
static int in_child(int (*look)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        xt_background_enter();
        _exit(look());
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int class_of_process(void)
{
    return sched_getscheduler(0);
}

static void *class_of_thread(void *class)
{
    xt_background_yield();
    *(int *)class = sched_getscheduler(0);
    return NULL;
}

static int class_of_its_thread(void)
{
    pthread_t thread;
    int class = -1;
    return pthread_create(&thread, NULL, class_of_thread, &class) == 0 &&
                   pthread_join(thread, NULL) == 0
               ? class
               : 255;
}

static void who_enters_is_of_the_idle_class(void **state)
{
    (void)state;
    assert_int_equal(in_child(class_of_process), SCHED_IDLE);
}

static void threads_started_later_are_so_too(void **state)
{
    (void)state;
    assert_int_equal(in_child(class_of_its_thread), SCHED_IDLE);
}

static void who_has_not_entered_stays_as_he_was(void **state)
{
    int class = sched_getscheduler(0);
    (void)state;
    xt_background_yield();
    assert_int_equal(sched_getscheduler(0), class);
}

static int write_out_and_read(void)
{
    char path[] = "/tmp/xt-background-XXXXXX";
    char read_back[6] = {0};
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0 || write(fd, "people", 6) != 6) {
        return 2;
    }
    xt_background_write_out(fd);
    return pread(fd, read_back, 6, 0) == 6 && memcmp(read_back, "people", 6) == 0 ? 0 : 1;
}

static void writing_out_leaves_the_file_whole(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_out_and_read), 0);
    xt_background_write_out(-1); /* not in the background: nothing is done */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_enters_is_of_the_idle_class),
        cmocka_unit_test(threads_started_later_are_so_too),
        cmocka_unit_test(who_has_not_entered_stays_as_he_was),
        cmocka_unit_test(writing_out_leaves_the_file_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
