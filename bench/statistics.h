/* bench/statistics: is one series of measurements larger than another, and by how much?
 *
 * A series is what was measured slice by slice (seconds of a run, rounds of a set) in the order of
 * time. Neighbouring slices are alike (caches, a neighbour on the host, drift), so the textbook
 * interval for independent values is far too narrow: at a correlation of 0.5 between neighbours it
 * calls every fourth pair of equal runs different, not every twentieth. What is done instead:
 *
 *   1. estimate: the ratio of the two arithmetic means (Kalibera & Jones 2013, "Rigorous benchmarking
 *      in reasonable time": effect sizes, not yes or no; Georges, Buytaert & Eeckhout 2007).
 *   2. variance of each mean: the series is prewhitened by a first-order autoregression (Andrews &
 *      Monahan 1992; its coefficient r raised by (1 + 4 r) / n, against its bias downwards in short
 *      series: Kendall 1954), the rest gets overlapping batch means (Meketon & Schmeiser 1984) with
 *      batches of n^(1/3), which is the variance of the moving-block bootstrap in closed form (Kuensch
 *      1989; Politis & Romano 1994): the same answer without random numbers, so the same files always
 *      give the same verdict.
 *   3. interval: for the logarithm of the ratio (delta method), with Student's t whose degrees of
 *      freedom are Welch and Satterthwaite's, each series counting as many values as it has batches, or
 *      as its correlation leaves it, n (1 - r) / (1 + r), whichever are fewer.
 *   4. many measures at once: Holm 1979, so that the chance of any false alarm stays at 1 - confidence.
 *
 * What that is worth, by simulation (tests/bench/test_statistics.c keeps it so), asked for 5 %:
 *   false alarms of one measure    2 to 8 % up to a correlation of 0.5 between neighbours, from 8 slices;
 *                                  under 20 slices more of it is not believed, and at 0.7 they are 12 %
 *   any false alarm among 40       16 slices: 2 % at a correlation of 0, 7 % at 0.3, 12 % at 0.5
 *   a real difference among 40     16 slices with 1 % of spread: 2 % are found in 7 of 10 cases, 4 % always;
 *                                  with 2 % of spread: 4 % in 7 of 10 cases
 * A negative correlation is taken for none. No arithmetic on one run can see what changes only between
 * runs.
 */
#ifndef XT_BENCH_STATISTICS_H
#define XT_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

#define XT_STATISTICS_LEAST 8U /* slices; below, the correlation cannot be told from chance */

/* A mean and how far it is to be trusted. */
struct xt_mean {
    double mean;
    double variance; /* of the mean, not of the values */
    double freedom;  /* degrees of freedom of that variance */
};

/* values: in the order of time; count: at least 2. */
struct xt_mean xt_mean_of_series(const double *values, size_t count);

struct xt_ratio {
    bool known;            /* false: too few slices, or a mean that is not above 0 */
    double ratio;          /* mean of b / mean of a; 0 where not known and a's mean is 0 */
    double low, high;      /* the interval, for this measure on its own */
    double probability;    /* of a difference at least this large, were there none: two-sided p */
    double mean_a, mean_b; /* filled also where not known */
};

/* confidence: above 0 and below 1, such as 0.95. */
struct xt_ratio xt_ratio_of_series(const double *a, size_t count_a, const double *b, size_t count_b,
                                   double confidence);

/* Holm's step-down adjustment, in place: values below 1 - confidence are significant together.
 * count: at most XT_HOLM_MAX. */
#define XT_HOLM_MAX 4096U
void xt_holm(double *probabilities, size_t count);

/* Student's t: two-sided tail probability of |t|, and the |t| that has that probability. */
double xt_student_tail(double t, double freedom);
double xt_student_quantile(double probability, double freedom);

#endif
