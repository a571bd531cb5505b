/* net/question: a verify request put together from texts: options, or cells of a table.
 *
 * Thread: pure functions. Memory: texts are borrowed.
 */
#ifndef XT_NET_QUESTION_H
#define XT_NET_QUESTION_H

#include "core/claim.h"

/* The members of a request: the claims in the order of enum xt_claim, then: */
enum {
    XT_ASK_ID = XT_CLAIM_COUNT,
    XT_ASK_QR,
    XT_ASK_TXN,
    XT_ASK_PURPOSE,
    XT_ASK_LEGAL_BASIS,
    XT_ASK_CONSENT_REF,
    XT_ASK_MATCH, /* match.full_name */
    XT_ASK_COUNT
};

struct xt_question {
    struct xt_span values[XT_ASK_COUNT]; /* size 0: not there */
};

/* As in the request ("full_name", "id"); of XT_ASK_MATCH "match". */
const char *xt_question_name(unsigned member);
/* XT_ASK_COUNT: there is none of this name. */
unsigned xt_question_member(struct xt_span name);

/* Writes the request's JSON. XT_INVALID: a text is no UTF-8; XT_TOO_LARGE: it does not fit. What is
 * wrong otherwise the server tells. */
XT_MUST_USE enum xt_status xt_question_to_json(const struct xt_question *question,
                                               struct xt_writer *writer);

#endif
