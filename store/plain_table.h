/* store/plain_table: the plain way to keep the register in LMDB, a record under each key, for comparing
 * with: xacthuc-bench micro measures the packed table against it. No server serves from it.
 *
 *   key    the keyed hash of the number, 16 bytes (as the packed table has it; big endian, so that LMDB's
 *          order is the hashes')
 *   value  ordinal u64 | the hot record, sealed with it as nonce and the key as associated data
 *
 * Made of a generation's own hot table, in the order of the keys (MDB_APPEND), which gives LMDB the
 * fullest pages it can have: it is the best that this layout does.
 * Thread: one; never shared, never used after fork(). Blocks: only on a page fault.
 */
#ifndef XT_STORE_PLAIN_TABLE_H
#define XT_STORE_PLAIN_TABLE_H

#include "store/generation.h"

struct xt_plain_table; /* opaque */

/* Told now and then how many records are done; false gives up with XT_CLOSED. */
typedef bool (*xt_plain_watch)(void *context, uint64_t done);

/* Bytes on disk that such a table of the generation needs, at most. */
uint64_t xt_plain_table_bytes(const struct xt_generation *generation);

/* Makes the file at path, which must not exist, sealed under a key of its own that is kept in memory only,
 * and opens it. generation must outlive it. On failure the file may be there: remove it. */
XT_MUST_USE enum xt_status xt_plain_table_make(struct xt_generation *generation, const char *path,
                                               xt_plain_watch watch, void *context,
                                               struct xt_plain_table **table,
                                               struct xt_failure *failure);
/* Leaves the file; without its key it is of no use. NULL is fine. */
void xt_plain_table_close(struct xt_plain_table *table);

/* A person by number in force. XT_NOT_FOUND: nobody has it. */
XT_MUST_USE enum xt_status xt_plain_table_find(struct xt_plain_table *table, uint64_t number,
                                               struct xt_hot *hot);

/* Reads it as the packed table is read, and touches every record, so that finding waits for no disk. */
XT_MUST_USE enum xt_status xt_plain_table_warm(struct xt_plain_table *table);

#endif
