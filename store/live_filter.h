/* store/live_filter: whom the overlay may hold, in a reader's memory: a split block Bloom filter (Putze,
 * Sanders, Singler 2007; the form of Apache Parquet).
 *
 * A lookup of somebody who never changed is answered by one cache line, and goes on to the sealed
 * generation as if there were no overlay. No false "no"; a false "yes" (below 1 in 100 when it is full)
 * costs one lookup in the overlay. Keys are keyed hashes, so nobody outside can aim at one block.
 * Only grows: what leaves the overlay stays until the filter is built again.
 */
#ifndef XT_STORE_LIVE_FILTER_H
#define XT_STORE_LIVE_FILTER_H

#include <stdlib.h>

#include "core/span.h"
#include "core/status.h"
#include "crypto/keyhash.h"

#define XT_LIVE_FILTER_LANES 8
struct xt_live_filter_block { /* 32 bytes: half a cache line */
    uint32_t lanes[XT_LIVE_FILTER_LANES];
};

struct xt_live_filter {
    struct xt_live_filter_block *blocks; /* NULL: nothing is in it */
    uint32_t mask;                       /* blocks - 1; a power of 2 of them */
    uint64_t count, capacity;            /* keys; capacity: what it is good for */
    void *mapped;                        /* what the blocks lie in */
    size_t mapped_size;
};

/* An empty one with room for at least `keys`. XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_live_filter_open(struct xt_live_filter *filter, uint64_t keys);
void xt_live_filter_close(struct xt_live_filter *filter);

/* Eight odd numbers, from the specification of Parquet. */
static inline uint32_t xt_live_filter_bit(uint32_t key, unsigned lane)
{
    static const uint32_t SALT[XT_LIVE_FILTER_LANES] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU,
                                                        0xa2b7289dU, 0x705495c7U, 0x2df1424bU,
                                                        0x9efc4947U, 0x5c6bfb31U};
    return 1U << (key * SALT[lane] >> 27);
}

static inline bool xt_live_filter_may_hold(const struct xt_live_filter *filter, struct xt_hash hash)
{
    if (filter->count == 0) {
        return false;
    }
    const struct xt_live_filter_block *block = &filter->blocks[hash.high & filter->mask];
    uint32_t missing = 0;
    for (unsigned i = 0; i < XT_LIVE_FILTER_LANES; i++) {
        missing |= ~block->lanes[i] & xt_live_filter_bit((uint32_t)hash.low, i);
    }
    return missing == 0;
}

/* Fetches what may_hold will look at. */
static inline void xt_live_filter_expect(const struct xt_live_filter *filter, struct xt_hash hash)
{
    if (filter->count != 0) {
        __builtin_prefetch(&filter->blocks[hash.high & filter->mask]);
    }
}

/* One that seems to be there already is not counted again. */
void xt_live_filter_add(struct xt_live_filter *filter, struct xt_hash hash);

#endif
