/* store/partner_claims: who holds a certificate that several partners' files give. Private to partners.
 *
 *   - Who held it in the set before keeps it, as long as he is still there and still claims it: in his
 *     new file, or in the version before that stays because his new file was refused.
 *   - A certificate that nobody held in the set before (there may be none: the server has just started) is
 *     his whom the live store names. If his file is there and cannot be read, nobody else gets it.
 *   - Otherwise it is whoever claims it alone: a new partner, or one to whom it moved in the same reload.
 *   - Otherwise it is nobody's: all who claim it anew are refused. What a file is called decides nothing.
 */
#ifndef XT_STORE_PARTNER_CLAIMS_H
#define XT_STORE_PARTNER_CLAIMS_H

#include "crypto/file.h"
#include "store/live.h"
#include "store/partners.h"

/* One file at a load: the partner in it, the one before, or nobody. */
struct xt_partner_candidate {
    char name[XT_PARTNER_NAME_MAX + 1];
    struct xt_partner *fresh;        /* what the file says; NULL: it was refused */
    const struct xt_partner *before; /* the same partner in the set before; NULL: not in it */
};

struct xt_partner_loading {
    char folder[XT_PATH_MAX];
    const struct xt_partners *previous;
    const struct xt_live *live; /* NULL: nothing is on record */
    xt_partners_report report;
    void *context;
    struct xt_json_arena arena;
    struct xt_partner_candidate *candidates; /* by name, ascending */
    size_t count, capacity;
};

/* Reports a file and goes back to the version before, if there is one. */
void xt_partner_refuse(const struct xt_partner_loading *loading,
                       struct xt_partner_candidate *candidate, const char *why);

/* Refuses files until every certificate is one partner's at most. XT_NO_MEMORY; XT_CORRUPT, XT_IO: the
 * live store cannot be read. */
XT_MUST_USE enum xt_status xt_partner_claims_settle(const struct xt_partner_loading *loading);

#endif
