#include "core/qr.h"

#include "tests/core/corpus.h"
#include "tests/test.h"

#define GOOD "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Số 10 Tràng Thi, Hà Nội|25042021"

static enum xt_status parse(const char *text, struct xt_qr *qr)
{
    return xt_qr_parse(xt_span_of_string(text), qr);
}

static xt_date d(const char *text)
{
    xt_date date = XT_DATE_NONE;
    assert_int_equal(xt_date_parse(xt_span_of_string(text), &date), XT_OK);
    return date;
}

static void seven_fields_are_a_card(void **state)
{
    (void)state;
    struct xt_qr qr;
    struct xt_name name;
    assert_int_equal(parse(GOOD, &qr), XT_OK);
    assert_int_equal(qr.number, 1099012345);
    assert_true(qr.has_cmnd);
    assert_int_equal(qr.cmnd, 12345678);
    assert_int_equal(xt_name_parse(xt_span_of_string("NGUYỄN VĂN AN"), &name), XT_OK);
    assert_true(xt_name_matches(&qr.name, &name, XT_NAME_EXACT));
    assert_int_equal(qr.date_of_birth, d("1999-01-25"));
    assert_int_equal(qr.sex, XT_SEX_MALE);
    assert_true(xt_span_is(qr.address, "Số 10 Tràng Thi, Hà Nội"));
    assert_int_equal(qr.issued_on, d("2021-04-25"));
}

static void optional_parts_may_be_missing(void **state)
{
    (void)state;
    struct xt_qr qr;
    assert_int_equal(parse("001199012345||Lê Thị Mỹ|00001999|Nữ||25042021", &qr), XT_OK);
    assert_false(qr.has_cmnd);
    assert_int_equal(qr.sex, XT_SEX_FEMALE);
    assert_int_equal(qr.date_of_birth, d("1999"));
    assert_int_equal(qr.address.size, 0);
}

static void further_fields_and_line_breaks_are_ignored(void **state)
{
    (void)state;
    static const char *const texts[] = {
        GOOD "|",         GOOD "||",   GOOD "|Nguyễn Văn Bố|Lê Thị Mẹ|",
        GOOD "|\xff\xfe", GOOD "\r\n", GOOD " ",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct xt_qr qr;
        assert_int_equal(parse(texts[i], &qr), XT_OK);
        assert_int_equal(qr.issued_on, d("2021-04-25"));
    }
}

static void sex_is_read_in_any_normal_form(void **state)
{
    (void)state;
    static const char *const women[] = {"Nữ", "NỮ", "nữ", "Nu\xcc\x9b\xcc\x83",
                                        "N\xc6\xb0\xcc\x83"};
    for (size_t i = 0; i < sizeof(women) / sizeof(women[0]); i++) {
        char text[200];
        struct xt_qr qr;
        snprintf(text, sizeof(text), "001199012345||An|01011999|%s|x|25042021", women[i]);
        assert_int_equal(parse(text, &qr), XT_OK);
        assert_int_equal(qr.sex, XT_SEX_FEMALE);
    }
}

static void one_malformed_field_spoils_the_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "|",
        "||||||",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội", /* 6 fields */
        "00109901234|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|25042021",
        "0010990123456|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|25042021",
        "|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|25042021",
        " 001099012345|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|25042021",
        "001099012345|01234567|Nguyễn Văn An|25011999|Nam|Hà Nội|25042021",
        "001099012345|0123456789|Nguyễn Văn An|25011999|Nam|Hà Nội|25042021",
        "001099012345|012345678||25011999|Nam|Hà Nội|25042021",
        "001099012345|012345678|Nguyá»…n VÄƒn An|25011999|Nam|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn \xff An|25011999|Nam|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An|30021999|Nam|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An|1999-01-25|Nam|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An||Nam|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An|25011999||Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An|25011999|Male|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nu|Hà Nội|25042021",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nam|H\xe0|25042021",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Hà\nNội|25042021",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|00042021",
        "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Hà Nội|31042021",
        "001099012345;012345678;Nguyễn Văn An;25011999;Nam;Hà Nội;25042021",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct xt_qr qr;
        if (parse(texts[i], &qr) != XT_INVALID) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

static void a_card_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(GOOD) - 1; size++) {
        struct xt_qr qr;
        assert_int_equal(xt_qr_parse(xt_span_of(GOOD, size), &qr), XT_INVALID);
    }
}

static bool accepts(struct xt_span text)
{
    struct xt_qr qr;
    return xt_qr_parse(text, &qr) == XT_OK;
}

static void corpus_is_judged_as_its_names_say(void **state)
{
    (void)state;
    corpus_replay("qr", accepts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seven_fields_are_a_card),
        cmocka_unit_test(optional_parts_may_be_missing),
        cmocka_unit_test(further_fields_and_line_breaks_are_ignored),
        cmocka_unit_test(sex_is_read_in_any_normal_form),
        cmocka_unit_test(one_malformed_field_spoils_the_whole),
        cmocka_unit_test(a_card_cut_anywhere_is_refused),
        cmocka_unit_test(corpus_is_judged_as_its_names_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
