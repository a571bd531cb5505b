/* net/problem: every refusal there is, in one table: HTTP status, stable code, words for people.
 *
 * Bodies are application/problem+json (RFC 9457). They never hold anything of the request: members
 * are pointed at by their place, and only members that the API knows.
 */
#ifndef XT_NET_PROBLEM_H
#define XT_NET_PROBLEM_H

#include "core/policy.h"
#include "core/registry_event.h"

enum xt_problem {
    XT_PROBLEM_NONE,
    XT_PROBLEM_MALFORMED_HTTP,
    XT_PROBLEM_BAD_HOST,
    XT_PROBLEM_QUERY_NOT_PERMITTED,
    XT_PROBLEM_INVALID_QUERY,
    XT_PROBLEM_DIMENSIONS_NOT_OFFERED,
    XT_PROBLEM_INVALID_REQUEST,
    XT_PROBLEM_INVALID_CLIENT,
    XT_PROBLEM_UNAUTHORIZED_CLIENT,
    XT_PROBLEM_INVALID_GRANT,
    XT_PROBLEM_UNSUPPORTED_GRANT_TYPE,
    XT_PROBLEM_INVALID_SCOPE,
    XT_PROBLEM_INVALID_BINDING_MESSAGE,
    XT_PROBLEM_AUTHORIZATION_PENDING,
    XT_PROBLEM_SLOW_DOWN,
    XT_PROBLEM_ACCESS_DENIED,
    XT_PROBLEM_EXPIRED_TOKEN,
    XT_PROBLEM_REQUEST_CLOSED,
    XT_PROBLEM_BAD_CONTENT_DIGEST,
    XT_PROBLEM_SIGNATURE_NOT_POSSIBLE,
    XT_PROBLEM_LEGAL_BASIS_MISSING,
    XT_PROBLEM_CONSENT_MISSING,
    XT_PROBLEM_CLAIM_MISSING,
    XT_PROBLEM_AUTHENTICATION_FAILED,
    XT_PROBLEM_UNKNOWN_CERTIFICATE,
    XT_PROBLEM_CERTIFICATE_EXPIRED,
    XT_PROBLEM_CERTIFICATE_REFUSED,
    XT_PROBLEM_PARTNER_INACTIVE,
    XT_PROBLEM_NETWORK_NOT_PERMITTED,
    XT_PROBLEM_PURPOSE_NOT_PERMITTED,
    XT_PROBLEM_CLAIM_NOT_PERMITTED,
    XT_PROBLEM_ATTRIBUTE_NOT_PERMITTED,
    XT_PROBLEM_CONSENT_REFUSED,
    XT_PROBLEM_NAME_LEVEL_NOT_PERMITTED,
    XT_PROBLEM_ENDPOINT_NOT_PERMITTED,
    XT_PROBLEM_LEVEL_TOO_LOW,
    XT_PROBLEM_NOT_FOUND,
    XT_PROBLEM_METHOD_NOT_ALLOWED,
    XT_PROBLEM_REQUEST_TIMEOUT,
    XT_PROBLEM_UNKNOWN_PERSON,
    XT_PROBLEM_NUMBER_REPLACED,
    XT_PROBLEM_NUMBER_CANCELLED,
    XT_PROBLEM_PERSON_DECEASED,
    XT_PROBLEM_PERSON_MISSING,
    XT_PROBLEM_NO_ACCOUNT,
    XT_PROBLEM_ALREADY_ACTIVE,
    XT_PROBLEM_ALREADY_LOCKED,
    XT_PROBLEM_NOT_LOCKED,
    XT_PROBLEM_DEVICE_KNOWN,
    XT_PROBLEM_DEVICE_UNKNOWN,
    XT_PROBLEM_TOO_MANY,
    XT_PROBLEM_CONSENT_UNKNOWN,
    XT_PROBLEM_LENGTH_REQUIRED,
    XT_PROBLEM_BODY_TOO_LARGE,
    XT_PROBLEM_TARGET_TOO_LONG,
    XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    XT_PROBLEM_EXPECTATION_FAILED,
    XT_PROBLEM_RATE_EXCEEDED,
    XT_PROBLEM_QUOTA_EXCEEDED,
    XT_PROBLEM_HEADER_TOO_LARGE,
    XT_PROBLEM_INTERNAL,
    XT_PROBLEM_NOT_IMPLEMENTED,
    XT_PROBLEM_NOT_READY,
    XT_PROBLEM_RECORD_DAMAGED,
    XT_PROBLEM_OUTCOME_UNKNOWN,
    XT_PROBLEM_NOT_LOGGED,
    XT_PROBLEM_OVERLOADED,
    XT_PROBLEM_VERSION_NOT_SUPPORTED,
    XT_PROBLEM_COUNT
};

struct xt_problem_text {
    unsigned status;
    const char *code; /* stable, snake_case */
    const char *title, *title_vi;
    const char *detail;     /* what to do about it */
    unsigned retry_after_s; /* seconds for Retry-After; 0: none */
};

const struct xt_problem_text *xt_problem_text(enum xt_problem problem);

/* Which problem a failure inside a handler is; never XT_PROBLEM_NONE. */
enum xt_problem xt_problem_of_status(enum xt_status status);
/* Of a change of an account that the register has something against: 409. */
enum xt_problem xt_problem_of_conflict(enum xt_conflict conflict);
/* XT_PROBLEM_NONE for XT_ALLOW. */
enum xt_problem xt_problem_of_decision(enum xt_decision decision);

/* Bytes of the largest problem: all errors, all escapes. */
#define XT_PROBLEM_MAX 4096

/* Writes the JSON. errors may be NULL. */
void xt_problem_to_json(enum xt_problem problem, bool vietnamese,
                        const char answer_id[XT_ANSWER_ID], const struct xt_request_errors *errors,
                        struct xt_writer *writer);

/* Whether an Accept-Language value (RFC 9110 section 12.5.4) prefers Vietnamese to English. */
bool xt_prefers_vietnamese(struct xt_span accept_language);

#endif
