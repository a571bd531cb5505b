/* The check on a generation of several pages: every damage in its place, all of them, and tables that do
 * not agree. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* Nor is a page hidden by it whose first record is damaged as well. */
static void a_damaged_header_hides_nothing_of_the_next_page(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    int fd = open_data();
    uint64_t places[] = {xt_table_file_offset(generation->file, XT_TABLE_HOT, 4) + 8, /* ordinal */
                         place_of(generation, XT_TABLE_HOT, 5, 0),
                         place_of(generation, XT_TABLE_HOT, 5, 7)};
    for (unsigned i = 0; i < 3; i++) {
        flip(fd, places[i]);
    }
    assert_int_equal(check(), XT_CORRUPT);
    assert_int_equal(report.listed, 3);
    assert_int_equal(report.damages[0].page, 4);
    assert_int_equal(report.damages[0].record, UINT32_MAX);
    assert_int_equal(report.damages[1].page, 5);
    assert_int_equal(report.damages[1].record, 0);
    assert_int_equal(report.damages[2].page, 5);
    assert_int_equal(report.damages[2].record, 7);
    for (unsigned i = 0; i < 3; i++) {
        flip(fd, places[i]);
    }
    assert_int_equal(check(), XT_OK);
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

/* By its own first finding, which is listed before the second part of the sweep begins: one processor, so
 * that there is no other part under way. */
static void an_interruption_in_the_middle_tells_what_was_found(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    int fd = open_data();
    cpu_set_t all, one;
    uint64_t place = place_of(generation, XT_TABLE_HOT, 3, 17);
    uint64_t later = place_of(generation, XT_TABLE_PHONE, 2, 3);
    const struct xt_check_plan plan = {
        .quiet = true, .interrupted = (volatile sig_atomic_t *)(volatile void *)&report.listed};
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
        }
    }
    flip(fd, place);
    flip(fd, later);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    enum xt_status status =
        xt_generation_check(deployment(), 1, deployment_keyring(), &plan, &report, &failure);
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    flip(fd, place);
    flip(fd, later);
    assert_int_equal(status, XT_CLOSED);
    assert_int_equal(report.damaged, 1);
    assert_int_equal(report.damages[0].page, 3);
    assert_int_equal(report.damages[0].record, 17);
    assert_string_equal(failure.text, "interrupted; the check is incomplete: 1 damaged place was "
                                      "found until then");
    close(fd);
    xt_generation_close(generation);
}

/* Runs the program with --json and interrupts it once its progress says that records are next. Gives its
 * exit status; out and err hold what it said. */
static int run_interrupted(char *out, char *err, size_t size)
{
    int outs[2], errs[2], status = 0;
    size_t got = 0, told = 0;
    ssize_t more;
    assert_int_equal(pipe2(outs, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errs, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(outs[1], 1);
        dup2(errs[1], 2);
        execl(program(), program(), "check", deployment(), "--json", (char *)NULL);
        _exit(127);
    }
    close(outs[1]);
    close(errs[1]);
    bool sent = false;
    while ((more = read(errs[0], err + told, size - 1 - told)) > 0) {
        told += (size_t)more;
        err[told] = 0;
        if (!sent && strstr(err, "reading the file: ") != NULL) {
            assert_int_equal(kill(child, SIGINT), 0);
            sent = true;
        }
    }
    while ((more = read(outs[0], out + got, size - 1 - got)) > 0) {
        got += (size_t)more;
    }
    out[got] = 0;
    assert_true(sent);
    close(outs[0]);
    close(errs[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Where it comes too early or too late for that, once more. */
static void a_signal_leaves_no_verdict(void **state)
{
    (void)state;
    static char out[1 << 14], err[1 << 14];
    struct xt_generation *generation = open_served();
    int fd = open_data();
    bool seen = false;
    for (uint32_t i = 0; i < 20; i++) {
        flip(fd, place_of(generation, XT_TABLE_HOT, 0, i));
    }
    for (unsigned i = 0; i < 100 && !seen; i++) {
        assert_int_equal(run_interrupted(out, err, sizeof(out)), 1);
        seen = strstr(err, "xacthuc check: interrupted; the check is incomplete: 20 damaged places "
                           "were found until then\n") != NULL;
        assert_true(seen || strstr(err, "xacthuc check: interrupted\n") != NULL ||
                    strstr(out, "\"sound\":false") != NULL);
    }
    assert_true(seen);
    assert_ptr_equal(strstr(out, "{\"generation\":1,\"incomplete\":true,\"damaged\":20,"
                                 "\"damages\":[{\"text\":\"the record does not open\""),
                     out);
    assert_null(strstr(out, "sound"));
    for (uint32_t i = 0; i < 20; i++) {
        flip(fd, place_of(generation, XT_TABLE_HOT, 0, i));
    }
    assert_int_equal(check(), XT_OK);
    close(fd);
    xt_generation_close(generation);
}

/* Only what was read and found damaged is called so. */
static void what_could_not_be_checked_is_not_called_damaged(void **state)
{
    (void)state;
    assert_int_equal(run("check", "DIR", "--json", "--quiet", "--generation", "9", NULL), 1);
    assert_string_equal(run_out, "");
    assert_ptr_equal(strstr(run_err, "xacthuc check: "), run_err);
    assert_ptr_equal(strchr(run_err, '\n'), run_err + strlen(run_err) - 1);
    /* Sealed under a key that this deployment does not have. */
    const char *keys = deployment_path("keys/master.keys"), *kept = deployment_path("keys/kept");
    assert_int_equal(rename(keys, kept), 0);
    assert_int_equal(xt_keyring_create(keys, &failure), XT_OK);
    assert_int_equal(run("check", "DIR", "--json", "--quiet", NULL), 1);
    assert_int_equal(rename(kept, keys), 0);
    assert_string_equal(run_out, "");
    assert_non_null(strstr(run_err, "key"));
    assert_int_equal(run("check", "DIR", "--json", "--quiet", NULL), 0);
    assert_non_null(strstr(run_out, "\"sound\":true"));
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
        cmocka_unit_test(a_damaged_header_hides_nothing_of_the_next_page),
        cmocka_unit_test(an_interruption_ends_it_at_once),
        cmocka_unit_test(an_interruption_in_the_middle_tells_what_was_found),
        cmocka_unit_test(a_signal_leaves_no_verdict),
        cmocka_unit_test(what_could_not_be_checked_is_not_called_damaged),
    };
    const struct CMUnitTest by_hand[] = {cmocka_unit_test(tables_that_do_not_agree_are_told_of)};
    return cmocka_run_group_tests(tests, build_world, deployment_remove) +
           cmocka_run_group_tests(by_hand, NULL, NULL);
}
