#include "crypto/seal.h"

#include <endian.h>
#include <openssl/aead.h>
#include <openssl/err.h>
#include <sodium.h>
#include <stdlib.h>

#include "crypto/keyring.h"
#include "crypto/quick_gcm.h"

#define NONCE_BYTES 12

struct xt_sealer {
    struct xt_quick_gcm *quick; /* NULL: this machine or build has none */
    EVP_AEAD_CTX aead;          /* holds the expanded key */
};

enum xt_status xt_sealer_open(const uint8_t key[32], struct xt_sealer **sealer)
{
    /* sodium_malloc puts the end at a guard page, so only a rounded size starts aligned. */
    size_t size = (sizeof(struct xt_sealer) + 63) & ~(size_t)63;
    struct xt_sealer *made = sodium_malloc(size);
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    if (EVP_AEAD_CTX_init(&made->aead, EVP_aead_aes_256_gcm(), key, 32, XT_SEAL_OVERHEAD, NULL) !=
        1) {
        ERR_clear_error();
        sodium_free(made);
        return XT_NO_MEMORY;
    }
    made->quick = xt_quick_gcm_open(key);
    *sealer = made;
    return XT_OK;
}

void xt_sealer_close(struct xt_sealer *sealer)
{
    if (sealer != NULL) {
        xt_quick_gcm_close(sealer->quick);
        EVP_AEAD_CTX_cleanup(&sealer->aead);
        sodium_free(sealer); /* wipes */
    }
}

/* Stored at once: what is written byte by byte and read as a word makes the processor wait. */
static inline void nonce_of(uint64_t ordinal, uint8_t nonce[NONCE_BYTES])
{
    uint64_t little_endian = htole64(ordinal);
    memcpy(nonce, &little_endian, sizeof(little_endian));
    memset(nonce + sizeof(little_endian), 0, NONCE_BYTES - sizeof(little_endian));
}

void xt_sealer_forget_quick(struct xt_sealer *sealer)
{
    xt_quick_gcm_close(sealer->quick);
    sealer->quick = NULL;
}

void xt_seal(const struct xt_sealer *sealer, uint64_t ordinal, struct xt_span associated,
             struct xt_span plain, uint8_t *sealed)
{
    uint8_t nonce[NONCE_BYTES];
    size_t size;
    nonce_of(ordinal, nonce);
    if (sealer->quick != NULL) {
        xt_quick_gcm_seal(sealer->quick, nonce, associated, plain, sealed);
        return;
    }
    int done =
        EVP_AEAD_CTX_seal(&sealer->aead, sealed, &size, plain.size + XT_SEAL_OVERHEAD, nonce,
                          sizeof(nonce), plain.data, plain.size, associated.data, associated.size);
    xt_require(done == 1 && size == plain.size + XT_SEAL_OVERHEAD);
}

enum xt_status xt_unseal(const struct xt_sealer *sealer, uint64_t ordinal,
                         struct xt_span associated, struct xt_span sealed, uint8_t *plain)
{
    if (sealed.size < XT_SEAL_OVERHEAD) {
        return XT_CORRUPT;
    }
    size_t plain_size = sealed.size - XT_SEAL_OVERHEAD;
    uint8_t nonce[NONCE_BYTES];
    size_t size;
    bool opened;
    nonce_of(ordinal, nonce);
    if (sealer->quick != NULL) {
        opened = xt_quick_gcm_open_message(sealer->quick, nonce, associated, sealed, plain);
    } else {
        opened = EVP_AEAD_CTX_open(&sealer->aead, plain, &size, plain_size, nonce, sizeof(nonce),
                                   sealed.data, sealed.size, associated.data, associated.size) == 1;
        if (!opened) {
            ERR_clear_error();
        }
    }
    if (!opened) {
        xt_wipe(plain, plain_size);
    }
    return opened ? XT_OK : XT_CORRUPT;
}

struct xt_digest {
    crypto_generichash_blake2b_state state;
};

struct xt_digest *xt_digest_start(void)
{
    struct xt_digest *digest;
    _Static_assert(sizeof(*digest) % 64 == 0, "aligned_alloc wants whole lines");
    digest = aligned_alloc(64, sizeof(*digest));
    xt_require(digest != NULL);
    crypto_generichash_blake2b_init(&digest->state, NULL, 0, XT_DIGEST_BYTES);
    return digest;
}

void xt_digest_add(struct xt_digest *digest, struct xt_span data)
{
    crypto_generichash_blake2b_update(&digest->state, data.data, data.size);
}

void xt_digest_finish(struct xt_digest *digest, uint8_t result[XT_DIGEST_BYTES])
{
    if (digest != NULL && result != NULL) {
        crypto_generichash_blake2b_final(&digest->state, result, XT_DIGEST_BYTES);
    }
    free(digest);
}

void xt_mac(const uint8_t key[32], struct xt_span message, uint8_t mac[XT_DIGEST_BYTES])
{
    crypto_generichash_blake2b(mac, XT_DIGEST_BYTES, message.data, message.size, key, 32);
}
