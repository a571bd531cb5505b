#include "store/builder_conflicts.h"
#include "store/sort.h"

/* A replaced number of somebody who was folded leads on to whom he was folded into. */
static void lead_on(const struct xt_builder *builder, const struct xt_conflicts *conflicts,
                    const struct xt_entry *entry)
{
    uint64_t successor;
    if (xt_entry_is_cancelled(entry) &&
        xt_conflicts_folded(conflicts, builder, entry->line, &successor)) {
        memcpy(builder->arena.data + (entry->at & XT_ENTRY_PLACE) + 8, &successor,
               sizeof(successor));
    }
}

/* Takes out what belongs to lines left out, and counts what goes into the hot and cold tables. Who was
 * folded into whom is told by the entries where they stand: all of it is looked up before any moves. */
static void keep_people(struct xt_builder *builder, const struct xt_conflicts *conflicts)
{
    struct xt_manifest *manifest = &builder->manifest;
    size_t count;
    size_t kept = 0;
    struct xt_entry *entries = xt_builder_entries(builder, &count);
    for (size_t i = 0; i < count; i++) {
        if (xt_entry_is_replaced(&entries[i])) {
            lead_on(builder, conflicts, &entries[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        bool replaced = xt_entry_is_replaced(&entries[i]);
        if (xt_conflicts_rejected(conflicts, entries[i].line)) {
            continue;
        }
        if ((entries[i].at & XT_ENTRY_DROPPED) != 0) {
            builder->folded += !replaced;
            continue;
        }
        entries[kept++] = entries[i];
        manifest->tables[XT_TABLE_HOT].records++;
        if (replaced) {
            uint8_t record[XT_ALIAS_MAX + 1];
            manifest->replaced++;
            builder->record_bytes[XT_TABLE_HOT] +=
                xt_builder_redirect(builder, &entries[i], record);
            continue;
        }
        uint16_t sizes[2];
        memcpy(sizes, xt_builder_blob(builder, &entries[i]) + 8, sizeof(sizes));
        manifest->people++;
        builder->record_bytes[XT_TABLE_HOT] += sizes[0];
        builder->record_bytes[XT_TABLE_COLD] += sizes[1];
        manifest->tables[XT_TABLE_COLD].records += sizes[1] > 0;
    }
    builder->entries.size = kept * sizeof(*entries);
}

/* From `from` on, all who hold one CMND: the cancelled ones go unless there is nobody else. Gives the
 * end of those who stay, now together at `kept`. */
static size_t keep_holders(struct xt_cmnd_entry *cmnds, size_t kept, size_t from, size_t to)
{
    bool in_force = false;
    for (size_t i = from; i < to; i++) {
        in_force = in_force || !cmnds[i].cancelled;
    }
    for (size_t i = from; i < to; i++) {
        if (!in_force || !cmnds[i].cancelled) {
            cmnds[kept++] = cmnds[i];
        }
    }
    return kept;
}

/* Before the entries move: folded lines are told by them. */
static void keep_cmnds(struct xt_builder *builder, const struct xt_conflicts *conflicts)
{
    uint64_t unused;
    size_t count;
    size_t left = 0;
    size_t kept = 0;
    struct xt_cmnd_entry *cmnds = xt_builder_cmnds(builder, &count);
    for (size_t i = 0; i < count; i++) {
        if (!xt_conflicts_rejected(conflicts, cmnds[i].line) &&
            !(cmnds[i].cancelled &&
              xt_conflicts_folded(conflicts, builder, cmnds[i].line, &unused))) {
            cmnds[left++] = cmnds[i];
        }
    }
    for (size_t from = 0, to; from < left; from = to) {
        to = from + 1;
        while (to < left && cmnds[to].cmnd == cmnds[from].cmnd) {
            to++;
        }
        kept = keep_holders(cmnds, kept, from, to);
    }
    builder->cmnds.size = kept * sizeof(*cmnds);
}

static enum xt_status count_aliases(struct xt_builder *builder, struct xt_failure *failure)
{
    size_t count;
    const struct xt_cmnd_entry *cmnds = xt_builder_cmnds(builder, &count);
    for (size_t i = 0, taken; i < count; i += taken) {
        uint8_t record[XT_ALIAS_MAX];
        builder->record_bytes[XT_TABLE_ALIAS] +=
            xt_builder_alias(cmnds + i, count - i, record, &taken);
        if (i + taken < count && cmnds[i + taken].high == cmnds[i].high &&
            cmnds[i + taken].low == cmnds[i].low) {
            return xt_conflicts_collision(failure);
        }
        builder->manifest.aliases++;
    }
    builder->manifest.tables[XT_TABLE_ALIAS].records = builder->manifest.aliases;
    return XT_OK;
}

enum xt_status xt_builder_sort(struct xt_builder *builder, xt_builder_duplicate duplicate,
                               void *context, struct xt_failure *failure)
{
    xt_require(!builder->sorted);
    builder->sorted = true;
    size_t count;
    struct xt_entry *entries = xt_builder_entries(builder, &count);
    xt_sort_entries(entries, count, sizeof(*entries));
    struct xt_cmnd_entry *cmnds = xt_builder_cmnds(builder, &count);
    xt_sort_entries(cmnds, count, sizeof(*cmnds));

    struct xt_conflicts conflicts;
    enum xt_status status = xt_conflicts_decide(&conflicts, builder, duplicate, context, failure);
    if (status == XT_OK) {
        keep_cmnds(builder, &conflicts);
        keep_people(builder, &conflicts);
        status = count_aliases(builder, failure);
    }
    xt_conflicts_free(&conflicts);
    return status;
}

uint64_t xt_builder_folded(const struct xt_builder *builder)
{
    xt_require(builder->sorted);
    return builder->folded;
}
