/* Parsing and display. The levels are in test_name_match.c. */
#include "core/name.h"

#include "tests/core/corpus.h"
#include "tests/test.h"

#include <utf8proc.h>

static const char vietnamese_lower[] =
    "aàảãáạăằẳẵắặâầẩẫấậeèẻẽéẹêềểễếệiìỉĩíịoòỏõóọôồổỗốộơờởỡớợuùủũúụ"
    "ưừửữứựyỳỷỹýỵđ";
static const char vietnamese_upper[] =
    "AÀẢÃÁẠĂẰẲẴẮẶÂẦẨẪẤẬEÈẺẼÉẸÊỀỂỄẾỆIÌỈĨÍỊOÒỎÕÓỌÔỒỔỖỐỘƠỜỞỠỚỢUÙỦŨÚỤ"
    "ƯỪỬỮỨỰYỲỶỸÝỴĐ";
#define LETTERS 73 /* the 67 beyond ASCII and the six plain vowels */

static enum xt_status parse(const char *text, struct xt_name *name)
{
    return xt_name_parse(xt_span_of_string(text), name);
}

static bool equal(const struct xt_name *a, const struct xt_name *b)
{
    return a->length == b->length && memcmp(a->codes, b->codes, a->length) == 0;
}

static struct xt_name n(const char *text)
{
    struct xt_name name;
    if (parse(text, &name) != XT_OK) {
        fail_msg("refused: %s", text);
    }
    return name;
}

static void assert_same(const char *a, const char *b)
{
    struct xt_name x = n(a), y = n(b);
    if (!equal(&x, &y)) {
        fail_msg("differ: %s and %s", a, b);
    }
}

static void assert_shown(const char *text, const char *expected)
{
    struct xt_name name = n(text);
    char shown[XT_NAME_DISPLAY_MAX];
    size_t size = xt_name_display(&name, shown, sizeof(shown));
    if (size != strlen(expected) || memcmp(shown, expected, size) != 0) {
        fail_msg("%s shown as %.*s", text, (int)size, shown);
    }
}

static void refused(const char *text, size_t size)
{
    struct xt_name name;
    if (xt_name_parse(xt_span_of(text, size), &name) != XT_INVALID) {
        fail_msg("not refused: %.*s", (int)size, text);
    }
    assert_int_equal(name.length, 0);
}

static size_t decode(const char *text, int32_t *letters)
{
    size_t count = 0;
    const uint8_t *at = (const uint8_t *)text;
    while (*at != 0) {
        utf8proc_ssize_t length = utf8proc_iterate(at, -1, &letters[count++]);
        assert_true(length > 0);
        at += length;
    }
    return count;
}

static size_t encode(const int32_t *letters, size_t count, char *text)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += (size_t)utf8proc_encode_char(letters[i], (uint8_t *)text + size);
    }
    text[size] = 0;
    return size;
}

/* Every code point sequence that means one letter: a base that holds any of its marks already, and
 * the others after it in any order. */
static unsigned check_forms(const struct xt_name *expected, int32_t letter)
{
    int32_t parts[4];
    int boundary = 0;
    unsigned forms = 0;
    size_t count = (size_t)utf8proc_decompose_char(letter, parts, 4, UTF8PROC_DECOMPOSE, &boundary);
    assert_in_range(count, 1, 3);
    for (unsigned swapped = 0; swapped < (count == 3 ? 2U : 1U); swapped++) {
        int32_t marks[2] = {count > 1 ? parts[1] : 0, count > 2 ? parts[2] : 0};
        if (swapped == 1) {
            int32_t first = marks[0];
            marks[0] = marks[1];
            marks[1] = first;
        }
        for (size_t composed = 0; composed < count; composed++) {
            int32_t sequence[5] = {'x', parts[0]};
            size_t size = 2;
            /* The base with its first `composed` marks as one code point, where there is one. */
            for (size_t m = 0; m < composed; m++) {
                int32_t pair[2] = {sequence[1], marks[m]};
                if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1) {
                    size = 0;
                    break;
                }
                sequence[1] = pair[0];
            }
            if (size == 0) {
                continue;
            }
            for (size_t m = composed; m + 1 < count; m++) {
                sequence[size++] = marks[m];
            }
            sequence[size++] = 'x';
            char text[32];
            struct xt_name name;
            encode(sequence, size, text);
            assert_int_equal(parse(text, &name), XT_OK);
            if (!equal(&name, expected)) {
                fail_msg("U+%04X in the form %s", (unsigned)letter, text);
            }
            forms++;
        }
    }
    return forms;
}

static void every_letter_has_one_code_in_every_form(void **state)
{
    (void)state;
    int32_t lower[LETTERS], upper[LETTERS];
    struct xt_name seen[LETTERS];
    unsigned forms = 0;
    assert_int_equal(decode(vietnamese_lower, lower), LETTERS);
    assert_int_equal(decode(vietnamese_upper, upper), LETTERS);
    for (size_t i = 0; i < LETTERS; i++) {
        int32_t around[3] = {'x', lower[i], 'x'};
        char text[32];
        encode(around, 3, text);
        seen[i] = n(text);
        assert_int_equal(seen[i].length, 3);
        for (size_t j = 0; j < i; j++) {
            assert_false(equal(&seen[i], &seen[j]));
        }
        forms += check_forms(&seen[i], lower[i]);
        forms += check_forms(&seen[i], upper[i]);
    }
    /* Per case: one form of the six plain vowels and đ, two of a letter with one mark, five of one
     * with two: none or one of them composed, in both orders, and both composed. */
    assert_int_equal(forms, 2 * (7 * 1 + 36 * 2 + 30 * 5));
}

static void spelled_out_forms_are_one_name(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "Nguyễn",
        "NGUYỄN",
        "nguyễn",
        "nGUYỄN",
        "Nguye\xcc\x82\xcc\x83n",             /* e, circumflex, tilde */
        "Nguye\xcc\x83\xcc\x82n",             /* e, tilde, circumflex */
        "Nguy\xc3\xaa\xcc\x83n",              /* ê, tilde */
        "Nguy\xe1\xba\xbd\xcc\x82n",          /* ẽ, circumflex */
        "Nguye\xcc\x82\xe2\x80\x8b\xcc\x83n", /* with a zero-width space between the marks */
        "\xef\xbb\xbfNguyễn",
        "N\xe2\x80\x8cg\xe2\x80\x8du\xc2\xady\xe2\x81\xa0\x65\xcc\x82\xcc\x83n",
        "Ｎｇｕｙễｎ",
        "ＮＧＵＹ\xc3\x8a\xcc\x83Ｎ",
        "  Nguyễn\xc2\xa0",
        "\xe3\x80\x80Nguyễn\xe2\x80\x89",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        assert_same(forms[0], forms[i]);
    }
    assert_same("Thương", "Thu\xcc\x9bo\xcc\x9bng");
    assert_same("Lậm", "L\xe1\xba\xa1\xcc\x82m"); /* ạ, circumflex */
    assert_same("Lậm", "La\xcc\x82\xcc\xa3m");    /* not the canonical order */
    assert_same("Ấn", "\xc3\x81\xcc\x82n");       /* Á, circumflex: not even equivalent */
    assert_same("Ớt", "\xc3\x93\xcc\x9bt");       /* Ó, horn */
    assert_same("Là", "La\xcd\x80");              /* the deprecated tone marks */
    assert_same("Lá", "La\xcd\x81");
    assert_same("Nguyễn Văn An", "NGUYỄN  VĂN \xc2\xa0 AN");
    assert_same("Nguyễn Văn An", "Nguyễn\xe2\x80\x89Văn\xe1\x9a\x80\x41n ");
}

static void letters_that_look_like_d_stroke_are_it(void **state)
{
    (void)state;
    static const char *const forms[] = {"Đỗ", "đỗ", "ĐỖ", "Ðỗ", "ðỗ", "Ɖỗ", "ɖỗ"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        assert_same("Đỗ", forms[i]);
        assert_shown(forms[i], "Đỗ");
    }
    assert_same("Đặng Öz", "Ðặng Öz"); /* also on the way of other letters */
    assert_same("Đặng Öz", "ɖặng Öz");
    struct xt_name stroke = n("Đỗ"), plain = n("Dỗ");
    assert_false(equal(&stroke, &plain));
}

static void apostrophes_and_hyphens_are_one_each(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "H\xe2\x80\x99Hen Niê", "H\xe2\x80\x98Hen Niê", "H\xca\xbcHen Niê", "H＇Hen Niê",
        "H\xe2\x80\x9bHen Niê", "H\xca\xbbHen Niê",     "h'hen niê"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        assert_same("H'Hen Niê", forms[i]);
        assert_shown(forms[i], "H'Hen Niê");
    }
    assert_same("Anne-Marie", "Anne\xe2\x80\x90Marie");
    assert_same("Anne-Marie", "Anne\xe2\x80\x91Marie");
    assert_same("Anne-Marie", "Anne－Marie");
}

static void single_letter_tokens_are_real(void **state)
{
    (void)state;
    assert_shown("y moan êñuôl", "Y Moan Êñuôl");
    assert_shown("Y", "Y");
    assert_shown("K' Sor", "K' Sor");
    assert_shown("Đ", "Đ");
    assert_shown("H'", "H'");
}

static void foreign_letters_are_kept(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Öz",     "François", "Peña",   "Müller",     "Søren",  "Łukasz",        "Žižek",
        "Şahin",  "Æsir",     "Straße", "Ælfwine",    "Anaïs",  "Gaëlle",        "Loïc",
        "Aïda",   "Raúl",     "João",   "Leão",       "Israël", "Óscar",         "Ойбек",
        "李小龍", "김민수",   "ทองดี",   "José-María", "O'Neil", "J. R. Tolkien", "Øystein",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char shown[XT_NAME_DISPLAY_MAX + 1];
        struct xt_name name = n(names[i]), again;
        size_t size = xt_name_display(&name, shown, sizeof(shown) - 1);
        shown[size] = 0;
        again = n(shown);
        assert_true(equal(&name, &again));
        if (strcmp(names[i], "Straße") != 0) {
            assert_string_equal(shown, names[i]);
        }
    }
    assert_same("Öz", "O\xcc\x88z");
    assert_same("ÖZ", "öz");
    assert_same("François", "FRANC\xcc\xa7OIS");
    assert_same("STRASSE", "Straße");
    assert_same("Ойбек", "ОЙБЕК");
    assert_same("김민수", "\xe1\x84\x80\xe1\x85\xb5\xe1\x86\xb7\xe1\x84\x86\xe1\x85\xb5\xe1\x86\xab"
                          "\xe1\x84\x89\xe1\x85\xae");
    struct xt_name a = n("Öz"), b = n("Oz");
    assert_false(equal(&a, &b));
    assert_shown("İBRAHİM i\xcc\xa9\xcc\x87", "İbrahi\xcc\x87m i\xcc\xa9\xcc\x87");
    /* A Vietnamese letter in such a name still has its one code. */
    assert_same("Nguyễn Öz", "NGUYE\xcc\x83\xcc\x82N O\xcc\x88Z");
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "\xc2\xa0",
        "\xe2\x80\x8b",
        "'",
        "-",
        ". .",
        "Nguyễn1",
        "Nguyễn Văn An 2",
        "Nguyễn ２",
        "Nguyễn, An",
        "Nguyễn/An",
        "Nguyễn_An",
        "An@",
        "An(Bình)",
        "An\tBình",
        "An\nBình",
        "An\r",
        "An\x01",
        "An\x7f",
        "An\xc2\x85",
        "An\xe2\x80\xa8",
        "An\xf0\x9f\x98\x80",
        "An™",
        "An½",
        "Ⅷ",
        "Ⓐn",
        "An₫",
        "\xcc\x83", /* a mark alone */
        "\xcc\x83n",
        "An \xcc\x83n",
        "An \xe2\x80\x8b\xcc\x83n",
        "O'\xcc\x81",
        "An -\xcc\x82",
        "a\xcc\x80\xcc\x81n", /* two tones */
        "\xc3\xa1\xcc\xa3n",
        "\xef\xbf\xbd",
        "Nguy\xef\xbf\xbdn",
        "Nguy?n",
        "\xee\x80\x80n", /* private use */
        "An\xcd\xb8",    /* unassigned */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        refused(texts[i], strlen(texts[i]));
    }
    refused("An\0Binh", 7);
    refused("\0", 1);
}

static void invalid_utf8_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x41",
        "\xc2\xc2",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xe1\xba",
        "\xe1\x41\x80",
        "\xe1\xba\x41",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf0\x90",
        "\xf0",
        "\xf1\x80\x80\x41",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80",
        "\xfc\x84\x80\x80",
        "\xfe",
        "\xff",
        "\xed\xa0\xbd\xed\xb8\x80",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[64];
        static const char *const around[][2] = {{"", ""},           {"An", ""},     {"", "An"},
                                                {"Nguyễn ", " An"}, {"Öz ", " An"}, {"Öz", ""}};
        for (size_t j = 0; j < sizeof(around) / sizeof(around[0]); j++) {
            int size = snprintf(text, sizeof(text), "%s%s%s", around[j][0], bad[i], around[j][1]);
            refused(text, (size_t)size);
        }
    }
}

static void legacy_code_pages_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        /* UTF-8 read as Windows-1252 or Latin-1 */
        "Nguyá»…n VÄƒn An",
        "Tráº§n Thá»‹ Hoa",
        "LÃª VÃµ",
        "Äáº·ng",
        "Äá»— Äá»©c",
        "HÃ²a",
        "TÃ¢m",
        "LÃª",
        "VÃµ",
        "TÃº",
        "LÃŠ",
        "TÃš",
        "VÄƒn",
        "Ä‘á»©c",
        "Ä‘an",
        "HÃ’A",
        "HÃ\xc2\xa0",
        "Tráº§n HÃ\xc2\xa0 An",
        "TÃ\xc2\xadn",
        "ThÆ°Æ¡ng",
        "HÃƒ",
        "La\xc3\x8c\xc6\x92",            /* a combining tilde */
        "Nguy\xc3\xa1\xc2\xbb\xc2\x85n", /* Latin-1, with a control character */
        /* TCVN3 read as Latin-1 */
        "NguyÔn V¨n An",
        "NguyÔn ThÞ Mai",
        "TrÇn",
        "Ph¹m",
        "Hoµng",
        "Bïi V¨n",
        "§ç",
        "§Æng Th¸i",
        "Vâ ThÞ S¸u",
        "H­¬ng",
        "L­¬ng",
        "HuÖ",
        "QuÝ",
        "Lª",
        "Hå ChÝ",
        "ThÈ",
        "LuËn",
        "D­¬ng",
        /* VNI */
        "Nguyeãn Vaên An",
        "Traàn Thò Hoa",
        "Leâ",
        "Phaïm",
        "Hoaøng",
        "Huyønh",
        "Vuõ",
        "Ñaëng",
        "Buøi",
        "Ñoã",
        "Hoà Vaên",
        "Ngoâ",
        "Döông",
        "Ñinh",
        "Tröông Thò",
        "Ñöùc",
        "Ngoïc",
        "Tuaán",
        "Thuûy",
        "Höông",
        "Hieáu",
        "NGUYEÃN VAÊN AN",
        "PHAÏM",
        "Thaéng",
        "Thaúng",
        "Baèng",
        "Vuï",
        "Nguye\xc3\xa3n",
        /* symbols inside a word */
        "Nguy¸n",
        "Vµn",
        "V¶n",
        "V·n",
        "V¹n",
        "Vªn",
        "Vºn",
        "V¨n",
        "V´n",
        "V¯n",
        "V±n",
        "V²n",
        "V³n",
        "V«n",
        "V»n",
        "V¼n",
        "V©n",
        "V®n",
        "V¡n",
        "V¿n",
        "V×n",
        "V÷n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        refused(texts[i], strlen(texts[i]));
    }
}

/* The other side of the rules above: Vietnamese that comes near to mojibake. */
static void names_near_mojibake_are_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "LÊ",
        "lÊ vĂN tÂM",
        "LÃ",
        /* TCVN3 has nothing on these capitals */
        "HoÀng",
        "HÁ",
        "HÂn",
        "LaÍ",
        "BÙi",
        "ThÚy",
        "LÃ VĂN",
        "LÃ\xc2\xa0VĂN",
        "Hoà",
        "Hoá",
        "Hoãn",
        "Toàn",
        "Xuân",
        "Tuân",
        "Thuấn",
        "Liên",
        "Uyên",
        "Khuê",
        "Huế",
        "Thiên Ân",
        "Hòa Ái",
        "Bảo Áí",
        "VÕ",
        "VŨ",
        "Lê Á",
        "NguyễnVănAn",
        "LêĐức",
        "TrầnThịÁnh",
        "ÂN",
        "Ôn",
        "Ý",
        "Ý Nhi",
        "Ìu",
        "Ai",
        "Yến",
        "Yên",
        "Út",
        "Ân",
        "HOÀNG",
        "TUẤN",
        "THÙY",
        "KHOÁT",
        "Duyên",
        "Quyên",
        "Nghiêm",
        "Yêu",
        "Muôn",
        "Cứu",
        "Sưu",
        "Hươu",
        "Oanh",
        "Đoàn",
        "Giàu",
        "Êban",
        "Niê Kdăm",
        "Ksor H'Bơ Khắp",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        (void)n(texts[i]);
    }
}

/* Pairs of letters that VNI writes, beside a word that is no Vietnamese syllable. */
static void foreign_names_are_not_taken_for_vni(void **state)
{
    (void)state;
    static const char *const accepted[] = {
        "Seán O'Brien", "Naïm Haddad", "Boûtin",      "Jean Boûtin", "Siobhán Ní Bhriain",
        "Naïm Saïd",    "SEÁN KELLY",  "Íñigo Ñuñez", "Zaïn Malik",
    };
    static const char *const refused_still[] = {
        "Seán", /* VNI for Sến */
        "Naïm", "Traàn Naïm", "Ñaëng H. Phaïm", "H'Leâ", "Leâ-Vaên", "Ñ. Leâ",
    };
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        (void)n(accepted[i]);
    }
    for (size_t i = 0; i < sizeof(refused_still) / sizeof(refused_still[0]); i++) {
        refused(refused_still[i], strlen(refused_still[i]));
    }
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    char text[1024];
    struct xt_name name;
    memset(text, 'a', sizeof(text));
    assert_int_equal(xt_name_parse(xt_span_of(text, XT_NAME_MAX), &name), XT_OK);
    assert_int_equal(name.length, XT_NAME_MAX);
    assert_int_equal(xt_name_parse(xt_span_of(text, XT_NAME_MAX + 1), &name), XT_TOO_LARGE);
    assert_int_equal(name.length, 0);
    assert_int_equal(xt_name_parse(xt_span_of(text, XT_NAME_TEXT_MAX + 1), &name), XT_TOO_LARGE);
    /* Spaces count only where they stay. */
    memset(text, ' ', sizeof(text));
    text[300] = 'a';
    assert_int_equal(xt_name_parse(xt_span_of(text, XT_NAME_TEXT_MAX), &name), XT_OK);
    assert_int_equal(name.length, 1);
    memset(text, 'a', XT_NAME_MAX - 1);
    memset(text + XT_NAME_MAX - 1, ' ', 100);
    assert_int_equal(xt_name_parse(xt_span_of(text, XT_NAME_MAX + 50), &name), XT_OK);
    assert_int_equal(name.length, XT_NAME_MAX - 1);
    text[XT_NAME_MAX] = 'a';
    assert_int_equal(xt_name_parse(xt_span_of(text, XT_NAME_MAX + 1), &name), XT_TOO_LARGE);
    /* The longest name of the longest letters is shown in full. */
    for (size_t i = 0; i < XT_NAME_MAX; i++) {
        memcpy(text + 3 * i, "ễ", 3);
    }
    assert_int_equal(xt_name_parse(xt_span_of(text, 3 * XT_NAME_MAX), &name), XT_OK);
    char shown[XT_NAME_DISPLAY_MAX];
    assert_int_equal(xt_name_display(&name, shown, sizeof(shown)), 3 * XT_NAME_MAX);
    /* Escapes: three codes below U+1000, four above. */
    for (size_t i = 0; i < 41; i++) {
        memcpy(text + 2 * i, "ö", 2);
    }
    assert_int_equal(xt_name_parse(xt_span_of(text, 80), &name), XT_OK);
    assert_int_equal(name.length, 120);
    assert_int_equal(xt_name_parse(xt_span_of(text, 82), &name), XT_TOO_LARGE);
    for (size_t i = 0; i < 31; i++) {
        memcpy(text + 3 * i, "李", 3);
    }
    assert_int_equal(xt_name_parse(xt_span_of(text, 90), &name), XT_OK);
    assert_int_equal(xt_name_parse(xt_span_of(text, 93), &name), XT_TOO_LARGE);
    /* One letter that NFKC makes many of. */
    for (size_t i = 0; i < 170; i++) {
        memcpy(text + 3 * i, "\xef\xb7\xba", 3);
    }
    assert_int_not_equal(xt_name_parse(xt_span_of(text, 510), &name), XT_OK);
}

static void display_capitalises_every_token(void **state)
{
    (void)state;
    assert_shown("NGUYỄN VĂN AN", "Nguyễn Văn An");
    assert_shown("đỗ thị ánh", "Đỗ Thị Ánh");
    assert_shown("nguye\xcc\x83\xcc\x82n  \xc2\xa0v\xc4\x83n", "Nguyễn Văn");
    assert_shown("jean-pierre ưng", "Jean-Pierre Ưng");
    assert_shown("ỷ lan", "Ỷ Lan");
    assert_shown("ÖZ ÇELIK", "Öz Çelik");
    struct xt_name name = n("Nguyễn Văn An");
    char text[8];
    assert_int_equal(xt_name_display(&name, text, sizeof(text)), 8); /* Nguyễn, less nothing */
    assert_memory_equal(text, "Nguyễn", 8);
    assert_int_equal(xt_name_display(&name, text, 6), 4); /* whole letters only */
    assert_int_equal(xt_name_display(&name, text, 0), 0);
}

static void display_never_leaves_its_bounds(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (unsigned round = 0; round < 200000; round++) {
        struct xt_name name;
        uint8_t *bytes = (uint8_t *)&name;
        for (size_t i = 0; i < sizeof(name); i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            bytes[i] = (uint8_t)(seed >> 56);
        }
        if (round % 2 == 0) {
            name.length = (uint8_t)(name.length % (XT_NAME_MAX + 1));
        }
        char text[XT_NAME_DISPLAY_MAX];
        struct xt_name other = name;
        size_t size = xt_name_display(&name, text, sizeof(text));
        assert_true(size <= sizeof(text));
        assert_true(xt_name_matches(&name, &other, XT_NAME_SPELLING));
        if (round % 16 == 0) {
            (void)xt_name_compare(&name, &other);
        }
    }
}

static const char *const seeds[] = {
    "Nguyễn Văn An",
    "TRẦN THỊ THU THỦY",
    "Đỗ Đức Ðạt",
    "H'Hen Niê",
    "Nguye\xcc\x82\xcc\x83n Va\xcc\x86n \xc4\x90u\xcc\x9b\xcc\x81\x63",
    "Ｎｇｕｙễｎ　Ａｎ",
    "François Müller-Lüdenscheidt",
    "李小龍",
    "İbrahim Öz ǰ ŉ ẞ ﬁ",
    "\xef\xbb\xbfY\xe2\x80\x8b Moan Êñuôl",
    "Ойбек ς Σ",
    "á\xcc\x82 a\xcc\x88\xcc\x81\xcc\x82 e\xcc\x9b\xcc\x81 n\xcc\xa3\xcc\x82",
    "ﷺ",
    "ทองดี กำ",
};

static uint64_t random_state = 20260101;
static unsigned random_below(unsigned bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % bound;
}

static size_t mutate(uint8_t text[256])
{
    const char *seed = seeds[random_below(sizeof(seeds) / sizeof(seeds[0]))];
    size_t size = strlen(seed);
    memcpy(text, seed, size);
    for (unsigned edits = 1 + random_below(4); edits > 0; edits--) {
        size_t at = random_below((unsigned)size + 1);
        switch (random_below(5)) {
        case 0: /* another byte */
            if (at < size) {
                text[at] = (uint8_t)random_below(256);
            }
            break;
        case 1: /* a bit */
            if (at < size) {
                text[at] ^= (uint8_t)(1U << random_below(8));
            }
            break;
        case 2: /* a byte less */
            if (at < size) {
                memmove(text + at, text + at + 1, size - at - 1);
                size--;
            }
            break;
        case 3: { /* a code point more: marks, Latin, or anything */
            static const unsigned ranges[][2] = {{0x20, 0x60},    {0x80, 0x1D0},  {0x300, 0x70},
                                                 {0x1E00, 0x100}, {0x2000, 0x70}, {0, 0x32000}};
            const unsigned *range = ranges[random_below(6)];
            uint8_t bytes[4];
            size_t length =
                (size_t)utf8proc_encode_char((int32_t)(range[0] + random_below(range[1])), bytes);
            memmove(text + at + length, text + at, size - at);
            memcpy(text + at, bytes, length);
            size += length;
            break;
        }
        default: { /* a piece of another seed */
            const char *other = seeds[random_below(sizeof(seeds) / sizeof(seeds[0]))];
            size_t length = random_below((unsigned)strlen(other)) % 12;
            memmove(text + at + length, text + at, size - at);
            memcpy(text + at, other, length);
            size += length;
            break;
        }
        }
    }
    return size;
}

static void mutated_input_is_refused_or_survives_its_display(void **state)
{
    (void)state;
    unsigned accepted = 0;
    for (unsigned round = 0; round < 1000000; round++) {
        uint8_t text[256];
        size_t size = mutate(text);
        uint8_t *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        memcpy(exact, text, size);
        struct xt_name name, again;
        enum xt_status status = xt_name_parse(xt_span_of(exact, size), &name);
        free(exact);
        if (status != XT_OK) {
            assert_true(status == XT_INVALID || status == XT_TOO_LARGE);
            continue;
        }
        accepted++;
        char shown[XT_NAME_DISPLAY_MAX];
        size_t shown_size = xt_name_display(&name, shown, sizeof(shown));
        enum xt_status again_status = xt_name_parse(xt_span_of(shown, shown_size), &again);
        if (again_status != XT_OK || !equal(&name, &again)) {
            fail_msg("round %u: %.*s shown as %.*s", round, (int)size, (const char *)text,
                     (int)shown_size, shown);
        }
        /* What is shown is in NFC. */
        uint8_t *composed = NULL;
        utf8proc_ssize_t composed_size =
            utf8proc_map((const uint8_t *)shown, (utf8proc_ssize_t)shown_size, &composed,
                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        bool is_nfc = composed_size == (utf8proc_ssize_t)shown_size &&
                      memcmp(composed, shown, shown_size) == 0;
        free(composed);
        if (!is_nfc) {
            fail_msg("round %u: not NFC: %.*s", round, (int)shown_size, shown);
        }
    }
    assert_in_range(accepted, 50000, 950000);
}

static bool accepts(struct xt_span text)
{
    struct xt_name name;
    return xt_name_parse(text, &name) == XT_OK;
}

static void corpus_is_judged_as_its_names_say(void **state)
{
    (void)state;
    corpus_replay("name", accepts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_letter_has_one_code_in_every_form),
        cmocka_unit_test(spelled_out_forms_are_one_name),
        cmocka_unit_test(letters_that_look_like_d_stroke_are_it),
        cmocka_unit_test(apostrophes_and_hyphens_are_one_each),
        cmocka_unit_test(single_letter_tokens_are_real),
        cmocka_unit_test(foreign_letters_are_kept),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(invalid_utf8_is_refused_wherever_it_stands),
        cmocka_unit_test(legacy_code_pages_are_refused),
        cmocka_unit_test(names_near_mojibake_are_accepted),
        cmocka_unit_test(foreign_names_are_not_taken_for_vni),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(display_capitalises_every_token),
        cmocka_unit_test(display_never_leaves_its_bounds),
        cmocka_unit_test(mutated_input_is_refused_or_survives_its_display),
        cmocka_unit_test(corpus_is_judged_as_its_names_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
