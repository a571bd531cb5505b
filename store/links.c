#include "store/links.h"

#include <unistd.h>

#include "store/generation_internal.h"
#include "store/links_internal.h"
#include "store/live_fold.h"

/* ---- whom the builder has already ------------------------------------------------------------------ */

enum xt_status xt_relinked_open(struct xt_relinked *relinked, uint64_t most,
                                const uint8_t hash_key[XT_KEY_BYTES])
{
    uint8_t *place = NULL;
    *relinked = (struct xt_relinked){.places = most + most / 3 + 64, .hash_key = hash_key};
    return xt_memory_extend(&relinked->memory, (size_t)relinked->places * sizeof(uint64_t), &place);
}

void xt_relinked_close(struct xt_relinked *relinked)
{
    xt_memory_free(&relinked->memory);
}

/* Hashes are keyed: whoever writes the list cannot choose numbers that all fall into one place. */
static uint64_t first_place(const struct xt_relinked *relinked, uint64_t number)
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    uint64_t high = xt_key_hash(relinked->hash_key, id).high;
    return (uint64_t)((unsigned __int128)high * relinked->places >> 64);
}

void xt_relinked_add(struct xt_relinked *relinked, uint64_t number)
{
    uint64_t *places = (uint64_t *)(void *)relinked->memory.data;
    uint64_t at = first_place(relinked, number);
    for (uint64_t empty = 0; !__atomic_compare_exchange_n(&places[at], &empty, number, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED);
         empty = 0) {
        at = at + 1 < relinked->places ? at + 1 : 0;
    }
}

bool xt_relinked_has(const struct xt_relinked *relinked, uint64_t number)
{
    if (relinked == NULL) {
        return false;
    }
    const uint64_t *places = (const uint64_t *)(const void *)relinked->memory.data;
    uint64_t at = first_place(relinked, number);
    while (places[at] != 0 && places[at] != number) {
        at = at + 1 < relinked->places ? at + 1 : 0;
    }
    return places[at] == number;
}

/* ---- the steps ------------------------------------------------------------------------------------- */

/* *lock: -1 where there is no live store, and so no server either. */
static enum xt_status keep_servers_out(const char *dir, int *lock, struct xt_failure *failure)
{
    enum xt_status status = xt_live_lock(dir, lock, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK;
    }
    return status != XT_BUSY
               ? status
               : xt_fail(failure, XT_BUSY,
                         "a server runs on %s: stop it first, or send these documents as events "
                         "(document_linked); nothing was changed",
                         dir);
}

/* Leaves *live NULL where no events were. */
static enum xt_status open_live(struct xt_linking *linking, const char *dir,
                                const struct xt_keyring *keyring, struct xt_live **live)
{
    struct xt_compaction *compaction = &linking->compaction;
    const struct xt_manifest *manifest = xt_generation_manifest(compaction->generation);
    enum xt_status status = xt_live_open_reader(dir, keyring, live, linking->failure);
    if (status == XT_NOT_FOUND) {
        *live = NULL;
        return XT_OK;
    }
    if (status == XT_OK) {
        status = xt_live_may_lie_over(*live, manifest, false, linking->failure);
    }
    if (status == XT_OK) {
        xt_live_lie_over(*live, manifest);
        xt_builder_set_folded(compaction->builder, xt_live_sequence(*live),
                              xt_live_identity(*live));
        linking->live = xt_live_is_bare(*live) ? NULL : *live;
    }
    return status;
}

static enum xt_status read_list(struct xt_linking *linking, const char *dir,
                                const struct xt_import_input *input)
{
    char folder[XT_PATH_MAX];
    uint64_t lines = 0;
    enum xt_status status = xt_path_join(folder, dir, "identity");
    if (status != XT_OK) {
        return xt_fail(linking->failure, status, "the path of the deployment is too long");
    }
    status = xt_spill_open(folder, &linking->spill, linking->failure);
    if (status == XT_OK) {
        status = xt_links_read(linking, input, &lines);
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_relinked_open(&linking->relinked, lines, linking->compaction.generation->hash_key);
    if (status != XT_OK) {
        return xt_fail(linking->failure, status, "out of memory");
    }
    linking->compaction.relinked = &linking->relinked;
    status = xt_links_decide(linking);
    xt_spill_close(linking->spill);
    linking->spill = NULL;
    return status;
}

static enum xt_status make_generation(struct xt_linking *linking, struct xt_live *live)
{
    struct xt_compaction *compaction = &linking->compaction;
    enum xt_status status = live != NULL ? xt_compact_overlay(compaction, live)
                                         : xt_changes_open(&compaction->changes, 0);
    if (status == XT_OK) {
        status = xt_compact_walk(compaction);
    } else if (live == NULL) {
        return xt_fail(linking->failure, status, "out of memory");
    }
    if (status == XT_OK) {
        status = xt_compact_finish(compaction);
    }
    linking->report->made = status == XT_OK;
    linking->report->manifest = compaction->report->manifest;
    return status;
}

/* With the overlay's snapshot held: nobody writes to it. */
static enum xt_status import(struct xt_linking *linking, const char *dir,
                             const struct xt_import_input *input, uint64_t max_rejects,
                             struct xt_live *live)
{
    enum xt_status status = read_list(linking, dir, input);
    if (status == XT_OK) {
        status = xt_rejects_finish(linking->rejects, linking->failure);
    }
    if (status != XT_OK) {
        return status;
    }
    if (linking->rejects->count > max_rejects) {
        return xt_fail(linking->failure, XT_INVALID,
                       "%llu lines were refused and --max-rejects allows %llu: see %s; nothing was "
                       "changed",
                       (unsigned long long)linking->rejects->count, (unsigned long long)max_rejects,
                       linking->rejects->path);
    }
    return linking->report->people == 0 ? XT_OK : make_generation(linking, live);
}

enum xt_status xt_links_import(const char *dir, const struct xt_keyring *keyring,
                               const struct xt_builder_options *options,
                               const struct xt_import_input *input, struct xt_rejects *rejects,
                               uint64_t max_rejects, struct xt_links_report *report,
                               struct xt_failure *failure)
{
    struct xt_compact_report compacted = {.made = false};
    struct xt_linking linking = {
        .compaction = {.options = options, .report = &compacted, .failure = failure},
        .rejects = rejects,
        .report = report,
        .failure = failure};
    struct xt_live *live = NULL;
    int lock = -1;
    *report = (struct xt_links_report){.made = false};
    enum xt_status status = keep_servers_out(dir, &lock, failure);
    if (status == XT_OK) {
        status = xt_builder_open(dir, keyring, options, &linking.compaction.builder, failure);
    }
    if (status == XT_OK) {
        status = xt_compact_open_base(&linking.compaction, dir, keyring);
        report->base = compacted.base;
    }
    if (status == XT_OK) {
        status = open_live(&linking, dir, keyring, &live);
    }
    if (status == XT_OK) {
        status = import(&linking, dir, input, max_rejects, live);
    }
    xt_live_close(live);
    xt_spill_close(linking.spill);
    xt_relinked_close(&linking.relinked);
    xt_generation_close(linking.compaction.generation);
    xt_changes_close(&linking.compaction.changes);
    xt_builder_close(linking.compaction.builder);
    if (lock >= 0) {
        close(lock);
    }
    return status;
}
