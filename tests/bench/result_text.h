/* tests/bench/result_text: result files in the format of `xacthuc-bench load`, made to measure. */
#ifndef XT_TESTS_BENCH_RESULT_TEXT_H
#define XT_TESTS_BENCH_RESULT_TEXT_H

#include <stdbool.h>

struct result_wish {
    unsigned seconds; /* rows of 100 right answers each, unless none is right */
    bool none_right;  /* every request failed, of kind "verdict" */
    bool closed, server, knee;
    unsigned slow_second; /* its p99.9 is 987 ms; 0: none */
    const char *text; /* stands in the server's address, a kind of error and a setting, as JSON */
};

/* The caller frees it. */
char *result_text(const struct result_wish *wish);

/* A copy of text with the first `from` replaced; fails the test when there is none. */
char *result_replaced(const char *text, const char *from, const char *to);

#endif
