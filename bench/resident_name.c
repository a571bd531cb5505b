/* bench/resident_name: names and addresses put together from the lists in names.c. */
#include "bench/population_private.h"
#include "core/province.h"

/* Lays a list out over its 10,000 shares for one sex. doubled: the weights count both sexes, so a
 * part that only one sex has comes twice as often there. */
static void fill(struct xt_name_sampler *sampler, const struct xt_name_list *list, char sex,
                 bool doubled)
{
    unsigned used = 0, rest = 0;
    sampler->list = list;
    xt_require(list->count <= UINT8_MAX + 1U);
    for (unsigned part = 0; part < list->count; part++) {
        const struct xt_name_part *entry = &list->parts[part];
        if (entry->sex != 'b' && entry->sex != sex) {
            continue;
        }
        unsigned weight = entry->weight * (doubled && entry->sex != 'b' ? 2U : 1U);
        rest += weight == 0;
        xt_require(used + weight <= XT_NAME_WEIGHT_TOTAL);
        memset(sampler->part + used, (int)part, weight);
        used += weight;
    }
    xt_require(rest > 0); /* every list has one: shares left over go somewhere */
    unsigned left = XT_NAME_WEIGHT_TOTAL - used, given = 0;
    for (unsigned part = 0; part < list->count; part++) {
        const struct xt_name_part *entry = &list->parts[part];
        if ((entry->sex == 'b' || entry->sex == sex) && entry->weight == 0) {
            unsigned from = used + left * given / rest;
            unsigned to = used + left * (given + 1) / rest;
            memset(sampler->part + from, (int)part, to - from);
            given++;
        }
    }
}

void xt_name_samplers_fill(struct xt_name_samplers *samplers)
{
    for (unsigned female = 0; female < 2; female++) {
        char sex = female ? 'f' : 'm';
        fill(&samplers->family[female], &xt_names_family, sex, true);
        fill(&samplers->middle[female], &xt_names_middle, sex, false);
        fill(&samplers->second[female], &xt_names_second, sex, false);
        fill(&samplers->given[female], &xt_names_given, sex, true);
        fill(&samplers->ede_given[female], &xt_names_ede_given, sex, false);
    }
    fill(&samplers->ede_clan, &xt_names_ede_clan, 'b', false);
    fill(&samplers->ethnicity, &xt_names_ethnicity, 'b', false);
}

void xt_text_add(struct xt_text *text, const char *more)
{
    size_t size = strlen(more);
    xt_require(size <= sizeof(text->data) - text->size);
    memcpy(text->data + text->size, more, size);
    text->size = (uint8_t)(text->size + size);
}

void xt_text_add_decimal(struct xt_text *text, uint64_t value, unsigned digits)
{
    char reversed[20];
    unsigned size = 0;
    while (value > 0 || size < digits || size == 0) {
        reversed[size++] = (char)('0' + value % 10);
        value /= 10;
    }
    xt_require(size <= sizeof(text->data) - text->size);
    while (size > 0) {
        text->data[text->size++] = reversed[--size];
    }
}

static bool is_ede(const char *family)
{
    return strcmp(family, "Y") == 0 || strcmp(family, "H'") == 0;
}

/* H' Hen Niê, H'Hen Niê, Y Bhăm Niê Kđăm. */
static void compose_ede(const struct xt_name_samplers *samplers, const char *family, bool female,
                        struct xt_stream *stream, struct xt_text *text)
{
    uint64_t given = xt_stream_next(stream), clan = xt_stream_next(stream);
    xt_text_add(text, family);
    if (!female || (given & 1) == 0) {
        xt_text_add(text, " ");
    }
    xt_text_add(text, xt_name_sample(&samplers->ede_given[female], given));
    xt_text_add(text, " ");
    xt_text_add(text, xt_name_sample(&samplers->ede_clan, clan));
}

/* Draws until the part differs from both others; lists are long, so seldom more than once. */
static const char *sample_other(const struct xt_name_sampler *sampler, struct xt_stream *stream,
                                const char *one, const char *other)
{
    const char *part;
    do {
        part = xt_name_sample(sampler, xt_stream_next(stream));
    } while (strcmp(part, one) == 0 || strcmp(part, other) == 0);
    return part;
}

void xt_name_compose(const struct xt_name_samplers *samplers, const char *family, bool female,
                     struct xt_stream *stream, struct xt_text *text)
{
    text->size = 0;
    if (is_ede(family)) {
        compose_ede(samplers, family, female, stream, text);
        return;
    }
    uint32_t roll = xt_stream_below(stream, 100); /* 2 tokens 4 %, 3 tokens 69 %, 4 tokens 27 % */
    const char *middle = family, *second = "";
    xt_text_add(text, family);
    if (roll >= 4) {
        middle = xt_name_sample(&samplers->middle[female], xt_stream_next(stream));
        xt_text_add(text, " ");
        xt_text_add(text, middle);
    }
    if (roll >= 73) {
        second = sample_other(&samplers->second[female], stream, middle, family);
        xt_text_add(text, " ");
        xt_text_add(text, second);
    }
    xt_text_add(text, " ");
    xt_text_add(text, sample_other(&samplers->given[female], stream, middle, second));
}

void xt_resident_name(const struct xt_name_samplers *samplers, struct xt_resident *person,
                      struct xt_stream *stream)
{
    bool female = person->sex == XT_SEX_FEMALE;
    person->family = xt_name_sample(&samplers->family[female], xt_stream_next(stream));
    person->minority_name = is_ede(person->family);
    xt_name_compose(samplers, person->family, female, stream, &person->full_name);
}

/* Four in ten in a street, the others in a village. Ward codes are plausible, not the official list. */
void xt_resident_address(struct xt_resident *person, struct xt_stream *stream)
{
    uint64_t kind = xt_stream_next(stream), name = xt_stream_next(stream);
    unsigned code = xt_province_at(person->province)->code;
    person->ward = code * 333 + xt_scale(kind, 250);
    person->address.size = 0;
    if (kind % 10 < 4) {
        xt_text_add(&person->address, "Số ");
        xt_text_add_decimal(&person->address, 1 + name % 400, 1);
        xt_text_add(&person->address, " ");
        xt_text_add(&person->address, xt_name_any(&xt_names_street, name));
    } else {
        xt_text_add(&person->address, "Thôn ");
        xt_text_add_decimal(&person->address, 1 + name % 12, 1);
        xt_text_add(&person->address, " xã ");
        xt_text_add(&person->address, xt_name_any(&xt_names_commune, name));
    }
}
