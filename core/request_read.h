/* core/request_read: the two readers of a verify request, which must give the same. Private to core/ and its tests.
 *
 * request.c        any JSON, over yyjson; finds everything that is wrong
 * request_plain.c  one pass over the form that nearly every request has: no escapes, no member twice, every value
 *                  sound, no qr, no match; a quarter faster, names and dates included. What it does not take it leaves to the other, which
 *                  then says why
 */
#ifndef XT_CORE_REQUEST_READ_H
#define XT_CORE_REQUEST_READ_H

#include "core/request.h"

enum xt_request_member {
    XT_REQUEST_TXN,
    XT_REQUEST_ID,
    XT_REQUEST_PURPOSE,
    XT_REQUEST_LEGAL_BASIS,
    XT_REQUEST_CONSENT_REF,
    XT_REQUEST_CLAIMS,
    XT_REQUEST_MATCH,
    XT_REQUEST_QR
};

/* false: the form is another, request is undefined, and body as it was. Reads nothing past size. */
bool xt_verify_request_read_plain(const uint8_t *body, size_t size,
                                  struct xt_verify_request *request);
XT_MUST_USE enum xt_status xt_verify_request_read_any(uint8_t *body, size_t size,
                                                      struct xt_json_arena arena,
                                                      struct xt_verify_request *request,
                                                      struct xt_request_errors *errors);

/* Members that a request need not have are absent. */
void xt_verify_request_clear(struct xt_verify_request *request);
/* One value, valid UTF-8 and not empty: NULL, or the code of what is wrong. what: TXN to CONSENT_REF, or QR. */
const char *xt_request_read_member(struct xt_verify_request *request, enum xt_request_member what,
                                   struct xt_span text);
const char *xt_request_read_claim(struct xt_claims *claims, enum xt_claim claim,
                                  struct xt_span text);

#endif
