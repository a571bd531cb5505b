/* bench/timing: does the time of an answer tell what it must not tell?
 *
 * Verify requests of several classes, which must all be answered alike, in random order; the times of two
 * classes are compared by Welch's t-test (bench/welch).
 *
 *   people of a seed, imported --> pools of cases (timing_cases), as many for each class of a theme
 *     -> in this process (timing_process): JSON in, policy, lookup, comparison, JSON out, as a worker does
 *     -> over TLS (timing_tls): the real server on loopback, one connection kept alive
 *   -> pairs of classes, a table, a file (timing_result)
 *
 * So that nothing but the answer's way can differ, case n of every class of a theme has the same text but
 * for the digits of its number: the claims are those of a deceased person, which is asked about by its own
 * number in one class and by that of somebody alive, or of nobody, in the others. Pools are equally large:
 * otherwise the records of the smaller one would be in a cache more often. Each answer is looked at.
 *
 * A quiet result proves nothing by itself. So a class of its own, the control, is somebody alive who is
 * asked one claim more: it must be found different, or the measurement counts as failed.
 */
#ifndef XT_BENCH_TIMING_H
#define XT_BENCH_TIMING_H

#include "bench/micro.h"
#include "bench/random.h"
#include "bench/welch.h"

#define XT_TIMING_SIZES_MAX 4U
/* Cases of a class, at most: so many that each is asked a few times only (bench/welch.h says why). */
#define XT_TIMING_POOL 65536U
#define XT_TIMING_BODY_MAX 1024 /* bytes of a request's JSON or form */
#define XT_TIMING_PARTNER "timing"
#define XT_TIMING_WARM 3U /* times that every case is asked before it counts */

struct xt_timing_options {
    struct xt_micro_options deploy; /* seed, sizes, folder, programs, core, quiet, commit, out */
    uint32_t requests;     /* of the three classes of the first theme together, in process */
    uint32_t tls_requests; /* the same over TLS; 0: none */
};

/* -1: go on; else the exit status (timing_options.c). */
int xt_timing_parse(int argc, char **argv, struct xt_timing_options *options);

/* ---- who is asked about (timing_cases.c) ---- */

enum xt_timing_class {
    XT_TIMING_WRONG,    /* alive, every claim mismatches */
    XT_TIMING_UNKNOWN,  /* a number that nobody has */
    XT_TIMING_DECEASED, /* every claim is right */
    XT_TIMING_CONTROL,  /* WRONG, and a claim more */
    XT_TIMING_FEW_WRONG,
    XT_TIMING_MISSING, /* there are few of these two: the same with a smaller pool */
    XT_TIMING_CANCELLED,
    XT_TIMING_NAME_FAR,    /* alive, only a name is asked for: another one altogether */
    XT_TIMING_NAME_NEAR,   /* alive, the same names asked for: only the last letter is wrong */
    XT_TIMING_FUZZY_WRONG, /* the first three again, with a name level that is advisory */
    XT_TIMING_FUZZY_UNKNOWN,
    XT_TIMING_FUZZY_DECEASED,
    XT_TIMING_PAPER_WRONG, /* and again with a document asked for */
    XT_TIMING_PAPER_UNKNOWN,
    XT_TIMING_PAPER_DECEASED,
    XT_TIMING_CMND_WRONG,   /* alive, asked about by CMND */
    XT_TIMING_CMND_UNKNOWN, /* a CMND that nobody has */
    XT_TIMING_CMND_FEW_WRONG,
    XT_TIMING_CMND_SHARED, /* one that two people have */
    XT_TIMING_REPLACED,    /* alive, asked about by a replaced number */
    /* Introspections, over TLS: tokens of this server that count for nothing, for a reason of its own. */
    XT_TIMING_TOKEN_REVOKED, /* of somebody alive, as the next two */
    XT_TIMING_TOKEN_OVER,
    XT_TIMING_TOKEN_FOREIGN, /* bound to another's certificate, and for another */
    XT_TIMING_TOKEN_NOBODY,  /* of a number that nobody has */
    XT_TIMING_TOKEN_DECEASED,
    XT_TIMING_CLASSES
};
const char *xt_timing_class_name(enum xt_timing_class class); /* in files: "cmnd_wrong" */

struct xt_timing_case {
    uint32_t offset, size; /* in the bodies */
};

struct xt_timing_cases {
    uint32_t counts[XT_TIMING_CLASSES]; /* 0: this population has too few of them */
    struct xt_timing_case *list[XT_TIMING_CLASSES];
    uint8_t *bodies;
    size_t body_bytes, body_capacity;
    uint32_t three_count;
    uint64_t (*threes)[3]; /* numbers of the first theme: alive, nobody's, deceased */
};

XT_MUST_USE enum xt_status xt_timing_cases_open(const struct xt_population *population,
                                                struct xt_timing_cases *cases,
                                                struct xt_failure *failure);
/* One more of a class; the body is copied. */
XT_MUST_USE enum xt_status xt_timing_case_add(struct xt_timing_cases *cases,
                                              enum xt_timing_class class, struct xt_span body);
/* Bodies of introspections by XT_TIMING_PARTNER, of the deployment in dir, which is served under this name
 * (timing_tokens.c). They are what they are for 15 minutes. */
XT_MUST_USE enum xt_status xt_timing_tokens_add(const char *dir, struct xt_span issuer,
                                                struct xt_timing_cases *cases,
                                                struct xt_failure *failure);
void xt_timing_cases_close(struct xt_timing_cases *cases);

/* ---- times (timing_process.c, timing_tls.c) ---- */

/* Times of each class, in ticks. */
struct xt_timing_samples {
    uint32_t capacity; /* of each class */
    uint32_t counts[XT_TIMING_CLASSES];
    uint32_t *list[XT_TIMING_CLASSES];
    uint32_t *cases[XT_TIMING_CLASSES]; /* which case each is of */
    double ns;                          /* of a tick */
};
XT_MUST_USE enum xt_status xt_timing_samples_open(uint32_t capacity,
                                                  struct xt_timing_samples *samples,
                                                  struct xt_failure *failure);
void xt_timing_samples_close(struct xt_timing_samples *samples);

/* What comes next: a class at random among those that are wanted (a set) and not full, and a case of it.
 * false: all are full. */
struct xt_timing_turn {
    enum xt_timing_class class;
    uint32_t place; /* of the case in its class */
    const struct xt_timing_case *asked;
};
bool xt_timing_next(const struct xt_timing_cases *cases, const struct xt_timing_samples *samples,
                    uint32_t classes, struct xt_stream *stream, struct xt_timing_turn *turn);

/* Answers in this process. XT_CORRUPT: an answer told what it must not. */
XT_MUST_USE enum xt_status xt_timing_in_process(const struct xt_micro_deployment *deployment,
                                                const struct xt_timing_cases *cases, uint64_t seed,
                                                bool quiet, struct xt_timing_samples *samples,
                                                struct xt_failure *failure);

/* Serves what is deployed, adds tokens to the cases, and asks it; only the classes in the set. */
XT_MUST_USE enum xt_status xt_timing_over_tls(const struct xt_timing_options *options,
                                              const struct xt_micro_deployment *deployment,
                                              struct xt_timing_cases *cases, uint32_t classes,
                                              struct xt_timing_samples *samples,
                                              struct xt_failure *failure);

/* ---- figures (timing_result.c) ---- */

/* What a pair of classes has to be. */
enum xt_timing_need {
    XT_TIMING_ALIKE,     /* or the tool's exit status is 1 */
    XT_TIMING_DIFFERENT, /* the control */
    XT_TIMING_TOLD       /* known to differ, or only of interest */
};

#define XT_TIMING_PAIRS_MAX 32U
struct xt_timing_pair {
    enum xt_timing_class a, b;
    enum xt_timing_need need;
    struct xt_welch welch; /* in ticks */
};

struct xt_timing_run {
    double ns;       /* of a tick */
    double resolves; /* share of the time; 0: whatever it is */
    uint64_t requests;
    unsigned pair_count;
    struct xt_timing_pair pairs[XT_TIMING_PAIRS_MAX];
};

struct xt_timing_size {
    uint64_t count;
    uint32_t pool;
    struct xt_timing_run runs[2]; /* in process, over TLS; no pairs: not measured */
};

struct xt_timing_result {
    char program[64], commit[64], date[32];
    uint64_t seed;
    struct xt_machine machine;
    unsigned size_count;
    struct xt_timing_size sizes[XT_TIMING_SIZES_MAX];
};

/* A pair that seems alike proves nothing where only a larger difference than this, as a share of the time of
 * an answer, would have been seen. A lookup or an unsealing that is left out is a tenth of it in process,
 * and a hundredth over TLS. */
#define XT_TIMING_RESOLVES 0.02
#define XT_TIMING_RESOLVES_TLS 0.01

/* Compares all pairs that there are samples of. resolves: as above. */
XT_MUST_USE enum xt_status xt_timing_judge(const struct xt_timing_samples *samples,
                                           const struct xt_timing_cases *cases, double resolves,
                                           struct xt_timing_run *run, struct xt_failure *failure);
bool xt_timing_pair_passes(const struct xt_timing_pair *pair);
/* The least difference of a pair that would have been seen, in ns. */
double xt_timing_resolution(const struct xt_timing_run *run, const struct xt_timing_pair *pair);
/* Pairs that do not; *blind: the control was not found, or one that is alike was not seen well enough. */
unsigned xt_timing_failures(const struct xt_timing_result *result, bool *blind);

void xt_timing_print(const struct xt_timing_result *result);
XT_MUST_USE enum xt_status xt_timing_write(const struct xt_timing_result *result, const char *path,
                                           struct xt_failure *failure);

#endif
