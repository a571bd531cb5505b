#include "net/pool.h"

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

void xt_pool_open(struct xt_pool *pool, size_t block_size, unsigned keep, unsigned limit)
{
    xt_require(block_size >= sizeof(void *));
    *pool =
        (struct xt_pool){.block_size = block_size, .keep = KEEPS_BLOCKS ? keep : 0, .limit = limit};
}

void xt_pool_close(struct xt_pool *pool)
{
    xt_require(pool->out_count == 0);
    while (pool->free_list != NULL) {
        void *block = pool->free_list;
        memcpy(&pool->free_list, block, sizeof(void *));
        free(block);
    }
    pool->free_count = 0;
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
        block = malloc(pool->block_size);
        if (block == NULL) {
            return NULL;
        }
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
    if (pool->free_count >= pool->keep) {
        free(block);
        return;
    }
    memcpy(block, &pool->free_list, sizeof(void *));
    pool->free_list = block;
    pool->free_count++;
}
