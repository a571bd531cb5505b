/* store/tally: how many people have each key of core/statistics.
 *
 * Memory: grows by doubling, some 32 bytes a key (760,000 keys of 100 M people: 32 MiB); left out of core
 *         dumps and wiped, since few people may have a key. Thread: one.
 */
#ifndef XT_STORE_TALLY_H
#define XT_STORE_TALLY_H

#include "core/statistics.h"
#include "store/memory.h"

struct xt_tally {
    struct xt_memory memory; /* lines: see xt_tally_at */
    size_t places;           /* a power of 2, or 0 */
    size_t used;
};

struct xt_tally_line {
    uint64_t key_and_one; /* 0: an empty place */
    int64_t people;
};

/* people may be fewer than 0. A key that is XT_STATISTICS_UNCOUNTED is passed over. XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_tally_add(struct xt_tally *tally, uint64_t key, int64_t people);
/* All of another, so many times. */
XT_MUST_USE enum xt_status xt_tally_add_all(struct xt_tally *tally, const struct xt_tally *other,
                                            int64_t times);
/* Wipes and frees; fine on a zeroed one, and leaves it empty. */
void xt_tally_free(struct xt_tally *tally);

/* Place 0 ... places - 1: NULL where nobody is. */
static inline const struct xt_tally_line *xt_tally_at(const struct xt_tally *tally, size_t place)
{
    const struct xt_tally_line *line =
        (const struct xt_tally_line *)(const void *)tally->memory.data + place;
    return line->key_and_one == 0 || line->people == 0 ? NULL : line;
}

/* The same people under the same keys. */
bool xt_tally_is_same(const struct xt_tally *a, const struct xt_tally *b);
int64_t xt_tally_people(const struct xt_tally *tally, uint64_t key);

/* The cube of a day (XT_STATISTICS_CUBE_MAX places). false: a count is below 0 or too large. */
bool xt_tally_to_cube(const struct xt_tally *tally, xt_date today, uint32_t *cube);

#endif
