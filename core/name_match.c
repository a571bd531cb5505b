/* The two levels that are legal matches. Both names are worked through to the end whatever is in
 * them, so that the time tells nothing of where they differ. */
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
    [PAIR(U, OH)] = END,
    [PAIR(U, Y)] = END | THEN(A) | THEN(EC) | THEN(U),
    [PAIR(UH, A)] = END,
    [PAIR(UH, I)] = END,
    [PAIR(UH, OH)] = END | THEN(I) | THEN(U),
    [PAIR(UH, U)] = END,
    [PAIR(Y, EC)] = END | THEN(U),
};

/* One tone in a known run of vowels goes to the run's last letter. */
static void settle_tone(uint8_t *run, size_t size)
{
    if (size > 3) {
        return;
    }
    unsigned tones = 0, tone = 0;
    for (size_t i = 0; i < size; i++) {
        tone |= xt_code_tone(run[i]);
        tones += xt_code_tone(run[i]) != XT_TONE_NONE;
    }
    unsigned third = size == 3 ? THEN(xt_code_vowel(run[2])) : END;
    if (tones != 1 ||
        (vowel_runs[PAIR(xt_code_vowel(run[0]), xt_code_vowel(run[1]))] & third) == 0) {
        return;
    }
    for (size_t i = 0; i + 1 < size; i++) {
        run[i] = xt_code_with_tone(run[i], XT_TONE_NONE);
    }
    run[size - 1] = xt_code_with_tone(run[size - 1], tone);
}

/* y as the sole vowel of a whole word becomes i after h k l m s t v and in quy. Not in the toneless
 * Vy: the surname Vi and the given name Vy are different names, while Vĩ and Vỹ are one. */
static void settle_y(uint8_t *word, size_t size)
{
    if (size != 2 && size != 3) {
        return;
    }
    uint8_t last = word[size - 1];
    if (!xt_code_is_vowel(last) || xt_code_vowel(last) != Y) {
        return;
    }
    bool same;
    if (size == 2) {
        same = word[0] == 'h' || (word[0] >= 'k' && word[0] <= 'm') || word[0] == 's' ||
               word[0] == 't' || (word[0] == 'v' && xt_code_tone(last) != XT_TONE_NONE);
    } else {
        same = word[0] == 'q' && word[1] == XT_CODE_VOWEL(U, XT_TONE_NONE);
    }
    if (same) {
        word[size - 1] = (uint8_t)XT_CODE_VOWEL(I, xt_code_tone(last));
    }
}

/* One spelling for each word. The length stays; codes past it are not written. */
static void spell(const struct xt_name *name, uint8_t codes[XT_NAME_MAX])
{
    size_t length = name->length < XT_NAME_MAX ? name->length : XT_NAME_MAX;
    size_t word = 0;
    unsigned after_vowel = 0;
    memcpy(codes, name->codes, length);
    for (size_t i = 0; i < length; i++) {
        uint8_t code = codes[i];
        unsigned vowel = xt_code_is_vowel(code);
        if ((vowel & after_vowel) != 0) { /* one branch, seldom taken */
            size_t run = i - 1;
            while (i + 1 < length && xt_code_is_vowel(codes[i + 1])) {
                i++;
            }
            settle_tone(codes + run, i + 1 - run);
            after_vowel = 0;
            continue;
        }
        if (code == XT_CODE_SPACE || code == '-') {
            settle_y(codes + word, i - word);
            word = i + 1;
        }
        after_vowel = vowel;
    }
    settle_y(codes + word, length - word);
}

void xt_name_spell(struct xt_name *name)
{
    struct xt_name before = *name;
    spell(&before, name->codes);
}

static bool same_codes(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
    size_t length = a_length < b_length ? a_length : b_length;
    size_t difference = a_length ^ b_length;
    for (size_t i = 0; i < length && i < XT_NAME_MAX; i++) {
        difference |= a[i] ^ b[i];
    }
    return difference == 0;
}

bool xt_name_matches(const struct xt_name *claimed, const struct xt_name *held,
                     enum xt_name_level level)
{
    if (level == XT_NAME_EXACT) {
        return same_codes(claimed->codes, claimed->length, held->codes, held->length);
    }
    /* Also for names that are equal as they stand: a short cut would tell by the time that the name
     * is right where the answer must not, as of somebody deceased. */
    uint8_t a[XT_NAME_MAX], b[XT_NAME_MAX];
    spell(claimed, a);
    spell(held, b);
    return same_codes(a, claimed->length, b, held->length);
}
