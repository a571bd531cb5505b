/* core/province: the 63 province codes in personal numbers and addresses, as data.
 *
 * The codes stay valid after the merger into 34 units of 1 July 2025. Weights are the 2019 census.
 */
#ifndef XT_CORE_PROVINCE_H
#define XT_CORE_PROVINCE_H

#include "core/span.h"
#include "core/status.h"

#define XT_PROVINCE_COUNT 63
#define XT_PROVINCE_NONE 0 /* index: not known */

struct xt_province {
    uint16_t code;       /* 1-96: 001 is 1 */
    uint32_t population; /* 2019 census */
    const char *name;    /* UTF-8 NFC */
    const char *unit;    /* the unit it belongs to since 1 July 2025 */
};

/* index 1 ... XT_PROVINCE_COUNT, in the order of the codes; index 0 is not a province, and
 * asking for it or for more than there are aborts. */
const struct xt_province *xt_province_at(unsigned index);

/* The unit that a province belongs to since 1 July 2025: 1 ... XT_UNIT_COUNT; and its name. */
#define XT_UNIT_COUNT 34
unsigned xt_province_unit(unsigned index);
const char *xt_province_unit_name(unsigned unit);

/* Index of a code (1 for 001), XT_PROVINCE_NONE where the code is not listed. */
unsigned xt_province_index(unsigned code);

/* Three ASCII digits of a listed code -> index. XT_INVALID otherwise. */
XT_MUST_USE enum xt_status xt_province_parse(struct xt_span text, unsigned *index);

#endif
