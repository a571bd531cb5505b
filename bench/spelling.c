/* bench/spelling: see the header. */
#include "bench/spelling.h"

#define TONES 6U

/* Lower-case code points by vowel and tone; capitals follow by rule (upper_of). */
static const struct {
    char base;
    uint8_t mark;
    uint16_t points[TONES];
} vowels[] = {
    {'a', 0, {0x61, 0xE0, 0xE1, 0x1EA3, 0xE3, 0x1EA1}},
    {'a', 2, {0x103, 0x1EB1, 0x1EAF, 0x1EB3, 0x1EB5, 0x1EB7}},
    {'a', 1, {0xE2, 0x1EA7, 0x1EA5, 0x1EA9, 0x1EAB, 0x1EAD}},
    {'e', 0, {0x65, 0xE8, 0xE9, 0x1EBB, 0x1EBD, 0x1EB9}},
    {'e', 1, {0xEA, 0x1EC1, 0x1EBF, 0x1EC3, 0x1EC5, 0x1EC7}},
    {'i', 0, {0x69, 0xEC, 0xED, 0x1EC9, 0x129, 0x1ECB}},
    {'o', 0, {0x6F, 0xF2, 0xF3, 0x1ECF, 0xF5, 0x1ECD}},
    {'o', 1, {0xF4, 0x1ED3, 0x1ED1, 0x1ED5, 0x1ED7, 0x1ED9}},
    {'o', 3, {0x1A1, 0x1EDD, 0x1EDB, 0x1EDF, 0x1EE1, 0x1EE3}},
    {'u', 0, {0x75, 0xF9, 0xFA, 0x1EE7, 0x169, 0x1EE5}},
    {'u', 3, {0x1B0, 0x1EEB, 0x1EE9, 0x1EED, 0x1EEF, 0x1EF1}},
    {'y', 0, {0x79, 0x1EF3, 0xFD, 0x1EF7, 0x1EF9, 0x1EF5}},
};
#define VOWELS (sizeof(vowels) / sizeof(vowels[0]))
#define STROKE_D 0x111U

static const uint16_t tone_marks[TONES] = {0, 0x300, 0x301, 0x309, 0x303, 0x323};
static const uint16_t letter_marks[4] = {0, 0x302, 0x306, 0x31B};
#define TONE_DOT 5
#define MARK_HORN 3
#define MARK_STROKE 4

static uint32_t upper_of(uint32_t point)
{
    return point < 0x100 ? point - 0x20 : point - 1; /* Latin-1, and pairs beyond it */
}

static bool find_vowel(uint32_t point, struct xt_letter *letter)
{
    for (unsigned row = 0; row < VOWELS; row++) {
        for (uint8_t tone = 0; tone < TONES; tone++) {
            bool upper = upper_of(vowels[row].points[tone]) == point;
            if (upper || vowels[row].points[tone] == point) {
                *letter = (struct xt_letter){vowels[row].base, vowels[row].mark, tone, upper};
                return true;
            }
        }
    }
    return false;
}

static struct xt_letter read_point(uint32_t point)
{
    struct xt_letter letter;
    if (find_vowel(point, &letter)) {
        return letter;
    }
    if (point == STROKE_D || point == STROKE_D - 1) {
        return (struct xt_letter){'d', MARK_STROKE, 0, point != STROKE_D};
    }
    xt_require(point < 0x80);
    bool upper = point >= 'A' && point <= 'Z';
    return (struct xt_letter){(char)(upper ? point + 0x20 : point), 0, 0, upper};
}

void xt_letters_read(struct xt_span text, struct xt_letters *letters)
{
    letters->count = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t lead = text.data[at];
        unsigned size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : 3;
        uint32_t point = size == 1 ? lead : lead & (size == 2 ? 0x1FU : 0x0FU);
        xt_require(at + size <= text.size && letters->count < XT_LETTERS_MAX - 1);
        for (unsigned i = 1; i < size; i++) {
            point = point << 6 | (text.data[at + i] & 0x3FU);
        }
        letters->list[letters->count++] = read_point(point);
        at += size;
    }
}

static size_t put(char *text, uint32_t point)
{
    if (point < 0x80) {
        text[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        text[0] = (char)(0xC0 | point >> 6);
        text[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    text[0] = (char)(0xE0 | point >> 12);
    text[1] = (char)(0x80 | (point >> 6 & 0x3F));
    text[2] = (char)(0x80 | (point & 0x3F));
    return 3;
}

static uint32_t composed(const struct xt_letter *letter, uint8_t tone)
{
    uint32_t point = (uint8_t)letter->base;
    if (letter->mark == MARK_STROKE) {
        point = STROKE_D;
    } else if (letter->mark != 0 || tone != 0) {
        for (unsigned row = 0; row < VOWELS; row++) {
            if (vowels[row].base == letter->base && vowels[row].mark == letter->mark) {
                point = vowels[row].points[tone];
            }
        }
    }
    return letter->upper ? upper_of(point) : point;
}

static size_t put_decomposed(const struct xt_letter *letter, char *text)
{
    struct xt_letter bare = {letter->base, 0, 0, letter->upper};
    size_t size = put(text, composed(&bare, 0));
    /* Canonical order by combining class: horn 216, dot below 220, all others 230. */
    bool dot_first = letter->tone == TONE_DOT && letter->mark != MARK_HORN;
    if (dot_first) {
        size += put(text + size, tone_marks[letter->tone]);
    }
    if (letter->mark != 0) {
        size += put(text + size, letter_marks[letter->mark]);
    }
    if (letter->tone != 0 && !dot_first) {
        size += put(text + size, tone_marks[letter->tone]);
    }
    return size;
}

size_t xt_letters_write(const struct xt_letters *letters, enum xt_form form, char *text)
{
    size_t size = 0;
    for (unsigned i = 0; i < letters->count; i++) {
        const struct xt_letter *letter = &letters->list[i];
        bool bare = letter->mark == 0 && letter->tone == 0;
        if (form == XT_FORM_NFD && !bare && letter->mark != MARK_STROKE) {
            size += put_decomposed(letter, text + size);
        } else if (form == XT_FORM_COMBINING && letter->tone != 0) {
            size += put(text + size, composed(letter, 0));
            size += put(text + size, tone_marks[letter->tone]);
        } else if (form == XT_FORM_FULL_WIDTH && bare && letter->base >= 'a') {
            size += put(text + size, composed(letter, 0) - 0x21 + 0xFF01);
        } else {
            size += put(text + size, composed(letter, letter->tone));
        }
    }
    return size;
}

void xt_letters_set_case(struct xt_letters *letters, bool upper)
{
    for (unsigned i = 0; i < letters->count; i++) {
        letters->list[i].upper = upper && letters->list[i].base >= 'a';
    }
}

/* [from, to) of the token that begins at or after `from`; false when there is none. */
static bool next_token(const struct xt_letters *letters, unsigned *from, unsigned *to)
{
    while (*from < letters->count && letters->list[*from].base == ' ') {
        (*from)++;
    }
    *to = *from;
    while (*to < letters->count && letters->list[*to].base != ' ') {
        (*to)++;
    }
    return *to > *from;
}

static bool is_plain(const struct xt_letter *letter, char base)
{
    return letter->base == base && letter->mark == 0;
}

bool xt_letters_move_tone(struct xt_letters *letters)
{
    bool moved = false;
    for (unsigned from = 0, to; next_token(letters, &from, &to); from = to) {
        if (to - from < 3) {
            continue;
        }
        struct xt_letter *first = &letters->list[to - 2], *second = &letters->list[to - 1];
        bool pair = (is_plain(first, 'o') && (is_plain(second, 'a') || is_plain(second, 'e'))) ||
                    (is_plain(first, 'u') && is_plain(second, 'y'));
        if (pair && (first->tone != 0) != (second->tone != 0)) {
            uint8_t tone = first->tone;
            first->tone = second->tone;
            second->tone = tone;
            moved = true;
        }
    }
    return moved;
}

bool xt_letters_swap_i_y(struct xt_letters *letters)
{
    bool swapped = false;
    for (unsigned from = 0, to; next_token(letters, &from, &to); from = to) {
        struct xt_letter *list = letters->list + from, *last = &letters->list[to - 1];
        bool sole = to - from == 2 && list[0].mark == 0 && strchr("hklmst", list[0].base) != NULL;
        bool quy =
            to - from == 3 && is_plain(&list[0], 'q') && is_plain(&list[1], 'u') && last->tone == 2;
        if ((sole || quy) && (last->base == 'i' || last->base == 'y')) {
            last->base = last->base == 'i' ? 'y' : 'i';
            swapped = true;
        }
    }
    return swapped;
}

static bool unaccent(struct xt_letters *letters)
{
    bool changed = false;
    for (unsigned i = 0; i < letters->count; i++) {
        changed |= letters->list[i].mark != 0 || letters->list[i].tone != 0;
        letters->list[i].mark = 0;
        letters->list[i].tone = 0;
    }
    return changed;
}

/* Some consonant of a token of three or more letters; the count for none. No spelling rule touches
 * consonants, nor their number. */
static unsigned some_consonant(const struct xt_letters *letters, struct xt_stream *stream)
{
    unsigned found[XT_LETTERS_MAX], count = 0;
    for (unsigned from = 0, to; next_token(letters, &from, &to); from = to) {
        for (unsigned i = from; i < to && to - from >= 3; i++) {
            char base = letters->list[i].base;
            if (base >= 'a' && strchr("aeiouy", base) == NULL && letters->list[i].mark == 0) {
                found[count++] = i;
            }
        }
    }
    return count == 0 ? letters->count : found[xt_stream_below(stream, count)];
}

static bool spoil_consonant(struct xt_letters *letters, enum xt_mistake mistake,
                            struct xt_stream *stream)
{
    static const char instead[26] = "zpkgzvhgzkqnnlzbgdxczdvszs"; /* never the letter itself */
    unsigned at = some_consonant(letters, stream);
    if (at == letters->count || letters->count + 1 >= XT_LETTERS_MAX) {
        return false;
    }
    struct xt_letter *letter = &letters->list[at];
    size_t after = (letters->count - at - 1) * sizeof(*letter);
    if (mistake == XT_MISTAKE_SUBSTITUTED) {
        letter->base = instead[letter->base - 'a'];
    } else if (mistake == XT_MISTAKE_DROPPED) {
        memmove(letter, letter + 1, after);
        letters->count--;
    } else {
        memmove(letter + 2, letter + 1, after);
        letter[1] = letter[0];
        letter[1].upper = false;
        letters->count++;
    }
    return true;
}

/* Hook for tilde and back, the commonest mistake; grave, acute and dot in a circle. */
static bool spoil_tone(struct xt_letters *letters)
{
    static const uint8_t instead[TONES] = {0, 2, 5, 4, 3, 1};
    for (unsigned i = letters->count; i-- > 0;) {
        if (letters->list[i].tone != 0) {
            letters->list[i].tone = instead[letters->list[i].tone];
            return true;
        }
    }
    return false;
}

static bool drop_token(struct xt_letters *letters)
{
    unsigned starts[XT_LETTERS_MAX], tokens = 0;
    for (unsigned from = 0, to; next_token(letters, &from, &to); from = to) {
        starts[tokens++] = from;
    }
    if (tokens < 3) {
        return false;
    }
    memmove(letters->list + starts[1], letters->list + starts[2],
            (letters->count - starts[2]) * sizeof(letters->list[0]));
    letters->count -= starts[2] - starts[1];
    return true;
}

/* The given name first, as in the West. */
static bool reorder(struct xt_letters *letters)
{
    struct xt_letters before = *letters;
    unsigned last = before.count;
    while (last > 0 && before.list[last - 1].base != ' ') {
        last--;
    }
    if (last < 2) {
        return false;
    }
    unsigned size = before.count - last;
    memcpy(letters->list, before.list + last, size * sizeof(before.list[0]));
    letters->list[size] = (struct xt_letter){' ', 0, 0, false};
    memcpy(letters->list + size + 1, before.list, (last - 1) * sizeof(before.list[0]));
    return true;
}

const char *xt_mistake_name(enum xt_mistake mistake)
{
    static const char *const names[XT_MISTAKE_COUNT] = {
        "unaccented", "substituted",   "dropped",  "doubled",
        "wrong_tone", "missing_token", "reordered"};
    return names[mistake];
}

static bool spoil(struct xt_letters *letters, enum xt_mistake mistake, struct xt_stream *stream)
{
    switch (mistake) {
    case XT_MISTAKE_UNACCENTED:
        return unaccent(letters);
    case XT_MISTAKE_TONE:
        return spoil_tone(letters);
    case XT_MISTAKE_MISSING_TOKEN:
        return drop_token(letters);
    case XT_MISTAKE_REORDERED:
        return reorder(letters);
    default:
        return spoil_consonant(letters, mistake, stream);
    }
}

bool xt_letters_spoil(struct xt_letters *letters, enum xt_mistake mistake, struct xt_stream *stream)
{
    struct xt_letters spoilt = *letters;
    if (!spoil(&spoilt, mistake, stream) || !xt_letters_surely_differ(letters, &spoilt)) {
        return false;
    }
    *letters = spoilt;
    return true;
}

/* The coarsest reading: letters with marks, y as i, then the tones of the token as a set. */
static unsigned coarse(const struct xt_letters *letters, uint16_t *out)
{
    unsigned size = 0;
    for (unsigned from = 0, to; next_token(letters, &from, &to); from = to) {
        uint16_t tones = 0;
        for (unsigned i = from; i < to; i++) {
            const struct xt_letter *letter = &letters->list[i];
            unsigned base = letter->base == 'y' ? 'i' : (unsigned char)letter->base;
            out[size++] = (uint16_t)(base | (unsigned)letter->mark << 8);
            tones = (uint16_t)(tones | 1U << letter->tone);
        }
        out[size++] = (uint16_t)(0x8000U | (tones & ~1U));
    }
    return size;
}

bool xt_letters_surely_differ(const struct xt_letters *a, const struct xt_letters *b)
{
    uint16_t left[2 * XT_LETTERS_MAX], right[2 * XT_LETTERS_MAX];
    unsigned size = coarse(a, left);
    return size != coarse(b, right) || memcmp(left, right, size * sizeof(left[0])) != 0;
}
