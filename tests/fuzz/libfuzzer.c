/* The entrance of libFuzzer. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* memory of malloc of just that size: a read past its end is seen */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    xt_require(copy != NULL);
    memcpy(copy, data, size);
    fuzz_one(copy, size);
    free(copy);
    return 0;
}
