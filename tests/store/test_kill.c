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

static void a_killed_import_leaves_the_old_generation_and_then_nothing(void **state)
{
    (void)state;
    int status = 0;
    write_people(0);
    write_people(1);
    uint64_t started = now_us();
    assert_int_equal(waitpid(start_import(0), &status, 0) > 0, 1);
    assert_int_equal(status, 0);
    uint64_t whole = now_us() - started;
    assert_int_equal(served_version(), 0);
    unsigned killed = 0;
    unsigned left_something = 0;
    for (unsigned i = 0; i < KILLS; i++) {
        uint64_t random;
        xt_random(&random, sizeof(random));
        uint64_t wait = random % (whole + whole / 10);
        unsigned before = served_version();
        pid_t child = start_import(1 - before);
        nanosleep(&(struct timespec){(time_t)(wait / 1000000), (long)(wait % 1000000) * 1000},
                  NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        unsigned after = served_version();
        if (WIFSIGNALED(status)) {
            killed++; /* the switch itself may be done: then the new one is served whole */
        } else {
            assert_int_equal(after, 1 - before);
        }
        left_something += count_names("identity", "building-") > 0;
    }
    /* The delays fit this machine: most imports were hit in the middle of their work. */
    assert_true(killed > KILLS / 3);
    assert_true(left_something > 0);
    assert_int_equal(waitpid(start_import(0), &status, 0) > 0, 1);
    assert_int_equal(status, 0);
    assert_int_equal(served_version(), 0);
    /* .lock, current, the served generation and the one before it */
    assert_int_equal(count_names("identity", ""), 4);
    assert_int_equal(count_names("identity", "building-"), 0);
    assert_int_equal(run("check", "DIR", "--quiet", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_import_leaves_the_old_generation_and_then_nothing)};
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
