/* core/phone: Vietnamese mobile numbers.
 *
 * Held as the 9 digits after +84, as an integer below 10^9. Accepted forms: +84..., 84..., 0...;
 * rule ^(\+84|84|0)(3[2-9]|5[25689]|7[06-9]|8[1-9]|9[0-46-9])[0-9]{7}$ (domain facts, section 3).
 */
#ifndef XT_CORE_PHONE_H
#define XT_CORE_PHONE_H

#include "core/span.h"
#include "core/status.h"

#define XT_PHONE_TEXT 12 /* bytes of +84912345678 */

/* XT_INVALID for anything else: separators, full-width digits, fixed lines. */
XT_MUST_USE enum xt_status xt_phone_parse(struct xt_span text, uint32_t *phone);

/* Writes +84 and 9 digits; no terminating NUL. */
void xt_phone_format(uint32_t phone, char text[XT_PHONE_TEXT]);

#endif
