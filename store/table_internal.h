/* store/table_internal: what the parts of the packed table share: lookups (table.c) and walks
 * (table_walk.c). Private to them. */
#ifndef XT_STORE_TABLE_INTERNAL_H
#define XT_STORE_TABLE_INTERNAL_H

#include "store/table.h"
#include "store/table_page.h"

/* What lookups remember of a page, since its header lies a cache and a TLB miss away from the slots that
 * are looked at. 16 bytes, so that those of a table of 100 M records stay in a second-level cache:
 *
 *   low   first ordinal 40 bits | count 24 bits (0: not looked into yet)
 *   high  where the page lies, in bytes behind page 0: 40 bits | its size 24 bits
 *
 * A page that does not fit is read anew each time. */
struct xt_page_note {
    uint64_t low, high;
};
#define XT_NOTE_PLACE_BITS 40 /* of the ordinal and of the place */
#define XT_NOTE_SIZE_BITS 24  /* of the count and of the size */

struct xt_table {
    const struct xt_span *pages; /* borrowed */
    const uint8_t *base;         /* of page 0 */
    struct xt_page_note *notes;  /* one for each page; of lookups only, walks do without */
    uint32_t page_count;
    struct xt_table_sizes sizes;
    struct xt_sealer *sealer;
    bool shared; /* the sealer is another's */
};

/* A page whose slots are known to lie inside it; offsets are not checked yet. */
struct xt_page {
    const uint8_t *data, *slots;
    size_t size;
    uint32_t number, count;
    uint64_t first_ordinal;
};

/* false: the page does not add up. number must be below the table's page count. */
static inline bool xt_page_read(const struct xt_table *table, uint32_t number, struct xt_page *page)
{
    struct xt_span value = table->pages[number];
    if (value.size < XT_PAGE_HEADER + XT_PAGE_SLOT + XT_PAGE_END) {
        return false;
    }
    page->data = value.data;
    page->size = value.size;
    page->slots = value.data + XT_PAGE_HEADER;
    page->number = number;
    page->count = xt_page_load32(value.data);
    page->first_ordinal = xt_page_load64(value.data + 8);
    return xt_page_load32(value.data + 4) == number && page->count > 0 &&
           page->count < XT_PAGE_COUNT_MAX &&
           page->count <= (value.size - XT_PAGE_HEADER - XT_PAGE_END) / XT_PAGE_SLOT;
}

static inline uint32_t xt_page_tag(const struct xt_page *page, uint32_t index)
{
    return xt_page_load32(page->slots + (size_t)index * XT_PAGE_SLOT);
}

/* index may be the count: the end of the last record stands where its offset would. */
static inline uint32_t xt_page_offset(const struct xt_page *page, uint32_t index)
{
    bool end = index == page->count;
    return xt_page_load32(page->slots + (size_t)index * XT_PAGE_SLOT + (end ? 0 : 4));
}

/* Opens one record of a page into record (XT_RECORD_MAX bytes). Several threads may do so at once. */
XT_MUST_USE enum xt_status xt_page_open_record(const struct xt_table *table,
                                               const struct xt_page *page, uint32_t index,
                                               uint8_t *record, size_t *size);

#endif
