/* core/name_table: the codes that a folded name is made of. Private to core/name*.
 *
 *   00-1F  payload of an escape: five bits each
 *   20     space      27 '   2D -   2E .
 *   62-7A  the ASCII consonants (and f j w z), as in ASCII
 *   80-DF  a vowel with its tone:  1vvv vttt   v 0-11: a ă â e ê i o ô ơ u ư y
 *                                              t 0-5: none, grave, hook, tilde, acute, dot
 *   E0     đ
 *   E8-EB  any other letter or mark below U+1000:  1110 10xx  000xxxxx 000xxxxx
 *   F0-F7  any other letter or mark below U+40000: 1111 0xxx  000xxxxx 000xxxxx 000xxxxx
 *
 * No code of one kind can be mistaken for another, so a name may be scanned byte by byte. Letters
 * of escapes are in NFKC and case-folded. The table is part of the record encoding's version.
 */
#ifndef XT_CORE_NAME_TABLE_H
#define XT_CORE_NAME_TABLE_H

#include "core/name.h"

enum xt_name_vowel {
    XT_VOWEL_A,
    XT_VOWEL_A_BREVE,
    XT_VOWEL_A_CIRCUMFLEX,
    XT_VOWEL_E,
    XT_VOWEL_E_CIRCUMFLEX,
    XT_VOWEL_I,
    XT_VOWEL_O,
    XT_VOWEL_O_CIRCUMFLEX,
    XT_VOWEL_O_HORN,
    XT_VOWEL_U,
    XT_VOWEL_U_HORN,
    XT_VOWEL_Y,
    XT_VOWEL_COUNT
};

enum xt_name_tone {
    XT_TONE_NONE,
    XT_TONE_GRAVE,
    XT_TONE_HOOK,
    XT_TONE_TILDE,
    XT_TONE_ACUTE,
    XT_TONE_DOT,
    XT_TONE_COUNT
};

#define XT_CODE_SPACE 0x20
#define XT_CODE_LETTER 0x61 /* this and above: a letter or the first byte of an escape */
#define XT_CODE_VOWEL(vowel, tone) (0x80 | (vowel) << 3 | (tone))
#define XT_CODE_D_STROKE 0xE0
#define XT_CODE_ESCAPE_SHORT 0xE8
#define XT_CODE_ESCAPE_LONG 0xF0

static inline bool xt_code_is_vowel(uint8_t code)
{
    return (uint8_t)(code - 0x80) < 0x60;
}
static inline unsigned xt_code_vowel(uint8_t code)
{
    return code >> 3 & 15;
}
static inline unsigned xt_code_tone(uint8_t code)
{
    return code & 7;
}
static inline uint8_t xt_code_with_tone(uint8_t code, unsigned tone)
{
    return (uint8_t)((code & ~7U) | tone);
}

/* What a code point is to the parser, in one byte: a letter's code, a space or punctuation code, or
 * one of these. The first five are the tones' own numbers. */
enum xt_name_value {
    XT_VALUE_OTHER = 0, /* not in the table */
    XT_VALUE_CIRCUMFLEX = XT_TONE_COUNT,
    XT_VALUE_BREVE,
    XT_VALUE_HORN,
    XT_VALUE_IGNORE /* zero-width */
};

/* The code points with a value stand in three ranges, laid end to end. */
#define XT_SLOT_VIETNAMESE 0x250 /* U+1EA0-U+1EFF */
#define XT_SLOT_MARKS 0x2B0      /* U+0300-U+034F */
#define XT_SLOT_COUNT 0x300
extern const uint8_t xt_name_values[XT_SLOT_COUNT];

/* The rest: spaces, apostrophes, hyphens, zero-width and full-width forms. */
uint8_t xt_name_value_elsewhere(uint32_t code_point);

static inline uint8_t xt_name_value_of(uint32_t code_point)
{
    if (code_point < 0x250) {
        return xt_name_values[code_point];
    }
    if (code_point - 0x1EA0 < 0x60) {
        return xt_name_values[code_point - 0x1EA0 + XT_SLOT_VIETNAMESE];
    }
    if (code_point - 0x300 < 0x50) {
        return xt_name_values[code_point - 0x300 + XT_SLOT_MARKS];
    }
    return xt_name_value_elsewhere(code_point);
}

/* The vowel that a circumflex, breve or horn makes of a vowel; XT_VOWEL_COUNT: none. */
unsigned xt_name_vowel_with(unsigned vowel, unsigned value);

/* Code points of a one-byte code; 0 where the byte is no such code. */
uint32_t xt_name_lower(uint8_t code);
uint32_t xt_name_upper(uint8_t code);

/* The ASCII letter under a one-byte code: a for ắ, d for đ; other codes are given back. */
uint8_t xt_name_base(uint8_t code);

/* Writes the escape of a code point to codes (room for 4). Gives its length, 0 when it has none. */
size_t xt_name_escape(uint32_t code_point, uint8_t *codes);

/* Reads the letter at codes[*at] and moves on. An escape gives its code point with *code 0; any
 * other byte is given in *code with its lower-case code point. U+FFFD for what is no code. */
uint32_t xt_name_next(const struct xt_name *name, size_t *at, uint8_t *code);

/* --- core/name_unicode.c: the way of letters outside the table, through utf8proc --- */

enum xt_status xt_name_parse_any(struct xt_span text, struct xt_name *name);
/* The capital that folds back to exactly this letter, or the letter itself. */
uint32_t xt_name_capital(uint32_t code_point);
/* Without its marks: o for ö; 0 for a combining mark. */
uint32_t xt_name_base_letter(uint32_t code_point);

/* --- core/name.c --- */

/* Adds the value of one code point. XT_AGAIN: not in the table, or a mark that fits no letter of
 * the table; nothing was added. XT_TOO_LARGE: no room. */
enum xt_status xt_name_add(struct xt_name *name, uint8_t value);
/* Drops a space at the end and judges the whole. */
enum xt_status xt_name_finish(struct xt_name *name);

/* --- core/name_match.c --- */

/* Turns the name into its canonical spelling; two names are equal at level `spelling` when these
 * are. */
void xt_name_spell(struct xt_name *name);

/* --- core/name_mojibake.c --- */

/* Whether the capital of Latin-1 at text[at] (U+00C0-U+00DE, two bytes) shows UTF-8 read as
 * Latin-1 or Windows-1252, or TCVN3. */
bool xt_name_capital_is_mojibake(struct xt_span text, size_t at);
/* Whether two letters stand side by side that only VNI, or UTF-8 read otherwise, puts there. */
bool xt_name_has_mojibake_pair(const struct xt_name *name);

#endif
