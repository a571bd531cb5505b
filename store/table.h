/* store/table: the packed table, the sealed format of everything that is looked up by a key.
 *
 * Records lie in pages of about 60 KiB, several hundred in each, in the order of the keyed hash of
 * their keys. A page is one value of the table file (store/table_file); its key is the page number.
 *
 *   hash.high * pages  =  page number (top 64 bits) . fraction (low 64 bits); tag = its top 32 bits
 *
 *   page:  | count u32 | page number u32 | ordinal of the first record u64 |
 *          | tag u32, offset u32 | ... count times, tags ascending | end u32 |
 *          | sealed records, no padding |                      (little endian, offsets in bytes)
 *
 * Tags are uniform, so one interpolation lands a few places from the right one; a tag stands next to
 * its offset so that both come with one cache line. Record i is sealed under the table's key with
 * nonce first ordinal + i and, as associated data,
 *
 *   | page number u32 | its tag u32 | the next record's tag u32 | flags u2, i u30 |
 *       flags: it is the last of its page (next tag 0); the record before it has the same tag
 *
 * So a record that opens also proves which tags are absent after it (and before it, when i is 0): a
 * miss opens the one before the gap, and damage or forgery of tags, counts and pages shows as
 * XT_CORRUPT, never as "not there". A page that no record falls into holds an empty one for this.
 * Two keys may share page and tag: records hold their own key, and readers of the records compare it.
 *
 * Thread:  one reader per loop; never shared, never used after fork().
 * Blocks:  only on a page fault.
 * Memory:  the caller gives the place that a record is opened into; the table borrows its pages.
 */
#ifndef XT_STORE_TABLE_H
#define XT_STORE_TABLE_H

#include "core/span.h"
#include "core/status.h"
#include "crypto/keyhash.h"

enum xt_table_number {
    XT_TABLE_HOT,   /* identity -> hot record, or an alias for a replaced number */
    XT_TABLE_COLD,  /* identity -> cold record */
    XT_TABLE_ALIAS, /* CMND -> people */
    XT_TABLE_PHONE, /* phone -> people */
    XT_TABLE_COUNT
};

const char *xt_table_name(unsigned number); /* "hot", "cold", "alias", "phone" */

#define XT_RECORD_MAX 49664 /* bytes of one record, not sealed; records are never empty */

struct xt_table; /* opaque */

struct xt_table_sizes {
    uint64_t records, pages;
    uint64_t disk_bytes; /* all overhead in */
};

/* pages: one borrowed span per page, in order; they must stay in place until close. key: 32 bytes,
 * of this table of this generation. */
XT_MUST_USE enum xt_status xt_table_open(const struct xt_span *pages, uint32_t page_count,
                                         struct xt_table_sizes sizes, const uint8_t key[32],
                                         struct xt_table **table);
void xt_table_close(struct xt_table *table);

/* Another reader of an open table, for another thread; to be closed before the one it was made of. */
XT_MUST_USE enum xt_status xt_table_share(const struct xt_table *table, struct xt_table **shared);

/* Steps through the records that may belong to hash: start with *cursor = 0; each call opens the next
 * record with the same page and tag into record (XT_RECORD_MAX bytes) and gives its size.
 * XT_NOT_FOUND: no (more) such record, a normal answer; the first call has then opened a neighbour
 * in its place, so that a miss costs what a hit does (opened into record, with its size: only for
 * looking alike); later ones give the size 0.
 * XT_CORRUPT: the page or the record does not add up; other records may still be fine. */
XT_MUST_USE enum xt_status xt_table_get(struct xt_table *table, struct xt_hash hash,
                                        uint32_t *cursor, uint8_t *record, size_t *size);

/* Brings what looking these up will need into the cache, all at once: without it each of them waits for
 * two or three places in memory, one after the other. Changes no answer. */
#define XT_TABLE_GROUP 32U /* at most; 8 to 64 differ by less than noise at 100 M records */
void xt_table_expect(struct xt_table *table, const struct xt_hash *hashes, unsigned count);

/* Notes the places of pages from <= page < to, which must be in memory, as looking into them does; a damaged one is
 * left out. Else the memory that this takes (16 bytes a page) and the reading of their heads come with lookups. */
void xt_table_note_pages(struct xt_table *table, uint32_t from, uint32_t to);

/* Where a record stands, and under which page and tag. */
struct xt_table_place {
    uint32_t page, index, tag;
};

/* The place that hash has in this table; index is not filled. */
struct xt_table_place xt_table_place_of(const struct xt_table *table, struct xt_hash hash);

/* One record of a walk. status XT_OK: it opened. XT_CORRUPT: it did not (record is then empty);
 * index UINT32_MAX means the whole page. Anything but XT_OK given back ends the walk with it. */
typedef enum xt_status (*xt_table_visit)(void *context, struct xt_table_place place,
                                         enum xt_status status, struct xt_span record);

/* Opens every record in order, and checks what single lookups do not need: that tags ascend, that
 * ordinals follow each other and that pages are used to their end. Several threads may walk one table
 * at once, and it may be looked up meanwhile. */
XT_MUST_USE enum xt_status xt_table_walk(const struct xt_table *table, xt_table_visit visit,
                                         void *context);

/* The same for pages from <= page < to, which must be pages of the table. A walk compares its first
 * page with the one before it, so that ranges that cover a table check all that one walk does. */
XT_MUST_USE enum xt_status xt_table_walk_pages(const struct xt_table *table, uint32_t from,
                                               uint32_t to, xt_table_visit visit, void *context);

/* Where in its page a place lies, in bytes; 0 where that cannot be told. */
uint32_t xt_table_place_offset(const struct xt_table *table, struct xt_table_place place);

struct xt_table_sizes xt_table_sizes(const struct xt_table *table);

#endif
