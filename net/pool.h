/* net/pool: blocks of one size from a bounded free list.
 *
 * The last block given back is the first taken, so in the steady state the same warm memory goes
 * round and malloc is never called. At most `keep` blocks wait in the list, at most `limit` are out
 * at a time. Under AddressSanitizer nothing is kept, so that a use after release is seen.
 * The size may change while blocks are out: each remembers its own, and one of another size is freed
 * when it comes back.
 * Thread: one loop.
 */
#ifndef XT_NET_POOL_H
#define XT_NET_POOL_H

#include "core/span.h"
#include "core/status.h"

struct xt_pool {
    size_t block_size; /* bytes of those to come */
    unsigned keep;     /* free blocks kept at most */
    unsigned limit;    /* blocks out at most; 0: no limit */
    unsigned free_count, out_count;
    void *free_list; /* each free block begins with a pointer to the next */
};

void xt_pool_open(struct xt_pool *pool, size_t block_size, unsigned keep, unsigned limit);
/* Blocks taken from now on have this size. */
void xt_pool_resize(struct xt_pool *pool, size_t block_size);
/* Every block must have been given back. */
void xt_pool_close(struct xt_pool *pool);

/* NULL: the limit is reached or there is no memory. The content is undefined. */
XT_MUST_USE void *xt_pool_take(struct xt_pool *pool);
/* NULL is fine. */
void xt_pool_give(struct xt_pool *pool, void *block);

#endif
