/* The two levels that are legal matches. What is done depends on the claimed name alone, never on the
 * held one: the caller knows the one, and the time must tell him nothing of the other. */
#include "core/name_table.h"

#define A XT_VOWEL_A
#define AB XT_VOWEL_A_BREVE
#define AC XT_VOWEL_A_CIRCUMFLEX
#define E XT_VOWEL_E
#define EC XT_VOWEL_E_CIRCUMFLEX
#define I XT_VOWEL_I
#define O XT_VOWEL_O
#define OC XT_VOWEL_O_CIRCUMFLEX
#define OH XT_VOWEL_O_HORN
#define U XT_VOWEL_U
#define UH XT_VOWEL_U_HORN
#define Y XT_VOWEL_Y

#define PAIR(first, second) ((first)*XT_VOWEL_COUNT + (second))
#define END (1U << XT_VOWEL_COUNT)
#define THEN(vowel) (1U << (vowel))

/* The vowels of a Vietnamese syllable that are written with two or three letters, those after the
 * onsets qu and gi among them: for each pair, whether it stands alone and which letter may follow.
 * In these a tone means the same on whichever letter it is put; in other runs of vowels (two
 * syllables joined: Lêánh) it may not, and they are left alone. */
static const uint16_t vowel_runs[XT_VOWEL_COUNT * XT_VOWEL_COUNT] = {
    [PAIR(A, I)] = END,
    [PAIR(A, O)] = END,
    [PAIR(A, U)] = END,
    [PAIR(A, Y)] = END,
    [PAIR(AC, U)] = END,
    [PAIR(AC, Y)] = END,
    [PAIR(E, O)] = END,
    [PAIR(EC, U)] = END,
    [PAIR(I, A)] = END | THEN(I) | THEN(O) | THEN(U) | THEN(Y),
    [PAIR(I, AB)] = END,
    [PAIR(I, AC)] = END | THEN(U) | THEN(Y),
    [PAIR(I, E)] = END | THEN(O),
    [PAIR(I, EC)] = END | THEN(U),
    [PAIR(I, O)] = END | THEN(I),
    [PAIR(I, OC)] = END | THEN(I),
    [PAIR(I, OH)] = END | THEN(I),
    [PAIR(I, U)] = END | THEN(A),
    [PAIR(I, UH)] = END | THEN(A) | THEN(OH),
    [PAIR(O, A)] = END | THEN(I) | THEN(O) | THEN(Y),
    [PAIR(O, AB)] = END,
    [PAIR(O, E)] = END | THEN(O),
    [PAIR(O, I)] = END,
    [PAIR(OC, I)] = END,
    [PAIR(OH, I)] = END,
    [PAIR(U, A)] = END | THEN(I) | THEN(O) | THEN(U) | THEN(Y),
    [PAIR(U, AB)] = END,
    [PAIR(U, AC)] = END | THEN(Y),
    [PAIR(U, E)] = END | THEN(O),
    [PAIR(U, EC)] = END,
    [PAIR(U, I)] = END,
    [PAIR(U, OC)] = END | THEN(I),
    [PAIR(U, OH)] = END | THEN(I),
    [PAIR(U, Y)] = END | THEN(A) | THEN(EC) | THEN(U),
    [PAIR(UH, A)] = END,
    [PAIR(UH, I)] = END,
    [PAIR(UH, OH)] = END | THEN(I) | THEN(U),
    [PAIR(UH, U)] = END,
    [PAIR(Y, EC)] = END | THEN(U),
};

/* Whether a run of two or more vowels is one syllable's. */
static bool is_syllable(const uint8_t *run, size_t size)
{
    if (size > 3) {
        return false;
    }
    unsigned third = size == 3 ? THEN(xt_code_vowel(run[2])) : END;
    size_t pair = PAIR(xt_code_vowel(run[0]), xt_code_vowel(run[1]));
    return pair < sizeof(vowel_runs) / sizeof(vowel_runs[0]) && (vowel_runs[pair] & third) != 0;
}

/* Whether the y or i that a word ends in may be either: as the sole vowel of a whole word after
 * h k l m s t v, and in quy. Not in the toneless Vy: the surname Vi and the given name Vy are different
 * names, while Vĩ and Vỹ are one. */
static bool y_may_be_i(const uint8_t *word, size_t size)
{
    if (size != 2 && size != 3) {
        return false;
    }
    uint8_t last = word[size - 1];
    if (!xt_code_is_vowel(last) || (xt_code_vowel(last) != Y && xt_code_vowel(last) != I)) {
        return false;
    }
    bool toned = xt_code_tone(last) != XT_TONE_NONE;
    if (size == 2) {
        return word[0] == 'h' || (word[0] >= 'k' && word[0] <= 'm') || word[0] == 's' ||
               word[0] == 't' || (word[0] == 'v' && toned);
    }
    return word[0] == 'q' && xt_code_is_vowel(word[1]) && xt_code_vowel(word[1]) == U &&
           (!toned || xt_code_tone(word[1]) == XT_TONE_NONE);
}

static bool is_separator(uint8_t code)
{
    return code == XT_CODE_SPACE || code == '-';
}

/* --- one name brought into its canonical spelling --- */

/* One tone in a syllable's run of vowels goes to the run's last letter. */
static void settle_tone(uint8_t *run, size_t size)
{
    unsigned tones = 0, tone = 0;
    for (size_t i = 0; i < size; i++) {
        tone |= xt_code_tone(run[i]);
        tones += xt_code_tone(run[i]) != XT_TONE_NONE;
    }
    if (tones != 1 || !is_syllable(run, size)) {
        return;
    }
    for (size_t i = 0; i + 1 < size; i++) {
        run[i] = xt_code_with_tone(run[i], XT_TONE_NONE);
    }
    run[size - 1] = xt_code_with_tone(run[size - 1], tone);
}

static void settle_y(uint8_t *word, size_t size)
{
    if (y_may_be_i(word, size)) {
        word[size - 1] = (uint8_t)XT_CODE_VOWEL(I, xt_code_tone(word[size - 1]));
    }
}

/* The end of the run of vowels that begins at `at`; `at` itself where there is none. */
static size_t end_of_run(const uint8_t *codes, size_t at, size_t length)
{
    while (at < length && xt_code_is_vowel(codes[at])) {
        at++;
    }
    return at;
}

void xt_name_spell(struct xt_name *name)
{
    size_t length = name->length < XT_NAME_MAX ? name->length : XT_NAME_MAX;
    uint8_t *codes = name->codes;
    size_t word = 0;
    for (size_t at = 0; at < length;) {
        size_t end = end_of_run(codes, at, length);
        if (end > at) {
            if (end - at > 1) {
                settle_tone(codes + at, end - at);
            }
            at = end;
            continue;
        }
        if (is_separator(codes[at])) {
            settle_y(codes + word, at - word);
            word = at + 1;
        }
        at++;
    }
    settle_y(codes + word, length - word);
}

/* --- two names compared as though both were in it ---
 *
 * Where they are to be equal, the letters under the tones are the same in both; so runs of vowels,
 * words, and what may differ in them are read from the claimed name for both. */

#define TONE 7U /* the bits of a vowel's code that hold its tone */
#define I_OR_Y ((unsigned)(XT_CODE_VOWEL(I, 0) ^ XT_CODE_VOWEL(Y, 0)))

/* 0 for no difference. Branches are on the claimed name, the held one only goes into sums. */
static unsigned run_difference(const uint8_t *claimed, const uint8_t *held, size_t size,
                               unsigned last_may)
{
    unsigned last = (unsigned)(claimed[size - 1] ^ held[size - 1]) & ~TONE;
    unsigned letters = last & (0U - (last != last_may));
    unsigned places = 0, tones = 0, claimed_tones = 0, held_tones = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned difference = claimed[i] ^ held[i];
        letters |= i + 1 < size ? difference & ~TONE : 0;
        places |= difference & TONE;
        tones ^= difference & TONE; /* 0 when both have one tone and it is the same */
        claimed_tones += (claimed[i] & TONE) != 0;
        held_tones += (held[i] & TONE) != 0;
    }
    if (size == 1 || claimed_tones != 1 || !is_syllable(claimed, size)) {
        return letters | places;
    }
    return letters | tones | (held_tones ^ 1);
}

static unsigned spelling_difference(const struct xt_name *claimed, const struct xt_name *held)
{
    size_t length = claimed->length < XT_NAME_MAX ? claimed->length : XT_NAME_MAX;
    const uint8_t *a = claimed->codes, *b = held->codes;
    unsigned difference = claimed->length ^ held->length;
    size_t word = 0;
    for (size_t at = 0; at < length;) {
        size_t end = end_of_run(a, at, length);
        if (end == at) {
            difference |= a[at] ^ b[at];
            at++;
            word = is_separator(a[at - 1]) ? at : word;
            continue;
        }
        bool closes = end == length || is_separator(a[end]);
        unsigned last_may = closes && y_may_be_i(a + word, end - word) ? I_OR_Y : 0;
        difference |= run_difference(a + at, b + at, end - at, last_may);
        at = end;
    }
    return difference;
}

static unsigned code_difference(const struct xt_name *claimed, const struct xt_name *held)
{
    unsigned difference = claimed->length ^ held->length;
    for (size_t i = 0; i < claimed->length && i < XT_NAME_MAX; i++) {
        difference |= claimed->codes[i] ^ held->codes[i];
    }
    return difference;
}

bool xt_name_matches(const struct xt_name *claimed, const struct xt_name *held,
                     enum xt_name_level level)
{
    /* Codes past the held name's length may be read; the lengths' difference has then decided. */
    return (level == XT_NAME_EXACT ? code_difference(claimed, held)
                                   : spelling_difference(claimed, held)) == 0;
}
