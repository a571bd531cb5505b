#include "bench/welch.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const unsigned xt_welch_crops[XT_WELCH_CROPS] = {999, 990, 950, 900, 750, 500};
#define TOLD_CROP 900U /* for the difference in time: what is above is mostly somebody else's */

void xt_moments_add(struct xt_moments *moments, double value)
{
    double before = value - moments->mean;
    moments->count++;
    moments->mean += before / (double)moments->count;
    moments->squares += before * (value - moments->mean);
}

static double t_of(double difference, double variance)
{
    if (!(variance > 0)) {
        return difference > 0 ? DBL_MAX : difference < 0 ? -DBL_MAX : 0;
    }
    return difference / sqrt(variance);
}

double xt_welch_t(const struct xt_moments *a, const struct xt_moments *b, double *error)
{
    if (error != NULL) {
        *error = 0;
    }
    if (a->count < 2 || b->count < 2) {
        return 0;
    }
    double variance = a->squares / (double)(a->count - 1) / (double)a->count +
                      b->squares / (double)(b->count - 1) / (double)b->count;
    double difference = a->mean - b->mean;
    if (error != NULL) {
        *error = sqrt(variance);
    }
    return t_of(difference, variance);
}

/* What is compared of a class's values up to limit: the values themselves, or the squares of what is left
 * when their mean is taken off. */
struct view {
    const struct xt_welch_class *of;
    uint32_t limit;
    bool squared;
    double mean; /* that is taken off */
};

static double value_of(const struct view *view, size_t i)
{
    double value = view->of->values[i];
    double off = value - view->mean;
    return view->squared ? off * off : value;
}

static struct xt_moments moments_of(const struct view *view)
{
    struct xt_moments moments = {0};
    for (size_t i = 0; i < view->of->count; i++) {
        if (view->of->values[i] <= view->limit) {
            xt_moments_add(&moments, value_of(view, i));
        }
    }
    return moments;
}

/* Variance of the mean when cases are what is drawn: sums has a place for each. */
static double variance_by_cases(const struct view *view, const struct xt_moments *moments,
                                double *sums)
{
    double squares = 0;
    unsigned seen = 0;
    memset(sums, 0, view->of->case_count * sizeof(*sums));
    for (size_t i = 0; i < view->of->count; i++) {
        if (view->of->values[i] <= view->limit) {
            sums[view->of->cases[i]] += value_of(view, i) - moments->mean;
        }
    }
    for (uint32_t i = 0; i < view->of->case_count; i++) {
        squares += sums[i] * sums[i];
        seen += sums[i] != 0;
    }
    double count = (double)moments->count;
    return seen < 2 ? 0 : squares / count / count * seen / (seen - 1);
}

/* t by cases, and by values. */
struct test {
    double t, naive, difference, error, mean; /* mean: of a */
};

static struct test test_views(const struct view *a, const struct view *b, double *sums)
{
    struct xt_moments first = moments_of(a), other = moments_of(b);
    struct test test = {.difference = first.mean - other.mean, .mean = first.mean};
    if (first.count < 2 || other.count < 2) {
        return (struct test){.t = 0};
    }
    double variance = variance_by_cases(a, &first, sums) + variance_by_cases(b, &other, sums);
    test.naive = xt_welch_t(&first, &other, NULL);
    test.error = sqrt(variance);
    test.t = t_of(test.difference, variance);
    return test;
}

/* Both orders over the values up to limit. */
static void test_up_to(const struct xt_welch_class *a, const struct xt_welch_class *b,
                       uint32_t limit, double *sums, struct test *first, struct test *second)
{
    struct view of_a = {.of = a, .limit = limit};
    struct view of_b = {.of = b, .limit = limit};
    *first = test_views(&of_a, &of_b, sums);
    of_a.mean = moments_of(&of_a).mean;
    of_b.mean = moments_of(&of_b).mean;
    of_a.squared = of_b.squared = true;
    *second = test_views(&of_a, &of_b, sums);
}

static int by_value(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

static void compare(const struct xt_welch_class *a, const struct xt_welch_class *b,
                    const uint32_t *sorted, double *sums, struct xt_welch *result)
{
    struct test first, second;
    test_up_to(a, b, UINT32_MAX, sums, &first, &second);
    result->raw = first.t;
    result->raw_second = second.t;
    result->naive = fmax(fabs(first.naive), fabs(second.naive));
    for (unsigned i = 0; i < XT_WELCH_CROPS; i++) {
        uint32_t limit = sorted[(a->count + b->count - 1) * xt_welch_crops[i] / 1000];
        test_up_to(a, b, limit, sums, &first, &second);
        if (xt_welch_crops[i] == TOLD_CROP) {
            result->difference = first.difference;
            result->error = first.error;
            result->mean = first.mean;
        }
        if (i == 0 || fabs(first.t) > fabs(result->cropped)) {
            result->cropped = first.t;
            result->crop = xt_welch_crops[i];
        }
        if (i == 0 || fabs(second.t) > fabs(result->cropped_second)) {
            result->cropped_second = second.t;
            result->crop_second = xt_welch_crops[i];
        }
        result->naive = fmax(result->naive, fmax(fabs(first.naive), fabs(second.naive)));
    }
    result->worst = fmax(fmax(fabs(result->raw), fabs(result->raw_second)),
                         fmax(fabs(result->cropped), fabs(result->cropped_second)));
}

bool xt_welch_compare(const struct xt_welch_class *a, const struct xt_welch_class *b,
                      struct xt_welch *result)
{
    size_t count = a->count + b->count;
    uint32_t most = a->case_count > b->case_count ? a->case_count : b->case_count;
    uint32_t *sorted = calloc(count, sizeof(*sorted));
    double *sums = calloc(most, sizeof(*sums));
    *result = (struct xt_welch){.count_a = a->count, .count_b = b->count};
    if (sorted != NULL && sums != NULL) {
        memcpy(sorted, a->values, a->count * sizeof(*sorted));
        memcpy(sorted + a->count, b->values, b->count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), by_value);
        compare(a, b, sorted, sums, result);
    }
    bool done = sorted != NULL && sums != NULL;
    free(sorted);
    free(sums);
    return done;
}
