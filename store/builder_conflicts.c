#include "store/builder_conflicts.h"

#include "store/sort.h"

/* A number that several lines give: a group. A claim is one line's part in a group. Claims are decided
 * in the order of the lines, so that the first line holds a number, and one that was left out for
 * another of its numbers holds none. */
struct claim {
    uint64_t line, order, group; /* the order of xt_sort_entries: a line's own number first */
    uint64_t person;
    uint64_t flags;
};
#define FLAG_REPLACED 1U
#define FLAG_CANCELLED 2U
#define FLAG_DROPPED 4U /* a successor's entry takes its place */

#define NOBODY UINT64_MAX

/* claim: among all in the order of the lines; line 0: nobody */
struct holder {
    uint64_t line, claim;
};

/* Both are held at once only where the person is cancelled: he is folded into the other. */
struct group {
    uint64_t number;
    struct holder person;   /* whose own number it is */
    struct holder redirect; /* whose replaced number it is */
    uint64_t
        successor; /* number of the last in the chain, once it was looked for; NOBODY: not yet */
};

/* The claims of one line. */
struct part {
    struct claim *claims;
    size_t count;
};

/* A line and a number, in xt_conflicts.folded and .dropped. */
struct about {
    uint64_t line, number;
};

/* Steps up a chain of successors before it is refused: nobody has so many numbers, and a file made to
 * be slow must not be. */
#define CHAIN_MAX 64

void xt_conflicts_init(struct xt_conflicts *conflicts, uint64_t most)
{
    *conflicts = (struct xt_conflicts){.most = most};
    pthread_mutex_init(&conflicts->mutex, NULL);
}

static void free_claims(struct xt_conflicts *conflicts)
{
    xt_memory_free(&conflicts->claims);
    xt_memory_free(&conflicts->groups);
}

void xt_conflicts_free(struct xt_conflicts *conflicts)
{
    free_claims(conflicts);
    xt_memory_free(&conflicts->rejected);
    xt_memory_free(&conflicts->folded);
    xt_memory_free(&conflicts->dropped);
    xt_memory_free(&conflicts->filter);
    pthread_mutex_destroy(&conflicts->mutex);
}

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

static struct claim *claims_of(const struct xt_conflicts *conflicts, size_t *count)
{
    *count = conflicts->claims.size / sizeof(struct claim);
    return (struct claim *)(void *)conflicts->claims.data;
}

static enum xt_status out_of_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY, "out of memory while looking for duplicates");
}

static enum xt_status collect(struct xt_conflicts *conflicts, uint64_t number,
                              const struct xt_conflict_claim *given, size_t count,
                              struct xt_failure *failure)
{
    uint64_t held = conflicts->claims.size + conflicts->groups.size;
    if (count > (conflicts->most - held) / (sizeof(struct claim) + sizeof(struct group))) {
        return xt_fail(
            failure, XT_NO_MEMORY,
            "too many lines give numbers that other lines give as well, more than fit "
            "into memory: give more with --memory, or leave duplicates out of the input");
    }
    struct group group = {.number = number, .successor = NOBODY};
    uint64_t place = conflicts->groups.size / sizeof(group);
    enum xt_status status = append(&conflicts->groups, &group, sizeof(group));
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        struct claim claim = {.line = given[i].line,
                              .order = given[i].replaced ? number + 1 : 0,
                              .group = place,
                              .person = given[i].person,
                              .flags = (given[i].replaced ? FLAG_REPLACED : 0) |
                                       (given[i].cancelled ? FLAG_CANCELLED : 0)};
        status = append(&conflicts->claims, &claim, sizeof(claim));
    }
    return status == XT_OK ? XT_OK : out_of_memory(failure);
}

enum xt_status xt_conflicts_collect(struct xt_conflicts *conflicts, uint64_t number,
                                    const struct xt_conflict_claim *claims, size_t count,
                                    struct xt_failure *failure)
{
    pthread_mutex_lock(&conflicts->mutex);
    enum xt_status status = collect(conflicts, number, claims, count, failure);
    pthread_mutex_unlock(&conflicts->mutex);
    return status;
}

static bool is_replaced(const struct claim *claim)
{
    return (claim->flags & FLAG_REPLACED) != 0;
}

static bool is_cancelled(const struct claim *claim)
{
    return (claim->flags & FLAG_CANCELLED) != 0;
}

/* ---- chains of successors -------------------------------------------------------------------- */

/* A line's claims: contested ones only. */
static struct part part_of(const struct xt_conflicts *conflicts, uint64_t line)
{
    size_t count;
    struct claim *claims = claims_of(conflicts, &count);
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
static struct group *own_group(const struct xt_conflicts *conflicts, struct part part)
{
    bool own = part.count > 0 && !is_replaced(&part.claims[0]);
    return own ? &groups_of(conflicts)[part.claims[0].group] : NULL;
}

/* The group of a line that was folded into another; NULL: it was not. */
static struct group *folded_group(const struct xt_conflicts *conflicts, uint64_t line)
{
    struct group *group = own_group(conflicts, part_of(conflicts, line));
    bool folded = group != NULL && group->person.line == line && group->redirect.line != 0;
    return folded ? group : NULL;
}

/* first: the group of somebody who was folded. */
static uint64_t last_successor(const struct xt_conflicts *conflicts, struct group *first)
{
    size_t unused;
    struct group *last = first;
    for (struct group *next = first; next != NULL && last->successor == NOBODY;) {
        last = next;
        next = folded_group(conflicts, last->redirect.line);
    }
    uint64_t number = last->successor;
    if (number == NOBODY) {
        number = claims_of(conflicts, &unused)[last->redirect.claim].person;
    }
    /* All on the way learn it, so that a long chain is walked once. */
    for (struct group *at = first; at != NULL && at->successor == NOBODY;) {
        at->successor = number;
        at = folded_group(conflicts, at->redirect.line);
    }
    return number;
}

/* The claim of a cancelled line to the number of its own last successor: a ring. NULL: there is none. */
static struct claim *find_ring(const struct xt_conflicts *conflicts, struct part part,
                               struct holder *rival)
{
    const struct group *group = own_group(conflicts, part);
    if (group == NULL || group->redirect.line == 0) {
        return NULL; /* not folded */
    }
    *rival = group->redirect;
    unsigned steps = 0;
    while ((group = folded_group(conflicts, rival->line)) != NULL) {
        *rival = group->redirect;
        if (++steps == CHAIN_MAX) {
            return &part.claims[0];
        }
    }
    for (size_t i = 0; i < part.count; i++) {
        group = &groups_of(conflicts)[part.claims[i].group];
        if (is_replaced(&part.claims[i]) && group->person.line == rival->line) {
            return &part.claims[i];
        }
    }
    return NULL;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* Who is in a claim's way; line 0: nobody. A cancelled record gives way to a successor's redirect, and
 * its replaced numbers to those of a person in force. */
static struct holder in_the_way(const struct xt_conflicts *conflicts, const struct claim *claim)
{
    const struct holder nobody = {0, 0};
    const struct group *group = &groups_of(conflicts)[claim->group];
    size_t unused;
    const struct claim *claims = claims_of(conflicts, &unused);
    bool cancelled = is_cancelled(claim);
    if (!is_replaced(claim)) {
        return group->person.line != 0 ? group->person : cancelled ? nobody : group->redirect;
    }
    if (group->person.line != 0 && !is_cancelled(&claims[group->person.claim])) {
        return group->person;
    }
    bool equal =
        group->redirect.line != 0 && is_cancelled(&claims[group->redirect.claim]) == cancelled;
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
static struct claim *find_refused(const struct xt_conflicts *conflicts, struct part part,
                                  struct holder *first, bool *as_id)
{
    size_t unused;
    const struct claim *claims = claims_of(conflicts, &unused);
    struct claim *refused = NULL;
    *as_id = false; /* the plainest reason is told: the number itself is a duplicate */
    for (size_t i = 0; i < part.count && !*as_id; i++) {
        struct claim *claim = &part.claims[i];
        struct holder rival = in_the_way(conflicts, claim);
        if (rival.line == 0 && repeats(part, i)) {
            rival = (struct holder){claim->line, (uint64_t)(claim - claims)};
        }
        if (rival.line == 0) {
            continue;
        }
        *as_id = !is_replaced(claim) && !is_replaced(&claims[rival.claim]);
        if (refused == NULL || *as_id) {
            refused = claim;
            *first = rival;
        }
    }
    return refused != NULL ? refused : find_ring(conflicts, part, first);
}

static void take(const struct xt_conflicts *conflicts, struct part part)
{
    size_t unused;
    struct claim *claims = claims_of(conflicts, &unused);
    for (size_t i = 0; i < part.count; i++) {
        struct claim *claim = &part.claims[i];
        struct group *group = &groups_of(conflicts)[claim->group];
        struct holder self = {claim->line, (uint64_t)(claim - claims)};
        if (!is_replaced(claim)) {
            group->person = self;
        } else if (group->redirect.line != 0 && is_cancelled(claim)) {
            claim->flags |= FLAG_DROPPED;
        } else {
            if (group->redirect.line != 0) {
                claims[group->redirect.claim].flags |= FLAG_DROPPED;
            }
            group->redirect = self;
        }
    }
}

static enum xt_status decide_lines(struct xt_conflicts *conflicts, xt_builder_duplicate duplicate,
                                   void *context)
{
    size_t count;
    struct claim *claims = claims_of(conflicts, &count);
    enum xt_status status = XT_OK;
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && claims[to].line == claims[from].line) {
            to++;
        }
        struct part part = {claims + from, to - from};
        struct holder first = {0, 0};
        bool as_id;
        const struct claim *refused = find_refused(conflicts, part, &first, &as_id);
        if (refused == NULL) {
            take(conflicts, part);
            continue;
        }
        duplicate(context, refused->line, first.line,
                  as_id ? "duplicate_id" : "replaced_number_in_use",
                  is_replaced(refused) ? "/replaced_numbers" : "/id");
        status = append(&conflicts->rejected, &refused->line, sizeof(refused->line));
    }
    return status;
}

static void mark_line(struct xt_conflicts *conflicts, uint64_t line)
{
    uint64_t bit = line % XT_CONFLICTS_FILTER;
    conflicts->filter.data[bit / 8] |= (uint8_t)(1U << (bit % 8));
}

/* What was decided, by line, and without what it was decided by. */
static enum xt_status keep_decisions(struct xt_conflicts *conflicts)
{
    size_t count;
    const struct claim *claims = claims_of(conflicts, &count);
    uint8_t *place;
    enum xt_status status = xt_memory_extend(&conflicts->filter, XT_CONFLICTS_FILTER / 8, &place);
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        const struct claim *claim = &claims[i];
        struct group *group = &groups_of(conflicts)[claim->group];
        mark_line(conflicts, claim->line);
        if ((claim->flags & FLAG_DROPPED) != 0) {
            struct about dropped = {claim->line, group->number};
            status = append(&conflicts->dropped, &dropped, sizeof(dropped));
        } else if (!is_replaced(claim) && group->person.claim == i &&
                   group->person.line == claim->line && group->redirect.line != 0) {
            struct about folded = {claim->line, last_successor(conflicts, group)};
            status = append(&conflicts->folded, &folded, sizeof(folded));
        }
    }
    return status;
}

enum xt_status xt_conflicts_decide(struct xt_conflicts *conflicts, xt_builder_duplicate duplicate,
                                   void *context, struct xt_failure *failure)
{
    size_t count;
    struct claim *claims = claims_of(conflicts, &count);
    if (count == 0) {
        return XT_OK;
    }
    xt_sort_entries(claims, count, sizeof(*claims));
    enum xt_status status = decide_lines(conflicts, duplicate, context);
    if (status == XT_OK) {
        status = keep_decisions(conflicts);
    }
    free_claims(conflicts);
    return status == XT_OK ? XT_OK : out_of_memory(failure);
}

/* ---- looking lines up ------------------------------------------------------------------------ */

static bool may_know(const struct xt_conflicts *conflicts, uint64_t line)
{
    uint64_t bit = line % XT_CONFLICTS_FILTER;
    return conflicts->filter.data != NULL &&
           (conflicts->filter.data[bit / 8] >> (bit % 8) & 1) != 0;
}

/* The first of records of so many u64, ordered by their first, that is not below line. */
static const uint64_t *find_line(const struct xt_memory *memory, size_t words, uint64_t line,
                                 const uint64_t **end)
{
    const uint64_t *records = (const uint64_t *)(const void *)memory->data;
    size_t from = 0;
    size_t to = memory->size / (words * sizeof(*records));
    *end = NULL;
    if (records == NULL) {
        return NULL;
    }
    *end = records + to * words;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (records[middle * words] < line) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return records + from * words;
}

bool xt_conflicts_rejected(const struct xt_conflicts *conflicts, uint64_t line)
{
    const uint64_t *end;
    if (!may_know(conflicts, line)) {
        return false;
    }
    const uint64_t *found = find_line(&conflicts->rejected, 1, line, &end);
    return found != end && found[0] == line;
}

bool xt_conflicts_folded(const struct xt_conflicts *conflicts, uint64_t line, uint64_t *successor)
{
    const uint64_t *end;
    if (!may_know(conflicts, line)) {
        return false;
    }
    const uint64_t *found = find_line(&conflicts->folded, 2, line, &end);
    if (found == end || found[0] != line) {
        return false;
    }
    *successor = found[1];
    return true;
}

uint64_t xt_conflicts_folded_count(const struct xt_conflicts *conflicts)
{
    return conflicts->folded.size / sizeof(struct about);
}

bool xt_conflicts_dropped(const struct xt_conflicts *conflicts, uint64_t line, uint64_t number)
{
    const uint64_t *end;
    if (!may_know(conflicts, line)) {
        return false;
    }
    const uint64_t *found = find_line(&conflicts->dropped, 2, line, &end);
    for (; found != end && found[0] == line; found += 2) {
        if (found[1] == number) {
            return true;
        }
    }
    return false;
}
