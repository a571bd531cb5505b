#include "store/warm_up.h"

#include "store/generation_internal.h"

/* A lookup by CMND goes to one of its own first. Documents and phones are asked about by few. */
static const unsigned tables[] = {XT_TABLE_HOT, XT_TABLE_ALIAS};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

void xt_warm_up_begin(struct xt_warm_up *warm_up, struct xt_generation *generation)
{
    *warm_up = (struct xt_warm_up){.generation = generation};
    for (unsigned i = 0; i < TABLES; i++) {
        const struct xt_table_sizes *sizes = &generation->manifest.tables[tables[i]];
        const struct xt_span *pages = xt_table_file_pages(generation->file, tables[i]);
        for (uint32_t page = 0; page < sizes->pages; page++) {
            warm_up->wanted += pages[page].size;
        }
    }
}

enum xt_status xt_warm_up_step(struct xt_warm_up *warm_up, uint64_t bytes)
{
    if (warm_up->generation == NULL || warm_up->table == TABLES) {
        return XT_NOT_FOUND;
    }
    const struct xt_generation *generation = warm_up->generation;
    unsigned table = tables[warm_up->table];
    const struct xt_span *pages = xt_table_file_pages(generation->file, table);
    uint32_t count = (uint32_t)generation->manifest.tables[table].pages;
    uint32_t end = warm_up->page;
    uint64_t size = 0;
    while (end < count && size < bytes) {
        size += pages[end++].size;
    }
    /* Not asked for beforehand: what the kernel reads for that comes in pieces too small to map whole. */
    enum xt_status status = xt_table_file_load(generation->file, table, warm_up->page, end);
    if (status == XT_UNSUPPORTED) { /* the kernel cannot wait for it, but it can begin */
        xt_table_file_expect(generation->file, table, warm_up->page, end);
    }
    xt_table_file_forget(generation->file, table, warm_up->page, end);
    if (status != XT_OK && status != XT_UNSUPPORTED) {
        return status;
    }
    warm_up->done += size;
    warm_up->page = end;
    if (end == count) {
        warm_up->page = 0;
        warm_up->table++;
    }
    return warm_up->table == TABLES ? XT_NOT_FOUND : XT_OK;
}

uint64_t xt_warm_up_slice(uint64_t mib_per_s, uint64_t *period_ms)
{
    uint64_t per_s = mib_per_s << 20;
    uint64_t bytes = per_s * XT_WARM_UP_PERIOD_MS / 1000;
    *period_ms = XT_WARM_UP_PERIOD_MS;
    if (bytes > XT_WARM_UP_SLICE_MOST) {
        bytes = XT_WARM_UP_SLICE_MOST;
        *period_ms = bytes * 1000 / per_s; /* below 1 ms: without a pause */
    }
    return bytes;
}

void xt_warm_up_end(struct xt_warm_up *warm_up)
{
    xt_generation_close(warm_up->generation);
    *warm_up = (struct xt_warm_up){.generation = NULL};
}
