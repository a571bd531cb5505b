/* What is written of a date that was read is read as the same date. */
#include "core/date.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    xt_date date, again;
    char text[XT_DATE_TEXT_MAX];
    if (xt_date_parse(xt_span_of(data, size), &date) == XT_OK) {
        size_t length = xt_date_format(date, text);
        xt_require(length == size && memcmp(text, data, size) == 0);
    }
    if (xt_date_parse_qr(xt_span_of(data, size), &date) == XT_OK) {
        size_t length = xt_date_format(date, text);
        xt_require(xt_date_parse(xt_span_of(text, length), &again) == XT_OK && again == date);
    }
}
