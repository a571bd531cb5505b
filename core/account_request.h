/* core/account_request: the JSON of POST /v1/accounts/... (product contract, section 3).
 *
 *   activate         {"id","level":1|2}
 *   lock             {"id","reason":"holder|breach|authority|stay_expired"}
 *   unlock           {"id","reason": one of these, or "attempts": failed ones are counted anew}
 *   passcode         {"id","passcode", shown}
 *   devices/add      {"id","device_id","public_key": base64url SPKI, "unlocked_by", shown}
 *   devices/remove   {"id","device_id"}
 *
 *   unlocked_by      fingerprint, face, iris or biometric (core/person.h, enum xt_unlock); may be left out: none
 *
 *   shown, one of both:  "evidence":"in_person"      he was there, says the partner
 *                        "factors":[...]             as of POST /v1/authenticate, each of his; their challenges
 *                                                    are for the audience "accounts"
 *
 * Errors as core/authenticate has them, and bad_level, bad_reason, bad_evidence, bad_key, bad_value, too_short (of a passcode of
 * less than 6 characters); conflict: both evidence and factors.
 */
#ifndef XT_CORE_ACCOUNT_REQUEST_H
#define XT_CORE_ACCOUNT_REQUEST_H

#include "core/authenticate.h"

#define XT_ACCOUNT_AUDIENCE "accounts"
#define XT_PASSCODE_LEAST 6 /* characters: what VNeID asks for */

enum xt_account_action {
    XT_ACTION_ACTIVATE,
    XT_ACTION_LOCK,
    XT_ACTION_UNLOCK,
    XT_ACTION_PASSCODE,
    XT_ACTION_DEVICE_ADD,
    XT_ACTION_DEVICE_REMOVE
};

struct xt_account_request {
    struct xt_id id;
    unsigned level;
    unsigned reason; /* enum xt_lock; 0: attempts */
    struct xt_span device_id, passcode;
    enum xt_unlock unlocked_by; /* of the device that is added */
    size_t key_size;
    uint8_t key[XT_ACCOUNT_KEY_MAX]; /* DER; what it holds is for crypto/ to say */
    struct xt_authenticate_request
        shown; /* factors 0: he was there in person, or nothing is asked for */
};

/* Parsed in place, 4 spare bytes; texts are borrowed from the body. XT_INVALID with *errors. */
XT_MUST_USE enum xt_status xt_account_request_from_json(enum xt_account_action action,
                                                        uint8_t *body, size_t size,
                                                        struct xt_json_arena arena,
                                                        struct xt_account_request *request,
                                                        struct xt_request_errors *errors);

/* "holder"; reason: one of enum xt_lock. */
const char *xt_lock_name(unsigned reason);

#endif
