#include "store/register.h"

#include "store/live_fold.h"

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

/* What the generation lacks may be in the overlay no more. */
static bool lags_behind(const struct xt_register *as)
{
    return as->live != NULL && !xt_live_lies_over(as->live, as->generation);
}

static bool has_overlay(const struct xt_register *as)
{
    if (as->live == NULL || xt_live_is_bare(as->live)) {
        return false;
    }
    xt_live_lie_over(as->live, xt_generation_manifest(as->generation));
    return true;
}

/* What the overlay holds under a number; XT_NOT_FOUND, mostly at once, when it is nothing. */
static enum xt_status find_entry(const struct xt_register *as, uint64_t number,
                                 struct xt_live_entry *entry)
{
    return xt_live_may_hold(as->live, xt_live_key(as->live, personal(number)))
               ? xt_live_entry(as->live, number, entry)
               : XT_NOT_FOUND;
}

static enum xt_status open_entry(const struct xt_live_entry *entry, uint64_t number,
                                 struct xt_found *found)
{
    found->found = true;
    return xt_hot_decode(entry->hot, &found->hot) == XT_OK && found->hot.number == number
               ? XT_OK
               : XT_CORRUPT;
}

/* The person of a number in force that an alias led to. */
static enum xt_status find_named(const struct xt_register *as, uint64_t number,
                                 struct xt_found *found)
{
    struct xt_live_entry entry;
    enum xt_status status = find_entry(as, number, &entry);
    if (status == XT_NOT_FOUND) {
        status = xt_generation_find(as->generation, personal(number), found);
        status = status == XT_OK && (!found->found || found->by_alias) ? XT_CORRUPT : status;
    } else if (status == XT_OK) {
        status = entry.replaced ? XT_CORRUPT : open_entry(&entry, number, found);
    }
    found->by_alias = true;
    return status;
}

/* The generation led to somebody through an alias: he may have changed since. A CMND that names nobody takes
 * the same look at the filter, under the number that nobody has. */
static enum xt_status renew(const struct xt_register *as, struct xt_id id, struct xt_found *found)
{
    struct xt_live_entry entry;
    if (id.kind != XT_ID_CMND && !found->by_alias) {
        return XT_OK;
    }
    uint64_t number = found->hot.number;
    enum xt_status status = find_entry(as, number, &entry);
    if (status == XT_OK && found->found) {
        return entry.replaced ? find_named(as, entry.successor, found)
                              : open_entry(&entry, number, found);
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* The people of the generation, without those taken out, and those added. More than fit in a sealed alias
 * are several for good: who they are is not kept. */
static enum xt_status merge(const struct xt_register *as, struct xt_id id,
                            const struct xt_live_alias *changes,
                            uint64_t people[XT_ALIAS_PEOPLE_MAX], unsigned *count)
{
    struct xt_alias sealed;
    enum xt_status status = xt_generation_people(as->generation, id, &sealed);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return status;
    }
    unsigned known = status == XT_OK ? sealed.count : 0;
    bool full = known == XT_ALIAS_PEOPLE_MAX;
    *count = 0;
    for (unsigned i = 0; i < known; i++) {
        bool changed = false;
        for (unsigned at = 0; at < changes->count; at++) {
            changed = changed || changes->people[at].number == sealed.people[i];
        }
        if (!changed) {
            people[(*count)++] = sealed.people[i];
        }
    }
    for (unsigned at = 0; at < changes->count; at++) {
        if (changes->people[at].added) {
            if (*count < XT_ALIAS_PEOPLE_MAX) {
                people[*count] = changes->people[at].number;
            }
            (*count)++;
        }
    }
    *count = full ? XT_ALIAS_PEOPLE_MAX + 1 : *count;
    return XT_OK;
}

enum xt_status xt_register_people(const struct xt_register *as, struct xt_id id,
                                  uint64_t people[XT_ALIAS_PEOPLE_MAX], unsigned *count)
{
    struct xt_live_alias changes = {.count = 0};
    if (lags_behind(as)) {
        return XT_BUSY;
    }
    if (has_overlay(as) && xt_live_may_hold(as->live, xt_live_key(as->live, id))) {
        enum xt_status status = xt_live_alias(as->live, id, &changes);
        if (status != XT_OK && status != XT_NOT_FOUND) {
            return status;
        }
    }
    return merge(as, id, &changes, people, count);
}

/* A CMND about which the overlay has something to say. Who is nobody costs a lookup all the same. */
static enum xt_status find_changed_cmnd(const struct xt_register *as, struct xt_id id,
                                        const struct xt_live_alias *changes, struct xt_found *found)
{
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned count = 0;
    enum xt_status status = merge(as, id, changes, people, &count);
    if (status != XT_OK) {
        return status;
    }
    return count == 1 ? find_named(as, people[0], found)
                      : xt_generation_find(as->generation, personal(~id.value), found);
}

/* What the overlay says; XT_NOT_FOUND: nothing, and *found is as it was. */
static enum xt_status find_changed(const struct xt_register *as, struct xt_id id,
                                   struct xt_found *found)
{
    struct xt_live_alias changes;
    struct xt_live_entry entry;
    enum xt_status status = id.kind == XT_ID_CMND ? xt_live_alias(as->live, id, &changes)
                                                  : xt_live_entry(as->live, id.value, &entry);
    if (status != XT_OK) {
        return status;
    }
    if (id.kind == XT_ID_CMND) {
        return find_changed_cmnd(as, id, &changes, found);
    }
    if (entry.replaced) {
        return find_named(as, entry.successor, found);
    }
    found->by_alias = false;
    return open_entry(&entry, id.value, found);
}

/* The generation has been asked; sealed is what it gave. */
static enum xt_status overlay(const struct xt_register *as, struct xt_id id, struct xt_hash key,
                              enum xt_status sealed, struct xt_found *found)
{
    enum xt_status status =
        xt_live_may_hold(as->live, key) ? find_changed(as, id, found) : XT_NOT_FOUND;
    if (status != XT_NOT_FOUND) {
        return status;
    }
    return sealed == XT_OK ? renew(as, id, found) : sealed;
}

/* The wait for the filter's cache line passes while the generation is asked, which nearly always has the
 * answer. */
enum xt_status xt_register_find(const struct xt_register *as, struct xt_id id,
                                struct xt_found *found)
{
    if (lags_behind(as)) {
        return XT_BUSY;
    }
    if (!has_overlay(as)) {
        return xt_generation_find(as->generation, id, found);
    }
    struct xt_hash key = xt_live_key(as->live, id);
    xt_live_expect(as->live, key);
    enum xt_status sealed = xt_generation_find(as->generation, id, found);
    return overlay(as, id, key, sealed, found);
}

/* At most XT_TABLE_GROUP. */
static void find_group(const struct xt_register *as, struct xt_lookup *const *lookups,
                       unsigned count)
{
    struct xt_hash keys[XT_TABLE_GROUP];
    for (unsigned i = 0; i < count; i++) {
        keys[i] = xt_live_key(as->live, lookups[i]->id);
        xt_live_expect(as->live, keys[i]);
    }
    xt_generation_find_batch(as->generation, lookups, count);
    for (unsigned i = 0; i < count; i++) {
        lookups[i]->status =
            overlay(as, lookups[i]->id, keys[i], lookups[i]->status, &lookups[i]->found);
    }
}

void xt_register_find_batch(const struct xt_register *as, struct xt_lookup *const *lookups,
                            size_t count)
{
    if (lags_behind(as)) {
        for (size_t i = 0; i < count; i++) {
            lookups[i]->status = XT_BUSY;
        }
        return;
    }
    if (!has_overlay(as)) {
        xt_generation_find_batch(as->generation, lookups, count);
        return;
    }
    while (count > 0) {
        unsigned group = count < XT_TABLE_GROUP ? (unsigned)count : XT_TABLE_GROUP;
        find_group(as, lookups, group);
        lookups += group;
        count -= group;
    }
}

void xt_register_expect_links(const struct xt_register *as, const uint64_t *numbers, unsigned count)
{
    if (has_overlay(as)) {
        for (unsigned i = 0; i < count; i++) {
            xt_live_expect(as->live, xt_live_key(as->live, personal(numbers[i])));
        }
    }
    xt_generation_expect_links(as->generation, numbers, count);
}

enum xt_status xt_register_links(const struct xt_register *as, uint64_t number,
                                 struct xt_links *links)
{
    struct xt_live_entry entry;
    enum xt_status status = lags_behind(as)   ? XT_BUSY
                            : has_overlay(as) ? find_entry(as, number, &entry)
                                              : XT_NOT_FOUND;
    if (status == XT_NOT_FOUND) {
        return xt_generation_links(as->generation, number, links);
    }
    uint64_t held = 0;
    if (status == XT_OK &&
        (entry.replaced || xt_cold_links(entry.cold, &held, links) != XT_OK || held != number)) {
        status = XT_CORRUPT;
    }
    if (status != XT_OK) {
        links->count = 0;
        links->others = 0;
    }
    return status;
}

static enum xt_status sealed_person(const struct xt_register *as, uint64_t number,
                                    struct xt_person *person)
{
    struct xt_found found;
    struct xt_span cold;
    enum xt_status status = xt_generation_find(as->generation, personal(number), &found);
    if (status == XT_OK && (!found.found || found.by_alias)) {
        status = XT_NOT_FOUND;
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_generation_cold(as->generation, number, &cold);
    if (status == XT_OK) {
        status = xt_cold_decode(cold, person);
    } else if (status == XT_NOT_FOUND) { /* nothing but the hot part is held */
        memset(person, 0, sizeof(*person));
        person->number = number;
        status = XT_OK;
    }
    xt_person_add_hot(&found.hot, person);
    return status == XT_OK && person->number != number ? XT_CORRUPT : status;
}

enum xt_status xt_register_person(const struct xt_register *as, uint64_t number,
                                  struct xt_person *person)
{
    struct xt_live_entry entry;
    enum xt_status status = lags_behind(as)   ? XT_BUSY
                            : has_overlay(as) ? find_entry(as, number, &entry)
                                              : XT_NOT_FOUND;
    if (status == XT_NOT_FOUND) {
        return sealed_person(as, number, person);
    }
    if (status == XT_OK) {
        status =
            entry.replaced ? XT_NOT_FOUND : xt_person_from_records(entry.hot, entry.cold, person);
    }
    return status == XT_OK && person->number != number ? XT_CORRUPT : status;
}

void xt_register_stand_in(const struct xt_register *as, uint64_t number, struct xt_person *person)
{
    struct xt_live_entry entry;
    struct xt_found found;
    struct xt_links links;
    struct xt_span cold = xt_span_of(NULL, 0);
    uint64_t held = 0;
    if (has_overlay(as)) {
        (void)!find_entry(as, number, &entry);
    }
    enum xt_status status = xt_generation_find(as->generation, personal(number), &found);
    if (status == XT_OK) {
        status = xt_generation_cold(as->generation, number, &cold);
    }
    bool opened = status == XT_OK || status == XT_NOT_FOUND;
    opened = opened && xt_cold_links(cold, &held, &links) == XT_OK; /* as of one that is found */
    if (opened && xt_cold_decode(cold, person) == XT_OK) {
        xt_person_add_hot(&found.hot, person);
    } else {
        memset(person, 0, sizeof(*person));
    }
}
