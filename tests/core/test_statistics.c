/* Which counts are told. What an attacker can learn is tried from three sides: with the moves that the
 * program says keep each small cell safe (integers, an exact proof, made here again from the cube), with linear
 * algebra over everything that is told, and with bounds that are narrowed until nothing changes. */
#include "core/statistics.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

#define CUBE_SMALL 400 /* places of the cubes of tests */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 16) % below);
}

static size_t places_of(const struct xt_statistics_shape *shape)
{
    size_t places = 1;
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        places *= shape->sizes[d];
    }
    return places;
}

/* ---- moves ------------------------------------------------------------------------------------ */

struct watch {
    const struct xt_statistics_shape *shape;
    const uint32_t *cube;
    size_t places;
    uint8_t low[XT_STATISTICS_CELLS_MAX],
        high[XT_STATISTICS_CELLS_MAX]; /* seen safe from below, above */
    unsigned count;
    struct {
        uint32_t cell;
        unsigned count;
        struct xt_statistics_move moves[2 * XT_STATISTICS_SMALLEST];
    } seen[4000];
};

static void note(void *context, uint32_t cell, const struct xt_statistics_move *moves,
                 unsigned count)
{
    struct watch *watch = context;
    assert_true(watch->count < 4000 && count <= 2 * XT_STATISTICS_SMALLEST);
    watch->seen[watch->count].cell = cell;
    watch->seen[watch->count].count = count;
    memcpy(watch->seen[watch->count++].moves, moves, count * sizeof(*moves));
}

static void apply(const struct xt_statistics_shape *shape, const struct xt_statistics_move *move,
                  int64_t *cube)
{
    for (unsigned set = 0; set < 1U << XT_DIMENSIONS; set++) {
        if ((set & ~(unsigned)move->flips) != 0) {
            continue;
        }
        size_t place = 0;
        for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
            place = place * shape->sizes[d] +
                    ((set & XT_BY_BIT(d)) != 0 ? move->other[d] : move->at[d]);
        }
        cube[place] += __builtin_popcount(set) % 2 == 0 ? move->people : -move->people;
    }
}

/* The register that one side of the moves makes: nobody less than none, and all that is told as it was. */
static uint32_t other_register(const struct watch *watch, const struct xt_statistics *told,
                               unsigned which, bool up)
{
    int64_t *people = calloc(watch->places, sizeof(*people));
    uint32_t *cube = calloc(watch->places, sizeof(*cube));
    struct xt_statistics *other = calloc(1, sizeof(*other));
    assert_true(people != NULL && cube != NULL && other != NULL);
    for (size_t i = 0; i < watch->places; i++) {
        people[i] = watch->cube[i];
    }
    for (unsigned i = 0; i < watch->seen[which].count; i++) {
        const struct xt_statistics_move *move = &watch->seen[which].moves[i];
        if ((move->people > 0) == up) {
            apply(watch->shape, move, people);
        }
    }
    for (size_t i = 0; i < watch->places; i++) {
        assert_true(people[i] >= 0);
        cube[i] = (uint32_t)people[i];
    }
    xt_statistics_count(other, watch->shape, cube);
    for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
        const struct xt_statistics_table *table = &told->tables[t];
        for (uint32_t c = table->offset; !table->withdrawn && c < table->offset + table->cells;
             c++) {
            if (told->marks[c] != XT_CELL_HIDDEN) {
                assert_int_equal(other->counts[c], told->counts[c]);
            }
        }
    }
    uint32_t result = other->counts[watch->seen[which].cell];
    free(other);
    free(cube);
    free(people);
    return result;
}

/* Gives how many small cells there are in tables that are told. */
static unsigned assert_safe(struct watch *watch, const struct xt_statistics *told)
{
    unsigned small = 0;
    memset(watch->low, 0, sizeof(watch->low));
    memset(watch->high, 0, sizeof(watch->high));
    for (unsigned i = 0; i < watch->count; i++) {
        uint32_t cell = watch->seen[i].cell;
        watch->low[cell] |= other_register(watch, told, i, false) == 0;
        watch->high[cell] |=
            other_register(watch, told, i, true) == told->counts[cell] + XT_STATISTICS_SMALLEST;
    }
    for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
        const struct xt_statistics_table *table = &told->tables[t];
        for (uint32_t c = table->offset; !table->withdrawn && c < table->offset + table->cells;
             c++) {
            if (told->counts[c] < XT_STATISTICS_SMALLEST && told->marks[c] != XT_CELL_ABSENT) {
                assert_int_equal(told->marks[c], XT_CELL_HIDDEN);
                assert_true(watch->low[c] && watch->high[c]);
                small++;
            }
        }
    }
    return small;
}

/* ---- linear algebra --------------------------------------------------------------------------- */

#define PRIME 2147483629ULL

static uint64_t power(uint64_t base, uint64_t exponent)
{
    uint64_t result = 1;
    for (; exponent > 0; exponent >>= 1, base = base * base % PRIME) {
        result = (exponent & 1) != 0 ? result * base % PRIME : result;
    }
    return result;
}

struct algebra {
    size_t places;
    uint64_t rows[CUBE_SMALL][CUBE_SMALL]; /* by the place of the first that is not 0 */
    bool used[CUBE_SMALL];
};

/* Takes a row down to what the others do not say. true: nothing is left. keep: it joins them. */
static bool reduce(struct algebra *algebra, uint64_t *row, bool keep)
{
    for (size_t i = 0; i < algebra->places; i++) {
        if (row[i] == 0) {
            continue;
        }
        if (!algebra->used[i]) {
            uint64_t inverse = power(row[i], PRIME - 2);
            for (size_t j = i; keep && j < algebra->places; j++) {
                algebra->rows[i][j] = row[j] * inverse % PRIME;
            }
            algebra->used[i] = keep;
            return false;
        }
        uint64_t factor = row[i];
        for (size_t j = i; j < algebra->places; j++) {
            row[j] = (row[j] + (PRIME - factor) * algebra->rows[i][j]) % PRIME;
        }
    }
    return true;
}

/* Which places of the cube a cell is the sum of. */
static void row_of(const struct xt_statistics *statistics, const struct xt_statistics_table *table,
                   uint32_t cell, size_t places, uint64_t *row)
{
    const struct xt_statistics_shape *shape = &statistics->shape;
    for (size_t place = 0; place < places; place++) {
        uint32_t at = table->offset;
        size_t rest = place;
        for (unsigned d = XT_DIMENSIONS; d-- > 0;) {
            unsigned value = (unsigned)(rest % shape->sizes[d]);
            rest /= shape->sizes[d];
            bool unit = d == XT_BY_PROVINCE && (table->by & XT_BY_BIT(XT_BY_UNIT)) != 0;
            at += (unit ? shape->unit_of[value] : value) * table->strides[d];
        }
        row[place] = at == cell;
    }
}

/* How many small cells are a combination of cells that are told. */
static unsigned solved(const struct xt_statistics *told, size_t places)
{
    struct algebra *algebra = calloc(1, sizeof(*algebra));
    unsigned found = 0;
    assert_non_null(algebra);
    algebra->places = places;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
            const struct xt_statistics_table *table = &told->tables[t];
            for (uint32_t c = table->offset; !table->withdrawn && c < table->offset + table->cells;
                 c++) {
                uint64_t row[CUBE_SMALL];
                bool small = told->counts[c] < XT_STATISTICS_SMALLEST;
                if (pass == 0 ? told->marks[c] == XT_CELL_HIDDEN
                              : !small || told->marks[c] == XT_CELL_ABSENT) {
                    continue;
                }
                row_of(told, table, c, places, row);
                found += reduce(algebra, row, pass == 0) && pass == 1;
            }
        }
    }
    free(algebra);
    return found;
}

/* ---- bounds ----------------------------------------------------------------------------------- */

struct bounds {
    int64_t low[XT_STATISTICS_CELLS_MAX], high[XT_STATISTICS_CELLS_MAX];
};

/* One cell and those of a finer table that it is the sum of: each is what the others leave. */
static bool narrow(struct bounds *bounds, uint32_t whole, const uint32_t *parts, unsigned count)
{
    bool changed = false;
    int64_t low = 0;
    int64_t high = 0;
    for (unsigned i = 0; i < count; i++) {
        low += bounds->low[parts[i]];
        high += bounds->high[parts[i]];
    }
    for (unsigned i = 0; i < count; i++) {
        int64_t *l = &bounds->low[parts[i]];
        int64_t *h = &bounds->high[parts[i]];
        int64_t least = bounds->low[whole] - (high - *h);
        int64_t most = bounds->high[whole] - (low - *l);
        changed = changed || least > *l || most < *h;
        int64_t new_l = least > *l ? least : *l;
        int64_t new_h = most < *h ? most : *h;
        low += new_l - *l;
        high += new_h - *h;
        *l = new_l;
        *h = new_h;
    }
    if (low > bounds->low[whole]) {
        bounds->low[whole] = low;
        changed = true;
    }
    if (high < bounds->high[whole]) {
        bounds->high[whole] = high;
        changed = true;
    }
    return changed;
}

/* The cells of a finer table that make up a cell of a coarser one; 0: it is no finer one. */
static unsigned parts_of(const struct xt_statistics *told, const struct xt_statistics_table *coarse,
                         uint32_t cell, const struct xt_statistics_table *fine, uint32_t *parts)
{
    unsigned unit = XT_BY_BIT(XT_BY_UNIT);
    unsigned province = XT_BY_BIT(XT_BY_PROVINCE);
    unsigned count = 0;
    bool coarser = (coarse->dimensions & ~(unsigned)fine->dimensions) == 0 && coarse != fine &&
                   !((fine->by & unit) != 0 && (coarse->by & province) != 0);
    if (!coarser) {
        return 0;
    }
    for (uint32_t c = fine->offset; c < fine->offset + fine->cells; c++) {
        uint32_t rest = c - fine->offset;
        uint32_t at = coarse->offset;
        for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
            if (fine->strides[d] != 0) {
                uint32_t value = rest / fine->strides[d];
                rest %= fine->strides[d];
                bool to_unit =
                    d == XT_BY_PROVINCE && (coarse->by & unit) != 0 && (fine->by & province) != 0;
                at += (to_unit ? told->shape.unit_of[value] : value) * coarse->strides[d];
            }
        }
        if (at == cell) {
            parts[count++] = c;
        }
    }
    return count;
}

/* How many small cells are known to within less than XT_STATISTICS_SMALLEST. */
static unsigned pinned(const struct xt_statistics *told)
{
    struct bounds *bounds = calloc(1, sizeof(*bounds));
    unsigned found = 0;
    bool changed = true;
    assert_non_null(bounds);
    for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
        const struct xt_statistics_table *table = &told->tables[t];
        for (uint32_t c = table->offset; c < table->offset + table->cells; c++) {
            bool known = !table->withdrawn && told->marks[c] != XT_CELL_HIDDEN;
            bounds->low[c] = known ? told->counts[c] : 0;
            bounds->high[c] = known ? told->counts[c] : 1 << 20;
        }
    }
    for (unsigned round = 0; changed && round < 50; round++) {
        changed = false;
        for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
            const struct xt_statistics_table *coarse = &told->tables[i];
            for (unsigned j = 0; j < XT_STATISTICS_TABLES; j++) {
                for (uint32_t c = coarse->offset; c < coarse->offset + coarse->cells; c++) {
                    uint32_t parts[CUBE_SMALL];
                    unsigned count = parts_of(told, coarse, c, &told->tables[j], parts);
                    changed = (count > 0 && narrow(bounds, c, parts, count)) || changed;
                }
            }
        }
    }
    for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
        const struct xt_statistics_table *table = &told->tables[t];
        for (uint32_t c = table->offset; !table->withdrawn && c < table->offset + table->cells;
             c++) {
            bool small = told->counts[c] < XT_STATISTICS_SMALLEST;
            if (small && told->marks[c] != XT_CELL_ABSENT) {
                assert_true(bounds->low[c] <= told->counts[c] &&
                            bounds->high[c] >= told->counts[c]);
                found += bounds->high[c] - bounds->low[c] < XT_STATISTICS_SMALLEST;
            }
        }
    }
    free(bounds);
    return found;
}

/* ---- cubes ------------------------------------------------------------------------------------ */

static void random_shape(struct xt_statistics_shape *shape)
{
    *shape = (struct xt_statistics_shape){
        .sizes = {3 + draw(3), 2 + draw(3), 2, 2 + draw(2), 1 + draw(2)}};
    for (unsigned province = 1; province < shape->sizes[0]; province++) {
        shape->unit_of[province] = (uint8_t)(1 + draw(2));
    }
    shape->unit_of[1] = 1;
    shape->unit_of[2] = 2;
    shape->units = 3;
}

/* Few small places or many, values with few people, and nobody of unknown province or some. */
static void random_cube(const struct xt_statistics_shape *shape, uint32_t *cube)
{
    size_t places = places_of(shape);
    size_t of_province = places / shape->sizes[0];
    uint32_t small = draw(100);
    uint32_t large = 1 + draw(draw(2) == 0 ? 40 : 4000);
    bool unknown = draw(2) == 0;
    unsigned rare = draw(shape->sizes[XT_BY_CARD]);
    for (size_t i = 0; i < places; i++) {
        bool of_rare = i / shape->sizes[XT_BY_ACCOUNT] % shape->sizes[XT_BY_CARD] == rare;
        cube[i] = draw(100) < small ? draw(4) : draw(large);
        cube[i] = of_rare ? cube[i] / 64 : cube[i];
        cube[i] = i < of_province && !unknown ? 0 : cube[i];
    }
}

static void no_small_cell_can_be_learned(void **state)
{
    (void)state;
    struct xt_statistics *told = calloc(1, sizeof(*told));
    struct xt_statistics_work *work = calloc(1, sizeof(*work));
    struct watch *watch = calloc(1, sizeof(*watch));
    unsigned small = 0;
    unsigned whole = 0;
    unsigned exposed = 0;
    assert_true(told != NULL && work != NULL && watch != NULL);
    seed = 0x9e3779b97f4a7c15ULL;
    for (unsigned round = 0; round < 300; round++) {
        struct xt_statistics_shape shape;
        uint32_t cube[CUBE_SMALL];
        random_shape(&shape);
        random_cube(&shape, cube);
        *watch = (struct watch){.shape = &shape, .cube = cube, .places = places_of(&shape)};
        xt_statistics_publish(told, &shape, cube, NULL, work, note, watch);
        /* Of levels that were given up since, the moves say nothing: only the last try counts. */
        xt_statistics_publish(told, &shape, cube, NULL, work, NULL, NULL);
        unsigned safe = 0;
        for (unsigned i = 0; i < watch->count; i++) {
            bool again = false;
            for (unsigned j = i + 1; j < watch->count; j++) {
                again = again || watch->seen[j].cell == watch->seen[i].cell;
            }
            bool gone = false;
            for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
                const struct xt_statistics_table *table = &told->tables[t];
                gone = gone || (table->withdrawn && watch->seen[i].cell >= table->offset &&
                                watch->seen[i].cell < table->offset + table->cells);
            }
            if (!again && !gone) {
                watch->seen[safe++] = watch->seen[i];
            }
        }
        watch->count = safe;
        small += assert_safe(watch, told);
        assert_int_equal(solved(told, watch->places), 0);
        assert_int_equal(pinned(told), 0);
        whole += !told->tables[XT_STATISTICS_TABLES - 1].withdrawn;

        /* The attackers can do it: with only the small ones hidden they find some. */
        for (uint32_t c = 0; c < told->cells; c++) {
            told->marks[c] =
                told->marks[c] == XT_CELL_HIDDEN && told->counts[c] >= XT_STATISTICS_SMALLEST
                    ? XT_CELL_TOLD
                    : told->marks[c];
        }
        exposed += solved(told, watch->places) > 0 && pinned(told) > 0;
    }
    assert_true(small > 1000 && whole > 30 && exposed > 30);
    free(watch);
    free(work);
    free(told);
}

/* ---- the register's shape --------------------------------------------------------------------- */

/* As many people as there are in so large a country, by what is usual: rare things are rare. */
static void populate(uint32_t *cube, const struct xt_statistics_shape *shape, double people)
{
    static const unsigned ages[XT_STATISTICS_AGES] = {82, 85, 76, 69, 70, 85, 85, 79, 71,
                                                      66, 60, 53, 42, 29, 17, 13, 10, 8};
    static const unsigned cards[] = {1500, 8000, 400, 80, 20};
    static const unsigned children[] = {10000, 0, 0, 0, 0};
    size_t place = 0;
    for (unsigned p = 0; p < shape->sizes[0]; p++) {
        double of_province =
            p == 0 ? 0 : people * (double)xt_province_at(p)->population / 96208984.0;
        for (unsigned a = 0; a < shape->sizes[1]; a++) {
            for (unsigned rest = 0; rest < 30; rest++, place++) {
                unsigned card = rest / 3 % 5;
                unsigned account = rest % 3;
                double share = (a < 3 ? children : cards)[card] / 10000.0 *
                               (a < 3          ? account == 0
                                : account == 2 ? 0.5
                                               : 0.25);
                double expected = of_province * ages[a] / 1000.0 * 0.5 * share;
                cube[place] = (uint32_t)expected;
                cube[place] += (double)draw(1000) / 1000.0 < expected - (double)cube[place];
            }
        }
    }
}

static void a_large_country_is_told_nearly_all(void **state)
{
    (void)state;
    struct xt_statistics *told = calloc(1, sizeof(*told));
    struct xt_statistics *again = calloc(1, sizeof(*again));
    struct xt_statistics_work *work = calloc(1, sizeof(*work));
    struct watch *watch = calloc(1, sizeof(*watch));
    uint32_t *cube = calloc(XT_STATISTICS_CUBE_MAX, sizeof(*cube));
    struct xt_statistics_shape shape;
    assert_true(told != NULL && again != NULL && work != NULL && watch != NULL && cube != NULL);
    xt_statistics_shape(&shape);
    assert_int_equal(places_of(&shape), XT_STATISTICS_CUBE_MAX);
    seed = 1;
    populate(cube, &shape, 100e6);
    *watch = (struct watch){.shape = &shape, .cube = cube, .places = places_of(&shape)};
    xt_statistics_publish(told, &shape, cube, NULL, work, note, watch);
    unsigned small = assert_safe(watch, told);
    unsigned hidden = 0;
    for (uint32_t c = 0; c < told->cells; c++) {
        hidden += told->marks[c] == XT_CELL_HIDDEN;
    }
    assert_true(small > 0 && hidden < told->cells / 5);
    for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
        assert_false(told->tables[t].withdrawn);
    }
    const struct xt_statistics_table *ages =
        xt_statistics_table(told, XT_BY_BIT(XT_BY_PROVINCE) | XT_BY_BIT(XT_BY_AGE));
    for (uint32_t c = ages->offset + ages->strides[0]; c < ages->offset + ages->cells; c++) {
        assert_int_equal(told->marks[c], XT_CELL_TOLD);
    }
    assert_false(xt_statistics_has_unknown(told));

    /* Ten people more, and no other cells are hidden. */
    cube[XT_STATISTICS_CUBE_MAX / 2 + 4] += 10;
    xt_statistics_publish(again, &shape, cube, told, work, NULL, NULL);
    assert_int_equal(xt_statistics_distance(told, again), 10);
    for (uint32_t c = 0; c < told->cells; c++) {
        assert_true(again->marks[c] <= told->marks[c]);
    }

    free(cube);
    free(watch);
    free(work);
    free(again);
    free(told);
}

/* A cell that was hidden for few people is told again when it has many, not when it has one more. */
static void a_hidden_cell_stays_so_until_it_is_clear(void **state)
{
    (void)state;
    struct xt_statistics *last = calloc(1, sizeof(*last));
    struct xt_statistics *told = calloc(1, sizeof(*told));
    struct xt_statistics_work *work = calloc(1, sizeof(*work));
    struct xt_statistics_shape shape = {.sizes = {3, 3, 2, 2, 1}, .unit_of = {0, 1, 2}, .units = 3};
    uint32_t cube[CUBE_SMALL];
    assert_true(last != NULL && told != NULL && work != NULL);
    for (size_t i = 0; i < places_of(&shape); i++) {
        cube[i] = i < places_of(&shape) / 3 ? 0 : 500;
    }
    size_t place =
        places_of(&shape) / 3 + 1; /* province 1, the first age and sex, the second card */
    unsigned by = XT_BY_BIT(XT_BY_PROVINCE) | XT_BY_BIT(XT_BY_CARD);
    for (size_t i = places_of(&shape) / 3; i < places_of(&shape) * 2 / 3; i += 2) {
        cube[i + 1] = 0;
    }
    cube[place] = XT_STATISTICS_SMALLEST - 1;
    xt_statistics_publish(last, &shape, cube, NULL, work, NULL, NULL);
    const struct xt_statistics_table *table = xt_statistics_table(last, by);
    uint32_t cell = table->offset + table->strides[XT_BY_PROVINCE] + 1;
    assert_false(table->withdrawn);
    for (uint32_t people = XT_STATISTICS_SMALLEST - 1; people <= XT_STATISTICS_CLEAR; people++) {
        cube[place] = people;
        xt_statistics_publish(told, &shape, cube, last, work, NULL, NULL);
        assert_int_equal(told->counts[cell], people);
        bool hidden = people < XT_STATISTICS_CLEAR;
        assert_int_equal(told->marks[cell], hidden ? XT_CELL_HIDDEN : XT_CELL_TOLD);
        assert_int_equal(told->marks[cell - 1], hidden ? XT_CELL_HIDDEN : XT_CELL_TOLD);
        struct xt_statistics *other = last;
        last = told;
        told = other;
    }
    cube[place] = XT_STATISTICS_SMALLEST; /* and it was told: so it is until it is small */
    xt_statistics_publish(told, &shape, cube, last, work, NULL, NULL);
    assert_int_equal(told->marks[cell], XT_CELL_TOLD);
    free(work);
    free(told);
    free(last);
}

static void fewer_people_are_told_less(void **state)
{
    (void)state;
    struct xt_statistics *told = calloc(1, sizeof(*told));
    struct xt_statistics_work *work = calloc(1, sizeof(*work));
    uint32_t *cube = calloc(XT_STATISTICS_CUBE_MAX, sizeof(*cube));
    struct xt_statistics_shape shape;
    unsigned before = XT_STATISTICS_TABLES;
    assert_true(told != NULL && work != NULL && cube != NULL);
    xt_statistics_shape(&shape);
    seed = 2;
    static const double sizes[] = {1e6, 1e5, 1e4, 1e3, 1e2};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        populate(cube, &shape, sizes[i]);
        xt_statistics_publish(told, &shape, cube, NULL, work, NULL, NULL);
        unsigned left = 0;
        for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
            left += !told->tables[t].withdrawn;
        }
        assert_true(left <= before);
        before = left;
        if (sizes[i] == 1e6) {
            assert_true(left > 15);
        }
    }
    memset(cube, 0, XT_STATISTICS_CUBE_MAX * sizeof(*cube));
    cube[0] = 6;
    cube[700] = 4;
    xt_statistics_publish(told, &shape, cube, NULL, work, NULL, NULL);
    assert_int_equal(told->marks[0], XT_CELL_TOLD);
    for (uint32_t c = 1; c < told->cells; c++) {
        assert_true(told->marks[c] != XT_CELL_TOLD);
    }
    cube[0] = 5;
    xt_statistics_publish(told, &shape, cube, NULL, work, NULL, NULL);
    assert_true(told->tables[0].withdrawn && told->marks[0] == XT_CELL_HIDDEN);
    free(cube);
    free(work);
    free(told);
}

/* ---- people ----------------------------------------------------------------------------------- */

static xt_date day(unsigned year, unsigned month, unsigned of_month)
{
    xt_date date = XT_DATE_NONE;
    assert_int_equal(xt_date_make(year, month, of_month, &date), XT_OK);
    return date;
}

struct where {
    unsigned province, age, sex, card, account;
};

static struct where where(const struct xt_hot *hot, xt_date today)
{
    uint64_t key = xt_statistics_key(hot);
    assert_true(xt_statistics_key_is_valid(key));
    size_t place = xt_statistics_place(key, today);
    struct where where = {.account = (unsigned)(place % 3), .card = (unsigned)(place / 3 % 5)};
    where.sex = (unsigned)(place / 15 % 2);
    where.age = (unsigned)(place / 30 % XT_STATISTICS_AGES);
    where.province = (unsigned)(place / 30 / XT_STATISTICS_AGES);
    return where;
}

static void only_the_living_with_a_number_in_force_count(void **state)
{
    (void)state;
    struct xt_hot hot = {.number = 1099012345, .date_of_birth = day(1999, 1, 25)};
    assert_true(xt_statistics_key(&hot) != XT_STATISTICS_UNCOUNTED);
    static const enum xt_life others[] = {XT_LIFE_DECEASED, XT_LIFE_MISSING, XT_LIFE_CANCELLED};
    for (unsigned i = 0; i < 3; i++) {
        hot.life = others[i];
        assert_true(xt_statistics_key(&hot) == XT_STATISTICS_UNCOUNTED);
    }
}

static void people_stand_where_the_contract_says(void **state)
{
    (void)state;
    struct xt_hot hot = {.number = 1199012345, .date_of_birth = day(2001, 12, 31), .province = 63};
    assert_int_equal(where(&hot, day(2026, 1, 1)).age, 5); /* 25 in that year */
    assert_int_equal(where(&hot, day(2025, 12, 31)).age, 4);
    assert_int_equal(where(&hot, day(1990, 1, 1)).age, 0);
    assert_int_equal(where(&hot, day(2026, 1, 1)).province, 63);
    assert_int_equal(where(&hot, day(2026, 1, 1)).sex, 1); /* the number says so */
    hot.sex = XT_SEX_MALE;
    assert_int_equal(where(&hot, day(2026, 1, 1)).sex, 0);
    hot.date_of_birth = day(1900, 0, 0);
    assert_int_equal(where(&hot, day(2026, 1, 1)).age, XT_STATISTICS_AGES - 1);
    assert_int_equal(where(&hot, day(2026, 1, 1)).card, 0);
    hot.account_level = 2;
    hot.card_state = XT_CARD_ACTIVE;
    assert_int_equal(where(&hot, day(2026, 1, 1)).card, 1);
    assert_int_equal(where(&hot, day(2026, 1, 1)).account, 2);
    hot.card_has_expiry = true;
    hot.card_expires_on = day(2026, 3, 5);
    assert_int_equal(where(&hot, day(2026, 3, 31)).card, 1);
    assert_int_equal(where(&hot, day(2026, 4, 1)).card, 2);
    hot.card_expires_on = day(2026, 0, 0);
    assert_int_equal(where(&hot, day(2026, 12, 31)).card, 1);
    assert_int_equal(where(&hot, day(2027, 1, 1)).card, 2);
    hot.card_state = XT_CARD_LOST;
    assert_int_equal(where(&hot, day(2027, 1, 1)).card, 3);
    hot.card_state = XT_CARD_REVOKED;
    assert_int_equal(where(&hot, day(2027, 1, 1)).card, 4);
    assert_false(xt_statistics_key_is_valid(1ULL << 33));
    assert_false(xt_statistics_key_is_valid(3ULL << 15)); /* a fourth level */
    assert_false(xt_statistics_key_is_valid(5));          /* no card, and it expires */
}

/* ---- asked, told, stored ----------------------------------------------------------------------- */

static enum xt_status parse(const char *text, unsigned *by)
{
    return xt_statistics_by_parse(xt_span_of_string(text), by);
}

static void questions_are_sets_of_names(void **state)
{
    (void)state;
    unsigned by = 1;
    unsigned other = 1;
    assert_int_equal(parse("", &by), XT_OK);
    assert_int_equal(by, 0);
    assert_int_equal(parse("province,sex", &by), XT_OK);
    assert_int_equal(parse("sex,province", &other), XT_OK);
    assert_int_equal(by, other);
    assert_int_equal(parse("unit,age,sex", &by), XT_OK);
    static const char *const wrong[] = {"sex,sex", ",",     "sex,",      ",sex", "Sex", "sex, age",
                                        "name",    "sexes", "sex%2cage", "se",   " "};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(parse(wrong[i], &by), XT_INVALID);
    }
    assert_int_equal(parse("province,unit", &by), XT_DENIED);
    assert_int_equal(parse("age,sex,card", &by), XT_DENIED);
    assert_int_equal(parse("province,age,sex,card,account", &by), XT_DENIED);
}

static void every_table_fits_and_is_stored_whole(void **state)
{
    (void)state;
    struct xt_statistics *told = calloc(1, sizeof(*told));
    struct xt_statistics *read = calloc(1, sizeof(*read));
    struct xt_statistics_work *work = calloc(1, sizeof(*work));
    uint32_t *cube = calloc(XT_STATISTICS_CUBE_MAX, sizeof(*cube));
    uint8_t *text = malloc(XT_STATISTICS_JSON_MAX);
    uint8_t stored[XT_STATISTICS_STORED_MAX];
    struct xt_statistics_shape shape;
    assert_true(told != NULL && read != NULL && work != NULL && cube != NULL && text != NULL);
    xt_statistics_shape(&shape);
    for (size_t i = 0; i < XT_STATISTICS_CUBE_MAX; i++) {
        cube[i] = 100000; /* 3.4 G people: no number has more digits */
    }
    xt_statistics_publish(told, &shape, cube, NULL, work, NULL, NULL);
    for (unsigned t = 0; t < XT_STATISTICS_TABLES; t++) {
        struct xt_writer writer = xt_writer_over(text, XT_STATISTICS_JSON_MAX);
        xt_statistics_to_json(told, told->tables[t].by, day(2026, 11, 22), &writer);
        assert_false(writer.overflow);
    }
    struct xt_writer writer = xt_writer_over(stored, sizeof(stored));
    told->tables[3].withdrawn = true;
    told->marks[7] = XT_CELL_HIDDEN;
    xt_statistics_encode(told, &writer);
    assert_false(writer.overflow);
    assert_int_equal(xt_statistics_decode(xt_written(&writer), read), XT_OK);
    assert_memory_equal(told, read, sizeof(*told));
    assert_int_equal(xt_statistics_decode(xt_span_of(stored, writer.size - 1), read), XT_CORRUPT);
    stored[writer.size - 1] |= 3;
    assert_int_equal(xt_statistics_decode(xt_written(&writer), read), XT_CORRUPT);
    stored[0] = 9;
    assert_int_equal(xt_statistics_decode(xt_written(&writer), read), XT_UNSUPPORTED);
    free(text);
    free(cube);
    free(work);
    free(read);
    free(told);
}

static void hidden_cells_are_null_and_withdrawn_tables_too(void **state)
{
    (void)state;
    struct xt_statistics *told = calloc(1, sizeof(*told));
    uint32_t *cube = calloc(XT_STATISTICS_CUBE_MAX, sizeof(*cube));
    uint8_t text[XT_STATISTICS_JSON_MAX];
    struct xt_statistics_shape shape;
    assert_true(told != NULL && cube != NULL);
    xt_statistics_shape(&shape);
    cube[XT_STATISTICS_CUBE_MAX - 1] = 50;
    cube[0] = 12;
    xt_statistics_count(told, &shape, cube);
    const unsigned sex = XT_BY_BIT(XT_BY_SEX);
    told->marks[xt_statistics_table(told, sex)->offset] = XT_CELL_HIDDEN;
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_statistics_to_json(told, sex, day(2026, 11, 22), &writer);
    assert_true(xt_span_is(xt_written(&writer),
                           "{\"as_of\":\"2026-11-22\",\"suppressed_below\":10,\"by\":[\"sex\"],"
                           "\"values\":{\"sex\":[{\"code\":\"male\"},{\"code\":\"female\"}]},"
                           "\"counts\":[null,50]}"));
    told->tables[0].withdrawn = true;
    writer.size = 0;
    xt_statistics_to_json(told, 0, day(2026, 11, 22), &writer);
    assert_true(xt_span_is(xt_written(&writer),
                           "{\"as_of\":\"2026-11-22\",\"suppressed_below\":10,\"by\":[],"
                           "\"values\":{},\"counts\":null}"));
    free(cube);
    free(told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_small_cell_can_be_learned),
        cmocka_unit_test(a_large_country_is_told_nearly_all),
        cmocka_unit_test(a_hidden_cell_stays_so_until_it_is_clear),
        cmocka_unit_test(fewer_people_are_told_less),
        cmocka_unit_test(only_the_living_with_a_number_in_force_count),
        cmocka_unit_test(people_stand_where_the_contract_says),
        cmocka_unit_test(questions_are_sets_of_names),
        cmocka_unit_test(every_table_fits_and_is_stored_whole),
        cmocka_unit_test(hidden_cells_are_null_and_withdrawn_tables_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
