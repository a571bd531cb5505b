#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "store/csv_rows.h"
#include "store/lines.h"
#include "tests/test.h"

static struct xt_lines lines;
static struct xt_span line;
static FILE *file;
static struct xt_line_block block;
static size_t at;
static int wake = -1;   /* what ends a wait */
static uint64_t number; /* of the line given last */

static void start(void)
{
    assert_int_equal(xt_lines_start(&lines, fileno(file), wake), XT_OK);
    assert_int_equal(xt_line_block_start(&block), XT_OK);
    at = 0;
    number = 0;
}

static void end(void)
{
    xt_line_block_end(&block);
    xt_lines_end(&lines);
    fclose(file);
}

/* The next line, of this block or another. */
static enum xt_status next(void)
{
    enum xt_status status = xt_line_next(&block, &at, &line);
    if (status == XT_CLOSED) {
        status = xt_lines_fill(&lines, &block);
        if (status != XT_OK) {
            return status;
        }
        at = 0;
        assert_int_equal(block.first_line, number + 1);
        status = xt_line_next(&block, &at, &line);
    }
    number++;
    return status;
}

static void open_text(const void *text, size_t size)
{
    file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    rewind(file);
    start();
}

static void open_string(const char *text)
{
    open_text(text, strlen(text));
}

/* The same, past the rest of a line that is being skipped. */
static enum xt_status next_line(void)
{
    enum xt_status status;
    do {
        status = next();
    } while (status == XT_AGAIN);
    return status;
}

static void expect(uint64_t expected, const char *text)
{
    assert_int_equal(next_line(), XT_OK);
    assert_int_equal(number, expected);
    assert_int_equal(line.size, strlen(text));
    assert_memory_equal(line.data, text, line.size);
}

static void expect_end(void)
{
    assert_int_equal(next_line(), XT_CLOSED);
    assert_int_equal(next_line(), XT_CLOSED);
    end();
}

static void lines_end_in_lf_or_crlf_and_the_last_in_nothing(void **state)
{
    (void)state;
    open_string("one\ntwo\r\n\n\r\nfive");
    expect(1, "one");
    expect(2, "two");
    expect(3, "");
    expect(4, "");
    expect(5, "five");
    expect_end();
    open_string("");
    expect_end();
    open_string("\n");
    expect(1, "");
    expect_end();
}

static void a_byte_order_mark_is_skipped_at_the_start_only(void **state)
{
    (void)state;
    open_string("\xef\xbb\xbfone\n\xef\xbb\xbftwo\n");
    expect(1, "one");
    expect(2, "\xef\xbb\xbftwo");
    expect_end();
    open_string("\xef\xbb\xbf");
    expect_end();
    open_string("\xef\xbb");
    expect(1, "\xef\xbb");
    expect_end();
}

static void a_line_that_is_too_long_is_skipped_and_the_next_is_read(void **state)
{
    (void)state;
    const size_t sizes[] = {XT_LINE_MAX,     XT_LINE_MAX + 1,       XT_LINE_MAX + 2,
                            XT_LINE_MAX + 3, XT_LINE_MAX + 1048576, 5000000};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (unsigned ended = 0; ended < 3; ended++) { /* nothing, a line, CRLF and a line */
            char *text = malloc(sizes[i] + 8);
            assert_non_null(text);
            memset(text, 'x', sizes[i]);
            const char *const ends[] = {"", "\nnext", "\r\nnext"};
            memcpy(text + sizes[i], ends[ended], strlen(ends[ended]));
            open_text(text, sizes[i] + strlen(ends[ended]));
            assert_int_equal(next_line(), sizes[i] <= XT_LINE_MAX ? XT_OK : XT_TOO_LARGE);
            assert_int_equal(number, 1);
            assert_true(block.memory.capacity <= 4U << 20); /* whatever the line */
            if (ended > 0) {
                expect(2, "next");
            }
            expect_end();
            free(text);
        }
    }
}

static void whoever_reads_an_endless_line_is_asked_again_and_again(void **state)
{
    (void)state;
    file = fopen("/dev/zero", "r");
    assert_non_null(file);
    start();
    assert_int_equal(next(), XT_TOO_LARGE); /* its beginning, in a block of its own */
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(next(), XT_AGAIN);
    }
    assert_true(block.memory.capacity <= 4U << 20);
    end();
}

static void many_lines_cross_the_blocks_whole(void **state)
{
    (void)state;
    const unsigned count = 300000;
    char *text = malloc((size_t)count * 12);
    size_t size = 0;
    assert_non_null(text);
    for (unsigned i = 0; i < count; i++) {
        size += (size_t)sprintf(text + size, "%u%s", i * 7, i % 2 == 0 ? "\n" : "\r\n");
    }
    open_text(text, size);
    for (unsigned i = 0; i < count; i++) {
        char expected[16];
        sprintf(expected, "%u", i * 7);
        expect(i + 1, expected);
    }
    assert_int_equal(lines.bytes, size);
    expect_end();
    free(text);
}

/* Whoever writes into the pipe is silent and stays there. */
static void a_wait_for_input_can_be_ended(void **state)
{
    (void)state;
    int ends[2];
    const uint64_t one = 1;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    file = fdopen(ends[0], "r");
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(file != NULL && wake >= 0);
    start();
    assert_int_equal(write(ends[1], "one\ntw", 6), 6);
    expect(1, "one");
    assert_int_equal(write(wake, &one, sizeof(one)), (ssize_t)sizeof(one));
    (void)alarm(20); /* else it waits for ever */
    assert_int_equal(next(), XT_AGAIN);
    assert_int_equal(next(), XT_AGAIN);
    (void)alarm(0);
    uint64_t count;
    assert_int_equal(read(wake, &count, sizeof(count)), (ssize_t)sizeof(count));
    assert_int_equal(write(ends[1], "o\n", 2), 2);
    expect(2, "two"); /* nothing was lost */
    close(ends[1]);
    expect_end();
    close(wake);
    wake = -1;
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static struct xt_csv *csv;
static const struct xt_span *fields;
static unsigned count_of_fields;
static const char *code;

static enum xt_status row(const char *text)
{
    code = "";
    return xt_csv_row(csv, xt_span_of_string(text), &fields, &count_of_fields, &code);
}

static void assert_fields(const char *text, unsigned count, const char *const *expected)
{
    assert_int_equal(row(text), XT_OK);
    assert_int_equal(count_of_fields, count);
    for (unsigned i = 0; i < count; i++) {
        assert_true(xt_span_is(fields[i], expected[i]));
    }
}

static void fields_are_split_at_commas_outside_quotes(void **state)
{
    (void)state;
    assert_fields("a,b,c", 3, (const char *const[]){"a", "b", "c"});
    assert_fields("a,,", 3, (const char *const[]){"a", "", ""});
    assert_fields("\"a,b\",\"say \"\"hi\"\"\"", 2, (const char *const[]){"a,b", "say \"hi\""});
    assert_fields(" a , \"b\" ,c", 3, (const char *const[]){"a", "b", "c"});
    assert_fields("Nguyễn Văn An,\"Số 10, Tràng Thi\"", 2,
                  (const char *const[]){"Nguyễn Văn An", "Số 10, Tràng Thi"});
}

static void a_bad_row_spoils_no_other(void **state)
{
    (void)state;
    const char *const bad[] = {"a,\"b", "a\"b,c", "\"a\"b,c", "\"a\nb\",c\nd", "\""};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(row(bad[i]), XT_INVALID);
        assert_string_equal(code, "malformed_csv");
        assert_fields("a,b", 2, (const char *const[]){"a", "b"});
    }
}

static void too_many_fields_are_refused(void **state)
{
    (void)state;
    char text[2 * XT_PERSON_CSV_COLUMNS_MAX + 1];
    for (unsigned i = 0; i < XT_PERSON_CSV_COLUMNS_MAX; i++) {
        memcpy(text + 2 * i, "x,", 3);
    }
    text[2 * (XT_PERSON_CSV_COLUMNS_MAX - 1)] = 0; /* its last field is empty */
    assert_int_equal(row(text), XT_OK);
    assert_int_equal(count_of_fields, XT_PERSON_CSV_COLUMNS_MAX);
    text[2 * (XT_PERSON_CSV_COLUMNS_MAX - 1)] = 'x';
    assert_int_equal(row(text), XT_INVALID);
    assert_string_equal(code, "too_many_fields");
    assert_fields("a,b", 2, (const char *const[]){"a", "b"});
}

static int open_csv(void **state)
{
    (void)state;
    return xt_csv_open(&csv) == XT_OK ? 0 : -1;
}

static int close_csv(void **state)
{
    (void)state;
    xt_csv_close(csv);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_in_lf_or_crlf_and_the_last_in_nothing),
        cmocka_unit_test(a_byte_order_mark_is_skipped_at_the_start_only),
        cmocka_unit_test(a_line_that_is_too_long_is_skipped_and_the_next_is_read),
        cmocka_unit_test(whoever_reads_an_endless_line_is_asked_again_and_again),
        cmocka_unit_test(many_lines_cross_the_blocks_whole),
        cmocka_unit_test(a_wait_for_input_can_be_ended),
        cmocka_unit_test(fields_are_split_at_commas_outside_quotes),
        cmocka_unit_test(a_bad_row_spoils_no_other),
        cmocka_unit_test(too_many_fields_are_refused),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, open_csv, close_csv);
}
