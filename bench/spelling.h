/* bench/spelling: other ways to write a generated name, right ones and wrong ones.
 *
 * Independent of core/name on purpose: requests say what the server must find, so they must not be
 * made with the code that finds it. Knows the letters of bench/names only (NFC Vietnamese, ASCII).
 */
#ifndef XT_BENCH_SPELLING_H
#define XT_BENCH_SPELLING_H

#include "bench/population.h"
#include "bench/random.h"

#define XT_LETTERS_MAX 128
#define XT_SPELLING_TEXT_MAX 768 /* bytes; XT_LETTERS_MAX letters in any form */

struct xt_letter {
    char base;    /* 'a'-'z', or a space, apostrophe, hyphen */
    uint8_t mark; /* 0 none, 1 circumflex, 2 breve, 3 horn, 4 stroke (đ) */
    uint8_t tone; /* 0 none, 1 grave, 2 acute, 3 hook, 4 tilde, 5 dot below */
    bool upper;
};

struct xt_letters {
    unsigned count;
    struct xt_letter list[XT_LETTERS_MAX];
};

enum xt_form {
    XT_FORM_NFC,
    XT_FORM_NFD,       /* canonical decomposition, marks in canonical order */
    XT_FORM_COMBINING, /* â, ơ ... as one letter and the tone as a combining mark (Windows-1258) */
    XT_FORM_FULL_WIDTH /* bare ASCII letters as U+FF21 ... */
};

void xt_letters_read(struct xt_span text, struct xt_letters *letters);
/* Gives bytes written into text, which has room for XT_SPELLING_TEXT_MAX. */
size_t xt_letters_write(const struct xt_letters *letters, enum xt_form form, char *text);

void xt_letters_set_case(struct xt_letters *letters, bool upper);

/* The same name by the spelling rules (domain facts, section 7); false where there is nothing to
 * change: hòa <-> hoà, and mỹ <-> mĩ after h k l m s t and in quý <-> quí. */
bool xt_letters_move_tone(struct xt_letters *letters);
bool xt_letters_swap_i_y(struct xt_letters *letters);

/* Another name at every legal level; false where the kind of mistake does not fit this name. */
enum xt_mistake {
    XT_MISTAKE_UNACCENTED,
    XT_MISTAKE_SUBSTITUTED,
    XT_MISTAKE_DROPPED,
    XT_MISTAKE_DOUBLED,
    XT_MISTAKE_TONE,
    XT_MISTAKE_MISSING_TOKEN,
    XT_MISTAKE_REORDERED,
    XT_MISTAKE_COUNT
};
const char *xt_mistake_name(enum xt_mistake mistake);
bool xt_letters_spoil(struct xt_letters *letters, enum xt_mistake mistake,
                      struct xt_stream *stream);

/* Whether no spelling rule can make the two equal: they differ even with i for y throughout and
 * tones taken from wherever they stand in a token. */
bool xt_letters_surely_differ(const struct xt_letters *a, const struct xt_letters *b);

#endif
