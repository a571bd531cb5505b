#include "tests/needles.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/test.h"

#define TABLE_SIZE (1U << 16)
/* Forms of fewer bytes are found in sealed data by chance now and then: they are counted. */
#define LONG_ENOUGH 7

struct needle {
    uint8_t bytes[120];
    size_t size;
    uint32_t next; /* with the same hash; 0: none */
};

static struct needle needles[NEEDLES_MAX];
static uint32_t table[TABLE_SIZE]; /* by the first four bytes; index + 1 */
static uint32_t needle_count;
static struct needles_found *walk; /* of needles_search_folder: nftw has no context */

static uint32_t slot_of(const uint8_t *bytes)
{
    uint32_t first;
    memcpy(&first, bytes, sizeof(first));
    return (first * 2654435761U) >> 16; /* Knuth's multiplicative hash */
}

static void look_for(const void *bytes, size_t size)
{
    if (size < 4) {
        return;
    }
    assert_true(needle_count + 1 < NEEDLES_MAX);
    struct needle *needle = &needles[++needle_count];
    needle->size = size < sizeof(needle->bytes) ? size : sizeof(needle->bytes);
    memcpy(needle->bytes, bytes, needle->size);
    needle->next = table[slot_of(needle->bytes)];
    table[slot_of(needle->bytes)] = needle_count;
}

void needles_add_text(const char *text)
{
    look_for(text, strlen(text));
}

static void look_for_span(struct xt_span span)
{
    look_for(span.data, span.size);
}

static void look_for_integer(uint64_t value, size_t size)
{
    uint8_t little[8];
    uint8_t big[8];
    for (size_t i = 0; i < size; i++) {
        little[i] = (uint8_t)(value >> (8 * i));
        big[size - 1 - i] = little[i];
    }
    look_for(little, size);
    look_for(big, size);
}

void needles_add_person(const struct xt_person *person)
{
    char text[XT_PERSON_TEXT_MAX];
    snprintf(text, sizeof(text), "%012llu", (unsigned long long)person->number);
    needles_add_text(text);
    look_for_integer(person->number, 5);
    look_for_integer(person->number, 8);
    look_for_span(person->full_name);
    look_for(person->name.codes, person->name.length);
    (void)xt_name_display(&person->name, text, sizeof(text));
    needles_add_text(text);
    for (unsigned i = 0; i < person->phone_count; i++) {
        snprintf(text, sizeof(text), "%u", person->phones[i]);
        needles_add_text(text);
        look_for_integer(person->phones[i], 4);
    }
    if (person->has_cmnd) {
        snprintf(text, sizeof(text), "%09u", person->cmnd);
        needles_add_text(text);
        look_for_integer(person->cmnd, 4);
    }
    look_for_span(person->address_text);
    look_for_span(person->mother_name);
    look_for_span(person->father_name);
    for (unsigned i = 0; i < person->link_count; i++) {
        look_for(person->links[i].number.text, person->links[i].number.length);
    }
}

void needles_search(const uint8_t *data, size_t size, const char *where,
                    struct needles_found *found)
{
    found->bytes += size;
    for (size_t at = 0; at + 4 <= size; at++) {
        for (uint32_t i = table[slot_of(data + at)]; i != 0; i = needles[i].next) {
            if (needles[i].size > size - at ||
                memcmp(data + at, needles[i].bytes, needles[i].size) != 0) {
                continue;
            }
            if (needles[i].size >= LONG_ENOUGH) {
                snprintf(found->in, sizeof(found->in), "%.400s, byte %zu", where, at);
            }
            *(needles[i].size >= LONG_ENOUGH ? &found->forms_long : &found->forms_short) += 1;
        }
    }
}

void needles_search_file(const char *path, const char *where, struct needles_found *found)
{
    FILE *file = fopen(path, "r");
    size_t size = 0, room = 1U << 20;
    uint8_t *data = malloc(room);
    assert_non_null(data);
    if (file == NULL) {
        fail_msg("cannot read %s", path);
        return;
    }
    for (size_t got; (got = fread(data + size, 1, room - size, file)) > 0;) {
        size += got;
        if (size == room) {
            room *= 2;
            data = realloc(data, room);
            assert_non_null(data);
        }
    }
    needles_search(data, size, where, found);
    fclose(file);
    free(data);
    found->files++;
}

static int visit(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)where;
    if (type == FTW_F) {
        needles_search_file(path, path, walk);
    }
    return 0;
}

void needles_search_folder(const char *path, struct needles_found *found)
{
    walk = found;
    assert_int_equal(nftw(path, visit, 16, FTW_PHYS), 0);
}

unsigned needles_add_people(const char *text, size_t size, unsigned every)
{
    struct xt_json_arena arena = {malloc(XT_PERSON_JSON_ARENA), XT_PERSON_JSON_ARENA};
    assert_non_null(arena.memory);
    unsigned line = 0, added = 0;
    for (const char *at = text, *end; at < text + size; at = end + 1) {
        struct xt_person person;
        struct xt_reject reject;
        end = memchr(at, '\n', (size_t)(text + size - at));
        assert_non_null(end);
        if (line++ % every == 0) {
            assert_int_equal(
                xt_person_from_json(xt_span_of(at, (size_t)(end - at)), arena, &person, &reject),
                XT_OK);
            needles_add_person(&person);
            added++;
        }
    }
    free(arena.memory);
    return added;
}

unsigned needles_count(void)
{
    return needle_count;
}

void needles_assert_none(const struct needles_found *found)
{
    if (found->forms_long > 0) {
        fail_msg("%llu found, such as in %s", (unsigned long long)found->forms_long, found->in);
    }
    /* Each form of four bytes comes up by chance once in 2^32 places; a leak would be thousands. */
    uint64_t by_chance = found->bytes * needle_count >> 32;
    if (found->forms_short > 20 + 3 * by_chance) {
        fail_msg("%llu short forms found where chance has %llu",
                 (unsigned long long)found->forms_short, (unsigned long long)by_chance);
    }
}
