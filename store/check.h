/* store/check: verifies a sealed generation from end to end.
 *
 * Everything: the file's digest, every page, the order of tags, every record opened and decoded and at
 * its place, that the tables agree (links, CMND, replaced numbers), counts. Goes on after a
 * damage, so that all of them are known.
 *
 * All processors work on it (store/sweep). Memory of its own: some 5 MiB for each of them; the pages that are
 * being read are the page cache's.
 */
#ifndef XT_STORE_CHECK_H
#define XT_STORE_CHECK_H

#include <signal.h>

#include "store/generation.h"

#define XT_CHECK_LISTED_MAX 1000 /* findings that are told one by one */

struct xt_damage {
    const char *table; /* NULL: of the file, not of a table */
    uint32_t page;
    uint32_t record; /* UINT32_MAX: the whole page */
    uint64_t offset; /* in data.mdb, in bytes, of the record or the page */
    const char *what;
};

struct xt_check_report {
    uint64_t people, records; /* that opened and decoded; that were looked at */
    uint64_t damaged;         /* findings */
    unsigned listed;          /* the first of them, in the order of the tables: */
    struct xt_damage damages[XT_CHECK_LISTED_MAX];
};

struct xt_check_plan {
    bool quiet;                         /* no progress */
    volatile sig_atomic_t *interrupted; /* set by a signal's handler; NULL: never */
};

/* XT_CORRUPT: something is damaged; the first finding is in *failure as well, and it alone where the
 * generation cannot even be opened (nothing is then listed). Anything else but XT_OK is no verdict:
 * XT_CLOSED (interrupted), XT_NOT_FOUND, XT_DENIED (no such generation, no key for it), XT_NO_MEMORY,
 * XT_IO. The report then has what was found until then, *failure says that this is not all, and people
 * and records are not counted. plan NULL: quiet. */
XT_MUST_USE enum xt_status xt_generation_check(const char *dir, uint32_t number,
                                               const struct xt_keyring *keyring,
                                               const struct xt_check_plan *plan,
                                               struct xt_check_report *report,
                                               struct xt_failure *failure);

/* "table hot, page 3, record 17 (at byte 81920 of data.mdb): the record does not open" */
void xt_damage_text(const struct xt_damage *damage, char *text, size_t size);

#endif
