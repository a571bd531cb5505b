#include "core/number.h"

#include "tests/core/corpus.h"
#include "tests/test.h"

static struct xt_span s(const char *text)
{
    return xt_span_of_string(text);
}

static void twelve_digits_are_a_number(void **state)
{
    (void)state;
    uint64_t number = 0;
    assert_int_equal(xt_number_parse(s("001099012345"), &number), XT_OK);
    assert_int_equal(number, 1099012345);
    assert_int_equal(xt_number_parse(s("999999999999"), &number), XT_OK);
    assert_true(number == UINT64_C(999999999999));
    assert_int_equal(xt_number_parse(s("000000000000"), &number), XT_OK);
    assert_int_equal(number, 0);
}

static const char *const malformed[] = {
    "",
    "1",
    "00109901234",
    "0010990123456",
    " 001099012345",
    "001099012345 ",
    "001 99012345",
    "+01099012345",
    "-01099012345",
    "00109901234a",
    "0010990123:5",
    "0010990123/5",
    "00109901234\n",
    "０１２３",
    "００１０９９０１２３４５",
    "001.099.0123",
    "0x1099012345",
};

static void anything_else_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        uint64_t number;
        struct xt_id id;
        assert_int_equal(xt_number_parse(s(malformed[i]), &number), XT_INVALID);
        assert_int_equal(xt_cmnd_parse(s(malformed[i]), &number), XT_INVALID);
        assert_int_equal(xt_id_parse(s(malformed[i]), &id), XT_INVALID);
    }
    uint64_t number;
    assert_int_equal(xt_number_parse(xt_span_of("001099\00012345", 12), &number), XT_INVALID);
    assert_int_equal(xt_number_parse(xt_span_of(NULL, 0), &number), XT_INVALID);
}

static void every_byte_but_a_digit_is_refused_at_every_place(void **state)
{
    (void)state;
    for (unsigned place = 0; place < XT_NUMBER_DIGITS; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t text[XT_NUMBER_DIGITS];
            uint64_t number;
            memset(text, '7', sizeof(text));
            text[place] = (uint8_t)byte;
            bool digit = byte >= '0' && byte <= '9';
            assert_int_equal(xt_number_parse(xt_span_of(text, sizeof(text)), &number),
                             digit ? XT_OK : XT_INVALID);
        }
    }
}

static void length_decides_the_kind(void **state)
{
    (void)state;
    struct xt_id id;
    assert_int_equal(xt_id_parse(s("012345678"), &id), XT_OK);
    assert_int_equal(id.kind, XT_ID_CMND);
    assert_int_equal(id.value, 12345678);
    assert_int_equal(xt_id_parse(s("000012345678"), &id), XT_OK);
    assert_int_equal(id.kind, XT_ID_PERSONAL);
    assert_int_equal(id.value, 12345678);
    assert_int_equal(xt_id_parse(s("0123456789"), &id), XT_INVALID);
    assert_int_equal(xt_id_parse(s("01234567890"), &id), XT_INVALID);
    assert_int_equal(xt_id_parse(s("01234567"), &id), XT_INVALID);
}

static void digits_tell_place_birth_year_and_sex(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned place, year;
        enum xt_sex sex;
    } cases[] = {
        {"001099012345", 1, 1999, XT_SEX_MALE},     {"079199000001", 79, 1999, XT_SEX_FEMALE},
        {"096200999999", 96, 2000, XT_SEX_MALE},    {"001324000000", 1, 2024, XT_SEX_FEMALE},
        {"038400123456", 38, 2100, XT_SEX_MALE},    {"038599123456", 38, 2199, XT_SEX_FEMALE},
        {"999900123456", 999, 2300, XT_SEX_FEMALE}, {"000000000000", 0, 1900, XT_SEX_MALE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t number = 0;
        assert_int_equal(xt_number_parse(s(cases[i].text), &number), XT_OK);
        struct xt_number_facts facts = xt_number_facts(number);
        assert_int_equal(facts.place, cases[i].place);
        assert_int_equal(facts.birth_year, cases[i].year);
        assert_int_equal(facts.sex, cases[i].sex);
    }
}

static void written_numbers_keep_their_leading_zeros(void **state)
{
    (void)state;
    char text[XT_NUMBER_DIGITS];
    xt_number_format(1099012345, text);
    assert_memory_equal(text, "001099012345", XT_NUMBER_DIGITS);
    xt_number_format(UINT64_C(999999999999), text);
    assert_memory_equal(text, "999999999999", XT_NUMBER_DIGITS);
    xt_number_format(0, text);
    assert_memory_equal(text, "000000000000", XT_NUMBER_DIGITS);
    xt_cmnd_format(12345678, text);
    assert_memory_equal(text, "012345678", XT_CMND_DIGITS);
}

static bool accepts(struct xt_span text)
{
    struct xt_id id;
    return xt_id_parse(text, &id) == XT_OK;
}

static void corpus_is_judged_as_its_names_say(void **state)
{
    (void)state;
    corpus_replay("number", accepts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twelve_digits_are_a_number),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(every_byte_but_a_digit_is_refused_at_every_place),
        cmocka_unit_test(length_decides_the_kind),
        cmocka_unit_test(digits_tell_place_birth_year_and_sex),
        cmocka_unit_test(written_numbers_keep_their_leading_zeros),
        cmocka_unit_test(corpus_is_judged_as_its_names_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
