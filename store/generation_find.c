/* Finding people and links in an open generation: one at a time, and many with their waits for memory
 * overlapped. Both are made of the same steps, so that they cannot differ in what they answer. */
#include "core/branchless.h"
#include "store/generation_internal.h"

enum xt_status xt_redirect_decode(struct xt_span record, struct xt_alias *alias)
{
    if (record.size == 0 || record.data[0] != XT_REDIRECT_MARK) {
        return XT_NOT_FOUND;
    }
    return xt_alias_decode(xt_span_of(record.data + 1, record.size - 1), alias);
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

/* Hits and misses take the same steps, down to the branches: a processor learns which way a branch goes
 * most of the time, and the other way then takes longer by more than can be hidden. So what is found and
 * what is not is carried along as a value, and branches are for damage and for the rare: a replaced
 * number, two keys of one hash. */
static inline bool is_damage(enum xt_status status)
{
    return (xt_opaque(status != XT_OK) & xt_opaque(status != XT_NOT_FOUND)) != 0;
}

static inline enum xt_status one_of(bool first, enum xt_status a, enum xt_status b)
{
    uint32_t is_first = xt_mask(first);
    return (enum xt_status)(((uint32_t)a & is_first) | ((uint32_t)b & ~is_first));
}

static void stand_in(const struct xt_generation *generation, struct xt_hot *hot)
{
    enum xt_status status =
        xt_hot_decode(xt_span_of(generation->stand_in, generation->stand_in_size), hot);
    xt_require(status == XT_OK);
}

/* One lookup in the hot table: a person (XT_OK), the person that a replaced number names (XT_AGAIN,
 * *successor), or XT_NOT_FOUND: hot is then that of a neighbour, which was opened in its place, or a
 * stand-in. hash: of the number. */
static enum xt_status find_hot(struct xt_generation *generation, uint64_t number,
                               struct xt_hash hash, struct xt_hot *hot, uint64_t *successor)
{
    _Static_assert(XT_HOT_MAX <= XT_RECORD_MAX, "a room for xt_hot_decode_in_room");
    uint32_t cursor = 0;
    for (;;) {
        size_t size = 0;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_HOT], hash, &cursor,
                                             generation->record, &size);
        if (is_damage(status)) {
            return status;
        }
        bool missed = status == XT_NOT_FOUND;
        if (size > 0 && generation->record[0] == XT_REDIRECT_MARK) {
            struct xt_alias alias;
            if (missed) {
                stand_in(generation, hot);
                return XT_NOT_FOUND;
            }
            status = xt_redirect_decode(xt_span_of(generation->record, size), &alias);
            if (status == XT_OK && alias.old.kind == XT_ID_PERSONAL && alias.old.value == number) {
                *successor = alias.people[0];
                return alias.count == 1 ? XT_AGAIN : XT_CORRUPT;
            }
            if (status != XT_OK) {
                return XT_CORRUPT;
            }
            continue;
        }
        if (xt_hot_decode_in_room(generation->record, size, hot) != XT_OK) {
            if (!missed) {
                return XT_CORRUPT;
            }
            stand_in(generation,
                     hot); /* an empty page, or one that another record shared a tag with */
            return XT_NOT_FOUND;
        }
        if ((xt_opaque(missed) | xt_opaque(hot->number == number)) != 0) {
            return status;
        }
    }
}

/* The one person whom a CMND names; XT_NOT_FOUND for none and for several, *number is then anybody's.
 * hash: of the CMND. */
static enum xt_status find_alias(struct xt_generation *generation, struct xt_id cmnd,
                                 struct xt_hash hash, uint64_t *number)
{
    uint32_t cursor = 0;
    for (;;) {
        size_t size = 0;
        struct xt_alias alias = {.count = 0};
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_ALIAS], hash, &cursor,
                                             generation->record, &size);
        if (is_damage(status)) {
            return status;
        }
        bool missed = status == XT_NOT_FOUND;
        bool sound = xt_alias_decode(xt_span_of(generation->record, size), &alias) == XT_OK;
        if ((xt_opaque(sound) | xt_opaque(missed)) == 0) {
            return XT_CORRUPT;
        }
        bool same = (alias.old.kind == cmnd.kind) & (alias.old.value == cmnd.value);
        if ((xt_opaque(missed) | xt_opaque(same)) != 0) {
            *number = alias.people[0];
            return one_of(missed | (alias.count != 1), XT_NOT_FOUND, XT_OK);
        }
    }
}

/* Where a lookup goes in the hot table. */
struct aim {
    uint64_t number;
    bool named; /* false: a CMND that names nobody; the number is then one that nobody has */
    enum xt_status status;
    struct xt_hash hash; /* of the number; before a CMND is looked up, of the CMND */
};

/* The first step of every lookup. */
static void hash_id(const struct xt_generation *generation, struct xt_id id, struct aim *aim)
{
    aim->hash = xt_key_hash(generation->hash_key, id);
    aim->number = id.value;
    aim->named = true;
    aim->status = XT_OK;
}

/* The second step of a CMND's. */
static void resolve_cmnd(struct xt_generation *generation, struct xt_id id, struct aim *aim)
{
    enum xt_status status = find_alias(generation, id, aim->hash, &aim->number);
    if (is_damage(status)) {
        aim->status = status;
        return;
    }
    aim->named = status == XT_OK;
    uint64_t nobody = xt_mask64(status != XT_OK);
    aim->number = (aim->number & ~nobody) | (~id.value & nobody); /* no number is as large */
    aim->hash = xt_key_hash(generation->hash_key, personal(aim->number));
}

/* The last step. */
static enum xt_status find_aimed(struct xt_generation *generation, struct xt_id id,
                                 const struct aim *aim, struct xt_found *found)
{
    uint64_t successor = 0;
    enum xt_status status = find_hot(generation, aim->number, aim->hash, &found->hot, &successor);
    if (is_damage(status)) {
        if (!aim->named) { /* a damaged record that nobody asked for is no reason to refuse */
            stand_in(generation, &found->hot);
        } else if (status == XT_AGAIN && id.kind == XT_ID_PERSONAL) {
            uint64_t unused;
            struct xt_hash hash = xt_key_hash(generation->hash_key, personal(successor));
            status = find_hot(generation, successor, hash, &found->hot, &unused);
            if (status != XT_OK) {
                return XT_CORRUPT;
            }
            found->found = true;
            found->by_alias = true;
            return XT_OK;
        } else {
            return XT_CORRUPT;
        }
    }
    bool by_cmnd = id.kind == XT_ID_CMND;
    found->found = aim->named & (status == XT_OK);
    found->by_alias = found->found & by_cmnd;
    if ((xt_opaque(by_cmnd & aim->named) & ~xt_opaque(found->found)) != 0) {
        return XT_CORRUPT; /* the CMND names somebody who is not there */
    }
    /* Of nobody too: the links of nobody are looked for where those of somebody of that number would be,
     * since in one page for everybody unknown they would always be warm. */
    found->hot.number = aim->number;
    return XT_OK;
}

enum xt_status xt_generation_find(struct xt_generation *generation, struct xt_id id,
                                  struct xt_found *found)
{
    struct aim aim;
    hash_id(generation, id, &aim);
    if (id.kind == XT_ID_CMND) {
        resolve_cmnd(generation, id, &aim);
    }
    return aim.status == XT_OK ? find_aimed(generation, id, &aim, found) : aim.status;
}

/* At most XT_TABLE_GROUP of them. Each table is told of all keys before the first is looked up in it. */
static void find_group(struct xt_generation *generation, struct xt_lookup *const *lookups,
                       unsigned count)
{
    struct aim aims[XT_TABLE_GROUP];
    struct xt_hash hashes[XT_TABLE_GROUP];
    unsigned expected = 0;
    for (unsigned i = 0; i < count; i++) {
        hash_id(generation, lookups[i]->id, &aims[i]);
        if (lookups[i]->id.kind == XT_ID_CMND) {
            hashes[expected++] = aims[i].hash;
        }
    }
    if (expected > 0) {
        xt_table_expect(generation->tables[XT_TABLE_ALIAS], hashes, expected);
    }
    expected = 0;
    for (unsigned i = 0; i < count; i++) {
        if (lookups[i]->id.kind == XT_ID_CMND) {
            resolve_cmnd(generation, lookups[i]->id, &aims[i]);
        }
        if (aims[i].status == XT_OK) {
            hashes[expected++] = aims[i].hash;
        }
    }
    if (expected > 0) {
        xt_table_expect(generation->tables[XT_TABLE_HOT], hashes, expected);
    }
    for (unsigned i = 0; i < count; i++) {
        lookups[i]->status = aims[i].status == XT_OK ? find_aimed(generation, lookups[i]->id,
                                                                  &aims[i], &lookups[i]->found)
                                                     : aims[i].status;
    }
}

void xt_generation_find_batch(struct xt_generation *generation, struct xt_lookup *const *lookups,
                              size_t count)
{
    while (count > 0) {
        unsigned group = count < XT_TABLE_GROUP ? (unsigned)count : XT_TABLE_GROUP;
        find_group(generation, lookups, group);
        lookups += group;
        count -= group;
    }
}

void xt_generation_expect_links(struct xt_generation *generation, const uint64_t *numbers,
                                unsigned count)
{
    struct xt_hash hashes[XT_TABLE_GROUP];
    xt_require(count <= XT_TABLE_GROUP);
    for (unsigned i = 0; i < count; i++) {
        hashes[i] = xt_key_hash(generation->hash_key, personal(numbers[i]));
    }
    if (count > 0) {
        xt_table_expect(generation->tables[XT_TABLE_COLD], hashes, count);
    }
}

enum xt_status xt_generation_links(struct xt_generation *generation, uint64_t number,
                                   struct xt_links *links)
{
    struct xt_hash hash = xt_key_hash(generation->hash_key, personal(number));
    uint32_t cursor = 0;
    for (;;) {
        size_t size = 0;
        uint64_t held = 0;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_COLD], hash, &cursor,
                                             generation->record, &size);
        if (is_damage(status)) {
            links->count = 0;
            links->others = 0;
            return status;
        }
        /* A miss has opened a neighbour in its place: decoded like a hit. */
        bool missed = status == XT_NOT_FOUND;
        enum xt_status decoded = xt_cold_links(xt_span_of(generation->record, size), &held, links);
        if (decoded != XT_OK) {
            links->count = 0;
            links->others = 0;
            return missed ? XT_NOT_FOUND : XT_CORRUPT;
        }
        if ((xt_opaque(missed) | xt_opaque(held == number)) != 0) {
            links->others = links->count & xt_mask(missed);
            links->count &= ~xt_mask(missed);
            return status;
        }
    }
}

struct each {
    xt_generation_visit visit;
    void *context;
};

static enum xt_status each_record(void *context, struct xt_table_place place, enum xt_status status,
                                  struct xt_span record)
{
    const struct each *each = context;
    struct xt_hot hot;
    (void)place;
    if (status != XT_OK) {
        return status;
    }
    if (record.data[0] == XT_REDIRECT_MARK) {
        return XT_OK;
    }
    return xt_hot_decode(record, &hot) == XT_OK ? each->visit(each->context, &hot) : XT_CORRUPT;
}

enum xt_status xt_generation_each(struct xt_generation *generation, xt_generation_visit visit,
                                  void *context)
{
    struct each each = {.visit = visit, .context = context};
    return xt_table_walk(generation->tables[XT_TABLE_HOT], each_record, &each);
}
