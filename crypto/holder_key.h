/* crypto/holder_key: signatures by keys of citizens: a phone's secure hardware or a card's chip.
 *
 * A key is the DER of a SubjectPublicKeyInfo (RFC 5280): ECDSA on P-256, uncompressed (RFC 5480), or Ed25519
 * (RFC 8410), in the one way DER writes it. A signature is 64 bytes: r | s, 32 bytes each, big endian, over SHA-256
 * (RFC 7518, section 3.4), or that of RFC 8032.
 * Refused: every other curve and parameter, points that are not on the curve or at infinity, Ed25519 keys and R of
 * small order and not canonical ones, S not below the order.
 * About 55 us (P-256) and 60 us (Ed25519). Nothing secret: no constant time, nothing to wipe.
 * Thread: any.
 */
#ifndef XT_CRYPTO_HOLDER_KEY_H
#define XT_CRYPTO_HOLDER_KEY_H

#include "core/span.h"
#include "core/status.h"

enum xt_holder_key { XT_HOLDER_P256, XT_HOLDER_ED25519 };

#define XT_HOLDER_SIGNATURE 64 /* bytes */

/* XT_INVALID: not such a key. */
XT_MUST_USE enum xt_status xt_holder_key_kind(struct xt_span spki, enum xt_holder_key *kind);

/* XT_OK: signature is that of this key over message. XT_DENIED: it is not. XT_INVALID: no such key.
 * XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_holder_verify(struct xt_span spki, struct xt_span message,
                                            const uint8_t signature[XT_HOLDER_SIGNATURE]);

/* A key that is nobody's, to check signatures with in vain: the generator of P-256 as a public key (FIPS 186-5,
 * SP 800-186). What is signed with it must never count. */
struct xt_span xt_holder_nobody(void);

#endif
