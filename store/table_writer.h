/* store/table_writer: fills one table of a file, records in the order of their hashes.
 *
 *   start -> add, add, ... -> finish
 *
 * Memory: one page's records at a time, not sealed, in memory left out of core dumps and wiped.
 */
#ifndef XT_STORE_TABLE_WRITER_H
#define XT_STORE_TABLE_WRITER_H

#include "crypto/seal.h"
#include "store/memory.h"
#include "store/table_file.h"

/* Into how many pages records of so many bytes in all (not sealed) go; at least 1. */
uint32_t xt_table_page_count(uint64_t records, uint64_t bytes);

/* Upper bound of what the pages of such a table take on disk, for the size of the map and the check
 * for room. */
uint64_t xt_table_bytes_at_most(uint64_t records, uint64_t bytes);

struct xt_table_writer {
    struct xt_table_file *file; /* borrowed */
    struct xt_sealer *sealer;
    unsigned table;
    uint32_t page_count, page; /* the page that is being collected */
    uint64_t ordinal;          /* of its first record */
    struct xt_memory slots;    /* tag u32, size u32 of each record collected */
    struct xt_memory records;
    struct xt_table_sizes sizes;
};

XT_MUST_USE enum xt_status xt_table_writer_start(struct xt_table_writer *writer,
                                                 struct xt_table_file *file, unsigned table,
                                                 uint32_t page_count, const uint8_t key[32],
                                                 struct xt_failure *failure);

/* hash must not be below the one before. record: 1 to XT_RECORD_MAX bytes. */
XT_MUST_USE enum xt_status xt_table_writer_add(struct xt_table_writer *writer, struct xt_hash hash,
                                               struct xt_span record, struct xt_failure *failure);

/* Writes what is left and gives the sizes (disk_bytes: data only, without a share of the tree). */
XT_MUST_USE enum xt_status xt_table_writer_finish(struct xt_table_writer *writer,
                                                  struct xt_table_sizes *sizes,
                                                  struct xt_failure *failure);

/* After finish or any failure. */
void xt_table_writer_end(struct xt_table_writer *writer);

#endif
