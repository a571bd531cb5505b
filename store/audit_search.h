/* store/audit_search: entries of the audit log that answer a question, in constant memory, as a stream.
 *
 * The checkpoints are the index: each segment is read from the last one before which everything is older
 * than `from`; segments that are over before it or begin after `to` are not opened, batches outside of
 * it are passed over by their plain headers. Entries come in the order of segments (by their start), and
 * within one in the order in which they were written.
 * It finds what is there and believes the list of checkpoints; whether all is there, xt_audit_verify says.
 */
#ifndef XT_STORE_AUDIT_SEARCH_H
#define XT_STORE_AUDIT_SEARCH_H

#include <signal.h>

#include "store/audit_checkpoint.h"

struct xt_audit_query {
    struct xt_span partner; /* empty: any */
    uint64_t from_ms;       /* at or after; 0: any */
    uint64_t to_ms;         /* before; 0: any */
    bool has_subject;
    struct xt_id subject;
    bool has_answer;
    uint8_t answer_id[XT_AUDIT_ANSWER_ID];
    const volatile sig_atomic_t *interrupted; /* NULL: never */
};

/* One that was found; anything but XT_OK ends the search, and is what it gives. */
typedef enum xt_status (*xt_audit_found)(void *context, const struct xt_audit_entry *entry,
                                         struct xt_failure *failure);

struct xt_audit_tally {
    uint64_t found, read; /* entries; read: unsealed and looked at */
    uint64_t segments;    /* opened */
};

/* XT_CORRUPT: a file is damaged; *failure names it; what could be read was given. XT_NOT_FOUND: no log. */
XT_MUST_USE enum xt_status xt_audit_search(const char *dir, const struct xt_keyring *keyring,
                                           const struct xt_audit_query *query, xt_audit_found found,
                                           void *context, struct xt_audit_tally *tally,
                                           struct xt_failure *failure);

/* 2026-11-22, or 2026-11-22T03:04:05 with Z, +07:00 or the like after it; UTC where nothing is said. */
XT_MUST_USE bool xt_audit_time_parse(const char *text, uint64_t *unix_ms);

#endif
