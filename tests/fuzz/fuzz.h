/* tests/fuzz/fuzz: what every fuzz target has in common.
 *
 * A target is one file that defines fuzz_one; it is built twice: with libFuzzer (./dev fuzz) and as a
 * normal test that replays tests/corpus/<target>/ and then seeded mutations of it (replay.c).
 * A target aborts (xt_require) when a property does not hold; a sanitizer finds the rest.
 */
#ifndef XT_TESTS_FUZZ_H
#define XT_TESTS_FUZZ_H

#include <stdlib.h>

#include "core/span.h"
#include "core/status.h"

/* Tries one input: memory of exactly that size, which the target may change. */
void fuzz_one(uint8_t *data, size_t size);

/* A copy with `spare` zero bytes after it, for parsers that work in place; freed by the caller. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size, size_t spare)
{
    uint8_t *copy = calloc(1, size + spare + 1);
    xt_require(copy != NULL);
    memcpy(copy, data, size);
    return copy;
}

#endif
