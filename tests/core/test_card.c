#include "core/card.h"

#include "tests/test.h"

static xt_date d(const char *text)
{
    xt_date date = XT_DATE_NONE;
    assert_int_equal(xt_date_parse(xt_span_of_string(text), &date), XT_OK);
    return date;
}

static void cards_expire_by_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *birth, *issued, *expires; /* expires NULL: never */
    } cases[] = {
        {"2018-05-10", "2024-09-01", "2032-05-10"}, /* a child: 14 */
        {"2010-05-10", "2022-05-09", "2024-05-10"}, /* a day before the 2 years: 14 */
        {"2010-05-10", "2022-05-10", "2035-05-10"}, /* 2 years to the day: 25 */
        {"2010-05-10", "2024-05-09", "2035-05-10"},
        {"2010-05-10", "2024-05-10", "2035-05-10"}, /* on the 14th birthday */
        {"1999-01-25", "2021-04-25", "2024-01-25"},
        {"1999-01-25", "2022-01-24", "2024-01-25"},
        {"1999-01-25", "2022-01-25", "2039-01-25"},
        {"1999-01-25", "2024-01-24", "2039-01-25"},
        {"1999-01-25", "2024-01-25", "2039-01-25"}, /* on the 25th birthday: the next */
        {"1985-07-01", "2021-01-01", "2025-07-01"},
        {"1985-07-01", "2023-06-30", "2025-07-01"},
        {"1985-07-01", "2023-07-01", "2045-07-01"},
        {"1965-03-03", "2021-01-01", "2025-03-03"},
        {"1965-03-03", "2023-03-02", "2025-03-03"},
        {"1965-03-03", "2023-03-03", NULL}, /* within 2 years of 60 */
        {"1965-03-03", "2025-03-03", NULL},
        {"1940-03-03", "2021-01-01", NULL},
        /* 29 February: the birthday of a common year is 1 March */
        {"2000-02-29", "2021-01-01", "2025-03-01"},
        {"2000-02-29", "2023-02-28", "2025-03-01"},
        {"2000-02-29", "2023-03-01", "2040-02-29"},
        {"1980-02-29", "2018-02-28", "2020-02-29"},
        {"1980-02-29", "2018-03-01", "2040-02-29"},
        /* only the year, or year and month, known: the last day of it */
        {"1996", "2018-12-30", "2021-12-31"},
        {"1996", "2019-12-30", "2021-12-31"},
        {"1996", "2019-12-31", "2036-12-31"},
        {"1996", "2021-01-01", "2036-12-31"},
        {"1964", "2022-12-30", "2024-12-31"},
        {"1964", "2022-12-31", NULL},
        {"2000-02", "2021-01-01", "2025-03-01"},
        {"2001-02", "2021-01-01", "2026-02-28"},
        {"2001-06", "2021-01-01", "2026-06-30"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        xt_date expires = xt_card_expiry(d(cases[i].birth), d(cases[i].issued));
        assert_int_equal(expires,
                         cases[i].expires != NULL ? d(cases[i].expires) : XT_CARD_NO_EXPIRY);
    }
    assert_int_equal(xt_card_expiry(XT_DATE_NONE, d("2021-01-01")), XT_CARD_NO_EXPIRY);
    assert_int_equal(xt_card_expiry(d("1999-01-25"), XT_DATE_NONE), XT_CARD_NO_EXPIRY);
}

/* Whatever the dates: a renewal birthday, more than two years on unless issued before that, or
 * never. Counted here by walking the days, not by the code's own rule. */
static void every_expiry_is_a_renewal_birthday(void **state)
{
    (void)state;
    static const unsigned ages[] = {14, 25, 40, 60};
    for (int32_t born = xt_date_to_days(d("1930-01-01")); born < xt_date_to_days(d("2020-01-01"));
         born += 23) {
        xt_date birth = xt_date_from_days(born);
        for (int32_t day = xt_date_to_days(d("2020-06-01")); day < xt_date_to_days(d("2030-01-01"));
             day += 31) {
            xt_date issued = xt_date_from_days(day), expected = XT_CARD_NO_EXPIRY;
            for (size_t i = 4; i-- > 0;) {
                xt_date birthday = xt_date_add_years(birth, ages[i]);
                xt_date skipped_from = xt_date_add_years(birth, ages[i] - 2);
                if (birthday > issued && issued < skipped_from) {
                    expected = birthday;
                }
            }
            xt_date expires = xt_card_expiry(birth, issued);
            assert_int_equal(expires, expected);
            assert_true(expires == XT_CARD_NO_EXPIRY || xt_date_to_days(expires) - day > 730);
        }
    }
}

static void an_active_card_is_valid_through_its_last_day(void **state)
{
    (void)state;
    xt_date last = d("2024-01-25");
    assert_int_equal(xt_card_answer(XT_CARD_ACTIVE, last, d("2024-01-24")), XT_CARD_ANSWER_VALID);
    assert_int_equal(xt_card_answer(XT_CARD_ACTIVE, last, d("2024-01-25")), XT_CARD_ANSWER_VALID);
    assert_int_equal(xt_card_answer(XT_CARD_ACTIVE, last, d("2024-01-26")), XT_CARD_ANSWER_EXPIRED);
    assert_int_equal(xt_card_answer(XT_CARD_ACTIVE, XT_CARD_NO_EXPIRY, d("2200-01-01")),
                     XT_CARD_ANSWER_VALID);
}

static void a_partial_expiry_runs_to_its_end(void **state)
{
    (void)state;
    static const struct {
        const char *expires, *today;
        enum xt_card_answer answer;
    } cases[] = {
        {"2026", "2026-03-01", XT_CARD_ANSWER_VALID},
        {"2026", "2026-12-31", XT_CARD_ANSWER_VALID},
        {"2026", "2027-01-01", XT_CARD_ANSWER_EXPIRED},
        {"2026", "2025-12-31", XT_CARD_ANSWER_VALID},
        {"2026-02", "2026-02-28", XT_CARD_ANSWER_VALID},
        {"2026-02", "2026-03-01", XT_CARD_ANSWER_EXPIRED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(xt_card_answer(XT_CARD_ACTIVE, d(cases[i].expires), d(cases[i].today)),
                         cases[i].answer);
    }
}

static void state_goes_before_expiry(void **state)
{
    (void)state;
    xt_date last = d("2024-01-25"), after = d("2025-01-01");
    assert_int_equal(xt_card_answer(XT_CARD_NONE, last, after), XT_CARD_ANSWER_NONE);
    assert_int_equal(xt_card_answer(XT_CARD_LOST, last, after), XT_CARD_ANSWER_LOST);
    assert_int_equal(xt_card_answer(XT_CARD_REVOKED, last, after), XT_CARD_ANSWER_REVOKED);
    assert_string_equal(xt_card_answer_name(XT_CARD_ANSWER_NONE), "none");
    assert_string_equal(xt_card_answer_name(XT_CARD_ANSWER_VALID), "valid");
    assert_string_equal(xt_card_answer_name(XT_CARD_ANSWER_EXPIRED), "expired");
    assert_string_equal(xt_card_answer_name(XT_CARD_ANSWER_LOST), "lost");
    assert_string_equal(xt_card_answer_name(XT_CARD_ANSWER_REVOKED), "revoked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_expire_by_the_table),
        cmocka_unit_test(every_expiry_is_a_renewal_birthday),
        cmocka_unit_test(an_active_card_is_valid_through_its_last_day),
        cmocka_unit_test(a_partial_expiry_runs_to_its_end),
        cmocka_unit_test(state_goes_before_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
