/* A name that was taken is shown so that it is read as the same name; comparing is symmetric. */
#include "core/name.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_name name, again, other;
    char shown[XT_NAME_DISPLAY_MAX];
    /* Two names: the input up to and after its first bar. */
    const uint8_t *bar = size == 0 ? NULL : memchr(data, '|', size);
    size_t first = bar == NULL ? size : (size_t)(bar - data);
    if (xt_name_parse(xt_span_of(data, first), &name) != XT_OK) {
        xt_require(name.length == 0);
        return;
    }
    size_t length = xt_name_display(&name, shown, sizeof(shown));
    xt_require(xt_name_parse(xt_span_of(shown, length), &again) == XT_OK);
    xt_require(again.length == name.length && memcmp(again.codes, name.codes, name.length) == 0);
    xt_require(xt_name_matches(&name, &again, XT_NAME_EXACT));
    if (bar == NULL || xt_name_parse(xt_span_of(bar + 1, size - first - 1), &other) != XT_OK) {
        return;
    }
    struct xt_name_comparison there = xt_name_compare(&name, &other);
    struct xt_name_comparison back = xt_name_compare(&other, &name);
    xt_require(there.level == back.level && there.score == back.score && there.score <= 100);
    xt_require(xt_name_matches(&name, &other, XT_NAME_SPELLING) ==
               xt_name_matches(&other, &name, XT_NAME_SPELLING));
    xt_require((there.level <= XT_NAME_SPELLING) ==
               xt_name_matches(&name, &other, XT_NAME_SPELLING));
}
