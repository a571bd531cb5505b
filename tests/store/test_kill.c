/* An import that is killed at any moment leaves the served generation as it was, and nothing behind
 * once the next one ran. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/store/deployment.h"
#include "tests/test.h"

#define KILLS 50
#define PEOPLE 20000U

static char people[2][XT_PERSON_TEXT_MAX]; /* files of the same numbers with different phones */

static void write_people(unsigned version)
{
    snprintf(people[version], sizeof(people[version]), "%s",
             deployment_path(version == 0 ? "a.ndjson" : "b.ndjson"));
    FILE *file = fopen(people[version], "w");
    assert_non_null(file);
    for (unsigned i = 0; i < PEOPLE; i++) {
        fprintf(file,
                "{\"id\":\"001090%06u\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":"
                "\"1990-01-02\",\"old_id\":\"%09u\",\"phones\":[\"+8491%d%06u\"]}\n",
                i, 100000000 + i, (int)version, i);
    }
    assert_int_equal(fclose(file), 0);
}

static pid_t start_import(unsigned version)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int sink = open("/dev/null", O_WRONLY);
        dup2(sink, 1);
        execl(program(), "xacthuc", "import", deployment(), people[version], "--quiet", NULL);
        _exit(127);
    }
    return child;
}

/* Which version is served, by everybody in a sample: never a mixture. */
static unsigned served_version(void)
{
    struct xt_generation *generation = open_served();
    unsigned version = 2;
    for (unsigned i = 0; i < PEOPLE; i += 97) {
        struct xt_found found;
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(i)};
        assert_int_equal(xt_generation_find(generation, id, &found), XT_OK);
        assert_true(found.found);
        unsigned here = (found.hot.phones[0] - 910000000U) / 1000000U;
        assert_true(version == 2 || version == here);
        version = here;
    }
    xt_generation_close(generation);
    return version;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void import_whole(unsigned version)
{
    int status = 0;
    assert_true(waitpid(start_import(version), &status, 0) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(served_version(), version);
}

/* Whether it was killed (else it was done before). */
static bool kill_import(unsigned version, uint64_t after_us)
{
    int status = 0;
    pid_t child = start_import(version);
    nanosleep(&(struct timespec){(time_t)(after_us / 1000000), (long)(after_us % 1000000) * 1000},
              NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

/* Whatever this machine's speed: the time within which the kill falls is that of one import at first,
 * and shrinks each time that the import was faster. So enough of them are hit in the end. */
static void a_killed_import_leaves_the_old_generation_and_then_nothing(void **state)
{
    (void)state;
    uint64_t started = now_us();
    import_whole(0);
    uint64_t within = now_us() - started;
    unsigned killed = 0;
    for (unsigned tries = 0; killed < KILLS && tries < 10 * KILLS; tries++) {
        uint64_t random;
        xt_random(&random, sizeof(random));
        unsigned before = served_version();
        if (kill_import(1 - before, random % (within + 1))) {
            killed++; /* the switch itself may be done: then the new one is served whole */
            (void)served_version();
        } else {
            assert_int_equal(served_version(), 1 - before);
            within -= within / 8;
        }
    }
    assert_int_equal(killed, KILLS);
    import_whole(0);
    /* .lock, current, the served generation and the one before it */
    assert_int_equal(count_names("identity", ""), 4);
    assert_int_equal(run("check", "DIR", "--quiet", NULL), 0);
}

static int make(void **state)
{
    int result = deployment_make(state);
    write_people(0);
    write_people(1);
    return result;
}

/* With no generation yet: wherever it was killed, the next one needs nobody. */
static void a_killed_first_import_is_followed_by_another(void **state)
{
    (void)state;
    uint64_t started = now_us();
    import_whole(0);
    uint64_t whole = now_us() - started;
    for (unsigned i = 0; i < 12; i++) {
        deployment_remove(state);
        make(state);
        for (unsigned again = 0; again < 3; again++) {
            (void)kill_import(0, whole - whole * again / 16 - whole * i / 64);
        }
        import_whole(1);
    }
}

/* An import that waits for its input is surely in the middle of its work. */
static void what_a_killed_import_left_goes_with_the_next(void **state)
{
    (void)state;
    import_whole(0);
    int ends[2];
    int status = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[0], 0);
        execl(program(), "xacthuc", "import", deployment(), "-", "--quiet", NULL);
        _exit(127);
    }
    close(ends[0]);
    for (unsigned tries = 0; tries < 4000 && count_names("identity", "building-") == 0; tries++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[1]);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_names("identity", "building-"), 1);
    assert_int_equal(served_version(), 0);
    import_whole(1);
    assert_int_equal(count_names("identity", "building-"), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_killed_import_leaves_the_old_generation_and_then_nothing),
        EACH(a_killed_first_import_is_followed_by_another),
        EACH(what_a_killed_import_left_goes_with_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
