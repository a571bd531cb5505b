/* Log lines are JSON whatever is put into them, and are never split or flooded. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/log.h"
#include "tests/test.h"

static struct xt_log_line line;

static const char *fields_of(const char *key, const char *value)
{
    static char text[XT_LOG_LINE_MAX + 1];
    xt_log_begin(&line, XT_LOG_INFO, "test");
    xt_log_text(&line, key, value);
    memcpy(text, line.text, line.writer.size);
    text[line.writer.size] = '\0';
    const char *at = strstr(text, "\"event\":\"test\"");
    assert_non_null(at);
    return at + strlen("\"event\":\"test\"");
}

static void text_is_escaped(void **state)
{
    (void)state;
    assert_string_equal(fields_of("a", "b"), ",\"a\":\"b\"");
    assert_string_equal(fields_of("a", "\"\\\n\x01\x7f"),
                        ",\"a\":\"\\\"\\\\\\u000a\\u0001\\u007f\"");
    assert_string_equal(fields_of("a", "thư mục"), ",\"a\":\"thư mục\"");
    assert_string_equal(fields_of("a", "\xff\xc3z\xed\xa0\x80\xf0\x90"), ",\"a\":\"??z?????\"");
}

static void field_that_does_not_fit_is_left_out(void **state)
{
    (void)state;
    static char big[XT_LOG_LINE_MAX];
    memset(big, 'a', sizeof(big) - 1);
    xt_log_begin(&line, XT_LOG_ERROR, "test");
    xt_log_text(&line, "big", big);
    xt_log_number(&line, "small", UINT64_MAX);
    line.text[line.writer.size] = '\0';
    assert_null(strstr((char *)line.text, "big"));
    assert_non_null(strstr((char *)line.text, ",\"small\":18446744073709551615"));
    assert_non_null(strstr((char *)line.text, "\"level\":\"error\""));
}

static void line_is_one_write(void **state)
{
    (void)state;
    int ends[2], saved = dup(2);
    assert_int_equal(pipe2(ends, O_DIRECT), 0); /* a packet for each write */
    dup2(ends[1], 2);
    xt_log_begin(&line, XT_LOG_WARNING, "test");
    xt_log_number(&line, "n", 0);
    xt_log_end(&line);
    dup2(saved, 2);
    char text[4096];
    ssize_t got = read(ends[0], text, sizeof(text));
    assert_true(got > 0);
    assert_memory_equal(text, "{\"ts\":\"20", 9);
    assert_memory_equal(text + got - 8, ",\"n\":0}\n", 8);
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

static void floods_are_counted_not_written(void **state)
{
    (void)state;
    struct xt_log_limit limit = {0};
    unsigned written = 0;
    for (unsigned i = 0; i < 1000; i++) {
        written += xt_log_begin_limited(&limit, 5000 + i / 2, &line, XT_LOG_INFO, "test");
    }
    assert_int_equal(written, XT_LOG_PER_SECOND);
    assert_true(xt_log_begin_limited(&limit, 6000, &line, XT_LOG_INFO, "test"));
    line.text[line.writer.size] = '\0';
    assert_non_null(strstr((char *)line.text, ",\"suppressed\":990"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(field_that_does_not_fit_is_left_out),
        cmocka_unit_test(line_is_one_write),
        cmocka_unit_test(floods_are_counted_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
