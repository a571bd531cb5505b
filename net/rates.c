#include "net/rates.h"

#include <stdlib.h>

#define UNITS_PER_NS 16ULL
#define UNITS_PER_SECOND (UNITS_PER_NS * 1000000000ULL)
#define UNITS_PER_MS (UNITS_PER_NS * 1000000ULL)

/* Attempts at a compare-and-swap. That a few workers who each take a request undo so many in a row does
 * not happen; one that writes without end, to hold up the others, can. */
#define ATTEMPTS 1000

struct xt_rate xt_rate_of(uint32_t per_second, uint32_t burst)
{
    struct xt_rate rate = {0, 0};
    if (per_second > 0) {
        xt_require(per_second <= XT_RATE_MAX && burst <= XT_RATE_MAX); /* products fit in 58 bits */
        rate.interval = (UNITS_PER_SECOND + per_second - 1) / per_second;
        rate.tolerance = ((burst == 0 ? per_second : burst) - 1ULL) * rate.interval;
    }
    return rate;
}

bool xt_rate_take(uint64_t *word, const struct xt_rate *rate, uint64_t now_ns,
                  uint64_t *retry_after_ms)
{
    *retry_after_ms = 0;
    if (rate->interval == 0) {
        return true;
    }
    uint64_t now = now_ns * UNITS_PER_NS;
    uint64_t due = __atomic_load_n(word, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t ahead = due > now ? due - now : 0;
        if (ahead > rate->tolerance) {
            *retry_after_ms = (ahead - rate->tolerance + UNITS_PER_MS - 1) / UNITS_PER_MS;
            return false;
        }
        /* Nothing else is published by this word, so no order is needed. On failure due is as another
         * worker left it. */
        if (__atomic_compare_exchange_n(word, &due, now + ahead + rate->interval, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return true;
        }
    }
    *retry_after_ms = 1;
    return false;
}

void xt_rate_change(uint64_t *word, const struct xt_rate *before, const struct xt_rate *after,
                    uint64_t now_ns)
{
    if (before->interval == after->interval && before->tolerance == after->tolerance) {
        return;
    }
    uint64_t now = now_ns * UNITS_PER_NS;
    uint64_t due = __atomic_load_n(word, __ATOMIC_RELAXED), changed = 0;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t ahead = due > now ? due - now : 0, all = after->tolerance + after->interval;
        changed = 0;
        if (ahead > 0 && before->interval > 0 && after->interval > 0) {
            /* In floating point: the product does not fit in 64 bits, and a request more or less is
             * nothing at the moment of an edit. */
            double used = (double)ahead / (double)before->interval * (double)after->interval;
            changed = now + (used < (double)all ? (uint64_t)used : all);
        }
        if (__atomic_compare_exchange_n(word, &due, changed, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return;
        }
    }
    __atomic_store_n(word, changed, __ATOMIC_RELAXED);
}

/* ---- the partners of a set -------------------------------------------------------------------- */

/* Open addressing by the partner's address: the set is immutable and so is the table. */
struct xt_rates {
    size_t mask; /* entries - 1, a power of two at least twice the partners */
    struct xt_allowance entries[];
};

static size_t slot_of(const struct xt_rates *rates, const struct xt_partner *partner)
{
    size_t at = (size_t)(((uintptr_t)partner >> 4) * 0x9e3779b97f4a7c15U >> 32) & rates->mask;
    while (rates->entries[at].partner != NULL && rates->entries[at].partner != partner) {
        at = (at + 1) & rates->mask;
    }
    return at;
}

enum xt_status xt_rates_open(const struct xt_partners *partners, const uint32_t *cells,
                             struct xt_shared *shared, unsigned worker, struct xt_rates **rates)
{
    unsigned count = xt_partners_count(partners);
    size_t size = 16;
    while (size < 2 * (size_t)count) {
        size *= 2;
    }
    for (unsigned i = 0; i < count; i++) {
        if (cells[i] >= XT_CELLS) {
            return XT_INVALID;
        }
    }
    struct xt_rates *made = calloc(1, sizeof(*made) + size * sizeof(made->entries[0]));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    made->mask = size - 1;
    for (unsigned i = 0; i < count; i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        made->entries[slot_of(made, partner)] = (struct xt_allowance){
            .partner = partner,
            .cell = cells[i],
            .word = xt_shared_rate(shared, cells[i]),
            .rate = xt_rate_of(partner->rate_per_second, partner->rate_burst)};
        xt_shared_use(shared, worker, cells[i]);
    }
    *rates = made;
    return XT_OK;
}

void xt_rates_close(struct xt_rates *rates)
{
    free(rates);
}

void xt_rates_bind(struct xt_rates *rates, const struct xt_quota_view *view)
{
    for (size_t i = 0; i <= rates->mask; i++) {
        struct xt_allowance *entry = &rates->entries[i];
        entry->seat = entry->partner == NULL ? NULL : xt_quota_seat(view, entry->partner->name);
    }
}

const struct xt_allowance *xt_rates_of(const struct xt_rates *rates,
                                       const struct xt_partner *partner)
{
    const struct xt_allowance *entry = &rates->entries[slot_of(rates, partner)];
    xt_require(entry->partner == partner);
    return entry;
}
