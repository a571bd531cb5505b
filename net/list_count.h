/* net/list_count: what the results of a list add up to.
 *
 * Thread: one. Memory: constant; holds nothing about a person.
 */
#ifndef XT_NET_LIST_COUNT_H
#define XT_NET_LIST_COUNT_H

#include <stdio.h>

#include "core/verify_list.h"

#define XT_LIST_PROBLEMS 64
#define XT_LIST_PROBLEM_MAX 120

struct xt_list_counts {
    uint64_t lines, verified, not_verified, errors;
    uint64_t mismatches[XT_CLAIM_COUNT], not_held[XT_CLAIM_COUNT];
    uint64_t suggestions[XT_SUGGEST_COUNT];
    uint64_t cards[4];   /* expired, lost, revoked, none */
    uint64_t reasons[4]; /* unknown, deceased, missing, cancelled */
    unsigned problems;   /* kinds of errors; the rest of them count as "other" */
    struct {
        char name[XT_LIST_PROBLEM_MAX]; /* code, and where: "invalid_request /id bad_id" */
        uint64_t count;
    } problem[XT_LIST_PROBLEMS];
    /* By lines that contradict each other (net/list_flags). */
    uint64_t duplicates;   /* lines that repeat another */
    uint64_t phones;       /* phones on two ids or more */
    uint64_t documents;    /* ids with more than three phones */
    uint64_t not_compared; /* lines that were too many of one kind to be looked at together */
    bool flagged;          /* the four are filled in */
};

void xt_list_count(struct xt_list_counts *counts, const struct xt_list_answer *answer);

/* The table at the end; the same as one JSON object in one line. */
void xt_list_counts_print(const struct xt_list_counts *counts, FILE *out);
void xt_list_counts_print_json(const struct xt_list_counts *counts, FILE *out);

#endif
