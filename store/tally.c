#include "store/tally.h"

#define PLACES_FIRST 4096U

static struct xt_tally_line *lines_of(const struct xt_tally *tally)
{
    return (struct xt_tally_line *)(void *)tally->memory.data;
}

static struct xt_tally_line *find(struct xt_tally_line *lines, size_t places, uint64_t key)
{
    uint64_t mixed = (key + 1) * 0x9e3779b97f4a7c15ULL;
    size_t at = (size_t)(mixed ^ mixed >> 32) & (places - 1);
    while (lines[at].key_and_one != 0 && lines[at].key_and_one != key + 1) {
        at = (at + 1) & (places - 1);
    }
    return &lines[at];
}

static enum xt_status grow(struct xt_tally *tally)
{
    struct xt_tally larger = {.places = tally->places == 0 ? PLACES_FIRST : tally->places * 2,
                              .used = tally->used};
    uint8_t *place = NULL;
    enum xt_status status =
        xt_memory_extend(&larger.memory, larger.places * sizeof(struct xt_tally_line), &place);
    if (status != XT_OK) {
        return status;
    }
    for (size_t i = 0; i < tally->places; i++) { /* new memory is zero */
        const struct xt_tally_line *line = &lines_of(tally)[i];
        if (line->key_and_one != 0) {
            *find(lines_of(&larger), larger.places, line->key_and_one - 1) = *line;
        }
    }
    xt_memory_free(&tally->memory);
    *tally = larger;
    return XT_OK;
}

enum xt_status xt_tally_add(struct xt_tally *tally, uint64_t key, int64_t people)
{
    if (key == XT_STATISTICS_UNCOUNTED) {
        return XT_OK;
    }
    if (tally->used * 2 >= tally->places) {
        enum xt_status status = grow(tally);
        if (status != XT_OK) {
            return status;
        }
    }
    struct xt_tally_line *line = find(lines_of(tally), tally->places, key);
    tally->used += line->key_and_one == 0;
    line->key_and_one = key + 1;
    line->people += people;
    return XT_OK;
}

enum xt_status xt_tally_add_all(struct xt_tally *tally, const struct xt_tally *other, int64_t times)
{
    enum xt_status status = XT_OK;
    for (size_t i = 0; status == XT_OK && i < other->places; i++) {
        const struct xt_tally_line *line = xt_tally_at(other, i);
        if (line != NULL) {
            status = xt_tally_add(tally, line->key_and_one - 1, line->people * times);
        }
    }
    return status;
}

void xt_tally_free(struct xt_tally *tally)
{
    xt_memory_free(&tally->memory);
    *tally = (struct xt_tally){.places = 0};
}

int64_t xt_tally_people(const struct xt_tally *tally, uint64_t key)
{
    return tally->places == 0 ? 0 : find(lines_of(tally), tally->places, key)->people;
}

static bool holds(const struct xt_tally *a, const struct xt_tally *b)
{
    for (size_t i = 0; i < b->places; i++) {
        const struct xt_tally_line *line = xt_tally_at(b, i);
        if (line != NULL && xt_tally_people(a, line->key_and_one - 1) != line->people) {
            return false;
        }
    }
    return true;
}

bool xt_tally_is_same(const struct xt_tally *a, const struct xt_tally *b)
{
    return holds(a, b) && holds(b, a);
}

bool xt_tally_to_cube(const struct xt_tally *tally, xt_date today, uint32_t *cube)
{
    memset(cube, 0, XT_STATISTICS_CUBE_MAX * sizeof(*cube));
    for (size_t i = 0; i < tally->places; i++) {
        const struct xt_tally_line *line = xt_tally_at(tally, i);
        if (line == NULL) {
            continue;
        }
        uint32_t *people = &cube[xt_statistics_place(line->key_and_one - 1, today)];
        if (line->people < 0 || line->people > UINT32_MAX - *people) {
            return false;
        }
        *people += (uint32_t)line->people;
    }
    return true;
}
