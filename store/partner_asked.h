/* store/partner_asked: what `xacthuc partner` was asked for, between reading it and doing it. Private. */
#ifndef XT_STORE_PARTNER_ASKED_H
#define XT_STORE_PARTNER_ASKED_H

#include "store/partners.h"

struct xt_partner_asked {
    const char *action, *dir, *name;
    const char *certificates[XT_PARTNER_CERTIFICATES_MAX];
    unsigned certificate_count;
    const char *issue;
    uint64_t days; /* 0: not said */
    bool json;
    bool add_options;         /* any option that only add has */
    bool certificate_options; /* any that only add and revoke have */
    struct xt_partner partner;
};

/* An xt_partners_report that tells on stderr and sets the bool that context points to. */
void xt_partner_warn(void *context, const char *file, const char *why);

/* Registers a partner, with a certificate of its own or one that is issued; all or nothing, also when it
 * is interrupted. Gives the exit status. SIGKILL or a power cut in the middle can leave OUT/NAME.key and
 * OUT/NAME.crt of a partner that is not registered, or .NAME.key.XXXXXX: they open nothing, and are not
 * removed later, since by then nobody can tell them from the operator's own files. */
int xt_partner_add(struct xt_partner_asked *asked);

/* Adds the one certificate, if any, to the authority's list of revoked ones, and renews that. Gives the
 * exit status. */
int xt_partner_revoke(const struct xt_partner_asked *asked);

#endif
