/* core/qr: the text of a card's QR code, a bundle of unsigned claims.
 *
 * number|cmnd or empty|full name|ddmmyyyy|Nam or Nữ|address|ddmmyyyy of issue[|more fields, ignored]
 */
#ifndef XT_CORE_QR_H
#define XT_CORE_QR_H

#include "core/date.h"
#include "core/name.h"
#include "core/number.h"

struct xt_qr {
    uint64_t number;
    bool has_cmnd;
    uint64_t cmnd;
    struct xt_name name;
    xt_date date_of_birth;
    enum xt_sex sex;
    struct xt_span address; /* borrowed from the text; not a claim */
    xt_date issued_on;
};

/* XT_INVALID for fewer than 7 fields or any malformed one. The birth date may be partial (00 for an
 * unknown day or month), the issue date not; sex is read in any case and normal form; blanks and
 * line breaks at the end, as scanners add them, are dropped; fields past the seventh are not looked
 * at. */
XT_MUST_USE enum xt_status xt_qr_parse(struct xt_span text, struct xt_qr *qr);

#endif
