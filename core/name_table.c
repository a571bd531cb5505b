#include "core/name_table.h"

/* vowel, then none grave hook tilde acute dot in lower case, then the same in upper case */
#define VOWELS(ROW)                                                                                \
    ROW(A, 'a', 0xE0, 0x1EA3, 0xE3, 0xE1, 0x1EA1, 'A', 0xC0, 0x1EA2, 0xC3, 0xC1, 0x1EA0)           \
    ROW(A_BREVE, 0x103, 0x1EB1, 0x1EB3, 0x1EB5, 0x1EAF, 0x1EB7, 0x102, 0x1EB0, 0x1EB2, 0x1EB4,     \
        0x1EAE, 0x1EB6)                                                                            \
    ROW(A_CIRCUMFLEX, 0xE2, 0x1EA7, 0x1EA9, 0x1EAB, 0x1EA5, 0x1EAD, 0xC2, 0x1EA6, 0x1EA8, 0x1EAA,  \
        0x1EA4, 0x1EAC)                                                                            \
    ROW(E, 'e', 0xE8, 0x1EBB, 0x1EBD, 0xE9, 0x1EB9, 'E', 0xC8, 0x1EBA, 0x1EBC, 0xC9, 0x1EB8)       \
    ROW(E_CIRCUMFLEX, 0xEA, 0x1EC1, 0x1EC3, 0x1EC5, 0x1EBF, 0x1EC7, 0xCA, 0x1EC0, 0x1EC2, 0x1EC4,  \
        0x1EBE, 0x1EC6)                                                                            \
    ROW(I, 'i', 0xEC, 0x1EC9, 0x129, 0xED, 0x1ECB, 'I', 0xCC, 0x1EC8, 0x128, 0xCD, 0x1ECA)         \
    ROW(O, 'o', 0xF2, 0x1ECF, 0xF5, 0xF3, 0x1ECD, 'O', 0xD2, 0x1ECE, 0xD5, 0xD3, 0x1ECC)           \
    ROW(O_CIRCUMFLEX, 0xF4, 0x1ED3, 0x1ED5, 0x1ED7, 0x1ED1, 0x1ED9, 0xD4, 0x1ED2, 0x1ED4, 0x1ED6,  \
        0x1ED0, 0x1ED8)                                                                            \
    ROW(O_HORN, 0x1A1, 0x1EDD, 0x1EDF, 0x1EE1, 0x1EDB, 0x1EE3, 0x1A0, 0x1EDC, 0x1EDE, 0x1EE0,      \
        0x1EDA, 0x1EE2)                                                                            \
    ROW(U, 'u', 0xF9, 0x1EE7, 0x169, 0xFA, 0x1EE5, 'U', 0xD9, 0x1EE6, 0x168, 0xDA, 0x1EE4)         \
    ROW(U_HORN, 0x1B0, 0x1EEB, 0x1EED, 0x1EEF, 0x1EE9, 0x1EF1, 0x1AF, 0x1EEA, 0x1EEC, 0x1EEE,      \
        0x1EE8, 0x1EF0)                                                                            \
    ROW(Y, 'y', 0x1EF3, 0x1EF7, 0x1EF9, 0xFD, 0x1EF5, 'Y', 0x1EF2, 0x1EF6, 0x1EF8, 0xDD, 0x1EF4)

#define CONSONANTS(ROW)                                                                            \
    ROW('b', 'B')                                                                                  \
    ROW('c', 'C')                                                                                  \
    ROW('d', 'D')                                                                                  \
    ROW('f', 'F')                                                                                  \
    ROW('g', 'G')                                                                                  \
    ROW('h', 'H')                                                                                  \
    ROW('j', 'J')                                                                                  \
    ROW('k', 'K')                                                                                  \
    ROW('l', 'L')                                                                                  \
    ROW('m', 'M')                                                                                  \
    ROW('n', 'N')                                                                                  \
    ROW('p', 'P')                                                                                  \
    ROW('q', 'Q')                                                                                  \
    ROW('r', 'R')                                                                                  \
    ROW('s', 'S')                                                                                  \
    ROW('t', 'T')                                                                                  \
    ROW('v', 'V')                                                                                  \
    ROW('w', 'W')                                                                                  \
    ROW('x', 'X')                                                                                  \
    ROW('z', 'Z')

#define SLOT(code_point)                                                                           \
    ((code_point) < 0x250    ? (code_point)                                                        \
     : (code_point) < 0x1EA0 ? (code_point)-0x300 + XT_SLOT_MARKS                                  \
                             : (code_point)-0x1EA0 + XT_SLOT_VIETNAMESE)

#define VOWEL_VALUES(vowel, n, g, h, t, a, d, N, G, H, T, A, D)                                    \
    [SLOT(n)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_NONE),                                     \
    [SLOT(g)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_GRAVE),                                    \
    [SLOT(h)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_HOOK),                                     \
    [SLOT(t)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_TILDE),                                    \
    [SLOT(a)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_ACUTE),                                    \
    [SLOT(d)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_DOT),                                      \
    [SLOT(N)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_NONE),                                     \
    [SLOT(G)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_GRAVE),                                    \
    [SLOT(H)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_HOOK),                                     \
    [SLOT(T)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_TILDE),                                    \
    [SLOT(A)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_ACUTE),                                    \
    [SLOT(D)] = XT_CODE_VOWEL(XT_VOWEL_##vowel, XT_TONE_DOT),

#define CONSONANT_VALUES(lower, upper) [lower] = (lower), [upper] = (lower),

const uint8_t xt_name_values[XT_SLOT_COUNT] = {
    VOWELS(VOWEL_VALUES) CONSONANTS(CONSONANT_VALUES)[' '] = ' ', ['\''] = '\'', ['-'] = '-',
    ['.'] = '.', [0xA0] = ' ', /* no-break space */
    [0xAD] = XT_VALUE_IGNORE,  /* soft hyphen */
    /* đ, and the letters of other alphabets that look like it and are typed for it: Icelandic eth
     * (Ð ð), African d (Ɖ ɖ; the small one is U+0256, below). None decomposes to d. */
    [0x110] = XT_CODE_D_STROKE, [0x111] = XT_CODE_D_STROKE, [0xD0] = XT_CODE_D_STROKE,
    [0xF0] = XT_CODE_D_STROKE, [0x189] = XT_CODE_D_STROKE, [SLOT(0x300)] = XT_TONE_GRAVE,
    [SLOT(0x340)] = XT_TONE_GRAVE, /* deprecated twin, as is U+0341 */
    [SLOT(0x301)] = XT_TONE_ACUTE, [SLOT(0x341)] = XT_TONE_ACUTE, [SLOT(0x303)] = XT_TONE_TILDE,
    [SLOT(0x309)] = XT_TONE_HOOK, [SLOT(0x323)] = XT_TONE_DOT, [SLOT(0x302)] = XT_VALUE_CIRCUMFLEX,
    [SLOT(0x306)] = XT_VALUE_BREVE, [SLOT(0x31B)] = XT_VALUE_HORN,
    [SLOT(0x34F)] = XT_VALUE_IGNORE, /* combining grapheme joiner */
};

uint8_t xt_name_value_elsewhere(uint32_t code_point)
{
    if (code_point >= 0xFF01 && code_point <= 0xFF5E) { /* full-width ASCII */
        return xt_name_values[code_point - 0xFF01 + '!'];
    }
    if (code_point >= 0x2000 && code_point <= 0x200A) {
        return XT_CODE_SPACE;
    }
    if ((code_point >= 0x200B && code_point <= 0x200F) ||
        (code_point >= 0x202A && code_point <= 0x202E) ||
        (code_point >= 0x2060 && code_point <= 0x2064) ||
        (code_point >= 0x2066 && code_point <= 0x2069) ||
        (code_point >= 0xFE00 && code_point <= 0xFE0F)) {
        return XT_VALUE_IGNORE; /* joiners, directional marks, variation selectors */
    }
    switch (code_point) {
    case 0x256:
        return XT_CODE_D_STROKE;
    case 0x2BB: /* modifier letters used as apostrophes */
    case 0x2BC:
    case 0x2018:
    case 0x2019:
    case 0x201B:
    case 0x2032:
        return '\'';
    case 0x2010:
    case 0x2011:
    case 0x2013:
        return '-';
    case 0x1680:
    case 0x202F:
    case 0x205F:
    case 0x3000:
        return XT_CODE_SPACE;
    case 0x180E:
    case 0xFEFF:
        return XT_VALUE_IGNORE;
    default:
        return XT_VALUE_OTHER;
    }
}

unsigned xt_name_vowel_with(unsigned vowel, unsigned value)
{
    switch (value) {
    case XT_VALUE_CIRCUMFLEX:
        return vowel == XT_VOWEL_A   ? XT_VOWEL_A_CIRCUMFLEX
               : vowel == XT_VOWEL_E ? XT_VOWEL_E_CIRCUMFLEX
               : vowel == XT_VOWEL_O ? XT_VOWEL_O_CIRCUMFLEX
                                     : XT_VOWEL_COUNT;
    case XT_VALUE_BREVE:
        return vowel == XT_VOWEL_A ? XT_VOWEL_A_BREVE : XT_VOWEL_COUNT;
    case XT_VALUE_HORN:
        return vowel == XT_VOWEL_O   ? XT_VOWEL_O_HORN
               : vowel == XT_VOWEL_U ? XT_VOWEL_U_HORN
                                     : XT_VOWEL_COUNT;
    default:
        return XT_VOWEL_COUNT;
    }
}

#define VOWEL_LOWER(vowel, n, g, h, t, a, d, N, G, H, T, A, D)                                     \
    [XT_CODE_VOWEL(XT_VOWEL_##vowel, 0)] = (n), (g), (h), (t), (a), (d),
#define VOWEL_UPPER(vowel, n, g, h, t, a, d, N, G, H, T, A, D)                                     \
    [XT_CODE_VOWEL(XT_VOWEL_##vowel, 0)] = (N), (G), (H), (T), (A), (D),
#define CONSONANT_LOWER(lower, upper) [lower] = (lower),
#define CONSONANT_UPPER(lower, upper) [lower] = (upper),
#define PUNCTUATION [' '] = ' ', ['\''] = '\'', ['-'] = '-', ['.'] = '.'

static const uint16_t lower[256] = {
    VOWELS(VOWEL_LOWER) CONSONANTS(CONSONANT_LOWER) PUNCTUATION,
    [XT_CODE_D_STROKE] = 0x111,
};
static const uint16_t upper[256] = {
    VOWELS(VOWEL_UPPER) CONSONANTS(CONSONANT_UPPER) PUNCTUATION,
    [XT_CODE_D_STROKE] = 0x110,
};

uint32_t xt_name_lower(uint8_t code)
{
    return lower[code];
}

uint32_t xt_name_upper(uint8_t code)
{
    return upper[code];
}

uint8_t xt_name_base(uint8_t code)
{
    static const char bases[] = "aaaeeiooouuy";
    if (xt_code_is_vowel(code)) {
        return (uint8_t)bases[xt_code_vowel(code)];
    }
    return code == XT_CODE_D_STROKE ? 'd' : code;
}

size_t xt_name_escape(uint32_t code_point, uint8_t *codes)
{
    if (code_point < 0x1000) {
        codes[0] = (uint8_t)(XT_CODE_ESCAPE_SHORT | code_point >> 10);
        codes[1] = code_point >> 5 & 31;
        codes[2] = code_point & 31;
        return 3;
    }
    if (code_point < 0x40000) {
        codes[0] = (uint8_t)(XT_CODE_ESCAPE_LONG | code_point >> 15);
        codes[1] = code_point >> 10 & 31;
        codes[2] = code_point >> 5 & 31;
        codes[3] = code_point & 31;
        return 4;
    }
    return 0;
}

uint32_t xt_name_next(const struct xt_name *name, size_t *at, uint8_t *code)
{
    uint8_t lead = name->codes[(*at)++];
    unsigned digits;
    uint32_t code_point;
    if (lead >= XT_CODE_ESCAPE_LONG && lead < XT_CODE_ESCAPE_LONG + 8) {
        digits = 3;
        code_point = lead & 7;
    } else if (lead >= XT_CODE_ESCAPE_SHORT && lead < XT_CODE_ESCAPE_SHORT + 4) {
        digits = 2;
        code_point = lead & 3;
    } else {
        *code = lead;
        return lower[lead] != 0 ? lower[lead] : 0xFFFD;
    }
    *code = 0;
    for (; digits > 0; digits--) {
        if (*at >= name->length || *at >= XT_NAME_MAX || name->codes[*at] > 31) {
            return 0xFFFD;
        }
        code_point = code_point << 5 | name->codes[(*at)++];
    }
    return code_point >= 0xD800 && code_point <= 0xDFFF ? 0xFFFD : code_point;
}
