/* store/builder_conflicts: who holds a number that several lines give. Private to the builder.
 *
 *   collect (a group of claims for each such number) ... -> decide -> look lines up
 *
 * Decided in the order of the lines; the rules are told in store/builder.h. What is decided are three
 * things about lines: it is left out; its person was folded into a successor; its claim to one
 * replaced number is another's.
 */
#ifndef XT_STORE_BUILDER_CONFLICTS_H
#define XT_STORE_BUILDER_CONFLICTS_H

#include <pthread.h>

#include "store/builder.h"
#include "store/memory.h"

#define XT_CONFLICTS_FILTER (1U << 20) /* bits */

struct xt_conflicts {
    pthread_mutex_t mutex; /* of collecting */
    uint64_t most;         /* bytes that claims and groups may take */
    struct xt_memory claims, groups;
    struct xt_memory rejected; /* lines left out, u64, ascending */
    struct xt_memory folded;   /* line u64, successor's number u64; by line */
    struct xt_memory dropped;  /* line u64, replaced number u64; by line */
    struct xt_memory filter;   /* a bit for each line (modulo) that any of the three knows */
};

void xt_conflicts_init(struct xt_conflicts *conflicts, uint64_t most);
void xt_conflicts_free(struct xt_conflicts *conflicts);

/* One line's claim to a number. */
struct xt_conflict_claim {
    uint64_t line;
    uint64_t person; /* the line's own number */
    bool replaced;   /* it claims the number as one that he had before */
    bool cancelled;
};

/* All claims to one number, two or more. From any thread. XT_NO_MEMORY: too many. */
XT_MUST_USE enum xt_status xt_conflicts_collect(struct xt_conflicts *conflicts, uint64_t number,
                                                const struct xt_conflict_claim *claims,
                                                size_t count, struct xt_failure *failure);

/* Once everything is collected. Frees what only deciding needs. */
XT_MUST_USE enum xt_status xt_conflicts_decide(struct xt_conflicts *conflicts,
                                               xt_builder_duplicate duplicate, void *context,
                                               struct xt_failure *failure);

bool xt_conflicts_rejected(const struct xt_conflicts *conflicts, uint64_t line);

/* Whether a line's person was folded into a successor: then gives the number of the last one. */
bool xt_conflicts_folded(const struct xt_conflicts *conflicts, uint64_t line, uint64_t *successor);

/* How many people were. */
uint64_t xt_conflicts_folded_count(const struct xt_conflicts *conflicts);

/* Whether a line's claim to a replaced number gave way to another's. */
bool xt_conflicts_dropped(const struct xt_conflicts *conflicts, uint64_t line, uint64_t number);

#endif
