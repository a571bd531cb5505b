/* net/list_flags: lines of a list that contradict each other: one subscription twice, a phone on two ids, more
 * than three phones on an id.
 *
 * The list is read once more; keyed hashes of its ids and phones, under a key that is drawn for it, are sorted
 * on the disk (store/spill: sealed, and gone with the process), so a list of any length takes constant memory.
 * An id is told by its digits: a person under his 9-digit and his 12-digit number is two.
 *
 *   LIST.flags.ndjson   {"flag":"duplicate","lines":[2,9]}   the same id and the same phone (or none)
 *                       {"flag":"phone_on_two_ids","lines":[...]}   a line for each of the ids
 *                       {"flag":"more_than_3_phones","lines":[...]} a line for each of the phones
 *   at most XT_LIST_FLAG_LINES lines each; then "more" counts the others. Lines that are no subscription in the
 *   register's form are left out.
 */
#ifndef XT_NET_LIST_FLAGS_H
#define XT_NET_LIST_FLAGS_H

#include "net/list_count.h"
#include "net/list_input.h"
#include "store/progress.h"

#define XT_LIST_FLAG_LINES 100
/* From the fourth number of a document on, operators need a contract in writing (Circular 08/2026). */
#define XT_LIST_PHONES_MAX 3

/* Reads all of input, which was just opened; writes to path, whole or not at all; fills in the last members of
 * counts. XT_CLOSED: interrupted. */
XT_MUST_USE enum xt_status xt_list_flags(struct xt_list_input *input, const char *path,
                                         struct xt_progress *progress,
                                         struct xt_list_counts *counts, struct xt_failure *failure);

#endif
