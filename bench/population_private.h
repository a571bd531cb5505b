/* bench/population_private: what population.c, population_more.c and resident_name.c share. */
#ifndef XT_BENCH_POPULATION_PRIVATE_H
#define XT_BENCH_POPULATION_PRIVATE_H

#include "bench/names.h"
#include "bench/permutation.h"
#include "bench/population.h"
#include "bench/random.h"

/* What a key is for; each gives numbers of its own. Adding one at the end leaves the others alone. */
enum xt_use {
    XT_USE_RANK,
    XT_USE_TAIL,
    XT_USE_TAIL_CELL,
    XT_USE_PERSON,
    XT_USE_LIVING,
    XT_USE_LIFE,
    XT_USE_CMND,
    XT_USE_CMND_HELD,
    XT_USE_CMND_TWICE,
    XT_USE_PHONE,
    XT_USE_PHONE_COUNT,
    XT_USE_PHONE_TWICE,
    XT_USE_REPLACED,
    XT_USE_UNKNOWN,
    XT_USE_MORE,
    XT_USE_INSURANCE,
    XT_USE_LICENCE,
    XT_USE_VEHICLE,
    XT_USE_PASSPORT,
    XT_USE_TAX,
    XT_USE_COUNT
};

/* A share of 10,000 -> which part of a list. */
struct xt_name_sampler {
    const struct xt_name_list *list;
    uint8_t part[XT_NAME_WEIGHT_TOTAL];
};

struct xt_name_samplers { /* [0] men, [1] women */
    struct xt_name_sampler family[2], middle[2], second[2], given[2];
    struct xt_name_sampler ede_given[2], ede_clan, ethnicity;
};

struct xt_population {
    uint64_t seed, count;
    uint64_t keys[XT_USE_COUNT];
    struct xt_permutation ranks, tails, cmnds, phones;
    struct xt_permutation insurance, licences, vehicles, passports, taxes;
    uint32_t *first; /* rank of each cell's first person; one more than there are cells */
    uint16_t *index; /* rank >> index_shift -> the first cell that can hold it */
    unsigned index_shift;
    struct xt_name_samplers names;
};

void xt_population_open_more(struct xt_population *population);

void xt_name_samplers_fill(struct xt_name_samplers *samplers);

static inline const char *xt_name_sample(const struct xt_name_sampler *sampler, uint64_t hash)
{
    return sampler->list->parts[sampler->part[xt_scale(hash, XT_NAME_WEIGHT_TOTAL)]].text;
}

/* Any part of a list, all alike. */
static inline const char *xt_name_any(const struct xt_name_list *list, uint64_t hash)
{
    return list->parts[xt_scale(hash, list->count)].text;
}

/* Fills family, full_name and minority_name; needs the sex. */
void xt_resident_name(const struct xt_name_samplers *samplers, struct xt_resident *person,
                      struct xt_stream *stream);

/* Makes another name of that family (parents). */
void xt_name_compose(const struct xt_name_samplers *samplers, const char *family, bool female,
                     struct xt_stream *stream, struct xt_text *text);

/* Fills ward and address; needs the province. */
void xt_resident_address(struct xt_resident *person, struct xt_stream *stream);

void xt_text_add(struct xt_text *text, const char *more);
void xt_text_add_decimal(struct xt_text *text, uint64_t value, unsigned digits);

#endif
