/* core/name: Vietnamese personal names, and the five levels at which two of them are the same.
 *
 * A name is held folded: one byte per letter out of a fixed table (134 Vietnamese letters in lower
 * case, the ASCII letters, apostrophe, hyphen, full stop, space), an escape for any other letter.
 * Case, NFC or NFD and mark order, kinds and runs of spaces, zero-width characters and full-width
 * forms are gone after parsing; so two names are equal at level `exact` when their codes are.
 *
 *   level       absorbs besides                                                        legal match
 *   exact       kinds of apostrophe and hyphen; Ð ð Ɖ ɖ for Đ đ                            yes
 *   spelling    where a syllable's tone stands (hòa hoà, qúy quý); y for i (Mỹ Mĩ, Quý Quí) yes
 *   unaccented  all marks, đ for d, separators inside tokens                               no
 *   reordered   the order of tokens, or all of them joined                                 no
 *   fuzzy       a weighted edit distance of tokens, score 80 and up                        no
 *
 * Rules that are decisions (domain facts, section 7):
 * - The look-alikes of đ are đ from parsing on: wrong keyboards type them, no Vietnamese name has
 *   them as letters of their own, and an Icelandic ð is the price.
 * - A tone may stand on any letter of one syllable's run of vowels, since a syllable has one tone
 *   and its letters decide where it is written; only in runs that are one syllable's (a table), so
 *   that the joined Lêánh and Lếanh stay apart.
 * - y is i only as the sole vowel of a whole word after h k l m s t v, and in quy. Words end at a
 *   space or hyphen, not at an apostrophe: in the Ê Đê H'My and H'Mi y and i are two vowels. Thy,
 *   Thuy, Tay, Quỳnh have other onsets or more letters and stay as they are.
 * - The toneless Vi and Vy stay apart wherever they stand, though v is in that list: one is a
 *   surname, the other a given name, and which token is the surname cannot be known. Vĩ and Vỹ are
 *   one.
 * - Other letters (Ö, ç, ñ, other scripts) go through NFKC and case folding, ten times slower.
 * - Mojibake is refused, never repaired; some foreign names are refused with it: those with letters
 *   that VNI writes (Seán, Naïm, Ñ at the start of a word: VNI for ế, ạ, Đ) and no word that is not a
 *   Vietnamese syllable. Naïm alone is refused, Naïm Haddad and Boûtin are names. The price: VNI with
 *   such a word, as two joined, passes and will simply not match.
 *   TCVN3 that happens to be all plausible letters passes and will simply not match.
 *
 * Thread: pure functions. Memory: nothing is allocated. Tables are constants.
 */
#ifndef XT_CORE_NAME_H
#define XT_CORE_NAME_H

#include "core/span.h"
#include "core/status.h"

#define XT_NAME_MAX 120         /* codes; the longest registered names are below 70 */
#define XT_NAME_TEXT_MAX 512    /* bytes of UTF-8 accepted on input (NFD takes up to 5 a letter) */
#define XT_NAME_DISPLAY_MAX 512 /* bytes of UTF-8 produced */

enum xt_name_level {
    XT_NAME_EXACT,
    XT_NAME_SPELLING,
    XT_NAME_UNACCENTED,
    XT_NAME_REORDERED,
    XT_NAME_FUZZY,
    XT_NAME_DIFFERENT
};

struct xt_name {
    uint8_t length;             /* codes used */
    uint8_t codes[XT_NAME_MAX]; /* core/name_table.h; versioned with the record encoding */
};

/* UTF-8 text -> folded name. XT_INVALID: invalid UTF-8, empty or without a letter, control
 * characters, digits or symbols, a lone combining mark, two tones on one letter, legacy code pages
 * read as Latin-1 (VNI, TCVN3 mojibake: refused, never guessed). XT_TOO_LARGE: over the limits.
 * On failure the length is 0. */
XT_MUST_USE enum xt_status xt_name_parse(struct xt_span text, struct xt_name *name);

/* Whether the two are the same at `level` (EXACT, or SPELLING for anything weaker; the hot path of
 * every verify, some 0.1 us). The time taken depends on the claimed name only: not on what is held,
 * on its length, or on whether and where they differ. Symmetric all the same. Codes past the lengths
 * do not count. Any codes are safe. */
bool xt_name_matches(const struct xt_name *claimed, const struct xt_name *held,
                     enum xt_name_level level);

struct xt_name_comparison {
    enum xt_name_level level; /* the strictest level that holds; FUZZY from score 80 up */
    unsigned score;           /* 0-100; 100 for every level up to REORDERED */
};

/* The strictest level at which the two are the same, for advisory results. The score weighs the
 * first and last token (family and given name) 3, the others 2; within a token a letter with other
 * marks costs a quarter, one that sounds alike in some region (s x, l n, i y, c k, d r) half, any
 * other letter, a missing one or a swapped pair a whole. Symmetric. Time by the claimed name: 2-7 us,
 * at worst (two names of 120 letters) below 100. The same, within some 0.1 us, whichever level holds and
 * whatever is held, up to names of 32 codes and 8 tokens; a longer one held takes what the next
 * multiple of these would. */
struct xt_name_comparison xt_name_compare(const struct xt_name *claimed,
                                          const struct xt_name *held);

/* Writes the name in NFC UTF-8 with every token capitalised (Nguyễn Văn An, H'Hen Niê), no NUL.
 * Parsing that gives the same codes again. Gives bytes written, whole letters only where text is
 * too small; size XT_NAME_DISPLAY_MAX is always enough. Any codes are safe: U+FFFD for what is
 * none. */
size_t xt_name_display(const struct xt_name *name, char *text, size_t size);

#endif
