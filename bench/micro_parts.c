/* The parts: each a loop over what the round has prepared, with its time. */
#include "bench/micro.h"

#include <stdlib.h>
#include <time.h>

#include "bench/random.h"
#include "crypto/seal.h"

#define SEALED 1024U

static const struct {
    const char *name, *title;
} parts[XT_MICRO_PARTS] = {
    [XT_MICRO_KEY_HASH] = {"key_hash", "hash of a number"},
    [XT_MICRO_UNSEAL] = {"unseal", "open a sealed record"},
    [XT_MICRO_HIT] = {"lookup_hit", "lookup and unseal"},
    [XT_MICRO_HIT_BATCH] = {"lookup_hit_batch", "lookup and unseal, in batches"},
    [XT_MICRO_MISS] = {"lookup_miss", "lookup of a number that nobody has"},
    [XT_MICRO_MISS_BATCH] = {"lookup_miss_batch", "nobody has it, in batches"},
    [XT_MICRO_CMND] = {"lookup_cmnd", "lookup by CMND"},
    [XT_MICRO_CMND_BATCH] = {"lookup_cmnd_batch", "lookup by CMND, in batches"},
    [XT_MICRO_PLAIN_HIT] = {"plain_hit", "a record per LMDB key: lookup and unseal"},
    [XT_MICRO_PLAIN_MISS] = {"plain_miss", "a record per LMDB key: nobody has it (opens none)"},
    [XT_MICRO_OVERLAY_HIT] = {"overlay_hit", "with an overlay: lookup of who did not change"},
    [XT_MICRO_OVERLAY_HIT_BATCH] = {"overlay_hit_batch", "with an overlay, in batches"},
    [XT_MICRO_OVERLAY_MISS] = {"overlay_miss", "with an overlay: nobody has it"},
    [XT_MICRO_OVERLAY_MISS_BATCH] = {"overlay_miss_batch", "with an overlay: nobody, in batches"},
    [XT_MICRO_OVERLAY_CHANGED] = {"overlay_changed", "with an overlay: lookup of who did change"},
    [XT_MICRO_NAME_EXACT] = {"name_exact", "name match, exact"},
    [XT_MICRO_NAME_SPELLING] = {"name_spelling", "name match, spelling"},
    [XT_MICRO_NAME_UNACCENTED] = {"name_unaccented", "name match, unaccented (advisory)"},
    [XT_MICRO_NAME_REORDERED] = {"name_reordered", "name match, reordered (advisory)"},
    [XT_MICRO_NAME_FUZZY] = {"name_fuzzy", "name match, fuzzy (advisory)"},
    [XT_MICRO_JSON_IN] = {"json_in", "JSON in"},
    [XT_MICRO_JSON_OUT] = {"json_out", "JSON out"},
    [XT_MICRO_VERIFY] = {"verify", "whole verify, JSON in to JSON out"},
    [XT_MICRO_VERIFY_BATCH] = {"verify_batch", "whole verify, in batches"},
};

const char *xt_micro_part_name(enum xt_micro_part part)
{
    return parts[part].name;
}

const char *xt_micro_part_title(enum xt_micro_part part)
{
    return parts[part].title;
}

enum xt_status xt_micro_part_by_name(const char *name, enum xt_micro_part *part)
{
    for (unsigned i = 0; i < XT_MICRO_PARTS; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            *part = (enum xt_micro_part)i;
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

/* ---- time ---- */

static double clock_ns(clockid_t id)
{
    struct timespec time;
    (void)clock_gettime(id, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void xt_micro_begin(struct xt_micro_sample *sample)
{
    sample->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    sample->wall_ns = clock_ns(CLOCK_MONOTONIC);
}

void xt_micro_end(struct xt_micro_sample *sample, uint64_t operations)
{
    sample->wall_ns = clock_ns(CLOCK_MONOTONIC) - sample->wall_ns;
    sample->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - sample->cpu_ns;
    sample->operations = operations;
}

/* ---- lookups ---- */

enum xt_status xt_micro_wrong(struct xt_failure *failure, enum xt_micro_part part, uint64_t got,
                              uint64_t expected)
{
    return xt_fail(failure, XT_CORRUPT, "%s: %llu answers of the right kind in place of %llu",
                   parts[part].name, (unsigned long long)got, (unsigned long long)expected);
}

static struct xt_id id_of(enum xt_id_kind kind, const void *list, uint32_t index)
{
    uint64_t value =
        kind == XT_ID_CMND ? ((const uint32_t *)list)[index] : ((const uint64_t *)list)[index];
    return (struct xt_id){.kind = kind, .value = value};
}

static uint64_t find_singly(const struct xt_register *as, enum xt_id_kind kind, const void *list,
                            uint32_t count, bool expected)
{
    struct xt_found found;
    uint64_t right = 0;
    for (uint32_t i = 0; i < count; i++) {
        right +=
            xt_register_find(as, id_of(kind, list, i), &found) == XT_OK && found.found == expected;
    }
    return right;
}

static uint64_t find_in_groups(const struct xt_register *as, enum xt_id_kind kind, const void *list,
                               uint32_t count, bool expected)
{
    static struct xt_lookup lookups[XT_TABLE_GROUP];
    struct xt_lookup *group[XT_TABLE_GROUP];
    uint64_t right = 0;
    for (unsigned i = 0; i < XT_TABLE_GROUP; i++) {
        group[i] = &lookups[i];
    }
    for (uint32_t at = 0; at < count;) {
        unsigned size = count - at < XT_TABLE_GROUP ? count - at : XT_TABLE_GROUP;
        for (unsigned i = 0; i < size; i++) {
            lookups[i].id = id_of(kind, list, at + i);
        }
        xt_register_find_batch(as, group, size);
        for (unsigned i = 0; i < size; i++) {
            right += lookups[i].status == XT_OK && lookups[i].found.found == expected;
        }
        at += size;
    }
    return right;
}

static enum xt_status run_find(enum xt_micro_part part, const struct xt_micro_place *place,
                               struct xt_micro_sample *sample, struct xt_failure *failure)
{
    const struct xt_micro_people *people = place->people;
    bool cmnd = part == XT_MICRO_CMND || part == XT_MICRO_CMND_BATCH;
    bool overlay = part >= XT_MICRO_OVERLAY_HIT && part <= XT_MICRO_OVERLAY_CHANGED;
    bool miss = part == XT_MICRO_MISS || part == XT_MICRO_MISS_BATCH ||
                part == XT_MICRO_OVERLAY_MISS || part == XT_MICRO_OVERLAY_MISS_BATCH;
    bool batch = part == XT_MICRO_HIT_BATCH || part == XT_MICRO_MISS_BATCH ||
                 part == XT_MICRO_CMND_BATCH || part == XT_MICRO_OVERLAY_HIT_BATCH ||
                 part == XT_MICRO_OVERLAY_MISS_BATCH;
    const void *list = cmnd                               ? (const void *)people->cmnds
                       : miss                             ? (const void *)people->misses
                       : part == XT_MICRO_OVERLAY_CHANGED ? (const void *)people->changed
                                                          : (const void *)people->hits;
    struct xt_register as = {.generation = place->generation, .live = overlay ? place->live : NULL};
    if (overlay && place->live == NULL) {
        return XT_OK;
    }
    uint32_t count = cmnd ? people->cmnd_count : people->key_count;
    xt_micro_begin(sample);
    uint64_t right = (batch ? find_in_groups : find_singly)(&as, cmnd ? XT_ID_CMND : XT_ID_PERSONAL,
                                                            list, count, !miss);
    xt_micro_end(sample, count);
    return right == count ? XT_OK : xt_micro_wrong(failure, part, right, count);
}

static enum xt_status run_plain(enum xt_micro_part part, const struct xt_micro_place *place,
                                struct xt_micro_sample *sample, struct xt_failure *failure)
{
    const struct xt_micro_people *people = place->people;
    bool miss = part == XT_MICRO_PLAIN_MISS;
    const uint64_t *list = miss ? people->misses : people->hits;
    struct xt_hot hot;
    uint64_t right = 0;
    if (place->plain == NULL) {
        return XT_OK;
    }
    xt_micro_begin(sample);
    for (uint32_t i = 0; i < people->key_count; i++) {
        enum xt_status status = xt_plain_table_find(place->plain, list[i], &hot);
        right += status == (miss ? XT_NOT_FOUND : XT_OK);
    }
    xt_micro_end(sample, people->key_count);
    return right == people->key_count ? XT_OK
                                      : xt_micro_wrong(failure, part, right, people->key_count);
}

/* ---- what needs no register ---- */

static enum xt_status run_hash(const struct xt_micro_people *people, struct xt_micro_sample *sample)
{
    static const uint8_t key[32] = {1};
    volatile uint64_t sink;
    uint64_t sum = 0;
    xt_micro_begin(sample);
    for (uint32_t i = 0; i < people->key_count; i++) {
        sum += xt_key_hash(key, id_of(XT_ID_PERSONAL, people->hits, i)).high;
    }
    xt_micro_end(sample, people->key_count);
    sink = sum;
    (void)sink;
    return XT_OK;
}

/* Records as long as those of the hot table are on the average, all in the cache. */
static enum xt_status run_unseal(const struct xt_micro_place *place, struct xt_micro_sample *sample,
                                 struct xt_failure *failure)
{
    static const uint8_t key[32] = {2};
    const struct xt_table_sizes *hot =
        &xt_generation_manifest(place->generation)->tables[XT_TABLE_HOT];
    size_t mean = (size_t)(hot->disk_bytes / (hot->records > 0 ? hot->records : 1));
    size_t size = mean > 64 && mean < 512 ? mean - 8 - XT_SEAL_OVERHEAD : 40;
    uint8_t plain[512] = {0};
    uint8_t associated[16] = {0};
    struct xt_sealer *sealer = NULL;
    size_t step = size + XT_SEAL_OVERHEAD;
    uint8_t *sealed = calloc(SEALED, step);
    if (sealed == NULL || xt_sealer_open(key, &sealer) != XT_OK) {
        free(sealed);
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    struct xt_span with = xt_span_of(associated, sizeof(associated));
    for (unsigned i = 0; i < SEALED; i++) {
        xt_seal(sealer, i, with, xt_span_of(plain, size), sealed + i * step);
    }
    uint64_t right = 0;
    uint32_t count = place->people->key_count;
    xt_micro_begin(sample);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t which = i % SEALED;
        right +=
            xt_unseal(sealer, which, with, xt_span_of(sealed + which * step, step), plain) == XT_OK;
    }
    xt_micro_end(sample, count);
    xt_sealer_close(sealer);
    free(sealed);
    return right == count ? XT_OK : xt_micro_wrong(failure, XT_MICRO_UNSEAL, right, count);
}

static enum xt_status run_names(enum xt_micro_part part, const struct xt_micro_people *people,
                                struct xt_micro_sample *sample, struct xt_failure *failure)
{
    enum xt_name_level level = (enum xt_name_level)(part - XT_MICRO_NAME_EXACT);
    const struct xt_name *claimed = people->claimed[level];
    bool advisory = level > XT_NAME_SPELLING;
    uint64_t matched = 0;
    uint32_t count = advisory ? people->key_count / 16 + 1 : people->key_count;
    xt_micro_begin(sample);
    for (uint32_t i = 0; i < count; i++) {
        const struct xt_name *held = &people->held[i % XT_MICRO_NAMES];
        const struct xt_name *claim = &claimed[i % XT_MICRO_NAMES];
        matched += advisory ? xt_name_compare(claim, held).level <= level
                            : xt_name_matches(claim, held, level);
    }
    xt_micro_end(sample, count);
    /* A letter changed in a short name may be too much for fuzzy. */
    return matched == count || level == XT_NAME_FUZZY
               ? XT_OK
               : xt_micro_wrong(failure, part, matched, count);
}

enum xt_status xt_micro_part_run(enum xt_micro_part part, const struct xt_micro_place *place,
                                 struct xt_micro_sample *sample, struct xt_failure *failure)
{
    *sample = (struct xt_micro_sample){.operations = 0};
    switch (part) {
    case XT_MICRO_KEY_HASH:
        return run_hash(place->people, sample);
    case XT_MICRO_UNSEAL:
        return run_unseal(place, sample, failure);
    case XT_MICRO_PLAIN_HIT:
    case XT_MICRO_PLAIN_MISS:
        return run_plain(part, place, sample, failure);
    case XT_MICRO_JSON_IN:
    case XT_MICRO_JSON_OUT:
    case XT_MICRO_VERIFY:
    case XT_MICRO_VERIFY_BATCH:
        return xt_micro_verify_run(part, place, sample, failure);
    default:
        return part >= XT_MICRO_NAME_EXACT && part <= XT_MICRO_NAME_FUZZY
                   ? run_names(part, place->people, sample, failure)
                   : run_find(part, place, sample, failure);
    }
}
