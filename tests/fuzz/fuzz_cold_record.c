#include "core/record.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_person person;
    static struct xt_links links;
    uint64_t number;
    (void)!xt_cold_decode(xt_span_of(data, size), &person);
    (void)!xt_cold_links(xt_span_of(data, size), &number, &links);
}
