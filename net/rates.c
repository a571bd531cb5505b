#include "net/rates.h"

#include <stdlib.h>

/* Open addressing by the partner's address: the set is immutable and so is the table. */
struct entry {
    const struct xt_partner *partner; /* NULL: free */
    struct xt_bucket bucket;
};

struct xt_rates {
    size_t mask; /* entries - 1, a power of two at least twice the partners */
    struct entry entries[];
};

static size_t slot_of(const struct xt_rates *rates, const struct xt_partner *partner)
{
    size_t at = (size_t)(((uintptr_t)partner >> 4) * 0x9e3779b97f4a7c15U >> 32) & rates->mask;
    while (rates->entries[at].partner != NULL && rates->entries[at].partner != partner) {
        at = (at + 1) & rates->mask;
    }
    return at;
}

static const struct entry *by_name(const struct xt_rates *rates, const char *name)
{
    for (size_t i = 0; rates != NULL && i <= rates->mask; i++) {
        if (rates->entries[i].partner != NULL &&
            strcmp(rates->entries[i].partner->name, name) == 0) {
            return &rates->entries[i];
        }
    }
    return NULL;
}

enum xt_status xt_rates_open(const struct xt_partners *partners, const struct xt_rates *previous,
                             struct xt_rates **rates)
{
    unsigned count = xt_partners_count(partners);
    size_t size = 16;
    while (size < 2 * (size_t)count) {
        size *= 2;
    }
    struct xt_rates *made = calloc(1, sizeof(*made) + size * sizeof(made->entries[0]));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    made->mask = size - 1;
    for (unsigned i = 0; i < count; i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        struct entry *entry = &made->entries[slot_of(made, partner)];
        entry->partner = partner;
        const struct entry *old = by_name(previous, partner->name);
        if (old != NULL) {
            entry->bucket = old->bucket;
        }
    }
    *rates = made;
    return XT_OK;
}

void xt_rates_close(struct xt_rates *rates)
{
    free(rates);
}

struct xt_bucket *xt_rates_of(struct xt_rates *rates, const struct xt_partner *partner)
{
    struct entry *entry = &rates->entries[slot_of(rates, partner)];
    xt_require(entry->partner == partner);
    return &entry->bucket;
}
