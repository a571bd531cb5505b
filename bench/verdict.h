/* bench/verdict: is this the answer that a verify request must get?
 *
 * Reads the body of POST /v1/verify's answer with a small strict JSON reader of its own, so that a
 * fault that our server and its JSON library share does not stay hidden.
 */
#ifndef XT_BENCH_VERDICT_H
#define XT_BENCH_VERDICT_H

#include "core/claim.h"

struct xt_expected {
    struct xt_span txn;      /* as the request said it; must need no escapes in JSON */
    uint32_t asked, matched; /* XT_CLAIM_BIT sets */
    bool verdict_only;       /* the partner lacks the right per_claim: no results to compare */
};

enum xt_verdict_check {
    XT_VERDICT_RIGHT,
    XT_VERDICT_WRONG,    /* well formed, but another txn, verdict, or result of a claim */
    XT_VERDICT_MALFORMED /* no answer to a verify request */
};

/* why: what is wrong in a few words (static), or NULL. */
XT_MUST_USE enum xt_verdict_check
xt_verdict_check(struct xt_span body, const struct xt_expected *expected, const char **why);

#endif
