/* store/compact: the served generation and the overlay of the live store, made into a new generation.
 *
 *   lock -> generation N -> one snapshot of the overlay (up to event S): everybody in it, into the
 *   builder's sealed files; the snapshot is given back -> everybody of N whom the overlay did not hold ->
 *   sort, seal, verify, switch (store/builder) -> manifest: folded = S
 *
 * Events go on meanwhile: what comes after S stays in the overlay, which lies over whatever generation there
 * is. What was folded leaves it once N is read by nobody (store/live_fold). Killed at any moment it leaves
 * the served generation as it was, and its folder to the next builder.
 *
 * Whatever is asked of the register gets the same answer before and after: people are carried over as they
 * are, and so are the numbers that lead to them. CMNDs and phones are those that stand in people's records;
 * of somebody cancelled, those that named him still. Where they differ is an alias that more people held
 * than a sealed one names: they are counted anew.
 * An import in between changes nothing of this: the overlay lies over it, and is folded into it. A number that
 * somebody in the overlay states as his old one, and that the import gives to another, is the other's, unless
 * an event replaced it; the record stays as it is, and xacthuc check takes that in such a generation.
 *
 * Memory: 64 bytes for each number in the overlay beside the builder's; left out of core dumps, wiped.
 */
#ifndef XT_STORE_COMPACT_H
#define XT_STORE_COMPACT_H

#include "store/builder.h"

struct xt_compact_report {
    bool made;                   /* false: nothing was in the overlay, and nothing was done */
    uint32_t base;               /* the generation before */
    uint64_t sequence;           /* S */
    uint64_t changed;            /* people who were in the overlay */
    uint64_t replaced;           /* numbers replaced in it */
    struct xt_manifest manifest; /* of what was made */
};

/* options: as xt_builder_open takes them; warning is not used. Statuses of the builder; XT_DENIED: the
 * overlay does not belong over the current generation (xt_live_may_lie_over). Reads the live store as one
 * more process: never in one that has it open. */
XT_MUST_USE enum xt_status xt_compact(const char *dir, const struct xt_keyring *keyring,
                                      const struct xt_builder_options *options,
                                      struct xt_compact_report *report, struct xt_failure *failure);

#endif
