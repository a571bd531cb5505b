/* store/partner_asked: what `xacthuc partner` was asked for, between reading it and doing it. Private. */
#ifndef XT_STORE_PARTNER_ASKED_H
#define XT_STORE_PARTNER_ASKED_H

#include <signal.h>

#include "crypto/file.h"
#include "store/partners.h"

enum xt_partner_action {
    XT_PARTNER_ADD = 1 << 0,
    XT_PARTNER_SET = 1 << 1,
    XT_PARTNER_SHOW = 1 << 2,
    XT_PARTNER_LIST = 1 << 3,
    XT_PARTNER_ENABLE = 1 << 4,
    XT_PARTNER_DISABLE = 1 << 5,
    XT_PARTNER_REMOVE = 1 << 6,
    XT_PARTNER_REVOKE = 1 << 7
};

/* Members of the partner that were said. */
enum xt_asked_member {
    XT_ASKED_RIGHTS = 1 << 0,
    XT_ASKED_RATE = 1 << 1,
    XT_ASKED_QUOTA = 1 << 2,
    XT_ASKED_NETWORKS = 1 << 3,
    XT_ASKED_STATE = 1 << 4,
    XT_ASKED_OLD_NUMBERS = 1 << 5
};

struct xt_partner_asked {
    unsigned action; /* enum xt_partner_action; 0: none */
    const char *action_name, *dir, *name;
    const char *certificates[XT_PARTNER_CERTIFICATES_MAX]; /* files */
    const char *notes[XT_PARTNER_CERTIFICATES_MAX]; /* of these, or [0] of the issued; NULL: none */
    unsigned certificate_count;
    const char *issue;
    const char *removed_certificates[XT_PARTNER_CERTIFICATES_MAX];
    unsigned removed_certificate_count;
    const char *removed_purposes[XT_PARTNER_PURPOSES_MAX];
    unsigned removed_purpose_count;
    uint32_t legal_basis_given, consent_given, level_given, required_given,
        attributes_given; /* sets of places in partner.purposes */
    uint32_t given;       /* set of enum xt_asked_member */
    uint64_t days;        /* 0: not said */
    bool json, help;
    struct xt_partner partner; /* what was said of it; no certificates yet */
};

/* Reads the command line into asked, which is zeros and active before; -1 to go on, else the exit status. */
int xt_partner_parse(struct xt_partner_asked *asked, int argc, char **argv);

/* Prints a partner's file; gives the exit status. */
int xt_partner_print(const struct xt_partner *partner);

/* What --issue makes, to be taken away again when the whole does not succeed. */
struct xt_partner_issued {
    char key[XT_PATH_MAX], certificate[XT_PATH_MAX], authority[XT_PATH_MAX];
    bool made_folder, made_pair, made_authority; /* by this run, really */
};

/* A change of the partners' files: all of it or nothing, whatever signal comes. Between looking at the
 * partners and saving, no other command may save. */
struct xt_partner_change {
    int lock; /* -1: not held */
    sigset_t blocked, before;
    struct xt_partner_issued issued;
};
XT_MUST_USE enum xt_status xt_partner_begin(const char *dir, struct xt_partner_change *change,
                                            struct xt_failure *failure);
/* Before the one write that counts: XT_CLOSED when a signal waits. */
XT_MUST_USE enum xt_status xt_partner_commit(const struct xt_partner_change *change,
                                             struct xt_failure *failure);
/* status: of the whole; what was issued for nothing is taken away again. */
void xt_partner_end(struct xt_partner_change *change, const struct xt_partner_asked *asked,
                    enum xt_status status);

/* The certificates that were given, or the one that is issued now, behind those that partner has. One
 * that he has gets the note that was given with it. XT_EXISTS: another partner has it. */
XT_MUST_USE enum xt_status xt_partner_take_certificates(const struct xt_partner_asked *asked,
                                                        struct xt_partner_change *change,
                                                        struct xt_partner *partner,
                                                        struct xt_failure *failure);
/* ,"certificate":"...","key":"...","authority":"..." of what was issued, or the lines that say so. */
void xt_partner_print_issued(const struct xt_partner_asked *asked,
                             const struct xt_partner_issued *issued);

/* An xt_partners_report that tells on stderr and sets the bool that context points to. */
void xt_partner_warn(void *context, const char *file, const char *why);

/* Registers a partner, with a certificate of its own or one that is issued; all or nothing, also when it
 * is interrupted. Gives the exit status. SIGKILL or a power cut in the middle can leave OUT/NAME.key and
 * OUT/NAME.crt of a partner that is not registered, or .NAME.key.XXXXXX: they open nothing, and are not
 * removed later, since by then nobody can tell them from the operator's own files. */
int xt_partner_add(struct xt_partner_asked *asked);

/* Changes a partner (set, enable, disable); takes one away. Give the exit status. */
int xt_partner_set(const struct xt_partner_asked *asked);
int xt_partner_remove(const struct xt_partner_asked *asked);

/* Adds the one certificate, if any, to the authority's list of revoked ones, and renews that. Gives the
 * exit status. */
int xt_partner_revoke(const struct xt_partner_asked *asked);

#endif
