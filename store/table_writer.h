/* store/table_writer: packs and seals a run of pages of one table, records in the order of their
 * hashes, in memory.
 *
 *   start -> add, add, ... -> finish -> store
 *
 * Runs of one table may be packed at the same time, each by another writer and thread, and stored one
 * after the other: who knows how many records go before a run knows its ordinals.
 *
 * Memory: the run's pages, sealed, and one page's records, not sealed, which are left out of core
 *         dumps and wiped.
 */
#ifndef XT_STORE_TABLE_WRITER_H
#define XT_STORE_TABLE_WRITER_H

#include "crypto/seal.h"
#include "store/memory.h"
#include "store/table_file.h"

/* Into how many pages records of so many bytes in all (not sealed, about) go; at least 1. It is a
 * multiple of *runs: runs of as many pages each, a power of two and at most runs_max (one too), which
 * the tops of the hashes divide into. */
uint32_t xt_table_page_count(uint64_t records, uint64_t bytes, uint32_t runs_max, uint32_t *runs);

/* Upper bound of what the pages of such a table take on disk, for the size of the map and the check
 * for room. */
uint64_t xt_table_bytes_at_most(uint64_t records, uint64_t bytes);

struct xt_table_writer {
    const struct xt_sealer *sealer; /* borrowed: of the table's key */
    uint32_t page_count;            /* of the whole table */
    uint32_t first, end;            /* pages of this run: first to end - 1 */
    uint32_t page;                  /* that is being collected */
    uint64_t ordinal;               /* of its first record */
    struct xt_memory slots;         /* tag u32, size u32 of each record collected */
    struct xt_memory records;
    struct xt_memory pages; /* sealed, one after the other */
    struct xt_memory sizes; /* of each, u32 */
    struct xt_table_sizes totals;
};

/* ordinal: how many records stand in the pages before. The writer is zeroed, or was used before: its
 * memory is kept. */
void xt_table_writer_start(struct xt_table_writer *writer, const struct xt_sealer *sealer,
                           uint32_t page_count, uint32_t first, uint32_t end, uint64_t ordinal);

/* hash must not be below the one before, and belong to a page of the run. record: 1 to XT_RECORD_MAX
 * bytes. */
XT_MUST_USE enum xt_status xt_table_writer_add(struct xt_table_writer *writer, uint64_t hash_high,
                                               struct xt_span record, struct xt_failure *failure);

/* Seals what is left; totals are then known (disk_bytes: data only, without a share of the tree). */
XT_MUST_USE enum xt_status xt_table_writer_finish(struct xt_table_writer *writer,
                                                  struct xt_failure *failure);

/* Appends the run to a file whose last page of this table is the one before it. */
XT_MUST_USE enum xt_status xt_table_writer_store(const struct xt_table_writer *writer,
                                                 struct xt_table_file *file, unsigned table,
                                                 struct xt_failure *failure);

void xt_table_writer_end(struct xt_table_writer *writer);

#endif
