#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "store/sort.h"
#include "store/spill.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;

static struct xt_spill *open_spill(void)
{
    struct xt_spill *spill = NULL;
    assert_int_equal(xt_spill_open(deployment(), &spill, &failure), XT_OK);
    return spill;
}

static struct xt_spill_writer *open_writer(struct xt_spill *spill)
{
    struct xt_spill_writer *writer = NULL;
    assert_int_equal(xt_spill_writer_open(spill, &writer, &failure), XT_OK);
    return writer;
}

/* Hash, size and bytes of record i follow from i. */
static uint64_t high_of(uint64_t i)
{
    return i * 0x9e3779b97f4a7c15ULL;
}

static size_t size_of(uint64_t i)
{
    return i % 5000 == 4999 ? XT_SPILL_PAYLOAD_MAX : i % 200;
}

static void fill(uint64_t i, uint8_t *payload)
{
    memset(payload, (int)(i % 251), size_of(i));
}

static void add(struct xt_spill_writer *writer, uint64_t i)
{
    static uint8_t payload[XT_SPILL_PAYLOAD_MAX];
    fill(i, payload);
    assert_int_equal(xt_spill_add(writer, high_of(i), i, i + 1, (uint8_t)(i % 4),
                                  xt_span_of(payload, size_of(i)), &failure),
                     XT_OK);
}

static void assert_is_record(const struct xt_spill_load *load, const struct xt_spilled *record)
{
    static uint8_t payload[XT_SPILL_PAYLOAD_MAX];
    uint64_t i = record->key;
    fill(i, payload);
    assert_int_equal(record->high, high_of(i));
    assert_int_equal(xt_spilled_line(record), i + 1);
    assert_int_equal(xt_spilled_marks(record), i % 4);
    assert_int_equal(xt_spilled_size(record), size_of(i));
    assert_memory_equal(xt_spill_payload(load, record), payload, size_of(i));
}

static void what_several_writers_add_comes_back_by_parts(void **state)
{
    (void)state;
    const uint64_t count = 60000;
    struct xt_spill *spill = open_spill();
    struct xt_spill_writer *writers[3];
    struct xt_spill_load load;
    memset(&load, 0, sizeof(load));
    for (unsigned i = 0; i < 3; i++) {
        writers[i] = open_writer(spill);
    }
    for (uint64_t i = 0; i < count; i++) {
        add(writers[i % 3], i);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(xt_spill_flush(writers[i], &failure), XT_OK);
        xt_spill_writer_close(writers[i]);
    }
    assert_int_equal(xt_spill_totals(spill).records, count);
    uint64_t seen = 0;
    for (unsigned from = 0; from < XT_SPILL_PARTS; from += 8) {
        size_t got;
        assert_int_equal(xt_spill_read(spill, from, from + 8, &load, &failure), XT_OK);
        struct xt_spilled *records = xt_spill_records(&load, &got);
        xt_sort_entries(records, got, sizeof(*records));
        for (size_t i = 0; i < got; i++) {
            assert_in_range(records[i].high >> 56, from, from + 7);
            assert_true(i == 0 || records[i - 1].high < records[i].high);
            assert_is_record(&load, &records[i]);
        }
        seen += got;
    }
    assert_int_equal(seen, count);
    xt_spill_load_free(&load);
    xt_spill_close(spill);
    assert_int_equal(count_names("", "sorting-"), 0);
}

/* The spill's file has no name: it is the descriptor that is opened next. */
static int next_descriptor(void)
{
    int next = dup(STDIN_FILENO);
    close(next);
    return next;
}

static void nothing_of_it_can_be_read_on_disk_or_changed(void **state)
{
    (void)state;
    int fd = next_descriptor();
    struct xt_spill *spill = open_spill();
    struct xt_spill_writer *writer = open_writer(spill);
    struct xt_spill_load load;
    const char text[] = "Nguyen Van An, 001099012345, +84912345678";
    static uint8_t content[1U << 20];
    memset(&load, 0, sizeof(load));
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(xt_spill_add(writer, 0, i, 1, 0, xt_span_of(text, sizeof(text)), &failure),
                         XT_OK);
    }
    assert_int_equal(xt_spill_flush(writer, &failure), XT_OK);
    ssize_t size = pread(fd, content, sizeof(content), 0);
    assert_true(size > 1000 * (ssize_t)sizeof(text));
    assert_null(memmem(content, (size_t)size, "Nguyen", 6));
    assert_null(memmem(content, (size_t)size, "0010990", 7));
    assert_int_equal(xt_spill_read(spill, 0, 1, &load, &failure), XT_OK);
    const off_t places[] = {0, 1000, size - 1};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, places[i]), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
        assert_int_equal(xt_spill_read(spill, 0, 1, &load, &failure), XT_CORRUPT);
        assert_non_null(strstr(failure.text, "check the disk"));
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
    }
    assert_int_equal(xt_spill_read(spill, 0, 1, &load, &failure), XT_OK);
    assert_int_equal(ftruncate(fd, size - 1), 0);
    assert_int_equal(xt_spill_read(spill, 0, 1, &load, &failure), XT_CORRUPT);
    xt_spill_load_free(&load);
    xt_spill_writer_close(writer);
    xt_spill_close(spill);
}

/* Each opens on its own: that it opens in the other's place is what must not be. */
static void blocks_that_changed_places_are_told(void **state)
{
    (void)state;
    int fd = next_descriptor();
    struct xt_spill *spill = open_spill();
    struct xt_spill_writer *writer = open_writer(spill);
    struct xt_spill_load load;
    static uint8_t blocks[2][XT_SPILL_BLOCK + 64];
    uint8_t payload[100] = {0};
    const unsigned each = XT_SPILL_BLOCK / (24 + sizeof(payload));
    memset(&load, 0, sizeof(load));
    for (unsigned i = 0; i < 2 * each; i++) {
        assert_int_equal(
            xt_spill_add(writer, i, i, i + 1, 0, xt_span_of(payload, sizeof(payload)), &failure),
            XT_OK);
    }
    assert_int_equal(xt_spill_flush(writer, &failure), XT_OK);
    ssize_t size = (ssize_t)xt_spill_totals(spill).disk_bytes / 2;
    assert_in_range(size, (ssize_t)(XT_SPILL_BLOCK / 2), (ssize_t)sizeof(blocks[0]));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pread(fd, blocks[i], (size_t)size, i * size), size);
    }
    assert_int_equal(pread(fd, payload, 1, 2 * size), 0); /* two blocks, equally large */
    assert_int_equal(xt_spill_read(spill, 0, 1, &load, &failure), XT_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pwrite(fd, blocks[1 - i], (size_t)size, i * size), size);
    }
    assert_int_equal(xt_spill_read(spill, 0, 1, &load, &failure), XT_CORRUPT);
    xt_spill_load_free(&load);
    xt_spill_writer_close(writer);
    xt_spill_close(spill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_several_writers_add_comes_back_by_parts),
        cmocka_unit_test(nothing_of_it_can_be_read_on_disk_or_changed),
        cmocka_unit_test(blocks_that_changed_places_are_told),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
