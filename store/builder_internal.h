/* store/builder_internal: what the parts of the builder (collect, sort, seal) share. Private. */
#ifndef XT_STORE_BUILDER_INTERNAL_H
#define XT_STORE_BUILDER_INTERNAL_H

#include "crypto/file.h"
#include "store/builder.h"
#include "store/builder_conflicts.h"
#include "store/crew.h"
#include "store/spill.h"

/* Records of a stream become those of the table of the same number.
 *   hot    a person: his hot record. XT_MARK_REPLACED: the key is a number that he had before, the
 *          payload his own, u64
 *   cold   a person: his cold record, where it holds anything
 *   alias  the key is his CMND, the payload his number, u64
 *   phone  the key is one of his phones, the payload his number, u64 */
#define XT_MARK_REPLACED 1U
#define XT_MARK_CANCELLED 2U /* of somebody whose number is no longer in force */

/* What one thread adds with. */
struct xt_builder_lane {
    struct xt_spill_writer *writers[XT_TABLE_COUNT];
    struct xt_memory scratch; /* one person, encoded */
    uint64_t people;
    uint64_t spilled, looked; /* bytes since the beginning, and when the room was looked at */
};

struct xt_builder {
    const struct xt_keyring *keyring;
    struct xt_builder_options options; /* none is 0 but foreseen and the pointers */
    char *dir;
    char folder[XT_PATH_MAX]; /* building-...; "" when there is none */
    int lock;
    uint32_t before;             /* the generation served when this began; 0: none */
    struct xt_manifest manifest; /* filled as it becomes known */
    uint8_t hash_key[XT_KEY_BYTES];
    size_t empty_cold; /* bytes of a cold record that holds nothing */
    bool sorted;
    struct xt_spill *spills[XT_TABLE_COUNT];
    struct xt_builder_lane lanes[XT_CREW_MAX];
    struct xt_conflicts conflicts; /* once sorted */
};

static inline uint64_t xt_payload_number(const struct xt_spill_load *load,
                                         const struct xt_spilled *record)
{
    uint64_t number;
    memcpy(&number, xt_spill_payload(load, record), sizeof(number));
    return number;
}

static inline bool xt_builder_stopped(const struct xt_builder *builder)
{
    return builder->options.stop != NULL && *builder->options.stop != 0;
}

/* Where a record comes from. */
struct xt_builder_origin {
    uint64_t line;
    uint8_t marks;
};
/* Deals a record out to the table's stream. */
XT_MUST_USE enum xt_status xt_builder_spill(struct xt_builder *builder,
                                            struct xt_builder_lane *lane, unsigned table,
                                            struct xt_id key, struct xt_builder_origin origin,
                                            struct xt_span payload, struct xt_failure *failure);
/* Looks at the room on the disk, once in a while. */
XT_MUST_USE enum xt_status xt_builder_look(struct xt_builder *builder, struct xt_builder_lane *lane,
                                           struct xt_failure *failure);

/* Fails when there is less room than `needed` bytes where the generation is built. */
XT_MUST_USE enum xt_status xt_builder_room(const struct xt_builder *builder, uint64_t needed,
                                           struct xt_failure *failure);

/* How many threads can work on units of so many bytes each within the memory; 0: not even one. */
unsigned xt_builder_threads(const struct xt_builder *builder, uint64_t unit_bytes);

#endif
