/* core/card: the citizen identity card: states and the rule for its expiry.
 *
 * Re-issue at 14, 25, 40 and 60: a card expires on the first of these birthdays after its issue;
 * one issued within the 2 years before a birthday (the day 2 years before included) runs to the
 * next; after 60, and within the 2 years before, none expires
 * (Law on Identity 26/2023 Art. 21).
 */
#ifndef XT_CORE_CARD_H
#define XT_CORE_CARD_H

#include "core/date.h"

enum xt_card_state {
    XT_CARD_NONE, /* no card was ever issued */
    XT_CARD_ACTIVE,
    XT_CARD_LOST,
    XT_CARD_REVOKED
};

/* What a partner with the right card_state is told. */
enum xt_card_answer {
    XT_CARD_ANSWER_NONE,
    XT_CARD_ANSWER_VALID,
    XT_CARD_ANSWER_EXPIRED,
    XT_CARD_ANSWER_LOST,
    XT_CARD_ANSWER_REVOKED
};

#define XT_CARD_NO_EXPIRY XT_DATE_NONE

/* Expiry by the rule, XT_CARD_NO_EXPIRY for none. A birth date that knows only the year (or year
 * and month) counts as the last day of that year (or month); no birth or issue date: no expiry. */
xt_date xt_card_expiry(xt_date date_of_birth, xt_date issued_on);

/* A card is valid through the whole of its last day: expired when today > expires_on. Where only the
 * year or month of that is known, the last day of it. */
enum xt_card_answer xt_card_answer(enum xt_card_state state, xt_date expires_on, xt_date today);

const char *xt_card_answer_name(enum xt_card_answer answer);

#endif
