#include <stdlib.h>

#include "crypto/keyring.h"
#include "store/background.h"
#include "store/table_internal.h"

/* A walk of some pages: record is where one at a time is opened. */
struct walk {
    const struct xt_table *table;
    uint8_t *record; /* XT_RECORD_MAX bytes */
    xt_table_visit visit;
    void *context;
};

static bool opens(const struct walk *walk, const struct xt_page *page, uint32_t index)
{
    size_t size;
    return xt_page_open_record(walk->table, page, index, walk->record, &size) == XT_OK;
}

/* A record that opens proves its page's first ordinal. */
static bool opens_any(const struct walk *walk, const struct xt_page *page)
{
    for (uint32_t index = 0; index < page->count; index++) {
        if (opens(walk, page, index)) {
            return true;
        }
    }
    return false;
}

/* Whether the page's ordinals go on where those of the page before it end. Where they break, the page is
 * told of as a whole when it proves its ordinals nowhere, for then its header is damaged, and when the
 * page before it proves its end as well, for then a nonce is used twice or left out. Otherwise it is the
 * page before that is damaged, and its own visit tells. */
static bool goes_on(const struct walk *walk, const struct xt_page *page)
{
    struct xt_page before;
    if (page->number == 0) {
        return page->first_ordinal == 0;
    }
    if (!xt_page_read(walk->table, page->number - 1, &before) ||
        before.first_ordinal + before.count == page->first_ordinal) {
        return true;
    }
    return opens_any(walk, page) && !opens(walk, &before, before.count - 1);
}

static enum xt_status walk_records(const struct walk *walk, const struct xt_page *page)
{
    size_t expected = XT_PAGE_HEADER + (size_t)page->count * XT_PAGE_SLOT + XT_PAGE_END;
    for (uint32_t index = 0; index < page->count; index++) {
        struct xt_table_place place = {page->number, index, xt_page_tag(page, index)};
        size_t size = 0;
        if ((index & 7) == 0) {
            xt_background_yield();
        }
        enum xt_status status = xt_page_open_record(walk->table, page, index, walk->record, &size);
        bool in_order = xt_page_offset(page, index) == expected &&
                        (index == 0 || xt_page_tag(page, index - 1) <= place.tag);
        expected = xt_page_offset(page, index + 1);
        if (status == XT_OK &&
            (!in_order || (index + 1 == page->count && expected != page->size))) {
            status = XT_CORRUPT;
        }
        if (status == XT_OK && size == 0 && page->count == 1) {
            return XT_OK; /* the stand-in of an empty page */
        }
        status = walk->visit(walk->context, place, status,
                             xt_span_of(walk->record, status == XT_OK ? size : 0));
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

enum xt_status xt_table_walk_pages(const struct xt_table *table, uint32_t from, uint32_t to,
                                   xt_table_visit visit, void *context)
{
    xt_require(from <= to && to <= table->page_count);
    struct walk walk = {.table = table, .visit = visit, .context = context};
    walk.record = malloc(XT_RECORD_MAX);
    if (walk.record == NULL) {
        return XT_NO_MEMORY;
    }
    enum xt_status status = XT_OK;
    for (uint32_t number = from; number < to && status == XT_OK; number++) {
        struct xt_page page;
        if (xt_page_read(table, number, &page) && goes_on(&walk, &page)) {
            status = walk_records(&walk, &page);
        } else {
            struct xt_table_place place = {number, UINT32_MAX, 0};
            status = visit(context, place, XT_CORRUPT, xt_span_of(NULL, 0));
        }
    }
    xt_wipe(walk.record, XT_RECORD_MAX);
    free(walk.record);
    return status;
}

enum xt_status xt_table_walk(const struct xt_table *table, xt_table_visit visit, void *context)
{
    return xt_table_walk_pages(table, 0, table->page_count, visit, context);
}

enum xt_status xt_table_share(const struct xt_table *table, struct xt_table **shared)
{
    struct xt_table *made = calloc(1, sizeof(*made));
    struct xt_page_note *notes = calloc(table->page_count, sizeof(*notes));
    if (made == NULL || notes == NULL) {
        free(made);
        free(notes);
        return XT_NO_MEMORY;
    }
    *made = *table;
    made->notes = notes;
    made->shared = true;
    *shared = made;
    return XT_OK;
}

uint32_t xt_table_place_offset(const struct xt_table *table, struct xt_table_place place)
{
    struct xt_page page;
    if (!xt_page_read(table, place.page, &page) || place.index >= page.count) {
        return 0;
    }
    uint32_t offset = xt_page_offset(&page, place.index);
    return offset < page.size ? offset : 0;
}
