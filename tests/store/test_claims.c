/* One old number that two people state, and imports that contradict what the overlay holds: what was answered
 * before a compaction is answered after it, and everybody is counted once. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/builder.h"
#include "store/live_fold.h"
#include "store/live_internal.h"
#include "store/live_statistics.h"
#include "store/register.h"
#include "store/statistics_file.h"
#include "tests/store/changes.h"
#include "tests/store/deployment.h"
#include "tests/store/world.h"

#define FIRST 1 /* of the people's numbers below */
#define LAST 9

struct claim {
    unsigned number;
    enum xt_life life;
    unsigned replaced; /* number that he had before; 0: none */
};

static struct xt_failure failure;

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

static void import_people(const struct claim *claims, unsigned count)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 0; i < count; i++) {
        make_person(claims[i].number, &person);
        person.life = claims[i].life;
        person.replaced_count = claims[i].replaced != 0;
        person.replaced[0] = PERSON_NUMBER(claims[i].replaced);
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
}
#define IMPORT(...)                                                                                \
    import_people((const struct claim[]){__VA_ARGS__},                                             \
                  sizeof((const struct claim[]){__VA_ARGS__}) / sizeof(struct claim))

/* ---- the writer, in a process of its own ---------------------------------------------------------- */

#define LINE(type, number, data)                                                                   \
    "{\"event_id\":\"e-" type number "\",\"type\":\"" type "\",\"id\":\"001090" number "\","       \
    "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{" data "}}"

/* Drops what was folded, applies the event unless it is NULL, and counts. Gives the conflict. */
static enum xt_conflict write_one(const char *line)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct xt_live *live = NULL;
        struct xt_live_outcome outcome = {.status = XT_OK};
        bool done = false;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        xt_live_set_base(live, open_served());
        while (!done) {
            assert_int_equal(xt_live_drop_folded(live, &done, &failure), XT_OK);
        }
        for (done = false; !done;) {
            assert_int_equal(xt_live_count_anew(live, &done, &failure), XT_OK);
        }
        if (line != NULL) {
            apply_changes(live, &line, 1, &outcome);
            assert_true(outcome.status == XT_OK || outcome.status == XT_DENIED);
        }
        _exit(outcome.status == XT_OK ? 0 : (int)outcome.conflict);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (enum xt_conflict)WEXITSTATUS(status);
}

/* ---- what is answered ------------------------------------------------------------------------------- */

/* Number of the person whom a number names; 0: it names nobody. */
static unsigned names(unsigned number)
{
    struct xt_register as = open_register();
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(number)};
    assert_int_equal(xt_register_find(&as, id, &found), XT_OK);
    unsigned named = found.found ? (unsigned)(found.hot.number - PERSON_NUMBER(0)) : 0;
    close_register(&as);
    return named;
}

static void assert_counted_once(void)
{
    struct xt_register as = open_register();
    struct xt_tally now = {.places = 0};
    struct xt_tally counted = {.places = 0};
    const struct xt_manifest *manifest = xt_generation_manifest(as.generation);
    assert_int_equal(
        xt_generation_statistics(deployment(), manifest, deployment_keyring(), &now, &failure),
        XT_OK);
    assert_int_equal(xt_live_add_cells(as.live, manifest->digest, &now), XT_OK);
    for (unsigned i = FIRST; i <= LAST; i++) {
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(i)};
        struct xt_found found;
        assert_int_equal(xt_register_find(&as, id, &found), XT_OK);
        if (found.found && !found.by_alias) {
            assert_int_equal(xt_tally_add(&counted, xt_statistics_key(&found.hot), 1), XT_OK);
        }
    }
    assert_true(xt_tally_is_same(&now, &counted));
    xt_tally_free(&counted);
    xt_tally_free(&now);
    close_register(&as);
}

/* Before, while both lie over each other, and when the overlay is empty. */
static void assert_compacting_changes_nothing(void)
{
    unsigned before[LAST + 1];
    for (unsigned i = FIRST; i <= LAST; i++) {
        before[i] = names(i);
    }
    (void)write_one(NULL);
    assert_counted_once();
    if (run("compact", "DIR", "--quiet", NULL) != 0 || run("check", "DIR", "--quiet", NULL) != 0) {
        fail_msg("%s%s", run_err, run_out);
    }
    for (unsigned dropped = 0; dropped < 2; dropped++) {
        for (unsigned i = FIRST; i <= LAST; i++) {
            if (names(i) != before[i]) {
                fail_msg("%u named %u and names %u", i, before[i], names(i));
            }
        }
        (void)write_one(NULL);
        assert_counted_once();
    }
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void who_states_the_old_number_of_another_is_not_put_in_force(void **state)
{
    (void)state;
    IMPORT({1, XT_LIFE_ALIVE, 3}, {2, XT_LIFE_CANCELLED, 3}, {4, XT_LIFE_CANCELLED, 5});
    assert_int_equal(write_one(LINE("corrected", "000002", "\"status\":\"alive\"")),
                     XT_CONFLICT_NUMBER_IN_USE);
    assert_int_equal(write_one(LINE("corrected", "000004", "\"status\":\"alive\"")),
                     XT_CONFLICT_NONE);
    assert_int_equal(names(3), 1);
    assert_int_equal(names(5), 4);
    assert_compacting_changes_nothing();
    /* And not either when it is the overlay that leads elsewhere. */
    assert_int_equal(write_one(LINE("number_replaced", "000001", "\"new_id\":\"001090000006\"")),
                     XT_CONFLICT_NONE);
    assert_int_equal(names(3), 6);
    assert_int_equal(write_one(LINE("corrected", "000002", "\"status\":\"missing\"")),
                     XT_CONFLICT_NUMBER_IN_USE);
    assert_compacting_changes_nothing();
}

static void a_number_that_an_import_puts_in_force_again_stays_so(void **state)
{
    (void)state;
    IMPORT({2, XT_LIFE_ALIVE, 3});
    assert_int_equal(write_one(LINE("phone_linked", "000002", "\"phone\":\"0987650001\"")),
                     XT_CONFLICT_NONE);
    IMPORT({2, XT_LIFE_CANCELLED, 0}, {3, XT_LIFE_ALIVE, 0});
    assert_int_equal(names(3), 3);
    assert_int_equal(names(2), 2);
    assert_compacting_changes_nothing();
}

static void an_old_number_is_whose_the_import_says(void **state)
{
    (void)state;
    IMPORT({2, XT_LIFE_ALIVE, 3}, {7, XT_LIFE_ALIVE, 8});
    assert_int_equal(write_one(LINE("phone_linked", "000002", "\"phone\":\"0987650001\"")),
                     XT_CONFLICT_NONE);
    IMPORT({1, XT_LIFE_ALIVE, 3}, {2, XT_LIFE_CANCELLED, 3}, {7, XT_LIFE_ALIVE, 8});
    assert_int_equal(names(3), 1);
    assert_compacting_changes_nothing();
}

/* Whoever gets a new number takes along what leads to him, and nobody else. */
static void a_new_number_takes_no_other_person_away(void **state)
{
    (void)state;
    IMPORT({2, XT_LIFE_ALIVE, 3}, {4, XT_LIFE_ALIVE, 5});
    assert_int_equal(write_one(LINE("phone_linked", "000002", "\"phone\":\"0987650001\"")),
                     XT_CONFLICT_NONE);
    assert_int_equal(write_one(LINE("phone_linked", "000004", "\"phone\":\"0987650002\"")),
                     XT_CONFLICT_NONE);
    IMPORT({2, XT_LIFE_CANCELLED, 0}, {3, XT_LIFE_ALIVE, 0}, {4, XT_LIFE_CANCELLED, 0},
           {1, XT_LIFE_ALIVE, 5});
    assert_int_equal(write_one(LINE("number_replaced", "000002", "\"new_id\":\"001090000006\"")),
                     XT_CONFLICT_NONE);
    assert_int_equal(write_one(LINE("number_replaced", "000004", "\"new_id\":\"001090000007\"")),
                     XT_CONFLICT_NONE);
    assert_int_equal(names(3), 3);
    assert_int_equal(names(2), 6);
    assert_int_equal(names(4), 7);
    assert_int_equal(names(5), 1);
    assert_counted_once();
    assert_compacting_changes_nothing();
}

/* What was dropped of the overlay is in the generation, and no import takes it back to one that was there. */
static void an_overlay_that_replaced_numbers_lies_over_any_import(void **state)
{
    (void)state;
    IMPORT({2, XT_LIFE_ALIVE, 3});
    assert_int_equal(write_one(LINE("number_replaced", "000002", "\"new_id\":\"001090000006\"")),
                     XT_CONFLICT_NONE);
    IMPORT({2, XT_LIFE_ALIVE, 0}, {3, XT_LIFE_ALIVE, 0}, {4, XT_LIFE_ALIVE, 0});
    assert_int_equal(names(2), 6);
    assert_int_equal(names(3), 6);
    assert_compacting_changes_nothing();
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(who_states_the_old_number_of_another_is_not_put_in_force),
        EACH(a_number_that_an_import_puts_in_force_again_stays_so),
        EACH(an_old_number_is_whose_the_import_says),
        EACH(a_new_number_takes_no_other_person_away),
        EACH(an_overlay_that_replaced_numbers_lies_over_any_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
