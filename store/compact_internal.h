/* store/compact_internal: what the parts of a compaction share. Private to it.
 *
 *   compact_overlay.c   the overlay into the builder, and whom it holds
 *   compact_walk.c      the rest of the generation
 *   compact.c           both, one after the other
 *   links.c             the same with documents from a list (store/links.h)
 */
#ifndef XT_STORE_COMPACT_INTERNAL_H
#define XT_STORE_COMPACT_INTERNAL_H

#include "crypto/keyhash.h"
#include "store/compact.h"
#include "store/live_overlay.h"
#include "store/memory.h"

/* The numbers in the overlay, in a table of open addresses. */
#define XT_CHANGED_PERSON UINT64_MAX /* the number is a person's own */
struct xt_changed {
    uint64_t number;    /* 0: a free place; no person's number is 0 */
    uint64_t successor; /* who has it now, or XT_CHANGED_PERSON */
};
struct xt_changes {
    struct xt_memory memory;
    uint64_t mask; /* places - 1 */
    uint64_t count;
};

/* For at most so many numbers. */
XT_MUST_USE enum xt_status xt_changes_open(struct xt_changes *changes, uint64_t most);
void xt_changes_close(struct xt_changes *changes);
/* XT_EXISTS: it is there; XT_CORRUPT: more than there is room for, or no number. */
XT_MUST_USE enum xt_status xt_changes_add(struct xt_changes *changes, uint64_t number,
                                          uint64_t successor);
/* 0: it is not in the overlay. */
uint64_t xt_changes_find(const struct xt_changes *changes, uint64_t number);

/* People whom the builder has in another form by now (store/links): neither part gives their records again,
 * only the numbers that lead to them. */
struct xt_relinked {
    struct xt_memory memory; /* of uint64_t numbers, in a table of open addresses; 0: free */
    uint64_t places;
    const uint8_t *hash_key; /* borrowed */
};
/* For at most so many; 11 bytes each. */
XT_MUST_USE enum xt_status xt_relinked_open(struct xt_relinked *relinked, uint64_t most,
                                            const uint8_t hash_key[XT_KEY_BYTES]);
void xt_relinked_close(struct xt_relinked *relinked);
/* Several threads may add at once. */
void xt_relinked_add(struct xt_relinked *relinked, uint64_t number);
/* NULL: nobody. */
bool xt_relinked_has(const struct xt_relinked *relinked, uint64_t number);

struct xt_compaction {
    const struct xt_builder_options *options;
    struct xt_builder *builder;
    struct xt_generation *generation;
    struct xt_changes changes;
    const struct xt_relinked *relinked; /* NULL: nobody */
    struct xt_compact_report *report;
    struct xt_failure *failure;
};

/* Whether a CMND or a phone names somebody in the generation. XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_compact_names(struct xt_generation *generation, struct xt_id id,
                                            uint64_t number, bool *names);
/* All of a person's that count, into the builder: those of somebody cancelled by `counts`, of others all. */
typedef enum xt_status (*xt_compact_counts)(void *context, struct xt_id id, uint64_t number,
                                            bool *counts);
XT_MUST_USE enum xt_status xt_compact_keep_aliases(struct xt_builder *builder, unsigned lane,
                                                   const struct xt_hot *hot,
                                                   xt_compact_counts counts, void *context,
                                                   struct xt_failure *failure);

/* live: a reader, refreshed. Fills changes, and the report's counts. */
XT_MUST_USE enum xt_status xt_compact_overlay(struct xt_compaction *compaction,
                                              struct xt_live *live);
/* Another reader of an open generation, for another thread; both are closed before it. */
XT_MUST_USE enum xt_status xt_compact_share(const struct xt_generation *generation,
                                            struct xt_memory *memory,
                                            struct xt_generation **shared);
void xt_compact_unshare(struct xt_generation *shared, struct xt_memory *memory);

/* The steps. The builder holds the lock: what is current when the base is opened stays so. */
XT_MUST_USE enum xt_status xt_compact_open_base(struct xt_compaction *compaction, const char *dir,
                                                const struct xt_keyring *keyring);
/* Sorts and seals. */
XT_MUST_USE enum xt_status xt_compact_finish(struct xt_compaction *compaction);

/* In all lanes. */
XT_MUST_USE enum xt_status xt_compact_walk(struct xt_compaction *compaction);

#endif
