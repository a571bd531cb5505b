/* crypto/seal: records sealed with AES-256-GCM under a key of one table of one generation.
 *
 *   sealed = ciphertext (as long as the plaintext) | 16-byte tag
 *   nonce  = ordinal of the record in its table, 12 bytes little endian, never stored
 *
 * A key seals each ordinal at most once; the salt of a generation makes keys unique (design,
 * section 3). Thread: several may seal and open with one sealer at once (BoringSSL's aead.h says so of
 * EVP_AEAD_CTX_seal and _open, which leave the context as it is). Memory: opaque, wiped on close.
 */
#ifndef XT_CRYPTO_SEAL_H
#define XT_CRYPTO_SEAL_H

#include "core/span.h"
#include "core/status.h"

#define XT_SEAL_OVERHEAD 16 /* bytes added */

struct xt_sealer; /* opaque */

XT_MUST_USE enum xt_status xt_sealer_open(const uint8_t key[32], struct xt_sealer **sealer);
void xt_sealer_close(struct xt_sealer *sealer);

/* sealed must have room for plain.size + XT_SEAL_OVERHEAD. */
void xt_seal(const struct xt_sealer *sealer, uint64_t ordinal, struct xt_span associated,
             struct xt_span plain, uint8_t *sealed);

/* plain must have room for sealed.size - XT_SEAL_OVERHEAD. XT_CORRUPT when it does not verify; then
 * plain is wiped. */
XT_MUST_USE enum xt_status xt_unseal(const struct xt_sealer *sealer, uint64_t ordinal,
                                     struct xt_span associated, struct xt_span sealed,
                                     uint8_t *plain);

/* A running digest of a file: BLAKE2b-256. */
#define XT_DIGEST_BYTES 32
struct xt_digest;                        /* opaque */
struct xt_digest *xt_digest_start(void); /* aborts when memory is short */
void xt_digest_add(struct xt_digest *digest, struct xt_span data);
/* Frees it; result NULL: given up. */
void xt_digest_finish(struct xt_digest *digest, uint8_t result[XT_DIGEST_BYTES]);

/* Keyed MAC of one message: BLAKE2b-256 with a 32-byte key. */
void xt_mac(const uint8_t key[32], struct xt_span message, uint8_t mac[XT_DIGEST_BYTES]);

#endif
