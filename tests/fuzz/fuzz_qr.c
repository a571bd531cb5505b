#include "core/qr.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_qr qr;
    (void)!xt_qr_parse(xt_span_of(data, size), &qr);
}
