#include "store/table.h"

#include <stdlib.h>

#include "core/branchless.h"
#include "store/table_internal.h"

#define LINE 64 /* bytes of a cache line */
#define GUESS_LINES 2

#define RECORD_LINES 2U /* of a record: more would be for the rare large ones */

const char *xt_table_name(unsigned number)
{
    static const char *const names[XT_TABLE_COUNT] = {"hot", "cold", "alias", "phone"};
    return number < XT_TABLE_COUNT ? names[number] : "?";
}

enum xt_status xt_table_open(const struct xt_span *pages, uint32_t page_count,
                             struct xt_table_sizes sizes, const uint8_t key[32],
                             struct xt_table **table)
{
    xt_require(page_count > 0);
    struct xt_table *opened = calloc(1, sizeof(*opened));
    /* Zeros that are memory only once a page is looked into. */
    struct xt_page_note *notes = calloc(page_count, sizeof(*notes));
    if (opened == NULL || notes == NULL) {
        free(opened);
        free(notes);
        return XT_NO_MEMORY;
    }
    opened->pages = pages;
    opened->base = pages[0].data;
    opened->notes = notes;
    opened->page_count = page_count;
    opened->sizes = sizes;
    enum xt_status status = xt_sealer_open(key, &opened->sealer);
    if (status != XT_OK) {
        free(notes);
        free(opened);
        return status;
    }
    *table = opened;
    return XT_OK;
}

void xt_table_close(struct xt_table *table)
{
    if (table != NULL) {
        xt_sealer_close(table->shared ? NULL : table->sealer);
        free(table->notes);
        free(table);
    }
}

struct xt_table_sizes xt_table_sizes(const struct xt_table *table)
{
    return table->sizes;
}

struct xt_table_place xt_table_place_of(const struct xt_table *table, struct xt_hash hash)
{
    return xt_page_place(hash, table->page_count);
}

static void note_page(struct xt_table *table, const struct xt_page *page)
{
    uint64_t place = (uint64_t)(page->data - table->base); /* huge when it lies before it */
    if (page->first_ordinal >> XT_NOTE_PLACE_BITS == 0 && place >> XT_NOTE_PLACE_BITS == 0 &&
        page->count >> XT_NOTE_SIZE_BITS == 0 && page->size >> XT_NOTE_SIZE_BITS == 0) {
        table->notes[page->number] = (struct xt_page_note){
            .low = page->first_ordinal | (uint64_t)page->count << XT_NOTE_PLACE_BITS,
            .high = place | (uint64_t)page->size << XT_NOTE_PLACE_BITS};
    }
}

/* A lookup's view of a record. What does not open may be a fault of the header that the page was noted
 * with, so that the next lookup reads it anew: once the file is mended, nobody goes on by the damage. */
static enum xt_status open_looked_into(struct xt_table *table, const struct xt_page *page,
                                       uint32_t index, uint8_t *record, size_t *size)
{
    enum xt_status status = xt_page_open_record(table, page, index, record, size);
    if (status == XT_CORRUPT) {
        table->notes[page->number] = (struct xt_page_note){.low = 0};
    }
    return status;
}

static inline bool is_noted(const struct xt_table *table, uint32_t number)
{
    return table->notes[number].low != 0; /* counts are above 0 */
}

/* The page as noted; its header is read when it is looked into for the first time only. */
static inline bool look_into(struct xt_table *table, uint32_t number, struct xt_page *page)
{
    const uint64_t place_mask = (1ULL << XT_NOTE_PLACE_BITS) - 1;
    struct xt_page_note note = table->notes[number];
    if (note.low == 0) {
        if (!xt_page_read(table, number, page)) {
            return false;
        }
        note_page(table, page);
        return true;
    }
    const uint8_t *data = table->base + (note.high & place_mask);
    *page = (struct xt_page){.data = data,
                             .slots = data + XT_PAGE_HEADER,
                             .size = note.high >> XT_NOTE_PLACE_BITS,
                             .number = number,
                             .count = (uint32_t)(note.low >> XT_NOTE_PLACE_BITS),
                             .first_ordinal = note.low & place_mask};
    return true;
}

void xt_table_note_pages(struct xt_table *table, uint32_t from, uint32_t to)
{
    struct xt_page page;
    for (uint32_t number = from; number < to && number < table->page_count; number++) {
        if (number + 1 < to) {
            __builtin_prefetch(table->pages[number + 1].data);
        }
        (void)look_into(table, number, &page);
    }
}

/* Where tag would stand if tags were spread evenly. */
static inline uint32_t guess(const struct xt_page *page, uint32_t tag)
{
    return (uint32_t)(((uint64_t)tag * page->count) >> 32);
}

/* Asks for the cache lines around a guess. In a page of a thousand records the right place is within 16
 * of it in two cases of three, and a line has 8: so they come together, not one after the other. */
static inline void expect_slots(const struct xt_page *page, uint32_t index)
{
    const uint8_t *middle = page->slots + (size_t)index * XT_PAGE_SLOT;
    for (int line = -GUESS_LINES; line <= GUESS_LINES; line++) {
        __builtin_prefetch(middle + line * LINE);
    }
}

/* Asks for the record that find_tag gave and the one before it, which a miss opens: they lie side by side.
 * Which of the two it will be depends on a tag that has yet to come, and is not waited for. */
static inline void expect_record(const struct xt_page *page, uint32_t index)
{
    const uint8_t *line = page->data + xt_page_offset(page, index);
    __builtin_prefetch(line - LINE);
    for (unsigned i = 0; i < RECORD_LINES; i++) {
        __builtin_prefetch(line + (size_t)i * LINE);
    }
}

/* The first record whose tag is not below tag; the count when there is none. */
static uint32_t find_tag(const struct xt_page *page, uint32_t tag)
{
    uint32_t index = guess(page, tag);
    if (xt_page_tag(page, index) >= tag) {
        while (index > 0 && xt_page_tag(page, index - 1) >= tag) {
            index--;
        }
        return index;
    }
    do {
        index++;
    } while (index < page->count && xt_page_tag(page, index) < tag);
    return index;
}

/* The record that a lookup of tag opens first, found being find_tag's: the first one with this tag, or
 * *missed and the one that proves that there is none: the one before the gap, or the first of the page.
 * Where the slots end stands the end of the last record: no tag, but there to be read. No branches: a
 * miss must not take longer than a hit. */
static inline uint32_t first_to_open(const struct xt_page *page, uint32_t tag, uint32_t found,
                                     bool *missed)
{
    *missed = (xt_opaque(found == page->count) | xt_opaque(xt_page_tag(page, found) != tag)) != 0;
    return found - (xt_opaque(*missed) & xt_opaque(found > 0));
}

enum xt_status xt_page_open_record(const struct xt_table *table, const struct xt_page *page,
                                   uint32_t index, uint8_t *record, size_t *size)
{
    uint32_t from = xt_page_offset(page, index);
    uint32_t to = xt_page_offset(page, index + 1);
    if (to > page->size || from > to || to - from < XT_SEAL_OVERHEAD ||
        to - from > XT_RECORD_MAX + XT_SEAL_OVERHEAD) {
        return XT_CORRUPT;
    }
    uint32_t tag = xt_page_tag(page, index);
    bool last = index + 1 == page->count;
    uint32_t flags = last ? XT_FLAG_LAST : 0;
    if (index > 0 && xt_page_tag(page, index - 1) == tag) {
        flags |= XT_FLAG_SAME_BEFORE;
    }
    uint8_t associated[XT_ASSOCIATED_BYTES];
    xt_page_associate(associated, page->number, tag, last ? 0 : xt_page_tag(page, index + 1),
                      flags | index);
    *size = to - from - XT_SEAL_OVERHEAD;
    return xt_unseal(table->sealer, page->first_ordinal + index,
                     xt_span_of(associated, sizeof(associated)),
                     xt_span_of(page->data + from, to - from), record);
}

enum xt_status xt_table_get(struct xt_table *table, struct xt_hash hash, uint32_t *cursor,
                            uint8_t *record, size_t *size)
{
    struct xt_table_place place = xt_page_place(hash, table->page_count);
    struct xt_page page;
    if (!look_into(table, place.page, &page)) {
        return XT_CORRUPT;
    }
    uint32_t index = *cursor;
    bool missed = false;
    if (index == 0) {
        expect_slots(&page, guess(&page, place.tag));
        uint32_t found = find_tag(&page, place.tag);
        expect_record(&page, found);
        index = first_to_open(&page, place.tag, found, &missed);
    } else if (index >= page.count || xt_page_tag(&page, index) != place.tag) {
        *size = 0;
        return XT_NOT_FOUND; /* proved by the record that was opened before */
    }
    *cursor = index + 1;
    enum xt_status status = open_looked_into(table, &page, index, record, size);
    if (status != XT_OK) {
        return status;
    }
    return (enum xt_status)(XT_NOT_FOUND & xt_mask(missed | (*size == 0)));
}

void xt_table_expect(struct xt_table *table, const struct xt_hash *hashes, unsigned count)
{
    struct xt_table_place places[XT_TABLE_GROUP];
    struct xt_page pages[XT_TABLE_GROUP];
    bool sound[XT_TABLE_GROUP];
    xt_require(count <= XT_TABLE_GROUP);
    for (unsigned i = 0; i < count; i++) {
        places[i] = xt_page_place(hashes[i], table->page_count);
        __builtin_prefetch(&table->notes[places[i].page]);
        __builtin_prefetch(&table->pages[places[i].page]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (!is_noted(table, places[i].page)) {
            __builtin_prefetch(table->pages[places[i].page].data);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        sound[i] = look_into(table, places[i].page, &pages[i]);
        if (sound[i]) {
            expect_slots(&pages[i], guess(&pages[i], places[i].tag));
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (sound[i]) {
            expect_record(&pages[i], find_tag(&pages[i], places[i].tag));
        }
    }
}
