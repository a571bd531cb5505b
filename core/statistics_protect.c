/* Which cells are hidden: small ones, and those that moves change (core/statistics.h). */
#include "core/statistics.h"

/* Cells of the cube that are looked at in all, before a level is given up: the writer does this, and must not stay
 * away for long. */
#define READS_MOST 60000000U
#define CORNERS_MAX 8
#define MOVES_MAX (XT_STATISTICS_CLEAR + XT_STATISTICS_SMALLEST)
#define UNIT XT_BY_BIT(XT_BY_UNIT)
#define PROVINCE XT_BY_BIT(XT_BY_PROVINCE)

/* What was given up: tables of three dimensions, provinces together with others or at all, and so with
 * dimensions. */
struct given_up {
    bool threes, province_pairs, provinces;
    uint8_t pairs, dimensions;
};

/* One small cell, and a way to flip some of its dimensions. */
struct attempt {
    struct xt_statistics *statistics;
    struct xt_statistics_work *work;
    const struct xt_statistics_table *table;
    uint32_t cell, people;
    size_t strides[XT_DIMENSIONS]; /* of the cube */
    unsigned from[XT_DIMENSIONS],
        end[XT_DIMENSIONS]; /* the places of the cube that are in the cell */
    bool by_unit;
    unsigned unit;
    unsigned flips;
    unsigned other[XT_DIMENSIONS];

    /* of the flips under way */
    unsigned corners;
    size_t deltas[CORNERS_MAX]; /* from a place to its corners, modulo 2^64; by the set of flips */
    bool odd[CORNERS_MAX];
    unsigned down_count, up_count;
    uint32_t up_people, best_people;
    struct xt_statistics_move down[XT_STATISTICS_CLEAR], up[XT_STATISTICS_SMALLEST], best;
};

/* ---- one way of flipping ---------------------------------------------------------------------- */

static void find_corners(struct attempt *attempt, unsigned province)
{
    unsigned dimensions[XT_DIMENSIONS];
    unsigned count = 0;
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        if ((attempt->flips & XT_BY_BIT(d)) != 0) {
            dimensions[count++] = d;
        }
    }
    attempt->corners = 1U << count;
    xt_require(attempt->corners <= CORNERS_MAX);
    for (unsigned set = 0; set < attempt->corners; set++) {
        attempt->deltas[set] = 0;
        attempt->odd[set] = false;
        for (unsigned i = 0; i < count; i++) {
            unsigned d = dimensions[i];
            size_t at = d == XT_BY_PROVINCE ? province : attempt->from[d];
            if ((set >> i & 1) != 0) {
                attempt->deltas[set] += (attempt->other[d] - at) * attempt->strides[d];
                attempt->odd[set] = !attempt->odd[set];
            }
        }
    }
}

static struct xt_statistics_move move_at(const struct attempt *attempt,
                                         const unsigned at[XT_DIMENSIONS], int32_t people)
{
    struct xt_statistics_move move = {.flips = (uint8_t)attempt->flips, .people = people};
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        move.at[d] = (uint16_t)at[d];
        move.other[d] = (uint16_t)attempt->other[d];
    }
    return move;
}

/* Looks at one place of the cell: how many could come here, and whether those who are here could leave. Corners in
 * the province that several places of a unit flip to are shared: only one province takes people, and whoever
 * leaves does so as if he were all of them. false: they could not leave. */
static bool look(struct attempt *attempt, const unsigned at[XT_DIMENSIONS], size_t place)
{
    const uint32_t *cube = attempt->work->cube;
    uint32_t here = cube[place];
    uint32_t room = UINT32_MAX;
    uint32_t back = UINT32_MAX;
    attempt->work->reads += attempt->corners;
    for (unsigned set = 1; set < attempt->corners; set++) {
        uint32_t there = cube[place + attempt->deltas[set]];
        uint32_t *least = attempt->odd[set] ? &room : &back;
        *least = there < *least ? there : *least;
    }
    if (here > 0) {
        if (back < (attempt->by_unit ? attempt->people : here)) {
            return false;
        }
        xt_require(attempt->down_count < XT_STATISTICS_CLEAR);
        attempt->down[attempt->down_count++] = move_at(attempt, at, -(int32_t)here);
    }
    if (room > attempt->best_people) {
        attempt->best_people = room;
        attempt->best = move_at(attempt, at, XT_STATISTICS_SMALLEST);
    }
    if (room > 0 && attempt->up_people < XT_STATISTICS_SMALLEST) {
        uint32_t needed = XT_STATISTICS_SMALLEST - attempt->up_people;
        uint32_t taken = room < needed ? room : needed;
        attempt->up[attempt->up_count++] = move_at(attempt, at, (int32_t)taken);
        attempt->up_people += taken;
    }
    return true;
}

static bool look_in_province(struct attempt *attempt, unsigned province)
{
    unsigned at[XT_DIMENSIONS] = {province};
    const unsigned *from = attempt->from;
    const unsigned *end = attempt->end;
    find_corners(attempt, province);
    for (at[1] = from[1]; at[1] < end[1]; at[1]++) {
        for (at[2] = from[2]; at[2] < end[2]; at[2]++) {
            for (at[3] = from[3]; at[3] < end[3]; at[3]++) {
                for (at[4] = from[4]; at[4] < end[4]; at[4]++) {
                    size_t place = 0;
                    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
                        place += at[d] * attempt->strides[d];
                    }
                    if (!look(attempt, at, place)) {
                        return false;
                    }
                }
            }
        }
    }
    return true;
}

/* Whether the cell could have none, and enough more than it has, if these dimensions were flipped. */
static bool is_possible(struct attempt *attempt)
{
    const uint8_t *unit_of = attempt->statistics->shape.unit_of;
    attempt->down_count = attempt->up_count = 0;
    attempt->up_people = attempt->best_people = 0;
    for (unsigned province = attempt->from[0]; province < attempt->end[0]; province++) {
        if (attempt->by_unit && unit_of[province] != attempt->unit) {
            continue;
        }
        if (attempt->by_unit && attempt->up_people < XT_STATISTICS_SMALLEST) {
            attempt->up_count = 0;
            attempt->up_people = 0;
        }
        if (!look_in_province(attempt, province)) {
            return false;
        }
    }
    if (attempt->best_people >= XT_STATISTICS_SMALLEST) {
        attempt->up[0] = attempt->best;
        attempt->up_count = 1;
        return true;
    }
    return attempt->up_people >= XT_STATISTICS_SMALLEST;
}

/* ---- what a move changes ---------------------------------------------------------------------- */

/* Every place in the tables that a move changes is given to `touch`; false from it ends this. A move changes
 * the tables that have all flipped dimensions: in others what comes and what goes fall into one cell. */
typedef bool (*touch)(struct attempt *attempt, uint32_t cell, uint32_t *cost);

static bool touch_table(struct attempt *attempt, const struct xt_statistics_move *move,
                        const struct xt_statistics_table *table, touch act, uint32_t *cost)
{
    const uint8_t *unit_of = attempt->statistics->shape.unit_of;
    bool units = (table->by & UNIT) != 0;
    unsigned here[XT_DIMENSIONS];
    unsigned there[XT_DIMENSIONS];
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        here[d] = move->at[d];
        there[d] = move->other[d];
    }
    if (units) {
        here[0] = unit_of[here[0]];
        there[0] = unit_of[there[0]];
    }
    if (units && (move->flips & PROVINCE) != 0 && here[0] == there[0]) {
        return true;
    }
    for (unsigned set = move->flips;; set = (set - 1) & move->flips) { /* all subsets */
        uint32_t cell = table->offset;
        for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
            cell += ((set & XT_BY_BIT(d)) != 0 ? there[d] : here[d]) * table->strides[d];
        }
        if (!act(attempt, cell, cost)) {
            return false;
        }
        if (set == 0) {
            return true;
        }
    }
}

static bool touch_all(struct attempt *attempt, touch act, uint32_t *cost)
{
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        const struct xt_statistics_table *table = &attempt->statistics->tables[i];
        if (table->withdrawn || (attempt->flips & ~(unsigned)table->dimensions) != 0) {
            continue;
        }
        for (unsigned j = 0; j < attempt->down_count; j++) {
            if (!touch_table(attempt, &attempt->down[j], table, act, cost)) {
                return false;
            }
        }
        for (unsigned j = 0; j < attempt->up_count; j++) {
            if (!touch_table(attempt, &attempt->up[j], table, act, cost)) {
                return false;
            }
        }
    }
    return true;
}

/* The larger a cell, the more is lost with it; those that were hidden last cost next to nothing, so that
 * one day's table does not tell what another day's hides. */
static bool add_cost(struct attempt *attempt, uint32_t cell, uint32_t *cost)
{
    const struct xt_statistics *statistics = attempt->statistics;
    struct xt_statistics_work *work = attempt->work;
    if (statistics->marks[cell] == XT_CELL_ABSENT) {
        return false;
    }
    if (statistics->marks[cell] == XT_CELL_TOLD && work->stamps[cell] != work->stamp) {
        uint32_t weight = 4;
        work->stamps[cell] = work->stamp;
        for (uint32_t people = statistics->counts[cell]; people > 0; people >>= 1) {
            weight++;
        }
        bool again = work->before != NULL && work->before->cells == statistics->cells &&
                     work->before->marks[cell] == XT_CELL_HIDDEN;
        *cost += again ? 1 : weight;
    }
    return *cost < work->cheapest;
}

static bool hide(struct attempt *attempt, uint32_t cell, uint32_t *cost)
{
    (void)cost;
    attempt->statistics->marks[cell] = XT_CELL_HIDDEN;
    return true;
}

/* ---- one small cell --------------------------------------------------------------------------- */

struct choice {
    bool found;
    unsigned flips;
    unsigned other[XT_DIMENSIONS];
};

/* Every other value of every flipped dimension, from the d-th on. */
static void try_others(struct attempt *attempt, unsigned d, struct choice *choice)
{
    struct xt_statistics_work *work = attempt->work;
    const struct xt_statistics_shape *shape = &attempt->statistics->shape;
    if (work->cheapest == 0 || work->reads > READS_MOST) {
        return;
    }
    if (d < XT_DIMENSIONS && (attempt->flips & XT_BY_BIT(d)) == 0) {
        attempt->other[d] = 0;
        try_others(attempt, d + 1, choice);
        return;
    }
    if (d < XT_DIMENSIONS) {
        for (unsigned value = 0; value < shape->sizes[d]; value++) {
            bool same = d == XT_BY_PROVINCE && attempt->by_unit
                            ? shape->unit_of[value] == attempt->unit
                            : value == attempt->from[d];
            if (!same) {
                attempt->other[d] = value;
                try_others(attempt, d + 1, choice);
            }
        }
        return;
    }
    uint32_t cost = 0;
    work->stamp++;
    if (is_possible(attempt) && touch_all(attempt, add_cost, &cost)) {
        choice->found = true;
        choice->flips = attempt->flips;
        memcpy(choice->other, attempt->other, sizeof(choice->other));
        work->cheapest = cost;
    }
}

static unsigned bits_of(unsigned set)
{
    return (unsigned)__builtin_popcount(set);
}

static void begin(struct attempt *attempt, uint32_t cell)
{
    const struct xt_statistics *statistics = attempt->statistics;
    const struct xt_statistics_table *table = attempt->table;
    uint32_t rest = cell - table->offset;
    attempt->cell = cell;
    attempt->people = statistics->counts[cell];
    attempt->by_unit = (table->by & UNIT) != 0;
    size_t stride = 1;
    for (unsigned d = XT_DIMENSIONS; d-- > 0;) {
        attempt->strides[d] = stride;
        stride *= statistics->shape.sizes[d];
    }
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        bool fixed = (table->dimensions & XT_BY_BIT(d)) != 0;
        unsigned value = fixed ? rest / table->strides[d] : 0;
        rest = fixed ? rest % table->strides[d] : rest;
        attempt->from[d] = value;
        attempt->end[d] = fixed ? value + 1 : statistics->shape.sizes[d];
    }
    if (attempt->by_unit) {
        attempt->unit = attempt->from[0];
        attempt->from[0] = 0;
        attempt->end[0] = statistics->shape.sizes[0];
    }
}

/* Hides what must be hidden with a small cell, as little as can be. false: there is no way. */
static bool settle(struct attempt *attempt, uint32_t cell)
{
    struct choice choice = {.found = false};
    begin(attempt, cell);
    attempt->work->cheapest = UINT32_MAX;
    for (unsigned size = bits_of(attempt->table->dimensions); size > 0; size--) {
        for (unsigned set = attempt->table->dimensions; set > 0;
             set = (set - 1) & attempt->table->dimensions) {
            if (bits_of(set) == size) {
                attempt->flips = set;
                try_others(attempt, 0, &choice);
            }
        }
    }
    if (!choice.found || attempt->work->reads > READS_MOST) {
        return false;
    }
    attempt->flips = choice.flips;
    memcpy(attempt->other, choice.other, sizeof(choice.other));
    bool possible = is_possible(attempt);
    xt_require(possible);
    (void)touch_all(attempt, hide, NULL);
    if (attempt->work->witness != NULL) {
        struct xt_statistics_move moves[MOVES_MAX];
        memcpy(moves, attempt->down, attempt->down_count * sizeof(moves[0]));
        memcpy(moves + attempt->down_count, attempt->up, attempt->up_count * sizeof(moves[0]));
        attempt->work->witness(attempt->work->context, cell, moves,
                               attempt->down_count + attempt->up_count);
    }
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------ */

static bool is_withdrawn(const struct xt_statistics_table *table, const struct given_up *given_up)
{
    unsigned count = bits_of(table->dimensions);
    bool province = (table->by & PROVINCE) != 0;
    return (table->dimensions & given_up->dimensions) != 0 || (given_up->threes && count > 2) ||
           (given_up->provinces && province) ||
           (given_up->province_pairs && count > 1 && province) ||
           (count > 1 && (table->dimensions & given_up->pairs) != 0);
}

/* Marks what is small, whatever was marked before but absent categories. */
static void mark_small(struct xt_statistics *statistics, const struct given_up *given_up)
{
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        struct xt_statistics_table *table = &statistics->tables[i];
        table->withdrawn = is_withdrawn(table, given_up);
        for (uint32_t cell = table->offset; cell < table->offset + table->cells; cell++) {
            if (statistics->marks[cell] != XT_CELL_ABSENT) {
                bool small = statistics->counts[cell] < XT_STATISTICS_SMALLEST;
                statistics->marks[cell] = table->withdrawn || small ? XT_CELL_HIDDEN : XT_CELL_TOLD;
            }
        }
    }
}

/* Hidden last time, of few people then and now: one more or less must not open it. */
static bool is_kept(const struct xt_statistics *statistics, const struct xt_statistics *before,
                    const struct xt_statistics_table *table, uint32_t cell)
{
    return before != NULL && before->cells == statistics->cells && !table->withdrawn &&
           !before->tables[table - statistics->tables].withdrawn &&
           before->marks[cell] == XT_CELL_HIDDEN && before->counts[cell] < XT_STATISTICS_CLEAR &&
           statistics->marks[cell] != XT_CELL_ABSENT &&
           statistics->counts[cell] >= XT_STATISTICS_SMALLEST &&
           statistics->counts[cell] < XT_STATISTICS_CLEAR;
}

/* Hides them, before all else or with what it takes that sums do not tell them; that is not always possible, and
 * no table is given up for it: they are not small any more. */
static void keep_hidden(struct attempt *attempt, bool with_others)
{
    struct xt_statistics *statistics = attempt->statistics;
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        const struct xt_statistics_table *table = &statistics->tables[i];
        attempt->table = table;
        for (uint32_t cell = table->offset; cell < table->offset + table->cells; cell++) {
            if (is_kept(statistics, attempt->work->before, table, cell)) {
                statistics->marks[cell] = XT_CELL_HIDDEN;
                (void)(with_others && settle(attempt, cell));
            }
        }
    }
}

/* NULL: every small cell is safe. Else the first table that has one that is not. */
static const struct xt_statistics_table *settle_all(struct attempt *attempt)
{
    struct xt_statistics *statistics = attempt->statistics;
    for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
        const struct xt_statistics_table *table = &statistics->tables[i];
        attempt->table = table;
        for (uint32_t cell = table->offset;
             !table->withdrawn && cell < table->offset + table->cells; cell++) {
            if (statistics->counts[cell] < XT_STATISTICS_SMALLEST &&
                statistics->marks[cell] != XT_CELL_ABSENT && !settle(attempt, cell)) {
                return table;
            }
        }
    }
    return NULL;
}

static uint8_t largest_of(const struct xt_statistics *statistics,
                          const struct xt_statistics_table *table)
{
    unsigned most = 0;
    uint8_t largest = 0;
    for (unsigned d = 0; d < XT_DIMENSIONS; d++) {
        if ((table->dimensions & XT_BY_BIT(d)) != 0 && statistics->shape.sizes[d] > most) {
            most = statistics->shape.sizes[d];
            largest = (uint8_t)XT_BY_BIT(d);
        }
    }
    return largest;
}

/* Of a dimension of which only its own table is told, people may be paired with others at will; of one of
 * which nothing is told, they may have any value. */
static void give_up(const struct xt_statistics *statistics, const struct xt_statistics_table *table,
                    struct given_up *given_up)
{
    bool pair = bits_of(table->dimensions) == 2;
    bool province = (table->by & PROVINCE) != 0;
    if (!given_up->threes) {
        given_up->threes = true;
    } else if (pair && province) {
        given_up->province_pairs = true;
    } else if (pair) {
        given_up->pairs |= largest_of(statistics, table);
    } else if (province) {
        given_up->provinces = true;
    } else {
        given_up->dimensions |= table->dimensions;
    }
}

void xt_statistics_publish(struct xt_statistics *statistics,
                           const struct xt_statistics_shape *shape, const uint32_t *cube,
                           const struct xt_statistics *before, struct xt_statistics_work *work,
                           xt_statistics_witness witness, void *context)
{
    struct attempt attempt = {.statistics = statistics, .work = work};
    struct given_up given_up = {0};
    const struct xt_statistics_table *failed = NULL;
    *work = (struct xt_statistics_work){
        .cube = cube, .before = before, .witness = witness, .context = context};
    xt_statistics_count(statistics, shape, cube);
    if (statistics->counts[0] < XT_STATISTICS_SMALLEST) { /* the total */
        memset(statistics->marks, XT_CELL_HIDDEN, statistics->cells);
        for (unsigned i = 0; i < XT_STATISTICS_TABLES; i++) {
            statistics->tables[i].withdrawn = true;
        }
        return;
    }
    do {
        work->reads = 0;
        mark_small(statistics, &given_up);
        keep_hidden(&attempt, false);
        failed = settle_all(&attempt);
        if (failed != NULL) {
            give_up(statistics, failed, &given_up);
        }
    } while (failed != NULL);
    keep_hidden(&attempt, true);
}
