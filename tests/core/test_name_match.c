/* The levels at which two names are the same. */
#include "core/name.h"

#include "core/name_table.h" /* to make names that no text parses to */
#include "tests/core/mutate.h"
#include "tests/test.h"

#include <utf8proc.h>

#include <stdio.h>

static struct xt_name n(const char *text)
{
    struct xt_name name;
    if (xt_name_parse(xt_span_of_string(text), &name) != XT_OK) {
        fail_msg("refused: %s", text);
    }
    return name;
}

static const char *const level_names[] = {"exact",     "spelling", "unaccented",
                                          "reordered", "fuzzy",    "different"};

/* The strictest level is `level`, both ways round, and the legal test agrees. */
static void assert_level(const char *a, const char *b, enum xt_name_level level)
{
    struct xt_name x = n(a), y = n(b);
    struct xt_name_comparison there = xt_name_compare(&x, &y), back = xt_name_compare(&y, &x);
    if (there.level != level || back.level != level || there.score != back.score) {
        fail_msg("%s and %s: %s %u, back %s %u, not %s", a, b, level_names[there.level],
                 there.score, level_names[back.level], back.score, level_names[level]);
    }
    assert_int_equal(xt_name_matches(&x, &y, XT_NAME_EXACT), level == XT_NAME_EXACT);
    assert_int_equal(xt_name_matches(&x, &y, XT_NAME_SPELLING), level <= XT_NAME_SPELLING);
    assert_int_equal(xt_name_matches(&y, &x, XT_NAME_SPELLING), level <= XT_NAME_SPELLING);
    assert_int_equal(there.score == 100, level <= XT_NAME_REORDERED);
}

/* Puts the nth tone (1-5) on letter `at` of a word of plain letters. */
static void with_tone(const char *const letters[], unsigned count, unsigned at, unsigned tone,
                      char *text)
{
    static const char *const marks[] = {"",         "\xcc\x80", "\xcc\x89",
                                        "\xcc\x83", "\xcc\x81", "\xcc\xa3"};
    text[0] = 0;
    for (unsigned i = 0; i < count; i++) {
        strcat(text, letters[i]);
        if (i == at) {
            strcat(text, marks[tone]);
        }
    }
}

static void tone_placement_pairs_are_one_spelling(void **state)
{
    (void)state;
    static const char *const words[][4] = {
        {"h", "o", "a"}, {"kh", "o", "e"}, {"th", "u", "y"}, {"h", "o", "e"}, {"l", "o", "a"},
        {"q", "u", "y"}, {"q", "u", "a"},  {"h", "u", "y"},  {"qu", "ê", ""}, {"g", "i", "a"},
        {"m", "u", "a"}, {"b", "i", "a"},  {"m", "ư", "a"},  {"t", "a", "i"}, {"c", "a", "o"},
        {"s", "a", "u"}, {"m", "â", "y"},  {"ng", "ô", "i"}, {"đ", "ơ", "i"}, {"n", "u", "i"},
        {"h", "ê", "u"}, {"h", "i", "u"},  {"h", "ư", "u"},  {"b", "e", "o"},
    };
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        if (words[w][2][0] == 0) {
            continue;
        }
        for (unsigned tone = 1; tone <= 5; tone++) {
            char first[64], second[64], plain[64];
            with_tone(words[w], 3, 1, tone, first);
            with_tone(words[w], 3, 2, tone, second);
            with_tone(words[w], 3, 9, 0, plain);
            /* àu and ãu, misplaced, are also how VNI writes other tones: refused as such. */
            struct xt_name name;
            if (xt_name_parse(xt_span_of_string(second), &name) != XT_OK) {
                assert_true(tone == 1 || tone == 3);
                continue;
            }
            assert_level(first, second, XT_NAME_SPELLING);
            assert_level(first, plain, XT_NAME_UNACCENTED);
            for (unsigned other = 1; other <= 5; other++) {
                if (other != tone) {
                    char different[64];
                    with_tone(words[w], 3, 2, other, different);
                    if (xt_name_parse(xt_span_of_string(different), &name) == XT_OK) {
                        assert_level(first, different, XT_NAME_UNACCENTED);
                    }
                }
            }
        }
    }
}

static void known_spellings_are_one_name(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"Hòa", "Hoà"},
        {"Hòa", "HOÀ"},
        {"Nguyễn Thị Thủy", "Nguyễn Thị Thuỷ"},
        {"Khỏe", "Khoẻ"},
        {"Thúy Kiều", "Thuý Kiều"},
        {"Quý", "Qúy"},
        {"Quý", "Quí"},
        {"Quý", "Qúi"},
        {"Quy", "Qui"},
        {"Quỳ", "Quì"},
        {"Mỹ", "Mĩ"},
        {"Lý", "Lí"},
        {"Lý Thị Mỹ Kỳ", "Lí Thị Mĩ Kì"},
        {"Hy", "Hi"},
        {"Ky", "Ki"},
        {"Ly", "Li"},
        {"Trà My", "Trà Mi"},
        {"Sỹ", "Sĩ"},
        {"Tỷ", "Tỉ"},
        {"Vỹ", "Vĩ"},
        {"Vỵ", "Vị"},
        {"Hoàn", "Hòan"},
        {"Hoài", "Hòai"},
        {"Khuỷu", "Khủyu"},
        {"Nguyễn", "Nguỹên"},
        {"Thùy-My", "Thuỳ-Mi"},
        {"Già", "Gìa"},
        {"Người", "Ngừơi"},
        {"Quới", "Qúơi"},
        {"Huỳnh Thúy Hòa", "Hùynh Thuý Hoà"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_level(pairs[i][0], pairs[i][1], XT_NAME_SPELLING);
    }
}

static void i_and_y_are_one_only_as_the_rule_says(void **state)
{
    (void)state;
    static const char *const onsets[] = {"",   "b",  "c",  "d",  "đ",  "g",  "h",  "k",  "l",  "m",
                                         "n",  "p",  "q",  "r",  "s",  "t",  "v",  "x",  "ch", "gh",
                                         "kh", "ng", "nh", "ph", "th", "tr", "qu", "ngh"};
    static const char *const tones[] = {"",         "\xcc\x80", "\xcc\x89",
                                        "\xcc\x83", "\xcc\x81", "\xcc\xa3"};
    static const char *const codas[] = {"", "n", "nh", "t"};
    unsigned same = 0;
    for (size_t o = 0; o < sizeof(onsets) / sizeof(onsets[0]); o++) {
        for (size_t t = 0; t < 6; t++) {
            for (size_t c = 0; c < 4; c++) {
                char i[32], y[32];
                snprintf(i, sizeof(i), "An %si%s%s", onsets[o], tones[t], codas[c]);
                snprintf(y, sizeof(y), "An %sy%s%s", onsets[o], tones[t], codas[c]);
                bool rule = c == 0 && ((strlen(onsets[o]) == 1 && strchr("hklmst", onsets[o][0])) ||
                                       (strcmp(onsets[o], "v") == 0 && t != 0) ||
                                       strcmp(onsets[o], "qu") == 0);
                struct xt_name x = n(i), z = n(y);
                if (xt_name_matches(&x, &z, XT_NAME_SPELLING) != rule) {
                    fail_msg("%s and %s", i, y);
                }
                same += rule;
            }
        }
    }
    assert_int_equal(same, 6 * 6 + 5 + 6);
}

static void other_names_stay_apart(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"Thúy", "Thúi"},
        {"Thuy", "Thui"},
        {"Huy", "Hui"},
        {"Duy", "Dui"},
        {"Hòá", "Họa"}, /* two tones in one syllable are none of its spellings */
        {"Hòá", "Hoá"},
        {"Tay", "Tai"},
        {"Táy", "Tái"},
        {"Mây", "Mâi"},
        {"Thy", "Thi"},
        {"Khy", "Khi"},
        {"Vi", "Vy"},
        {"Vi Văn An", "Vy Văn An"},
        {"Trần Thúy Vi", "Trần Thúy Vy"},
        {"H'My", "H'Mi"}, /* Ê Đê: i and y are different vowels */
        {"Y", "I"},
        {"Quỳnh", "Quình"},
        {"Quyên", "Quiên"},
        {"Lyn", "Lin"},
        {"Nguyễn Văn An", "Nguyễn Văn Anh"},
        {"Nguyễn Văn An", "Nguyễn Văn"},
        {"Hoa", "Hóa"},
        {"Hòa", "Hóa"},
        {"Hoàng", "Hoằng"},
        {"Dung", "Dũng"},
        {"Dung", "Đung"},
        {"Lêánh", "Lếanh"}, /* joined words: not one syllable's vowels */
        {"Mai Ánh", "Mái Anh"},
        {"Nguyễn An", "Nguyên Ãn"},
        {"Öz", "Oz"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct xt_name x = n(pairs[i][0]), y = n(pairs[i][1]);
        if (xt_name_matches(&x, &y, XT_NAME_SPELLING)) {
            fail_msg("%s and %s match", pairs[i][0], pairs[i][1]);
        }
        assert_true(xt_name_compare(&x, &y).level > XT_NAME_SPELLING);
    }
}

static void each_level_absorbs_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        enum xt_name_level level;
    } cases[] = {
        {"Nguyễn Văn An", "NGUYỄN VĂN  AN", XT_NAME_EXACT},
        {"Nguyễn Văn Hòa", "Nguyễn Văn Hoà", XT_NAME_SPELLING},
        {"Nguyễn Văn An", "NGUYEN VAN AN", XT_NAME_UNACCENTED},
        {"Đỗ Đức Đạt", "Do Duc Dat", XT_NAME_UNACCENTED},
        {"Ðỗ Đức Ɖạt", "Do Duc Dat", XT_NAME_UNACCENTED},
        {"Vi", "Vì", XT_NAME_UNACCENTED},
        {"Dung", "Dũng", XT_NAME_UNACCENTED},
        {"Öz Çelik", "Oz Celik", XT_NAME_UNACCENTED},
        {"Søren Łuk", "Soren Luk", XT_NAME_UNACCENTED},
        {"H'Hen Niê", "HHen Nie", XT_NAME_UNACCENTED},
        {"Anne-Marie", "Anne Marie", XT_NAME_UNACCENTED},
        {"Nguyễn Văn An", "An Văn Nguyễn", XT_NAME_REORDERED},
        {"Nguyễn Văn An", "An Nguyen Van", XT_NAME_REORDERED},
        {"Nguyễn Văn An", "NguyenVanAn", XT_NAME_REORDERED},
        {"Nguyễn Văn An", "NguyễnVăn An", XT_NAME_REORDERED},
        {"An An Bình", "Bình An An", XT_NAME_REORDERED},
        {"Nguyễn Văn Quang", "Nguyễn Văn Quag", XT_NAME_FUZZY},
        {"Nguyễn Thị Hương", "Nguễyn Thị Hương", XT_NAME_FUZZY},
        {"Nguyễn Thị Sương", "Nguyễn Thị Xương", XT_NAME_FUZZY},
        {"Trần Thị Thu Trang", "Trần Thi Thu Trangg", XT_NAME_FUZZY},
        {"An An Bình", "An Bình Bình", XT_NAME_FUZZY},
        {"Nguyễn Văn An", "Trần Thị Hoa", XT_NAME_DIFFERENT},
        {"Nguyễn Văn An", "Nguyễn Văn Bình", XT_NAME_DIFFERENT},
        {"Nguyễn Văn An", "Nguyễn An", XT_NAME_DIFFERENT},
        {"Nguyễn Văn", "Nguyễn Văn An", XT_NAME_DIFFERENT},
        {"An An Na", "An Na Na", XT_NAME_FUZZY}, /* as many letters, other tokens */
        {"An", "Y", XT_NAME_DIFFERENT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_level(cases[i].a, cases[i].b, cases[i].level);
    }
}

static void a_nearer_name_scores_higher(void **state)
{
    (void)state;
    static const char *const further[] = {"Nguyễn Thị Hươngg", "Nguyễn Thị Hng", "Nguyễn Thị Mai",
                                          "Trần Văn Mai"};
    struct xt_name held = n("Nguyễn Thị Hương");
    unsigned before = 101;
    for (size_t i = 0; i < sizeof(further) / sizeof(further[0]); i++) {
        struct xt_name claimed = n(further[i]);
        unsigned score = xt_name_compare(&claimed, &held).score;
        assert_true(score < before);
        before = score;
    }
}

static void scores_weigh_letters_and_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned score;
    } cases[] = {
        {"Nguyễn Thị Sương", "Nguyễn Thị Xương", 96}, /* 2/20 of 3/8 */
        {"Nguyễn Thị Sương", "Nguyễn Thi Xương", 94}, /* and 1/12 of 2/8 */
        {"Nguyễn Thị Sương", "Nguyễn Thị Bương", 92}, /* 4/20 of 3/8 */
        {"Nguyễn Văn Quang", "Nguyễn Văn Quagn", 92}, /* two letters swapped */
        {"Nguyễn Văn Quang", "Nguyễn Văn Quyet", 77}, /* 3/5 of 3/8 */
        {"Nguyễn Văn An", "Nguyễn An", 75},           /* a middle name less: 2/8 */
        {"Nguyễn Văn An", "Văn An", 62},              /* the family name less: 3/8 */
        {"Bạch", "Y", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xt_name x = n(cases[i].a), y = n(cases[i].b);
        struct xt_name_comparison comparison = xt_name_compare(&x, &y);
        assert_int_equal(comparison.score, cases[i].score);
        assert_int_equal(comparison.level,
                         cases[i].score >= 80 ? XT_NAME_FUZZY : XT_NAME_DIFFERENT);
    }
}

static void longest_names_are_compared(void **state)
{
    (void)state;
    char words[256] = "", letters[256];
    for (unsigned i = 0; i < 60; i++) {
        strcat(words, i == 59 ? "a" : "a ");
    }
    memset(letters, 'b', 120);
    letters[120] = 0;
    struct xt_name x = n(words), y = n(letters);
    assert_int_equal(xt_name_compare(&x, &y).level, XT_NAME_DIFFERENT);
    assert_int_equal(xt_name_compare(&x, &x).level, XT_NAME_EXACT);
    assert_false(xt_name_matches(&x, &y, XT_NAME_SPELLING));
    letters[60] = 'c';
    struct xt_name z = n(letters);
    assert_int_equal(xt_name_compare(&y, &z).level, XT_NAME_FUZZY);
}

/* The codes past the length are whatever was there: they must not count. */
static void leftovers_past_the_length_do_not_count(void **state)
{
    (void)state;
    struct xt_name a, b;
    memset(&a, 0x11, sizeof(a));
    memset(&b, 0xEE, sizeof(b));
    assert_int_equal(xt_name_parse(xt_span_of_string("Lý Hòa"), &a), XT_OK);
    assert_int_equal(xt_name_parse(xt_span_of_string("Lí Hoà"), &b), XT_OK);
    assert_true(xt_name_matches(&a, &b, XT_NAME_SPELLING));
    assert_false(xt_name_matches(&a, &b, XT_NAME_EXACT));
}

static uint64_t random_state = 7;
static unsigned below(size_t limit)
{
    return (unsigned)(next_random(&random_state) % limit);
}

/* Makes a short name of the codes that the rules of spelling turn on, and some junk. */
static void make_codes(struct xt_name *name)
{
    static const uint8_t others[] = {' ', '-', '\'', 'h', 'q', 'v', 't', 'n', XT_CODE_D_STROKE,
                                     0xE8};
    static const uint8_t vowels[] = {XT_VOWEL_U, XT_VOWEL_I, XT_VOWEL_Y, XT_VOWEL_O_HORN};
    name->length = (uint8_t)(1 + below(7));
    for (unsigned i = 0; i < name->length; i++) {
        unsigned vowel = below(3) ? vowels[below(4)] : below(XT_VOWEL_COUNT);
        unsigned tone = below(2) ? XT_TONE_NONE : below(XT_TONE_COUNT);
        name->codes[i] = below(5) < 2 ? others[below(sizeof(others))]
                         : below(40)  ? (uint8_t)XT_CODE_VOWEL(vowel, tone)
                                      : (uint8_t)below(256);
    }
}

/* Swaps the tones of two vowels, or i for y. */
static void respell(struct xt_name *name)
{
    uint8_t *a = &name->codes[below(name->length)], *b = &name->codes[below(name->length)];
    if (!xt_code_is_vowel(*a) || !xt_code_is_vowel(*b)) {
        return;
    }
    if (below(2)) {
        unsigned tone = xt_code_tone(*a);
        *a = xt_code_with_tone(*a, xt_code_tone(*b));
        *b = xt_code_with_tone(*b, tone);
    } else if (xt_code_vowel(*a) == XT_VOWEL_I || xt_code_vowel(*a) == XT_VOWEL_Y) {
        *a ^= XT_CODE_VOWEL(XT_VOWEL_I, 0) ^ XT_CODE_VOWEL(XT_VOWEL_Y, 0);
    }
}

/* The match reads both names by the claimed one's letters and never writes a spelling down; the
 * advisory levels do. Both are one rule. */
static void names_match_exactly_when_their_canonical_spellings_are_equal(void **state)
{
    (void)state;
    unsigned same = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        struct xt_name a, b;
        make_codes(&a);
        b = a;
        for (unsigned changes = below(4); changes > 0; changes--) {
            respell(&b);
        }
        struct xt_name x = a, y = b;
        xt_name_spell(&x);
        xt_name_spell(&y);
        bool equal = memcmp(x.codes, y.codes, x.length) == 0;
        assert_int_equal(xt_name_matches(&a, &b, XT_NAME_SPELLING), equal);
        assert_int_equal(xt_name_matches(&b, &a, XT_NAME_SPELLING), equal);
        same += equal && memcmp(a.codes, b.codes, a.length) != 0;
    }
    assert_true(same > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tone_placement_pairs_are_one_spelling),
        cmocka_unit_test(known_spellings_are_one_name),
        cmocka_unit_test(i_and_y_are_one_only_as_the_rule_says),
        cmocka_unit_test(other_names_stay_apart),
        cmocka_unit_test(each_level_absorbs_its_own),
        cmocka_unit_test(a_nearer_name_scores_higher),
        cmocka_unit_test(scores_weigh_letters_and_tokens),
        cmocka_unit_test(longest_names_are_compared),
        cmocka_unit_test(leftovers_past_the_length_do_not_count),
        cmocka_unit_test(names_match_exactly_when_their_canonical_spellings_are_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
