/* store/table_file: one LMDB file with the pages of all tables, and the only place that knows LMDB.
 *
 *   create -> reserve, fill, reserve, fill, ... (tables and pages in order) -> finish
 *   survey   reads it once: the digest of everything, and its structure
 *   open     -> the pages of each table, as spans into the map
 *
 * The structure is every OS page of the file that is not table data: LMDB's two meta pages and its
 * tree. LMDB trusts these pages blindly, so a flipped bit in one could make it read anywhere; their
 * numbers and digest stand in the manifest and are checked before LMDB sees the file. Table data has
 * its own seals. (LMDB data format 1: a page starts with its number u64, pad u16, flags u16; flag 4
 * marks a run of data pages whose length is the u32 after the flags.)
 */
#ifndef XT_STORE_TABLE_FILE_H
#define XT_STORE_TABLE_FILE_H

#include "crypto/seal.h"
#include "store/progress.h"
#include "store/table.h"

struct xt_structure {
    uint32_t page_bytes; /* of one OS page in this file */
    uint32_t count;
    uint32_t *pages; /* of malloc; page numbers, ascending */
    uint8_t digest[XT_DIGEST_BYTES];
};
void xt_structure_free(struct xt_structure *structure);

struct xt_table_file; /* opaque */

/* path must not exist. at_most: bytes that the pages may need, for the size of the map. */
XT_MUST_USE enum xt_status xt_table_file_create(const char *path, uint64_t at_most,
                                                struct xt_table_file **file,
                                                struct xt_failure *failure);

/* Gives a place for one page (its number must be that of the page before + 1, from 0, table after
 * table), valid until the next call on file. Never reads back what was put there. */
XT_MUST_USE enum xt_status xt_table_file_reserve(struct xt_table_file *file, unsigned table,
                                                 uint32_t page, size_t size, uint8_t **place,
                                                 struct xt_failure *failure);

/* Commits and syncs everything; the file is then only good for close. */
XT_MUST_USE enum xt_status xt_table_file_finish(struct xt_table_file *file,
                                                struct xt_failure *failure);
void xt_table_file_close(struct xt_table_file *file);

/* Reads path from end to end. structure may be NULL, or is filled and freed by the caller. XT_CLOSED:
 * progress says that it was interrupted. */
XT_MUST_USE enum xt_status xt_table_file_survey(const char *path, struct xt_progress *progress,
                                                uint64_t *bytes, uint8_t digest[XT_DIGEST_BYTES],
                                                struct xt_structure *structure,
                                                struct xt_failure *failure);

/* Opens a finished file of exactly `bytes` whose structure is as expected. page_counts: of each
 * table. Reads the structure only. XT_CORRUPT: it is not the file that was made. The map is for
 * reading at random (MADV_RANDOM): a page fault reads what was asked for and nothing around it. */
XT_MUST_USE enum xt_status xt_table_file_open(const char *path, uint64_t bytes,
                                              const struct xt_structure *expected,
                                              const uint32_t page_counts[XT_TABLE_COUNT],
                                              struct xt_table_file **file,
                                              struct xt_failure *failure);

/* The pages of a table, as many as page_counts said; borrowed until close. */
const struct xt_span *xt_table_file_pages(const struct xt_table_file *file, unsigned table);

/* Where in the file a page begins, in bytes. */
uint64_t xt_table_file_offset(const struct xt_table_file *file, unsigned table, uint32_t page);

/* For those who read pages from <= page < to in order, against what MADV_RANDOM says. Any thread; a
 * file that is being read stays readable.
 *   expect  has the disk begin to read them; returns before it has
 *   load    waits until they are in the page cache. XT_IO: the disk, or a file cut short, which a plain
 *           read of the map would answer with SIGBUS. XT_UNSUPPORTED: Linux before 5.14; expect did
 *           what there is
 *           large: in pieces of 2 MiB where that can be, which wants as much free memory
 *   repack  once they are loaded large and are not (xt_table_file_large), since the page cache had them
 *           already, in small pieces, as who writes or copies a file leaves them: reads them again, 2 MiB at a
 *           time, for which a lookup there waits. Those that another process has mapped stay as they are.
 *           At most XT_TABLE_FILE_PIECES
 *   prefer  once they are loaded: before others are thrown out of the page cache for lack of memory, what was
 *           read only once goes; lookups alone do not count as use, since their map is for reading at random
 *   forget  takes them out of this process's resident memory; the page cache keeps them
 *   map     for those who look up: brings those that are in the page cache into this process's page tables,
 *           all or none (XT_NOT_FOUND). Waits for no disk. The rest as load
 *   count_use  for those who look up, once nearly all of them are mapped: lookups count as use from now on. Of
 *           a map for reading at random they do not (Linux 6.3 and later), and when memory is wanted for what is
 *           written, as the audit log, the system would throw out these pages however often they are looked into.
 *           What is missing then comes with what is around it */
void xt_table_file_expect(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to);
XT_MUST_USE enum xt_status xt_table_file_load(const struct xt_table_file *file, unsigned table,
                                              uint32_t from, uint32_t to, bool large);
#define XT_TABLE_FILE_PIECES (128ULL << 20) /* bytes */
void xt_table_file_repack(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to);
/* Bytes that this process has mapped in pieces of 2 MiB, of all files; UINT64_MAX where that cannot be told. */
uint64_t xt_table_file_large(void);
/* Out of the page cache, but for what somebody has mapped. */
void xt_table_file_drop(const struct xt_table_file *file, uint64_t offset, uint64_t size);
void xt_table_file_prefer(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to);
void xt_table_file_count_use(const struct xt_table_file *file, unsigned table, uint32_t from,
                             uint32_t to);
XT_MUST_USE enum xt_status xt_table_file_map(const struct xt_table_file *file, unsigned table,
                                             uint32_t from, uint32_t to);
void xt_table_file_forget(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to);

#endif
