#include "core/phone.h"

#define SUBSCRIBER_DIGITS 9

/* Second digits allowed after each first one, a bit per digit (the field's own regex). */
static const uint16_t second_digits[10] = {
    [3] = 0x3FC, /* 2-9 */
    [5] = 0x364, /* 2 5 6 8 9 */
    [7] = 0x3C1, /* 0 6-9 */
    [8] = 0x3FE, /* 1-9 */
    [9] = 0x3DF, /* 0-4 6-9 */
};

enum xt_status xt_phone_parse(struct xt_span text, uint32_t *phone)
{
    size_t prefix;
    if (text.size == 12 && memcmp(text.data, "+84", 3) == 0) {
        prefix = 3;
    } else if (text.size == 11 && memcmp(text.data, "84", 2) == 0) {
        prefix = 2;
    } else if (text.size == 10 && text.data[0] == '0') {
        prefix = 1;
    } else {
        return XT_INVALID;
    }
    uint32_t number = 0;
    for (size_t i = prefix; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9) {
            return XT_INVALID;
        }
        number = number * 10 + digit;
    }
    unsigned first = number / 100000000;
    unsigned second = number / 10000000 % 10;
    if ((second_digits[first] >> second & 1) == 0) {
        return XT_INVALID;
    }
    *phone = number;
    return XT_OK;
}

void xt_phone_format(uint32_t phone, char text[XT_PHONE_TEXT])
{
    memcpy(text, "+84", 3);
    for (size_t i = XT_PHONE_TEXT; i > XT_PHONE_TEXT - SUBSCRIBER_DIGITS; i--) {
        text[i - 1] = (char)('0' + phone % 10);
        phone /= 10;
    }
}
