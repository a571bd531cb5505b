/* bench/welch: do two classes of requests take the same time? Welch's t-test, as dudect uses it.
 *
 * (Reparaz, Balasch, Verbauwhede 2017, "Dude, is my code constant time?") |t| above 4.5 is a chance of
 * one in 150,000 where there is no difference: the limit that leakage assessment has agreed on.
 * Interrupts, page faults and a neighbour on the host give a few values that drown all others, so the
 * test is made on all values and again on those below quantiles of both classes together (cropped):
 *
 *   first order    the means
 *   second order   the means of the squares of what is left when a class's own mean is taken off: the
 *                  spreads, as where a class now and then takes another way
 *
 * A difference shows in the largest |t| of all of them. Nothing is proved by a small one alone: it says
 * that a difference above `error` times 4.5 would have been seen.
 *
 * A class is asked about by cases (people), each of them several times, and each has a time of its own: its
 * record lies on this page and not that, in a near cache or a far one. So values of one case are not
 * independent, and what Welch's formula takes for many values are few. The standard error is therefore
 * that of cases (Liang, Zeger 1986; Cameron, Miller 2015, "A practitioner's guide to cluster-robust
 * inference"): residuals are summed by case before they are squared. With one value a case it is Welch's.
 * Both are told; a verdict is by the former, since that is what tells classes from particular people.
 */
#ifndef XT_BENCH_WELCH_H
#define XT_BENCH_WELCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XT_WELCH_LIMIT 4.5
#define XT_WELCH_LEAST 100U /* values in a class; fewer tell nothing */
#define XT_WELCH_CROPS 6U   /* shares of the values that are kept, in thousandths: below */
extern const unsigned xt_welch_crops[XT_WELCH_CROPS];

/* Mean and sum of squares about it, value by value (Welford). */
struct xt_moments {
    uint64_t count;
    double mean, squares;
};
void xt_moments_add(struct xt_moments *moments, double value);

/* t of the difference of two means; 0 where a class has fewer than two values or neither varies (unless
 * the means differ: then it is as large as a double can be). error: NULL, or the standard error. */
double xt_welch_t(const struct xt_moments *a, const struct xt_moments *b, double *error);

struct xt_welch {
    uint64_t count_a, count_b;
    double raw, raw_second;         /* t of all values */
    double cropped, cropped_second; /* the one that is furthest from 0 */
    unsigned crop, crop_second;     /* of these: thousandths of the values that were kept */
    double difference; /* mean of a less mean of b, of the lower nine tenths of the values */
    double error;      /* its standard error */
    double mean;       /* of the same values of a */
    double worst;      /* the largest |t| of all of the above, which are by cases */
    double naive;      /* the same with every value taken for independent */
};

/* Values of one class, and which case each is of. */
struct xt_welch_class {
    const uint32_t *values, *cases;
    size_t count;
    uint32_t case_count; /* cases are below it */
};

/* Compares two classes. XT_WELCH_LEAST values each at least, of two cases or more. false: not enough
 * memory. */
bool xt_welch_compare(const struct xt_welch_class *a, const struct xt_welch_class *b,
                      struct xt_welch *result);

#endif
