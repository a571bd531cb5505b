/* core/form: application/x-www-form-urlencoded (WHATWG URL, section 5; RFC 6749, appendix B), read strictly.
 *
 *   token=eyJ...&token_type_hint=access_token
 *
 * Refused: more than XT_FORM_FIELDS_MAX fields, a field without a name or without an equals sign, an empty
 * one between two &, a name twice (RFC 6749, section 3.1), a percent sign without two hex digits, bytes that are no
 * printable ASCII, and what decodes to a control character or is no UTF-8.
 * Pure: no clock, no allocation. Decodes in place.
 */
#ifndef XT_CORE_FORM_H
#define XT_CORE_FORM_H

#include "core/span.h"
#include "core/status.h"

#define XT_FORM_FIELDS_MAX 16

struct xt_form {
    unsigned count;
    struct {
        struct xt_span name, value; /* in the body; value may be empty */
    } fields[XT_FORM_FIELDS_MAX];
};

/* body is changed. An empty one has no fields. XT_INVALID: as above. */
XT_MUST_USE enum xt_status xt_form_read(uint8_t *body, size_t size, struct xt_form *form);

/* The value of a field; false: there is none, or it is empty (which is the same, RFC 6749, section 3.1). */
bool xt_form_find(const struct xt_form *form, const char *name, struct xt_span *value);

#endif
