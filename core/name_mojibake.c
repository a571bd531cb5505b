/* Text of one code page read as another. It is refused, never repaired: a guess that is wrong would
 * be a wrong person. Most of it needs no rule here, since it puts symbols into words (Nguyá»…n,
 * V¨n, Ph¹m); these are the cases that consist of letters only. Each rule is as wide as it can be
 * without refusing a name that somebody bears. */
#include "core/name_table.h"
#include "core/utf8.h"

static bool is_any_of(uint32_t code_point, const uint16_t *list)
{
    while (*list != 0 && *list != code_point) {
        list++;
    }
    return *list != 0;
}

/* The bytes C3 and C4 begin à-ý and ă đ ĩ in UTF-8; as Latin-1 they are Ã and Ä. These are the
 * bytes after them that are no symbols in Windows-1252, so far as they tell more in capitals or
 * before cleaning; Ãš, Ãœ, Ãž are seen below, and ƒ is refused wherever it stands. */
static bool is_utf8_read_as_latin1(uint32_t capital, uint32_t next, uint32_t after_next)
{
    static const uint16_t after_a_tilde[] = {0xAD, 0x178, 0x2013, 0x2014, 0x2018, 0x2019, 0};
    switch (capital) {
    case 0xC3:
        if (is_any_of(next, after_a_tilde)) {
            return true;
        }
        break;
    case 0xC4:
        return next == 0x2018 || next == 0x2019;
    case 0xC2:
    case 0xC6:
        break;
    default:
        return false;
    }
    /* à and Ơ end in the byte of a no-break space. One that really separates words stands between
     * two words of the same case. */
    return next == 0xA0 &&
           (after_next == 0 || after_next == ' ' || (after_next >= 'a' && after_next <= 'z'));
}

/* TCVN3 puts half of its small letters on the capitals of Latin-1: NguyÔn, ThÞ, TrÇn. So a capital
 * amid the small letters of a capitalised word; LÊ, lÊ and vĂN stay what they are, and so does any of
 * the capitals on which TCVN3 has nothing (HoÀng). */
static bool is_tcvn3(struct xt_span text, size_t at, uint32_t capital, uint32_t next)
{
    static const uint16_t unused[] = {0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5,
                                      0xCD, 0xD9, 0xDA, 0xDB, 0};
    if (is_any_of(capital, unused)) {
        return false;
    }
    if (at == 0 || text.data[at - 1] < 'a' || text.data[at - 1] > 'z') {
        return false;
    }
    if (next != 0 && next != ' ' && next != 0xA0 && (next < 'a' || next > 'z')) {
        return false;
    }
    size_t start = at;
    while (start > 0 && text.data[start - 1] > ' ') {
        start--;
    }
    return text.data[start] >= 'A' && text.data[start] <= 'Z';
}

bool xt_name_capital_is_mojibake(struct xt_span text, size_t at)
{
    uint32_t capital = 0xC0 | (text.data[at + 1] & 0x3FU);
    uint32_t next = 0, after_next = 0;
    size_t after = at + 2;
    size_t length = xt_utf8_read(text.data + after, text.size - after, &next);
    if (length > 0) {
        after += length;
        (void)xt_utf8_read(text.data + after, text.size - after, &after_next);
    }
    return is_utf8_read_as_latin1(capital, next, after_next) || is_tcvn3(text, at, capital, next);
}

/* VNI writes a mark as a letter of its own after the vowel: Nguyeãn, Traàn, Phaïm, Ñöùc. So a vowel
 * followed by a letter that in no name follows it. */

enum after {
    AFTER_A = 1 << 0,
    AFTER_E = 1 << 1,
    AFTER_O = 1 << 2,
    AFTER_U = 1 << 3,
    AFTER_Y = 1 << 4,
    AFTER_HORN = 1 << 5, /* ô and ö, which stand for ơ and ư */
    /* Only before the end of a Vietnamese word: Raúl, Gaëlle, Aïda are names, Phaïm, Ñaëng not. */
    CLOSED = 1 << 6, /* c ch m n ng nh p t: ă stands before nothing else */
    OPEN = 1 << 7,   /* nothing, or i o u y */
    AFTER_ANY = AFTER_A | AFTER_E | AFTER_O | AFTER_U | AFTER_Y | AFTER_HORN
};

static unsigned first_of_pair(uint32_t letter)
{
    switch (letter) {
    case 'a':
        return AFTER_A;
    case 'e':
        return AFTER_E;
    case 'o':
        return AFTER_O;
    case 'u':
        return AFTER_U;
    case 'y':
        return AFTER_Y;
    case 0xF4:
    case 0xF6:
        return AFTER_HORN;
    default:
        return 0;
    }
}

/* Only what Vietnamese itself never writes so: oà, oá, oã are its own. */
static unsigned second_of_pair(uint32_t letter)
{
    switch (letter) {
    case 0xF9: /* ù: acute */
    case 0xF5: /* õ: tilde */
    case 0xF8: /* ø: grave */
    case 0xFB: /* û: hook */
        return AFTER_ANY;
    case 0xE2: /* â: circumflex */
        return AFTER_A | AFTER_E | AFTER_O;
    case 0xE1: /* á: circumflex and acute */
    case 0xE0: /* à: circumflex and grave */
    case 0xE3: /* ã: circumflex and tilde */
        return AFTER_A | AFTER_E;
    case 0xE5: /* å: circumflex and hook */
    case 0xE4: /* ä: circumflex and dot */
        return AFTER_A | AFTER_E | AFTER_O;
    case 0xEA: /* ê: breve */
        return AFTER_A;
    case 0xE8: /* è: breve and grave */
    case 0xE9: /* é: breve and acute */
    case 0xFA: /* ú: breve and hook */
    case 0xFC: /* ü: breve and tilde */
    case 0xEB: /* ë: breve and dot */
        return AFTER_A | CLOSED;
    case 0xEF: /* ï: dot */
        return AFTER_A | AFTER_O | AFTER_U | AFTER_HORN | CLOSED | OPEN;
    case 0xF4: /* ô after ö: ươ */
        return AFTER_HORN;
    default:
        return 0;
    }
}

/* CLOSED, OPEN or 0, for what is left of the word from here on. */
static unsigned rest_of_word(const struct xt_name *name, size_t at)
{
    size_t size = 0;
    uint8_t codes[2] = {0};
    while (at < name->length && name->codes[at] >= XT_CODE_LETTER) {
        if (size == sizeof(codes)) {
            return 0;
        }
        codes[size++] = name->codes[at++];
    }
    if (size == 2) {
        bool closes = (codes[1] == 'h' && (codes[0] == 'c' || codes[0] == 'n')) ||
                      (codes[1] == 'g' && codes[0] == 'n');
        return closes ? CLOSED : 0;
    }
    if (size == 1 && !xt_code_is_vowel(codes[0])) {
        return memchr("cmnpt", codes[0], 5) != NULL ? CLOSED : 0;
    }
    return size == 0 || memchr("iouy", xt_name_base(codes[0]), 4) != NULL ? OPEN : 0;
}

/* French names with oï are commoner than words with ọ that begin with l. */
static bool is_loic(const struct xt_name *name, size_t after)
{
    return after >= 5 && name->codes[after - 5] == 'l' && after < name->length &&
           name->codes[after] == 'c';
}

/* Whether part is one of a list's entries, which stand between spaces; nothing at all is. */
static bool is_listed(const char *list, const char *part, size_t size)
{
    char entry[8] = " ";
    if (size > 3) {
        return false;
    }
    memcpy(entry + 1, part, size);
    entry[1 + size] = ' ';
    return size == 0 || strstr(list, entry) != NULL;
}

/* Whether a word could be a Vietnamese syllable, by its letters without marks, or initials. */
static bool is_syllable(const char *word)
{
    static const char onsets[] = " b c ch d g gh h k kh l m n ng ngh nh p ph q r s t th tr v x ";
    static const char codas[] = " c ch m n ng nh p t ";
    const char *vowels = word + strcspn(word, "aeiouy");
    const char *coda = vowels + strspn(vowels, "aeiouy");
    return is_listed(onsets, word, (size_t)(vowels - word)) && is_listed(codas, coda, strlen(coda));
}

/* Pairs of letters alone do not show that a name is VNI: Seán Kelly and Naïm Haddad have them too. Such
 * a name has a word that is no Vietnamese syllable (Kelly); VNI has none, but for joined words. */
static bool has_foreign_word(const struct xt_name *name)
{
    char word[XT_NAME_MAX + 1];
    size_t size = 0, at = 0;
    while (at < name->length) {
        uint8_t code;
        uint32_t letter = xt_name_next(name, &at, &code);
        if (code > 0 && code < XT_CODE_LETTER) {
            word[size] = '\0';
            if (!is_syllable(word)) {
                return true;
            }
            size = 0;
            continue;
        }
        uint32_t base = letter == 0xF1 ? 'd' /* ñ: VNI for đ */
                        : code == 0    ? xt_name_base_letter(letter)
                                       : xt_name_base(code);
        if (base != 0) {
            word[size++] = base < 0x80 ? (char)base : '?';
        }
    }
    word[size] = '\0';
    return !is_syllable(word);
}

/* UTF-8 read otherwise is refused at once, VNI where nothing speaks against it. */
static bool scan_pairs(const struct xt_name *name)
{
    bool vni = false;
    uint32_t previous = ' ';
    size_t at = 0;
    while (at < name->length) {
        uint8_t code;
        uint32_t letter = xt_name_next(name, &at, &code);
        if (letter == 0xF1 && (previous == ' ' || previous == '-')) {
            vni = true; /* ñ stands for đ */
        }
        if (previous == 0xE3 && (letter == 0x153 || letter == 0x161 || letter == 0x17E)) {
            return true; /* Ãœ Ãš Ãž: UTF-8 read as Windows-1252 */
        }
        unsigned second = second_of_pair(letter);
        if ((second & first_of_pair(previous)) != 0 &&
            !(letter == 0xF4 && previous == 0xF4) /* ôô is only a slip */) {
            bool ao = letter == 0xE3 && at < name->length &&
                      name->codes[at] == XT_CODE_VOWEL(XT_VOWEL_O, XT_TONE_NONE); /* Leão */
            bool foreign = (second & (CLOSED | OPEN)) != 0 &&
                           ((second & rest_of_word(name, at)) == 0 ||
                            (letter == 0xEF && previous == 'o' && is_loic(name, at)));
            vni |= !ao && !foreign;
        }
        previous = letter;
    }
    return vni && !has_foreign_word(name);
}

#define TONELESS(vowel) XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_NONE)
#define TONED(vowel, tone) XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_##tone)
#define ESCAPED 0x80 /* any escape may hold ñ or the second of a pair */

/* The two halves above by code, coarsely, so that most names need no closer look. */
static const uint8_t firsts[256] = {
    [TONELESS(A)] = AFTER_A, [TONELESS(E)] = AFTER_E, [TONELESS(O)] = AFTER_O,
    [TONELESS(U)] = AFTER_U, [TONELESS(Y)] = AFTER_Y, [TONELESS(O_CIRCUMFLEX)] = AFTER_HORN,
};
static const uint8_t seconds[256] = {
    [TONED(U, GRAVE)] = AFTER_ANY,
    [TONED(O, TILDE)] = AFTER_ANY,
    [TONELESS(A_CIRCUMFLEX)] = AFTER_A | AFTER_E | AFTER_O,
    [TONED(A, ACUTE)] = AFTER_A | AFTER_E,
    [TONED(A, GRAVE)] = AFTER_A | AFTER_E,
    [TONED(A, TILDE)] = AFTER_A | AFTER_E,
    [TONELESS(E_CIRCUMFLEX)] = AFTER_A,
    [TONED(E, GRAVE)] = AFTER_A,
    [TONED(E, ACUTE)] = AFTER_A,
    [TONED(U, ACUTE)] = AFTER_A,
    [XT_CODE_ESCAPE_SHORT... 255] = ESCAPED,
};

bool xt_name_has_mojibake_pair(const struct xt_name *name)
{
    unsigned suspects = 0;
    uint8_t first = ESCAPED;
    for (size_t i = 0; i < name->length; i++) {
        suspects |= first & seconds[name->codes[i]];
        first = ESCAPED | firsts[name->codes[i]];
    }
    return suspects != 0 && scan_pairs(name);
}
