#include "core/province.h"

#include "tests/test.h"

#include <stdio.h>

static void sixty_three_provinces_hold_the_census(void **state)
{
    (void)state;
    uint64_t people = 0;
    unsigned before = 0, units = 0;
    for (unsigned i = 1; i <= XT_PROVINCE_COUNT; i++) {
        const struct xt_province *province = xt_province_at(i);
        assert_true(province->code > before && province->code <= 96);
        before = province->code;
        people += province->population;
        bool is_new = true;
        for (unsigned j = 1; j < i; j++) {
            assert_string_not_equal(province->name, xt_province_at(j)->name);
            is_new = is_new && strcmp(province->unit, xt_province_at(j)->unit) != 0;
        }
        units += is_new;
    }
    assert_int_equal(people, 96208984);
    assert_int_equal(units, 34);
}

static void codes_and_indexes_agree(void **state)
{
    (void)state;
    unsigned listed = 0;
    for (unsigned code = 0; code <= 1000; code++) {
        unsigned index = xt_province_index(code);
        char text[8];
        unsigned parsed = 99;
        snprintf(text, sizeof(text), "%03u", code);
        enum xt_status status = xt_province_parse(xt_span_of_string(text), &parsed);
        if (index == XT_PROVINCE_NONE) {
            assert_int_equal(status, XT_INVALID);
            continue;
        }
        listed++;
        assert_int_equal(index, listed);
        assert_int_equal(xt_province_at(index)->code, code);
        assert_int_equal(status, XT_OK);
        assert_int_equal(parsed, index);
    }
    assert_int_equal(listed, XT_PROVINCE_COUNT);
    assert_string_equal(xt_province_at(1)->name, "Hà Nội");
    assert_string_equal(xt_province_at(xt_province_index(46))->unit, "Huế");
    assert_string_equal(xt_province_at(XT_PROVINCE_COUNT)->name, "Cà Mau");
}

static void only_three_digits_are_a_code(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "1",   "01",  "0001", "003", "000",
                                        "097", "a01", "00a", " 01",  "-01", "００1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unsigned index;
        assert_int_equal(xt_province_parse(xt_span_of_string(texts[i]), &index), XT_INVALID);
    }
}

static void thirty_four_units_hold_the_provinces(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned i = 1; i <= XT_PROVINCE_COUNT; i++) {
        unsigned unit = xt_province_unit(i);
        assert_true(unit >= 1 && unit <= XT_UNIT_COUNT && unit <= seen + 1);
        assert_string_equal(xt_province_unit_name(unit), xt_province_at(i)->unit);
        for (unsigned j = 1; j < i; j++) {
            assert_int_equal(strcmp(xt_province_at(j)->unit, xt_province_at(i)->unit) == 0,
                             xt_province_unit(j) == unit);
        }
        seen = unit > seen ? unit : seen;
    }
    assert_int_equal(seen, XT_UNIT_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_three_provinces_hold_the_census),
        cmocka_unit_test(codes_and_indexes_agree),
        cmocka_unit_test(thirty_four_units_hold_the_provinces),
        cmocka_unit_test(only_three_digits_are_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
