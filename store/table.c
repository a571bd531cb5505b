#include "store/table.h"

#include <stdlib.h>

#include "crypto/keyring.h"
#include "store/table_page.h"

struct xt_table {
    const struct xt_span *pages; /* borrowed */
    uint32_t page_count;
    struct xt_table_sizes sizes;
    struct xt_sealer *sealer;
};

/* A page whose slots are known to lie inside it; offsets are not checked yet. */
struct page {
    const uint8_t *data, *slots;
    size_t size;
    uint32_t number, count;
    uint64_t first_ordinal;
};

const char *xt_table_name(unsigned number)
{
    static const char *const names[XT_TABLE_COUNT] = {"hot", "cold", "alias"};
    return number < XT_TABLE_COUNT ? names[number] : "?";
}

enum xt_status xt_table_open(const struct xt_span *pages, uint32_t page_count,
                             struct xt_table_sizes sizes, const uint8_t key[32],
                             struct xt_table **table)
{
    xt_require(page_count > 0);
    struct xt_table *opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return XT_NO_MEMORY;
    }
    opened->pages = pages;
    opened->page_count = page_count;
    opened->sizes = sizes;
    enum xt_status status = xt_sealer_open(key, &opened->sealer);
    if (status != XT_OK) {
        free(opened);
        return status;
    }
    *table = opened;
    return XT_OK;
}

void xt_table_close(struct xt_table *table)
{
    if (table != NULL) {
        xt_sealer_close(table->sealer);
        free(table);
    }
}

struct xt_table_sizes xt_table_sizes(const struct xt_table *table)
{
    return table->sizes;
}

struct xt_table_place xt_table_place_of(const struct xt_table *table, struct xt_hash hash)
{
    return xt_page_place(hash, table->page_count);
}

static bool read_page(const struct xt_table *table, uint32_t number, struct page *page)
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

static inline uint32_t tag_at(const struct page *page, uint32_t index)
{
    return xt_page_load32(page->slots + (size_t)index * XT_PAGE_SLOT);
}

/* index may be the count: the end of the last record stands where its offset would. */
static inline uint32_t offset_at(const struct page *page, uint32_t index)
{
    bool end = index == page->count;
    return xt_page_load32(page->slots + (size_t)index * XT_PAGE_SLOT + (end ? 0 : 4));
}

/* The first record whose tag is not below tag; the count when there is none. */
static uint32_t find_tag(const struct page *page, uint32_t tag)
{
    uint32_t index = (uint32_t)(((uint64_t)tag * page->count) >> 32);
    if (tag_at(page, index) >= tag) {
        while (index > 0 && tag_at(page, index - 1) >= tag) {
            index--;
        }
        return index;
    }
    do {
        index++;
    } while (index < page->count && tag_at(page, index) < tag);
    return index;
}

static enum xt_status open_record(struct xt_table *table, const struct page *page, uint32_t index,
                                  uint8_t *record, size_t *size)
{
    uint32_t from = offset_at(page, index);
    uint32_t to = offset_at(page, index + 1);
    if (to > page->size || from > to || to - from < XT_SEAL_OVERHEAD ||
        to - from > XT_RECORD_MAX + XT_SEAL_OVERHEAD) {
        return XT_CORRUPT;
    }
    uint32_t tag = tag_at(page, index);
    bool last = index + 1 == page->count;
    uint32_t flags = last ? XT_FLAG_LAST : 0;
    if (index > 0 && tag_at(page, index - 1) == tag) {
        flags |= XT_FLAG_SAME_BEFORE;
    }
    uint8_t associated[XT_ASSOCIATED_BYTES];
    xt_page_associate(associated, page->number, tag, last ? 0 : tag_at(page, index + 1),
                      flags | index);
    *size = to - from - XT_SEAL_OVERHEAD;
    return xt_unseal(table->sealer, page->first_ordinal + index,
                     xt_span_of(associated, sizeof(associated)),
                     xt_span_of(page->data + from, to - from), record);
}

enum xt_status xt_table_get(struct xt_table *table, struct xt_hash hash, uint32_t *cursor,
                            uint8_t *record, size_t *size)
{
    struct xt_table_place place = xt_page_place(hash, table->page_count);
    struct page page;
    if (!read_page(table, place.page, &page)) {
        return XT_CORRUPT;
    }
    uint32_t index = *cursor;
    if (index == 0) {
        index = find_tag(&page, place.tag);
        if (index == page.count || tag_at(&page, index) != place.tag) {
            /* The record before the gap, or the first of the page, proves that there is one. */
            enum xt_status status =
                open_record(table, &page, index > 0 ? index - 1 : 0, record, size);
            return status == XT_OK ? XT_NOT_FOUND : status;
        }
    } else if (index >= page.count || tag_at(&page, index) != place.tag) {
        return XT_NOT_FOUND; /* proved by the record that was opened before */
    }
    *cursor = index + 1;
    enum xt_status status = open_record(table, &page, index, record, size);
    return status == XT_OK && *size == 0 ? XT_NOT_FOUND : status;
}

static enum xt_status walk_page(struct xt_table *table, const struct page *page, uint8_t *record,
                                xt_table_visit visit, void *context)
{
    size_t expected = XT_PAGE_HEADER + (size_t)page->count * XT_PAGE_SLOT + XT_PAGE_END;
    for (uint32_t index = 0; index < page->count; index++) {
        struct xt_table_place place = {page->number, index, tag_at(page, index)};
        size_t size = 0;
        enum xt_status status = open_record(table, page, index, record, &size);
        bool in_order = offset_at(page, index) == expected &&
                        (index == 0 || tag_at(page, index - 1) <= place.tag);
        expected = offset_at(page, index + 1);
        if (status == XT_OK &&
            (!in_order || (index + 1 == page->count && expected != page->size))) {
            status = XT_CORRUPT;
        }
        if (status == XT_OK && size == 0 && page->count == 1) {
            return XT_OK; /* the stand-in of an empty page */
        }
        status = visit(context, place, status, xt_span_of(record, status == XT_OK ? size : 0));
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

enum xt_status xt_table_walk(struct xt_table *table, xt_table_visit visit, void *context)
{
    uint8_t *record = malloc(XT_RECORD_MAX);
    if (record == NULL) {
        return XT_NO_MEMORY;
    }
    enum xt_status status = XT_OK;
    uint64_t ordinal = 0;
    for (uint32_t number = 0; number < table->page_count && status == XT_OK; number++) {
        struct page page;
        bool sound = read_page(table, number, &page) && page.first_ordinal == ordinal;
        if (sound) {
            status = walk_page(table, &page, record, visit, context);
        } else {
            struct xt_table_place place = {number, UINT32_MAX, 0};
            status = visit(context, place, XT_CORRUPT, xt_span_of(NULL, 0));
        }
        /* After a damaged page: believe the next one, whose records will tell. */
        ordinal = sound ? ordinal + page.count
                  : number + 1 < table->page_count && table->pages[number + 1].size >= 16
                      ? xt_page_load64(table->pages[number + 1].data + 8)
                      : 0;
    }
    xt_wipe(record, XT_RECORD_MAX);
    free(record);
    return status;
}
