/* bench/permutation: see the header. */
#include "bench/permutation.h"

#include "bench/random.h"
#include "core/status.h"

void xt_permutation_init(struct xt_permutation *permutation, uint64_t size, uint64_t key)
{
    xt_require(size > 0 && size <= (uint64_t)1 << 62);
    uint64_t low = 1, high = (uint64_t)1 << 31;
    while (low < high) { /* the smallest number of rows whose square is enough */
        uint64_t middle = (low + high) / 2;
        if (middle * middle >= size) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    permutation->size = size;
    permutation->rows = low;
    permutation->columns = (size + low - 1) / low;
    for (unsigned round = 0; round < XT_PERMUTATION_ROUNDS; round++) {
        permutation->keys[round] = xt_hash(key, round);
    }
}

/* 0 ... bound-1 out of one half and a key: a 128-bit product folded. */
static uint64_t scramble(uint64_t half, uint64_t key, uint64_t bound)
{
    unsigned __int128 product = (unsigned __int128)(half + key) * (XT_GOLDEN ^ (key << 1));
    uint64_t folded = (uint64_t)(product >> 64) ^ (uint64_t)product;
    folded = (folded ^ (folded >> 29)) * 0xBF58476D1CE4E5B9U;
    return ((folded >> 32) * bound) >> 32;
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t modulus)
{
    uint64_t sum = a + b;
    return sum >= modulus ? sum - modulus : sum;
}

uint64_t xt_permutation_at(const struct xt_permutation *permutation, uint64_t tweak, uint64_t index)
{
    uint64_t rows = permutation->rows, columns = permutation->columns;
    do {
        uint64_t row = index / columns, column = index % columns;
        for (unsigned round = 0; round < XT_PERMUTATION_ROUNDS; round += 2) {
            row = add(row, scramble(column, permutation->keys[round] ^ tweak, rows), rows);
            column =
                add(column, scramble(row, permutation->keys[round + 1] ^ tweak, columns), columns);
        }
        index = row * columns + column;
    } while (index >= permutation->size);
    return index;
}
