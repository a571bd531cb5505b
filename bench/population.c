/* bench/population: cells, numbers and what a verify needs; population_more.c has the rest. */
#include "bench/population_private.h"
#include "core/province.h"

#include <stdlib.h>

#define TAILS 1000000U
#define CELLS (XT_PROVINCE_COUNT * 2U * XT_POPULATION_YEARS)
#define FIRST_YEAR (XT_POPULATION_LAST_YEAR + 1U - XT_POPULATION_YEARS)
#define UNKNOWN_FROM 500000U /* places in a cell that are never given to anybody */
#define INDEX_SLOTS 32768U

#define CMND_NUMBERS 400000000U /* 000000000-399999999, the range that was in use */
#define PHONE_PREFIXES 36U
#define PHONE_NUMBERS (PHONE_PREFIXES * 10000000U)

static const uint8_t phone_prefixes[PHONE_PREFIXES] = {
    32, 33, 34, 35, 36, 37, 38, 39, 52, 55, 56, 58, 59, 70, 76, 77, 78, 79,
    81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 96, 97, 98, 99};

/* Five-year groups from 0-4 to 80-84 and 85+, per mille. */
#define AGE_GROUPS 18U
static const uint16_t age_weights[AGE_GROUPS] = {82, 85, 76, 69, 70, 85, 85, 79, 71,
                                                 66, 60, 53, 42, 29, 17, 13, 10, 8};
static const uint16_t sex_weights[2] = {498, 502}; /* men, women, per mille */

/* Within a group years are equal; from 85 to 99 they fall off evenly (15 + 14 + ... + 1 = 120). */
static unsigned year_weight(unsigned age)
{
    return age < 85 ? age_weights[age / 5] * 24U : age_weights[AGE_GROUPS - 1] * (100U - age);
}

static unsigned cell_of(unsigned province, unsigned female, unsigned year)
{
    return ((province - 1) * 2 + female) * XT_POPULATION_YEARS + (year - FIRST_YEAR);
}

/* first[c] = count * (weight of the cells before c) / (weight of all), rounded down: every prefix of
 * the table is right to within one person. */
static void apportion(struct xt_population *population)
{
    unsigned __int128 total = 0;
    for (int pass = 0; pass < 2; pass++) {
        unsigned __int128 before = 0;
        for (unsigned cell = 0; cell < CELLS; cell++) {
            unsigned group = cell / XT_POPULATION_YEARS;
            unsigned age = XT_POPULATION_YEARS - 1 - cell % XT_POPULATION_YEARS;
            if (pass == 1) {
                population->first[cell] = (uint32_t)(before * population->count / total);
            }
            before += (uint64_t)xt_province_at(group / 2 + 1)->population * sex_weights[group % 2] *
                      year_weight(age);
        }
        total = before;
    }
    population->first[CELLS] = (uint32_t)population->count;
    for (unsigned cell = 0; cell < CELLS; cell++) {
        /* Replaced numbers use up to three times a cell's people, see replaced_number. */
        xt_require((population->first[cell + 1] - population->first[cell]) * 4 < UNKNOWN_FROM);
    }
    while ((population->count - 1) >> population->index_shift >= INDEX_SLOTS) {
        population->index_shift++;
    }
    unsigned cell = 0;
    for (uint64_t slot = 0; slot < INDEX_SLOTS; slot++) {
        while (cell + 1 < CELLS && population->first[cell + 1] <= slot << population->index_shift) {
            cell++;
        }
        population->index[slot] = (uint16_t)cell;
    }
}

enum xt_status xt_population_open(uint64_t seed, uint64_t count, struct xt_population **population)
{
    if (count == 0 || count > XT_POPULATION_MAX) {
        return XT_INVALID;
    }
    struct xt_population *opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return XT_NO_MEMORY;
    }
    opened->first = calloc(CELLS + 1, sizeof(*opened->first));
    opened->index = calloc(INDEX_SLOTS, sizeof(*opened->index));
    if (opened->first == NULL || opened->index == NULL) {
        xt_population_close(opened);
        return XT_NO_MEMORY;
    }
    opened->seed = seed;
    opened->count = count;
    for (unsigned use = 0; use < XT_USE_COUNT; use++) {
        opened->keys[use] = xt_hash(xt_mix(seed ^ XT_GOLDEN), use);
    }
    xt_permutation_init(&opened->ranks, count, opened->keys[XT_USE_RANK]);
    xt_permutation_init(&opened->tails, TAILS, opened->keys[XT_USE_TAIL]);
    xt_permutation_init(&opened->cmnds, CMND_NUMBERS, opened->keys[XT_USE_CMND]);
    xt_permutation_init(&opened->phones, PHONE_NUMBERS, opened->keys[XT_USE_PHONE]);
    xt_population_open_more(opened);
    apportion(opened);
    xt_name_samplers_fill(&opened->names);
    *population = opened;
    return XT_OK;
}

void xt_population_close(struct xt_population *population)
{
    if (population != NULL) {
        free(population->first);
        free(population->index);
        free(population);
    }
}

uint64_t xt_population_seed(const struct xt_population *population)
{
    return population->seed;
}

uint64_t xt_population_count(const struct xt_population *population)
{
    return population->count;
}

struct place {
    unsigned cell;
    uint32_t offset; /* among the cell's people */
    unsigned province, female, year;
};

static struct place place_of(const struct xt_population *population, uint64_t index)
{
    uint32_t rank = (uint32_t)xt_permutation_at(&population->ranks, 0, index);
    unsigned cell = population->index[rank >> population->index_shift];
    while (population->first[cell + 1] <= rank) {
        cell++;
    }
    unsigned group = cell / XT_POPULATION_YEARS;
    return (struct place){.cell = cell,
                          .offset = rank - population->first[cell],
                          .province = group / 2 + 1,
                          .female = group % 2,
                          .year = FIRST_YEAR + cell % XT_POPULATION_YEARS};
}

static uint32_t cell_people(const struct xt_population *population, unsigned cell)
{
    return population->first[cell + 1] - population->first[cell];
}

static uint64_t number_at(const struct xt_population *population, unsigned province,
                          unsigned female, unsigned year, uint64_t place)
{
    unsigned cell = cell_of(province, female, year);
    uint64_t tail = xt_permutation_at(&population->tails,
                                      xt_hash(population->keys[XT_USE_TAIL_CELL], cell), place);
    uint64_t century = (year - 1900) / 100;
    return (uint64_t)xt_province_at(province)->code * 1000000000U +
           (century * 2 + female) * 100000000U + (uint64_t)(year % 100) * 1000000U + tail;
}

/* Registered with the wrong sex or the wrong birth year: a number of a neighbouring cell, past that
 * cell's own people, so that nobody alive has it and no two share it:
 *   places in a cell: [its people | replaced, other sex | replaced, next year | ... | unknown] */
static uint64_t replaced_number(const struct xt_population *population, const struct place *place,
                                uint64_t hash)
{
    unsigned other = cell_of(place->province, !place->female, place->year);
    if (place->year == FIRST_YEAR || (hash & 1) == 0) {
        return number_at(population, place->province, !place->female, place->year,
                         cell_people(population, other) + place->offset);
    }
    unsigned before = cell_of(place->province, place->female, place->year - 1);
    unsigned before_other = cell_of(place->province, !place->female, place->year - 1);
    return number_at(population, place->province, place->female, place->year - 1,
                     cell_people(population, before) + cell_people(population, before_other) +
                         place->offset);
}

/* The dead stay in the register; they are older than the living. */
static enum xt_life life_of(const struct xt_population *population, uint64_t index, unsigned year)
{
    uint32_t roll = xt_scale(xt_hash(population->keys[XT_USE_LIFE], index), 10000);
    uint32_t dead = XT_POPULATION_LAST_YEAR - year < 60 ? 50 : 500;
    if (roll < dead) {
        return XT_LIFE_DECEASED;
    }
    roll -= dead;
    return roll < 10 ? XT_LIFE_MISSING : roll < 30 ? XT_LIFE_CANCELLED : XT_LIFE_ALIVE;
}

static bool has_cmnd(const struct xt_population *population, uint64_t index, unsigned year)
{
    return year <= XT_CMND_LAST_YEAR &&
           xt_chance(xt_hash(population->keys[XT_USE_CMND_HELD], index), XT_SHARE_CMND);
}

/* year: the birth year of `index`. */
static bool cmnd_is_shared(const struct xt_population *population, uint64_t index, unsigned year)
{
    uint64_t twin = index ^ 1;
    return xt_chance(xt_hash(population->keys[XT_USE_CMND_TWICE], index / 2),
                     XT_SHARE_CMND_TWICE) &&
           twin < population->count && has_cmnd(population, index, year) &&
           has_cmnd(population, twin, place_of(population, twin).year);
}

enum xt_life xt_population_life(const struct xt_population *population, uint64_t index)
{
    return life_of(population, index, place_of(population, index).year);
}

bool xt_population_has_replaced(const struct xt_population *population, uint64_t index)
{
    return xt_chance(xt_hash(population->keys[XT_USE_REPLACED], index), XT_SHARE_REPLACED);
}

bool xt_population_cmnd_is_shared(const struct xt_population *population, uint64_t index)
{
    /* The cheap half of the question first. */
    return xt_chance(xt_hash(population->keys[XT_USE_CMND_TWICE], index / 2),
                     XT_SHARE_CMND_TWICE) &&
           cmnd_is_shared(population, index, place_of(population, index).year);
}

static uint32_t phone_number(const struct xt_population *population, uint64_t slot)
{
    uint32_t at = (uint32_t)xt_permutation_at(&population->phones, 0, slot);
    return phone_prefixes[at / 10000000U] * 10000000U + at % 10000000U;
}

/* 1.2 phones per adult: none 10 %, one 60 %, two 30 %; from 14 to 17 one for 40 %. */
static unsigned phone_count(const struct xt_population *population, uint64_t index, unsigned year)
{
    uint32_t roll = xt_scale(xt_hash(population->keys[XT_USE_PHONE_COUNT], index), 100);
    unsigned age = XT_POPULATION_LAST_YEAR - year;
    if (age < 18) {
        return age >= 14 && roll < 40;
    }
    return roll < 10 ? 0 : roll < 70 ? 1 : 2;
}

static void fill_phones(const struct xt_population *population, struct xt_resident *person)
{
    uint64_t index = person->index;
    person->phone_count = phone_count(population, index, person->birth_year);
    for (unsigned i = 0; i < person->phone_count; i++) {
        person->phones[i] = phone_number(population, index * XT_RESIDENT_PHONES + i);
    }
    if (index % 2 == 1 && person->phone_count > 0 &&
        xt_chance(xt_hash(population->keys[XT_USE_PHONE_TWICE], index / 2), XT_SHARE_PHONE_TWICE) &&
        phone_count(population, index - 1, place_of(population, index - 1).year) > 0) {
        person->phones[0] = phone_number(population, (index - 1) * XT_RESIDENT_PHONES);
    }
}

/* 1 January stands for "not known better" in old records; some older people know only the year, or
 * year and month. */
static xt_date birth_date(unsigned year, struct xt_stream *stream)
{
    uint32_t roll = xt_stream_below(stream, 10000);
    uint32_t year_only = year < 1960 ? 400 : year < 1975 ? 100 : 0;
    uint32_t month_only = year < 1960 ? 100 : year < 1975 ? 30 : 0;
    uint32_t january = year < 1960 ? 1800 : year < 1975 ? 800 : year < 1990 ? 100 : 0;
    uint32_t day = xt_stream_below(stream, year % 4 == 0 ? 366 : 365);
    xt_date first = (xt_date)year << 9 | 1U << 5 | 1U;
    if (roll < year_only) {
        return (xt_date)year << 9;
    }
    roll -= year_only;
    if (roll < month_only) {
        return (xt_date)year << 9 | (1 + day % 12) << 5;
    }
    roll -= month_only;
    if (roll < january) {
        return first;
    }
    return xt_date_from_days(xt_date_to_days(first) + (int32_t)day);
}

/* A day in 2021-2025, most of them in the first campaign of 2021 and 2022. */
static int32_t card_day(struct xt_stream *stream)
{
    static const uint8_t upto[5] = {45, 70, 82, 92, 100};
    uint32_t roll = xt_stream_below(stream, 100);
    unsigned year = 0;
    while (roll >= upto[year]) {
        year++;
    }
    xt_date first = (xt_date)(2021 + year) << 9 | 1U << 5 | 1U;
    return xt_date_to_days(first) + (int32_t)xt_stream_below(stream, 365);
}

static void fill_card(struct xt_resident *person, struct xt_stream *stream)
{
    int32_t last = xt_date_to_days((xt_date)XT_POPULATION_LAST_YEAR << 9 | 12U << 5 | 31U);
    bool holds = xt_stream_chance(stream, XT_SHARE_CARD);
    int32_t issued = card_day(stream);
    uint32_t renewal = xt_stream_below(stream, 400); /* below 340: renews, up to 60 days early */
    uint32_t state = xt_stream_below(stream, 1000);
    if (!holds || person->age < 14) {
        return;
    }
    if (person->age < 20) { /* the fourteenth birthday may still have been ahead */
        xt_date birth = person->date_of_birth;
        int32_t from = xt_date_to_days(xt_date_add_years(birth, 14));
        if (issued < from) {
            issued = from + (int32_t)(renewal % 60);
        }
    }
    if (issued > last) {
        return;
    }
    person->card_issued_on = xt_date_from_days(issued);
    person->card_expires_on = xt_card_expiry(person->date_of_birth, person->card_issued_on);
    if (person->card_expires_on != XT_CARD_NO_EXPIRY && renewal < 340) {
        int32_t renewed = xt_date_to_days(person->card_expires_on) - (int32_t)(renewal % 60);
        if (renewed <= last) {
            person->card_issued_on = xt_date_from_days(renewed);
            person->card_expires_on = xt_card_expiry(person->date_of_birth, person->card_issued_on);
        }
    }
    person->card_state = state < 985   ? XT_CARD_ACTIVE
                         : state < 995 ? XT_CARD_LOST
                                       : XT_CARD_REVOKED;
}

static void fill_account(struct xt_resident *person, struct xt_stream *stream)
{
    static const uint8_t locks[4] = {XT_LOCK_HOLDER, XT_LOCK_HOLDER, XT_LOCK_BREACH,
                                     XT_LOCK_AUTHORITY};
    uint32_t roll = xt_stream_below(stream, 100);
    uint64_t lock = xt_stream_next(stream);
    if (person->age < 14) {
        return;
    }
    person->account_level = roll < 45 ? 0 : roll < 60 ? 1 : 2;
    if (person->account_level == 0) {
        return;
    }
    if (xt_chance(lock, 50)) {
        person->locks |= locks[lock & 3];
    }
    if (person->card_state == XT_CARD_REVOKED) {
        person->locks |= XT_LOCK_CARD_REVOKED;
    }
    if (person->life == XT_LIFE_DECEASED) {
        person->locks |= XT_LOCK_DEATH;
    }
}

/* Most live where their birth was registered; the others went to the big cities and their belt. */
static unsigned residence(const struct xt_resident *person, struct xt_stream *stream)
{
    uint32_t roll = xt_stream_below(stream, 100);
    uint32_t where = xt_stream_below(stream, 100);
    if (roll >= (person->age < 15 ? 8U : 21U)) {
        return person->birth_province;
    }
    return xt_province_index(where < 35 ? 79 : where < 60 ? 1 : where < 85 ? 74 : 75);
}

void xt_population_person(const struct xt_population *population, uint64_t index,
                          struct xt_resident *person)
{
    struct place place = place_of(population, index);
    struct xt_stream stream = xt_stream_of(population->keys[XT_USE_PERSON], index);
    person->index = index;
    person->birth_province = place.province;
    person->sex = place.female ? XT_SEX_FEMALE : XT_SEX_MALE;
    person->birth_year = place.year;
    person->age = XT_POPULATION_LAST_YEAR - place.year;
    person->number = number_at(population, place.province, place.female, place.year, place.offset);
    person->date_of_birth = birth_date(place.year, &stream);
    person->life = life_of(population, index, place.year);
    xt_resident_name(&population->names, person, &stream);

    person->has_cmnd = has_cmnd(population, index, place.year);
    person->cmnd_shared = person->has_cmnd && cmnd_is_shared(population, index, place.year);
    person->cmnd = 0;
    if (person->has_cmnd) {
        uint64_t holder = person->cmnd_shared ? index & ~(uint64_t)1 : index;
        person->cmnd = (uint32_t)xt_permutation_at(&population->cmnds, 0, holder);
    }
    person->has_replaced = xt_population_has_replaced(population, index);
    person->replaced =
        person->has_replaced ? replaced_number(population, &place, xt_stream_next(&stream)) : 0;
    /* From here on its own stream: the draws above are not the same number for everybody. */
    stream = xt_stream_of(population->keys[XT_USE_LIVING], index);
    person->province = residence(person, &stream);
    xt_resident_address(person, &stream);
    person->card_state = XT_CARD_NONE;
    person->card_issued_on = XT_DATE_NONE;
    person->card_expires_on = XT_DATE_NONE;
    fill_card(person, &stream);
    person->account_level = 0;
    person->locks = 0;
    fill_account(person, &stream);
    fill_phones(population, person);
}

uint64_t xt_population_unknown_number(const struct xt_population *population,
                                      const struct xt_resident *like, uint64_t which)
{
    uint64_t place = UNKNOWN_FROM + xt_scale(xt_hash(population->keys[XT_USE_UNKNOWN], which),
                                             TAILS - UNKNOWN_FROM);
    return number_at(population, like->birth_province, like->sex == XT_SEX_FEMALE, like->birth_year,
                     place);
}

uint32_t xt_population_unknown_cmnd(const struct xt_population *population, uint64_t which)
{
    uint64_t place = XT_POPULATION_MAX + xt_scale(xt_hash(population->keys[XT_USE_UNKNOWN], which),
                                                  CMND_NUMBERS - XT_POPULATION_MAX);
    return (uint32_t)xt_permutation_at(&population->cmnds, 0, place);
}

uint32_t xt_population_unknown_phone(const struct xt_population *population, uint64_t which)
{
    uint32_t used = XT_POPULATION_MAX * XT_RESIDENT_PHONES;
    uint64_t place =
        used + xt_scale(xt_hash(population->keys[XT_USE_UNKNOWN], which), PHONE_NUMBERS - used);
    return phone_number(population, place);
}
