#include "store/partner_claims.h"

#include <stdio.h>
#include <stdlib.h>

#define NOBODY SIZE_MAX

/* One certificate in one version of a partner. */
struct claim {
    uint8_t digest[XT_SPKI_DIGEST];
    size_t candidate;
    bool fresh; /* in what the file says; else in the version before, or on record */
};

/* All claims to one certificate. */
struct group {
    const struct claim *claims;
    size_t count;
};

struct settling {
    const struct xt_partner_loading *loading;
    struct claim *claims; /* by digest; room for one more of each */
    size_t count;
    size_t *rivals; /* for each candidate: on whose account he is to be refused; NOBODY */
    bool *held;     /* that rival held the certificate before */
};

static void add_claims(struct settling *settling, const struct xt_partner *partner,
                       size_t candidate, bool fresh)
{
    for (unsigned i = 0; partner != NULL && i < partner->certificate_count; i++) {
        struct claim *claim = &settling->claims[settling->count++];
        *claim = (struct claim){.candidate = candidate, .fresh = fresh};
        memcpy(claim->digest, partner->certificates[i], XT_SPKI_DIGEST);
    }
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *left = a;
    const struct claim *right = b;
    int order = memcmp(left->digest, right->digest, XT_SPKI_DIGEST);
    if (order != 0 || left->candidate == right->candidate) {
        return order;
    }
    return left->candidate < right->candidate ? -1 : 1;
}

/* Of the version that is in force as things stand. */
static bool is_in_force(const struct settling *settling, const struct claim *claim)
{
    return claim->fresh == (settling->loading->candidates[claim->candidate].fresh != NULL);
}

/* Who held the certificate before and claims it still. */
static size_t find_holder(const struct settling *settling, struct group group)
{
    size_t before = NOBODY;
    for (size_t i = 0; i < group.count; i++) {
        before = group.claims[i].fresh ? before : group.claims[i].candidate;
    }
    for (size_t i = 0; i < group.count; i++) {
        if (group.claims[i].candidate == before && is_in_force(settling, &group.claims[i])) {
            return before;
        }
    }
    return NOBODY;
}

/* Somebody else who claims the same. */
static size_t find_other(const struct settling *settling, struct group group, size_t candidate)
{
    for (size_t i = 0; i < group.count; i++) {
        if (group.claims[i].candidate != candidate && is_in_force(settling, &group.claims[i])) {
            return group.claims[i].candidate;
        }
    }
    return NOBODY;
}

/* Notes who is to be refused for one certificate: one that somebody held before (contested false), or
 * one that several claim anew. */
static void settle_group(struct settling *settling, struct group group, bool contested)
{
    size_t holder = find_holder(settling, group);
    if (contested != (holder == NOBODY)) {
        return;
    }
    for (size_t i = 0; i < group.count; i++) {
        size_t candidate = group.claims[i].candidate;
        if (!group.claims[i].fresh || candidate == holder ||
            !is_in_force(settling, &group.claims[i]) || settling->rivals[candidate] != NOBODY) {
            continue;
        }
        settling->rivals[candidate] =
            holder != NOBODY ? holder : find_other(settling, group, candidate);
        settling->held[candidate] = holder != NOBODY;
    }
}

/* Refuses those noted in this round, all at once, so that no order of theirs decides. Whoever goes back
 * to his version before claims what that claims: hence another round. Gives whether there were any. */
static bool refuse_noted(struct settling *settling)
{
    const struct xt_partner_loading *loading = settling->loading;
    bool any = false;
    for (size_t i = 0; i < loading->count; i++) {
        char why[XT_PARTNER_NAME_MAX + 128];
        if (settling->rivals[i] == NOBODY) {
            continue;
        }
        any = true;
        snprintf(why, sizeof(why),
                 settling->held[i] ? "one of its certificates is already that of %s"
                                   : "one of its certificates is also claimed by %s",
                 loading->candidates[settling->rivals[i]].name);
        settling->rivals[i] = NOBODY;
        xt_partner_refuse(loading, &loading->candidates[i], why);
    }
    return any;
}

/* The group that begins at a place among the first `count` claims. */
static struct group group_at(const struct settling *settling, size_t from, size_t count)
{
    const struct claim *first = &settling->claims[from];
    size_t to = from + 1;
    while (to < count && memcmp(settling->claims[to].digest, first->digest, XT_SPKI_DIGEST) == 0) {
        to++;
    }
    return (struct group){first, to - from};
}

static bool settle_round(struct settling *settling, bool contested)
{
    for (size_t from = 0; from < settling->count;) {
        struct group group = group_at(settling, from, settling->count);
        if (group.count > 1) {
            settle_group(settling, group, contested);
        }
        from += group.count;
    }
    return refuse_noted(settling);
}

static int compare_with_name(const void *name, const void *element)
{
    const struct xt_partner_candidate *candidate = element;
    return strcmp(name, candidate->name);
}

/* What nobody held in the set before: whom the live store names claims it too, if there is a file of his
 * name. */
static enum xt_status add_recorded(struct settling *settling, struct group group)
{
    const struct xt_partner_loading *loading = settling->loading;
    char name[XT_PARTNER_NAME_MAX + 1];
    for (size_t i = 0; i < group.count; i++) {
        if (!group.claims[i].fresh) {
            return XT_OK;
        }
    }
    enum xt_status status = xt_live_holder(loading->live, group.claims[0].digest, name);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    const struct xt_partner_candidate *holder = bsearch(
        name, loading->candidates, loading->count, sizeof(*loading->candidates), compare_with_name);
    if (holder != NULL) {
        struct claim *claim = &settling->claims[settling->count++];
        *claim = group.claims[0];
        claim->candidate = (size_t)(holder - loading->candidates);
        claim->fresh = false;
    }
    return XT_OK;
}

static void sort_claims(struct settling *settling)
{
    if (settling->count > 0) {
        qsort(settling->claims, settling->count, sizeof(*settling->claims), compare_claims);
    }
}

static enum xt_status consult_record(struct settling *settling)
{
    enum xt_status status = XT_OK;
    size_t count = settling->count;
    for (size_t from = 0; status == XT_OK && from < count;) {
        struct group group = group_at(settling, from, count);
        status = add_recorded(settling, group);
        from += group.count;
    }
    sort_claims(settling);
    return status;
}

enum xt_status xt_partner_claims_settle(const struct xt_partner_loading *loading)
{
    const size_t most = 2 * (size_t)XT_PARTNER_CERTIFICATES_MAX; /* of one candidate */
    struct settling settling = {.loading = loading};
    /* Twice: one on record for each at most. */
    settling.claims = calloc(2 * loading->count * most + 1, sizeof(*settling.claims));
    settling.rivals = calloc(loading->count + 1, sizeof(*settling.rivals));
    settling.held = calloc(loading->count + 1, sizeof(*settling.held));
    bool enough = settling.claims != NULL && settling.rivals != NULL && settling.held != NULL;
    for (size_t i = 0; enough && i < loading->count; i++) {
        settling.rivals[i] = NOBODY;
        add_claims(&settling, loading->candidates[i].fresh, i, true);
        add_claims(&settling, loading->candidates[i].before, i, false);
    }
    sort_claims(&settling);
    enum xt_status status = enough ? XT_OK : XT_NO_MEMORY;
    if (status == XT_OK && loading->live != NULL) {
        status = consult_record(&settling);
    }
    if (status == XT_OK) {
        /* First whoever wants what another holds: nobody else is to suffer from his other claims. */
        while (settle_round(&settling, false) || settle_round(&settling, true)) {
        }
    }
    free(settling.claims);
    free(settling.rivals);
    free(settling.held);
    return status;
}
