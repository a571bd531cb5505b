/* A head is whole or not whatever follows it. */
#include "bench/response.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_response_head head = {0}, again = {0};
    enum xt_status status = xt_response_read(xt_span_of(data, size), &head);
    if (status == XT_OK) {
        xt_require(head.size <= size && head.size <= XT_RESPONSE_HEAD_MAX);
        xt_require(head.status >= 200 && head.status <= 599);
        xt_require(xt_response_read(xt_span_of(data, head.size), &again) == XT_OK);
        xt_require(again.status == head.status && again.body_size == head.body_size);
    } else {
        xt_require(status == XT_AGAIN || head.wrong != NULL);
    }
}
