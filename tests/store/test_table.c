#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/table_page.h"
#include "store/table_writer.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static const uint8_t key[32] = {1, 2, 3};
static uint8_t record[XT_RECORD_MAX];

/* A file with one table of records, read back. */
struct built {
    struct xt_table_file *file;
    struct xt_table *table;
    uint32_t pages;
    struct xt_table_sizes sizes;
};

/* Record i: its number and some filling that depends on it. */
static struct xt_span record_of(uint32_t i)
{
    static uint8_t text[200];
    size_t size = 8 + i % 100;
    memset(text, (int)(i & 0xff), sizeof(text));
    memcpy(text, &i, 4);
    return xt_span_of(text, size);
}

static struct built build(const struct xt_hash *hashes, uint32_t count, uint32_t pages)
{
    struct built built = {.pages = pages};
    struct xt_failure failure = {.text = ""};
    struct xt_table_writer writer = {.page = 0};
    struct xt_sealer *sealer = NULL;
    struct xt_structure structure;
    uint8_t digest[XT_DIGEST_BYTES];
    uint64_t bytes;
    const char *path = deployment_path("table.mdb");
    uint32_t page_counts[XT_TABLE_COUNT] = {pages, 1, 1, 1};
    assert_int_equal(xt_sealer_open(key, &sealer), XT_OK);
    assert_int_equal(xt_table_file_create(path, 1U << 26, &built.file, &failure), XT_OK);
    for (unsigned table = 0; table < XT_TABLE_COUNT; table++) {
        uint32_t runs = page_counts[table] % 4 == 0 ? 4 : 1; /* written one after the other */
        uint32_t run = page_counts[table] / runs;
        uint64_t ordinal = 0;
        uint32_t i = 0;
        for (uint32_t first = 0; first < page_counts[table]; first += run) {
            xt_table_writer_start(&writer, sealer, page_counts[table], first, first + run, ordinal);
            for (; table == XT_TABLE_HOT && i < count &&
                   xt_page_place(hashes[i], pages).page < first + run;
                 i++) {
                assert_int_equal(
                    xt_table_writer_add(&writer, hashes[i].high, record_of(i), &failure), XT_OK);
            }
            assert_int_equal(xt_table_writer_finish(&writer, &failure), XT_OK);
            assert_int_equal(xt_table_writer_store(&writer, built.file, table, &failure), XT_OK);
            ordinal = writer.ordinal;
            if (table == XT_TABLE_HOT) {
                built.sizes.records += writer.totals.records;
                built.sizes.pages += writer.totals.pages;
                built.sizes.disk_bytes += writer.totals.disk_bytes;
            }
        }
    }
    xt_table_writer_end(&writer);
    xt_sealer_close(sealer);
    assert_int_equal(xt_table_file_finish(built.file, &failure), XT_OK);
    xt_table_file_close(built.file);
    assert_int_equal(xt_table_file_survey(path, NULL, &bytes, digest, &structure, &failure), XT_OK);
    assert_int_equal(
        xt_table_file_open(path, bytes, &structure, page_counts, &built.file, &failure), XT_OK);
    xt_structure_free(&structure);
    assert_int_equal(xt_table_open(xt_table_file_pages(built.file, XT_TABLE_HOT), pages,
                                   built.sizes, key, &built.table),
                     XT_OK);
    return built;
}

static void tear_down(struct built *built)
{
    xt_table_close(built->table);
    xt_table_file_close(built->file);
    unlink(deployment_path("table.mdb"));
}

/* Finds record i by stepping, as readers of records do. */
static enum xt_status get(struct xt_table *table, struct xt_hash hash, uint32_t i)
{
    uint32_t cursor = 0;
    for (;;) {
        size_t size = 0;
        enum xt_status status = xt_table_get(table, hash, &cursor, record, &size);
        if (status != XT_OK) {
            return status;
        }
        struct xt_span expected = record_of(i);
        if (xt_span_equal(xt_span_of(record, size), expected)) {
            return XT_OK;
        }
    }
}

static enum xt_status count_sound(void *context, struct xt_table_place place, enum xt_status status,
                                  struct xt_span opened)
{
    uint32_t *count = context;
    (void)place;
    *count += status == XT_OK && opened.size > 0;
    return XT_OK;
}

static uint32_t walk(struct xt_table *table)
{
    uint32_t count = 0;
    assert_int_equal(xt_table_walk(table, count_sound, &count), XT_OK);
    return count;
}

static struct xt_hash hash_at(uint64_t high)
{
    return (struct xt_hash){.high = high, .low = 7};
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    for (uint32_t pages = 1; pages < 4; pages++) {
        struct built built = build(NULL, 0, pages);
        assert_int_equal(built.sizes.records, 0);
        for (unsigned i = 0; i < 64; i++) {
            assert_int_equal(get(built.table, hash_at((uint64_t)i << 58), 0), XT_NOT_FOUND);
        }
        assert_int_equal(get(built.table, hash_at(UINT64_MAX), 0), XT_NOT_FOUND);
        assert_int_equal(walk(built.table), 0);
        tear_down(&built);
    }
}

static void one_and_two_records_are_found_at_the_ends_of_the_range(void **state)
{
    (void)state;
    const struct xt_hash hashes[] = {hash_at(0), hash_at(UINT64_MAX)};
    for (uint32_t count = 1; count <= 2; count++) {
        struct built built = build(hashes, count, 1);
        assert_int_equal(get(built.table, hashes[0], 0), XT_OK);
        assert_int_equal(get(built.table, hashes[1], 1), count == 2 ? XT_OK : XT_NOT_FOUND);
        assert_int_equal(get(built.table, hash_at(1ULL << 33), 0), XT_NOT_FOUND);
        assert_int_equal(walk(built.table), count);
        tear_down(&built);
    }
}

static int compare_hashes(const void *a, const void *b)
{
    const struct xt_hash *left = a;
    const struct xt_hash *right = b;
    return left->high < right->high ? -1 : left->high > right->high;
}

static void all_of_100000_are_found_and_others_are_not(void **state)
{
    (void)state;
    const uint32_t count = 100000;
    struct xt_hash *hashes = malloc(count * sizeof(*hashes));
    assert_non_null(hashes);
    xt_random(hashes, count * sizeof(*hashes));
    qsort(hashes, count, sizeof(*hashes), compare_hashes);
    uint32_t runs;
    struct built built =
        build(hashes, count, xt_table_page_count(count, count * 58ULL, 256, &runs));
    assert_in_range(built.pages, 100, 200);
    assert_int_equal(runs, 4);
    assert_int_equal(built.pages % runs, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (get(built.table, hashes[i], i) != XT_OK) {
            fail_msg("record %u", i);
        }
        struct xt_hash other;
        xt_random(&other, sizeof(other));
        if (get(built.table, other, UINT32_MAX) != XT_NOT_FOUND) {
            fail_msg("a random hash was found or did not open");
        }
    }
    assert_int_equal(walk(built.table), count);
    tear_down(&built);
    free(hashes);
}

static void records_with_equal_tags_are_all_reached(void **state)
{
    (void)state;
    struct xt_hash hashes[40];
    for (uint32_t i = 0; i < 40; i++) { /* runs of equal tags; the low halves would differ */
        hashes[i] = hash_at((uint64_t)(i / 10 + 1) << 60 | i);
    }
    struct built built = build(hashes, 40, 1);
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(get(built.table, hashes[i], i), XT_OK);
        assert_int_equal(get(built.table, hashes[i], 77),
                         XT_NOT_FOUND); /* steps through and ends */
    }
    tear_down(&built);
}

static void pages_without_records_say_so(void **state)
{
    (void)state;
    const struct xt_hash hashes[] = {hash_at(1), hash_at(UINT64_MAX)};
    struct built built = build(hashes, 2, 50);
    assert_int_equal(get(built.table, hashes[0], 0), XT_OK);
    assert_int_equal(get(built.table, hashes[1], 1), XT_OK);
    for (unsigned i = 1; i < 99; i++) {
        assert_int_equal(get(built.table, hash_at(UINT64_MAX / 100 * i), 0), XT_NOT_FOUND);
    }
    assert_int_equal(get(built.table, hash_at(UINT64_MAX / 2 & ~(uint64_t)0xffffffff), 0),
                     XT_NOT_FOUND);
    assert_int_equal(walk(built.table), 2);
    tear_down(&built);
}

/* The promise of the format: whatever byte of a page is changed, every key still gets its right answer
 * or XT_CORRUPT: never another record, and never "not there". */
static void a_flipped_byte_never_gives_a_wrong_answer(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    struct xt_hash hashes[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        hashes[i] = hash_at(i < 6 ? (uint64_t)5 << 56 | i : (uint64_t)i << 58);
    }
    qsort(hashes, COUNT, sizeof(hashes[0]), compare_hashes);
    struct built built = build(hashes, COUNT, 1);
    struct xt_span sound = xt_table_file_pages(built.file, XT_TABLE_HOT)[0];
    uint8_t *page = malloc(sound.size);
    assert_non_null(page);
    memcpy(page, sound.data, sound.size);
    struct xt_span changed = xt_span_of(page, sound.size);
    struct xt_table *table;
    assert_int_equal(xt_table_open(&changed, 1, built.sizes, key, &table), XT_OK);
    unsigned refused = 0;
    for (size_t at = 0; at < sound.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            page[at] ^= (uint8_t)(1U << bit);
            unsigned here = 0;
            for (uint32_t i = 0; i < COUNT; i++) {
                enum xt_status status = get(table, hashes[i], i);
                here += status == XT_CORRUPT;
                if (status != XT_OK && status != XT_CORRUPT) {
                    fail_msg("byte %zu bit %u: record %u is said not to be there", at, bit, i);
                }
            }
            for (uint64_t absent = 1; absent < 64; absent += 7) {
                enum xt_status status = get(table, hash_at(absent << 58 | 1ULL << 40), COUNT);
                if (status != XT_NOT_FOUND && status != XT_CORRUPT) {
                    fail_msg("byte %zu bit %u: something is found that is not there", at, bit);
                }
            }
            refused += here > 0;
            page[at] ^= (uint8_t)(1U << bit);
        }
    }
    assert_int_equal(refused, sound.size * 8);         /* no byte is without a guard */
    for (size_t size = 0; size < sound.size; size++) { /* cut off */
        changed = xt_span_of(page, size);
        for (uint32_t i = 0; i < COUNT; i++) {
            enum xt_status status = get(table, hashes[i], i);
            assert_true(status == XT_OK || status == XT_CORRUPT);
        }
    }
    xt_table_close(table);
    free(page);
    tear_down(&built);
}

/* A damaged header that a lookup has seen is not remembered: the file may be mended under the reader. */
static void a_mended_header_is_believed_again(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    struct xt_hash hashes[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        hashes[i] = hash_at((uint64_t)i << 58);
    }
    struct built built = build(hashes, COUNT, 1);
    struct xt_span sound = xt_table_file_pages(built.file, XT_TABLE_HOT)[0];
    uint8_t *page = malloc(sound.size);
    assert_non_null(page);
    memcpy(page, sound.data, sound.size);
    struct xt_span changed = xt_span_of(page, sound.size);
    for (unsigned at = 0; at < XT_PAGE_HEADER; at++) {
        struct xt_table *table;
        assert_int_equal(xt_table_open(&changed, 1, built.sizes, key, &table), XT_OK);
        page[at] ^= 1;
        assert_int_equal(get(table, hashes[COUNT - 1], COUNT - 1), XT_CORRUPT);
        page[at] ^= 1;
        for (uint32_t i = 0; i < COUNT; i++) {
            assert_int_equal(get(table, hashes[i], i), XT_OK);
        }
        xt_table_close(table);
    }
    free(page);
    tear_down(&built);
}

static void a_page_in_the_place_of_another_is_refused(void **state)
{
    (void)state;
    struct xt_hash hashes[200];
    for (uint32_t i = 0; i < 200; i++) {
        hashes[i] = hash_at(UINT64_MAX / 200 * i);
    }
    struct built built = build(hashes, 200, 2);
    const struct xt_span *pages = xt_table_file_pages(built.file, XT_TABLE_HOT);
    struct xt_span swapped[2] = {pages[1], pages[0]};
    struct xt_table *table;
    assert_int_equal(xt_table_open(swapped, 2, built.sizes, key, &table), XT_OK);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(get(table, hashes[i], i), XT_CORRUPT);
    }
    xt_table_close(table);
    uint8_t other_key[32] = {9};
    assert_int_equal(xt_table_open(pages, 2, built.sizes, other_key, &table), XT_OK);
    assert_int_equal(get(table, hashes[0], 0), XT_CORRUPT);
    assert_int_equal(walk(table), 0);
    xt_table_close(table);
    tear_down(&built);
}

static void the_largest_record_fits(void **state)
{
    (void)state;
    struct xt_failure failure = {.text = ""};
    struct xt_table_file *file;
    struct xt_table_writer writer = {.page = 0};
    struct xt_sealer *sealer = NULL;
    uint8_t *large = malloc(XT_RECORD_MAX);
    assert_non_null(large);
    memset(large, 0x5a, XT_RECORD_MAX);
    const char *path = deployment_path("large.mdb");
    assert_int_equal(xt_table_file_create(path, 1U << 26, &file, &failure), XT_OK);
    assert_int_equal(xt_sealer_open(key, &sealer), XT_OK);
    xt_table_writer_start(&writer, sealer, 1, 0, 1, 0);
    for (uint64_t i = 0; i < 100; i++) { /* a page far above the usual size */
        assert_int_equal(
            xt_table_writer_add(&writer, i << 50, xt_span_of(large, XT_RECORD_MAX), &failure),
            XT_OK);
    }
    assert_int_equal(xt_table_writer_finish(&writer, &failure), XT_OK);
    assert_int_equal(xt_table_writer_store(&writer, file, XT_TABLE_COLD, &failure), XT_OK);
    assert_int_equal(writer.totals.records, 100);
    assert_true(writer.totals.disk_bytes > 100 * XT_RECORD_MAX);
    xt_table_writer_end(&writer);
    xt_sealer_close(sealer);
    assert_int_equal(xt_table_file_finish(file, &failure), XT_OK);
    xt_table_file_close(file);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(one_and_two_records_are_found_at_the_ends_of_the_range),
        cmocka_unit_test(all_of_100000_are_found_and_others_are_not),
        cmocka_unit_test(records_with_equal_tags_are_all_reached),
        cmocka_unit_test(pages_without_records_say_so),
        cmocka_unit_test(a_flipped_byte_never_gives_a_wrong_answer),
        cmocka_unit_test(a_mended_header_is_believed_again),
        cmocka_unit_test(a_page_in_the_place_of_another_is_refused),
        cmocka_unit_test(the_largest_record_fits),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
