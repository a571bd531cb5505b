/* The histogram against sorted arrays, and its text against values worked out by hand. */
#include "tests/test.h"

#include "bench/histogram.h"
#include "bench/output.h"
#include "bench/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUES = 200000 };

static struct xt_histogram one, two, sum;

static int by_value(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

/* As latencies are: most small, a long tail over all seven decades. */
static uint32_t some_value(uint64_t index)
{
    uint64_t hash = xt_hash(7, index);
    uint32_t bits = xt_scale(hash, 26);
    return 1 + (uint32_t)(xt_mix(hash) % ((2ULL << bits) < 60000000 ? (2ULL << bits) : 60000000));
}

static void every_value_lies_in_its_slot_and_slots_are_narrow(void **state)
{
    (void)state;
    for (uint32_t value = 1; value <= XT_HISTOGRAM_HIGHEST;
         value += value < 100000 ? 1 : value / 5000) {
        unsigned slot = xt_histogram_slot(value);
        assert_true(slot < XT_HISTOGRAM_SLOTS);
        uint32_t low = xt_histogram_slot_low(slot);
        uint32_t high = xt_histogram_slot_high(slot);
        assert_true(low <= value && value <= high);
        assert_true((uint64_t)(high - low) * 1000 <= value);
        assert_int_equal(xt_histogram_slot(low), slot);
        assert_int_equal(xt_histogram_slot(high), slot);
    }
    assert_int_equal(xt_histogram_slot_low(3072), 4096); /* the third width begins */
    assert_int_equal(xt_histogram_slot_high(3072), 4099);
}

static void percentiles_are_those_of_the_sorted_values(void **state)
{
    (void)state;
    static const uint32_t asked[] = {0,     1000,  10000, 25000, 50000, 75000,
                                     90000, 99000, 99900, 99990, 99999, 100000};
    uint32_t *values = malloc(VALUES * sizeof(*values));
    assert_non_null(values);
    uint64_t total = 0;
    xt_histogram_reset(&one);
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = some_value(i);
        total += values[i];
        xt_histogram_record(&one, values[i]);
    }
    qsort(values, VALUES, sizeof(*values), by_value);
    for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        uint64_t rank = ((uint64_t)VALUES * asked[i] + 99999) / 100000;
        uint32_t exact = values[rank == 0 ? 0 : rank - 1];
        uint32_t got = xt_histogram_percentile(&one, asked[i]);
        if (got < exact || (uint64_t)(got - exact) * 1000 > exact) {
            fail_msg("%u: %u for %u", asked[i], got, exact);
        }
    }
    assert_int_equal(one.count, VALUES);
    assert_int_equal(one.sum, total);
    assert_int_equal(one.min, values[0]);
    assert_int_equal(one.max, values[VALUES - 1]);
    free(values);
}

static void merging_is_recording_into_one(void **state)
{
    (void)state;
    xt_histogram_reset(&one);
    xt_histogram_reset(&two);
    xt_histogram_reset(&sum);
    for (unsigned i = 0; i < VALUES; i++) {
        xt_histogram_record(i % 3 == 0 ? &one : &two, some_value(i));
        xt_histogram_record(&sum, some_value(i));
    }
    xt_histogram_record(&one, 99000000);
    xt_histogram_record(&sum, 99000000);
    xt_histogram_merge(&one, &two);
    assert_memory_equal(&one, &sum, sizeof(one));
    xt_histogram_reset(&two);
    xt_histogram_merge(&one, &two); /* an empty one changes nothing */
    assert_memory_equal(&one, &sum, sizeof(one));
    xt_histogram_merge(&two, &one);
    assert_memory_equal(&two, &sum, sizeof(two));
}

static void values_out_of_range_are_kept_at_its_ends_and_counted(void **state)
{
    (void)state;
    xt_histogram_reset(&one);
    assert_int_equal(xt_histogram_percentile(&one, 50000), 0);
    xt_histogram_record(&one, 0);
    xt_histogram_record(&one, 60000000);
    assert_int_equal(one.saturated, 0);
    xt_histogram_record(&one, 60000001);
    xt_histogram_record(&one, UINT64_MAX);
    assert_int_equal(one.saturated, 2);
    assert_int_equal(one.count, 4);
    assert_int_equal(one.min, 1);
    assert_int_equal(one.max, 60000000);
    assert_int_equal(xt_histogram_percentile(&one, 25000), 1);
    assert_int_equal(xt_histogram_percentile(&one, 100000), 60000000);
}

/* 1, 2, ... 100 ms, by HdrHistogram's rules: 5 lines each time the distance to 100 % halves, each with
 * the highest value of the bucket (64000 us lies in 64000 ... 64031) and the count up to it; the
 * mean is 50.5, the deviation sqrt((100^2 - 1) / 12) = 28.866, both within 0.1 %. */
static void text_is_as_hdrhistogram_writes_it(void **state)
{
    (void)state;
    static const char begin[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
                                "       1.000 0.000000000000          1           1.00\n"
                                "      10.007 0.100000000000         10           1.11\n"
                                "      20.015 0.200000000000         20           1.25\n"
                                "      30.015 0.300000000000         30           1.43\n"
                                "      40.031 0.400000000000         40           1.67\n"
                                "      50.015 0.500000000000         50           2.00\n"
                                "      55.007 0.550000000000         55           2.22\n";
    static const char end[] = "      99.007 0.987500000000         99          80.00\n"
                              "      99.007 0.989062500000         99          91.43\n"
                              "     100.000 0.990625000000        100         106.67\n"
                              "     100.000 1.000000000000        100\n"
                              "#[Mean    =       50.500, StdDeviation   =       28.8";
    char path[] = "/tmp/xt-test-histogram-XXXXXX";
    char text[16384];
    struct xt_failure failure;
    struct xt_output output;
    xt_histogram_reset(&one);
    for (unsigned ms = 1; ms <= 100; ms++) {
        xt_histogram_record(&one, ms * 1000);
    }
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(xt_output_open(&output, path, &failure), XT_OK);
    assert_int_equal(xt_histogram_write(&one, &output, &failure), XT_OK);
    assert_int_equal(xt_output_commit(&output, &failure), XT_OK);
    xt_output_close(&output);
    assert_int_equal(close(file), 0);
    FILE *reader = fopen(path, "r");
    assert_non_null(reader);
    size_t size = fread(text, 1, sizeof(text) - 1, reader);
    text[size] = '\0';
    assert_int_equal(fclose(reader), 0);
    assert_int_equal(unlink(path), 0);
    if (strncmp(text, begin, sizeof(begin) - 1) != 0 || strstr(text, end) == NULL) {
        fail_msg("%s", text);
    }
    assert_non_null(strstr(text, "#[Max     =      100.000, Total count    =          100]\n"));
    assert_non_null(strstr(text, "#[Buckets =           16, SubBuckets     =         2048]\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_lies_in_its_slot_and_slots_are_narrow),
        cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(merging_is_recording_into_one),
        cmocka_unit_test(values_out_of_range_are_kept_at_its_ends_and_counted),
        cmocka_unit_test(text_is_as_hdrhistogram_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
