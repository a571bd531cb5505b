#include "store/warm_up.h"

#include "store/generation_internal.h"
#include "store/room.h"

/* A lookup by CMND goes to one of its own first. Links are asked about by many; by phone nobody is looked up for
 * an answer, so that this memory is worth more to others. */
static const unsigned tables[] = {XT_TABLE_HOT, XT_TABLE_ALIAS, XT_TABLE_COLD};
#define TABLES (sizeof(tables) / sizeof(tables[0]))
#define HOT_TABLES 2 /* the first of them: the rest is read where there is room */

#define MAP_BYTES (2U << 20)
#define REPACK_LEAST (8U << 20) /* of smaller registers all is in the processor's reach anyway */

/* So many steps one after the other that cannot be had in pieces of 2 MiB, and it is no longer tried: the file system
 * has none, or what lies between what is free cannot be moved. */
#define SMALL_MOST 8

/* Free memory below which others would have to give way for pieces of 2 MiB. */
#define FREE_FOR_LARGE (128ULL << 20)

static uint64_t size_of(const struct xt_generation *generation, unsigned from, unsigned to)
{
    uint64_t size = 0;
    for (unsigned i = from; i < to; i++) {
        const struct xt_span *pages = xt_table_file_pages(generation->file, tables[i]);
        for (uint32_t page = 0; page < generation->manifest.tables[tables[i]].pages; page++) {
            size += pages[page].size;
        }
    }
    return size;
}

/* Whether the memory holds all of it and the reserve. What was read before counts as available, so that this stays
 * true while it is read unless others take memory. */
static bool has_room(struct xt_warm_up *warm_up, const struct xt_room *room)
{
    warm_up->room = room->available;
    return warm_up->reserve <= room->available &&
           warm_up->all <= room->available - warm_up->reserve;
}

/* All that is wanted is there. */
static void leave_out(struct xt_warm_up *warm_up, uint64_t wanted)
{
    warm_up->partly = true;
    warm_up->wanted = wanted;
}

void xt_warm_up_begin(struct xt_warm_up *warm_up, struct xt_generation *generation,
                      uint64_t reserve)
{
    struct xt_room room;
    uint64_t hot = size_of(generation, 0, HOT_TABLES);
    *warm_up = (struct xt_warm_up){.generation = generation, .reserve = reserve};
    warm_up->wanted = warm_up->all = hot + size_of(generation, HOT_TABLES, TABLES);
    (void)xt_room_look("", &room);
    if (!has_room(warm_up, &room)) {
        leave_out(warm_up, hot);
    }
}

/* The pages of the step that begins at a place, up to so many bytes; at least one where there is one. */
static uint32_t end_of_step(const struct xt_generation *generation, const struct xt_warm_place *at,
                            uint64_t bytes, uint64_t *size)
{
    const struct xt_span *pages = xt_table_file_pages(generation->file, tables[at->table]);
    uint32_t count = (uint32_t)generation->manifest.tables[tables[at->table]].pages;
    uint32_t end = at->page;
    *size = 0;
    while (end < count && *size < bytes) {
        *size += pages[end++].size;
    }
    return end;
}

static void go_on(const struct xt_generation *generation, struct xt_warm_place *at, uint32_t page,
                  uint64_t size)
{
    at->done += size;
    at->page = page;
    if (page == generation->manifest.tables[tables[at->table]].pages) {
        at->page = 0;
        at->table++;
    }
}

/* Whether a step came in pieces of 2 MiB, most of it; before: what was mapped so without it. */
static bool is_large(uint64_t before, uint64_t size)
{
    uint64_t now = xt_table_file_large();
    return now == UINT64_MAX || now >= before + (size - size / 4);
}

/* Into memory, as large as can be. */
static enum xt_status load(struct xt_warm_up *warm_up, uint32_t end, uint64_t size, bool large)
{
    const struct xt_table_file *file = warm_up->generation->file;
    unsigned table = tables[warm_up->at.table];
    uint32_t from = warm_up->at.page;
    if (!large) {
        xt_table_file_expect(file, table, from, end);
    }
    xt_table_file_forget(file, table, from,
                         end); /* the tree's pages between them may have mapped some */
    uint64_t before = large ? xt_table_file_large() : 0;
    enum xt_status status = xt_table_file_load(file, table, from, end, large);
    if (status == XT_UNSUPPORTED) { /* the kernel cannot wait for it, but it can begin */
        xt_table_file_expect(file, table, from, end);
        return XT_OK;
    }
    if (status == XT_OK && large && size >= REPACK_LEAST) {
        if (!is_large(before, size)) {
            xt_table_file_repack(file, table, from, end);
        }
        warm_up->small = is_large(before, size) ? 0 : warm_up->small + 1;
    }
    if (status == XT_OK) {
        xt_table_file_prefer(file, table, from, end);
    }
    return status;
}

enum xt_status xt_warm_up_step(struct xt_warm_up *warm_up, uint64_t bytes)
{
    struct xt_warm_place *at = &warm_up->at;
    struct xt_room room;
    uint64_t size = 0;
    if (warm_up->generation == NULL || at->done == warm_up->wanted) {
        return XT_NOT_FOUND;
    }
    (void)xt_room_look("", &room);
    if (at->table >= HOT_TABLES && !has_room(warm_up, &room)) {
        leave_out(warm_up, at->done);
        return XT_NOT_FOUND;
    }
    const struct xt_generation *generation = warm_up->generation;
    uint32_t end = end_of_step(generation, at, bytes, &size);
    bool large = warm_up->small < SMALL_MOST && room.free > FREE_FOR_LARGE + 2 * size;
    enum xt_status status = load(warm_up, end, size, large);
    xt_table_file_forget(generation->file, tables[at->table], at->page, end);
    if (status == XT_OK) {
        go_on(generation, at, end, size);
    }
    return status == XT_OK && at->done == warm_up->wanted ? XT_NOT_FOUND : status;
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

enum xt_status xt_warm_map_step(struct xt_warm_place *at, struct xt_generation *generation,
                                uint64_t below)
{
    uint64_t size = 0;
    if (at->table == TABLES) {
        return XT_NOT_FOUND;
    }
    uint32_t end = end_of_step(generation, at, MAP_BYTES, &size);
    if (size > below || at->done > below - size) {
        /* The last piece below may be smaller than ours. */
        return XT_AGAIN;
    }
    unsigned table = tables[at->table];
    enum xt_status status = xt_table_file_map(generation->file, table, at->page, end);
    if (status == XT_UNSUPPORTED) {
        at->table = TABLES;
        return XT_NOT_FOUND;
    }
    if (status == XT_OK) {
        xt_table_note_pages(generation->tables[table], at->page, end);
    }
    go_on(generation, at, end, size);
    if (at->page == 0) { /* that was the table's last */
        xt_table_file_count_use(generation->file, table, 0, end);
    }
    return at->table == TABLES ? XT_NOT_FOUND : XT_OK;
}
