#include "store/compact.h"

#include "store/compact_internal.h"
#include "store/generation_internal.h"
#include "store/live_fold.h"

enum xt_status xt_compact_open_base(struct xt_compaction *compaction, const char *dir,
                                    const struct xt_keyring *keyring)
{
    uint32_t number = 0;
    enum xt_status status = xt_generation_current(dir, &number, compaction->failure);
    if (status == XT_OK) {
        compaction->report->base = number;
        status =
            xt_generation_open(dir, number, keyring, &compaction->generation, compaction->failure);
    }
    return status;
}

/* What the overlay holds, while its snapshot is held. *any: there is something. */
static enum xt_status take_overlay(struct xt_compaction *compaction, struct xt_live *live,
                                   bool *any)
{
    uint64_t entries = 0;
    enum xt_status status = xt_live_may_lie_over(
        live, xt_generation_manifest(compaction->generation), false, compaction->failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_live_count_entries(live, &entries);
    if (status != XT_OK) {
        return xt_fail(compaction->failure, status, "the live store cannot be read: %s",
                       xt_status_name(status));
    }
    *any = entries > 0;
    xt_live_lie_over(live, xt_generation_manifest(compaction->generation));
    if (!*any) {
        return XT_OK;
    }
    compaction->report->sequence = xt_live_sequence(live);
    xt_builder_set_folded(compaction->builder, compaction->report->sequence,
                          xt_live_identity(live));
    return xt_compact_overlay(compaction, live);
}

/* Nobody gives a number twice: they come from two places that keep them apart. */
static void on_duplicate(void *context, uint64_t line, uint64_t first_line, const char *code,
                         const char *pointer)
{
    bool *found = context;
    (void)line, (void)first_line, (void)code, (void)pointer;
    *found = true;
}

enum xt_status xt_compact_finish(struct xt_compaction *compaction)
{
    bool duplicates = false;
    enum xt_status status =
        xt_builder_sort(compaction->builder, on_duplicate, &duplicates, compaction->failure);
    if (status == XT_OK && duplicates) {
        status = xt_fail(compaction->failure, XT_CORRUPT,
                         "the live store and generation %06u contradict each other: a number has "
                         "two holders; nothing was changed",
                         compaction->report->base);
    }
    if (status == XT_OK) {
        status = xt_builder_seal(compaction->builder, &compaction->report->manifest,
                                 compaction->failure);
    }
    compaction->report->made = status == XT_OK;
    return status;
}

static enum xt_status compact(struct xt_compaction *compaction, const char *dir,
                              const struct xt_keyring *keyring)
{
    struct xt_live *live = NULL;
    bool any = false;
    enum xt_status status = xt_compact_open_base(compaction, dir, keyring);
    if (status != XT_OK) {
        return status;
    }
    status = xt_live_open_reader(dir, keyring, &live, compaction->failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK; /* nothing ever happened */
    }
    if (status == XT_OK) {
        status = take_overlay(compaction, live, &any);
    }
    xt_live_close(live);
    if (status == XT_OK && any) {
        status = xt_compact_walk(compaction);
    }
    return status == XT_OK && any ? xt_compact_finish(compaction) : status;
}

enum xt_status xt_compact(const char *dir, const struct xt_keyring *keyring,
                          const struct xt_builder_options *options,
                          struct xt_compact_report *report, struct xt_failure *failure)
{
    static const struct xt_builder_options none = {.quiet = true};
    struct xt_compaction compaction = {
        .options = options != NULL ? options : &none, .report = report, .failure = failure};
    *report = (struct xt_compact_report){.made = false};
    enum xt_status status =
        xt_builder_open(dir, keyring, compaction.options, &compaction.builder, failure);
    if (status == XT_OK) {
        status = compact(&compaction, dir, keyring);
    }
    xt_generation_close(compaction.generation);
    xt_changes_close(&compaction.changes);
    xt_builder_close(compaction.builder);
    return status;
}
