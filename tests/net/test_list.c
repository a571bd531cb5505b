/* The parts of `xacthuc verify` that read and write text. */
#include <stdlib.h>

#include "net/client.h"
#include "net/list_columns.h"
#include "net/list_count.h"
#include "net/list_dates.h"
#include "net/list_line.h"
#include "tests/test.h"

static struct xt_json_arena arena;

static int set_up(void **state)
{
    (void)state;
    arena = (struct xt_json_arena){malloc(XT_VERIFY_ARENA), XT_VERIFY_ARENA};
    return arena.memory == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(arena.memory);
    return 0;
}

/* ---- dates -------------------------------------------------------------------------------------- */

static void dates_of_a_list_are_read_as_it_writes_them(void **state)
{
    (void)state;
    static const struct {
        const char *form, *text, *date; /* NULL: it is none */
    } cases[] = {
        {"dd/mm/yyyy", "25/01/1999", "1999-01-25"},
        {"dd/mm/yyyy", "5/1/1999", "1999-01-05"},
        {"d/m/yyyy", "05/01/1999", "1999-01-05"},
        {"DD/MM/YYYY", "29/02/2000", "2000-02-29"},
        {"dd/mm/yyyy", "29/02/1999", NULL},
        {"dd/mm/yyyy", "1999", "1999"},
        {"dd/mm/yyyy", "01/1999", "1999-01"},
        {"dd/mm/yyyy", "00/00/1950", "1950"},
        {"dd/mm/yyyy", "00/03/1950", "1950-03"},
        {"dd/mm/yyyy", "25-01-1999", NULL},
        {"dd/mm/yyyy", "25/01/99", NULL},
        {"dd/mm/yyyy", "25/01/1999 ", NULL},
        {"dd/mm/yyyy", "25/01/1999/1", NULL},
        {"dd/mm/yyyy", "", NULL},
        {"dd/mm/yyyy", "/01/1999", NULL},
        {"dd/mm/yyyy", "125/01/1999", NULL},
        {"mm.dd.yyyy", "01.25.1999", "1999-01-25"},
        {"ddmmyyyy", "25011999", "1999-01-25"},
        {"ddmmyyyy", "1999", "1999"},
        {"ddmmyyyy", "5011999", NULL},
        {"yyyy-mm-dd", "1999-01-25", "1999-01-25"},
        {"yyyy/m/d", "1999/1/5", "1999-01-05"},
        {"yyyymmdd", "19990125", "1999-01-25"},
        {"dd/mm/yyyy", "01/13/1999", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xt_date_form form;
        char date[XT_DATE_TEXT_MAX];
        size_t size = 0;
        assert_int_equal(xt_date_form_parse(cases[i].form, &form), XT_OK);
        enum xt_status status =
            xt_date_form_read(&form, xt_span_of_string(cases[i].text), date, &size);
        if (cases[i].date == NULL) {
            assert_int_equal(status, XT_INVALID);
        } else {
            assert_int_equal(status, XT_OK);
            assert_true(xt_span_is(xt_span_of(date, size), cases[i].date));
        }
    }
    static const char *const wrong[] = {"",           "dd/mm",       "dd/mm/yy",  "dd/mm-yyyy",
                                        "dd/dd/yyyy", "dmyyyy",      "ddmmyyyyx", "dd/mm/yyyy/",
                                        "x",          "ddd/mm/yyyy", "dd//yyyy"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct xt_date_form form;
        assert_int_equal(xt_date_form_parse(wrong[i], &form), XT_INVALID);
    }
}

/* ---- columns ------------------------------------------------------------------------------------ */

static enum xt_status columns(const char *map, struct xt_list_columns *read)
{
    const struct xt_span header[] = {xt_span_of_string("stt"), xt_span_of_string("so = giay"),
                                     xt_span_of_string("full_name"), xt_span_of_string("phone"),
                                     xt_span_of_string("tel")};
    struct xt_failure failure;
    return xt_list_columns_read(header, 5, map, read, &failure);
}

static void columns_are_known_by_their_names_or_by_the_map(void **state)
{
    (void)state;
    struct xt_list_columns read;
    assert_int_equal(columns("so = giay=id,tel=phone", &read), XT_OK);
    assert_int_equal(read.member[0], XT_ASK_COUNT);
    assert_int_equal(read.member[1], XT_ASK_ID);
    assert_int_equal(read.member[2], XT_CLAIM_FULL_NAME);
    assert_int_equal(read.member[3], XT_ASK_COUNT); /* the map's goes before */
    assert_int_equal(read.member[4], XT_CLAIM_PHONE);
    static const char *const wrong[] = {NULL,        "tel=phone", "so = giay=ids",
                                        "nobody=id", "=id",       "id"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(columns(wrong[i], &read), XT_INVALID);
    }
}

/* ---- servers ------------------------------------------------------------------------------------ */

static void a_server_is_an_https_url(void **state)
{
    (void)state;
    static const struct {
        const char *url, *authority; /* NULL: it is none */
    } cases[] = {{"https://id.example.vn", "id.example.vn:443"},
                 {"https://localhost:8443/", "localhost:8443"},
                 {"https://[::1]:8443", "[::1]:8443"},
                 {"https://10.0.0.1:1", "10.0.0.1:1"},
                 {"http://a", NULL},
                 {"https://", NULL},
                 {"https://a:65536", NULL},
                 {"https://a:0", NULL},
                 {"https://a:", NULL},
                 {"https://a/b", NULL},
                 {"https://a:1/b", NULL},
                 {"https://[::1", NULL},
                 {"https://::1", NULL},
                 {"https://a\r\nX: y", NULL},
                 {"https://u@a", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xt_client_server server;
        enum xt_status status = xt_client_server_parse(cases[i].url, &server);
        assert_int_equal(status, cases[i].authority != NULL ? XT_OK : XT_INVALID);
        if (status == XT_OK) {
            assert_string_equal(server.authority, cases[i].authority);
        }
    }
}

/* ---- results ------------------------------------------------------------------------------------ */

static size_t write_line(const struct xt_list_form *form, const struct xt_list_row *row,
                         const char *answer, char text[4096])
{
    struct xt_list_answer read = {.line = 0};
    struct xt_writer writer = xt_writer_over(text, 4095);
    if (row->code == NULL) {
        assert_int_equal(xt_list_answer_read(xt_span_of_string(answer), arena, &read), XT_OK);
    }
    assert_int_equal(xt_list_line_write(form, row, xt_span_of_string(answer == NULL ? "" : answer),
                                        &read, &writer),
                     XT_OK);
    text[writer.size] = 0;
    return writer.size;
}

static const char answer[] =
    "{\"line\":3,\"txn\":\"a\",\"answer_id\":\"01M81MED7V67YSBE12KGVHXYCQ\",\"answered_at\":"
    "\"2026-11-22T12:42:07.995Z\",\"verdict\":\"not_verified\",\"claims\":{\"full_name\":"
    "\"mismatch\","
    "\"date_of_birth\":\"mismatch\",\"phone\":\"match\",\"old_id\":\"not_held\"},\"card\":\"lost\","
    "\"advisory\":{\"full_name\":{\"level\":\"unaccented\",\"score\":100}}}";

static void a_result_is_the_answer_with_the_lists_number_and_suggestions(void **state)
{
    (void)state;
    char text[4096];
    const struct xt_list_form form = {.is_csv = false};
    const struct xt_list_row row = {.number = 70, .hints = XT_HINT_SWAP | XT_HINT_CMND};
    size_t size = write_line(&form, &row, answer, text);
    assert_memory_equal(text, "{\"line\":70,\"txn\":\"a\",", 21);
    static const char end[] =
        "},\"suggestions\":[\"name_diacritics\",\"day_and_month\",\"old_number\"]}\n";
    assert_string_equal(text + size - strlen(end), end);
    struct xt_list_answer read;
    assert_int_equal(xt_list_line_read(&form, xt_span_of(text, size - 1), arena, &read), XT_OK);
    assert_int_equal(read.line, 70);
    assert_int_equal(read.suggestions, XT_SUGGEST_BIT(XT_SUGGEST_NAME_DIACRITICS) |
                                           XT_SUGGEST_BIT(XT_SUGGEST_DAY_AND_MONTH) |
                                           XT_SUGGEST_BIT(XT_SUGGEST_OLD_NUMBER));
    const struct xt_list_row bad = {.number = 9, .code = "line_too_long"};
    (void)write_line(&form, &bad, NULL, text);
    assert_string_equal(text, "{\"line\":9,\"status\":400,\"code\":\"line_too_long\"}\n");
}

static void columns_of_a_result_are_read_back_as_they_were_written(void **state)
{
    (void)state;
    char text[4096];
    const struct xt_list_form form = {.is_csv = true, .separator = ';', .columns = 4};
    const struct xt_list_row row = {.number = 70,
                                    .row = xt_span_of_string("1;\"a;\"\"b\";c"),
                                    .fields = 3,
                                    .hints = XT_HINT_SWAP};
    size_t size = write_line(&form, &row, answer, text);
    assert_string_equal(text, "1;\"a;\"\"b\";c;;not_verified;full_name date_of_birth;old_id;;lost;"
                              "unaccented;;name_diacritics day_and_month;"
                              "01M81MED7V67YSBE12KGVHXYCQ;2026-11-22T12:42:07.995Z\n");
    struct xt_list_answer read;
    assert_int_equal(xt_list_line_read(&form, xt_span_of(text, size - 1), arena, &read), XT_OK);
    assert_int_equal(read.mismatched,
                     XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH));
    assert_int_equal(read.not_held, XT_CLAIM_BIT(XT_CLAIM_OLD_ID));
    assert_true(xt_span_is(read.card, "lost") && !read.verified && read.status == 0);
    /* Half a line, as a kill may leave it, is none: it has too few columns, or no verdict. */
    for (size_t part = 0; part < 40; part++) {
        assert_int_equal(xt_list_line_read(&form, xt_span_of(text, part), arena, &read),
                         XT_INVALID);
    }
}

static void errors_are_counted_by_their_code_and_place(void **state)
{
    (void)state;
    static struct xt_list_counts counts;
    char code[32], *text = NULL;
    size_t size = 0;
    for (unsigned i = 0; i < 2 * XT_LIST_PROBLEMS; i++) {
        snprintf(code, sizeof(code), "code_%u", i);
        const struct xt_list_answer read = {.status = 400,
                                            .code = xt_span_of_string(code),
                                            .pointer = xt_span_of_string("/id"),
                                            .what = xt_span_of_string("bad\"id")};
        xt_list_count(&counts, &read);
        xt_list_count(&counts, &read);
    }
    assert_int_equal(counts.errors, 4 * XT_LIST_PROBLEMS);
    assert_int_equal(counts.problems, XT_LIST_PROBLEMS);
    FILE *out = open_memstream(&text, &size);
    xt_list_counts_print_json(&counts, out);
    xt_list_counts_print(&counts, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "\"code_0 /id bad_id\":2,"));
    assert_non_null(strstr(text, "\"other\":130}"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_of_a_list_are_read_as_it_writes_them),
        cmocka_unit_test(columns_are_known_by_their_names_or_by_the_map),
        cmocka_unit_test(a_server_is_an_https_url),
        cmocka_unit_test(a_result_is_the_answer_with_the_lists_number_and_suggestions),
        cmocka_unit_test(columns_of_a_result_are_read_back_as_they_were_written),
        cmocka_unit_test(errors_are_counted_by_their_code_and_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
