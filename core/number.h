/* core/number: personal identification numbers (12 digits) and the older 9-digit CMND numbers.
 *
 * PPP C YY RRRRRR: province or country of birth registration, century and sex, last two digits of
 * the birth year, six random digits. There is no check digit. Source: Decree 137/2015, Circular
 * 59/2021 (domain facts, section 2).
 *
 * Numbers are held as integers: 001099012345 is 1099012345 of kind XT_ID_PERSONAL.
 */
#ifndef XT_CORE_NUMBER_H
#define XT_CORE_NUMBER_H

#include "core/span.h"
#include "core/status.h"

#define XT_NUMBER_DIGITS 12
#define XT_CMND_DIGITS 9

enum xt_id_kind {
    XT_ID_PERSONAL, /* 12 digits */
    XT_ID_CMND,     /* 9 digits; an alias, not unique */
    XT_ID_PHONE     /* as in core/phone; never in a request: only a key of the register's own */
};

struct xt_id {
    enum xt_id_kind kind;
    uint64_t value; /* below 10^12 or 10^9 */
};

enum xt_sex {
    XT_SEX_UNKNOWN, /* the record does not say */
    XT_SEX_MALE,
    XT_SEX_FEMALE
};

struct xt_number_facts {
    unsigned place;      /* PPP: 0-999; an unlisted one is a soft warning, not an error */
    unsigned birth_year; /* 1900 + 100 * (C / 2) + YY */
    enum xt_sex sex;     /* C odd: female, even: male */
};

/* Exactly 12 ASCII digits. XT_INVALID otherwise (also for spaces, full-width digits, signs). */
XT_MUST_USE enum xt_status xt_number_parse(struct xt_span text, uint64_t *number);

/* Exactly 9 ASCII digits. */
XT_MUST_USE enum xt_status xt_cmnd_parse(struct xt_span text, uint64_t *cmnd);

/* 12 or 9 ASCII digits, the kind by the length. */
XT_MUST_USE enum xt_status xt_id_parse(struct xt_span text, struct xt_id *id);

/* What the digits imply. number must be below 10^12. */
struct xt_number_facts xt_number_facts(uint64_t number);

/* Writes 12 (or 9) digits with leading zeros; no terminating NUL. */
void xt_number_format(uint64_t number, char digits[XT_NUMBER_DIGITS]);
void xt_cmnd_format(uint64_t cmnd, char digits[XT_CMND_DIGITS]);

#endif
