/* core/plain_text: checks on text that is kept or passed on as it is. Private to core/.
 *
 * Pure; reads nothing outside the span. Control characters are C0, DEL and C1: none of them has a
 * place in a person's data, and in logs and terminals they do harm.
 */
#ifndef XT_CORE_PLAIN_TEXT_H
#define XT_CORE_PLAIN_TEXT_H

#include "core/span.h"

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing past U+10FFFF). */
bool xt_text_is_utf8(struct xt_span text);

/* text must be valid UTF-8. */
bool xt_text_has_control(struct xt_span text);

/* For any text kept as given, which must be valid UTF-8: NULL when fine, else a stable code: "empty",
 * "too_long" (over most bytes), "control_character". */
const char *xt_text_check(struct xt_span text, size_t most);

/* Code points in valid UTF-8. */
size_t xt_text_length(struct xt_span text);

/* Only ASCII digits, exactly count of them. */
bool xt_text_is_digits(struct xt_span text, size_t count);

/* Decodes unpadded base64url (RFC 4648 section 5) in canonical form (unused bits are zero), so that
 * text and bytes stand for each other exactly. bytes NULL: only checks. Needs size * 3 / 4 bytes;
 * gives how many in *length. False when malformed or empty. */
bool xt_base64url_decode(struct xt_span text, uint8_t *bytes, size_t *length);

#endif
