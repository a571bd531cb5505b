#include "core/card.h"

static const uint8_t renewal_ages[] = {14, 25, 40, 60};
#define RENEWAL_GRACE 2 /* years before a renewal age in which a new card already skips it */

static xt_date last_day_of(xt_date date)
{
    if (xt_date_is_full(date)) {
        return date;
    }
    unsigned month = xt_date_month(date) == 0 ? 12 : xt_date_month(date);
    xt_date last = XT_DATE_NONE;
    for (unsigned day = 31; xt_date_make(xt_date_year(date), month, day, &last) != XT_OK; day--) {
        xt_require(day > 28);
    }
    return last;
}

xt_date xt_card_expiry(xt_date date_of_birth, xt_date issued_on)
{
    if (date_of_birth == XT_DATE_NONE || issued_on == XT_DATE_NONE) {
        return XT_CARD_NO_EXPIRY;
    }
    xt_date birth = last_day_of(date_of_birth);
    for (size_t i = 0; i < sizeof(renewal_ages); i++) {
        /* On or after the second-last birthday before it, this renewal age no longer counts; that
         * also covers every issue after the birthday itself. */
        if (issued_on < xt_date_add_years(birth, renewal_ages[i] - RENEWAL_GRACE)) {
            return xt_date_add_years(birth, renewal_ages[i]);
        }
    }
    return XT_CARD_NO_EXPIRY;
}

enum xt_card_answer xt_card_answer(enum xt_card_state state, xt_date expires_on, xt_date today)
{
    switch (state) {
    case XT_CARD_NONE:
        return XT_CARD_ANSWER_NONE;
    case XT_CARD_LOST:
        return XT_CARD_ANSWER_LOST;
    case XT_CARD_REVOKED:
        return XT_CARD_ANSWER_REVOKED;
    case XT_CARD_ACTIVE:
        break;
    }
    return expires_on != XT_CARD_NO_EXPIRY && today > xt_date_latest(expires_on)
               ? XT_CARD_ANSWER_EXPIRED
               : XT_CARD_ANSWER_VALID;
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
