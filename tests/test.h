/* tests/test: cmocka wants these headers in this order; include sorting would break it. */
#ifndef XT_TESTS_TEST_H
#define XT_TESTS_TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
