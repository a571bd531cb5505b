/* bench/requests: verify requests about a population, each with the answer it must get.
 *
 * Request `index` is a pure function of the plan and the index. What is expected follows from what
 * was changed on purpose, never from the code under test.
 *
 * Thread: a plan is read only; any number of threads may share it.
 */
#ifndef XT_BENCH_REQUESTS_H
#define XT_BENCH_REQUESTS_H

#include "bench/population.h"
#include "core/claim.h"

enum xt_request_kind {
    XT_REQUEST_RIGHT,     /* everything as registered */
    XT_REQUEST_VARIANT,   /* right, in another legal form */
    XT_REQUEST_WRONG,     /* one or more claims of another value */
    XT_REQUEST_MISSPELT,  /* a spelling mistake in the name, all else right */
    XT_REQUEST_UNKNOWN,   /* a number that nobody has, claims of a real person */
    XT_REQUEST_AMBIGUOUS, /* a CMND that two people hold */
    XT_REQUEST_INACTIVE,  /* deceased, missing or cancelled, every claim right */
    XT_REQUEST_KINDS
};
const char *xt_request_kind_name(enum xt_request_kind kind);

#define XT_REQUEST_BODY_MAX 4096
#define XT_REQUEST_PURPOSE "demo.verify"

struct xt_request_plan {
    const struct xt_population *population;
    const char *purpose;                /* a policy name; outlives the plan */
    uint32_t claims;                    /* XT_CLAIM_BIT set: what may be asked */
    bool full;                          /* people have documents */
    uint32_t weights[XT_REQUEST_KINDS]; /* their sum is 1 ... 10^6 */
};

/* right 60, variant 15, wrong 10, misspelt 6, unknown 5, ambiguous 1, inactive 3; every claim but documents
 * (those need `full`). */
void xt_request_plan_defaults(struct xt_request_plan *plan, const struct xt_population *population);

/* "right=60,wrong=40": kinds not named get none. XT_INVALID fills *failure. */
XT_MUST_USE enum xt_status xt_request_plan_set_mix(struct xt_request_plan *plan, const char *text,
                                                   struct xt_failure *failure);

struct xt_generated_request {
    enum xt_request_kind
        kind;                /* what it became: small populations may lack, say, a missing person */
    const char *form;        /* static: "nfd", "phone_84", "unaccented", "deceased", ... */
    uint64_t person;         /* index of whom the claims are about */
    uint32_t asked, matched; /* XT_CLAIM_BIT sets; verified when they are equal */
    size_t body_size;
    char body[XT_REQUEST_BODY_MAX]; /* JSON of POST /v1/verify */
};

void xt_request_make(const struct xt_request_plan *plan, uint64_t index,
                     struct xt_generated_request *request);

#define XT_REQUEST_LINE_MAX (XT_REQUEST_BODY_MAX + 2048)

/* {"request":...,"expect":{...}} and a newline. */
void xt_request_to_json(const struct xt_generated_request *request, struct xt_writer *writer);

#endif
