/* bench/permutation: a keyed shuffle of 0 ... size-1 whose every place is computed on its own.
 *
 * A generalised Feistel network over Z_a x Z_b with a * b barely over size, walked until it lands
 * below size (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). It spreads and
 * never repeats; it hides nothing from an attacker.
 */
#ifndef XT_BENCH_PERMUTATION_H
#define XT_BENCH_PERMUTATION_H

#include <stdint.h>

#define XT_PERMUTATION_ROUNDS 6

struct xt_permutation {
    uint64_t size;
    uint64_t rows, columns; /* both below 2^32; rows * columns >= size */
    uint64_t keys[XT_PERMUTATION_ROUNDS];
};

/* size: 1 ... 2^62. */
void xt_permutation_init(struct xt_permutation *permutation, uint64_t size, uint64_t key);

/* Where `index` (below size) goes. Another tweak is another shuffle of the same size. */
uint64_t xt_permutation_at(const struct xt_permutation *permutation, uint64_t tweak,
                           uint64_t index);

#endif
