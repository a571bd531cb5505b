/* net/list_dates: dates as a list writes them, in the form of a request. */
#ifndef XT_NET_LIST_DATES_H
#define XT_NET_LIST_DATES_H

#include "core/date.h"

struct xt_date_form {
    char order[3];  /* of d, m and y */
    char separator; /* 0: none, all digits are there */
};

/* "dd/mm/yyyy", "d.m.yyyy", "ddmmyyyy", "yyyy-mm-dd". XT_INVALID: no such form. */
XT_MUST_USE enum xt_status xt_date_form_parse(const char *text, struct xt_date_form *form);

/* text -> YYYY-MM-DD; YYYY-MM or YYYY where it has no day (and no month), or 00 for them. With a separator, days and
 * months may have one digit. XT_INVALID: it is not of this form, and size 0. */
XT_MUST_USE enum xt_status xt_date_form_read(const struct xt_date_form *form, struct xt_span text,
                                             char date[XT_DATE_TEXT_MAX], size_t *size);

#endif
