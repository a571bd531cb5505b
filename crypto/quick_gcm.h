/* crypto/quick_gcm: AES-256-GCM of one message in one call, by Intel's Multi-Buffer Crypto for IPsec
 * (libipsec-mb), where the build has the library and the processor AES-NI and PCLMULQDQ. Private to
 * crypto/seal.
 *
 * BoringSSL opens a record of 40 bytes in some 230 ns, of which its ciphers are a fifth: the rest is
 * its stream interface, made for messages of any length in pieces of any size. Here it takes 47 ns, of
 * 104 bytes 50 ns. The format is the same, to the bit (NIST SP 800-38D).
 */
#ifndef XT_CRYPTO_QUICK_GCM_H
#define XT_CRYPTO_QUICK_GCM_H

#include <stdbool.h>

#include "core/span.h"
#include "crypto/seal.h"

#define XT_QUICK_GCM_NONCE 12 /* bytes */

struct xt_quick_gcm; /* opaque: a key, expanded; in locked memory, wiped on close */

/* NULL: there is no such thing here, or no memory. */
struct xt_quick_gcm *xt_quick_gcm_open(const uint8_t key[32]);
void xt_quick_gcm_close(struct xt_quick_gcm *gcm);

/* sealed: plain.size bytes and the tag, XT_SEAL_OVERHEAD. Any number of threads at once. */
void xt_quick_gcm_seal(const struct xt_quick_gcm *gcm, const uint8_t nonce[XT_QUICK_GCM_NONCE],
                       struct xt_span associated, struct xt_span plain, uint8_t *sealed);

/* sealed: at least a tag. false: it does not verify; what is in plain is to be wiped. */
bool xt_quick_gcm_open_message(const struct xt_quick_gcm *gcm,
                               const uint8_t nonce[XT_QUICK_GCM_NONCE], struct xt_span associated,
                               struct xt_span sealed, uint8_t *plain);

/* From now on BoringSSL does it all: for tests that the two agree. */
void xt_sealer_forget_quick(struct xt_sealer *sealer);

#endif
