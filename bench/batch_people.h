/* bench/batch_people: what bench/batch sends and what must come back.
 *
 * Thread: the lines are read only once made.
 */
#ifndef XT_BENCH_BATCH_PEOPLE_H
#define XT_BENCH_BATCH_PEOPLE_H

#include "bench/requests.h"

/* Lines for gen --requests of the same seed and count, each with its line feed. */
struct xt_batch_people {
    uint64_t count;
    uint64_t *offsets;         /* count + 1, in text */
    uint16_t *asked, *matched; /* XT_CLAIM_BIT sets */
    uint8_t *text;
};
XT_MUST_USE enum xt_status xt_batch_people_make(uint64_t seed, uint64_t people, uint64_t lines,
                                                struct xt_batch_people *made,
                                                struct xt_failure *failure);
void xt_batch_people_free(struct xt_batch_people *people);

/* Line `index`, going around. */
static inline struct xt_span xt_batch_people_line(const struct xt_batch_people *people,
                                                  uint64_t index)
{
    uint64_t at = index % people->count;
    return xt_span_of(people->text + people->offsets[at],
                      people->offsets[at + 1] - people->offsets[at]);
}

enum xt_batch_check { XT_BATCH_RIGHT, XT_BATCH_REFUSED, XT_BATCH_WRONG };
/* Whether this is the answer of that line, numbered so. Changes the answer. why: of a wrong one. */
XT_MUST_USE enum xt_batch_check xt_batch_people_check(const struct xt_batch_people *people,
                                                      uint64_t index, uint64_t number,
                                                      uint8_t *answer, size_t size,
                                                      const char **why);

#endif
