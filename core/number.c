#include "core/number.h"

static enum xt_status parse_digits(struct xt_span text, size_t digits, uint64_t *value)
{
    if (text.size != digits) {
        return XT_INVALID;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9) {
            return XT_INVALID;
        }
        number = number * 10 + digit;
    }
    *value = number;
    return XT_OK;
}

static void format_digits(uint64_t value, char *digits, size_t count)
{
    while (count > 0) {
        digits[--count] = (char)('0' + value % 10);
        value /= 10;
    }
}

enum xt_status xt_number_parse(struct xt_span text, uint64_t *number)
{
    return parse_digits(text, XT_NUMBER_DIGITS, number);
}

enum xt_status xt_cmnd_parse(struct xt_span text, uint64_t *cmnd)
{
    return parse_digits(text, XT_CMND_DIGITS, cmnd);
}

enum xt_status xt_id_parse(struct xt_span text, struct xt_id *id)
{
    id->kind = text.size == XT_CMND_DIGITS ? XT_ID_CMND : XT_ID_PERSONAL;
    return parse_digits(text, id->kind == XT_ID_CMND ? XT_CMND_DIGITS : XT_NUMBER_DIGITS,
                        &id->value);
}

struct xt_number_facts xt_number_facts(uint64_t number)
{
    unsigned century = (unsigned)(number / 100000000) % 10;
    unsigned year = (unsigned)(number / 1000000) % 100;
    return (struct xt_number_facts){
        .place = (unsigned)(number / 1000000000),
        .birth_year = 1900 + 100 * (century / 2) + year,
        .sex = century % 2 == 1 ? XT_SEX_FEMALE : XT_SEX_MALE,
    };
}

void xt_number_format(uint64_t number, char digits[XT_NUMBER_DIGITS])
{
    format_digits(number, digits, XT_NUMBER_DIGITS);
}

void xt_cmnd_format(uint64_t cmnd, char digits[XT_CMND_DIGITS])
{
    format_digits(cmnd, digits, XT_CMND_DIGITS);
}
