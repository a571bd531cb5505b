#include "store/sort.h"

#include <string.h>

#include "core/status.h"
#include "store/background.h"

#define KEY_BYTES 24
#define MANY 4096 /* entries that take long to put into buckets */
#define SMALL 24  /* entries that insertion puts in order faster than another round of counting */

static const uint64_t *key_of(const uint8_t *entry)
{
    return (const uint64_t *)(const void *)entry;
}

static int is_below(const uint64_t *a, const uint64_t *b)
{
    if (a[0] != b[0]) {
        return a[0] < b[0];
    }
    if (a[1] != b[1]) {
        return a[1] < b[1];
    }
    return a[2] < b[2];
}

static void insert_in_order(uint8_t *entries, size_t count, size_t size)
{
    uint64_t held[XT_SORT_ENTRY_MAX / 8];
    for (size_t i = 1; i < count; i++) {
        size_t to = i;
        while (to > 0 && is_below(key_of(entries + i * size), key_of(entries + (to - 1) * size))) {
            to--;
        }
        if (to != i) {
            memcpy(held, entries + i * size, size);
            memmove(entries + (to + 1) * size, entries + to * size, (i - to) * size);
            memcpy(entries + to * size, held, size);
        }
    }
    explicit_bzero(held, sizeof(held));
}

static unsigned digit_of(const uint8_t *entry, unsigned level)
{
    return (unsigned)(key_of(entry)[level / 8] >> (56 - 8 * (level % 8))) & 255U;
}

/* American flag sort on byte `level` of the key, then each bucket on the next. */
static void sort_level(uint8_t *entries, size_t count, size_t size, unsigned level)
{
    if (count <= SMALL || level == KEY_BYTES) {
        insert_in_order(entries, level == KEY_BYTES ? 0 : count, size);
        return;
    }
    xt_background_yield();
    size_t start[257] = {0};
    size_t next[256];
    for (size_t i = 0; i < count; i++) {
        start[digit_of(entries + i * size, level) + 1]++;
    }
    for (unsigned digit = 0; digit < 256; digit++) {
        start[digit + 1] += start[digit];
        next[digit] = start[digit];
    }
    uint64_t held[XT_SORT_ENTRY_MAX / 8];
    for (unsigned digit = 0; digit < 256; digit++) {
        if (count > MANY) {
            xt_background_yield();
        }
        while (next[digit] < start[digit + 1]) {
            uint8_t *entry = entries + next[digit] * size;
            unsigned home = digit_of(entry, level);
            if (home == digit) {
                next[digit]++;
                continue;
            }
            uint8_t *other = entries + next[home]++ * size;
            memcpy(held, entry, size);
            memcpy(entry, other, size);
            memcpy(other, held, size);
        }
    }
    explicit_bzero(held, sizeof(held));
    for (unsigned digit = 0; digit < 256; digit++) {
        sort_level(entries + start[digit] * size, start[digit + 1] - start[digit], size, level + 1);
    }
}

void xt_sort_entries(void *entries, size_t count, size_t entry_size)
{
    xt_require(entry_size >= KEY_BYTES && entry_size <= XT_SORT_ENTRY_MAX && entry_size % 8 == 0);
    sort_level(entries, count, entry_size, 0);
}
