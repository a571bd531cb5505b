/* core/branchless: choosing without branching, where the time of an answer must not tell what was chosen.
 *
 * A processor learns which way a branch goes most of the time; the other way then takes some 5 ns longer,
 * which a million answers show. Compilers make branches out of ?: and & as they like, so a value goes
 * through xt_opaque first: they then know nothing of it but its type.
 */
#ifndef XT_CORE_BRANCHLESS_H
#define XT_CORE_BRANCHLESS_H

#include <stdbool.h>
#include <stdint.h>

static inline uint32_t xt_opaque(uint32_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

/* All bits of true, none of false. */
static inline uint32_t xt_mask(bool held)
{
    return 0U - xt_opaque(held);
}

static inline uint64_t xt_mask64(bool held)
{
    return 0U - (uint64_t)xt_opaque(held);
}

#endif
