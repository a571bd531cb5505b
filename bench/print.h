/* bench/print: formatted text into an output, for result files. */
#ifndef XT_BENCH_PRINT_H
#define XT_BENCH_PRINT_H

#include "bench/output.h"

#define XT_PRINT_MAX 4096 /* bytes one call may write; more aborts: texts are ours and bounded */

XT_MUST_USE enum xt_status xt_print(struct xt_output *output, struct xt_failure *failure,
                                    const char *format, ...) XT_PRINTF(3, 4);

/* "text" with JSON's escapes. */
XT_MUST_USE enum xt_status xt_print_string(struct xt_output *output, struct xt_failure *failure,
                                           const char *text);

#endif
