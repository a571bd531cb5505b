#include "crypto/seal.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <sodium.h>
#include <stdlib.h>

#include "crypto/keyring.h"

#define NONCE_BYTES 12

struct xt_sealer {
    EVP_AEAD_CTX aead; /* holds the expanded key */
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
    *sealer = made;
    return XT_OK;
}

void xt_sealer_close(struct xt_sealer *sealer)
{
    if (sealer != NULL) {
        EVP_AEAD_CTX_cleanup(&sealer->aead);
        sodium_free(sealer); /* wipes */
    }
}

static void nonce_of(uint64_t ordinal, uint8_t nonce[NONCE_BYTES])
{
    for (unsigned i = 0; i < NONCE_BYTES; i++) {
        nonce[i] = i < 8 ? (uint8_t)(ordinal >> (8 * i)) : 0;
    }
}

void xt_seal(struct xt_sealer *sealer, uint64_t ordinal, struct xt_span associated,
             struct xt_span plain, uint8_t *sealed)
{
    uint8_t nonce[NONCE_BYTES];
    size_t size;
    nonce_of(ordinal, nonce);
    int done =
        EVP_AEAD_CTX_seal(&sealer->aead, sealed, &size, plain.size + XT_SEAL_OVERHEAD, nonce,
                          sizeof(nonce), plain.data, plain.size, associated.data, associated.size);
    xt_require(done == 1 && size == plain.size + XT_SEAL_OVERHEAD);
}

enum xt_status xt_unseal(struct xt_sealer *sealer, uint64_t ordinal, struct xt_span associated,
                         struct xt_span sealed, uint8_t *plain)
{
    if (sealed.size < XT_SEAL_OVERHEAD) {
        return XT_CORRUPT;
    }
    uint8_t nonce[NONCE_BYTES];
    size_t size;
    nonce_of(ordinal, nonce);
    if (EVP_AEAD_CTX_open(&sealer->aead, plain, &size, sealed.size - XT_SEAL_OVERHEAD, nonce,
                          sizeof(nonce), sealed.data, sealed.size, associated.data,
                          associated.size) != 1) {
        ERR_clear_error();
        xt_wipe(plain, sealed.size - XT_SEAL_OVERHEAD);
        return XT_CORRUPT;
    }
    return XT_OK;
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
