/* core/consent: what a citizen signs so that a partner gets attributes of his: a JWS (core/jose) by the key of one of
 * his devices.
 *
 *   header   {"alg":"ES256","typ":"consent+jwt","kid":"phone-1"}            kid: the device_id of his account
 *   payload  {"aud":"bank","purpose":"account.open","attributes":["full_name","date_of_birth"],
 *             "iat":1795305600,"exp":1795309200,"jti":"<22>"}
 *
 * aud: the one partner it is for. purpose, attributes: what for, and which of them (core/attribute). iat, exp: whole
 * seconds since 1970; it lasts 365 days at most. jti: base64url of 16 random bytes: the consent's name, good for one
 * content and one person.
 * Reading takes nothing else: every member stands there once, in any order, and none besides; no person is named in it:
 * whose it is follows from the key. What is read here is not verified yet.
 * Pure: no clock, no allocation.
 */
#ifndef XT_CORE_CONSENT_H
#define XT_CORE_CONSENT_H

#include "core/attribute.h"
#include "core/authenticate.h"
#include "core/jose.h"

#define XT_CONSENT_MAX 4096                              /* characters of the compact form */
#define XT_CONSENT_LIFETIME_MAX_S (365LL * 24 * 60 * 60) /* from iat to exp */
#define XT_CONSENT_LEEWAY_S 60    /* a phone's clock may be ahead by so much */
#define XT_CONSENT_HANDLE 16      /* bytes of jti */
#define XT_CONSENT_HANDLE_TEXT 22 /* characters of it */
#define XT_CONSENT_ARENA 65536    /* bytes that reading takes */

struct xt_consent_text {
    enum xt_jose_algorithm algorithm;
    uint8_t signature[XT_JOSE_SIGNATURE];
    struct xt_span signed_part;                 /* borrowed from the text */
    struct xt_span device_id, partner, purpose; /* in the arena */
    uint32_t attributes;                        /* set of XT_ATTRIBUTE_BIT, not empty */
    int64_t issued_s, expires_s;                /* Unix seconds */
    uint8_t handle[XT_CONSENT_HANDLE];
    char handle_text[XT_CONSENT_HANDLE_TEXT + 1];
};

/* XT_INVALID: not such a text, whoever may have signed it. */
XT_MUST_USE enum xt_status xt_consent_read(struct xt_span text, struct xt_json_arena arena,
                                           struct xt_consent_text *consent);

/* Whether it has begun and is not over. */
bool xt_consent_is_in_time(const struct xt_consent_text *consent, int64_t now_s);

/* ---- the requests about it ---------------------------------------------------------------------- */

/* POST /v1/attributes
 *   {"id":"001099012345","purpose":"account.open","attributes":["full_name"],"consent":"<compact JWS>"}
 * Errors as core/request has them, and bad_attribute, duplicate, bad_consent. */
struct xt_attributes_request {
    struct xt_id id;
    struct xt_span purpose, consent; /* borrowed from the body */
    uint32_t attributes;             /* set of XT_ATTRIBUTE_BIT, not empty */
};
/* Parsed in place, 4 spare bytes. XT_INVALID with *errors. The consent is not read yet. */
XT_MUST_USE enum xt_status xt_attributes_request_from_json(uint8_t *body, size_t size,
                                                           struct xt_json_arena arena,
                                                           struct xt_attributes_request *request,
                                                           struct xt_request_errors *errors);

/* POST /v1/consents/revoke  {"id":"001099012345","consent_ref":"<22>"}: and bad_consent_ref.
 * POST /v1/consents/list    {"id":"001099012345"}: xt_pending_request_from_json reads it. */
XT_MUST_USE enum xt_status xt_revoke_request_from_json(uint8_t *body, size_t size,
                                                       struct xt_json_arena arena, struct xt_id *id,
                                                       uint8_t handle[XT_CONSENT_HANDLE],
                                                       struct xt_request_errors *errors);

#endif
