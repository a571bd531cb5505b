/* core/date: calendar dates, some of which know only the year, or the year and month.
 *
 * A date is one integer, year << 9 | month << 5 | day, so dates order as numbers. A month or day of
 * 0 is not known. 0 as a whole is "no date". Proleptic Gregorian, years 1800-2200, no time zone:
 * civil dates in Viet Nam.
 */
#ifndef XT_CORE_DATE_H
#define XT_CORE_DATE_H

#include "core/span.h"
#include "core/status.h"

typedef uint32_t xt_date; /* the one exception to "no typedefs": an integer with a meaning */

#define XT_DATE_NONE ((xt_date)0)
#define XT_DATE_TEXT_MAX 10 /* bytes of YYYY-MM-DD */

static inline unsigned xt_date_year(xt_date date)
{
    return date >> 9;
}
static inline unsigned xt_date_month(xt_date date)
{
    return (date >> 5) & 15U;
}
static inline unsigned xt_date_day(xt_date date)
{
    return date & 31U;
}

/* 0 for month or day means not known. XT_INVALID for a date that does not exist (2023-02-30). */
XT_MUST_USE enum xt_status xt_date_make(unsigned year, unsigned month, unsigned day, xt_date *date);

/* YYYY-MM-DD, YYYY-MM or YYYY, nothing else: 00 is not "not known" here. */
XT_MUST_USE enum xt_status xt_date_parse(struct xt_span text, xt_date *date);

/* ddmmyyyy of a card's QR; 00 for an unknown day or month. */
XT_MUST_USE enum xt_status xt_date_parse_qr(struct xt_span text, xt_date *date);

/* Writes 4, 7 or 10 bytes; gives how many. No terminating NUL. */
size_t xt_date_format(xt_date date, char text[XT_DATE_TEXT_MAX]);

static inline bool xt_date_is_full(xt_date date)
{
    return xt_date_day(date) != 0;
}

/* For ordering only: not before any day that a partial date can mean (a 31st that the month may not
 * have). Not for XT_DATE_NONE. A partial date as it is orders before all its days. */
static inline xt_date xt_date_latest(xt_date date)
{
    /* No branches: whoever times an answer learns nothing of a date that is held. */
    unsigned month = xt_date_month(date) == 0 ? 12U << 5 : 0;
    unsigned day = xt_date_day(date) == 0 ? 31U : 0;
    return date | month | day;
}

/* The civil date in Viet Nam (UTC+7, no daylight saving) of a moment in ms since 1970 UTC;
 * 2200-12-31 for anything later. */
xt_date xt_date_of_unix_ms(uint64_t unix_ms);

/* Days since 1970-01-01 of a full date, and back (XT_DATE_NONE outside the years above); for
 * generators and tests. */
int32_t xt_date_to_days(xt_date date);
xt_date xt_date_from_days(int32_t days);

/* The same day, years later; 29 February becomes 1 March in a common year. Partial
 * dates stay partial. */
xt_date xt_date_add_years(xt_date date, unsigned years);

#endif
