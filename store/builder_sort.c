#include <stdlib.h>

#include "store/builder_internal.h"
#include "store/sort.h"

/* A number that several lines give: a group. A claim is one line's part in a group. Claims are decided
 * in the order of the lines, so that the first line holds a number, and one that was left out for
 * another of its numbers holds none. */
struct claim {
    uint64_t line, group, entry; /* the order of xt_sort_entries */
};

struct owner {
    uint64_t line; /* 0: nobody yet */
    bool replaced; /* holds it as a replaced number */
};

struct conflicts {
    struct xt_memory claims, owners;
    struct xt_memory rejected; /* lines left out, u64, ascending */
};

static enum xt_status append(struct xt_memory *memory, const void *data, size_t size)
{
    uint8_t *place;
    enum xt_status status = xt_memory_extend(memory, size, &place);
    if (status == XT_OK) {
        memcpy(place, data, size);
    }
    return status;
}

static uint64_t number_of(const struct xt_builder *builder, const struct xt_entry *entry)
{
    uint64_t number;
    memcpy(&number, xt_builder_blob(builder, entry), sizeof(number));
    return number;
}

/* Two numbers with one hash of 128 bits: next to impossible, but one of them would be lost. */
static enum xt_status fail_collision(struct xt_failure *failure)
{
    return xt_fail(failure, XT_CORRUPT,
                   "two different numbers have the same keyed hash: import again (every import has "
                   "a new key)");
}

static enum xt_status collect_claims(const struct xt_builder *builder, struct conflicts *conflicts,
                                     struct xt_failure *failure)
{
    size_t count;
    const struct xt_entry *entries = xt_builder_entries(builder, &count);
    enum xt_status status = XT_OK;
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && entries[to].high == entries[from].high &&
               entries[to].low == entries[from].low) {
            to++;
        }
        if (to - from == 1) {
            continue;
        }
        uint64_t group = conflicts->owners.size / sizeof(struct owner);
        struct owner nobody = {0, false};
        status = append(&conflicts->owners, &nobody, sizeof(nobody));
        for (size_t i = from; i < to && status == XT_OK; i++) {
            struct claim claim = {entries[i].line, group, i};
            if (number_of(builder, &entries[i]) != number_of(builder, &entries[from])) {
                return fail_collision(failure);
            }
            status = append(&conflicts->claims, &claim, sizeof(claim));
        }
    }
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "out of memory");
}

/* One line's claims: either it becomes the owner of all of them, or it is left out. */
static enum xt_status decide_line(const struct xt_entry *entries, struct conflicts *conflicts,
                                  const struct claim *claims, size_t count,
                                  xt_builder_duplicate duplicate, void *context)
{
    struct owner *owners = (struct owner *)(void *)conflicts->owners.data;
    const struct claim *refused = NULL;
    struct owner first = {0, false};
    bool refused_as_id = false; /* the plainest reason is told: the number itself is a duplicate */
    for (size_t i = 0; i < count; i++) {
        struct owner *owner = &owners[claims[i].group];
        bool replaced = xt_entry_is_replaced(&entries[claims[i].entry]);
        if (owner->line == 0) {
            *owner = (struct owner){claims[i].line, replaced};
        } else if (!refused_as_id) {
            refused_as_id = !replaced && !owner->replaced;
            refused = refused == NULL || refused_as_id ? &claims[i] : refused;
            first = refused == &claims[i] ? *owner : first;
        }
    }
    if (refused == NULL) {
        return XT_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (owners[claims[i].group].line == claims[i].line) {
            owners[claims[i].group].line = 0;
        }
    }
    bool replaced = xt_entry_is_replaced(&entries[refused->entry]);
    duplicate(context, refused->line, first.line,
              refused_as_id ? "duplicate_id" : "replaced_number_in_use",
              replaced ? "/replaced_numbers" : "/id");
    return append(&conflicts->rejected, &refused->line, sizeof(refused->line));
}

static enum xt_status decide(const struct xt_builder *builder, struct conflicts *conflicts,
                             xt_builder_duplicate duplicate, void *context)
{
    size_t entry_count;
    const struct xt_entry *entries = xt_builder_entries(builder, &entry_count);
    struct claim *claims = (struct claim *)(void *)conflicts->claims.data;
    size_t count = conflicts->claims.size / sizeof(*claims);
    xt_sort_entries(claims, count, sizeof(*claims));
    enum xt_status status = XT_OK;
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && claims[to].line == claims[from].line) {
            to++;
        }
        status = decide_line(entries, conflicts, claims + from, to - from, duplicate, context);
    }
    return status;
}

static int compare_lines(const void *a, const void *b)
{
    uint64_t left;
    uint64_t right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

static bool is_rejected(const struct conflicts *conflicts, uint64_t line)
{
    return conflicts->rejected.size > 0 &&
           bsearch(&line, conflicts->rejected.data, conflicts->rejected.size / sizeof(line),
                   sizeof(line), compare_lines) != NULL;
}

/* Takes out what belongs to lines left out, and counts what goes into the hot and cold tables. */
static void keep_people(struct xt_builder *builder, const struct conflicts *conflicts)
{
    struct xt_manifest *manifest = &builder->manifest;
    size_t count;
    size_t kept = 0;
    struct xt_entry *entries = xt_builder_entries(builder, &count);
    for (size_t i = 0; i < count; i++) {
        if (is_rejected(conflicts, entries[i].line)) {
            continue;
        }
        entries[kept++] = entries[i];
        manifest->tables[XT_TABLE_HOT].records++;
        if (xt_entry_is_replaced(&entries[i])) {
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

static enum xt_status keep_cmnds(struct xt_builder *builder, const struct conflicts *conflicts,
                                 struct xt_failure *failure)
{
    size_t count;
    size_t kept = 0;
    struct xt_cmnd_entry *cmnds = xt_builder_cmnds(builder, &count);
    for (size_t i = 0; i < count; i++) {
        if (!is_rejected(conflicts, cmnds[i].line)) {
            cmnds[kept++] = cmnds[i];
        }
    }
    builder->cmnds.size = kept * sizeof(*cmnds);
    for (size_t i = 0, taken; i < kept; i += taken) {
        uint8_t record[XT_ALIAS_MAX];
        builder->record_bytes[XT_TABLE_ALIAS] +=
            xt_builder_alias(cmnds + i, kept - i, record, &taken);
        if (i + taken < kept && cmnds[i + taken].high == cmnds[i].high &&
            cmnds[i + taken].low == cmnds[i].low) {
            return fail_collision(failure);
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

    struct conflicts conflicts = {.claims = {.data = NULL}};
    enum xt_status status = collect_claims(builder, &conflicts, failure);
    if (status == XT_OK) {
        status = decide(builder, &conflicts, duplicate, context);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "out of memory");
        }
    }
    if (status == XT_OK) {
        keep_people(builder, &conflicts);
        status = keep_cmnds(builder, &conflicts, failure);
    }
    xt_memory_free(&conflicts.claims);
    xt_memory_free(&conflicts.owners);
    xt_memory_free(&conflicts.rejected);
    return status;
}
