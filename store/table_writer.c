#include "store/table_writer.h"

#include "store/table_page.h"

/* Near 16 OS pages of 4 KiB, so that one page's slots and records stay close together. How full its
 * last OS page is, is chance: half of one is lost (3 %) with any target from 57,000 to 64,000 (the
 * bytes per record differ by 0.5 %). */
#define PAGE_TARGET 61500U
#define OS_PAGE 4096U
#define LMDB_HEADER 16U

#define RECORD_OVERHEAD (XT_PAGE_SLOT + XT_SEAL_OVERHEAD)

uint32_t xt_table_page_count(uint64_t records, uint64_t bytes)
{
    uint64_t pages = (bytes + records * RECORD_OVERHEAD + PAGE_TARGET / 2) / PAGE_TARGET;
    xt_require(pages < UINT32_MAX);
    return pages == 0 ? 1 : (uint32_t)pages;
}

uint64_t xt_table_bytes_at_most(uint64_t records, uint64_t bytes)
{
    uint64_t per_page = XT_PAGE_HEADER + XT_PAGE_SLOT + XT_PAGE_END + XT_SEAL_OVERHEAD +
                        LMDB_HEADER + OS_PAGE + 64; /* 64: its share of the tree */
    return bytes + records * RECORD_OVERHEAD + xt_table_page_count(records, bytes) * per_page +
           (64U << 10);
}

enum xt_status xt_table_writer_start(struct xt_table_writer *writer, struct xt_table_file *file,
                                     unsigned table, uint32_t page_count, const uint8_t key[32],
                                     struct xt_failure *failure)
{
    *writer = (struct xt_table_writer){.file = file, .table = table, .page_count = page_count};
    writer->sizes.pages = page_count;
    enum xt_status status = xt_sealer_open(key, &writer->sealer);
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "cannot seal: out of memory");
}

void xt_table_writer_end(struct xt_table_writer *writer)
{
    xt_sealer_close(writer->sealer);
    xt_memory_free(&writer->slots);
    xt_memory_free(&writer->records);
    writer->sealer = NULL;
}

static uint32_t collected(const struct xt_table_writer *writer)
{
    return (uint32_t)(writer->slots.size / XT_PAGE_SLOT);
}

static uint32_t tag_at(const struct xt_table_writer *writer, uint32_t index)
{
    return xt_page_load32(writer->slots.data + (size_t)index * XT_PAGE_SLOT);
}

/* Seals the collected records into the page's place in the file. */
static enum xt_status write_page(struct xt_table_writer *writer, struct xt_failure *failure)
{
    uint8_t *place = NULL;
    if (collected(writer) == 0) { /* the stand-in of an empty page: tag 0, no bytes */
        enum xt_status status = xt_memory_extend(&writer->slots, XT_PAGE_SLOT, &place);
        if (status != XT_OK) {
            return xt_fail(failure, status, "cannot write the tables: out of memory");
        }
        memset(place, 0, XT_PAGE_SLOT);
    }
    uint32_t count = collected(writer);
    size_t at = XT_PAGE_HEADER + (size_t)count * XT_PAGE_SLOT + XT_PAGE_END;
    size_t size = at + writer->records.size + (size_t)count * XT_SEAL_OVERHEAD;
    if (size > UINT32_MAX || count >= XT_PAGE_COUNT_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "a page of table %s would be too large",
                       xt_table_name(writer->table));
    }
    enum xt_status status =
        xt_table_file_reserve(writer->file, writer->table, writer->page, size, &place, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_page_store32(place, count);
    xt_page_store32(place + 4, writer->page);
    xt_page_store64(place + 8, writer->ordinal);
    uint8_t *slot = place + XT_PAGE_HEADER;
    const uint8_t *record = writer->records.data;
    for (uint32_t i = 0; i < count; i++, slot += XT_PAGE_SLOT) {
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
    writer->sizes.disk_bytes += (size + LMDB_HEADER + OS_PAGE - 1) / OS_PAGE * OS_PAGE;
    writer->page++;
    writer->slots.size = 0;
    writer->records.size = 0;
    return XT_OK;
}

enum xt_status xt_table_writer_add(struct xt_table_writer *writer, struct xt_hash hash,
                                   struct xt_span record, struct xt_failure *failure)
{
    struct xt_table_place target = xt_page_place(hash, writer->page_count);
    xt_require(record.size > 0 && record.size <= XT_RECORD_MAX && target.page >= writer->page);
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
    enum xt_status status = xt_memory_extend(&writer->slots, XT_PAGE_SLOT, &slot);
    if (status == XT_OK) {
        status = xt_memory_extend(&writer->records, record.size, &place);
    }
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot write the tables: out of memory");
    }
    xt_page_store32(slot, target.tag);
    xt_page_store32(slot + 4, (uint32_t)record.size);
    memcpy(place, record.data, record.size);
    writer->sizes.records++;
    return XT_OK;
}

enum xt_status xt_table_writer_finish(struct xt_table_writer *writer, struct xt_table_sizes *sizes,
                                      struct xt_failure *failure)
{
    while (writer->page < writer->page_count) {
        enum xt_status status = write_page(writer, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    *sizes = writer->sizes;
    return XT_OK;
}
