#include "core/date.h"

#include "tests/core/corpus.h"
#include "tests/test.h"

#include <stdio.h>

static xt_date d(const char *text)
{
    xt_date date = XT_DATE_NONE;
    assert_int_equal(xt_date_parse(xt_span_of_string(text), &date), XT_OK);
    return date;
}

static void every_day_from_1800_to_2200_round_trips(void **state)
{
    (void)state;
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t day_number = -62091; /* 1800-01-01 */
    xt_date before = XT_DATE_NONE;
    for (unsigned year = 1800; year <= 2200; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (unsigned month = 1; month <= 12; month++) {
            unsigned last = lengths[month - 1] + (leap && month == 2);
            for (unsigned day = 1; day <= 31; day++) {
                char text[32], written[XT_DATE_TEXT_MAX], qr[32];
                xt_date date = XT_DATE_NONE, from_qr = XT_DATE_NONE, made = XT_DATE_NONE;
                snprintf(text, sizeof(text), "%04u-%02u-%02u", year, month, day);
                snprintf(qr, sizeof(qr), "%02u%02u%04u", day, month, year);
                enum xt_status expected = day <= last ? XT_OK : XT_INVALID;
                assert_int_equal(xt_date_parse(xt_span_of_string(text), &date), expected);
                assert_int_equal(xt_date_parse_qr(xt_span_of_string(qr), &from_qr), expected);
                assert_int_equal(xt_date_make(year, month, day, &made), expected);
                if (expected != XT_OK) {
                    continue;
                }
                assert_true(date == from_qr && date == made && date > before);
                assert_int_equal(xt_date_year(date), year);
                assert_int_equal(xt_date_month(date), month);
                assert_int_equal(xt_date_day(date), day);
                assert_true(xt_date_is_full(date));
                assert_int_equal(xt_date_format(date, written), 10);
                assert_memory_equal(written, text, 10);
                assert_int_equal(xt_date_to_days(date), day_number);
                assert_int_equal(xt_date_from_days(day_number), date);
                day_number++;
                before = date;
            }
        }
    }
    assert_int_equal(xt_date_from_days(day_number), XT_DATE_NONE);
    assert_int_equal(xt_date_from_days(-62092), XT_DATE_NONE);
    assert_int_equal(xt_date_from_days(INT32_MAX), XT_DATE_NONE);
    assert_int_equal(xt_date_from_days(INT32_MIN), XT_DATE_NONE);
}

static void year_and_month_alone_are_dates(void **state)
{
    (void)state;
    char text[XT_DATE_TEXT_MAX];
    xt_date year = d("1950"), month = d("1950-06"), day = d("1950-06-01"), qr = XT_DATE_NONE;
    assert_false(xt_date_is_full(year));
    assert_false(xt_date_is_full(month));
    assert_int_equal(xt_date_month(year), 0);
    assert_int_equal(xt_date_day(month), 0);
    assert_true(year < month && month < day);
    assert_int_equal(xt_date_format(year, text), 4);
    assert_memory_equal(text, "1950", 4);
    assert_int_equal(xt_date_format(month, text), 7);
    assert_memory_equal(text, "1950-06", 7);
    assert_int_equal(xt_date_parse_qr(xt_span_of_string("00001950"), &qr), XT_OK);
    assert_int_equal(qr, year);
    assert_int_equal(xt_date_parse_qr(xt_span_of_string("00061950"), &qr), XT_OK);
    assert_int_equal(qr, month);
}

static void malformed_dates_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           "1",          "99",         "199",         "19999",
        "1999-",      "1999-1",     "1999-1-1",   "1999-00",     "1999-13",
        "1999-00-01", "1999-01-00", "1999-01-",   "1999-01-1",   "1999-01-32",
        "2023-02-30", "2023-02-29", "1900-02-29", "2100-02-29",  "1799-12-31",
        "2201-01-01", "1799",       "2201",       "0000",        "1999/01/25",
        "1999-01/25", "25-01-1999", "19990125",   " 1999-01-25", "1999-01-25 ",
        "1999-01-2x", "1x99-01-25", "1999-x1-25", "+999-01-25",  "1999-01-25T00:00",
        "199９",      "1999-04-31", "-999",
    };
    xt_date date;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(xt_date_parse(xt_span_of_string(texts[i]), &date), XT_INVALID);
    }
    static const char *const qrs[] = {
        "",         "2501199",  "250119999", "25001999", "32011999", "30022023", "1999-01-25",
        "2501 999", "00131999", "00000000",  "0a011999", "25011799", "25012201",
    };
    for (size_t i = 0; i < sizeof(qrs) / sizeof(qrs[0]); i++) {
        assert_int_equal(xt_date_parse_qr(xt_span_of_string(qrs[i]), &date), XT_INVALID);
    }
    assert_int_equal(xt_date_make(1999, 0, 5, &date), XT_INVALID);
    assert_int_equal(xt_date_make(1999, 13, 0, &date), XT_INVALID);
    assert_int_equal(xt_date_make(4000000000U, 1, 1, &date), XT_INVALID);
}

static void the_day_begins_at_17_utc(void **state)
{
    (void)state;
    assert_int_equal(xt_date_of_unix_ms(0), d("1970-01-01"));
    assert_int_equal(xt_date_of_unix_ms(UINT64_C(61199999)), d("1970-01-01"));
    assert_int_equal(xt_date_of_unix_ms(UINT64_C(61200000)), d("1970-01-02"));
    /* 2026-11-21T09:00:00.123Z and T17:00:00Z */
    assert_int_equal(xt_date_of_unix_ms(UINT64_C(1795251600123)), d("2026-11-21"));
    assert_int_equal(xt_date_of_unix_ms(UINT64_C(1795280399999)), d("2026-11-21"));
    assert_int_equal(xt_date_of_unix_ms(UINT64_C(1795280400000)), d("2026-11-22"));
    assert_int_equal(xt_date_of_unix_ms(UINT64_MAX), d("2200-12-31"));
}

static void years_are_added_to_the_same_day(void **state)
{
    (void)state;
    assert_int_equal(xt_date_add_years(d("1999-01-25"), 25), d("2024-01-25"));
    assert_int_equal(xt_date_add_years(d("2000-02-29"), 25), d("2025-03-01"));
    assert_int_equal(xt_date_add_years(d("2000-02-29"), 40), d("2040-02-29"));
    assert_int_equal(xt_date_add_years(d("2000-02-29"), 100), d("2100-03-01"));
    assert_int_equal(xt_date_add_years(d("2001-02-28"), 3), d("2004-02-28"));
    assert_int_equal(xt_date_add_years(d("1950"), 60), d("2010"));
    assert_int_equal(xt_date_add_years(d("1950-02"), 60), d("2010-02"));
    assert_int_equal(xt_date_add_years(d("1999-01-25"), 0), d("1999-01-25"));
}

static bool accepts(struct xt_span text)
{
    xt_date date;
    return xt_date_parse(text, &date) == XT_OK;
}

static void corpus_is_judged_as_its_names_say(void **state)
{
    (void)state;
    corpus_replay("date", accepts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_from_1800_to_2200_round_trips),
        cmocka_unit_test(year_and_month_alone_are_dates),
        cmocka_unit_test(malformed_dates_are_refused),
        cmocka_unit_test(the_day_begins_at_17_utc),
        cmocka_unit_test(years_are_added_to_the_same_day),
        cmocka_unit_test(corpus_is_judged_as_its_names_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
