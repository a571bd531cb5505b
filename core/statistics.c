/* Keys, a day's cube and its tables. */
#include "core/statistics.h"

#include "core/little_endian.h"

/* province 6 | year of birth from 1800 9 | sex 1 | account 2 | card 2 | month of expiry, from 1, 13 */
#define FIRST_YEAR 1800U
#define YEARS 512U
#define EXPIRY_BITS 13
#define CARD_AT EXPIRY_BITS
#define ACCOUNT_AT (CARD_AT + 2)
#define SEX_AT (ACCOUNT_AT + 2)
#define YEAR_AT (SEX_AT + 1)
#define PROVINCE_AT (YEAR_AT + 9)
#define KEY_BITS (PROVINCE_AT + 6)

#define AGE_CLASS 5 /* years */
#define STORED_VERSION 1

enum { CARD_NONE, CARD_VALID, CARD_EXPIRED, CARD_LOST, CARD_REVOKED, CARDS };
#define ACCOUNTS 3

/* Months since the first year, from 1; of a date that knows only the year its last. 0: none. */
static unsigned month_of(xt_date date)
{
    unsigned month = xt_date_month(date) == 0 ? 12 : xt_date_month(date);
    return date == XT_DATE_NONE ? 0 : (xt_date_year(date) - FIRST_YEAR) * 12 + month;
}

uint64_t xt_statistics_key(const struct xt_hot *hot)
{
    unsigned year = xt_date_year(hot->date_of_birth);
    if (hot->life != XT_LIFE_ALIVE || year < FIRST_YEAR || year >= FIRST_YEAR + YEARS) {
        return XT_STATISTICS_UNCOUNTED;
    }
    enum xt_sex sex = hot->sex != XT_SEX_UNKNOWN ? hot->sex : xt_number_facts(hot->number).sex;
    unsigned expiry = hot->card_state == XT_CARD_ACTIVE && hot->card_has_expiry
                          ? month_of(hot->card_expires_on)
                          : 0;
    uint64_t key = (uint64_t)hot->province << PROVINCE_AT;
    key |= (uint64_t)(year - FIRST_YEAR) << YEAR_AT;
    key |= (uint64_t)(sex == XT_SEX_FEMALE) << SEX_AT;
    key |= (uint64_t)hot->account_level << ACCOUNT_AT;
    key |= (uint64_t)hot->card_state << CARD_AT;
    key |= expiry;
    return xt_statistics_key_is_valid(key) ? key : XT_STATISTICS_UNCOUNTED;
}

uint64_t xt_statistics_key_of(const struct xt_person *person)
{
    struct xt_hot hot = {.number = person->number,
                         .date_of_birth = person->date_of_birth,
                         .sex = person->sex,
                         .life = person->life,
                         .province = person->address_province,
                         .card_state = person->card_state,
                         .card_expires_on = person->card_expires_on,
                         .card_has_expiry = person->card_has_expiry,
                         .account_level = person->account_level};
    return xt_statistics_key(&hot);
}

static unsigned part(uint64_t key, unsigned at, unsigned bits)
{
    return (unsigned)(key >> at) & ((1U << bits) - 1);
}

bool xt_statistics_key_is_valid(uint64_t key)
{
    return key >> KEY_BITS == 0 && part(key, ACCOUNT_AT, 2) < ACCOUNTS &&
           (part(key, CARD_AT, 2) == XT_CARD_ACTIVE || part(key, 0, EXPIRY_BITS) == 0);
}

static unsigned card_of(uint64_t key, unsigned month)
{
    unsigned expiry = part(key, 0, EXPIRY_BITS);
    switch ((enum xt_card_state)part(key, CARD_AT, 2)) {
    case XT_CARD_NONE:
        return CARD_NONE;
    case XT_CARD_ACTIVE:
        return expiry != 0 && expiry < month ? CARD_EXPIRED : CARD_VALID;
    case XT_CARD_LOST:
        return CARD_LOST;
    case XT_CARD_REVOKED:
        return CARD_REVOKED;
    }
    return CARD_NONE;
}

size_t xt_statistics_place(uint64_t key, xt_date today)
{
    unsigned year = FIRST_YEAR + part(key, YEAR_AT, 9);
    unsigned age = xt_date_year(today) > year ? (xt_date_year(today) - year) / AGE_CLASS : 0;
    size_t place = part(key, PROVINCE_AT, 6);
    xt_require(xt_statistics_key_is_valid(key));
    place = place * XT_STATISTICS_AGES + (age < XT_STATISTICS_AGES ? age : XT_STATISTICS_AGES - 1);
    place = place * 2 + part(key, SEX_AT, 1);
    place = place * CARDS + card_of(key, month_of(today));
    return place * ACCOUNTS + part(key, ACCOUNT_AT, 2);
}

/* ---- tables ----------------------------------------------------------------------------------- */

void xt_statistics_shape(struct xt_statistics_shape *shape)
{
    *shape = (struct xt_statistics_shape){
        .sizes = {XT_PROVINCE_COUNT + 1, XT_STATISTICS_AGES, 2, CARDS, ACCOUNTS},
        .units = XT_UNIT_COUNT + 1};
    for (unsigned province = 1; province <= XT_PROVINCE_COUNT; province++) {
        shape->unit_of[province] = (uint8_t)xt_province_unit(province);
    }
}

#define P XT_BY_BIT(XT_BY_PROVINCE)
#define U XT_BY_BIT(XT_BY_UNIT)
#define A XT_BY_BIT(XT_BY_AGE)
#define S XT_BY_BIT(XT_BY_SEX)
#define C XT_BY_BIT(XT_BY_CARD)
#define L XT_BY_BIT(XT_BY_ACCOUNT)
static const uint8_t offered[XT_STATISTICS_TABLES] = {
    0,     P,     U,     A,     S,     C,     L,     P | A, P | S, P | C,     P | L,     U | A,
    U | S, U | C, U | L, A | S, A | C, A | L, S | C, S | L, C | L, P | A | S, U | A | S,
};

bool xt_statistics_is_offered(unsigned by)
{
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        if (offered[i] == by) {
            return true;
        }
    }
    return false;
}

const struct xt_statistics_table *xt_statistics_table(const struct xt_statistics *statistics,
                                                      unsigned by)
{
    unsigned i = 0;
    while (i < XT_STATISTICS_TABLES && offered[i] != by) {
        i++;
    }
    xt_require(i < XT_STATISTICS_TABLES);
    return &statistics->tables[i];
}

static void lay_out(struct xt_statistics *statistics, const struct xt_statistics_shape *shape)
{
    statistics->shape = *shape;
    statistics->cells = 0;
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        struct xt_statistics_table *table = &statistics->tables[i];
        *table =
            (struct xt_statistics_table){.by = offered[i], .offset = statistics->cells, .cells = 1};
        table->dimensions = (uint8_t)((offered[i] & ~U) | ((offered[i] & U) != 0 ? P : 0));
        for (unsigned d = XT_DIMENSIONS; d-- > 0;) {
            if ((table->dimensions & XT_BY_BIT(d)) != 0) {
                table->strides[d] = table->cells;
                table->cells *=
                    d == XT_BY_PROVINCE && (offered[i] & U) != 0 ? shape->units : shape->sizes[d];
            }
        }
        statistics->cells += table->cells;
        xt_require(statistics->cells <= XT_STATISTICS_CELLS_MAX);
    }
}

/* "unknown" is no category where nobody is in it. */
static void mark_absent(struct xt_statistics *statistics)
{
    const struct xt_statistics_table *by_unit = xt_statistics_table(statistics, U);
    memset(statistics->marks, XT_CELL_TOLD, sizeof(statistics->marks));
    if (statistics->counts[by_unit->offset] != 0) {
        return;
    }
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        const struct xt_statistics_table *table = &statistics->tables[i];
        if ((table->dimensions & P) != 0) { /* the province comes first, and unknown is its first */
            memset(statistics->marks + table->offset, XT_CELL_ABSENT,
                   table->strides[XT_BY_PROVINCE]);
        }
    }
}

void xt_statistics_count(struct xt_statistics *statistics, const struct xt_statistics_shape *shape,
                         const uint32_t *cube)
{
    unsigned at[XT_DIMENSIONS] = {0};
    lay_out(statistics, shape);
    memset(statistics->counts, 0, sizeof(statistics->counts));
    for (size_t place = 0;; place++) {
        for (unsigned i = 0; cube[place] != 0 && i < XT_STATISTICS_TABLES; i++) {
            const struct xt_statistics_table *table = &statistics->tables[i];
            unsigned province =
                (table->by & U) != 0 ? shape->unit_of[at[XT_BY_PROVINCE]] : at[XT_BY_PROVINCE];
            uint32_t cell = table->offset + province * table->strides[XT_BY_PROVINCE];
            for (unsigned d = XT_BY_PROVINCE + 1; d < XT_DIMENSIONS; d++) {
                cell += at[d] * table->strides[d];
            }
            statistics->counts[cell] += cube[place];
        }
        unsigned d = XT_DIMENSIONS;
        while (d > 0 && ++at[d - 1] == shape->sizes[d - 1]) {
            at[--d] = 0;
        }
        if (d == 0) {
            break;
        }
    }
    mark_absent(statistics);
}

uint32_t xt_statistics_distance(const struct xt_statistics *a, const struct xt_statistics *b)
{
    uint32_t distance = 0;
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        uint64_t more = 0;
        uint64_t fewer = 0;
        for (uint32_t cell = a->tables[i].offset; cell < a->tables[i].offset + a->tables[i].cells;
             cell++) {
            uint32_t x = a->counts[cell];
            uint32_t y = b->counts[cell];
            more += x > y ? x - y : 0;
            fewer += y > x ? y - x : 0;
        }
        uint64_t moved = more > fewer ? more : fewer;
        distance = moved > distance ? (uint32_t)moved : distance;
    }
    return distance;
}

/* ---- stored ----------------------------------------------------------------------------------- */

void xt_statistics_encode(const struct xt_statistics *statistics, struct xt_writer *writer)
{
    uint32_t withdrawn = 0;
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        withdrawn |= (uint32_t)statistics->tables[i].withdrawn << i;
    }
    xt_put(writer, STORED_VERSION, 1);
    xt_put(writer, statistics->cells, 4);
    xt_put(writer, withdrawn, 4);
    for (uint32_t i = 0; i < statistics->cells; i++) {
        xt_put(writer, statistics->counts[i], 4);
    }
    for (uint32_t i = 0; i < statistics->cells; i += 4) {
        unsigned marks = 0;
        for (uint32_t j = i; j < i + 4 && j < statistics->cells; j++) {
            marks |= (unsigned)statistics->marks[j] << (2 * (j - i));
        }
        xt_put(writer, marks, 1);
    }
}

enum xt_status xt_statistics_decode(struct xt_span stored, struct xt_statistics *statistics)
{
    struct xt_statistics_shape shape;
    struct xt_taker taker = xt_taker_over(stored);
    xt_statistics_shape(&shape);
    lay_out(statistics, &shape);
    if (xt_take(&taker, 1) != STORED_VERSION || xt_take(&taker, 4) != statistics->cells) {
        return XT_UNSUPPORTED;
    }
    uint32_t withdrawn = (uint32_t)xt_take(&taker, 4);
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        statistics->tables[i].withdrawn = (withdrawn >> i & 1) != 0;
    }
    for (uint32_t i = 0; i < statistics->cells; i++) {
        statistics->counts[i] = (uint32_t)xt_take(&taker, 4);
    }
    bool sound = withdrawn >> XT_STATISTICS_TABLES == 0;
    for (uint32_t i = 0; i < statistics->cells; i += 4) {
        uint64_t marks = xt_take(&taker, 1);
        for (uint32_t j = i; j < i + 4 && j < statistics->cells; j++) {
            statistics->marks[j] = (uint8_t)(marks >> (2 * (j - i)) & 3);
            sound = sound && statistics->marks[j] <= XT_CELL_ABSENT;
        }
    }
    return sound && xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}
