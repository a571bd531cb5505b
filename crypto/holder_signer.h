/* crypto/holder_signer: the other side of crypto/holder_key: what a phone's secure hardware or a card's chip does.
 * For load generators and tests; the server never has a citizen's private key.
 *
 * Thread: any, one at a time. Memory: the key is wiped on close.
 */
#ifndef XT_CRYPTO_HOLDER_SIGNER_H
#define XT_CRYPTO_HOLDER_SIGNER_H

#include "crypto/holder_key.h"

#define XT_HOLDER_SPKI_MAX 91 /* bytes of DER: P-256 */
#define XT_HOLDER_SEED 32

struct xt_holder_signer; /* opaque */

/* The same seed is the same key. XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_holder_signer_open(enum xt_holder_key kind,
                                                 const uint8_t seed[XT_HOLDER_SEED],
                                                 struct xt_holder_signer **signer);
void xt_holder_signer_close(struct xt_holder_signer *signer); /* NULL is fine */

/* The public key; gives its size. */
size_t xt_holder_signer_spki(const struct xt_holder_signer *signer,
                             uint8_t spki[XT_HOLDER_SPKI_MAX]);

/* As xt_holder_verify takes it. XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_holder_sign(const struct xt_holder_signer *signer,
                                          struct xt_span message,
                                          uint8_t signature[XT_HOLDER_SIGNATURE]);

#endif
