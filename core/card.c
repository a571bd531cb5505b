#include "core/card.h"

static const uint8_t renewal_ages[] = {14, 25, 40, 60};
#define RENEWAL_GRACE 2 /* years before a renewal age in which a new card already skips it */

/* No branches on what is held, but for the rare: the time of a record's decoding is that of an answer. */

static xt_date last_day_of(xt_date date)
{
    static const uint8_t days[16] = {31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = xt_date_year(date), month = xt_date_month(date), day = xt_date_day(date);
    unsigned leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0));
    month = month == 0 ? 12 : month;
    unsigned last = days[month] + (leap & (month == 2));
    return (xt_date)(year << 9 | month << 5 | (day == 0 ? last : day));
}

xt_date xt_card_expiry(xt_date date_of_birth, xt_date issued_on)
{
    xt_date birth = last_day_of(date_of_birth);
    xt_date expiry = XT_CARD_NO_EXPIRY;
    bool leap_day = (birth & 0x1ff) == (2U << 5 | 29U);
    /* From the last: the first that counts is what stays. */
    for (size_t i = sizeof(renewal_ages); i-- > 0;) {
        /* On or after the second-last birthday before it, this renewal age no longer counts; that
         * also covers every issue after the birthday itself. */
        unsigned age = renewal_ages[i];
        xt_date begins = birth + ((age - RENEWAL_GRACE) << 9);
        xt_date ends = birth + (age << 9);
        if (leap_day) {
            begins = xt_date_add_years(birth, age - RENEWAL_GRACE);
            ends = xt_date_add_years(birth, age);
        }
        expiry = issued_on < begins ? ends : expiry;
    }
    return (date_of_birth == XT_DATE_NONE) | (issued_on == XT_DATE_NONE) ? XT_CARD_NO_EXPIRY
                                                                         : expiry;
}

enum xt_card_answer xt_card_answer(enum xt_card_state state, xt_date expires_on, xt_date today)
{
    static const uint8_t answers[4][2] = {
        [XT_CARD_NONE] = {XT_CARD_ANSWER_NONE, XT_CARD_ANSWER_NONE},
        [XT_CARD_ACTIVE] = {XT_CARD_ANSWER_VALID, XT_CARD_ANSWER_EXPIRED},
        [XT_CARD_LOST] = {XT_CARD_ANSWER_LOST, XT_CARD_ANSWER_LOST},
        [XT_CARD_REVOKED] = {XT_CARD_ANSWER_REVOKED, XT_CARD_ANSWER_REVOKED},
    };
    bool expired = (expires_on != XT_CARD_NO_EXPIRY) & (today > xt_date_latest(expires_on));
    return (enum xt_card_answer)answers[(unsigned)state & 3U][expired];
}

const char *xt_card_answer_name(enum xt_card_answer answer)
{
    static const char *const names[] = {
        [XT_CARD_ANSWER_NONE] = "none",       [XT_CARD_ANSWER_VALID] = "valid",
        [XT_CARD_ANSWER_EXPIRED] = "expired", [XT_CARD_ANSWER_LOST] = "lost",
        [XT_CARD_ANSWER_REVOKED] = "revoked",
    };
    size_t index = (size_t)answer;
    xt_require(index < sizeof(names) / sizeof(names[0]));
    return names[index];
}
