#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/builder.h"
#include "store/check.h"
#include "store/crew.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;

/* What the builder said of duplicates, as text: "9<3 duplicate_id /id; " */
static char told[1U << 17];

static void on_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context;
    size_t size = strlen(told);
    snprintf(told + size, sizeof(told) - size, "%llu<%llu %s %s; ", (unsigned long long)line,
             (unsigned long long)first, code, pointer);
}

struct line {
    uint64_t line, id, replaced[3];
    uint32_t cmnd;
    bool cancelled;
};

/* Adds lines, sorts, and gives the builder with what it told in `told`. */
static struct xt_builder *sorted(const struct line *lines, unsigned count)
{
    struct xt_builder *builder = NULL;
    struct xt_person person;
    told[0] = 0;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 0; i < count; i++) {
        make_person(1, &person);
        person.number = lines[i].id;
        while (person.replaced_count < 3 && lines[i].replaced[person.replaced_count] != 0) {
            person.replaced[person.replaced_count] = lines[i].replaced[person.replaced_count];
            person.replaced_count++;
        }
        person.life = lines[i].cancelled ? XT_LIFE_CANCELLED : XT_LIFE_ALIVE;
        person.has_cmnd = lines[i].cmnd != 0;
        person.cmnd = lines[i].cmnd;
        assert_int_equal(xt_builder_add(builder, 0, &person, lines[i].line, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, on_duplicate, NULL, &failure), XT_OK);
    return builder;
}

static struct xt_manifest seal(struct xt_builder *builder)
{
    struct xt_manifest manifest;
    enum xt_status status = xt_builder_seal(builder, &manifest, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_builder_close(builder);
    return manifest;
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void assert_sound(uint32_t number);

/* Lines dealt out to several threads at once, each in the order of a permutation. */
struct shuffled {
    struct xt_builder *builder;
    const struct xt_person *people; /* of lines 1 to count */
    unsigned count, lanes, step;
};

static enum xt_status add_share(void *context, unsigned thread, uint64_t lane,
                                struct xt_failure *told_failure)
{
    const struct shuffled *shuffled = context;
    enum xt_status status = XT_OK;
    (void)thread;
    for (unsigned i = 0; i < shuffled->count && status == XT_OK; i++) {
        unsigned at = (unsigned)((uint64_t)i * shuffled->step % shuffled->count);
        if (i % shuffled->lanes == lane) {
            status = xt_builder_add(shuffled->builder, (unsigned)lane, &shuffled->people[at],
                                    at + 1, told_failure);
        }
    }
    return status;
}

/* People whose numbers meet in every way: each has one of few numbers, and replaces up to three. */
static void make_rivals(struct xt_person *people, unsigned count)
{
    uint32_t random = 7;
    for (unsigned i = 0; i < count; i++) {
        make_person(i, &people[i]);
        people[i].number = 500 + (random = random * 1664525 + 1013904223) % count;
        people[i].life = (random >> 20) % 3 == 0 ? XT_LIFE_CANCELLED : XT_LIFE_ALIVE;
        people[i].replaced_count = (random >> 24) % 4;
        for (unsigned j = 0; j < people[i].replaced_count; j++) {
            people[i].replaced[j] = 500 + (random = random * 1664525 + 1013904223) % count;
        }
    }
}

static void neither_order_nor_threads_matter(void **state)
{
    (void)state;
    enum { COUNT = 4001 }; /* a prime: every step below it gives a permutation */
    static struct xt_person people[COUNT];
    static char expected[sizeof(told)];
    struct xt_manifest first = {.people = 0};
    make_rivals(people, COUNT);
    const unsigned steps[] = {1, COUNT - 1, 1234, 77};
    for (unsigned round = 0; round < COUNT_OF(steps); round++) {
        const struct xt_builder_options options = {.quiet = true, .threads = round * 2 + 1};
        struct shuffled shuffled = {.people = people, .count = COUNT, .step = steps[round]};
        struct xt_manifest manifest;
        uint64_t refused = 0;
        told[0] = 0;
        assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), &options,
                                         &shuffled.builder, &failure),
                         XT_OK);
        shuffled.lanes = xt_builder_lanes(shuffled.builder);
        assert_int_equal(shuffled.lanes, options.threads);
        assert_int_equal(
            xt_crew_run(shuffled.lanes, shuffled.lanes, add_share, &shuffled, &failure), XT_OK);
        assert_int_equal(xt_builder_sort(shuffled.builder, on_duplicate, &refused, &failure),
                         XT_OK);
        uint64_t folded = xt_builder_folded(shuffled.builder);
        assert_true(strlen(told) > sizeof(told) / 2 && folded > 50);
        manifest = seal(shuffled.builder);
        if (round == 0) {
            first = manifest;
            memcpy(expected, told, sizeof(told));
        }
        assert_string_equal(told, expected);
        assert_int_equal(manifest.people, first.people);
        assert_int_equal(manifest.replaced, first.replaced);
        assert_int_equal(manifest.aliases, first.aliases);
        assert_int_equal(manifest.phones, first.phones);
        assert_sound(manifest.number);
    }
}

static void the_first_line_of_a_number_stays(void **state)
{
    (void)state;
    const struct line lines[] = {{.line = 9, .id = 100},
                                 {.line = 3, .id = 100},
                                 {.line = 5, .id = 200},
                                 {.line = 7, .id = 100},
                                 {.line = 4, .id = 300}};
    struct xt_manifest manifest = seal(sorted(lines, COUNT_OF(lines)));
    assert_string_equal(told, "7<3 duplicate_id /id; 9<3 duplicate_id /id; ");
    assert_int_equal(manifest.people, 3);
}

static void a_replaced_number_may_not_be_a_living_one(void **state)
{
    (void)state;
    const struct line replaced_later[] = {{.line = 1, .id = 100},
                                          {.line = 2, .id = 200, .replaced = {100}}};
    const struct line replaced_first[] = {{.line = 1, .id = 200, .replaced = {100}},
                                          {.line = 2, .id = 100}};
    const struct line both_replaced[] = {{.line = 1, .id = 200, .replaced = {100}},
                                         {.line = 2, .id = 300, .replaced = {100}}};
    const struct line own_number[] = {{.line = 1, .id = 100, .replaced = {100}},
                                      {.line = 2, .id = 300}};
    struct xt_manifest manifest = seal(sorted(replaced_later, 2));
    assert_string_equal(told, "2<1 replaced_number_in_use /replaced_numbers; ");
    assert_int_equal(manifest.people, 1);
    manifest = seal(sorted(replaced_first, 2));
    assert_string_equal(told, "2<1 replaced_number_in_use /id; ");
    assert_int_equal(manifest.replaced, 1);
    seal(sorted(both_replaced, 2));
    assert_string_equal(told, "2<1 replaced_number_in_use /replaced_numbers; ");
    manifest = seal(sorted(own_number, 2));
    assert_string_equal(told, "1<1 replaced_number_in_use /replaced_numbers; ");
    assert_int_equal(manifest.people, 1);
}

static void a_line_that_is_left_out_holds_no_number(void **state)
{
    (void)state;
    const struct line lines[] = {
        {.line = 1, .id = 100},
        {.line = 2, .id = 100, .replaced = {200, 201}, .cmnd = 7}, /* out: its others are free */
        {.line = 3, .id = 200},
        {.line = 4, .id = 400, .replaced = {201, 202}},
        {.line = 5, .id = 500, .replaced = {203, 202}}, /* out: 203 is free again */
        {.line = 6, .id = 203, .cmnd = 7},
        {.line = 7, .id = 200, .replaced = {201}}, /* the plain duplicate is what is told */
    };
    struct xt_manifest manifest = seal(sorted(lines, COUNT_OF(lines)));
    assert_string_equal(told, "2<1 duplicate_id /id; 5<4 replaced_number_in_use /replaced_numbers; "
                              "7<3 duplicate_id /id; ");
    assert_int_equal(manifest.people, 4);
    assert_int_equal(manifest.replaced, 2);
    assert_int_equal(manifest.aliases, 1);
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_CMND, 7, true)); /* line 2's claim to it is gone too */
    assert_true(find_is(generation, XT_ID_PERSONAL, 202, true));
    assert_true(find_is(generation, XT_ID_PERSONAL, 500, false));
    xt_generation_close(generation);
}

static void more_people_than_an_alias_holds_are_still_several(void **state)
{
    (void)state;
    struct line lines[40];
    memset(lines, 0, sizeof(lines));
    for (unsigned i = 0; i < 40; i++) {
        lines[i] = (struct line){.line = i + 1, .id = 1000 + i, .cmnd = 123456789};
    }
    struct xt_manifest manifest = seal(sorted(lines, 40));
    struct xt_check_report report;
    assert_int_equal(manifest.aliases, 1);
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_CMND, 123456789, false));
    xt_generation_close(generation);
    assert_int_equal(xt_generation_check(deployment(), manifest.number, deployment_keyring(), NULL,
                                         &report, &failure),
                     XT_OK);
}

static void many_copies_of_one_person_are_sorted_out_quickly(void **state)
{
    (void)state;
    struct xt_builder *builder = NULL;
    struct xt_person person;
    uint64_t refused = 0;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    make_person(1, &person);
    for (unsigned i = 1; i <= 20000; i++) {
        assert_int_equal(xt_builder_add(builder, 0, &person, i, &failure), XT_OK);
    }
    told[0] = 0;
    assert_int_equal(xt_builder_sort(builder, on_duplicate, &refused, &failure), XT_OK);
    assert_int_equal(seal(builder).people, 1);
}

static void closing_without_seal_leaves_nothing(void **state)
{
    (void)state;
    build_people(0, 10);
    unsigned before = count_names("identity", "");
    const struct line lines[] = {{.line = 1, .id = 100}};
    struct xt_builder *builder = sorted(lines, 1);
    assert_int_equal(count_names("identity", "building-"), 1);
    xt_builder_close(builder);
    assert_int_equal(count_names("identity", ""), before);
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(3), true));
    xt_generation_close(generation);
}

static void a_stop_before_the_switch_changes_nothing(void **state)
{
    (void)state;
    build_people(0, 10);
    struct xt_manifest manifest;
    struct xt_person person;
    volatile sig_atomic_t stop = 0;
    const struct xt_builder_options options = {.quiet = true, .stop = &stop};
    struct xt_builder *builder = NULL;
    assert_int_equal(
        xt_builder_open(deployment(), deployment_keyring(), &options, &builder, &failure), XT_OK);
    make_person(1, &person);
    assert_int_equal(xt_builder_add(builder, 0, &person, 1, &failure), XT_OK);
    assert_int_equal(xt_builder_sort(builder, on_duplicate, NULL, &failure), XT_OK);
    stop = 1;
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_CLOSED);
    xt_builder_close(builder);
    assert_int_equal(count_names("identity", "building-"), 0);
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(3), true));
    xt_generation_close(generation);
}

/* What the builder says on stderr, and the flag that is set once it says `stop_at`. */
static volatile sig_atomic_t stop_on_text;
static const char *stop_at;
static char said[4096];

static ssize_t listen_to(void *cookie, const char *text, size_t size)
{
    (void)cookie;
    size_t before = strlen(said);
    assert_true(before + size < sizeof(said));
    memcpy(said + before, text, size);
    said[before + size] = 0;
    if (strstr(said, stop_at) != NULL) {
        stop_on_text = 1;
    }
    return (ssize_t)size;
}

/* A phase says so when it is over: the stop comes between it and the next one. */
static void every_phase_can_be_stopped(void **state)
{
    (void)state;
    const char *const phases[] = {
        "looking for duplicates:", "sealing:", "reading it back:", "verifying:"};
    FILE *before = stderr;
    for (unsigned i = 0; i + 1 < COUNT_OF(phases); i++) {
        const struct xt_builder_options options = {.stop = &stop_on_text, .threads = 2};
        struct xt_builder *builder = NULL;
        struct xt_manifest manifest;
        struct xt_person person;
        stop_on_text = 0;
        stop_at = phases[i];
        said[0] = 0;
        assert_int_equal(
            xt_builder_open(deployment(), deployment_keyring(), &options, &builder, &failure),
            XT_OK);
        make_person(1, &person);
        assert_int_equal(xt_builder_add(builder, 0, &person, 1, &failure), XT_OK);
        FILE *listening = fopencookie(NULL, "w", (cookie_io_functions_t){.write = listen_to});
        assert_non_null(listening);
        stderr = listening;
        enum xt_status sorted_as = xt_builder_sort(builder, on_duplicate, NULL, &failure);
        enum xt_status sealed_as =
            sorted_as == XT_OK ? xt_builder_seal(builder, &manifest, &failure) : sorted_as;
        stderr = before;
        assert_int_equal(fclose(listening), 0);
        xt_builder_close(builder);
        assert_int_equal(sealed_as, XT_CLOSED);
        assert_non_null(strstr(failure.text, "interrupted"));
        assert_non_null(strstr(said, phases[i]));
        assert_null(strstr(said, phases[i + 1]));
        assert_int_equal(count_names("identity", "building-"), 0);
        assert_int_equal(count_names("identity", "0000"), 0);
    }
}

/* Adds people and sorts. The failure, or the people that were sealed. */
static enum xt_status build_within(uint64_t memory, unsigned count, uint64_t *people)
{
    const struct xt_builder_options options = {.quiet = true, .memory = memory};
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest = {.people = 0};
    struct xt_person person;
    assert_int_equal(
        xt_builder_open(deployment(), deployment_keyring(), &options, &builder, &failure), XT_OK);
    for (unsigned i = 0; i < count; i++) {
        make_person(i, &person);
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    enum xt_status status = xt_builder_sort(builder, on_duplicate, NULL, &failure);
    if (status == XT_OK) {
        status = xt_builder_seal(builder, &manifest, &failure);
    }
    xt_builder_close(builder);
    *people = manifest.people;
    return status;
}

static void memory_that_is_missing_is_named_before_it_is_needed(void **state)
{
    (void)state;
    const unsigned counts[] = {5000, 40000};
    for (unsigned i = 0; i < COUNT_OF(counts); i++) {
        uint64_t people = 0;
        unsigned needed = 0;
        assert_int_equal(build_within(1U << 16, counts[i], &people), XT_NO_MEMORY);
        const char *named = strstr(failure.text, "--memory ");
        assert_non_null(named);
        assert_int_equal(sscanf(named, "--memory %uM", &needed), 1);
        assert_in_range(needed, 1 + i, 64);
        assert_int_equal(count_names("identity", "building-"), 0);
        assert_int_equal(build_within((uint64_t)(needed - 1) << 20, counts[i], &people),
                         needed == 1 ? XT_OK : XT_NO_MEMORY);
        if (build_within((uint64_t)needed << 20, counts[i], &people) != XT_OK) {
            fail_msg("%s", failure.text);
        }
        assert_int_equal(people, counts[i]);
    }
}

static enum xt_status add_every_nth(void *context, unsigned thread, uint64_t lane,
                                    struct xt_failure *told_failure)
{
    const struct shuffled *shuffled = context;
    enum xt_status status = XT_OK;
    struct xt_person person;
    (void)thread;
    for (unsigned i = (unsigned)lane; i < shuffled->count && status == XT_OK;
         i += shuffled->lanes) {
        make_person(i, &person);
        status = xt_builder_add(shuffled->builder, (unsigned)lane, &person, i + 1, told_failure);
    }
    return status;
}

/* Enough for several units of pages at once, on several threads. */
static void people_in_several_units_are_all_found(void **state)
{
    (void)state;
    const struct xt_builder_options options = {.quiet = true, .threads = 4};
    struct shuffled shuffled = {.count = 150000};
    assert_int_equal(
        xt_builder_open(deployment(), deployment_keyring(), &options, &shuffled.builder, &failure),
        XT_OK);
    shuffled.lanes = xt_builder_lanes(shuffled.builder);
    assert_int_equal(shuffled.lanes, 4);
    assert_int_equal(xt_crew_run(4, 4, add_every_nth, &shuffled, &failure), XT_OK);
    told[0] = 0;
    assert_int_equal(xt_builder_sort(shuffled.builder, on_duplicate, NULL, &failure), XT_OK);
    assert_string_equal(told, "");
    struct xt_manifest manifest = seal(shuffled.builder);
    assert_int_equal(manifest.people, shuffled.count);
    assert_true(manifest.tables[XT_TABLE_HOT].pages >= 128); /* four units at least */
    assert_sound(manifest.number);
    struct xt_generation *generation = open_served();
    unsigned missing = 0;
    for (unsigned i = 0; i < shuffled.count; i++) {
        missing += !find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(i), true);
        missing += i % 3 == 0 && !find_is(generation, XT_ID_CMND, PERSON_CMND(i), true);
    }
    assert_int_equal(missing, 0);
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(shuffled.count), false));
    xt_generation_close(generation);
}

static void only_one_builder_works_at_a_time(void **state)
{
    (void)state;
    struct xt_builder *first = NULL;
    struct xt_builder *second = NULL;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &first, &failure),
                     XT_OK);
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &second, &failure),
                     XT_BUSY);
    assert_int_equal(count_names("identity", "building-"), 1); /* and the first goes on */
    xt_builder_close(first);
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &second, &failure),
                     XT_OK);
    xt_builder_close(second);
}

/* Rotated, and the old key perhaps retired, between reading the keys and taking the lock. */
static void nothing_is_sealed_under_a_key_that_is_not_current_any_more(void **state)
{
    (void)state;
    struct xt_builder *builder = NULL;
    uint32_t id = 0, old = xt_keyring_current(deployment_keyring());
    const char *path = deployment_path("keys/master.keys");
    assert_int_equal(xt_keyring_add(path, &id, &failure), XT_OK);
    assert_int_equal(xt_keyring_remove(path, old, &failure), XT_OK);
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_AGAIN);
    assert_non_null(strstr(failure.text, "master key was changed"));
    assert_int_equal(count_names("identity", "building-"), 0);
    struct xt_keyring *fresh = NULL;
    assert_int_equal(xt_keyring_open(path, &fresh, &failure), XT_OK);
    assert_int_equal(xt_builder_open(deployment(), fresh, NULL, &builder, &failure), XT_OK);
    xt_builder_close(builder);
    xt_keyring_close(fresh);
}

static void the_generation_before_stays_and_older_ones_go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        build_people(i * 10, i * 10 + 10);
    }
    assert_int_equal(count_names("identity", "0000"), 2);
    assert_true(exists("identity/000003") && exists("identity/000004"));
    struct xt_generation *before = NULL;
    assert_int_equal(xt_generation_open(deployment(), 3, deployment_keyring(), &before, &failure),
                     XT_OK);
    struct xt_generation *served = open_served();
    build_people(50, 60); /* 3 goes, but whoever has it open keeps it */
    assert_false(exists("identity/000003"));
    assert_true(find_is(before, XT_ID_PERSONAL, PERSON_NUMBER(25), true));
    assert_true(find_is(served, XT_ID_PERSONAL, PERSON_NUMBER(35), true));
    xt_generation_close(before);
    xt_generation_close(served);
}

static void what_killed_imports_left_is_cleared_away(void **state)
{
    (void)state;
    build_people(0, 10);
    build_people(0, 10);
    const char *const leftovers[] = {"identity/building-1-00", "identity/000009"};
    for (unsigned i = 0; i < 2; i++) {
        char file[64];
        assert_int_equal(mkdir(deployment_path(leftovers[i]), 0700), 0);
        snprintf(file, sizeof(file), "%s/data.mdb", leftovers[i]);
        write_text(file, "half");
        assert_int_equal(chmod(deployment_path(leftovers[i]), 0500), 0);
    }
    assert_int_equal(symlink("000009", deployment_path("identity/.switching")), 0);
    build_people(20, 30);
    assert_int_equal(count_names("identity", "building-"), 0);
    assert_false(exists("identity/.switching") || exists("identity/000009"));
    assert_true(exists("identity/000010")); /* a number is not used twice */
    assert_int_equal(count_names("identity", "0000"), 2);
}

static void a_switch_that_fails_leaves_nothing(void **state)
{
    (void)state;
    const struct line lines[] = {{.line = 1, .id = 100}};
    struct xt_manifest manifest;
    build_people(0, 10);
    struct xt_builder *builder = sorted(lines, 1);
    assert_int_equal(mkdir(deployment_path("identity/.switching"), 0700),
                     0); /* in the link's way */
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_IO);
    xt_builder_close(builder);
    assert_int_equal(count_names("identity", "0000"), 1);
    assert_int_equal(count_names("identity", "building-"), 0);
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(3), true));
    xt_generation_close(generation);
}

static void sealed_files_cannot_be_written(void **state)
{
    (void)state;
    struct stat facts;
    build_people(0, 10);
    assert_int_equal(stat(deployment_path("identity/000001"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0500);
    assert_int_equal(stat(deployment_path("identity/000001/data.mdb"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0400);
    assert_int_equal(stat(deployment_path("identity/000001/manifest"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0400);
    assert_int_equal(stat(deployment_path("identity/000001/statistics"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0400);
    assert_int_equal(count_names("identity/000001", ""), 3); /* no lock file */
}

static void a_folder_that_is_no_deployment_is_told(void **state)
{
    (void)state;
    struct xt_builder *builder = NULL;
    assert_int_equal(rmdir(deployment_path("identity")), 0);
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_NOT_FOUND);
    assert_non_null(strstr(failure.text, "xacthuc init"));
}

static void a_full_disk_is_told_before_anything_is_written(void **state)
{
    (void)state;
    const char *identity = deployment_path("identity");
    if (mount("none", identity, "tmpfs", 0, "size=6m") != 0) {
        skip(); /* needs root */
    }
    struct xt_manifest manifest;
    struct xt_person person;
    struct xt_builder *builder = NULL;
    build_people(0, 10);
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 0; i < 40000; i++) {
        make_person(i, &person);
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, on_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_DISK_FULL);
    assert_non_null(strstr(failure.text, "not enough room"));
    xt_builder_close(builder);
    assert_int_equal(count_names("identity", "building-"), 0);
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(3), true));
    xt_generation_close(generation);
    assert_int_equal(umount(identity), 0);
}

static enum xt_status open_builder(void)
{
    struct xt_builder *builder = NULL;
    enum xt_status status =
        xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure);
    if (status == XT_OK) {
        xt_builder_close(builder);
    }
    return status;
}

static void rename_in_identity(const char *from, const char *to)
{
    char source[128], target[128];
    snprintf(source, sizeof(source), "%s/identity/%s", deployment(), from);
    snprintf(target, sizeof(target), "%s/identity/%s", deployment(), to);
    assert_int_equal(rename(source, target), 0);
}

static void generations_without_a_link_are_not_touched(void **state)
{
    (void)state;
    for (unsigned generations = 1; generations <= 3; generations++) {
        build_people(0, 10);
        unsigned before = count_names("identity", "0000");
        assert_int_equal(unlink(deployment_path("identity/current")), 0);
        assert_int_equal(open_builder(), XT_CORRUPT);
        assert_non_null(strstr(failure.text, "ln -s 00000"));
        assert_non_null(strstr(failure.text, "/identity/current"));
        assert_int_equal(count_names("identity", "0000"), before);
        char newest[16];
        snprintf(newest, sizeof(newest), "%06u", generations);
        assert_non_null(strstr(failure.text, newest));
        assert_int_equal(symlink(newest, deployment_path("identity/current")), 0); /* as told */
        assert_int_equal(open_builder(), XT_OK);
    }
}

/* The state between the two renames of a switch, again and again before the first one succeeds. */
static void a_first_import_killed_before_its_switch_needs_nobody(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        build_people(0, 10);
        rename_in_identity("current", ".switching");
        assert_int_equal(count_names("identity", "0000"), 1);
    }
    assert_int_equal(open_builder(), XT_OK);              /* an import that comes to nothing */
    assert_int_equal(count_names("identity", "0000"), 1); /* may be all there is */
    assert_true(exists("identity/.switching"));
    build_people(10, 20);
    assert_int_equal(count_names("identity", "0000"), 1);
    assert_false(exists("identity/.switching"));
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(15), true));
    xt_generation_close(generation);
}

static void a_later_import_killed_before_its_switch_leaves_the_served_one(void **state)
{
    (void)state;
    build_people(0, 10);
    build_people(10, 20);
    rename_in_identity("current", ".switching");
    assert_int_equal(symlink("000001", deployment_path("identity/current")), 0);
    assert_int_equal(open_builder(), XT_OK); /* an import that comes to nothing */
    assert_true(exists("identity/000001"));
    build_people(20, 30);
    assert_true(exists("identity/000001") && exists("identity/000003"));
    assert_int_equal(count_names("identity", "0000"), 2); /* 2 was never served */
}

static void an_import_that_fails_removes_no_generation(void **state)
{
    (void)state;
    build_people(0, 10);
    build_people(0, 10);
    assert_int_equal(mkdir(deployment_path("identity/000009"), 0700), 0);
    assert_int_equal(open_builder(), XT_OK);
    assert_int_equal(count_names("identity", "0000"), 3);
    assert_int_equal(unlink(deployment_path("identity/current")), 0);
    assert_int_equal(symlink("000008", deployment_path("identity/current")), 0); /* is not there */
    assert_int_equal(open_builder(), XT_OK);
    assert_int_equal(count_names("identity", "0000"), 3);
}

static void numbers_that_are_used_up_are_told(void **state)
{
    (void)state;
    build_people(0, 10);
    assert_int_equal(mkdir(deployment_path("identity/4294967294"), 0700), 0);
    assert_int_equal(open_builder(), XT_TOO_LARGE);
    assert_non_null(strstr(failure.text, "identity/4294967294"));
    assert_int_equal(rmdir(deployment_path("identity/4294967294")), 0);
    assert_int_equal(open_builder(), XT_OK);
}

static void clearing_up_never_follows_a_link(void **state)
{
    (void)state;
    struct stat facts;
    build_people(0, 10);
    assert_int_equal(mkdir(deployment_path("precious"), 0750), 0);
    write_text("precious/data.mdb", "precious");
    const char *const names[] = {"identity/building-1-00", "identity/000007",
                                 "identity/.switching"};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(symlink(deployment_path("precious"), deployment_path(names[i])), 0);
    }
    assert_int_equal(mkdir(deployment_path("identity/building-2-00"), 0700), 0);
    assert_int_equal(symlink(deployment_path("precious/data.mdb"),
                             deployment_path("identity/building-2-00/data.mdb")),
                     0);
    build_people(20, 30);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(exists(names[i]));
    }
    assert_false(exists("identity/building-2-00"));
    assert_string_equal(read_text("precious/data.mdb"), "precious");
    assert_int_equal(stat(deployment_path("precious"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0750);
}

static struct line person(uint64_t line, uint64_t id, bool cancelled, uint64_t old, uint64_t older)
{
    return (struct line){.line = line, .id = id, .cancelled = cancelled, .replaced = {old, older}};
}

static void assert_answers_as(struct xt_generation *generation, uint64_t number, uint64_t person)
{
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    assert_int_equal(xt_generation_find(generation, id, &found), XT_OK);
    assert_true(found.found);
    assert_int_equal(found.hot.number, person);
    assert_int_equal(found.by_alias, number != person);
}

static void assert_sound(uint32_t number)
{
    struct xt_check_report report;
    if (xt_generation_check(deployment(), number, deployment_keyring(), NULL, &report, &failure) !=
        XT_OK) {
        fail_msg("%s", failure.text);
    }
}

/* As registers export it: the old number's record, cancelled, beside its successor's. */
static void a_cancelled_number_answers_as_its_successor(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct line lines[] = {person(1 + order, 100, true, 0, 0),
                               person(2 - order, 200, false, 100, 0), person(3, 300, true, 0, 0)};
        lines[0].cmnd = lines[1].cmnd = 7;
        struct xt_builder *builder = sorted(lines, COUNT_OF(lines));
        assert_string_equal(told, "");
        assert_int_equal(xt_builder_folded(builder), 1);
        struct xt_manifest manifest = seal(builder);
        assert_int_equal(manifest.people, 2);
        assert_int_equal(manifest.replaced, 1);
        struct xt_generation *generation = open_served();
        assert_answers_as(generation, 100, 200);
        assert_answers_as(generation, 200, 200);
        assert_answers_as(generation, 300, 300); /* cancelled without a successor: stays */
        assert_true(find_is(generation, XT_ID_CMND, 7, true));
        xt_generation_close(generation);
        assert_sound(manifest.number);
    }
}

/* Every number that anybody ever had answers as the one in force, however the export tells it. */
static void chains_of_cancelled_numbers_lead_to_their_end(void **state)
{
    (void)state;
    const struct line chains[][4] = {
        {person(1, 100, true, 50, 0), person(2, 200, true, 100, 0), person(3, 300, false, 200, 0),
         person(4, 400, false, 0, 0)},
        {person(4, 100, true, 50, 0), person(3, 200, true, 100, 0), person(2, 300, false, 200, 0),
         person(1, 400, false, 0, 0)},
        {person(1, 100, true, 50, 0), person(2, 300, false, 200, 0), person(3, 200, true, 100, 0),
         person(4, 400, false, 0, 0)},
    };
    for (unsigned i = 0; i < COUNT_OF(chains); i++) {
        struct xt_builder *builder = sorted(chains[i], 4);
        assert_string_equal(told, "");
        assert_int_equal(xt_builder_folded(builder), 2);
        struct xt_manifest manifest = seal(builder);
        assert_int_equal(manifest.people, 2);
        assert_int_equal(manifest.replaced, 3);
        struct xt_generation *generation = open_served();
        assert_answers_as(generation, 50, 300);
        assert_answers_as(generation, 100, 300);
        assert_answers_as(generation, 200, 300);
        assert_answers_as(generation, 400, 400);
        xt_generation_close(generation);
        assert_sound(manifest.number);
    }
    /* The cancelled record and its successor both list the oldest number. */
    for (unsigned order = 0; order < 2; order++) {
        const struct line lines[] = {person(1 + order, 100, true, 50, 0),
                                     person(2 - order, 200, false, 50, 100)};
        struct xt_manifest manifest = seal(sorted(lines, 2));
        assert_string_equal(told, "");
        assert_int_equal(manifest.people, 1);
        assert_int_equal(manifest.replaced, 2);
        struct xt_generation *generation = open_served();
        assert_answers_as(generation, 50, 200);
        assert_answers_as(generation, 100, 200);
        xt_generation_close(generation);
        assert_sound(manifest.number);
    }
}

static void cancelled_numbers_in_a_ring_are_refused(void **state)
{
    (void)state;
    const struct line ring[] = {person(1, 100, true, 200, 0), person(2, 200, true, 300, 0),
                                person(3, 300, true, 100, 0)};
    struct xt_manifest manifest = seal(sorted(ring, 3));
    assert_string_equal(told, "3<1 replaced_number_in_use /replaced_numbers; ");
    assert_int_equal(manifest.people, 1); /* 2 goes into 1; 300 is replaced by 2 */
    const struct line itself[] = {person(1, 100, true, 100, 0), person(2, 300, false, 0, 0)};
    seal(sorted(itself, 2));
    assert_string_equal(told, "1<1 replaced_number_in_use /replaced_numbers; ");
    const struct line twice[] = {person(1, 100, true, 0, 0), person(2, 200, false, 100, 0),
                                 person(3, 100, true, 0, 0), person(4, 300, false, 100, 0)};
    seal(sorted(twice, 4));
    assert_string_equal(told, "3<1 duplicate_id /id; "
                              "4<2 replaced_number_in_use /replaced_numbers; ");
}

static void a_cancelled_person_does_not_make_a_cmnd_ambiguous(void **state)
{
    (void)state;
    struct line lines[] = {person(1, 100, true, 0, 0),  person(2, 200, false, 0, 0),
                           person(3, 300, true, 0, 0),  person(4, 400, false, 0, 0),
                           person(5, 500, false, 0, 0), person(6, 600, true, 0, 0)};
    lines[0].cmnd = lines[1].cmnd = 7; /* one of them in force */
    lines[2].cmnd = 8;                 /* only a cancelled one */
    lines[3].cmnd = lines[4].cmnd = lines[5].cmnd = 9;
    struct xt_manifest manifest = seal(sorted(lines, COUNT_OF(lines)));
    assert_int_equal(manifest.people, 6);
    assert_int_equal(manifest.aliases, 3);
    struct xt_generation *generation = open_served();
    struct xt_found found;
    assert_int_equal(
        xt_generation_find(generation, (struct xt_id){.kind = XT_ID_CMND, .value = 7}, &found),
        XT_OK);
    assert_true(found.found);
    assert_int_equal(found.hot.number, 200);
    assert_true(find_is(generation, XT_ID_CMND, 8, true));
    assert_true(find_is(generation, XT_ID_CMND, 9, false));
    xt_generation_close(generation);
    assert_sound(manifest.number);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, deployment_make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(neither_order_nor_threads_matter),
        EACH(the_first_line_of_a_number_stays),
        EACH(a_replaced_number_may_not_be_a_living_one),
        EACH(a_line_that_is_left_out_holds_no_number),
        EACH(more_people_than_an_alias_holds_are_still_several),
        EACH(many_copies_of_one_person_are_sorted_out_quickly),
        EACH(closing_without_seal_leaves_nothing),
        EACH(a_stop_before_the_switch_changes_nothing),
        EACH(every_phase_can_be_stopped),
        EACH(memory_that_is_missing_is_named_before_it_is_needed),
        EACH(people_in_several_units_are_all_found),
        EACH(only_one_builder_works_at_a_time),
        EACH(nothing_is_sealed_under_a_key_that_is_not_current_any_more),
        EACH(the_generation_before_stays_and_older_ones_go),
        EACH(what_killed_imports_left_is_cleared_away),
        EACH(a_switch_that_fails_leaves_nothing),
        EACH(sealed_files_cannot_be_written),
        EACH(a_folder_that_is_no_deployment_is_told),
        EACH(a_full_disk_is_told_before_anything_is_written),
        EACH(generations_without_a_link_are_not_touched),
        EACH(a_first_import_killed_before_its_switch_needs_nobody),
        EACH(a_later_import_killed_before_its_switch_leaves_the_served_one),
        EACH(an_import_that_fails_removes_no_generation),
        EACH(numbers_that_are_used_up_are_told),
        EACH(clearing_up_never_follows_a_link),
        EACH(a_cancelled_number_answers_as_its_successor),
        EACH(chains_of_cancelled_numbers_lead_to_their_end),
        EACH(cancelled_numbers_in_a_ring_are_refused),
        EACH(a_cancelled_person_does_not_make_a_cmnd_ambiguous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
