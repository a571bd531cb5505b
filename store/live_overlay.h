/* store/live_overlay: who changed since the sealed generation was made: the part of the live store that
 * lookups ask first (store/register does; ask there).
 *
 *   table `people`   keyed SipHash-128 of an id (16 bytes) -> sealed record: kind, version, sequence,
 *                    and then
 *                      a person      1 | versions 4 | hot size 2 | hot record | cold record
 *                      a replaced number   2 | successor 5
 *                      a CMND or phone     3 | people: number 5, 1 added or 0 taken out, each
 *   table `touched`  sequence of an event, 8 bytes big endian -> the keys in `people` that it wrote
 *   in `state`       number and version (5 | 4) -> a person as he was before a correction: time of the
 *                    change 8, and the person as above
 *
 * A person is there whole, as he is now. A CMND or phone says what is to be added to, and taken from,
 * the people that the sealed generation names, also where that says the same already. So an overlay holds
 * over whatever generation it lies, one that a compaction is just making of it (store/compact) too.
 * A replaced number leads to the present one in one step.
 *
 * Readers keep a filter of the keys (store/live_filter). `touched` tells them what to add: it is in the
 * same transaction as the records, so that a reader's filter covers exactly what its snapshot shows.
 * Lines of it go with those of the log; a reader that lags behind them reads all keys again (some 0.1 s
 * a million), as it does when the filter is full.
 */
#ifndef XT_STORE_LIVE_OVERLAY_H
#define XT_STORE_LIVE_OVERLAY_H

#include "store/live.h"

/* The key of an id in the overlay. */
struct xt_hash xt_live_key(const struct xt_live *live, struct xt_id id);
/* May there be anything under it? Of a writer always: it keeps no filter. */
bool xt_live_may_hold(const struct xt_live *live, struct xt_hash key);
/* Fetches what xt_live_may_hold will look at, for many before the first is asked for. */
void xt_live_expect(const struct xt_live *live, struct xt_hash key);
/* Nothing is in the overlay, as far as this reader sees: no need to ask for keys. */
bool xt_live_is_bare(const struct xt_live *live);

struct xt_live_entry {
    bool replaced;            /* the number is: */
    uint64_t successor;       /* by this one */
    uint32_t versions;        /* earlier states of a person that are kept */
    struct xt_span hot, cold; /* of a person: borrowed until the next call */
};
/* What the overlay holds under a number. XT_NOT_FOUND: nothing, or nothing later than the generation it lies over
 * (xt_live_lie_over in store/live_fold.h; so in the next one too); XT_CORRUPT, XT_IO. */
XT_MUST_USE enum xt_status xt_live_entry(struct xt_live *live, uint64_t number,
                                         struct xt_live_entry *entry);

/* Everything that it holds under numbers, in no order, as this reader sees it; visit gives XT_OK to go on.
 * Whose number it is stands in the hot record; that of a replaced one nowhere (it is among those that the
 * successor replaced). entry is borrowed until visit asks the overlay for anything. */
typedef enum xt_status (*xt_live_visit_entry)(void *context, const struct xt_live_entry *entry);
XT_MUST_USE enum xt_status xt_live_each_entry(struct xt_live *live, xt_live_visit_entry visit,
                                              void *context);
/* How many entries there are, aliases and what the generation holds included. */
XT_MUST_USE enum xt_status xt_live_count_entries(const struct xt_live *live, uint64_t *count);

/* What the overlay changes in whom a CMND or a phone names. More are a conflict (too_many). */
#define XT_LIVE_ALIAS_MAX 64
struct xt_live_alias {
    unsigned count;
    struct {
        uint64_t number;
        bool added;
    } people[XT_LIVE_ALIAS_MAX];
};
/* XT_NOT_FOUND: nothing, and *alias is empty. */
XT_MUST_USE enum xt_status xt_live_alias(struct xt_live *live, struct xt_id id,
                                         struct xt_live_alias *alias);

/* Version 0 .. versions - 1 of a number, oldest first; entry as above (versions is not filled). at_ms:
 * until when it was so. */
XT_MUST_USE enum xt_status xt_live_version(struct xt_live *live, uint64_t number, uint32_t version,
                                           uint64_t *at_ms, struct xt_live_entry *entry);

#endif
