#include "core/record.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_hot hot;
    struct xt_alias alias;
    if (xt_hot_decode(xt_span_of(data, size), &hot) == XT_OK) {
        xt_require(hot.name.length <= XT_NAME_MAX);
    }
    (void)!xt_alias_decode(xt_span_of(data, size), &alias);
}
