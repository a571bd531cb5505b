/* crypto/live_seal: what is stored one record at a time and changed in place: XChaCha20-Poly1305
 * (draft-irtf-cfrg-xchacha-03) with random nonces.
 *
 *   sealed = nonce 24 | ciphertext (as long as the plaintext) | tag 16
 *
 * 192 random bits of nonce do not meet by chance in any number of records, so no counter has to survive
 * a crash. Thread: any, once opened. Memory: opaque, locked, wiped on close.
 */
#ifndef XT_CRYPTO_LIVE_SEAL_H
#define XT_CRYPTO_LIVE_SEAL_H

#include "crypto/keyhash.h"
#include "crypto/keyring.h"
#include "crypto/token_handle.h"

#define XT_LIVE_SEAL_OVERHEAD 40 /* bytes added */
#define XT_LIVE_HASH 16          /* bytes of a keyed hash */

struct xt_live_sealer; /* opaque */

/* Keys of one store: of master key key_id, by the store's salt. XT_NOT_FOUND: there is no such master
 * key; XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_live_sealer_open(const struct xt_keyring *keyring, uint32_t key_id,
                                               const uint8_t salt[XT_SALT_BYTES],
                                               struct xt_live_sealer **sealer);

/* The key of the hashes may be another than the derived one, so that it can go along when the store is
 * sealed anew: hashes cannot be made again without what was hashed. wrapped: XT_LIVE_HASH_KEY_WRAPPED
 * bytes, under the sealer's own key. */
#define XT_LIVE_HASH_KEY_WRAPPED (XT_KEY_BYTES + XT_LIVE_SEAL_OVERHEAD)
void xt_live_sealer_new_hash(struct xt_live_sealer *sealer);
void xt_live_sealer_same_hash(struct xt_live_sealer *sealer, const struct xt_live_sealer *other);
void xt_live_sealer_wrap_hash(const struct xt_live_sealer *sealer, struct xt_span associated,
                              uint8_t *wrapped);
/* XT_CORRUPT: not wrapped by this sealer. */
XT_MUST_USE enum xt_status xt_live_sealer_unwrap_hash(struct xt_live_sealer *sealer,
                                                      struct xt_span associated,
                                                      struct xt_span wrapped);
void xt_live_sealer_close(struct xt_live_sealer *sealer);

/* sealed must have room for plain.size + XT_LIVE_SEAL_OVERHEAD. */
void xt_live_seal(const struct xt_live_sealer *sealer, struct xt_span associated,
                  struct xt_span plain, uint8_t *sealed);

/* plain must have room for sealed.size - XT_LIVE_SEAL_OVERHEAD. XT_CORRUPT when it does not verify;
 * then plain is wiped. */
XT_MUST_USE enum xt_status xt_live_unseal(const struct xt_live_sealer *sealer,
                                          struct xt_span associated, struct xt_span sealed,
                                          uint8_t *plain);

/* What stands on disk in place of a key: keyed BLAKE2b-128 of kind and key. */
void xt_live_hash(const struct xt_live_sealer *sealer, uint8_t kind, struct xt_span key,
                  uint8_t hash[XT_LIVE_HASH]);

/* A key that follows from the key of the hashes and goes along with it: of label and message, for that use only. */
void xt_live_derive(const struct xt_live_sealer *sealer, const char *label, struct xt_span message,
                    uint8_t key[XT_KEY_BYTES]);

/* Whose ids of tokens are (crypto/token_handle): by such a key as well. */
const struct xt_token_cipher *xt_live_token_cipher(const struct xt_live_sealer *sealer);

/* The same for an id, as fast as that of a sealed generation (crypto/keyhash), under a key of its own that
 * follows from the key of the hashes and goes along with it. */
struct xt_hash xt_live_id_hash(const struct xt_live_sealer *sealer, struct xt_id id);

#endif
