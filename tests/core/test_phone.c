#include "core/phone.h"

#include "tests/core/corpus.h"
#include "tests/test.h"

#include <regex.h>
#include <stdio.h>

static void three_forms_are_one_number(void **state)
{
    (void)state;
    static const char *const forms[] = {"+84912345678", "84912345678", "0912345678"};
    for (size_t i = 0; i < 3; i++) {
        uint32_t phone = 0;
        assert_int_equal(xt_phone_parse(xt_span_of_string(forms[i]), &phone), XT_OK);
        assert_int_equal(phone, 912345678);
    }
    char text[XT_PHONE_TEXT];
    xt_phone_format(912345678, text);
    assert_memory_equal(text, forms[0], XT_PHONE_TEXT);
}

/* Against the field's regular expression itself. */
static void every_prefix_is_judged_as_the_rule_says(void **state)
{
    (void)state;
    regex_t rule;
    assert_int_equal(regcomp(&rule,
                             "^(\\+84|84|0)(3[2-9]|5[25689]|7[06-9]|8[1-9]|9[0-46-9])[0-9]{7}$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    static const char *const prefixes[] = {"+84", "84",   "0",  "",   "+", "+840", "840",
                                           "+85", "0084", "00", "+0", "8", "-84",  " 0"};
    unsigned accepted = 0;
    for (size_t p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++) {
        for (unsigned two = 0; two < 100; two++) {
            for (int rest = 6; rest <= 8; rest++) {
                char text[40];
                snprintf(text, sizeof(text), "%s%02u%.*s", prefixes[p], two, rest, "12345678");
                uint32_t phone;
                bool ok = xt_phone_parse(xt_span_of_string(text), &phone) == XT_OK;
                assert_int_equal(ok, regexec(&rule, text, 0, NULL, 0) == 0);
                accepted += ok;
            }
        }
    }
    assert_true(accepted >= 3 * 36);
    regfree(&rule);
}

static void anything_but_digits_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           "0",          "+84",         "091234567 ",  " 912345678",    "0912 34567",
        "09123.4567", "09123456７", "09123456a8",  "+8491234567", "+849123456789", "091234567\n",
        "0950000000", "0120000000", "02438234567", "84 91234567",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint32_t phone;
        assert_int_equal(xt_phone_parse(xt_span_of_string(texts[i]), &phone), XT_INVALID);
    }
    uint32_t phone;
    assert_int_equal(xt_phone_parse(xt_span_of(NULL, 0), &phone), XT_INVALID);
}

static bool accepts(struct xt_span text)
{
    uint32_t phone;
    return xt_phone_parse(text, &phone) == XT_OK;
}

static void corpus_is_judged_as_its_names_say(void **state)
{
    (void)state;
    corpus_replay("phone", accepts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_forms_are_one_number),
        cmocka_unit_test(every_prefix_is_judged_as_the_rule_says),
        cmocka_unit_test(anything_but_digits_is_refused),
        cmocka_unit_test(corpus_is_judged_as_its_names_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
