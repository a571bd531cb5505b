/* The statistics against published values, and against series whose truth is known: equal ones must
 * rarely be called different, shifted ones must be found. The series come from fixed seeds, so every
 * run of this test counts the same. */
#include "tests/test.h"

#include "bench/random.h"
#include "bench/statistics.h"

#include <math.h>
#include <string.h>

enum { PAIRS = 1000, PAIRS_OF_LONG = 300, LONG = 100, LONGEST = 300 };

static double uniform(struct xt_stream *stream)
{
    return ((double)(xt_stream_next(stream) >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller. */
static double normal(struct xt_stream *stream)
{
    double radius = sqrt(-2 * log(uniform(stream)));
    return radius * cos(6.283185307179586 * uniform(stream));
}

/* What a machine does to a measurement: skewed, and every slice resembling the one before. */
struct truth {
    double mean, spread, alike; /* spread: of the logarithm; alike: correlation of neighbours */
};

static void make_series(struct xt_stream *stream, const struct truth *truth, double *values,
                        size_t count)
{
    double state = normal(stream);
    for (size_t i = 0; i < count; i++) {
        values[i] = truth->mean * exp(truth->spread * state - truth->spread * truth->spread / 2);
        state = truth->alike * state + sqrt(1 - truth->alike * truth->alike) * normal(stream);
    }
}

/* How many of many pairs are called different, per cent; *covered: how often the interval holds the
 * true ratio. */
static double share_different(const struct truth *a, const struct truth *b, size_t count,
                              double *covered)
{
    unsigned pairs = count > LONG ? PAIRS_OF_LONG : PAIRS;
    unsigned different = 0;
    unsigned holds = 0;
    double series[2][LONGEST];
    struct xt_stream stream = xt_stream_of(20260101, (uint64_t)count);
    for (unsigned pair = 0; pair < pairs; pair++) {
        make_series(&stream, a, series[0], count);
        make_series(&stream, b, series[1], count);
        struct xt_ratio ratio = xt_ratio_of_series(series[0], count, series[1], count, 0.95);
        assert_true(ratio.known);
        assert_true(ratio.low <= ratio.ratio && ratio.ratio <= ratio.high);
        assert_int_equal(ratio.probability<0.05, ratio.low> 1 || ratio.high < 1);
        different += ratio.probability < 0.05;
        holds += ratio.low <= b->mean / a->mean && b->mean / a->mean <= ratio.high;
    }
    *covered = 100.0 * holds / pairs;
    return 100.0 * different / pairs;
}

static void students_t_agrees_with_published_tables(void **state)
{
    (void)state;
    static const struct {
        double freedom, probability, t;
    } table[] = {{1, 0.05, 12.7062},   {2, 0.05, 4.30265},  {5, 0.01, 4.03214},  {9, 0.05, 2.26216},
                 {18, 0.001, 3.92165}, {30, 0.10, 1.69726}, {120, 0.05, 1.97993}};
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_float_equal(xt_student_quantile(table[i].probability, table[i].freedom), table[i].t,
                           1e-4);
        assert_float_equal(xt_student_tail(table[i].t, table[i].freedom), table[i].probability,
                           1e-5);
    }
    assert_float_equal(xt_student_tail(0, 7), 1, 1e-12);
    assert_float_equal(xt_student_tail(1.959964, 1e7), 0.05, 1e-6);
}

static void holms_correction_agrees_with_an_example_worked_by_hand(void **state)
{
    (void)state;
    double values[] = {0.03, 0.005, 0.04, 0.01, 0.9};
    static const double adjusted[] = {0.09, 0.025, 0.09, 0.04, 0.9};
    xt_holm(values, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_float_equal(values[i], adjusted[i], 1e-12);
    }
    double large[] = {0.6, 0.5};
    xt_holm(large, 2);
    assert_float_equal(large[0], 1, 1e-12);
    assert_float_equal(large[1], 1, 1e-12);
    xt_holm(NULL, 0);
}

static void equal_series_are_rarely_called_different(void **state)
{
    (void)state;
    static const double alike[] = {0, 0.3, 0.5, 0.7};
    static const double spreads[] = {0.05, 0.5};
    static const size_t counts[] = {10, 30, 300};
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 2; j++) {
            for (unsigned k = 0; k < 3; k++) {
                struct truth truth = {50000, spreads[j], alike[i]};
                double covered;
                double found = share_different(&truth, &truth, counts[k], &covered);
                print_message("%3zu slices, alike %.1f, spread %.2f: %4.1f %% false alarms\n",
                              counts[k], alike[i], spreads[j], found);
                /* 5 %, give or take what that many pairs leave to chance; short and very alike ones more,
                 * as the header says. */
                assert_true(found <= (counts[k] == 10 && alike[i] > 0.6 ? 15 : 8));
                assert_true(found >= 1);
                assert_float_equal(covered, 100 - found, 1e-9);
            }
        }
    }
}

static void a_shift_is_found_and_its_size_is_in_the_interval(void **state)
{
    (void)state;
    static const struct {
        double shift, spread, alike;
        size_t count;
        double found; /* per cent, at least */
    } cases[] = {{1.05, 0.02, 0, 10, 85},
                 {0.95, 0.02, 0, 10, 85},
                 {1.05, 0.02, 0.5, 30, 90},
                 {1.10, 0.10, 0.3, 60, 90},
                 {1.02, 0.02, 0.5, 300, 99}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct truth a = {800, cases[i].spread, cases[i].alike};
        struct truth b = {800 * cases[i].shift, cases[i].spread, cases[i].alike};
        double covered;
        double found = share_different(&a, &b, cases[i].count, &covered);
        print_message("shift %.2f over %zu slices: found %.1f %%, covered %.1f %%\n",
                      cases[i].shift, cases[i].count, found, covered);
        assert_true(found >= cases[i].found);
        assert_true(covered >= 92);
    }
}

/* What a whole set does: dozens of measures at once, of equal programs. */
static void many_equal_measures_together_rarely_raise_an_alarm(void **state)
{
    (void)state;
    enum { SETS = 400, MEASURES = 40, ROUNDS = 16 };
    static const double alike[] = {0, 0.3};
    for (unsigned i = 0; i < 2; i++) {
        struct xt_stream stream = xt_stream_of(77, i);
        unsigned alarms[2] = {0, 0}; /* as they are; after Holm */
        for (unsigned set = 0; set < SETS; set++) {
            double probabilities[MEASURES];
            bool alarm[2] = {false, false};
            for (unsigned measure = 0; measure < MEASURES; measure++) {
                struct truth truth = {100, measure % 2 == 0 ? 0.01 : 0.2, alike[i]};
                double series[2][ROUNDS];
                make_series(&stream, &truth, series[0], ROUNDS);
                make_series(&stream, &truth, series[1], ROUNDS);
                probabilities[measure] =
                    xt_ratio_of_series(series[0], ROUNDS, series[1], ROUNDS, 0.95).probability;
                alarm[0] = alarm[0] || probabilities[measure] < 0.05;
            }
            xt_holm(probabilities, MEASURES);
            for (unsigned measure = 0; measure < MEASURES; measure++) {
                alarm[1] = alarm[1] || probabilities[measure] < 0.05;
            }
            alarms[0] += alarm[0];
            alarms[1] += alarm[1];
        }
        print_message("alike %.1f: an alarm in %.1f %% of sets, %.1f %% without correction\n",
                      alike[i], 100.0 * alarms[1] / SETS, 100.0 * alarms[0] / SETS);
        assert_true(alarms[1] <= SETS / 10);
        assert_true(alarms[0] >= SETS / 2);
    }
}

static void too_few_slices_say_nothing(void **state)
{
    (void)state;
    static const double a[] = {1, 1.01, 1.02, 1.01, 1, 1.02, 1.01, 1};
    static const double b[] = {9, 9.01, 9.02, 9.01, 9, 9.02, 9.01, 9};
    assert_false(xt_ratio_of_series(a, 7, b, 8, 0.95).known);
    assert_false(xt_ratio_of_series(a, 8, b, 7, 0.95).known);
    assert_false(xt_ratio_of_series(a, 0, b, 1, 0.95).known);
    struct xt_ratio one = xt_ratio_of_series(a, 1, b, 1, 0.95);
    assert_false(one.known);
    assert_float_equal(one.ratio, 9, 1e-12);
    assert_float_equal(one.probability, 1, 1e-12);
    struct xt_ratio eight = xt_ratio_of_series(a, 8, b, 8, 0.95);
    assert_true(eight.known);
    assert_true(eight.probability < 1e-6);
    assert_true(eight.low > 8 && eight.high < 10);
}

static void series_without_variation_and_without_anything_are_no_trap(void **state)
{
    (void)state;
    double zeros[8] = {0};
    double fives[8];
    double sixes[8];
    for (unsigned i = 0; i < 8; i++) {
        fives[i] = 5;
        sixes[i] = 6;
    }
    struct xt_ratio same = xt_ratio_of_series(fives, 8, fives, 8, 0.95);
    assert_true(same.known);
    assert_float_equal(same.probability, 1, 1e-12);
    struct xt_ratio other = xt_ratio_of_series(fives, 8, sixes, 8, 0.95);
    assert_true(other.known);
    assert_float_equal(other.probability, 0, 1e-12);
    assert_float_equal(other.ratio, 1.2, 1e-12);
    assert_false(xt_ratio_of_series(zeros, 8, fives, 8, 0.95).known);
    assert_false(xt_ratio_of_series(fives, 8, zeros, 8, 0.95).known);
    assert_float_equal(xt_mean_of_series(fives, 2).variance, 0, 1e-12);
}

/* 1 ... 5: by hand, two and three values are too few for a correlation. */
static void short_series_get_the_textbook_variance(void **state)
{
    (void)state;
    static const double values[] = {1, 2, 6};
    struct xt_mean mean = xt_mean_of_series(values, 3);
    assert_float_equal(mean.mean, 3, 1e-12);
    assert_float_equal(mean.variance, 14.0 / 6, 1e-12);
    assert_float_equal(mean.freedom, 2, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(students_t_agrees_with_published_tables),
        cmocka_unit_test(holms_correction_agrees_with_an_example_worked_by_hand),
        cmocka_unit_test(equal_series_are_rarely_called_different),
        cmocka_unit_test(a_shift_is_found_and_its_size_is_in_the_interval),
        cmocka_unit_test(many_equal_measures_together_rarely_raise_an_alarm),
        cmocka_unit_test(too_few_slices_say_nothing),
        cmocka_unit_test(series_without_variation_and_without_anything_are_no_trap),
        cmocka_unit_test(short_series_get_the_textbook_variance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
