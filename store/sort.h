/* store/sort: entries by hash, in place.
 *
 * An entry begins with three u64 that it is ordered by: the two halves of a hash and a line number.
 * Radix by bytes from the top, so equal hashes in any number cost no more than others; no second
 * copy is made that would have to be wiped.
 */
#ifndef XT_STORE_SORT_H
#define XT_STORE_SORT_H

#include <stddef.h>
#include <stdint.h>

#define XT_SORT_ENTRY_MAX 64 /* bytes of one entry; a multiple of 8 */

void xt_sort_entries(void *entries, size_t count, size_t entry_size);

#endif
