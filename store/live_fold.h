/* store/live_fold: what of the overlay a generation holds already, and how it leaves the live store.
 *
 *   store/compact makes generation N of the one before and the overlay up to event S. Its manifest says so:
 *   folded = S, folded.live = which live store.
 *
 *   served by all -> in steps, between groups of events: entries of `people` that no event after S wrote
 *                    are dropped        (xt_live_drop_folded)
 *
 * Everything about it follows from the manifest of the base and one record of `state`: how old a generation
 * may be to be read under what is left (the floor), and up to which event all was dropped. The floor stands
 * in the transaction that drops the first entry. So a writer that is killed goes on where the next one
 * begins, and whoever reads an older generation under such an overlay is told, and gives no wrong answer.
 *
 * Earlier versions (`corrected`) and lines of `touched` stay: the former for good, the latter as long as
 * those of the log.
 */
#ifndef XT_STORE_LIVE_FOLD_H
#define XT_STORE_LIVE_FOLD_H

#include "store/live.h"

/* Which live store this is: a keyed hash, the same under every master key. */
const uint8_t *xt_live_identity(const struct xt_live *live); /* XT_GENERATION_IDENTITY bytes */

/* Whether a generation holds all that was dropped, as this reader sees it. */
bool xt_live_lies_over(const struct xt_live *live, const struct xt_generation *generation);

/* The overlay is read over this generation from here on: of people and replaced numbers it shows only entries
 * that the generation does not hold already (dropping takes out the same). So somebody whom the generation
 * knows better than his old entry (`import --links`) is read there before that entry is dropped. CMNDs and
 * phones are shown all the same: what the overlay says of them may be said twice. Costs next to nothing. */
void xt_live_lie_over(struct xt_live *live, const struct xt_manifest *manifest);

/* May this generation be read under the overlay? live: a reader, refreshed, or a writer between groups;
 * NULL: there is no store. XT_DENIED: entries were dropped that it lacks, or it holds events that this store
 * has never seen (it was put back from an older copy: its next events would be taken for folded ones).
 * rollback: the operator goes back on purpose, and loses what was dropped: only the latter is refused. */
XT_MUST_USE enum xt_status xt_live_may_lie_over(struct xt_live *live,
                                                const struct xt_manifest *manifest, bool rollback,
                                                struct xt_failure *failure);

#define XT_LIVE_DROP_MOST                                                                          \
    512 /* entries that one step looks at: some 2 ms of the writer, and a sync */

/* A writer between groups: looks at XT_LIVE_DROP_MOST entries more and drops those that its base holds. Only
 * while no process reads an older generation, nor will. *done: nothing is left to do with this base.
 * XT_OK and XT_DISK_FULL as of xt_live_apply; after anything else the process must end. */
XT_MUST_USE enum xt_status xt_live_drop_folded(struct xt_live *live, bool *done,
                                               struct xt_failure *failure);

#endif
