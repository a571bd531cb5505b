#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/progress.h"
#include "tests/test.h"

static FILE *caught;
static int real_stderr;
static char text[4096];

static void catch_stderr(void)
{
    caught = tmpfile();
    assert_non_null(caught);
    fflush(stderr);
    real_stderr = dup(2);
    dup2(fileno(caught), 2);
}

static const char *release_stderr(void)
{
    fflush(stderr);
    dup2(real_stderr, 2);
    close(real_stderr);
    rewind(caught);
    text[fread(text, 1, sizeof(text) - 1, caught)] = 0;
    fclose(caught);
    return text;
}

static void short_work_off_a_terminal_is_one_line_at_its_end(void **state)
{
    (void)state;
    struct xt_progress progress;
    catch_stderr();
    xt_progress_start(&progress, "reading", "people", 1500000, false);
    for (uint64_t i = 0; i <= 1500000; i++) {
        xt_progress_set(&progress, i);
    }
    fflush(stderr);
    assert_int_equal(ftell(caught), 0); /* nothing was due yet */
    xt_progress_finish(&progress);
    const char *line = release_stderr();
    assert_non_null(strstr(line, "reading: 1.50 M people, "));
    assert_non_null(strstr(line, "/s, "));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_null(strchr(line, '\r'));
    assert_null(strchr(line, '\033'));
}

static void long_work_off_a_terminal_is_a_plain_line_now_and_then(void **state)
{
    (void)state;
    struct xt_progress progress;
    catch_stderr();
    xt_progress_start(&progress, "reading", "bytes", 1000, false);
    progress.started_ms -= 20000; /* it began 20 s ago */
    progress.shown_ms -= 20000;
    for (unsigned i = 0; i < 256; i++) {
        xt_progress_set(&progress, 250);
    }
    for (unsigned i = 0; i < 1024; i++) {
        xt_progress_set(&progress, 260); /* the next line is not due for 10 s */
    }
    const char *line = release_stderr();
    assert_string_equal(line, "reading: 25%, 250 bytes, 12/s, 1 min 00 s left\n");
}

static void quiet_work_says_nothing(void **state)
{
    (void)state;
    struct xt_progress progress;
    catch_stderr();
    xt_progress_start(&progress, "reading", "people", 0, true);
    progress.started_ms -= 20000;
    progress.shown_ms -= 20000;
    for (unsigned i = 0; i < 1024; i++) {
        xt_progress_set(&progress, i);
    }
    xt_progress_finish(&progress);
    assert_string_equal(release_stderr(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_work_off_a_terminal_is_one_line_at_its_end),
        cmocka_unit_test(long_work_off_a_terminal_is_a_plain_line_now_and_then),
        cmocka_unit_test(quiet_work_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
