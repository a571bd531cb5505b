#include "bench/statistics.h"

#include <math.h>

#include "core/status.h"

/* What is believed of a correlation between neighbours. A short series estimates it so badly that now and
 * then it would hide any difference; a long one that is more alike than this tells nothing anyway. */
#define SHORT_SERIES 20U
#define CORRELATION_MOST_SHORT 0.5
#define CORRELATION_MOST 0.9
#define FRACTION_STEPS 500U
#define TINY 1e-300

/* ---- Student's t ---- */

/* The continued fraction of the incomplete beta function, DLMF 8.17.22, by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double value = d;
    for (unsigned step = 1; step <= FRACTION_STEPS; step++) {
        double m = step;
        const double terms[2] = {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                                 -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))};
        double factor = 1;
        for (unsigned i = 0; i < 2; i++) {
            d = 1 + terms[i] * d;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            c = 1 + terms[i] / c;
            c = fabs(c) < TINY ? TINY : c;
            factor = c * d;
            value *= factor;
        }
        if (fabs(factor - 1) < 1e-14) {
            break;
        }
    }
    return value;
}

/* The regularised incomplete beta function I_x(a, b), DLMF 8.17. */
static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0) {
        return 0;
    }
    if (x >= 1) {
        return 1;
    }
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double xt_student_tail(double t, double freedom)
{
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

double xt_student_quantile(double probability, double freedom)
{
    double low = 0;
    double high = 1;
    while (xt_student_tail(high, freedom) > probability && high < 1e9) {
        high *= 2;
    }
    for (unsigned step = 0; step < 100; step++) {
        double middle = (low + high) / 2;
        *(xt_student_tail(middle, freedom) > probability ? &low : &high) = middle;
    }
    return (low + high) / 2;
}

/* ---- one series ---- */

static double mean_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / (double)count;
}

/* Between neighbours, corrected upwards for the bias of short series; at least 0. */
static double correlation_of(const double *values, size_t count, double mean)
{
    double own = 0;
    double neighbours = 0;
    for (size_t i = 0; i < count; i++) {
        own += (values[i] - mean) * (values[i] - mean);
        neighbours += i > 0 ? (values[i] - mean) * (values[i - 1] - mean) : 0;
    }
    if (own <= 0) {
        return 0;
    }
    double r = neighbours / own;
    r += (1 + 4 * r) / (double)count;
    return fmin(fmax(r, 0), count < SHORT_SERIES ? CORRELATION_MOST_SHORT : CORRELATION_MOST);
}

/* What is left of value i (from 1) once the share that comes from its neighbour is taken away. */
static double innovation(const double *values, size_t i, double mean, double r)
{
    return values[i] - mean - r * (values[i - 1] - mean);
}

/* The variance of the mean of count innovations, by overlapping batches of `size`. */
static double batch_variance(const double *values, size_t count, double mean, double r, size_t size)
{
    double all = 0;
    double window = 0;
    double sum = 0;
    for (size_t i = 1; i <= count; i++) {
        all += innovation(values, i, mean, r);
    }
    all /= (double)count;
    for (size_t i = 1; i <= count; i++) {
        window += innovation(values, i, mean, r);
        window -= i > size ? innovation(values, i - size, mean, r) : 0;
        if (i >= size) {
            double off = window / (double)size - all;
            sum += off * off;
        }
    }
    /* Without bias where the innovations are independent. */
    return sum * (double)size / ((double)(count - size) * (double)(count - size + 1));
}

struct xt_mean xt_mean_of_series(const double *values, size_t count)
{
    xt_require(count >= 2);
    struct xt_mean result = {.mean = mean_of(values, count), .freedom = 1};
    if (count < 4) { /* too short to tell a correlation */
        for (size_t i = 0; i < count; i++) {
            double off = values[i] - result.mean;
            result.variance += off * off / (double)(count * (count - 1));
        }
        result.freedom = (double)(count - 1);
        return result;
    }
    double r = correlation_of(values, count, result.mean);
    size_t size = (size_t)fmax(cbrt((double)(count - 1) + 0.5), 2);
    double innovations = batch_variance(values, count - 1, result.mean, r, size);
    result.variance = innovations * (double)(count - 1) / (double)count / ((1 - r) * (1 - r));
    /* Overlapping batches know more than disjoint ones, but the correlation is an estimate as well:
     * counting no more than disjoint ones keeps the far tails honest, which is where Holm looks. */
    double of_batches = (double)(count - 1) / (double)size - 1;
    double of_values = (double)count * (1 - r) / (1 + r) - 1;
    result.freedom = fmax(fmin(of_batches, fmax(of_values, 2)), 1);
    return result;
}

/* ---- two of them ---- */

struct xt_ratio xt_ratio_of_series(const double *a, size_t count_a, const double *b, size_t count_b,
                                   double confidence)
{
    struct xt_ratio result = {.probability = 1};
    result.mean_a = count_a > 0 ? mean_of(a, count_a) : 0;
    result.mean_b = count_b > 0 ? mean_of(b, count_b) : 0;
    result.ratio = result.mean_a > 0 ? result.mean_b / result.mean_a : 0;
    result.low = result.high = result.ratio;
    result.known = count_a >= XT_STATISTICS_LEAST && count_b >= XT_STATISTICS_LEAST &&
                   result.mean_a > 0 && result.mean_b > 0;
    if (!result.known) {
        return result;
    }
    struct xt_mean mean_a = xt_mean_of_series(a, count_a);
    struct xt_mean mean_b = xt_mean_of_series(b, count_b);
    double share_a = mean_a.variance / (mean_a.mean * mean_a.mean);
    double share_b = mean_b.variance / (mean_b.mean * mean_b.mean);
    double variance = share_a + share_b;
    double effect = log(result.ratio);
    if (variance <= 0) { /* every value the same on both sides */
        result.probability = fabs(effect) < 1e-12 ? 1 : 0;
        return result;
    }
    double freedom = variance * variance /
                     (share_a * share_a / mean_a.freedom + share_b * share_b / mean_b.freedom);
    double error = sqrt(variance);
    double reach = xt_student_quantile(1 - confidence, freedom) * error;
    result.low = exp(effect - reach);
    result.high = exp(effect + reach);
    result.probability = xt_student_tail(effect / error, freedom);
    return result;
}

void xt_holm(double *probabilities, size_t count)
{
    unsigned short order[XT_HOLM_MAX];
    xt_require(count <= XT_HOLM_MAX);
    for (size_t i = 0; i < count; i++) { /* by insertion: there are dozens */
        size_t at = i;
        for (; at > 0 && probabilities[order[at - 1]] > probabilities[i]; at--) {
            order[at] = order[at - 1];
        }
        order[at] = (unsigned short)i;
    }
    double least = 0;
    for (size_t i = 0; i < count; i++) {
        double *own = &probabilities[order[i]];
        least = fmax(least, fmin(*own * (double)(count - i), 1));
        *own = least;
    }
}
