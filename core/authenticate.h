/* core/authenticate: the JSON of POST /v1/challenges and POST /v1/authenticate (product contract, section 3).
 *
 *   {"id":"001099012345","factor":"device_key","audience":"portal"}
 *       -> {"challenge":"<60>","expires_in":60}
 *
 *   {"id":"001099012345","audience":"portal","purpose":"portal.login",
 *    "factors":[{"type":"passcode","value":"..."},
 *               {"type":"device_key","device_id":"...","challenge":"<60>","signature":"<86>"},
 *               {"type":"card_chip","challenge":"<60>","signature":"<86>"}]}
 *       -> {"access_token":"...","token_type":"Bearer","expires_in":600,"acr":"2","amr":["pop","pwd","mfa"],
 *           "sub":"<43>"}
 *
 * purpose may be left out (net/authenticate asks for it where a level hangs on it); at least one factor, each type once. A signature is base64url of 64 bytes, r | s (P-256)
 * or as RFC 8032 has it (Ed25519), over the ASCII characters of the challenge, which is for one id, factor,
 * audience and partner (crypto/challenge). audience: as the aud of a token
 * (core/token).
 *
 * Errors as core/request has them, and bad_audience, bad_factor, bad_challenge, bad_signature; conflict: a type
 * twice, or a member of another type. Nothing here depends on who the person is.
 */
#ifndef XT_CORE_AUTHENTICATE_H
#define XT_CORE_AUTHENTICATE_H

#include "core/account_event.h"
#include "core/request.h"

#define XT_AUTHENTICATE_BODY_MAX 8192 /* bytes of either request */
#define XT_PASSCODE_MAX 128           /* bytes of UTF-8 */
#define XT_DEVICE_ID_MAX 255          /* bytes */
#define XT_CHALLENGE_CHARACTERS 60
#define XT_SIGNATURE_BYTES 64

/* "device_key"; factor is one of them. */
const char *xt_factor_name(enum xt_factor factor);

struct xt_challenge_request {
    struct xt_id id;
    enum xt_factor factor; /* DEVICE_KEY or CARD_CHIP */
    struct xt_span audience;
};

/* Texts are borrowed from the body. */
struct xt_authenticate_request {
    struct xt_id id;
    struct xt_span audience, purpose; /* purpose: size 0: none */
    unsigned factors;                 /* set of enum xt_factor */
    struct xt_span passcode, device_id;
    /* Of device key and card chip, by the number of their bit. */
    struct xt_span challenges[XT_FACTOR_COUNT];
    uint8_t signatures[XT_FACTOR_COUNT][XT_SIGNATURE_BYTES];
};

/* Both as xt_verify_request_from_json: parsed in place, 4 spare bytes, XT_INVALID with *errors. */
XT_MUST_USE enum xt_status xt_challenge_request_from_json(uint8_t *body, size_t size,
                                                          struct xt_json_arena arena,
                                                          struct xt_challenge_request *request,
                                                          struct xt_request_errors *errors);
XT_MUST_USE enum xt_status
xt_authenticate_request_from_json(uint8_t *body, size_t size, struct xt_json_arena arena,
                                  struct xt_authenticate_request *request,
                                  struct xt_request_errors *errors);

/* Of the back channel (net/backchannel):
 *   pending  {"id":"001099012345"}
 *   decide   {"id":"001099012345","request":"<22>","decision":"approve","device_id":"...","challenge":"<60>",
 *             "signature":"<86>","passcode":"..."}
 * decision: approve or deny. passcode may be left out. */
#define XT_REQUEST_HANDLE 16 /* bytes of a request's name */

struct xt_decision_request {
    struct xt_id id;
    uint8_t handle[XT_REQUEST_HANDLE];
    bool approve;
    struct xt_span device_id, challenge;
    struct xt_span passcode; /* size 0: none */
    uint8_t signature[XT_SIGNATURE_BYTES];
};

XT_MUST_USE enum xt_status xt_pending_request_from_json(uint8_t *body, size_t size,
                                                        struct xt_json_arena arena,
                                                        struct xt_id *id,
                                                        struct xt_request_errors *errors);
XT_MUST_USE enum xt_status xt_decision_request_from_json(uint8_t *body, size_t size,
                                                         struct xt_json_arena arena,
                                                         struct xt_decision_request *request,
                                                         struct xt_request_errors *errors);

#endif
