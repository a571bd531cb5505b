/* store/partners: the partners of a deployment, one JSON file each in DIR/partners/.
 *
 * A set is immutable once loaded: the server loads a new one beside it, swaps a pointer and frees the
 * old, so a change is whole or not at all. A file that does not parse is refused and named; the
 * previous version of that partner stays in force (pass the previous set).
 */
#ifndef XT_STORE_PARTNERS_H
#define XT_STORE_PARTNERS_H

#include "core/policy.h"

#define XT_PARTNERS_MAX 4096

struct xt_partners; /* opaque */

/* report is called for each file that was refused (its name and why; no personal data). previous may
 * be NULL; it is copied from, never kept. A certificate stays with whom it was in previous, as long as
 * he is there and claims it; a file that claims another's is refused, and of several that claim one
 * that nobody held, all are (store/partner_claims). A file must be called after its partner. A file that is gone takes its partner with it;
 * names that start with a dot or do not end in .json are not looked at. */
typedef void (*xt_partners_report)(void *context, const char *file, const char *why);
XT_MUST_USE enum xt_status xt_partners_load(const char *dir, const struct xt_partners *previous,
                                            xt_partners_report report, void *context,
                                            struct xt_partners **partners,
                                            struct xt_failure *failure);
/* The same with the live store at hand, which knows who held what before the server was started; NULL:
 * nothing is on record. XT_CORRUPT, XT_IO: its record cannot be read. */
struct xt_live;
XT_MUST_USE enum xt_status
xt_partners_load_held(const char *dir, const struct xt_partners *previous,
                      const struct xt_live *live, xt_partners_report report, void *context,
                      struct xt_partners **partners, struct xt_failure *failure);
void xt_partners_free(struct xt_partners *partners);

/* The set of these texts, each as xt_partner_to_json writes it, in the order of the partners' names: a
 * settled set that another process loaded. XT_INVALID: one does not parse, or they are not in order. */
XT_MUST_USE enum xt_status xt_partners_parse(const struct xt_span *texts, unsigned count,
                                             struct xt_partners **partners,
                                             struct xt_failure *failure);

unsigned xt_partners_count(const struct xt_partners *partners);
const struct xt_partner *xt_partners_at(const struct xt_partners *partners, unsigned index);

/* The partner of a certificate; NULL when none has it. Constant-time in the digest's bytes is not
 * needed: it is public. O(1). */
const struct xt_partner *xt_partners_by_spki(const struct xt_partners *partners,
                                             const uint8_t spki[XT_SPKI_DIGEST]);

/* The partner of that name; NULL when there is none. */
const struct xt_partner *xt_partners_by_name(const struct xt_partners *partners, const char *name);

/* Reads one partner's file, whatever the others claim. XT_NOT_FOUND: there is none; XT_INVALID: it does
 * not parse. partner must not be used then. */
XT_MUST_USE enum xt_status xt_partner_read(const char *dir, const char *name,
                                           struct xt_partner *partner, struct xt_failure *failure);

/* Writes one partner's file atomically. replace false: XT_EXISTS when there is one. Does not look at
 * the other partners' certificates. */
XT_MUST_USE enum xt_status xt_partner_save(const char *dir, const struct xt_partner *partner,
                                           bool replace, struct xt_failure *failure);
/* Takes his file away. XT_NOT_FOUND: there is none. */
XT_MUST_USE enum xt_status xt_partner_delete(const char *dir, const char *name,
                                             struct xt_failure *failure);

#endif
