#include "bench/report_number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US "\xc2\xb5s" /* microseconds */

static struct xt_number fixed(double value, int decimals)
{
    struct xt_number number;
    (void)snprintf(number.text, sizeof(number.text), "%.*f", decimals, value);
    return number;
}

/* At most so many significant digits, and no zeros behind the point. */
static struct xt_number brief(double value, int digits)
{
    struct xt_number number;
    (void)snprintf(number.text, sizeof(number.text), "%.*g", digits, value);
    return number;
}

struct xt_number xt_number_count(uint64_t count)
{
    char digits[24];
    struct xt_number number = {""};
    int size = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    char *to = number.text;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return number;
}

struct xt_number xt_number_digits(double value)
{
    if (value >= 999.5) {
        return xt_number_count((uint64_t)(value + 0.5));
    }
    return value >= 99.95 ? fixed(value, 0) : value >= 9.995 ? fixed(value, 1) : fixed(value, 2);
}

struct xt_number xt_number_rate(double rate)
{
    if (rate >= 99.95 || rate == floor(rate)) {
        return xt_number_count((uint64_t)(rate + 0.5));
    }
    return xt_number_digits(rate);
}

static struct xt_number with_unit(struct xt_number number, const char *unit)
{
    size_t size = strlen(number.text);
    /* A no-break space, so that a figure and its unit stay on one line. */
    (void)snprintf(number.text + size, sizeof(number.text) - size, "\xc2\xa0%s", unit);
    return number;
}

struct xt_number xt_number_us(double us)
{
    if (us < 999.5) {
        return with_unit(fixed(us, 0), US);
    }
    if (us < 999500) {
        return with_unit(xt_number_digits(us / 1e3), "ms");
    }
    return with_unit(xt_number_digits(us / 1e6), "s");
}

struct xt_number xt_number_axis_us(double us)
{
    if (us < 1000) {
        return with_unit(brief(us, 6), US);
    }
    return us < 1e6 ? with_unit(brief(us / 1e3, 6), "ms") : with_unit(brief(us / 1e6, 6), "s");
}

struct xt_number xt_number_axis_rate(double rate)
{
    if (rate >= 1e9) {
        return with_unit(brief(rate / 1e9, 6), "G");
    }
    if (rate >= 1e6) {
        return with_unit(brief(rate / 1e6, 6), "M");
    }
    return rate == floor(rate) ? xt_number_count((uint64_t)rate) : brief(rate, 6);
}

struct xt_number xt_number_seconds(double seconds)
{
    struct xt_number number;
    uint64_t whole = (uint64_t)(seconds + 0.5);
    if (seconds < 119.5) {
        double tenths = floor(seconds * 10 + 0.5) / 10;
        return with_unit(seconds < 0.95 ? brief(seconds, 3) : brief(tenths, 4), "s");
    }
    unsigned hours = (unsigned)(whole / 3600);
    unsigned minutes = (unsigned)(whole / 60 % 60);
    unsigned rest = (unsigned)(whole % 60);
    number.text[0] = '\0';
    size_t size = 0;
    const unsigned parts[] = {hours, minutes, rest};
    static const char *const units[] = {"h", "min", "s"};
    for (unsigned i = 0; i < 3; i++) {
        if (parts[i] > 0) {
            int wrote = snprintf(number.text + size, sizeof(number.text) - size, "%s%u\xc2\xa0%s",
                                 size > 0 ? " " : "", parts[i], units[i]);
            size += wrote > 0 ? (size_t)wrote : 0;
        }
    }
    return number;
}

struct xt_number xt_number_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 999.5 && unit < 5) {
        value /= 1024;
        unit++;
    }
    return with_unit(unit == 0 ? fixed(value, 0) : xt_number_digits(value), units[unit]);
}

struct xt_number xt_number_date(double unix_seconds)
{
    struct xt_number number = {"?"};
    time_t at = (time_t)unix_seconds;
    struct tm utc;
    if (gmtime_r(&at, &utc) != NULL) {
        (void)strftime(number.text, sizeof(number.text), "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    return number;
}

struct xt_number xt_number_percentile(uint32_t thousandths)
{
    if (thousandths == 0 || thousandths == 100000) {
        return thousandths == 0 ? (struct xt_number){"min"} : (struct xt_number){"max"};
    }
    struct xt_number number;
    (void)snprintf(number.text, sizeof(number.text), "p%.7g", thousandths / 1000.0);
    return number;
}
