#include "bench/compare.h"

#include <math.h>

/* Counts of the same program differ this much: random keys make it sort in another order. */
#define COUNTED_ALIKE 0.002

const char *xt_compare_verdict_name(enum xt_compare_verdict verdict)
{
    static const char *const names[] = {"shown",  "too few slices", "noise",  "small",
                                        "better", "worse",          "machine"};
    return names[verdict];
}

/* ---- settings ---- */

static const struct xt_compare_pair *find_pair(const struct xt_compare_input *input,
                                               const char *name)
{
    for (unsigned i = 0; i < input->pair_count; i++) {
        if (strcmp(input->pairs[i].name, name) == 0) {
            return &input->pairs[i];
        }
    }
    return NULL;
}

static void add_difference(struct xt_comparison *comparison, const struct xt_compare_pair *a,
                           const struct xt_compare_pair *b)
{
    const struct xt_compare_pair *either = a != NULL ? a : b;
    comparison->differences[comparison->difference_count++] =
        (struct xt_compare_difference){.name = either->name,
                                       .a = a != NULL ? a->value : "",
                                       .b = b != NULL ? b->value : "",
                                       .matters = either->matters};
    comparison->comparable = comparison->comparable && !either->matters;
}

static void compare_settings(struct xt_comparison *comparison)
{
    const struct xt_compare_input *a = comparison->a;
    const struct xt_compare_input *b = comparison->b;
    for (unsigned i = 0; i < a->pair_count; i++) {
        const struct xt_compare_pair *other = find_pair(b, a->pairs[i].name);
        if (other == NULL || strcmp(other->value, a->pairs[i].value) != 0) {
            add_difference(comparison, &a->pairs[i], other);
        }
    }
    for (unsigned i = 0; i < b->pair_count; i++) {
        if (find_pair(a, b->pairs[i].name) == NULL) {
            add_difference(comparison, NULL, &b->pairs[i]);
        }
    }
}

/* ---- measures ---- */

static double sum_of(const struct xt_compare_measure *measure)
{
    double sum = 0;
    for (unsigned i = 0; i < measure->count; i++) {
        sum += measure->values[i];
    }
    return sum;
}

static void range_of(const struct xt_compare_measure *measure, double *least, double *most)
{
    *least = *most = measure->values[0];
    for (unsigned i = 1; i < measure->count; i++) {
        *least = fmin(*least, measure->values[i]);
        *most = fmax(*most, measure->values[i]);
    }
}

static enum xt_compare_verdict beyond_chance(const struct xt_comparison *comparison,
                                             const struct xt_compare_row *row)
{
    if (fabs(log(row->ratio.ratio)) < log1p(comparison->smallest)) {
        return XT_COMPARE_SMALL;
    }
    if (row->a->kind == XT_COMPARE_REFERENCE) {
        return XT_COMPARE_MACHINE;
    }
    return (row->ratio.ratio > 1) == row->a->more_is_better ? XT_COMPARE_BETTER : XT_COMPARE_WORSE;
}

/* Two sets of counts differ when their ranges do not touch. */
static void judge_counted(const struct xt_comparison *comparison, struct xt_compare_row *row)
{
    double least[2];
    double most[2];
    range_of(row->a, &least[0], &most[0]);
    range_of(row->b, &least[1], &most[1]);
    row->verdict = XT_COMPARE_NOISE;
    if (least[0] <= 0 || least[1] <= 0) {
        row->verdict = XT_COMPARE_TOO_FEW;
        return;
    }
    row->ratio.low = least[1] / most[0];
    row->ratio.high = most[1] / least[0];
    bool apart = row->ratio.low > 1 || row->ratio.high < 1;
    if (apart && fabs(row->ratio.ratio - 1) > COUNTED_ALIKE) {
        row->verdict = beyond_chance(comparison, row);
    }
}

/* A mean of zero has no ratio: nothing at all against something in every slice is a difference. */
static void judge_zero(struct xt_compare_row *row)
{
    double least[2];
    double most[2];
    range_of(row->a, &least[0], &most[0]);
    range_of(row->b, &least[1], &most[1]);
    row->verdict = XT_COMPARE_NOISE;
    if (least[0] > most[1] || least[1] > most[0]) {
        bool rose = least[1] > most[0];
        row->verdict = row->a->kind == XT_COMPARE_REFERENCE ? XT_COMPARE_MACHINE
                       : rose == row->a->more_is_better     ? XT_COMPARE_BETTER
                                                            : XT_COMPARE_WORSE;
    }
}

/* Gives whether the row has a verdict already: with errors on both sides it is a matter of chance. */
static bool judge_errors(struct xt_compare_row *row)
{
    double a = sum_of(row->a);
    double b = sum_of(row->b);
    if (a > 0 && b > 0) {
        return false;
    }
    row->verdict = b > 0 ? XT_COMPARE_WORSE : a > 0 ? XT_COMPARE_BETTER : XT_COMPARE_NOISE;
    return true;
}

/* Gives whether the row belongs to those that Holm's correction is for. */
static bool judge_alone(struct xt_comparison *comparison, struct xt_compare_row *row)
{
    const struct xt_compare_measure *a = row->a;
    const struct xt_compare_measure *b = row->b;
    row->ratio =
        xt_ratio_of_series(a->values, a->count, b->values, b->count, comparison->confidence);
    row->adjusted = 1;
    if (a->kind == XT_COMPARE_SHOWN) {
        return false;
    }
    if (a->kind == XT_COMPARE_COUNTED) {
        judge_counted(comparison, row);
        return false;
    }
    if (a->kind == XT_COMPARE_ERRORS && judge_errors(row)) {
        return false;
    }
    if (a->count < XT_STATISTICS_LEAST || b->count < XT_STATISTICS_LEAST) {
        row->verdict = XT_COMPARE_TOO_FEW;
    } else if (!row->ratio.known) {
        judge_zero(row);
    } else {
        row->verdict = XT_COMPARE_NOISE;
    }
    return row->ratio.known;
}

static const struct xt_compare_measure *find_measure(const struct xt_compare_input *input,
                                                     const struct xt_compare_measure *like)
{
    for (unsigned i = 0; i < input->measure_count; i++) {
        const struct xt_compare_measure *measure = &input->measures[i];
        if (strcmp(measure->run, like->run) == 0 && strcmp(measure->name, like->name) == 0 &&
            strcmp(measure->unit, like->unit) == 0 && measure->kind == like->kind &&
            measure->more_is_better == like->more_is_better) {
            return measure;
        }
    }
    return NULL;
}

static void find_lonely(struct xt_comparison *comparison, const struct xt_compare_input *in,
                        const struct xt_compare_input *other)
{
    for (unsigned i = 0; i < in->measure_count; i++) {
        if (find_measure(other, &in->measures[i]) == NULL) {
            comparison->alone[comparison->alone_count++] = &in->measures[i];
        }
    }
}

static void judge_together(struct xt_comparison *comparison, const bool *tested)
{
    double probabilities[XT_COMPARE_MEASURES_MAX];
    for (unsigned i = 0; i < comparison->row_count; i++) {
        if (tested[i]) {
            probabilities[comparison->tests++] = comparison->rows[i].ratio.probability;
        }
    }
    xt_holm(probabilities, comparison->tests);
    for (unsigned i = 0, test = 0; i < comparison->row_count; i++) {
        struct xt_compare_row *row = &comparison->rows[i];
        if (!tested[i]) {
            continue;
        }
        row->adjusted = probabilities[test++];
        if (row->adjusted < 1 - comparison->confidence) {
            row->verdict = beyond_chance(comparison, row);
        }
    }
}

void xt_compare(const struct xt_compare_input *a, const struct xt_compare_input *b,
                double confidence, double smallest, struct xt_comparison *comparison)
{
    bool tested[XT_COMPARE_MEASURES_MAX] = {false};
    *comparison = (struct xt_comparison){
        .a = a, .b = b, .confidence = confidence, .smallest = smallest, .comparable = true};
    compare_settings(comparison);
    for (unsigned i = 0; i < a->measure_count; i++) {
        const struct xt_compare_measure *other = find_measure(b, &a->measures[i]);
        if (other != NULL) {
            struct xt_compare_row *row = &comparison->rows[comparison->row_count];
            *row = (struct xt_compare_row){.a = &a->measures[i], .b = other};
            tested[comparison->row_count++] = judge_alone(comparison, row);
        }
    }
    find_lonely(comparison, a, b);
    find_lonely(comparison, b, a);
    judge_together(comparison, tested);
    for (unsigned i = 0; i < comparison->row_count; i++) {
        enum xt_compare_verdict verdict = comparison->rows[i].verdict;
        comparison->better += verdict == XT_COMPARE_BETTER;
        comparison->worse += verdict == XT_COMPARE_WORSE;
        comparison->too_few += verdict == XT_COMPARE_TOO_FEW;
        comparison->machine_differs = comparison->machine_differs || verdict == XT_COMPARE_MACHINE;
    }
}
