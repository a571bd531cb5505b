/* The check on a generation of several pages: every damage in its place, all of them, and tables that do
 * not agree. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/check.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/manifest.h"
#include "store/table_internal.h"
#include "store/table_writer.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 20000

static struct xt_failure failure;
static struct xt_check_report report;

static int build_world(void **state)
{
    deployment_make(state);
    build_people(0, PEOPLE);
    return 0;
}

static enum xt_status check(void)
{
    return xt_generation_check(deployment(), 1, deployment_keyring(), NULL, &report, &failure);
}

static int open_data(void)
{
    const char *path = deployment_path("identity/000001/data.mdb");
    assert_int_equal(chmod(deployment_path("identity/000001"), 0700), 0);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void flip(int fd, uint64_t at)
{
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

/* Where record `index` of a page is in the file. */
static uint64_t place_of(const struct xt_generation *generation, unsigned table, uint32_t number,
                         uint32_t index)
{
    struct xt_page page = {0};
    assert_true(xt_page_read(generation->tables[table], number, &page) && index < page.count);
    return xt_table_file_offset(generation->file, table, number) + xt_page_offset(&page, index);
}

static void every_damage_is_listed_in_its_place(void **state)
{
    (void)state;
    static const struct {
        unsigned table;
        uint32_t page, index;
    } spots[] = {{XT_TABLE_HOT, 3, 0},  {XT_TABLE_HOT, 3, 17},   {XT_TABLE_HOT, 5, 1},
                 {XT_TABLE_COLD, 0, 9}, {XT_TABLE_ALIAS, 1, 40}, {XT_TABLE_PHONE, 2, 3}};
    enum { SPOTS = sizeof(spots) / sizeof(spots[0]) };
    uint64_t places[SPOTS];
    struct xt_generation *generation = open_served();
    int fd = open_data();
    assert_int_equal(check(), XT_OK);
    assert_int_equal(report.people, PEOPLE);
    for (unsigned i = 0; i < SPOTS; i++) {
        places[i] = place_of(generation, spots[i].table, spots[i].page, spots[i].index);
        flip(fd, places[i]);
    }
    assert_int_equal(check(), XT_CORRUPT);
    assert_int_equal(report.damaged, SPOTS);
    assert_int_equal(report.listed, SPOTS);
    for (unsigned i = 0; i < SPOTS; i++) {
        const struct xt_damage *damage = &report.damages[i];
        assert_string_equal(damage->table, xt_table_name(spots[i].table));
        assert_int_equal(damage->page, spots[i].page);
        assert_int_equal(damage->record, spots[i].index);
        assert_int_equal(damage->offset, places[i]);
        assert_string_equal(damage->what, "the record does not open");
        flip(fd, places[i]);
    }
    assert_int_equal(check(), XT_OK);
    close(fd);
    xt_generation_close(generation);
}

/* The page after it is not blamed for it. */
static void a_damaged_header_is_of_its_own_page_only(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    int fd = open_data();
    for (unsigned at = 0; at < XT_PAGE_HEADER; at++) {
        uint64_t place = xt_table_file_offset(generation->file, XT_TABLE_HOT, 4) + at;
        flip(fd, place);
        assert_int_equal(check(), XT_CORRUPT);
        for (unsigned i = 0; i < report.listed; i++) {
            assert_string_equal(report.damages[i].table, "hot");
            assert_int_equal(report.damages[i].page, 4);
        }
        assert_true(report.listed > 0);
        flip(fd, place);
    }
    close(fd);
    xt_generation_close(generation);
}

static void more_than_the_list_holds_are_counted(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    int fd = open_data();
    uint32_t pages = 0;
    uint64_t records = 0;
    for (; records <= XT_CHECK_LISTED_MAX; pages++) {
        struct xt_page page = {0};
        assert_true(xt_page_read(generation->tables[XT_TABLE_HOT], pages, &page));
        for (uint32_t i = 0; i < page.count; i++) {
            flip(fd, place_of(generation, XT_TABLE_HOT, pages, i));
        }
        records += page.count;
    }
    assert_int_equal(check(), XT_CORRUPT);
    assert_int_equal(report.damaged, records);
    assert_int_equal(report.listed, XT_CHECK_LISTED_MAX);
    assert_int_equal(run("check", "DIR", "--quiet", NULL), 1);
    char text[64];
    snprintf(text, sizeof(text), "is damaged in %u places; restore", (unsigned)records);
    assert_non_null(strstr(run_err, text));
    while (pages-- > 0) {
        struct xt_page page = {0};
        assert_true(xt_page_read(generation->tables[XT_TABLE_HOT], pages, &page));
        for (uint32_t i = 0; i < page.count; i++) {
            flip(fd, place_of(generation, XT_TABLE_HOT, pages, i));
        }
    }
    assert_int_equal(check(), XT_OK);
    close(fd);
    xt_generation_close(generation);
}

static void an_interruption_ends_it_at_once(void **state)
{
    (void)state;
    volatile sig_atomic_t interrupted = SIGINT;
    const struct xt_check_plan plan = {.quiet = true, .interrupted = &interrupted};
    assert_int_equal(
        xt_generation_check(deployment(), 1, deployment_keyring(), &plan, &report, &failure),
        XT_CLOSED);
    assert_string_equal(failure.text, "interrupted");
}

/* ---- tables that do not agree ----------------------------------------------------------------
 *
 * The builder cannot be made to write such: a generation of three people is written by hand here. */

enum fault {
    NONE,
    CMND_OF_NOBODY,     /* an alias names a number that is not there */
    CMND_OF_ANOTHER,    /* or somebody who has another one */
    CMND_LEFT_OUT,      /* a person's CMND has no alias */
    PHONE_OF_ANOTHER,   /* a phone names somebody who does not have it */
    PHONE_LEFT_OUT,     /* a person's phone has no record */
    REPLACED_BY_NOBODY, /* a replaced number names nobody */
    REPLACED_LEFT_OUT,  /* the cold part tells of one that is not in the hot table */
    NO_COLD_PART,       /* the hot part has documents, and there is no cold part */
    NO_HOT_PART,        /* a cold part without a person */
    MISPLACED,          /* a record under another's hash */
    FAULTS
};

static const char *const words[FAULTS] = {
    [CMND_OF_NOBODY] = "alias: it names somebody who does not have this CMND",
    [CMND_OF_ANOTHER] = "alias: it names somebody who does not have this CMND",
    [CMND_LEFT_OUT] = "hot: its CMND does not lead to it",
    [PHONE_OF_ANOTHER] = "phone: it names somebody who does not have this phone",
    [PHONE_LEFT_OUT] = "hot: a phone of its does not lead to it",
    [REPLACED_BY_NOBODY] = "hot: a replaced number names nobody",
    [REPLACED_LEFT_OUT] = "cold: a number that it replaced does not lead to it",
    [NO_COLD_PART] = "hot: its cold part does not fit",
    [NO_HOT_PART] = "cold: its hot part is missing",
    [MISPLACED] = "hot: the record is not where it belongs",
};

#define OLD_NUMBER 79190000001ULL
#define NOBODY 96090000009ULL

struct entry {
    unsigned table;
    struct xt_hash hash;
    size_t size;
    uint8_t bytes[2048];
};

struct by_hand {
    uint8_t hash_key[XT_KEY_BYTES];
    unsigned count;
    struct entry entries[32];
};

static struct xt_id id_of(enum xt_id_kind kind, uint64_t value)
{
    return (struct xt_id){.kind = kind, .value = value};
}

static struct xt_writer begin(struct by_hand *world, unsigned table, struct xt_id id)
{
    struct entry *entry = &world->entries[world->count];
    entry->table = table;
    entry->hash = xt_key_hash(world->hash_key, id);
    return xt_writer_over(entry->bytes, sizeof(entry->bytes));
}

static void put(struct by_hand *world, const struct xt_writer *writer)
{
    assert_false(writer->overflow);
    world->entries[world->count++].size = writer->size;
}

static void put_alias(struct by_hand *world, unsigned table, struct xt_id old, uint64_t number)
{
    struct xt_alias alias = {.old = old, .count = 1, .people = {number}};
    struct xt_writer writer = begin(world, table, old);
    if (table == XT_TABLE_HOT) {
        xt_write_byte(&writer, XT_REDIRECT_MARK);
    }
    xt_alias_encode(&alias, &writer);
    put(world, &writer);
}

static int compare_entries(const void *first, const void *second)
{
    const struct entry *a = first, *b = second;
    return a->table != b->table           ? (a->table < b->table ? -1 : 1)
           : a->hash.high != b->hash.high ? (a->hash.high < b->hash.high ? -1 : 1)
                                          : 0;
}

/* Person 0 has everything, 1 and 2 little. */
static void write_people(struct by_hand *world, enum fault fault)
{
    struct xt_person people[3];
    for (unsigned i = 0; i < 3; i++) {
        make_person(i, &people[i]);
    }
    struct xt_person *first = &people[0];
    assert_true(first->has_cmnd && first->link_count == 1 && first->phone_count == 1);
    first->replaced_count = 1;
    first->replaced[0] = OLD_NUMBER;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t number = people[i].number;
        uint64_t home = fault == MISPLACED && i == 2 ? NOBODY : number;
        struct xt_writer writer = begin(world, XT_TABLE_HOT, id_of(XT_ID_PERSONAL, home));
        xt_hot_encode(&people[i], &writer);
        put(world, &writer);
        for (unsigned j = 0; j < people[i].phone_count; j++) {
            if (fault != PHONE_LEFT_OUT || i != 0) {
                put_alias(world, XT_TABLE_PHONE, id_of(XT_ID_PHONE, people[i].phones[j]),
                          fault == PHONE_OF_ANOTHER && i == 1 ? people[2].number : number);
            }
        }
    }
    if (fault != NO_COLD_PART) {
        struct xt_writer writer = begin(world, XT_TABLE_COLD, id_of(XT_ID_PERSONAL, first->number));
        xt_cold_encode(first, &writer);
        put(world, &writer);
    }
    if (fault == NO_HOT_PART) {
        struct xt_person stray = *first;
        stray.number = NOBODY;
        struct xt_writer writer = begin(world, XT_TABLE_COLD, id_of(XT_ID_PERSONAL, NOBODY));
        xt_cold_encode(&stray, &writer);
        put(world, &writer);
    }
    if (fault != CMND_LEFT_OUT) {
        put_alias(world, XT_TABLE_ALIAS, id_of(XT_ID_CMND, first->cmnd), first->number);
    }
    if (fault == CMND_OF_NOBODY || fault == CMND_OF_ANOTHER) {
        put_alias(world, XT_TABLE_ALIAS, id_of(XT_ID_CMND, 777777777),
                  fault == CMND_OF_NOBODY ? NOBODY : people[1].number);
    }
    if (fault != REPLACED_LEFT_OUT) {
        put_alias(world, XT_TABLE_HOT, id_of(XT_ID_PERSONAL, OLD_NUMBER),
                  fault == REPLACED_BY_NOBODY ? NOBODY : first->number);
    }
}

static void write_table(const struct by_hand *world, unsigned table, struct xt_manifest *manifest,
                        struct xt_table_file *file)
{
    struct xt_sealer *sealer;
    struct xt_table_writer writer = {.sealer = NULL};
    uint8_t key[XT_KEY_BYTES];
    assert_int_equal(xt_keyring_derive(deployment_keyring(), manifest->key_id,
                                       XT_USE_GENERATION_SEAL, table, manifest->salt, key),
                     XT_OK);
    assert_int_equal(xt_sealer_open(key, &sealer), XT_OK);
    xt_table_writer_start(&writer, sealer, 1, 0, 1, 0);
    for (unsigned i = 0; i < world->count; i++) {
        const struct entry *entry = &world->entries[i];
        if (entry->table == table) {
            assert_int_equal(xt_table_writer_add(&writer, entry->hash.high,
                                                 xt_span_of(entry->bytes, entry->size), &failure),
                             XT_OK);
        }
    }
    assert_int_equal(xt_table_writer_finish(&writer, &failure), XT_OK);
    assert_int_equal(xt_table_writer_store(&writer, file, table, &failure), XT_OK);
    manifest->tables[table] = writer.totals;
    xt_table_writer_end(&writer);
    xt_sealer_close(sealer);
}

/* Generation 1 of a new deployment. */
static void write_world(enum fault fault)
{
    static struct by_hand world;
    struct xt_manifest manifest = {.version = XT_MANIFEST_VERSION, .number = 1, .people = 3};
    struct xt_structure structure;
    struct xt_table_file *file;
    char folder[XT_PATH_MAX], path[XT_PATH_MAX];
    world.count = 0;
    manifest.key_id = xt_keyring_current(deployment_keyring());
    manifest.made_unix_ms = 1;
    assert_int_equal(xt_keyring_derive(deployment_keyring(), manifest.key_id,
                                       XT_USE_GENERATION_HASH, 0, manifest.salt, world.hash_key),
                     XT_OK);
    write_people(&world, fault);
    qsort(world.entries, world.count, sizeof(world.entries[0]), compare_entries);
    assert_int_equal(xt_identity_path(deployment(), "000001", folder, &failure), XT_OK);
    assert_int_equal(xt_path_join(path, folder, XT_DATA_NAME), XT_OK);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(xt_table_file_create(path, 1U << 20, &file, &failure), XT_OK);
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        write_table(&world, i, &manifest, file);
    }
    assert_int_equal(xt_table_file_finish(file, &failure), XT_OK);
    xt_table_file_close(file);
    manifest.replaced = manifest.tables[XT_TABLE_HOT].records - manifest.people;
    manifest.aliases = manifest.tables[XT_TABLE_ALIAS].records;
    manifest.phones = manifest.tables[XT_TABLE_PHONE].records;
    assert_int_equal(xt_table_file_survey(path, NULL, &manifest.file_bytes, manifest.digest,
                                          &structure, &failure),
                     XT_OK);
    assert_int_equal(
        xt_manifest_write(folder, &manifest, &structure, deployment_keyring(), &failure), XT_OK);
    xt_structure_free(&structure);
}

static void tables_that_do_not_agree_are_told_of(void **state)
{
    for (enum fault fault = NONE; fault < FAULTS; fault++) {
        deployment_make(state);
        write_world(fault);
        enum xt_status status = check();
        if (fault == NONE && status != XT_OK) {
            fail_msg("%s", failure.text);
        }
        bool told = fault == NONE;
        for (unsigned i = 0; i < report.listed; i++) {
            char text[256];
            snprintf(text, sizeof(text), "%s: %s", report.damages[i].table, report.damages[i].what);
            told = told || strcmp(text, words[fault]) == 0;
        }
        if (!told || status != (fault == NONE ? XT_OK : XT_CORRUPT)) {
            fail_msg("fault %d is not told of as \"%s\": %s", (int)fault, words[fault],
                     failure.text);
        }
        deployment_remove(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damage_is_listed_in_its_place),
        cmocka_unit_test(a_damaged_header_is_of_its_own_page_only),
        cmocka_unit_test(more_than_the_list_holds_are_counted),
        cmocka_unit_test(an_interruption_ends_it_at_once),
    };
    const struct CMUnitTest by_hand[] = {cmocka_unit_test(tables_that_do_not_agree_are_told_of)};
    return cmocka_run_group_tests(tests, build_world, deployment_remove) +
           cmocka_run_group_tests(by_hand, NULL, NULL);
}
