/* An id is 12 or 9 digits; what was parsed is in its bounds. */
#include "core/number.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_id id;
    uint64_t number;
    struct xt_span text = xt_span_of(data, size);
    enum xt_status status = xt_id_parse(text, &id);
    bool as_number = xt_number_parse(text, &number) == XT_OK;
    bool as_cmnd = xt_cmnd_parse(text, &number) == XT_OK;
    xt_require((status == XT_OK) == (as_number || as_cmnd));
    xt_require(!(as_number && as_cmnd));
    xt_require(status != XT_OK || id.value < 1000000000000ULL);
}
