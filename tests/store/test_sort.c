#include <stdlib.h>
#include <string.h>

#include "crypto/keyring.h"
#include "store/sort.h"
#include "tests/test.h"

#define MOST 20000
#define WORDS 5 /* of the larger entry */

static uint64_t entries[MOST * WORDS];
static uint64_t expected[MOST * WORDS];
static size_t words; /* of one entry */

static int compare(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    for (unsigned i = 0; i < 3; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

/* Sorts count entries whose keys are masked, so that many or all are alike in part of it. */
static void check(size_t count, uint64_t high_mask, uint64_t low_mask, uint64_t line_mask)
{
    xt_random(entries, count * words * 8);
    for (size_t i = 0; i < count; i++) {
        uint64_t *entry = entries + i * words;
        entry[0] &= high_mask;
        entry[1] &= low_mask;
        entry[2] &= line_mask;
        entry[3] = entry[0] * 31 + entry[1] * 17 + entry[2]; /* goes where its key goes */
    }
    memcpy(expected, entries, count * words * 8);
    qsort(expected, count, words * 8, compare);
    xt_sort_entries(entries, count, words * 8);
    for (size_t i = 0; i < count; i++) {
        const uint64_t *entry = entries + i * words;
        assert_int_equal(compare(entry, expected + i * words), 0);
        assert_int_equal(entry[3], entry[0] * 31 + entry[1] * 17 + entry[2]);
    }
}

static void any_entries_come_into_order(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 2, 24, 25, 100, 257, MOST};
    for (words = 4; words <= WORDS; words++) {
        for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            check(counts[i], UINT64_MAX, UINT64_MAX, UINT64_MAX);
            check(counts[i], 0, UINT64_MAX, UINT64_MAX);
            check(counts[i], 0xff00000000000000, 0, 0xffff);
            check(counts[i], 0, 0, 0xffffff);
            check(counts[i], 0, 0, 3);
            check(counts[i], 0, 0, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_entries_come_into_order)};
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
