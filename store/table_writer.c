#include "store/table_writer.h"

#include "store/background.h"
#include "store/table_page.h"

/* Near 16 OS pages of 4 KiB, so that one page's slots and records stay close together. How full its
 * last OS page is, is chance: half of one is lost (3 %) with any target from 57,000 to 64,000 (the
 * bytes per record differ by 0.5 %). */
#define PAGE_TARGET 61500U
#define OS_PAGE 4096U
#define LMDB_HEADER 16U

#define RECORD_OVERHEAD (XT_PAGE_SLOT + XT_SEAL_OVERHEAD)

/* Pages that a run has at least, so that rounding their number changes their size by a few percent. */
#define RUN_PAGES_MIN 32U

uint32_t xt_table_page_count(uint64_t records, uint64_t bytes, uint32_t runs_max, uint32_t *runs)
{
    uint64_t pages = (bytes + records * RECORD_OVERHEAD + PAGE_TARGET / 2) / PAGE_TARGET;
    xt_require(pages < UINT32_MAX - runs_max);
    pages = pages == 0 ? 1 : pages;
    *runs = 1;
    while (*runs < runs_max && pages / (*runs * 2) >= RUN_PAGES_MIN) {
        *runs *= 2;
    }
    return (uint32_t)((pages + *runs / 2) / *runs * *runs);
}

uint64_t xt_table_bytes_at_most(uint64_t records, uint64_t bytes)
{
    uint32_t runs;
    uint64_t per_page = XT_PAGE_HEADER + XT_PAGE_SLOT + XT_PAGE_END + XT_SEAL_OVERHEAD +
                        LMDB_HEADER + OS_PAGE + 64; /* 64: its share of the tree */
    return bytes + records * RECORD_OVERHEAD +
           xt_table_page_count(records, bytes, 1, &runs) * per_page + (64U << 10);
}

void xt_table_writer_start(struct xt_table_writer *writer, const struct xt_sealer *sealer,
                           uint32_t page_count, uint32_t first, uint32_t end, uint64_t ordinal)
{
    writer->sealer = sealer;
    writer->page_count = page_count;
    writer->first = first;
    writer->end = end;
    writer->page = first;
    writer->ordinal = ordinal;
    writer->slots.size = 0;
    writer->records.size = 0;
    writer->pages.size = 0;
    writer->sizes.size = 0;
    writer->totals = (struct xt_table_sizes){.pages = end - first};
}

void xt_table_writer_end(struct xt_table_writer *writer)
{
    xt_memory_free(&writer->slots);
    xt_memory_free(&writer->records);
    xt_memory_free(&writer->pages);
    xt_memory_free(&writer->sizes);
}

static uint32_t collected(const struct xt_table_writer *writer)
{
    return (uint32_t)(writer->slots.size / XT_PAGE_SLOT);
}

static uint32_t tag_at(const struct xt_table_writer *writer, uint32_t index)
{
    return xt_page_load32(writer->slots.data + (size_t)index * XT_PAGE_SLOT);
}

static enum xt_status out_of_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY, "cannot write the tables: out of memory");
}

/* Gives a place for a page of size bytes at the end of the run; NULL: no memory. */
static uint8_t *reserve(struct xt_table_writer *writer, size_t size)
{
    uint8_t *noted;
    uint8_t *place;
    uint32_t bytes = (uint32_t)size;
    if (xt_memory_extend(&writer->sizes, sizeof(bytes), &noted) != XT_OK ||
        xt_memory_extend(&writer->pages, size, &place) != XT_OK) {
        return NULL;
    }
    memcpy(noted, &bytes, sizeof(bytes));
    writer->totals.disk_bytes += (size + LMDB_HEADER + OS_PAGE - 1) / OS_PAGE * OS_PAGE;
    return place;
}

/* Seals the collected records into the next page. */
static enum xt_status write_page(struct xt_table_writer *writer, struct xt_failure *failure)
{
    uint8_t *place = NULL;
    if (collected(writer) == 0) { /* the stand-in of an empty page: tag 0, no bytes */
        if (xt_memory_extend(&writer->slots, XT_PAGE_SLOT, &place) != XT_OK) {
            return out_of_memory(failure);
        }
        memset(place, 0, XT_PAGE_SLOT);
    }
    uint32_t count = collected(writer);
    size_t at = XT_PAGE_HEADER + (size_t)count * XT_PAGE_SLOT + XT_PAGE_END;
    size_t size = at + writer->records.size + (size_t)count * XT_SEAL_OVERHEAD;
    if (size > UINT32_MAX || count >= XT_PAGE_COUNT_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "a page of the tables would be too large");
    }
    place = reserve(writer, size);
    if (place == NULL) {
        return out_of_memory(failure);
    }
    xt_page_store32(place, count);
    xt_page_store32(place + 4, writer->page);
    xt_page_store64(place + 8, writer->ordinal);
    uint8_t *slot = place + XT_PAGE_HEADER;
    const uint8_t *record = writer->records.data;
    for (uint32_t i = 0; i < count; i++, slot += XT_PAGE_SLOT) {
        if ((i & 31) == 0) {
            xt_background_yield();
        }
        uint32_t tag = tag_at(writer, i);
        uint32_t plain = xt_page_load32(writer->slots.data + (size_t)i * XT_PAGE_SLOT + 4);
        bool last = i + 1 == count;
        uint32_t flags = last ? XT_FLAG_LAST : 0;
        flags |= i > 0 && tag_at(writer, i - 1) == tag ? XT_FLAG_SAME_BEFORE : 0;
        uint8_t associated[XT_ASSOCIATED_BYTES];
        xt_page_associate(associated, writer->page, tag, last ? 0 : tag_at(writer, i + 1),
                          flags | i);
        xt_page_store32(slot, tag);
        xt_page_store32(slot + 4, (uint32_t)at);
        xt_seal(writer->sealer, writer->ordinal + i, xt_span_of(associated, sizeof(associated)),
                xt_span_of(record, plain), place + at);
        at += plain + XT_SEAL_OVERHEAD;
        record = plain > 0 ? record + plain : record;
    }
    xt_page_store32(slot, (uint32_t)at);
    writer->ordinal += count;
    writer->page++;
    writer->slots.size = 0;
    writer->records.size = 0;
    return XT_OK;
}

enum xt_status xt_table_writer_add(struct xt_table_writer *writer, uint64_t hash_high,
                                   struct xt_span record, struct xt_failure *failure)
{
    struct xt_table_place target =
        xt_page_place((struct xt_hash){.high = hash_high}, writer->page_count);
    xt_require(record.size > 0 && record.size <= XT_RECORD_MAX && target.page >= writer->page &&
               target.page < writer->end);
    while (writer->page < target.page) {
        enum xt_status status = write_page(writer, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    uint32_t before = collected(writer);
    xt_require(before == 0 || tag_at(writer, before - 1) <= target.tag);
    uint8_t *slot = NULL;
    uint8_t *place = NULL;
    if (xt_memory_extend(&writer->slots, XT_PAGE_SLOT, &slot) != XT_OK ||
        xt_memory_extend(&writer->records, record.size, &place) != XT_OK) {
        return out_of_memory(failure);
    }
    xt_page_store32(slot, target.tag);
    xt_page_store32(slot + 4, (uint32_t)record.size);
    memcpy(place, record.data, record.size);
    writer->totals.records++;
    return XT_OK;
}

enum xt_status xt_table_writer_finish(struct xt_table_writer *writer, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    while (writer->page < writer->end && status == XT_OK) {
        status = write_page(writer, failure);
    }
    return status;
}

enum xt_status xt_table_writer_store(const struct xt_table_writer *writer,
                                     struct xt_table_file *file, unsigned table,
                                     struct xt_failure *failure)
{
    const uint8_t *page = writer->pages.data;
    enum xt_status status = XT_OK;
    for (uint32_t number = writer->first; number < writer->end && status == XT_OK; number++) {
        uint32_t size = xt_page_load32(writer->sizes.data + (size_t)(number - writer->first) * 4);
        uint8_t *place;
        status = xt_table_file_reserve(file, table, number, size, &place, failure);
        if (status == XT_OK) {
            memcpy(place, page, size);
            page += size;
        }
    }
    return status;
}
