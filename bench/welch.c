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
    if (!(variance > 0)) {
        return difference > 0 ? DBL_MAX : difference < 0 ? -DBL_MAX : 0;
    }
    return difference / sqrt(variance);
}

/* Of the values up to limit. */
static struct xt_moments first_order(const uint32_t *values, size_t count, uint32_t limit)
{
    struct xt_moments moments = {0};
    for (size_t i = 0; i < count; i++) {
        if (values[i] <= limit) {
            xt_moments_add(&moments, values[i]);
        }
    }
    return moments;
}

static struct xt_moments second_order(const uint32_t *values, size_t count, uint32_t limit,
                                      double mean)
{
    struct xt_moments moments = {0};
    for (size_t i = 0; i < count; i++) {
        if (values[i] <= limit) {
            double off = values[i] - mean;
            xt_moments_add(&moments, off * off);
        }
    }
    return moments;
}

struct pair {
    const uint32_t *a, *b;
    size_t count_a, count_b;
};

/* Both orders over the values up to limit; difference and error: of the first. */
static void test_up_to(const struct pair *pair, uint32_t limit, double *first, double *second,
                       double *difference, double *error)
{
    struct xt_moments a = first_order(pair->a, pair->count_a, limit);
    struct xt_moments b = first_order(pair->b, pair->count_b, limit);
    *first = xt_welch_t(&a, &b, error);
    *difference = a.mean - b.mean;
    struct xt_moments spread_a = second_order(pair->a, pair->count_a, limit, a.mean);
    struct xt_moments spread_b = second_order(pair->b, pair->count_b, limit, b.mean);
    *second = xt_welch_t(&spread_a, &spread_b, NULL);
}

static int by_value(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

bool xt_welch_compare(const uint32_t *a, size_t count_a, const uint32_t *b, size_t count_b,
                      struct xt_welch *result)
{
    struct pair pair = {.a = a, .b = b, .count_a = count_a, .count_b = count_b};
    size_t count = count_a + count_b;
    uint32_t *sorted = calloc(count, sizeof(*sorted));
    *result = (struct xt_welch){.count_a = count_a, .count_b = count_b};
    if (sorted == NULL) {
        return false;
    }
    memcpy(sorted, a, count_a * sizeof(*a));
    memcpy(sorted + count_a, b, count_b * sizeof(*b));
    qsort(sorted, count, sizeof(*sorted), by_value);
    double difference, error;
    test_up_to(&pair, UINT32_MAX, &result->raw, &result->raw_second, &difference, &error);
    for (unsigned i = 0; i < XT_WELCH_CROPS; i++) {
        double first, second;
        uint32_t limit = sorted[(count - 1) * xt_welch_crops[i] / 1000];
        test_up_to(&pair, limit, &first, &second, &difference, &error);
        if (xt_welch_crops[i] == TOLD_CROP) {
            result->difference = difference;
            result->error = error;
        }
        if (i == 0 || fabs(first) > fabs(result->cropped)) {
            result->cropped = first;
            result->crop = xt_welch_crops[i];
        }
        if (i == 0 || fabs(second) > fabs(result->cropped_second)) {
            result->cropped_second = second;
            result->crop_second = xt_welch_crops[i];
        }
    }
    result->worst = fmax(fmax(fabs(result->raw), fabs(result->raw_second)),
                         fmax(fabs(result->cropped), fabs(result->cropped_second)));
    free(sorted);
    return true;
}
