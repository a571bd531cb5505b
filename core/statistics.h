/* core/statistics: how many people there are by province, age, sex, card and account, and which of the
 * counts may be told.
 *
 *   person -> key -> how many have it -> cube of a day -> tables -> which cells are hidden
 *             (kept; knows no day)        (people by 5 dimensions)
 *
 * Who counts: whoever is alive with a number in force. Missing and cancelled people do not.
 *   province  of the address; unit: the same by the units since 1 July 2025. Not known: "unknown", which is
 *             left out of the list when nobody is in it
 *   age       that is reached in the year of the day, in classes of five years, from 85 open: by the year
 *             of birth, since that is known of everybody
 *   sex       as registered; where it is not, what the number says
 *   card      an active one counts as valid through the month that it expires in, and then as expired
 *   account   level 1, 2, or none
 *
 * Allowed questions: the total, any one or two of these, and province or unit with age and sex. Not
 * province and unit together.
 *
 * What is hidden (cell suppression: Hundepool et al., Statistical Disclosure Control, 2012, chapter 5;
 * the frequency rule with n = 10). A cell is small below XT_STATISTICS_SMALLEST people, none included. Small
 * cells are hidden, and others with them, so that somebody who has all tables of a day at once, and any time
 * to compute, cannot learn a small cell: for each one, with n people, there is a register of other
 * people with the same published cells in which it has 0, one with n + XT_STATISTICS_SMALLEST, and one with every
 * number between. Such registers are made by moves: people of the true one are given
 * another province, age, ...; whatever cell a move changes is hidden as well. The sums of a move over
 * all other dimensions are 0, so all other tables stay what they are:
 *
 *              y1       y2
 *       x1    + k      - k        k people from (x1, y2) to (x1, y1), others from (x2, y1) to (x2, y2)
 *       x2    - k      + k
 *
 * Where too few people are there for it, tables are withheld and the others tried again: those of three
 * dimensions, provinces with another dimension, a dimension with any other, a dimension alone; fewer than 10
 * people in all are not told. Nothing is promised of cells of tables that are withheld or not offered:
 * what follows from their sums can be told of them.
 *
 * All this is of one publication. Two of them together tell more: of a cell that is told both times by how many it
 * has changed, be it one person; of one that was told and is hidden now that it fell below 10; and where
 * little has changed meanwhile, nearly what the other one told. Against that, all that is done is this: there are
 * XT_STATISTICS_DAYS between two of them, and a cell that was hidden for few people stays so until it
 * has XT_STATISTICS_CLEAR, with others where they can be found, so that it is not one event that opens it.
 *
 * Nor is it hidden whether "unknown" has anybody in it: it is in the list or not.
 *
 * It is not taken into account that who knows this program knows that hidden cells come in such squares
 * because one of their corners is small; nor what people know of themselves and their families.
 *
 * Pure: no clock, no allocation. Memory: some 500 KiB of the caller's.
 */
#ifndef XT_CORE_STATISTICS_H
#define XT_CORE_STATISTICS_H

#include "core/person.h"
#include "core/province.h"
#include "core/record.h"

#define XT_STATISTICS_SMALLEST 10                        /* people: a cell of fewer is not told */
#define XT_STATISTICS_CLEAR (2 * XT_STATISTICS_SMALLEST) /* people: a hidden cell is told again */
/* Days between two publications, at least. Over a day nearly nothing changes, and two tables would tell a
 * single event of somebody; over a month much more does, though not in every small cell. */
#define XT_STATISTICS_DAYS 28

enum xt_dimension {
    XT_BY_PROVINCE,
    XT_BY_AGE,
    XT_BY_SEX,
    XT_BY_CARD,
    XT_BY_ACCOUNT,
    XT_DIMENSIONS, /* of the cube */
    XT_BY_UNIT = XT_DIMENSIONS,
    XT_BY_COUNT
};
#define XT_BY_BIT(dimension) (1U << (unsigned)(dimension))

#define XT_STATISTICS_AGES 18
#define XT_STATISTICS_UNITS_MAX (XT_PROVINCE_COUNT + 1)

/* ---- keys ------------------------------------------------------------------------------------- */

/* What is counted of a person, without a day: below 2^33. People with one key are told apart by nothing
 * here. XT_STATISTICS_UNCOUNTED: the person does not count. */
#define XT_STATISTICS_UNCOUNTED UINT64_MAX
uint64_t xt_statistics_key(const struct xt_hot *hot);
/* The same of a whole person. */
uint64_t xt_statistics_key_of(const struct xt_person *person);
/* One that xt_statistics_key gives. */
bool xt_statistics_key_is_valid(uint64_t key);

/* ---- a day's cube ----------------------------------------------------------------------------- */

/* How many values each dimension has; provinces with index 0 for "unknown". Smaller ones are for tests. */
struct xt_statistics_shape {
    unsigned sizes[XT_DIMENSIONS];
    unsigned units;                         /* with index 0 for "unknown" */
    uint8_t unit_of[XT_PROVINCE_COUNT + 1]; /* of a province */
};
void xt_statistics_shape(struct xt_statistics_shape *shape); /* the register's */

#define XT_STATISTICS_CUBE_MAX ((XT_PROVINCE_COUNT + 1) * XT_STATISTICS_AGES * 2 * 5 * 3)

/* Where people with a key stand on that day: province, age, sex, card, account, the last fastest. */
size_t xt_statistics_place(uint64_t key, xt_date today);

/* ---- tables ----------------------------------------------------------------------------------- */

#define XT_STATISTICS_TABLES 23
#define XT_STATISTICS_CELLS_MAX 6800

struct xt_statistics_table {
    uint8_t by;         /* XT_BY_BIT set; 0: the total */
    uint8_t dimensions; /* the same with the unit's province: those of the cube */
    bool withdrawn;     /* nothing of it is told */
    uint32_t offset, cells;
    uint32_t
        strides[XT_DIMENSIONS]; /* of a unit by XT_BY_PROVINCE; the last dimension is fastest */
};

enum xt_statistics_mark {
    XT_CELL_TOLD,
    XT_CELL_HIDDEN,
    XT_CELL_ABSENT /* of the category "unknown", and nobody is in it */
};

struct xt_statistics {
    struct xt_statistics_shape shape;
    struct xt_statistics_table tables[XT_STATISTICS_TABLES]; /* fewer dimensions first */
    uint32_t cells;
    uint32_t counts[XT_STATISTICS_CELLS_MAX]; /* the true ones */
    uint8_t marks[XT_STATISTICS_CELLS_MAX];   /* enum xt_statistics_mark */
};

/* Whether people may be asked for by this set at all. */
bool xt_statistics_is_offered(unsigned by);
/* The table of a set that is offered. */
const struct xt_statistics_table *xt_statistics_table(const struct xt_statistics *statistics,
                                                      unsigned by);

/* A move, for who wants to see that each small cell is safe: for every set of `flips`, the corner where
 * those dimensions are `other` has `people` more when an even number is flipped, fewer when odd. */
struct xt_statistics_move {
    uint8_t flips; /* XT_BY_BIT set */
    uint16_t at[XT_DIMENSIONS], other[XT_DIMENSIONS];
    int32_t people;
};
/* The moves that give a small cell (index of counts) another number of people; all of one call together. */
typedef void (*xt_statistics_witness)(void *context, uint32_t cell,
                                      const struct xt_statistics_move *moves, unsigned count);

struct xt_statistics_work { /* room to work in */
    const uint32_t *cube;
    const struct xt_statistics *before;
    xt_statistics_witness witness;
    void *context;
    uint64_t reads;
    uint32_t cheapest; /* cost of the best way so far */
    uint32_t stamp;
    uint32_t stamps[XT_STATISTICS_CELLS_MAX];
};

/* Fills in the tables of a cube, all of them told. */
void xt_statistics_count(struct xt_statistics *statistics, const struct xt_statistics_shape *shape,
                         const uint32_t *cube);
/* Counts, and decides what is hidden. before: what was told last, whose cells are hidden again rather than
 * others, or stay hidden (XT_STATISTICS_CLEAR); NULL: nothing. witness may be NULL.
 * Work: some milliseconds with few small cells, at most about a second. */
void xt_statistics_publish(struct xt_statistics *statistics,
                           const struct xt_statistics_shape *shape, const uint32_t *cube,
                           const struct xt_statistics *before, struct xt_statistics_work *work,
                           xt_statistics_witness witness, void *context);

/* People by whom two days' tables differ at the least. */
uint32_t xt_statistics_distance(const struct xt_statistics *a, const struct xt_statistics *b);

/* ---- stored ----------------------------------------------------------------------------------- */

/*   version 1 | cells 4 | withdrawn tables, a bit each 4 | counts 4 each | marks, 2 bits each   */
#define XT_STATISTICS_STORED_MAX (16 + XT_STATISTICS_CELLS_MAX * 4 + XT_STATISTICS_CELLS_MAX / 4)
void xt_statistics_encode(const struct xt_statistics *statistics, struct xt_writer *writer);
/* XT_UNSUPPORTED: another version or another set of tables; XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_statistics_decode(struct xt_span stored,
                                                struct xt_statistics *statistics);

/* ---- asked and told --------------------------------------------------------------------------- */

/* "province,sex" -> set. XT_INVALID: an unknown name, one twice, or an empty one. XT_DENIED: each is known,
 * and together they are not offered. "" is the total. */
XT_MUST_USE enum xt_status xt_statistics_by_parse(struct xt_span text, unsigned *by);
const char *xt_dimension_name(enum xt_dimension dimension); /* "province" */
/* Code of a value ("001", "20-24", "male") and, of provinces, its name or "". */
#define XT_STATISTICS_CODE 64
const char *xt_dimension_value(enum xt_dimension dimension, unsigned value,
                               char code[XT_STATISTICS_CODE]);

/* The dimensions of a set, the outermost first (the unit stands where the province does); how many. */
unsigned xt_dimension_list(unsigned by, enum xt_dimension list[XT_DIMENSIONS]);
/* Values first ... values - 1 of a dimension are listed: of provinces and units without "unknown" where
 * nobody is in it. */
unsigned xt_dimension_first(const struct xt_statistics *statistics, enum xt_dimension dimension);
unsigned xt_statistics_values(const struct xt_statistics *statistics, enum xt_dimension dimension);
bool xt_statistics_has_unknown(const struct xt_statistics *statistics);

/* {"as_of":"2026-11-22","suppressed_below":10,"by":["province","sex"],
 *  "values":{"province":[{"code":"001","name":"Hà Nội"},...],"sex":[{"code":"male"},...]},
 *  "counts":[[4000000,4000000],[null,12],...]}
 * The first dimension of `by` is the outermost; null is hidden; "counts":null: the whole table is withheld. */
#define XT_STATISTICS_JSON_MAX 45056
void xt_statistics_to_json(const struct xt_statistics *statistics, unsigned by, xt_date as_of,
                           struct xt_writer *writer);

#endif
