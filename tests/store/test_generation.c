#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/builder.h"
#include "store/check.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 120 /* hot and cold are pages of their own, aliases lie in the tree */

static struct xt_failure failure;

static void ignore_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                             const char *pointer)
{
    (void)context;
    (void)line;
    (void)first;
    (void)code;
    (void)pointer;
}

/* PEOPLE, the last three changed: two share a CMND, one has replaced numbers. */
static int build_world(void **state)
{
    deployment_make(state);
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 0; i < PEOPLE; i++) {
        make_person(i, &person);
        if (i >= PEOPLE - 3) {
            person.has_cmnd = i < PEOPLE - 1;
            person.cmnd = 555555555;
        }
        if (i == PEOPLE - 1) {
            person.replaced_count = 2;
            person.replaced[0] = 79190000001ULL;
            person.replaced[1] = 79190000002ULL;
        }
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, ignore_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
    assert_int_equal(manifest.people, PEOPLE);
    assert_int_equal(manifest.replaced, 2);
    assert_int_equal(manifest.aliases, 40); /* 39 of their own and the shared one */
    return 0;
}

static void everybody_is_found_by_number(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    for (unsigned i = 0; i < PEOPLE; i++) {
        struct xt_person person;
        struct xt_found found;
        make_person(i, &person);
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = person.number};
        assert_int_equal(xt_generation_find(generation, id, &found), XT_OK);
        assert_true(found.found);
        assert_false(found.by_alias);
        assert_int_equal(found.hot.number, person.number);
        assert_true(xt_name_matches(&person.name, &found.hot.name, XT_NAME_EXACT));
        assert_int_equal(found.hot.date_of_birth, person.date_of_birth);
        assert_int_equal(found.hot.phones[0], person.phones[0]);
        assert_false(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(PEOPLE + i), true));
    }
    xt_generation_close(generation);
}

static void a_cmnd_finds_the_one_person_who_has_it(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    for (unsigned i = 0; i < PEOPLE - 3; i++) {
        struct xt_found found;
        struct xt_id id = {.kind = XT_ID_CMND, .value = PERSON_CMND(i)};
        assert_int_equal(xt_generation_find(generation, id, &found), XT_OK);
        assert_int_equal(found.found, i % 3 == 0);
        assert_int_equal(found.by_alias, i % 3 == 0);
        if (found.found) {
            assert_int_equal(found.hot.number, PERSON_NUMBER(i));
        }
    }
    xt_generation_close(generation);
}

static void a_cmnd_of_several_people_is_unknown(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_CMND, 555555555, false));
    xt_generation_close(generation);
}

static void the_two_kinds_of_numbers_are_not_mixed_up(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_CMND(0), false));
    assert_true(find_is(generation, XT_ID_CMND, PERSON_NUMBER(0) % 1000000000, false));
    xt_generation_close(generation);
}

static void a_replaced_number_finds_its_successor(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    for (uint64_t old = 79190000001ULL; old <= 79190000002ULL; old++) {
        struct xt_found found;
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = old};
        assert_int_equal(xt_generation_find(generation, id, &found), XT_OK);
        assert_true(found.found && found.by_alias);
        assert_int_equal(found.hot.number, PERSON_NUMBER(PEOPLE - 1));
    }
    assert_true(find_is(generation, XT_ID_PERSONAL, 79190000003ULL, false));
    xt_generation_close(generation);
}

/* Looks numbers up that share the page and the tag of one of `count` others (every `step`th person):
 * among a thousand people one number in four million does. */
static void look_up_collisions(struct xt_generation *generation, enum xt_id_kind kind,
                               uint64_t first, unsigned count, unsigned step, uint64_t others)
{
    static uint32_t tags[1000];
    static uint8_t seen[1 << 16]; /* whether any tag ends so */
    const struct xt_manifest *manifest = xt_generation_manifest(generation);
    uint8_t key[XT_KEY_BYTES];
    unsigned found = 0;
    assert_int_equal(xt_keyring_derive(deployment_keyring(), manifest->key_id,
                                       XT_USE_GENERATION_HASH, 0, manifest->salt, key),
                     XT_OK);
    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < count; i++) {
        struct xt_id id = {.kind = kind, .value = first + i * step};
        tags[i] = (uint32_t)(xt_key_hash(key, id).high >> 32); /* with one page, see table.h */
        seen[tags[i] & 0xffff] = 1;
    }
    for (uint64_t value = others; value < others + 400000000 && found < 2; value++) {
        struct xt_id id = {.kind = kind, .value = value};
        uint32_t tag = (uint32_t)(xt_key_hash(key, id).high >> 32);
        for (unsigned i = 0; i < count && seen[tag & 0xffff] != 0; i++) {
            if (tags[i] == tag) {
                struct xt_links links;
                found++;
                assert_true(find_is(generation, kind, value, false));
                assert_int_equal(xt_generation_links(generation, value, &links), XT_NOT_FOUND);
                assert_int_equal(links.count, 0);
            }
        }
    }
    assert_int_equal(found, 2);
}

static void a_number_with_the_tag_of_another_is_not_taken_for_it(void **state)
{
    (void)state;
    build_people(0, 1000);
    struct xt_generation *generation = open_served();
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        assert_int_equal(xt_generation_manifest(generation)->tables[i].pages, 1);
    }
    look_up_collisions(generation, XT_ID_PERSONAL, PERSON_NUMBER(0), 1000, 1, 200000000000);
    look_up_collisions(generation, XT_ID_CMND, PERSON_CMND(0), 334, 3, 500000000);
    xt_generation_close(generation);
}

static void whoever_is_not_found_gets_somebody_to_be_compared_with(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    struct xt_found first;
    struct xt_found second;
    struct xt_id ids[] = {{.kind = XT_ID_PERSONAL, .value = 1},
                          {.kind = XT_ID_PERSONAL, .value = 999999999999ULL},
                          {.kind = XT_ID_CMND, .value = 1},
                          {.kind = XT_ID_CMND, .value = 555555555}};
    assert_int_equal(xt_generation_find(generation, ids[0], &first), XT_OK);
    assert_false(first.found);
    assert_true(first.hot.name.length > 0);
    assert_int_equal(first.hot.number, ids[0].value);
    uint64_t numbers[4] = {first.hot.number};
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(xt_generation_find(generation, ids[i], &second), XT_OK);
        assert_false(second.found || second.by_alias);
        /* Its links would else be looked for in one warm page, whoever is asked about. */
        for (unsigned j = 0; j < i; j++) {
            assert_int_not_equal(second.hot.number, numbers[j]);
        }
        numbers[i] = second.hot.number;
        assert_true(ids[i].kind != XT_ID_PERSONAL || second.hot.number == ids[i].value);
        assert_true(second.hot.name.length > 0); /* there is somebody to compare with */
    }
    xt_generation_close(generation);
}

static void links_come_from_the_cold_part(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    struct xt_links links;
    for (unsigned i = 0; i < PEOPLE; i++) {
        struct xt_person person;
        make_person(i, &person);
        bool empty = i % 4 != 0 && i % 5 == 4; /* nothing cold: no record */
        if (i == PEOPLE - 1) {
            empty = false; /* has replaced numbers */
        }
        assert_int_equal(xt_generation_links(generation, person.number, &links),
                         empty ? XT_NOT_FOUND : XT_OK);
        assert_int_equal(links.count, person.link_count);
        if (links.count == 1) {
            assert_int_equal(links.links[0].type, XT_LINK_PASSPORT);
            assert_memory_equal(links.links[0].number.text, person.links[0].number.text,
                                person.links[0].number.length);
        }
    }
    assert_int_equal(xt_generation_links(generation, 5, &links), XT_NOT_FOUND);
    assert_int_equal(links.count, 0);
    xt_generation_close(generation);
}

static enum xt_status count_person(void *context, const struct xt_hot *hot)
{
    unsigned *count = context;
    assert_in_range(hot->number, PERSON_NUMBER(0), PERSON_NUMBER(PEOPLE - 1));
    (*count)++;
    return XT_OK;
}

static void each_gives_people_and_not_replaced_numbers(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    unsigned count = 0;
    assert_int_equal(xt_generation_each(generation, count_person, &count), XT_OK);
    assert_int_equal(count, PEOPLE);
    xt_generation_close(generation);
}

static void a_sound_generation_passes_the_check(void **state)
{
    (void)state;
    struct xt_check_report report;
    enum xt_status status =
        xt_generation_check(deployment(), 1, deployment_keyring(), NULL, &report, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_int_equal(report.people, PEOPLE);
    assert_int_equal(report.damaged, 0);
    assert_int_equal(report.listed, 0);
}

/* A writable map of the sealed file; whoever runs tests as another user than root needs the mode. */
static uint8_t *map_data(const char *name, size_t *size)
{
    struct stat facts;
    const char *path = deployment_path(name);
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

/* Every answer is right, or says that there is damage. Gives how many say so. */
static unsigned ask_everything(struct xt_generation *generation, size_t at)
{
    unsigned corrupt = 0;
    struct xt_found found;
    for (unsigned i = 0; i < PEOPLE + 30; i++) {
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(i)};
        enum xt_status status = xt_generation_find(generation, id, &found);
        if (status != XT_CORRUPT &&
            (status != XT_OK || found.found != (i < PEOPLE) ||
             (found.found && (found.hot.number != id.value || found.by_alias)))) {
            fail_msg("byte %zu: a wrong answer about person %u", at, i);
        }
        corrupt += status == XT_CORRUPT;
    }
    struct xt_id old = {.kind = XT_ID_PERSONAL, .value = 79190000001ULL};
    enum xt_status status = xt_generation_find(generation, old, &found);
    if (status != XT_CORRUPT && (status != XT_OK || !found.found)) {
        fail_msg("byte %zu: a wrong answer about a replaced number", at);
    }
    struct xt_links links;
    status = xt_generation_links(generation, PERSON_NUMBER(4), &links);
    if (status != XT_CORRUPT && (status != XT_OK || links.count != 1)) {
        fail_msg("byte %zu: wrong links", at);
    }
    return corrupt + (status == XT_CORRUPT);
}

static void a_flipped_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = map_data("identity/000001/data.mdb", &size);
    unsigned refused = 0;
    unsigned told = 0;
    /* A prime step under the sanitizers keeps the test short and still visits every kind of byte. */
#ifdef __SANITIZE_ADDRESS__
    const size_t step = 13;
#else
    const size_t step = 1;
#endif
    for (size_t at = 0; at < size; at += step) {
        struct xt_generation *generation = NULL;
        data[at] ^= (uint8_t)(1U << at % 8);
        enum xt_status status =
            xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure);
        if (status == XT_OK) {
            told += ask_everything(generation, at) > 0;
            xt_generation_close(generation);
        } else {
            assert_int_equal(status, XT_CORRUPT);
            refused++;
        }
        data[at] ^= (uint8_t)(1U << at % 8);
    }
    /* The tree's pages are refused at the door, the hot table's bytes show when asked about. */
    assert_true(refused > 5 * 4096 / step);
    assert_true(told > 5000 / step);
    munmap(data, size);
}

static void the_check_names_the_damaged_record(void **state)
{
    (void)state;
    size_t size;
    struct xt_check_report report;
    uint8_t *data = map_data("identity/000001/data.mdb", &size);
    unsigned hot = 0;
    unsigned cold = 0;
    unsigned digest_only = 0;
    for (size_t at = 8192; at < size; at += 61) {
        data[at] ^= 0x10;
        enum xt_status status =
            xt_generation_check(deployment(), 1, deployment_keyring(), NULL, &report, &failure);
        assert_int_equal(status, XT_CORRUPT);
        assert_true(report.damaged > 0);
        const struct xt_damage *first = &report.damages[0];
        if (report.listed == 0) {
            assert_non_null(strstr(failure.text, "tree pages"));
        } else if (first->table != NULL) {
            /* The flipped byte is in the place that is named, or just before it: its slot is. */
            bool in_hot = strcmp(first->table, "hot") == 0;
            assert_true(first->offset <= at + 20 || first->record != UINT32_MAX);
            assert_true(first->offset < size);
            hot += in_hot && strstr(failure.text, "table hot, page 0, record ") != NULL;
            cold += strstr(failure.text, "table cold, page 0, record ") != NULL;
        }
        digest_only += strstr(failure.text, "every record in it is sound") != NULL;
        data[at] ^= 0x10;
    }
    assert_true(hot > 50);
    assert_true(cold > 10);
    assert_true(digest_only > 0); /* unused ends of pages */
    munmap(data, size);
}

static void a_changed_manifest_is_refused(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = map_data("identity/000001/manifest", &size);
    for (size_t at = 0; at < size; at++) {
        struct xt_generation *generation = NULL;
        data[at] ^= (uint8_t)(1U << at % 8);
        enum xt_status status =
            xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure);
        assert_true(status == XT_CORRUPT || status == XT_UNSUPPORTED || status == XT_DENIED);
        data[at] ^= (uint8_t)(1U << at % 8);
    }
    munmap(data, size);
    xt_generation_close(open_served());
}

static void a_truncated_or_grown_file_is_refused(void **state)
{
    (void)state;
    size_t size;
    struct xt_generation *generation = NULL;
    uint8_t *data = map_data("identity/000001/data.mdb", &size);
    munmap(data, size);
    const char *path = deployment_path("identity/000001/data.mdb");
    char copy[XT_PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    uint8_t *content;
    assert_int_equal(xt_file_read(copy, 1U << 26, &content, &size, &failure), XT_OK);
    const size_t sizes[] = {0, 1, 4096, size - 4096, size - 1, size + 1, size + 4096};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(truncate(copy, (off_t)sizes[i]), 0);
        assert_int_equal(
            xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure),
            XT_CORRUPT);
        assert_non_null(strstr(failure.text, "import again"));
    }
    assert_int_equal(xt_file_write(copy, xt_span_of(content, size), 0400, true, &failure), XT_OK);
    xt_file_release(content, size);
    xt_generation_close(open_served());
}

static void another_master_key_does_not_open_it(void **state)
{
    (void)state;
    struct xt_keyring *other;
    struct xt_generation *generation = NULL;
    assert_int_equal(xt_keyring_create(deployment_path("other.keys"), &failure), XT_OK);
    assert_int_equal(xt_keyring_open(deployment_path("other.keys"), &other, &failure), XT_OK);
    assert_int_equal(xt_generation_open(deployment(), 1, other, &generation, &failure), XT_DENIED);
    assert_non_null(strstr(failure.text, "master.keys"));
    xt_keyring_close(other);
}

static void a_generation_under_another_number_is_refused(void **state)
{
    (void)state;
    struct xt_generation *generation = NULL;
    char from[XT_PATH_MAX];
    snprintf(from, sizeof(from), "%s", deployment_path("identity/000001"));
    assert_int_equal(rename(from, deployment_path("identity/000004")), 0);
    assert_int_equal(
        xt_generation_open(deployment(), 4, deployment_keyring(), &generation, &failure),
        XT_CORRUPT);
    assert_int_equal(
        xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure),
        XT_NOT_FOUND);
    assert_int_equal(rename(deployment_path("identity/000004"), from), 0);
}

static void what_is_served_is_read_from_the_link_only(void **state)
{
    (void)state;
    uint32_t number = 0;
    const char *current = deployment_path("identity/current");
    assert_int_equal(xt_generation_current(deployment(), &number, &failure), XT_OK);
    assert_int_equal(number, 1);
    const char *const bad[] = {"000001/", "../etc", "1", "0000001", "000000", "building-1-2"};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(unlink(current), 0);
        assert_int_equal(symlink(bad[i], current), 0);
        assert_int_equal(xt_generation_current(deployment(), &number, &failure), XT_CORRUPT);
    }
    assert_int_equal(unlink(current), 0);
    assert_int_equal(xt_generation_current(deployment(), &number, &failure), XT_NOT_FOUND);
    assert_non_null(strstr(failure.text, "xacthuc import"));
    assert_int_equal(symlink("000001", current), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_found_by_number),
        cmocka_unit_test(a_cmnd_finds_the_one_person_who_has_it),
        cmocka_unit_test(a_cmnd_of_several_people_is_unknown),
        cmocka_unit_test(the_two_kinds_of_numbers_are_not_mixed_up),
        cmocka_unit_test(a_replaced_number_finds_its_successor),
        cmocka_unit_test(whoever_is_not_found_gets_somebody_to_be_compared_with),
        cmocka_unit_test(links_come_from_the_cold_part),
        cmocka_unit_test(each_gives_people_and_not_replaced_numbers),
        cmocka_unit_test(a_sound_generation_passes_the_check),
        cmocka_unit_test(a_flipped_byte_is_refused_or_harmless),
        cmocka_unit_test(the_check_names_the_damaged_record),
        cmocka_unit_test(a_changed_manifest_is_refused),
        cmocka_unit_test(a_truncated_or_grown_file_is_refused),
        cmocka_unit_test(another_master_key_does_not_open_it),
        cmocka_unit_test(a_generation_under_another_number_is_refused),
        cmocka_unit_test(what_is_served_is_read_from_the_link_only),
    };
    const struct CMUnitTest larger[] = {cmocka_unit_test_setup_teardown(
        a_number_with_the_tag_of_another_is_not_taken_for_it, deployment_make, deployment_remove)};
    return cmocka_run_group_tests(tests, build_world, deployment_remove) +
           cmocka_run_group_tests(larger, NULL, NULL);
}
