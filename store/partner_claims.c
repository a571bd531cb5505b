#include "store/partner_claims.h"

#include <stdio.h>
#include <stdlib.h>

#define NOBODY SIZE_MAX

/* One certificate in one version of a partner. */
struct claim {
    uint8_t digest[XT_SPKI_DIGEST];
    size_t candidate;
    bool fresh; /* in what the file says; else in the version before */
};

/* All claims to one certificate. */
struct group {
    const struct claim *claims;
    size_t count;
};

struct settling {
    const struct xt_partner_loading *loading;
    struct claim *claims; /* by digest */
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

static bool settle_round(struct settling *settling, bool contested)
{
    for (size_t from = 0, to; from < settling->count; from = to) {
        const struct claim *first = &settling->claims[from];
        to = from + 1;
        while (to < settling->count &&
               memcmp(settling->claims[to].digest, first->digest, XT_SPKI_DIGEST) == 0) {
            to++;
        }
        if (to - from > 1) {
            settle_group(settling, (struct group){first, to - from}, contested);
        }
    }
    return refuse_noted(settling);
}

enum xt_status xt_partner_claims_settle(const struct xt_partner_loading *loading)
{
    const size_t most = 2 * (size_t)XT_PARTNER_CERTIFICATES_MAX; /* of one candidate */
    struct settling settling = {.loading = loading};
    settling.claims = calloc(loading->count * most + 1, sizeof(*settling.claims));
    settling.rivals = calloc(loading->count + 1, sizeof(*settling.rivals));
    settling.held = calloc(loading->count + 1, sizeof(*settling.held));
    bool enough = settling.claims != NULL && settling.rivals != NULL && settling.held != NULL;
    for (size_t i = 0; enough && i < loading->count; i++) {
        settling.rivals[i] = NOBODY;
        add_claims(&settling, loading->candidates[i].fresh, i, true);
        add_claims(&settling, loading->candidates[i].before, i, false);
    }
    if (enough && settling.count > 0) {
        qsort(settling.claims, settling.count, sizeof(*settling.claims), compare_claims);
        /* First whoever wants what another holds: nobody else is to suffer from his other claims. */
        while (settle_round(&settling, false) || settle_round(&settling, true)) {
        }
    }
    free(settling.claims);
    free(settling.rivals);
    free(settling.held);
    return enough ? XT_OK : XT_NO_MEMORY;
}
