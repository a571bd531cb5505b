#include "store/live_filter.h"

#include <sys/mman.h>

#define BITS_PER_KEY 12
#define BLOCK_BITS (8 * sizeof(struct xt_live_filter_block))
#define BLOCKS_LEAST 2048U /* 64 KiB: 43,690 keys */

static size_t size_of(const struct xt_live_filter *filter)
{
    return ((size_t)filter->mask + 1) * sizeof(*filter->blocks);
}

/* Not malloc: pages of zeros come from the kernel as they are touched, and blocks lie on cache lines. */
enum xt_status xt_live_filter_open(struct xt_live_filter *filter, uint64_t keys)
{
    uint64_t blocks = BLOCKS_LEAST;
    while (blocks * BLOCK_BITS / BITS_PER_KEY < keys) {
        blocks *= 2;
    }
    xt_require(blocks <= UINT32_MAX);
    *filter = (struct xt_live_filter){.mask = (uint32_t)blocks - 1,
                                      .capacity = blocks * BLOCK_BITS / BITS_PER_KEY};
    void *memory =
        mmap(NULL, size_of(filter), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        *filter = (struct xt_live_filter){.blocks = NULL};
        return XT_NO_MEMORY;
    }
    filter->blocks = memory;
    return XT_OK;
}

void xt_live_filter_close(struct xt_live_filter *filter)
{
    if (filter->blocks != NULL) {
        (void)munmap(filter->blocks, size_of(filter));
    }
    *filter = (struct xt_live_filter){.blocks = NULL};
}

void xt_live_filter_add(struct xt_live_filter *filter, struct xt_hash hash)
{
    if (xt_live_filter_may_hold(filter, hash)) {
        return;
    }
    struct xt_live_filter_block *block = &filter->blocks[hash.high & filter->mask];
    for (unsigned i = 0; i < XT_LIVE_FILTER_LANES; i++) {
        block->lanes[i] |= xt_live_filter_bit((uint32_t)hash.low, i);
    }
    filter->count++;
}
