#include "store/live_filter.h"

#include <sys/mman.h>

#define BITS_PER_KEY 12
#define BLOCK_BITS (8 * sizeof(struct xt_live_filter_block))
#define HUGE_PAGE (2UL << 20)
#define BLOCKS_LEAST 2048U /* 64 KiB: 43,690 keys */

static size_t size_of(const struct xt_live_filter *filter)
{
    return ((size_t)filter->mask + 1) * sizeof(*filter->blocks);
}

/* Not malloc: pages of zeros come from the kernel as they are touched. Large ones are asked for, since each
 * lookup looks at another place and would otherwise wait for the page tables as well. */
enum xt_status xt_live_filter_open(struct xt_live_filter *filter, uint64_t keys)
{
    uint64_t blocks = BLOCKS_LEAST;
    while (blocks * BLOCK_BITS / BITS_PER_KEY < keys) {
        blocks *= 2;
    }
    xt_require(blocks <= UINT32_MAX);
    *filter = (struct xt_live_filter){.mask = (uint32_t)blocks - 1,
                                      .capacity = blocks * BLOCK_BITS / BITS_PER_KEY};
    size_t size = size_of(filter);
    size_t spare = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    uint8_t *memory =
        mmap(NULL, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        *filter = (struct xt_live_filter){.blocks = NULL};
        return XT_NO_MEMORY;
    }
    filter->mapped = memory;
    filter->mapped_size = size + spare;
    size_t skip = spare == 0 ? 0 : (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    filter->blocks = (struct xt_live_filter_block *)(void *)(memory + skip);
    (void)madvise(filter->blocks, size, MADV_HUGEPAGE); /* where the kernel has them */
    return XT_OK;
}

void xt_live_filter_close(struct xt_live_filter *filter)
{
    if (filter->mapped != NULL) {
        (void)munmap(filter->mapped, filter->mapped_size);
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
