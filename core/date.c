#include "core/date.h"

#define YEAR_FIRST 1800
#define YEAR_LAST 2200
#define MS_PER_DAY UINT64_C(86400000)
#define VIETNAM_OFFSET_MS UINT64_C(25200000) /* UTC+7 */
#define DAYS_FIRST (-62091)                  /* 1800-01-01 */
#define DAYS_LAST 84370                      /* 2200-12-31 */

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month];
}

static xt_date pack(unsigned year, unsigned month, unsigned day)
{
    return (xt_date)(year << 9 | month << 5 | day);
}

enum xt_status xt_date_make(unsigned year, unsigned month, unsigned day, xt_date *date)
{
    if (year < YEAR_FIRST || year > YEAR_LAST || month > 12) {
        return XT_INVALID;
    }
    if (month == 0 ? day != 0 : day > days_in_month(year, month)) {
        return XT_INVALID;
    }
    *date = pack(year, month, day);
    return XT_OK;
}

static bool read_digits(const uint8_t *text, size_t count, unsigned *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    return true;
}

/* A month or day that is written must not be 00: the shorter form says "not known". */
enum xt_status xt_date_parse(struct xt_span text, xt_date *date)
{
    unsigned year = 0, month = 0, day = 0;
    if (text.size != 4 && text.size != 7 && text.size != 10) {
        return XT_INVALID;
    }
    if (!read_digits(text.data, 4, &year)) {
        return XT_INVALID;
    }
    if (text.size >= 7 &&
        (text.data[4] != '-' || !read_digits(text.data + 5, 2, &month) || month == 0)) {
        return XT_INVALID;
    }
    if (text.size == 10 &&
        (text.data[7] != '-' || !read_digits(text.data + 8, 2, &day) || day == 0)) {
        return XT_INVALID;
    }
    return xt_date_make(year, month, day, date);
}

enum xt_status xt_date_parse_qr(struct xt_span text, xt_date *date)
{
    unsigned year, month, day;
    if (text.size != 8 || !read_digits(text.data, 2, &day) ||
        !read_digits(text.data + 2, 2, &month) || !read_digits(text.data + 4, 4, &year)) {
        return XT_INVALID;
    }
    return xt_date_make(year, month, day, date);
}

static char *write_digits(char *text, unsigned value, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return text + count;
}

size_t xt_date_format(xt_date date, char text[XT_DATE_TEXT_MAX])
{
    char *end = write_digits(text, xt_date_year(date), 4);
    if (xt_date_month(date) != 0) {
        *end++ = '-';
        end = write_digits(end, xt_date_month(date), 2);
        if (xt_date_day(date) != 0) {
            *end++ = '-';
            end = write_digits(end, xt_date_day(date), 2);
        }
    }
    return (size_t)(end - text);
}

/* Years are counted from 1 March, so that the leap day is the last of its year; eras are the 400
 * years after which the calendar repeats. */
int32_t xt_date_to_days(xt_date date)
{
    int32_t month = (int32_t)xt_date_month(date);
    int32_t year = (int32_t)xt_date_year(date) - (month <= 2);
    int32_t era = year / 400;
    int32_t year_of_era = year % 400;
    int32_t day_of_year =
        (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + (int32_t)xt_date_day(date) - 1;
    int32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

xt_date xt_date_from_days(int32_t days)
{
    if (days < DAYS_FIRST || days > DAYS_LAST) {
        return XT_DATE_NONE;
    }
    uint32_t shifted = (uint32_t)(days + 719468);
    uint32_t era = shifted / 146097;
    uint32_t day_of_era = shifted % 146097;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return pack(year_of_era + era * 400 + (month <= 2), month, day);
}

xt_date xt_date_of_unix_ms(uint64_t unix_ms)
{
    if (unix_ms / MS_PER_DAY >= DAYS_LAST) {
        return pack(YEAR_LAST, 12, 31);
    }
    return xt_date_from_days((int32_t)((unix_ms + VIETNAM_OFFSET_MS) / MS_PER_DAY));
}

xt_date xt_date_add_years(xt_date date, unsigned years)
{
    unsigned year = xt_date_year(date) + years;
    if (xt_date_month(date) == 2 && xt_date_day(date) == 29 && !is_leap(year)) {
        return pack(year, 3, 1);
    }
    return pack(year, xt_date_month(date), xt_date_day(date));
}
