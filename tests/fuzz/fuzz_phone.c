#include "core/phone.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    uint32_t phone;
    if (xt_phone_parse(xt_span_of(data, size), &phone) == XT_OK) {
        xt_require(size >= 9);
    }
}
