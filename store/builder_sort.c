/* store/builder_sort: goes through everybody's numbers, part by part, for those given more than once. */
#include <stdlib.h>

#include "store/builder_unit.h"
#include "store/progress.h"
#include "store/sort.h"

struct search {
    struct xt_builder *builder;
    struct xt_spill_load loads[XT_CREW_MAX];
    struct xt_progress progress;
    pthread_mutex_t mutex; /* of the progress */
    uint64_t done;
};

/* A group's claims are put together on the stack up to this; more, and memory is taken for them. */
#define CLAIMS_AT_ONCE 64

static void note_claim(const struct xt_spill_load *load, const struct xt_spilled *record,
                       struct xt_conflict_claim *claim)
{
    uint8_t marks = xt_spilled_marks(record);
    bool replaced = (marks & XT_MARK_REPLACED) != 0;
    *claim = (struct xt_conflict_claim){.line = xt_spilled_line(record),
                                        .person = replaced ? xt_payload_number(load, record)
                                                           : record->key,
                                        .replaced = replaced,
                                        .cancelled = (marks & XT_MARK_CANCELLED) != 0};
}

static enum xt_status collect_group(struct xt_builder *builder, const struct xt_spill_load *load,
                                    const struct xt_spilled *records, size_t count,
                                    struct xt_failure *failure)
{
    struct xt_conflict_claim some[CLAIMS_AT_ONCE];
    struct xt_memory memory = {.data = NULL};
    struct xt_conflict_claim *claims = some;
    if (count > CLAIMS_AT_ONCE) {
        uint8_t *place;
        if (xt_memory_extend(&memory, count * sizeof(*claims), &place) != XT_OK) {
            return xt_fail(failure, XT_NO_MEMORY, "out of memory while looking for duplicates");
        }
        claims = (struct xt_conflict_claim *)(void *)place;
    }
    for (size_t i = 0; i < count; i++) {
        note_claim(load, &records[i], &claims[i]);
    }
    enum xt_status status =
        xt_conflicts_collect(&builder->conflicts, records[0].key, claims, count, failure);
    xt_memory_free(&memory);
    return status;
}

static enum xt_status search_part(void *context, unsigned thread, uint64_t part,
                                  struct xt_failure *failure)
{
    struct search *search = context;
    struct xt_builder *builder = search->builder;
    struct xt_spill_load *load = &search->loads[thread];
    size_t count;
    if (xt_builder_stopped(builder)) {
        return xt_fail(failure, XT_CLOSED, "interrupted; nothing was changed");
    }
    enum xt_status status = xt_spill_read(builder->spills[XT_TABLE_HOT], (unsigned)part,
                                          (unsigned)part + 1, load, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_spilled *records = xt_spill_records(load, &count);
    xt_sort_entries(records, count, sizeof(*records));
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && records[to].high == records[from].high &&
               records[to].key == records[from].key) {
            to++;
        }
        if (to - from > 1) {
            status = collect_group(builder, load, records + from, to - from, failure);
        }
    }
    pthread_mutex_lock(&search->mutex);
    search->done += count;
    xt_progress_look(&search->progress, search->done);
    pthread_mutex_unlock(&search->mutex);
    return status;
}

/* Bytes of memory that the search needs for its largest part, about. */
static uint64_t search_memory(const struct xt_builder *builder)
{
    uint64_t largest = 0;
    for (unsigned i = 0; i < XT_SPILL_PARTS; i++) {
        uint64_t bytes = xt_spill_part_bytes(builder->spills[XT_TABLE_HOT], i);
        largest = bytes > largest ? bytes : largest;
    }
    return largest *
           2; /* memory grows by doubling; a group's claims are less than the other half */
}

/* Whether searching and sealing will have the memory they need, for one thread at least. Asked before
 * either begins: both read the disk for minutes. */
static enum xt_status check_memory(const struct xt_builder *builder, struct xt_failure *failure)
{
    uint64_t most = search_memory(builder);
    for (unsigned table = 0; table < XT_TABLE_COUNT; table++) {
        uint64_t memory = xt_units_plan(builder, table).memory;
        most = memory > most ? memory : most;
    }
    if (xt_builder_threads(builder, most) > 0) {
        return XT_OK;
    }
    return xt_fail(failure, XT_NO_MEMORY,
                   "this input needs more memory to be sorted: give it at least --memory %lluM, or "
                   "take out lines that give the same number, CMND or phone, if very many do",
                   (unsigned long long)(most >> 20) + 1);
}

static enum xt_status search_parts(struct xt_builder *builder, struct xt_failure *failure)
{
    struct search *search = calloc(1, sizeof(*search));
    if (search == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory while looking for duplicates");
    }
    unsigned threads = xt_builder_threads(builder, search_memory(builder));
    xt_require(threads > 0); /* check_memory looked */
    search->builder = builder;
    pthread_mutex_init(&search->mutex, NULL);
    xt_progress_start(&search->progress, "looking for duplicates", "numbers",
                      xt_spill_totals(builder->spills[XT_TABLE_HOT]).records,
                      builder->options.quiet);
    enum xt_status status = xt_crew_run(threads, XT_SPILL_PARTS, search_part, search, failure);
    if (status == XT_OK) {
        xt_progress_finish(&search->progress);
    } else {
        xt_progress_break(&search->progress);
    }
    for (unsigned i = 0; i < threads; i++) {
        xt_spill_load_free(&search->loads[i]);
    }
    pthread_mutex_destroy(&search->mutex);
    free(search);
    return status;
}

static enum xt_status flush_lanes(struct xt_builder *builder, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (unsigned i = 0; i < builder->options.threads; i++) {
        for (unsigned table = 0; table < XT_TABLE_COUNT && status == XT_OK; table++) {
            status = xt_spill_flush(builder->lanes[i].writers[table], failure);
            xt_spill_writer_close(builder->lanes[i].writers[table]);
            builder->lanes[i].writers[table] = NULL;
        }
        xt_memory_free(&builder->lanes[i].scratch);
    }
    return status;
}

enum xt_status xt_builder_sort(struct xt_builder *builder, xt_builder_duplicate duplicate,
                               void *context, struct xt_failure *failure)
{
    xt_require(!builder->sorted);
    builder->sorted = true;
    enum xt_status status = flush_lanes(builder, failure);
    if (status == XT_OK) {
        status = check_memory(builder, failure);
    }
    if (status == XT_OK) {
        status = search_parts(builder, failure);
    }
    if (status == XT_OK) {
        status = xt_conflicts_decide(&builder->conflicts, duplicate, context, failure);
    }
    return status;
}

uint64_t xt_builder_folded(const struct xt_builder *builder)
{
    xt_require(builder->sorted);
    return xt_conflicts_folded_count(&builder->conflicts);
}
