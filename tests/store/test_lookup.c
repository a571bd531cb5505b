/* Looking many people up at once gives what looking each up gives, whatever they are and whatever has
 * happened to the file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/plain_table.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 4000U /* several pages of every table */
#define REPLACED 40U /* of them hold one */
#define SHARED 400000000U
#define NUMBER(i) (1099000000ULL + (i)*3U)
#define OLD_NUMBER(i) (79190000000ULL + (i))
#define CMND(i) (100000000U + (i)*7U)

static struct xt_failure failure;

/* Every third has a CMND, of which the first hundred are shared by two; every fourth documents. */
static size_t write_person(char *text, size_t room, unsigned i)
{
    char replaced[64] = "";
    char cmnd[64] = "";
    char links[128] = "";
    if (i < REPLACED) {
        (void)snprintf(replaced, sizeof(replaced), ",\"replaced_numbers\":[\"%012llu\"]",
                       (unsigned long long)OLD_NUMBER(i));
    }
    if (i % 3 == 0) {
        (void)snprintf(cmnd, sizeof(cmnd), ",\"old_id\":\"%09u\"",
                       i < 600 ? SHARED + i / 6 : CMND(i));
    }
    if (i % 4 == 0) {
        (void)snprintf(links, sizeof(links),
                       ",\"links\":[{\"type\":\"passport\",\"number\":\"C%07u\"}]", i);
    }
    return (size_t)snprintf(text, room,
                            "{\"id\":\"%012llu\",\"full_name\":\"Nguyễn Văn An\","
                            "\"date_of_birth\":\"1999-01-25\"%s%s%s}\n",
                            (unsigned long long)NUMBER(i), replaced, cmnd, links);
}

static int import_world(void **state)
{
    static char text[PEOPLE * 200];
    size_t size = 0;
    deployment_make(state);
    for (unsigned i = 0; i < PEOPLE; i++) {
        size += write_person(text + size, sizeof(text) - size, i);
    }
    int status = run_with_input(text, size, "import", "DIR", "-", "--quiet", NULL);
    if (status != 0) {
        fprintf(stderr, "%s\n", run_err);
    }
    return status;
}

/* Everybody, nobody, replaced numbers, CMND of one, of two and of nobody, in an order that mixes them. */
#define IDS (PEOPLE + 300U + REPLACED + 1600U)
static struct xt_lookup lookups[IDS];
static struct xt_lookup *places[IDS];

static void prepare(void)
{
    for (unsigned i = 0; i < IDS; i++) {
        unsigned which = (unsigned)((uint64_t)i * 2654435761U % IDS);
        unsigned after_old = PEOPLE + 300 + REPLACED;
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = NUMBER(which)};
        if (which >= after_old) {
            unsigned cmnd = which - after_old;
            id.kind = XT_ID_CMND;
            id.value = cmnd < 120 ? SHARED + cmnd : CMND(cmnd * 2);
        } else if (which >= PEOPLE + 300) {
            id.value = OLD_NUMBER(which - PEOPLE - 300);
        }
        memset(&lookups[i], 0, sizeof(lookups[i]));
        lookups[i].id = id;
        lookups[i].status = XT_BUSY; /* that is none of the answers */
        places[i] = &lookups[i];
    }
}

struct told {
    enum xt_status status;
    bool found, by_alias;
    uint64_t number;
    unsigned phone_count;
};

static struct told told_of(const struct xt_lookup *lookup)
{
    if (lookup->status != XT_OK) {
        return (struct told){.status = lookup->status};
    }
    return (struct told){lookup->status, lookup->found.found, lookup->found.by_alias,
                         lookup->found.hot.number, lookup->found.hot.phone_count};
}

static struct told singly[IDS];

static void find_singly(struct xt_generation *generation)
{
    prepare();
    for (unsigned i = 0; i < IDS; i++) {
        lookups[i].status = xt_generation_find(generation, lookups[i].id, &lookups[i].found);
        singly[i] = told_of(&lookups[i]);
    }
}

/* Gives how many of the answers are damage. */
static unsigned find_together(struct xt_generation *generation, size_t group, const char *when,
                              size_t at)
{
    unsigned damaged = 0;
    prepare();
    for (size_t from = 0; from < IDS; from += group) {
        xt_generation_find_batch(generation, places + from,
                                 IDS - from < group ? IDS - from : group);
    }
    for (unsigned i = 0; i < IDS; i++) {
        struct told together = told_of(&lookups[i]);
        if (together.status != singly[i].status || together.found != singly[i].found ||
            together.by_alias != singly[i].by_alias || together.number != singly[i].number ||
            together.phone_count != singly[i].phone_count) {
            fail_msg("%s %zu: id %u: %d %d %llu, singly %d %d %llu", when, at, i, together.status,
                     together.found, (unsigned long long)together.number, singly[i].status,
                     singly[i].found, (unsigned long long)singly[i].number);
        }
        damaged += together.status == XT_CORRUPT;
    }
    return damaged;
}

static void many_at_once_are_found_as_one_by_one(void **state)
{
    (void)state;
    static const size_t groups[] = {1, 2, 7, XT_TABLE_GROUP, XT_TABLE_GROUP + 1, 1000, IDS};
    unsigned found = 0, by_alias = 0;
    struct xt_generation *generation = open_served();
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        assert_true(i > XT_TABLE_ALIAS ||
                    xt_generation_manifest(generation)->tables[i].records > 1000);
    }
    find_singly(generation);
    for (unsigned i = 0; i < IDS; i++) {
        found += singly[i].found;
        by_alias += singly[i].by_alias;
    }
    assert_int_equal(found - by_alias, PEOPLE);
    assert_true(by_alias > REPLACED + 200);
    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        assert_int_equal(find_together(generation, groups[i], "group", groups[i]), 0);
    }
    xt_generation_close(generation);
    generation = open_served(); /* nothing is known of any page */
    assert_int_equal(find_together(generation, IDS, "anew", 0), 0);
    xt_generation_close(generation);
}

static void nothing_is_found_among_no_ids(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    xt_generation_find_batch(generation, places, 0);
    xt_generation_expect_links(generation, NULL, 0);
    xt_generation_close(generation);
}

static void links_that_were_announced_are_those_that_were_not(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    for (unsigned from = 0; from + XT_TABLE_GROUP <= PEOPLE; from += XT_TABLE_GROUP) {
        uint64_t numbers[XT_TABLE_GROUP];
        for (unsigned i = 0; i < XT_TABLE_GROUP; i++) {
            numbers[i] = NUMBER(from + i);
        }
        xt_generation_expect_links(generation, numbers, XT_TABLE_GROUP);
        for (unsigned i = 0; i < XT_TABLE_GROUP; i++) {
            struct xt_links links;
            enum xt_status status = xt_generation_links(generation, numbers[i], &links);
            assert_true(status == XT_OK || status == XT_NOT_FOUND);
            assert_int_equal(links.count, (from + i) % 4 == 0);
        }
    }
    xt_generation_close(generation);
}

static uint8_t *map_data(size_t *size)
{
    struct stat facts;
    const char *path = deployment_path("identity/000001/data.mdb");
    assert_int_equal(chmod(deployment_path("identity/000001"), 0700), 0);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &facts), 0);
    *size = (size_t)facts.st_size;
    uint8_t *data = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(data != MAP_FAILED);
    close(fd);
    return data;
}

static void damage_shows_in_the_same_places(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    const size_t step = 7919;
#else
    const size_t step = 1499;
#endif
    size_t size;
    uint8_t *data = map_data(&size);
    unsigned opened = 0, damaged = 0;
    for (size_t at = 8192; at < size; at += step) {
        struct xt_generation *generation = NULL;
        data[at] ^= (uint8_t)(1U << at % 8);
        if (xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure) ==
            XT_OK) {
            find_singly(generation);
            xt_generation_close(generation);
            generation = open_served();
            damaged += find_together(generation, 64, "flipped byte", at) > 0;
            xt_generation_close(generation);
            opened++;
        }
        data[at] ^= (uint8_t)(1U << at % 8);
    }
    munmap(data, size);
    assert_true(opened > 10);
    assert_true(damaged > opened / 4);
}

/* Headers are read once; what is behind them is looked at anew each time. */
static void damage_that_comes_later_shows_as_well(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = map_data(&size);
    struct xt_generation *generation = open_served();
    find_singly(generation);
    for (size_t at = 8192; at < size; at += 8) {
        data[at] ^= 1;
    }
    unsigned wrong = 0, damaged = 0;
    prepare();
    xt_generation_find_batch(generation, places, IDS);
    for (unsigned i = 0; i < IDS; i++) {
        struct told now = told_of(&lookups[i]);
        damaged += now.status == XT_CORRUPT;
        wrong +=
            now.status == XT_OK && (now.found != singly[i].found || now.number != singly[i].number);
    }
    for (size_t at = 8192; at < size; at += 8) {
        data[at] ^= 1;
    }
    assert_int_equal(wrong, 0);
    assert_true(damaged > PEOPLE);
    assert_int_equal(find_together(generation, 64, "mended", 0), 0);
    xt_generation_close(generation);
    munmap(data, size);
}

static bool go_on(void *context, uint64_t done)
{
    unsigned *calls = context;
    (void)done;
    return ++*calls < 1000;
}

static bool give_up(void *context, uint64_t done)
{
    (void)context;
    (void)done;
    return false;
}

static void the_plain_layout_holds_the_same_people(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    struct xt_plain_table *plain = NULL;
    unsigned calls = 0;
    const char *path = deployment_path("plain.mdb");
    assert_int_equal(xt_plain_table_make(generation, path, go_on, &calls, &plain, &failure), XT_OK);
    assert_int_equal(xt_plain_table_warm(plain), XT_OK);
    for (unsigned i = 0; i < PEOPLE + 100; i++) {
        struct xt_hot hot;
        enum xt_status status = xt_plain_table_find(plain, NUMBER(i), &hot);
        assert_int_equal(status, i < PEOPLE ? XT_OK : XT_NOT_FOUND);
        assert_true(i >= PEOPLE || hot.number == NUMBER(i));
    }
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_in_range(facts.st_size, 1, xt_plain_table_bytes(generation));
    xt_plain_table_close(plain);
    unlink(path);
    assert_int_equal(xt_plain_table_make(generation, path, give_up, NULL, &plain, &failure),
                     XT_CLOSED);
    unlink(path);
    xt_plain_table_close(NULL);
    xt_generation_close(generation);
}

static void the_plain_layout_knows_damage(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    struct xt_plain_table *plain = NULL;
    unsigned calls = 0;
    struct xt_hot hot;
    const char *path = deployment_path("plain.mdb");
    char kept[XT_PATH_MAX];
    (void)snprintf(kept, sizeof(kept), "%s", path);
    assert_int_equal(xt_plain_table_make(generation, kept, go_on, &calls, &plain, &failure), XT_OK);
    assert_int_equal(xt_plain_table_find(plain, NUMBER(5), &hot), XT_OK);
    struct stat facts;
    int fd = open(kept, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &facts), 0);
    uint8_t *data = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(data != MAP_FAILED);
    close(fd);
    unsigned corrupt = 0;
    /* Leaves have their records at the end, the ones that were put first. */
    for (size_t page = 2; page < (size_t)facts.st_size / 4096; page++) {
        data[page * 4096 + 4090] ^= 1;
    }
    for (unsigned i = 0; i < PEOPLE; i++) {
        enum xt_status status = xt_plain_table_find(plain, NUMBER(i), &hot);
        assert_true(status == XT_OK || status == XT_CORRUPT);
        corrupt += status == XT_CORRUPT;
    }
    assert_true(corrupt > 10);
    munmap(data, (size_t)facts.st_size);
    xt_plain_table_close(plain);
    unlink(kept);
    xt_generation_close(generation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_at_once_are_found_as_one_by_one),
        cmocka_unit_test(nothing_is_found_among_no_ids),
        cmocka_unit_test(links_that_were_announced_are_those_that_were_not),
        cmocka_unit_test(damage_shows_in_the_same_places),
        cmocka_unit_test(damage_that_comes_later_shows_as_well),
        cmocka_unit_test(the_plain_layout_holds_the_same_people),
        cmocka_unit_test(the_plain_layout_knows_damage),
    };
    return cmocka_run_group_tests(tests, import_world, deployment_remove);
}
