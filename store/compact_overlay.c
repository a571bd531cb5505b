/* The overlay into the builder. While this goes on the live store keeps the pages of its snapshot, so nothing
 * is done here that could wait. */
#include "store/background.h"
#include "store/compact_internal.h"

#define LANE 0 /* nobody else adds yet */
#define LOOK_AT_STOP 1024

struct folding {
    struct xt_compaction *compaction;
    struct xt_live *live;
    uint64_t seen;          /* entries */
    uint64_t replaced_seen; /* of them, of replaced numbers */
    uint8_t *hot, *cold;    /* the person at hand */
    struct xt_memory room;
    struct xt_person person;
};

/* ---- whom it holds ------------------------------------------------------------------------------ */

enum xt_status xt_changes_open(struct xt_changes *changes, uint64_t most)
{
    uint8_t *place = NULL;
    uint64_t places = 1024;
    while (places < 2 * most) {
        places *= 2;
    }
    *changes = (struct xt_changes){.mask = places - 1};
    return xt_memory_extend(&changes->memory, (size_t)places * sizeof(struct xt_changed), &place);
}

void xt_changes_close(struct xt_changes *changes)
{
    xt_memory_free(&changes->memory);
}

/* Its place, or the free one where it would be. */
static struct xt_changed *place_of(const struct xt_changes *changes, uint64_t number)
{
    struct xt_changed *places = (struct xt_changed *)(void *)changes->memory.data;
    uint64_t at = number * 0x9e3779b97f4a7c15ULL >> 20;
    while (places[at & changes->mask].number != 0 && places[at & changes->mask].number != number) {
        at++;
    }
    return &places[at & changes->mask];
}

enum xt_status xt_changes_add(struct xt_changes *changes, uint64_t number, uint64_t successor)
{
    if (number == 0 || changes->count * 2 > changes->mask) {
        return XT_CORRUPT;
    }
    struct xt_changed *place = place_of(changes, number);
    if (place->number != 0) {
        return XT_EXISTS;
    }
    *place = (struct xt_changed){number, successor};
    changes->count++;
    return XT_OK;
}

uint64_t xt_changes_find(const struct xt_changes *changes, uint64_t number)
{
    return place_of(changes, number)->successor;
}

/* ---- aliases ------------------------------------------------------------------------------------ */

enum xt_status xt_compact_names(struct xt_generation *generation, struct xt_id id, uint64_t number,
                                bool *names)
{
    struct xt_alias alias;
    *names = false;
    enum xt_status status = xt_generation_people(generation, id, &alias);
    for (unsigned i = 0; status == XT_OK && i < alias.count; i++) {
        *names = *names || alias.people[i] == number;
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

static enum xt_status keep_alias(struct xt_builder *builder, unsigned lane, struct xt_id id,
                                 const struct xt_hot *hot, xt_compact_counts counts, void *context,
                                 struct xt_failure *failure)
{
    bool counted = true;
    enum xt_status status = XT_OK;
    if (hot->life == XT_LIFE_CANCELLED) {
        status = counts(context, id, hot->number, &counted);
    }
    if (status != XT_OK) {
        return xt_fail(failure, status, "whom a CMND or a phone names cannot be read: %s",
                       xt_status_name(status));
    }
    return counted ? xt_builder_keep_alias(builder, lane, id, hot->number, failure) : XT_OK;
}

enum xt_status xt_compact_keep_aliases(struct xt_builder *builder, unsigned lane,
                                       const struct xt_hot *hot, xt_compact_counts counts,
                                       void *context, struct xt_failure *failure)
{
    struct xt_id cmnd = {.kind = XT_ID_CMND, .value = hot->cmnd};
    enum xt_status status =
        hot->has_cmnd ? keep_alias(builder, lane, cmnd, hot, counts, context, failure) : XT_OK;
    for (unsigned i = 0; status == XT_OK && i < hot->phone_count; i++) {
        struct xt_id phone = {.kind = XT_ID_PHONE, .value = hot->phones[i]};
        status = keep_alias(builder, lane, phone, hot, counts, context, failure);
    }
    return status;
}

/* Of somebody cancelled who is in the overlay: what it says of the alias, or else the generation. */
static enum xt_status counts_now(void *context, struct xt_id id, uint64_t number, bool *counts)
{
    struct folding *folding = context;
    struct xt_live_alias changes;
    enum xt_status status = xt_live_alias(folding->live, id, &changes);
    for (unsigned i = 0; status == XT_OK && i < changes.count; i++) {
        if (changes.people[i].number == number) {
            *counts = changes.people[i].added;
            return XT_OK;
        }
    }
    return status == XT_OK || status == XT_NOT_FOUND
               ? xt_compact_names(folding->compaction->generation, id, number, counts)
               : status;
}

/* ---- numbers that lead to him ------------------------------------------------------------------- */

/* Whether it is here that a number which he replaced is kept. The overlay may say whose it is; else what the
 * generation answers under it stays, and its walk keeps that, whoever states the number. */
static enum xt_status leads_here(struct folding *folding, uint64_t replaced,
                                 const struct xt_hot *hot, bool *leads)
{
    struct xt_live_entry entry;
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = replaced};
    enum xt_status status = xt_live_entry(folding->live, replaced, &entry);
    if (status == XT_OK) {
        *leads = entry.replaced && entry.successor == hot->number;
        folding->replaced_seen -= *leads; /* of those that the walk counted */
        return XT_OK;
    }
    if (status == XT_NOT_FOUND) {
        status = xt_generation_find(folding->compaction->generation, id, &found);
    }
    if (status == XT_OK) {
        *leads = !found.found;
    }
    return status;
}

static enum xt_status keep_replaced(struct folding *folding, uint64_t replaced,
                                    const struct xt_hot *hot)
{
    struct xt_compaction *compaction = folding->compaction;
    bool leads = false;
    enum xt_status status = leads_here(folding, replaced, hot, &leads);
    if (status != XT_OK || !leads) {
        return status;
    }
    status = xt_changes_add(&compaction->changes, replaced, hot->number);
    if (status != XT_OK) {
        return status == XT_EXISTS ? XT_OK : status; /* two state it: the first has it */
    }
    compaction->report->replaced++;
    return xt_builder_keep_replaced(compaction->builder, LANE, replaced, hot->number,
                                    compaction->failure);
}

/* ---- people -------------------------------------------------------------------------------------- */

static enum xt_status keep_person(struct folding *folding, size_t hot_size, size_t cold_size)
{
    struct xt_compaction *compaction = folding->compaction;
    struct xt_hot hot;
    struct xt_span records[] = {xt_span_of(folding->hot, hot_size),
                                xt_span_of(folding->cold, cold_size)};
    enum xt_status status = xt_hot_decode(records[0], &hot);
    if (status == XT_OK) {
        status = xt_cold_decode(records[1], &folding->person);
    }
    if (status != XT_OK || folding->person.number != hot.number) {
        return XT_CORRUPT;
    }
    status = xt_changes_add(&compaction->changes, hot.number, XT_CHANGED_PERSON);
    bool kept = xt_relinked_has(compaction->relinked, hot.number);
    if (status == XT_OK && !kept) {
        status = xt_builder_keep_hot(compaction->builder, LANE, hot.number, records[0],
                                     compaction->failure);
    }
    if (status == XT_OK && !kept) {
        status = xt_builder_keep_cold(compaction->builder, LANE, hot.number, records[1],
                                      compaction->failure);
    }
    for (unsigned i = 0; status == XT_OK && i < folding->person.replaced_count; i++) {
        status = keep_replaced(folding, folding->person.replaced[i], &hot);
    }
    compaction->report->changed++;
    return status == XT_OK ? xt_compact_keep_aliases(compaction->builder, LANE, &hot, counts_now,
                                                     folding, compaction->failure)
                           : status;
}

static enum xt_status take_entry(void *context, const struct xt_live_entry *entry)
{
    struct folding *folding = context;
    const struct xt_builder_options *options = folding->compaction->options;
    xt_background_yield();
    if (++folding->seen % LOOK_AT_STOP == 0 && options->stop != NULL && *options->stop != 0) {
        return xt_fail(folding->compaction->failure, XT_CLOSED, "interrupted; nothing was changed");
    }
    if (entry->replaced) {
        folding->replaced_seen++;
        return XT_OK;
    }
    if (entry->hot.size > XT_HOT_MAX || entry->cold.size > XT_COLD_MAX) {
        return XT_CORRUPT;
    }
    memcpy(folding->hot, entry->hot.data, entry->hot.size);
    memcpy(folding->cold, entry->cold.data, entry->cold.size);
    return keep_person(folding, entry->hot.size, entry->cold.size);
}

enum xt_status xt_compact_overlay(struct xt_compaction *compaction, struct xt_live *live)
{
    struct folding folding = {.compaction = compaction, .live = live};
    uint64_t entries;
    enum xt_status status = xt_live_count_entries(live, &entries);
    compaction->failure->text[0] = 0;
    if (status == XT_OK) {
        status = xt_memory_extend(&folding.room, XT_HOT_MAX + XT_COLD_MAX, &folding.hot);
    }
    if (status == XT_OK) {
        /* As many again: numbers that only people's records state. */
        status = xt_changes_open(&compaction->changes, 2 * entries);
    }
    if (status == XT_OK) {
        folding.cold = folding.hot + XT_HOT_MAX;
        status = xt_live_each_entry(live, take_entry, &folding);
    }
    /* Nothing says whose a replaced number is but its successor, who is there as long as it. */
    if (status == XT_OK && folding.replaced_seen != 0) {
        status = XT_CORRUPT;
    }
    xt_wipe(&folding.person, sizeof(folding.person));
    xt_memory_free(&folding.room);
    return status == XT_OK || compaction->failure->text[0] != 0
               ? status
               : xt_fail(compaction->failure, status,
                         "the changes in the live store cannot be read: %s",
                         xt_status_name(status));
}
