/* store/builder_conflicts: who holds a number that several lines give. Private to the builder.
 *
 * Decided in the order of the lines; the rules are told in store/builder.h.
 */
#ifndef XT_STORE_BUILDER_CONFLICTS_H
#define XT_STORE_BUILDER_CONFLICTS_H

#include "store/builder_internal.h"

struct xt_conflicts {
    struct xt_memory claims, groups;
    struct xt_memory rejected; /* lines left out, u64, ascending */
};

/* Decides over the builder's sorted entries, and marks those that a successor's take the place of
 * (XT_ENTRY_DROPPED). */
XT_MUST_USE enum xt_status xt_conflicts_decide(struct xt_conflicts *conflicts,
                                               struct xt_builder *builder,
                                               xt_builder_duplicate duplicate, void *context,
                                               struct xt_failure *failure);
void xt_conflicts_free(struct xt_conflicts *conflicts);

bool xt_conflicts_rejected(const struct xt_conflicts *conflicts, uint64_t line);

/* Whether a line's person was folded into a successor: then gives the number of the last one. */
bool xt_conflicts_folded(const struct xt_conflicts *conflicts, const struct xt_builder *builder,
                         uint64_t line, uint64_t *successor);

/* Two numbers with one hash of 128 bits: next to impossible, but one of them would be lost. */
XT_MUST_USE enum xt_status xt_conflicts_collision(struct xt_failure *failure);

#endif
