/* store/builder_internal: what the three parts of the builder (collect, sort, seal) share. Private. */
#ifndef XT_STORE_BUILDER_INTERNAL_H
#define XT_STORE_BUILDER_INTERNAL_H

#include "crypto/file.h"
#include "store/builder.h"
#include "store/memory.h"

/* One key of the hot table. at: where its blob lies in the arena.
 *   person:   number u64 | hot size u16 | cold size u16 | hot | cold (size 0: holds nothing)
 *   replaced: old number u64 | the person's number u64 */
struct xt_entry {
    uint64_t high, low, line; /* the order of xt_sort_entries */
    uint64_t at;              /* | XT_ENTRY_... */
};
#define XT_ENTRY_REPLACED (1ULL << 63)
#define XT_ENTRY_CANCELLED (1ULL << 62) /* of somebody whose number is no longer in force */
#define XT_ENTRY_DROPPED (1ULL << 61)   /* a successor's entry takes its place */
#define XT_ENTRY_PLACE (XT_ENTRY_DROPPED - 1)
#define XT_BLOB_PERSON 12
#define XT_BLOB_REPLACED 16

/* One person's CMND. */
struct xt_cmnd_entry {
    uint64_t high, low, line;
    uint64_t number;
    uint32_t cmnd;
    uint32_t cancelled; /* bool */
};

struct xt_builder {
    const struct xt_keyring *keyring;
    char *dir;
    char folder[XT_PATH_MAX]; /* building-...; "" when there is none */
    int lock;
    uint32_t before;             /* the generation served when this began; 0: none */
    struct xt_manifest manifest; /* filled as it becomes known */
    uint8_t hash_key[XT_KEY_BYTES];
    size_t empty_cold; /* bytes of a cold record that holds nothing */
    bool sorted;
    uint64_t folded; /* known once sorted */
    struct xt_memory arena, entries, cmnds;
    uint64_t record_bytes[XT_TABLE_COUNT]; /* not sealed; known once sorted */
};

static inline struct xt_entry *xt_builder_entries(const struct xt_builder *builder, size_t *count)
{
    *count = builder->entries.size / sizeof(struct xt_entry);
    return (struct xt_entry *)(void *)builder->entries.data;
}

static inline struct xt_cmnd_entry *xt_builder_cmnds(const struct xt_builder *builder,
                                                     size_t *count)
{
    *count = builder->cmnds.size / sizeof(struct xt_cmnd_entry);
    return (struct xt_cmnd_entry *)(void *)builder->cmnds.data;
}

static inline const uint8_t *xt_builder_blob(const struct xt_builder *builder,
                                             const struct xt_entry *entry)
{
    return builder->arena.data + (entry->at & XT_ENTRY_PLACE);
}

static inline bool xt_entry_is_replaced(const struct xt_entry *entry)
{
    return (entry->at & XT_ENTRY_REPLACED) != 0;
}

static inline bool xt_entry_is_cancelled(const struct xt_entry *entry)
{
    return (entry->at & XT_ENTRY_CANCELLED) != 0;
}

/* What goes into the tables for a replaced number, and for a CMND and all who hold it (entries from
 * cmnds[0]; gives how many). Both give the record's size. */
size_t xt_builder_redirect(const struct xt_builder *builder, const struct xt_entry *entry,
                           uint8_t record[XT_ALIAS_MAX + 1]);
size_t xt_builder_alias(const struct xt_cmnd_entry *cmnds, size_t count,
                        uint8_t record[XT_ALIAS_MAX], size_t *taken);

#endif
