/* The advisory levels: without marks, in another order, and nearly. Slower than the legal ones and
 * only asked for by right. Every level is worked out whichever holds, and a held name is worked through
 * as though it had LETTERS_STEP letters and TOKENS_STEP tokens (the next multiple, where it has more),
 * so that the time tells neither that the name is right, as of somebody deceased, nor how long it is;
 * what remains is some 0.1 us by the held name's spelling and letters. */
#include "core/name_table.h"

#define COST_LETTER 4U        /* another letter, one too many or too few, two swapped */
#define COST_NEVER (1U << 20) /* above any distance */

#define WEIGHT_MIDDLE 2 /* a middle name */
#define WEIGHT_OUTER 3  /* the first and the last token: family and given name */

#define FUZZY_FROM 80
#define TOKENS_MAX ((XT_NAME_MAX + 1) / 2)

#define LETTERS_STEP 32 /* codes; hardly a name is longer */
#define TOKENS_STEP 8

struct token {
    unsigned start, size;
    unsigned weight;
};

/* A name as letters, separators left out; tokens tell where they stood. Tokens count from 1; token 0
 * takes up what is past the last letter. All that is not used is 0. */
struct letters {
    unsigned count, token_count;
    unsigned bound, token_bound;  /* how many are worked through */
    uint32_t letter[XT_NAME_MAX]; /* with marks, in canonical spelling */
    uint32_t base[XT_NAME_MAX];   /* without */
    uint32_t sound[XT_NAME_MAX];  /* the same for letters that some accent does not tell apart */
    uint8_t token[XT_NAME_MAX];   /* that the letter stands in */
    uint8_t place[XT_NAME_MAX];   /* in it, from 0 */
    struct token tokens[TOKENS_MAX + 1];
};

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static unsigned round_up(unsigned count, unsigned step, unsigned most)
{
    return smaller((count + step - 1) / step * step, most);
}

static uint32_t sound_of(uint32_t base)
{
    static const uint8_t sounds[128] = {
        ['x'] = 's', ['n'] = 'l', ['y'] = 'i', ['k'] = 'c', ['r'] = 'd'};
    return base < sizeof(sounds) && sounds[base] != 0 ? sounds[base] : base;
}

static void add_letter(struct letters *letters, bool inside, uint32_t letter, uint32_t base)
{
    unsigned at = letters->count++;
    letters->token_count += !inside;
    struct token *token = &letters->tokens[letters->token_count];
    token->start = inside ? token->start : at;
    token->weight = WEIGHT_MIDDLE;
    letters->letter[at] = letter;
    letters->base[at] = base;
    letters->sound[at] = sound_of(base);
    letters->token[at] = (uint8_t)letters->token_count;
    letters->place[at] = (uint8_t)token->size++;
}

static void read_letters(const struct xt_name *name, struct letters *letters)
{
    struct xt_name spelled = *name;
    unsigned length = smaller(name->length, XT_NAME_MAX);
    bool inside = false;
    size_t at = 0;
    xt_name_spell(&spelled);
    memset(letters, 0, sizeof(*letters));
    letters->bound = round_up(length, LETTERS_STEP, XT_NAME_MAX);
    memset(spelled.codes + length, XT_CODE_SPACE, XT_NAME_MAX - length);
    spelled.length = (uint8_t)letters->bound;
    while (at < letters->bound) {
        uint8_t code;
        uint32_t letter = xt_name_next(&spelled, &at, &code);
        uint32_t base = code == 0 ? xt_name_base_letter(letter) : xt_name_base(code);
        if (base != 0 && (code == 0 || code >= XT_CODE_LETTER)) {
            add_letter(letters, inside, letter, base);
            inside = true;
        } else if (code == XT_CODE_SPACE || code == '-') {
            inside = false;
        } /* else a combining mark, an apostrophe, a full stop */
    }
    if (letters->token_count > 0) {
        letters->tokens[1].weight = WEIGHT_OUTER;
        letters->tokens[letters->token_count].weight = WEIGHT_OUTER;
    }
    letters->token_bound = round_up(letters->token_count, TOKENS_STEP, TOKENS_MAX);
}

/* 1 for the same letter with other marks, 2 for one that sounds alike, COST_LETTER for any other. */
static unsigned letter_cost(const struct letters *a, unsigned i, const struct letters *b,
                            unsigned j)
{
    return (a->letter[i] != b->letter[j]) + (a->base[i] != b->base[j]) +
           2U * (a->sound[i] != b->sound[j]);
}

/* What one claimed token is to each held one. */
struct row {
    unsigned distance[TOKENS_MAX + 1]; /* in thousandths of the longer one's length */
    uint64_t same; /* a bit for each held token with the same letters, but for marks */
};

/* One more column of the edit distance's matrix: the claimed token down, held letter j across. before
 * is the column of the letter before it in its token, or of none; earlier the one before that. */
static void next_column(const struct letters *a, struct token x, const struct letters *b,
                        unsigned j, const unsigned *earlier, const unsigned *before,
                        unsigned *column)
{
    uint32_t previous = j > 0 ? b->letter[j - 1] : 0;
    uint32_t letter = b->letter[j];
    unsigned cost = (b->place[j] + 1U) * COST_LETTER;
    column[0] = cost;
    for (unsigned i = 1; i <= x.size; i++) {
        unsigned p = x.start + i - 1;
        cost = smaller(cost, before[i]) + COST_LETTER;
        cost = smaller(cost, before[i - 1] + letter_cost(a, p, b, j));
        if (i > 1) {
            bool swapped =
                (b->place[j] > 0) & (a->letter[p] == previous) & (a->letter[p - 1] == letter);
            cost = smaller(cost, earlier[i - 2] + COST_LETTER + COST_NEVER * !swapped);
        }
        column[i] = cost;
    }
}

static void compare_token(const struct letters *a, struct token x, const struct letters *b,
                          struct row *row)
{
    unsigned columns[3][XT_NAME_MAX + 1] = {{0}};
    unsigned *earlier = columns[0], *before = columns[1], *column = columns[2];
    bool different = false, differ[TOKENS_MAX + 1] = {false};
    xt_require(x.size > 0);
    memset(row, 0, sizeof(*row));
    for (unsigned j = 0; j < b->bound; j++) {
        unsigned place = b->place[j];
        for (unsigned i = 0; i <= x.size; i++) {
            before[i] = place == 0 ? i * COST_LETTER : before[i];
        }
        next_column(a, x, b, j, earlier, before, column);
        row->distance[b->token[j]] = column[x.size];
        uint32_t base = a->base[x.start + smaller(place, x.size - 1)];
        different = (different & (place > 0)) | (base != b->base[j]);
        differ[b->token[j]] = different;
        unsigned *spare = earlier;
        earlier = before;
        before = column;
        column = spare;
    }
    for (unsigned k = 1; k <= b->token_bound; k++) {
        unsigned size = b->tokens[k].size;
        row->distance[k] = 1000 * row->distance[k] / (COST_LETTER * larger(size, x.size));
        row->same |= (uint64_t)((size == x.size) & !differ[k]) << k;
    }
}

/* What comes out of all rows. */
struct finding {
    unsigned score;
    bool unaccented; /* the same tokens */
    bool reordered;  /* in any order */
};

/* The score is 100 less the share of the name, by weight, that has to be changed to get from one to the
 * other, tokens kept in order. */
static unsigned score_of(const struct letters *a, const struct letters *b, unsigned cost)
{
    unsigned weight_a = 0, weight_b = 0;
    for (unsigned i = 1; i <= a->token_count; i++) {
        weight_a += a->tokens[i].weight;
    }
    for (unsigned i = 1; i <= b->token_bound; i++) {
        weight_b += b->tokens[i].weight;
    }
    unsigned weight = larger(weight_a, weight_b);
    if (weight == 0) {
        return 0;
    }
    unsigned lost = (cost + 10 * weight - 1) / (10 * weight);
    return 100 - smaller(lost, 100);
}

static struct finding compare_letters(const struct letters *a, const struct letters *b)
{
    struct finding finding = {.unaccented = a->token_count == b->token_count,
                              .reordered = a->token_count == b->token_count};
    unsigned costs[2][TOKENS_MAX + 1] = {{0}};
    unsigned *above = costs[0], *next = costs[1];
    uint64_t used = 0;
    struct row row;
    for (unsigned k = 1; k <= b->token_bound; k++) {
        above[k] = above[k - 1] + 1000 * b->tokens[k].weight;
    }
    for (unsigned i = 1; i <= a->token_count; i++) {
        unsigned weight = a->tokens[i].weight;
        compare_token(a, a->tokens[i], b, &row);
        next[0] = above[0] + 1000 * weight;
        for (unsigned k = 1; k <= b->token_bound; k++) {
            unsigned other = b->tokens[k].weight;
            unsigned cost = above[k - 1] + larger(weight, other) * row.distance[k];
            cost = smaller(cost, above[k] + 1000 * weight);
            next[k] = smaller(cost, next[k - 1] + 1000 * other);
        }
        unsigned *spare = above;
        above = next;
        next = spare;
        /* Same as same is same: the first that is free will do. */
        uint64_t unused = row.same & ~used;
        used |= unused & (0 - unused);
        finding.reordered &= unused != 0;
        finding.unaccented &= (row.same >> i & 1) != 0;
    }
    finding.score = score_of(a, b, above[b->token_count]);
    return finding;
}

/* The same letters, wherever tokens begin. */
static bool same_joined(const struct letters *a, const struct letters *b)
{
    uint32_t difference = a->count ^ b->count;
    for (unsigned i = 0; i < a->count; i++) {
        difference |= a->base[i] ^ b->base[i];
    }
    return difference == 0;
}

struct xt_name_comparison xt_name_compare(const struct xt_name *claimed, const struct xt_name *held)
{
    struct letters a, b;
    read_letters(claimed, &a);
    read_letters(held, &b);
    struct finding finding = compare_letters(&a, &b);
    bool exact = xt_name_matches(claimed, held, XT_NAME_EXACT);
    bool spelling = xt_name_matches(claimed, held, XT_NAME_SPELLING);
    bool reordered = finding.reordered | same_joined(&a, &b);

    enum xt_name_level level = finding.score >= FUZZY_FROM ? XT_NAME_FUZZY : XT_NAME_DIFFERENT;
    level = reordered ? XT_NAME_REORDERED : level;
    level = finding.unaccented ? XT_NAME_UNACCENTED : level;
    level = spelling ? XT_NAME_SPELLING : level;
    level = exact ? XT_NAME_EXACT : level;
    unsigned score = level <= XT_NAME_REORDERED ? 100 : smaller(finding.score, 99);
    return (struct xt_name_comparison){.level = level, .score = score};
}
