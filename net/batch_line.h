/* net/batch_line: a group of lines of one list, from their text to the texts of their answers and their entries in
 * the audit log. Knows no connection and no stream.
 */
#ifndef XT_NET_BATCH_LINE_H
#define XT_NET_BATCH_LINE_H

#include "net/batch.h"
#include "net/stream.h"
#include "net/verification.h"

/* Of a stream so far. */
struct xt_batch_counts {
    uint64_t lines, verified, not_verified, errors;
    uint64_t mismatches[XT_CLAIM_COUNT];
    bool per_claim; /* the partner was told of single claims: the summary may have them */
};

struct xt_batch_line {
    uint64_t number;
    uint8_t *text; /* and four bytes after it, which are put back */
    size_t size;
    bool too_long; /* it is not there */
};

struct xt_batch_group {
    const char *name;                     /* of the partner who opened the stream */
    const struct xt_partner *partner;     /* the same as of now; NULL: refused tells why */
    const struct xt_allowance *allowance; /* his; NULL: nothing is shared, so there are no limits */
    const uint8_t *address;
    struct xt_register people;
    enum xt_problem refused; /* he may not ask: no line is looked at */
    unsigned count;
    struct xt_batch_line lines[XT_BATCH_GROUP];
    struct xt_verification verifications[XT_BATCH_GROUP];
};

/* The answers of a group: lines of text, with their line feeds. */
struct xt_batch_answers {
    unsigned count;
    uint64_t numbers[XT_BATCH_GROUP];
    uint32_t ends[XT_BATCH_GROUP]; /* in text */
    uint8_t text[XT_BATCH_GROUP * XT_STREAM_ANSWER_MAX];
};

/* Answers the group's lines, all of them, and empties it. */
void xt_batch_answer(struct xt_service *service, struct xt_batch_group *group,
                     struct xt_batch_answers *answers, struct xt_batch_counts *counts);

/* Decimal, after a text. */
void xt_batch_write_number(struct xt_writer *writer, const char *before, uint64_t value);

#endif
