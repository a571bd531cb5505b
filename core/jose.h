/* core/jose: JSON Web Signatures in compact form (RFC 7515), read strictly; nothing is verified here.
 *
 *   base64url(header) . base64url(payload) . base64url(signature)
 *   ----------- what is signed ------------
 *
 *   {"alg":"EdDSA","typ":"at+jwt","kid":"..."}
 *
 * The header may have alg, typ and kid and nothing else: what tells a verifier where to find a key (jwk, jku, x5c,
 * x5u), how to read the payload (b64, cty, zip) or what to obey (crit) is refused, each member stands once, and alg
 * is one of the two that are signatures of a single key of ours or of a citizen's (RFC 8725: no none, no HMAC).
 * base64url without padding in its one canonical form.
 * Pure: no clock, no allocation.
 */
#ifndef XT_CORE_JOSE_H
#define XT_CORE_JOSE_H

#include "core/person.h"

#define XT_JOSE_MAX 8192   /* bytes of the compact form */
#define XT_JOSE_ARENA 8192 /* bytes that reading takes besides the payload's */
#define XT_JOSE_SIGNATURE 64

enum xt_jose_algorithm {
    XT_JOSE_EDDSA, /* Ed25519 (RFC 8037) */
    XT_JOSE_ES256  /* ECDSA over P-256 with SHA-256 (RFC 7518) */
};

struct xt_jose {
    enum xt_jose_algorithm algorithm;
    struct xt_span type, key_id; /* in the arena; empty: not stated */
    struct xt_span signed_part;  /* borrowed from the text */
    struct xt_span payload;      /* decoded, in `payload` of the call */
    uint8_t signature[XT_JOSE_SIGNATURE];
};

/* payload: room for text.size * 3 / 4 bytes. XT_INVALID: not such a text. XT_TOO_LARGE: over XT_JOSE_MAX. */
XT_MUST_USE enum xt_status xt_jose_read(struct xt_span text, struct xt_json_arena arena,
                                        uint8_t *payload, struct xt_jose *jose);

/* Writes bytes as base64url without padding: (size * 4 + 2) / 3 characters. */
void xt_base64url_write(struct xt_writer *writer, struct xt_span bytes);

#endif
