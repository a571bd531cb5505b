/* The advisory levels: without marks, in another order, and nearly. Slower than the legal ones and
 * only asked for by right. */
#include "core/name_table.h"

#define COST_LETTER 4 /* another letter, one too many, one too few, two swapped */
#define COST_SOUND 2  /* letters that one accent or another does not tell apart */
#define COST_MARK 1   /* the same letter with other marks */

#define WEIGHT_MIDDLE 2 /* a middle name */
#define WEIGHT_OUTER 3  /* the first and the last token: family and given name */

#define FUZZY_FROM 80
#define TOKENS_MAX ((XT_NAME_MAX + 1) / 2)

struct token {
    unsigned start, size;
    unsigned weight;
};

/* A name as letters, separators left out; tokens tell where they stood. */
struct letters {
    unsigned count, token_count;
    uint32_t letter[XT_NAME_MAX]; /* with marks, in canonical spelling */
    uint32_t base[XT_NAME_MAX];   /* without */
    struct token tokens[TOKENS_MAX];
};

static void read_letters(const struct xt_name *name, struct letters *letters)
{
    bool inside = false;
    size_t at = 0;
    letters->count = 0;
    letters->token_count = 0;
    while (at < name->length && at < XT_NAME_MAX) {
        uint8_t code;
        uint32_t letter = xt_name_next(name, &at, &code);
        if (code == XT_CODE_SPACE || code == '-') {
            inside = false;
            continue;
        }
        uint32_t base = code == 0 ? xt_name_base_letter(letter) : xt_name_base(code);
        if (base == 0 || (code > 0 && code < XT_CODE_LETTER)) {
            continue; /* a combining mark, an apostrophe, a full stop */
        }
        if (!inside) {
            letters->tokens[letters->token_count++] =
                (struct token){.start = letters->count, .weight = WEIGHT_MIDDLE};
            inside = true;
        }
        letters->letter[letters->count] = letter;
        letters->base[letters->count++] = base;
        letters->tokens[letters->token_count - 1].size++;
    }
    if (letters->token_count > 0) {
        letters->tokens[0].weight = WEIGHT_OUTER;
        letters->tokens[letters->token_count - 1].weight = WEIGHT_OUTER;
    }
}

static bool same_bases(const struct letters *a, struct token x, const struct letters *b,
                       struct token y)
{
    return x.size == y.size &&
           memcmp(a->base + x.start, b->base + y.start, x.size * sizeof(a->base[0])) == 0;
}

static bool same_unaccented(const struct letters *a, const struct letters *b)
{
    bool same = a->token_count == b->token_count;
    for (unsigned i = 0; same && i < a->token_count; i++) {
        same = same_bases(a, a->tokens[i], b, b->tokens[i]);
    }
    return same;
}

/* The same tokens in any order, or the same letters with the tokens joined. */
static bool same_reordered(const struct letters *a, const struct letters *b)
{
    if (a->count != b->count) {
        return false;
    }
    if (memcmp(a->base, b->base, a->count * sizeof(a->base[0])) == 0) {
        return true;
    }
    if (a->token_count != b->token_count) {
        return false;
    }
    bool used[TOKENS_MAX] = {false};
    for (unsigned i = 0; i < a->token_count; i++) {
        unsigned j = 0;
        while (j < b->token_count && (used[j] || !same_bases(a, a->tokens[i], b, b->tokens[j]))) {
            j++;
        }
        if (j == b->token_count) {
            return false;
        }
        used[j] = true;
    }
    return true;
}

static unsigned letter_cost(const struct letters *a, unsigned i, const struct letters *b,
                            unsigned j)
{
    static const char sounds[][2] = {{'s', 'x'}, {'l', 'n'}, {'i', 'y'}, {'c', 'k'}, {'d', 'r'}};
    if (a->letter[i] == b->letter[j]) {
        return 0;
    }
    uint32_t x = a->base[i], y = b->base[j];
    if (x == y) {
        return COST_MARK;
    }
    for (size_t k = 0; k < sizeof(sounds) / sizeof(sounds[0]); k++) {
        uint32_t first = (uint32_t)sounds[k][0], second = (uint32_t)sounds[k][1];
        if ((x == first && y == second) || (x == second && y == first)) {
            return COST_SOUND;
        }
    }
    return COST_LETTER;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edit distance of two tokens, in thousandths of the longer one's length. */
static unsigned token_distance(const struct letters *a, struct token x, const struct letters *b,
                               struct token y)
{
    unsigned rows[3][XT_NAME_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= y.size; j++) {
        above[j] = j * COST_LETTER;
    }
    for (unsigned i = 1; i <= x.size; i++) {
        row[0] = i * COST_LETTER;
        for (unsigned j = 1; j <= y.size; j++) {
            unsigned p = x.start + i - 1, q = y.start + j - 1;
            unsigned cost = above[j - 1] + letter_cost(a, p, b, q);
            cost = smaller(cost, smaller(above[j], row[j - 1]) + COST_LETTER);
            if (i > 1 && j > 1 && a->letter[p] == b->letter[q - 1] &&
                a->letter[p - 1] == b->letter[q]) {
                cost = smaller(cost, before[j - 2] + COST_LETTER);
            }
            row[j] = cost;
        }
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return 1000 * above[y.size] / (COST_LETTER * (x.size > y.size ? x.size : y.size));
}

static unsigned weight_of(const struct letters *letters)
{
    unsigned weight = 0;
    for (unsigned i = 0; i < letters->token_count; i++) {
        weight += letters->tokens[i].weight;
    }
    return weight;
}

/* 100 less the share of the name, by weight, that has to be changed to get from one to the other,
 * tokens kept in order. */
static unsigned similarity(const struct letters *a, const struct letters *b)
{
    unsigned costs[2][TOKENS_MAX + 1];
    unsigned *above = costs[0], *row = costs[1];
    above[0] = 0;
    for (unsigned j = 1; j <= b->token_count; j++) {
        above[j] = above[j - 1] + 1000 * b->tokens[j - 1].weight;
    }
    for (unsigned i = 1; i <= a->token_count; i++) {
        struct token x = a->tokens[i - 1];
        row[0] = above[0] + 1000 * x.weight;
        for (unsigned j = 1; j <= b->token_count; j++) {
            struct token y = b->tokens[j - 1];
            unsigned weight = x.weight > y.weight ? x.weight : y.weight;
            unsigned cost = above[j - 1] + weight * token_distance(a, x, b, y);
            cost = smaller(cost, above[j] + 1000 * x.weight);
            row[j] = smaller(cost, row[j - 1] + 1000 * y.weight);
        }
        unsigned *spare = above;
        above = row;
        row = spare;
    }
    unsigned weight = weight_of(a) > weight_of(b) ? weight_of(a) : weight_of(b);
    if (weight == 0) {
        return 0;
    }
    unsigned lost = (above[b->token_count] + 10 * weight - 1) / (10 * weight);
    return lost >= 100 ? 0 : 100 - lost;
}

struct xt_name_comparison xt_name_compare(const struct xt_name *claimed, const struct xt_name *held)
{
    for (enum xt_name_level level = XT_NAME_EXACT; level <= XT_NAME_SPELLING; level++) {
        if (xt_name_matches(claimed, held, level)) {
            return (struct xt_name_comparison){.level = level, .score = 100};
        }
    }
    struct xt_name a = *claimed, b = *held;
    xt_name_spell(&a);
    xt_name_spell(&b);
    struct letters x, y;
    read_letters(&a, &x);
    read_letters(&b, &y);
    if (same_unaccented(&x, &y)) {
        return (struct xt_name_comparison){.level = XT_NAME_UNACCENTED, .score = 100};
    }
    if (same_reordered(&x, &y)) {
        return (struct xt_name_comparison){.level = XT_NAME_REORDERED, .score = 100};
    }
    unsigned score = similarity(&x, &y);
    return (struct xt_name_comparison){
        .level = score >= FUZZY_FROM ? XT_NAME_FUZZY : XT_NAME_DIFFERENT,
        .score = score < 99 ? score : 99,
    };
}
