/* Everybody of the generation whom the overlay does not hold, by all processors. */
#include <stdlib.h>

#include "store/compact_internal.h"
#include "store/crew.h"
#include "store/generation_internal.h"
#include "store/sweep.h"

/* One thread's: the same file and tables, with a record of its own to open into. */
struct lane {
    struct walk *walk;
    unsigned number;
    struct xt_memory memory;
    struct xt_generation *generation;
    struct xt_failure failure;
};

struct walk {
    struct xt_compaction *compaction;
    struct xt_sweep sweep;
    unsigned lane_count;
    struct lane *lanes;
};

enum xt_status xt_compact_share(const struct xt_generation *generation, struct xt_memory *memory,
                                struct xt_generation **shared)
{
    uint8_t *place = NULL;
    *shared = NULL;
    enum xt_status status = xt_memory_extend(memory, sizeof(*generation), &place);
    if (status != XT_OK) {
        return status;
    }
    *shared = (struct xt_generation *)(void *)place;
    memcpy(*shared, generation, sizeof(*generation));
    memset((*shared)->tables, 0, sizeof((*shared)->tables));
    for (unsigned i = 0; i < XT_TABLE_COUNT && status == XT_OK; i++) {
        status = xt_table_share(generation->tables[i], &(*shared)->tables[i]);
    }
    return status;
}

void xt_compact_unshare(struct xt_generation *shared, struct xt_memory *memory)
{
    for (unsigned i = 0; shared != NULL && i < XT_TABLE_COUNT; i++) {
        xt_table_close(shared->tables[i]);
    }
    xt_memory_free(memory);
}

static enum xt_status open_lane(struct walk *walk, unsigned number)
{
    struct lane *lane = &walk->lanes[number];
    *lane = (struct lane){.walk = walk, .number = number};
    return xt_compact_share(walk->compaction->generation, &lane->memory, &lane->generation);
}

static enum xt_status counts_sealed(void *context, struct xt_id id, uint64_t number, bool *counts)
{
    struct lane *lane = context;
    return xt_compact_names(lane->generation, id, number, counts);
}

/* A replaced number leads to who has it now. */
static enum xt_status keep_replaced(struct lane *lane, const struct xt_alias *alias)
{
    const struct xt_compaction *compaction = lane->walk->compaction;
    uint64_t successor = xt_changes_find(&compaction->changes, alias->people[0]);
    if (alias->count != 1) {
        return XT_CORRUPT;
    }
    if (xt_changes_find(&compaction->changes, alias->old.value) != 0) {
        return XT_OK;
    }
    successor = successor == 0 || successor == XT_CHANGED_PERSON ? alias->people[0] : successor;
    return xt_builder_keep_replaced(compaction->builder, lane->number, alias->old.value, successor,
                                    &lane->failure);
}

static enum xt_status keep_hot(struct lane *lane, struct xt_span record)
{
    const struct xt_compaction *compaction = lane->walk->compaction;
    struct xt_alias alias;
    struct xt_hot hot;
    enum xt_status status = xt_redirect_decode(record, &alias);
    if (status == XT_OK) {
        return keep_replaced(lane, &alias);
    }
    if (status != XT_NOT_FOUND || xt_hot_decode(record, &hot) != XT_OK) {
        return XT_CORRUPT;
    }
    if (xt_changes_find(&compaction->changes, hot.number) != 0) {
        return XT_OK;
    }
    status = xt_relinked_has(compaction->relinked, hot.number)
                 ? XT_OK
                 : xt_builder_keep_hot(compaction->builder, lane->number, hot.number, record,
                                       &lane->failure);
    return status == XT_OK ? xt_compact_keep_aliases(compaction->builder, lane->number, &hot,
                                                     counts_sealed, lane, &lane->failure)
                           : status;
}

static enum xt_status keep_cold(struct lane *lane, struct xt_span record)
{
    const struct xt_compaction *compaction = lane->walk->compaction;
    struct xt_links links;
    uint64_t number = 0;
    if (xt_cold_links(record, &number, &links) != XT_OK) {
        return XT_CORRUPT;
    }
    return xt_changes_find(&compaction->changes, number) != 0 ||
                   xt_relinked_has(compaction->relinked, number)
               ? XT_OK
               : xt_builder_keep_cold(compaction->builder, lane->number, number, record,
                                      &lane->failure);
}

static enum xt_status visit_hot(void *context, struct xt_table_place place, enum xt_status status,
                                struct xt_span record)
{
    (void)place;
    return status == XT_OK ? keep_hot(context, record) : status;
}

static enum xt_status visit_cold(void *context, struct xt_table_place place, enum xt_status status,
                                 struct xt_span record)
{
    (void)place;
    return status == XT_OK ? keep_cold(context, record) : status;
}

static enum xt_status walk_part(void *context, unsigned thread, unsigned table, uint32_t from,
                                uint32_t to)
{
    struct walk *walk = context;
    struct lane *lane = &walk->lanes[thread];
    const struct xt_generation *generation = walk->compaction->generation;
    enum xt_status status = xt_table_walk_pages(
        generation->tables[table], from, to, table == XT_TABLE_HOT ? visit_hot : visit_cold, lane);
    xt_sweep_add(&walk->sweep, to - from);
    return status;
}

/* The first failure that has words, or words for it. */
static enum xt_status explain(const struct walk *walk, enum xt_status status)
{
    struct xt_failure *failure = walk->compaction->failure;
    for (unsigned i = 0; i < walk->lane_count; i++) {
        if (walk->lanes[i].failure.text[0] != 0) {
            *failure = walk->lanes[i].failure;
            return status;
        }
    }
    if (status == XT_CLOSED) {
        return xt_fail(failure, status, "interrupted; nothing was changed");
    }
    return status == XT_CORRUPT
               ? xt_fail(failure, status,
                         "generation %06u is damaged: run xacthuc check; nothing was changed",
                         walk->compaction->report->base)
               : xt_fail(failure, status, "cannot read generation %06u: %s",
                         walk->compaction->report->base, xt_status_name(status));
}

static enum xt_status sweep(struct walk *walk)
{
    struct xt_progress progress;
    const struct xt_compaction *compaction = walk->compaction;
    const struct xt_manifest *manifest = xt_generation_manifest(compaction->generation);
    walk->sweep = (struct xt_sweep){.file = compaction->generation->file,
                                    .threads = walk->lane_count,
                                    .part = walk_part,
                                    .context = walk,
                                    .progress = &progress};
    walk->sweep.pages[XT_TABLE_HOT] = (uint32_t)manifest->tables[XT_TABLE_HOT].pages;
    walk->sweep.pages[XT_TABLE_COLD] = (uint32_t)manifest->tables[XT_TABLE_COLD].pages;
    xt_progress_start(&progress, "reading the generation", "pages",
                      manifest->tables[XT_TABLE_HOT].pages + manifest->tables[XT_TABLE_COLD].pages,
                      compaction->options->quiet);
    progress.interrupted = compaction->options->stop;
    enum xt_status status = xt_sweep_run(&walk->sweep);
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    return status;
}

enum xt_status xt_compact_walk(struct xt_compaction *compaction)
{
    struct walk walk = {.compaction = compaction,
                        .lane_count = xt_builder_lanes(compaction->builder)};
    enum xt_status status = XT_OK;
    walk.lanes = calloc(walk.lane_count, sizeof(*walk.lanes));
    if (walk.lanes == NULL) {
        return xt_fail(compaction->failure, XT_NO_MEMORY, "out of memory");
    }
    for (unsigned i = 0; i < walk.lane_count && status == XT_OK; i++) {
        status = open_lane(&walk, i);
    }
    if (status == XT_OK) {
        status = sweep(&walk);
    }
    if (status != XT_OK) {
        status = explain(&walk, status);
    }
    for (unsigned i = 0; i < walk.lane_count; i++) {
        xt_compact_unshare(walk.lanes[i].generation, &walk.lanes[i].memory);
    }
    free(walk.lanes);
    return status;
}
