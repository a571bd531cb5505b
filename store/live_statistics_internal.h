/* store/live_statistics_internal: what the parts of store/live_statistics share. Private to it.
 *
 *   live_cells       cells and changes, and their transactions
 *   live_count       the count anew
 *   live_statistics  what is told
 */
#ifndef XT_STORE_LIVE_STATISTICS_INTERNAL_H
#define XT_STORE_LIVE_STATISTICS_INTERNAL_H

#include "store/live_internal.h"
#include "store/live_statistics.h"

/* ---- live_cells ------------------------------------------------------------------------------- */

/* A record of the table, in a transaction; as xt_live_record_get. */
XT_MUST_USE enum xt_status xt_live_statistics_get(const struct xt_live *live,
                                                  enum xt_live_kind kind, struct xt_span key,
                                                  uint8_t *plain, size_t capacity,
                                                  struct xt_span *fields);
/* Codes of LMDB's. Of no people: takes it out. */
XT_MUST_USE int xt_live_put_cell(struct xt_live *live, uint64_t key, int64_t people);

/* The generation that the cells are over. XT_NOT_FOUND: they are over none. */
XT_MUST_USE enum xt_status xt_live_counted_base(const struct xt_live *live,
                                                uint8_t digest[XT_GENERATION_DIGEST]);
/* They are over live->base, or over none. Codes of LMDB's. */
XT_MUST_USE int xt_live_put_counted_base(struct xt_live *live);
XT_MUST_USE int xt_live_forget_count(struct xt_live *live);

/* What act puts, as a transaction of its own; with more room, act is called again. act gives codes of LMDB's. */
typedef int (*xt_live_transaction)(struct xt_live *live, void *context);
XT_MUST_USE enum xt_status xt_live_commit(struct xt_live *live, xt_live_transaction act,
                                          void *context, struct xt_failure *failure);

/* ---- live_count ------------------------------------------------------------------------------- */

/* Whether a count is under way that events are to be added to. */
bool xt_live_keeps_changes(const struct xt_live *live);

#endif
