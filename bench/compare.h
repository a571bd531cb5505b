/* bench/compare: two runs, or two standard sets, side by side, and what may be said about it.
 *
 *   file A, file B --> compare_input --> measures --> compare --> rows --> compare_output
 *                      (both formats)                 (verdicts)           (text, markdown, JSON)
 *
 * A measure is a series of slices (bench/statistics.h): the seconds of one run, or the rounds of a
 * standard set. Rounds are the better ones: each has a server, a store and keys of its own, so they
 * hold what varies from start to start, which no length of a single run can show.
 * Thread: none of its own. Memory: inputs belong to the caller; rows borrow from them.
 */
#ifndef XT_BENCH_COMPARE_H
#define XT_BENCH_COMPARE_H

#include <stdio.h>

#include "bench/result_file.h"
#include "bench/statistics.h"

#define XT_COMPARE_MEASURES_MAX 512U
#define XT_COMPARE_SLICES_MAX 100000U
#define XT_COMPARE_PAIRS_MAX 512U
#define XT_COMPARE_NAME_MAX 64 /* bytes with the 0 */

enum xt_compare_kind {
    XT_COMPARE_SLICES,  /* judged by its interval */
    XT_COMPARE_COUNTED, /* the same every time but for a hair (instructions): judged by its range */
    XT_COMPARE_ERRORS,  /* judged as such: the first error is worse than none */
    XT_COMPARE_REFERENCE, /* of the machine, not of the program: never counts as worse */
    XT_COMPARE_SHOWN      /* not judged */
};

struct xt_compare_measure {
    char run[XT_COMPARE_NAME_MAX]; /* "" : of the whole file */
    char name[XT_COMPARE_NAME_MAX];
    char unit[16];
    enum xt_compare_kind kind;
    bool more_is_better;
    unsigned count;
    double *values; /* in the order of time */
};

/* A setting or a fact. One that matters must be the same on both sides. */
struct xt_compare_pair {
    char name[XT_COMPARE_NAME_MAX * 2];
    char value[XT_RESULT_TEXT_MAX];
    bool matters;
};

struct xt_compare_input {
    char label[XT_RESULT_TEXT_MAX]; /* the file */
    char about[256];                /* "commit 1234567, 2026-11-21T09:00:00Z" */
    bool standard;                  /* a set, not a single run */
    bool interrupted;
    unsigned pair_count;
    struct xt_compare_pair pairs[XT_COMPARE_PAIRS_MAX];
    unsigned measure_count;
    struct xt_compare_measure measures[XT_COMPARE_MEASURES_MAX];
};

/* Reads a file of either format; it is somebody else's text, so everything in it is checked. */
XT_MUST_USE enum xt_status xt_compare_input_load(const char *path, struct xt_compare_input **input,
                                                 struct xt_failure *failure);
void xt_compare_input_free(struct xt_compare_input *input); /* NULL is fine */

enum xt_compare_verdict {
    XT_COMPARE_NOT_JUDGED,
    XT_COMPARE_TOO_FEW, /* slices: nothing can be said */
    XT_COMPARE_NOISE,   /* no difference beyond chance */
    XT_COMPARE_SMALL,   /* one beyond chance, but below the smallest effect of interest */
    XT_COMPARE_BETTER,
    XT_COMPARE_WORSE,
    XT_COMPARE_MACHINE /* the machine itself differs */
};
const char *xt_compare_verdict_name(enum xt_compare_verdict verdict);

struct xt_compare_row {
    const struct xt_compare_measure *a, *b;
    struct xt_ratio ratio;
    double adjusted; /* Holm's probability over all that are judged by it; 1 where it is not */
    enum xt_compare_verdict verdict;
};

struct xt_compare_difference {
    const char *name, *a, *b; /* "" : not there */
    bool matters;
};

struct xt_comparison {
    const struct xt_compare_input *a, *b;
    double confidence, smallest; /* 0.95; 0.02: two per cent */
    bool comparable;             /* nothing that matters differs */
    unsigned difference_count;
    struct xt_compare_difference differences[2 * XT_COMPARE_PAIRS_MAX];
    unsigned row_count;
    struct xt_compare_row rows[XT_COMPARE_MEASURES_MAX];
    unsigned tests; /* how many Holm's correction is for */
    unsigned better, worse, too_few;
    bool machine_differs;
    unsigned alone_count; /* measures that only one side has */
    const struct xt_compare_measure *alone[2 * XT_COMPARE_MEASURES_MAX];
};

/* Only measures that both have are rows. comparison: about 100 KiB; the caller's. */
void xt_compare(const struct xt_compare_input *a, const struct xt_compare_input *b,
                double confidence, double smallest, struct xt_comparison *comparison);

void xt_compare_print(const struct xt_comparison *comparison, FILE *out);
void xt_compare_print_markdown(const struct xt_comparison *comparison, FILE *out);
void xt_compare_print_json(const struct xt_comparison *comparison, FILE *out);
void xt_compare_print_differences(const struct xt_comparison *comparison, FILE *out);

#endif
