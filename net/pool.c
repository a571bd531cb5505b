#include "net/pool.h"

#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_BLOCKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_BLOCKS 0
#endif
#endif
#ifndef KEEPS_BLOCKS
#define KEEPS_BLOCKS 1
#endif

/* Before each block; as large as malloc aligns, so that the block is aligned as well. */
union header {
    size_t block_size;
    max_align_t alignment;
};

static union header *header_of(void *block)
{
    return (union header *)block - 1;
}

void xt_pool_open(struct xt_pool *pool, size_t block_size, unsigned keep, unsigned limit)
{
    xt_require(block_size >= sizeof(void *));
    *pool =
        (struct xt_pool){.block_size = block_size, .keep = KEEPS_BLOCKS ? keep : 0, .limit = limit};
}

static void free_kept(struct xt_pool *pool)
{
    while (pool->free_list != NULL) {
        void *block = pool->free_list;
        memcpy(&pool->free_list, block, sizeof(void *));
        free(header_of(block));
    }
    pool->free_count = 0;
}

void xt_pool_resize(struct xt_pool *pool, size_t block_size)
{
    xt_require(block_size >= sizeof(void *));
    if (block_size != pool->block_size) {
        free_kept(pool);
        pool->block_size = block_size;
    }
}

void xt_pool_close(struct xt_pool *pool)
{
    xt_require(pool->out_count == 0);
    free_kept(pool);
}

void *xt_pool_take(struct xt_pool *pool)
{
    if (pool->limit != 0 && pool->out_count >= pool->limit) {
        return NULL;
    }
    void *block = pool->free_list;
    if (block != NULL) {
        memcpy(&pool->free_list, block, sizeof(void *));
        pool->free_count--;
    } else {
        union header *header = malloc(sizeof(*header) + pool->block_size);
        if (header == NULL) {
            return NULL;
        }
        header->block_size = pool->block_size;
        block = header + 1;
    }
    pool->out_count++;
    return block;
}

void xt_pool_give(struct xt_pool *pool, void *block)
{
    if (block == NULL) {
        return;
    }
    pool->out_count--;
    if (pool->free_count >= pool->keep || header_of(block)->block_size != pool->block_size) {
        free(header_of(block));
        return;
    }
    memcpy(block, &pool->free_list, sizeof(void *));
    pool->free_list = block;
    pool->free_count++;
}
