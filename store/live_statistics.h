/* store/live_statistics: how many people there are now, and what of it was told last.
 *
 *   table `statistics` of the live store, under keyed hashes, sealed like everything there:
 *     cell   key 5 | people 8, signed: how many more have this key than in the base
 *     change key before 5 | key after 5: what an event did that is not in the cells yet; under its sequence, so
 *            that those of a group stand together: its cells would be as many pages as there are changes
 *     base   digest 32 | number 4: of the generation that the cells are counted over
 *     told   date 4 | core/statistics' tables: what was published last
 *
 *   now  =  file `statistics` of the generation  +  cells  +  changes
 *
 * Every registry event writes its change in its own transaction, so they are exact after any crash; changes are
 * folded into the cells in steps, each a transaction. The cells are counted anew from the overlay when another
 * generation is served (xt_live_count_anew). An event over a base that was not counted takes `base` out:
 * cells are right or not there, never nearly right.
 *
 * What is told changes every XT_STATISTICS_DAYS (days in Viet Nam) at the most, and only when at least
 * XT_STATISTICS_SMALLEST people in all are elsewhere than before. What two publications tell together:
 * core/statistics.h.
 */
#ifndef XT_STORE_LIVE_STATISTICS_H
#define XT_STORE_LIVE_STATISTICS_H

#include "core/statistics.h"
#include "store/live.h"
#include "store/tally.h"

/* ---- the writer, between groups ------------------------------------------------------------------ */

/* One step, after xt_live_set_base: counts the overlay over its base unless that was done before. Call it until
 * *done, with groups between the steps; what they change is counted. Some 3 ms, or a transaction of as many records;
 * about 5 us a changed person in all. While it walks over the overlay it holds a snapshot, and the file grows
 * by what groups change; it begins anew when the map has to grow or the store is sealed anew.
 * XT_DISK_FULL, XT_NO_MEMORY, XT_CORRUPT (a record of the base or the overlay): there are no statistics over
 * this base, go on; the next call begins anew. Anything else: the process must end. */
#define XT_LIVE_COUNT_MOST 512U
XT_MUST_USE enum xt_status xt_live_count_anew(struct xt_live *live, bool *done,
                                              struct xt_failure *failure);

/* Once a second, and every 20 ms while xt_live_unfolded is XT_LIVE_FOLD_FROM or more: folds XT_LIVE_FOLD_MOST
 * changes into the cells when there are that many, in some 10 ms. XT_DISK_FULL, XT_NO_MEMORY: go on.
 * XT_CORRUPT: the same, and the cells are given up: count anew. Anything else: the process must end. */
#define XT_LIVE_FOLD_MOST 512U
#define XT_LIVE_FOLD_FROM (8 * XT_LIVE_FOLD_MOST)
XT_MUST_USE enum xt_status xt_live_fold_changes(struct xt_live *live, struct xt_failure *failure);
/* Changes that are not in the cells yet. */
uint64_t xt_live_unfolded(const struct xt_live *live);
/* Whether the cells are over the base. */
bool xt_live_has_counted(const struct xt_live *live);

/* Publishes, if it is time. people: the file of the base, to which the cells are added. *told: whether it did.
 * XT_BUSY: the cells are not counted over this base. XT_DISK_FULL and the others as above. */
XT_MUST_USE enum xt_status xt_live_tell_statistics(struct xt_live *live, struct xt_tally *people,
                                                   xt_date today, bool *told,
                                                   struct xt_failure *failure);

/* ---- both; a writer between groups, a reader after xt_live_refresh --------------------------------- */

/* What was told last. XT_NOT_FOUND: nothing yet. XT_CORRUPT, XT_UNSUPPORTED, XT_IO. */
XT_MUST_USE enum xt_status xt_live_statistics(struct xt_live *live,
                                              struct xt_statistics *statistics, xt_date *as_of);

/* Adds the cells to the counts of the generation that they are over. XT_BUSY: they are over another. */
XT_MUST_USE enum xt_status xt_live_add_cells(struct xt_live *live,
                                             const uint8_t digest[XT_GENERATION_DIGEST],
                                             struct xt_tally *tally);

#endif
