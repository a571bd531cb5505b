#include "store/builder_conflicts.h"

#include "store/sort.h"

/* A number that several lines give: a group. A claim is one line's part in a group. Claims are decided
 * in the order of the lines, so that the first line holds a number, and one that was left out for
 * another of its numbers holds none. */
struct claim {
    uint64_t line, group, entry; /* the order of xt_sort_entries */
};

struct holder {
    uint64_t line, entry; /* line 0: nobody */
};

/* Both are held at once only where the person is cancelled: he is folded into the other. */
struct group {
    struct holder person;   /* whose own number it is */
    struct holder redirect; /* whose replaced number it is */
    uint64_t successor; /* number of the last in the chain, once it was looked for; 0: not yet */
};

/* The claims of one line. */
struct part {
    const struct claim *claims;
    size_t count;
};

/* Steps up a chain of successors before it is refused: nobody has so many numbers, and a file made to
 * be slow must not be. */
#define CHAIN_MAX 64

static enum xt_status append(struct xt_memory *memory, const void *data, size_t size)
{
    uint8_t *place;
    enum xt_status status = xt_memory_extend(memory, size, &place);
    if (status == XT_OK) {
        memcpy(place, data, size);
    }
    return status;
}

static struct group *groups_of(const struct xt_conflicts *conflicts)
{
    return (struct group *)(void *)conflicts->groups.data;
}

static uint64_t number_of(const struct xt_builder *builder, const struct xt_entry *entry)
{
    uint64_t number;
    memcpy(&number, xt_builder_blob(builder, entry), sizeof(number));
    return number;
}

enum xt_status xt_conflicts_collision(struct xt_failure *failure)
{
    return xt_fail(failure, XT_CORRUPT,
                   "two different numbers have the same keyed hash: import again (every import has "
                   "a new key)");
}

static enum xt_status collect_claims(const struct xt_builder *builder,
                                     struct xt_conflicts *conflicts, struct xt_failure *failure)
{
    size_t count;
    const struct xt_entry *entries = xt_builder_entries(builder, &count);
    enum xt_status status = XT_OK;
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && entries[to].high == entries[from].high &&
               entries[to].low == entries[from].low) {
            to++;
        }
        if (to - from == 1) {
            continue;
        }
        uint64_t group = conflicts->groups.size / sizeof(struct group);
        struct group nobody = {.successor = 0};
        status = append(&conflicts->groups, &nobody, sizeof(nobody));
        for (size_t i = from; i < to && status == XT_OK; i++) {
            struct claim claim = {entries[i].line, group, i};
            if (number_of(builder, &entries[i]) != number_of(builder, &entries[from])) {
                return xt_conflicts_collision(failure);
            }
            status = append(&conflicts->claims, &claim, sizeof(claim));
        }
    }
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "out of memory");
}

/* ---- chains of successors -------------------------------------------------------------------- */

/* A line's claims: contested ones only. */
static struct part part_of(const struct xt_conflicts *conflicts, uint64_t line)
{
    const struct claim *claims = (const struct claim *)(const void *)conflicts->claims.data;
    size_t count = conflicts->claims.size / sizeof(*claims);
    size_t from = 0;
    for (size_t to = count; from < to;) {
        size_t middle = from + (to - from) / 2;
        if (claims[middle].line < line) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    struct part part = {claims == NULL ? NULL : claims + from, 0};
    while (from + part.count < count && part.claims[part.count].line == line) {
        part.count++;
    }
    return part;
}

/* The group of a line's own number; NULL when nobody else gives that number. */
static struct group *own_group(const struct xt_conflicts *conflicts, const struct xt_entry *entries,
                               struct part part)
{
    for (size_t i = 0; i < part.count; i++) {
        if (!xt_entry_is_replaced(&entries[part.claims[i].entry])) {
            return &groups_of(conflicts)[part.claims[i].group];
        }
    }
    return NULL;
}

/* The group of a line that was folded into another; NULL: it was not. */
static struct group *folded_group(const struct xt_conflicts *conflicts,
                                  const struct xt_entry *entries, uint64_t line)
{
    struct group *group = own_group(conflicts, entries, part_of(conflicts, line));
    bool folded = group != NULL && group->person.line == line && group->redirect.line != 0;
    return folded ? group : NULL;
}

bool xt_conflicts_folded(const struct xt_conflicts *conflicts, const struct xt_builder *builder,
                         uint64_t line, uint64_t *successor)
{
    size_t unused;
    const struct xt_entry *entries = xt_builder_entries(builder, &unused);
    struct group *first = folded_group(conflicts, entries, line);
    if (first == NULL) {
        return false;
    }
    struct group *last = first;
    for (struct group *next = first; next != NULL && last->successor == 0;) {
        last = next;
        next = folded_group(conflicts, entries, last->redirect.line);
    }
    uint64_t number = last->successor;
    if (number ==
        0) { /* what the last one's replaced entry says: old number, the person's number */
        memcpy(&number, xt_builder_blob(builder, &entries[last->redirect.entry]) + 8,
               sizeof(number));
    }
    /* All on the way learn it, so that a long chain is walked once. */
    for (struct group *at = first; at != NULL && at->successor == 0;) {
        at->successor = number;
        at = folded_group(conflicts, entries, at->redirect.line);
    }
    *successor = number;
    return true;
}

/* The claim of a cancelled line to the number of its own last successor: a ring. NULL: there is none. */
static const struct claim *find_ring(const struct xt_conflicts *conflicts,
                                     const struct xt_entry *entries, struct part part,
                                     struct holder *rival)
{
    const struct group *group = own_group(conflicts, entries, part);
    if (group == NULL || group->redirect.line == 0) {
        return NULL; /* not folded */
    }
    *rival = group->redirect;
    unsigned steps = 0;
    while ((group = folded_group(conflicts, entries, rival->line)) != NULL) {
        *rival = group->redirect;
        if (++steps == CHAIN_MAX) {
            return &part.claims[0];
        }
    }
    for (size_t i = 0; i < part.count; i++) {
        group = &groups_of(conflicts)[part.claims[i].group];
        if (xt_entry_is_replaced(&entries[part.claims[i].entry]) &&
            group->person.line == rival->line) {
            return &part.claims[i];
        }
    }
    return NULL;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* Who is in a claim's way; line 0: nobody. A cancelled record gives way to a successor's redirect, and
 * its replaced numbers to those of a person in force. */
static struct holder in_the_way(const struct xt_entry *entries, const struct group *group,
                                const struct xt_entry *entry)
{
    const struct holder nobody = {0, 0};
    bool cancelled = xt_entry_is_cancelled(entry);
    if (!xt_entry_is_replaced(entry)) {
        return group->person.line != 0 ? group->person : cancelled ? nobody : group->redirect;
    }
    if (group->person.line != 0 && !xt_entry_is_cancelled(&entries[group->person.entry])) {
        return group->person;
    }
    bool equal = group->redirect.line != 0 &&
                 xt_entry_is_cancelled(&entries[group->redirect.entry]) == cancelled;
    return equal ? group->redirect : nobody;
}

/* Whether a line gives the number of its i-th claim a second time. */
static bool repeats(struct part part, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (part.claims[j].group == part.claims[i].group) {
            return true;
        }
    }
    return false;
}

/* The claim for which a line is left out, and who was there first; NULL: it may stay. */
static const struct claim *find_refused(const struct xt_conflicts *conflicts,
                                        const struct xt_entry *entries, struct part part,
                                        struct holder *first, bool *as_id)
{
    const struct claim *refused = NULL;
    *as_id = false; /* the plainest reason is told: the number itself is a duplicate */
    for (size_t i = 0; i < part.count && !*as_id; i++) {
        const struct claim *claim = &part.claims[i];
        const struct xt_entry *entry = &entries[claim->entry];
        struct holder rival = in_the_way(entries, &groups_of(conflicts)[claim->group], entry);
        if (rival.line == 0 && repeats(part, i)) {
            rival = (struct holder){claim->line, claim->entry};
        }
        if (rival.line == 0) {
            continue;
        }
        *as_id = !xt_entry_is_replaced(entry) && !xt_entry_is_replaced(&entries[rival.entry]);
        if (refused == NULL || *as_id) {
            refused = claim;
            *first = rival;
        }
    }
    return refused != NULL ? refused : find_ring(conflicts, entries, part, first);
}

static void take(const struct xt_conflicts *conflicts, struct xt_entry *entries, struct part part)
{
    for (size_t i = 0; i < part.count; i++) {
        struct group *group = &groups_of(conflicts)[part.claims[i].group];
        struct xt_entry *entry = &entries[part.claims[i].entry];
        struct holder self = {part.claims[i].line, part.claims[i].entry};
        if (!xt_entry_is_replaced(entry)) {
            group->person = self;
        } else if (group->redirect.line != 0 && xt_entry_is_cancelled(entry)) {
            entry->at |= XT_ENTRY_DROPPED;
        } else {
            if (group->redirect.line != 0) {
                entries[group->redirect.entry].at |= XT_ENTRY_DROPPED;
            }
            group->redirect = self;
        }
    }
}

/* The person of a group that is both somebody's own and somebody's replaced number goes. */
static void drop_folded(const struct xt_conflicts *conflicts, struct xt_entry *entries)
{
    struct group *groups = groups_of(conflicts);
    for (size_t i = 0; i < conflicts->groups.size / sizeof(*groups); i++) {
        if (groups[i].person.line != 0 && groups[i].redirect.line != 0) {
            entries[groups[i].person.entry].at |= XT_ENTRY_DROPPED;
        }
    }
}

static enum xt_status decide(struct xt_conflicts *conflicts, struct xt_entry *entries,
                             xt_builder_duplicate duplicate, void *context)
{
    const struct claim *claims = (const struct claim *)(const void *)conflicts->claims.data;
    size_t count = conflicts->claims.size / sizeof(*claims);
    xt_sort_entries(conflicts->claims.data, count, sizeof(*claims));
    enum xt_status status = XT_OK;
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && claims[to].line == claims[from].line) {
            to++;
        }
        struct part part = {claims + from, to - from};
        struct holder first = {0, 0};
        bool as_id;
        const struct claim *refused = find_refused(conflicts, entries, part, &first, &as_id);
        if (refused == NULL) {
            take(conflicts, entries, part);
            continue;
        }
        duplicate(context, refused->line, first.line,
                  as_id ? "duplicate_id" : "replaced_number_in_use",
                  xt_entry_is_replaced(&entries[refused->entry]) ? "/replaced_numbers" : "/id");
        status = append(&conflicts->rejected, &refused->line, sizeof(refused->line));
    }
    drop_folded(conflicts, entries);
    return status;
}

enum xt_status xt_conflicts_decide(struct xt_conflicts *conflicts, struct xt_builder *builder,
                                   xt_builder_duplicate duplicate, void *context,
                                   struct xt_failure *failure)
{
    size_t unused;
    *conflicts = (struct xt_conflicts){.claims = {.data = NULL}};
    enum xt_status status = collect_claims(builder, conflicts, failure);
    if (status != XT_OK) {
        return status;
    }
    status = decide(conflicts, xt_builder_entries(builder, &unused), duplicate, context);
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "out of memory");
}

void xt_conflicts_free(struct xt_conflicts *conflicts)
{
    xt_memory_free(&conflicts->claims);
    xt_memory_free(&conflicts->groups);
    xt_memory_free(&conflicts->rejected);
}

bool xt_conflicts_rejected(const struct xt_conflicts *conflicts, uint64_t line)
{
    const uint64_t *lines = (const uint64_t *)(const void *)conflicts->rejected.data;
    size_t count = conflicts->rejected.size / sizeof(*lines);
    for (size_t from = 0, to = count; from < to;) {
        size_t middle = from + (to - from) / 2;
        if (lines[middle] == line) {
            return true;
        }
        if (lines[middle] < line) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return false;
}
