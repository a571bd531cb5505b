#include "crypto/live_seal.h"

#include <sodium.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(XT_LIVE_SEAL_OVERHEAD == NONCE + TAG, "a nonce and a tag");
_Static_assert(XT_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the size of a key");

struct xt_live_sealer {
    uint8_t seal[XT_KEY_BYTES];
    uint8_t hash[XT_KEY_BYTES];
    uint8_t ids[XT_KEY_BYTES];     /* follows from `hash` */
    struct xt_token_cipher tokens; /* the same */
};

/* They go wherever the key of the hashes goes. `ids` is longer than what xt_live_hash gives under that key, and so
 * (BLAKE2b takes the length in) none of those. */
static void derive_keys(struct xt_live_sealer *sealer)
{
    static const uint8_t text[] = "ids in the overlay";
    int result = crypto_generichash(sealer->ids, XT_KEY_BYTES, text, sizeof(text) - 1, sealer->hash,
                                    XT_KEY_BYTES);
    uint8_t key[XT_KEY_BYTES];
    xt_require(result == 0);
    xt_live_derive(sealer, "ids of tokens", xt_span_of(NULL, 0), key);
    xt_token_cipher_set(&sealer->tokens, key);
    sodium_memzero(key, sizeof(key));
}

enum xt_status xt_live_sealer_open(const struct xt_keyring *keyring, uint32_t key_id,
                                   const uint8_t salt[XT_SALT_BYTES],
                                   struct xt_live_sealer **sealer)
{
    struct xt_live_sealer *made = sodium_malloc(sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    enum xt_status status =
        xt_keyring_derive(keyring, key_id, XT_USE_LIVE_SEAL, 0, salt, made->seal);
    if (status == XT_OK) {
        status = xt_keyring_derive(keyring, key_id, XT_USE_LIVE_HASH, 0, salt, made->hash);
    }
    if (status == XT_OK) {
        derive_keys(made);
    }
    if (status != XT_OK) {
        sodium_free(made);
        return status;
    }
    xt_require(sodium_mprotect_readonly(made) == 0);
    *sealer = made;
    return XT_OK;
}

static void set_hash(struct xt_live_sealer *sealer, const uint8_t hash[XT_KEY_BYTES])
{
    xt_require(sodium_mprotect_readwrite(sealer) == 0);
    memcpy(sealer->hash, hash, XT_KEY_BYTES);
    derive_keys(sealer);
    xt_require(sodium_mprotect_readonly(sealer) == 0);
}

void xt_live_sealer_new_hash(struct xt_live_sealer *sealer)
{
    uint8_t hash[XT_KEY_BYTES];
    xt_random(hash, sizeof(hash));
    set_hash(sealer, hash);
    xt_wipe(hash, sizeof(hash));
}

void xt_live_sealer_same_hash(struct xt_live_sealer *sealer, const struct xt_live_sealer *other)
{
    set_hash(sealer, other->hash);
}

void xt_live_sealer_wrap_hash(const struct xt_live_sealer *sealer, struct xt_span associated,
                              uint8_t *wrapped)
{
    xt_live_seal(sealer, associated, xt_span_of(sealer->hash, XT_KEY_BYTES), wrapped);
}

enum xt_status xt_live_sealer_unwrap_hash(struct xt_live_sealer *sealer, struct xt_span associated,
                                          struct xt_span wrapped)
{
    uint8_t hash[XT_KEY_BYTES];
    enum xt_status status = wrapped.size == XT_LIVE_HASH_KEY_WRAPPED
                                ? xt_live_unseal(sealer, associated, wrapped, hash)
                                : XT_CORRUPT;
    if (status == XT_OK) {
        set_hash(sealer, hash);
    }
    xt_wipe(hash, sizeof(hash));
    return status;
}

void xt_live_sealer_close(struct xt_live_sealer *sealer)
{
    sodium_free(sealer); /* wipes; NULL is fine */
}

void xt_live_seal(const struct xt_live_sealer *sealer, struct xt_span associated,
                  struct xt_span plain, uint8_t *sealed)
{
    unsigned long long size = 0;
    xt_random(sealed, NONCE);
    int result = crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed + NONCE, &size, plain.data, plain.size, associated.data, associated.size, NULL,
        sealed, sealer->seal);
    xt_require(result == 0 && size == plain.size + TAG);
}

enum xt_status xt_live_unseal(const struct xt_live_sealer *sealer, struct xt_span associated,
                              struct xt_span sealed, uint8_t *plain)
{
    if (sealed.size < XT_LIVE_SEAL_OVERHEAD) {
        return XT_CORRUPT;
    }
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            plain, NULL, NULL, sealed.data + NONCE, sealed.size - NONCE, associated.data,
            associated.size, sealed.data, sealer->seal) != 0) {
        xt_wipe(plain, sealed.size - XT_LIVE_SEAL_OVERHEAD);
        return XT_CORRUPT;
    }
    return XT_OK;
}

void xt_live_hash(const struct xt_live_sealer *sealer, uint8_t kind, struct xt_span key,
                  uint8_t hash[XT_LIVE_HASH])
{
    crypto_generichash_blake2b_state state;
    crypto_generichash_blake2b_init(&state, sealer->hash, XT_KEY_BYTES, XT_LIVE_HASH);
    crypto_generichash_blake2b_update(&state, &kind, 1);
    crypto_generichash_blake2b_update(&state, key.data, key.size);
    crypto_generichash_blake2b_final(&state, hash, XT_LIVE_HASH);
    sodium_memzero(&state, sizeof(state));
}

/* As long as derive_keys makes them: no hash under the same key. The NUL ends the label. */
void xt_live_derive(const struct xt_live_sealer *sealer, const char *label, struct xt_span message,
                    uint8_t key[XT_KEY_BYTES])
{
    crypto_generichash_blake2b_state state;
    crypto_generichash_blake2b_init(&state, sealer->hash, XT_KEY_BYTES, XT_KEY_BYTES);
    crypto_generichash_blake2b_update(&state, (const uint8_t *)label, strlen(label) + 1);
    crypto_generichash_blake2b_update(&state, message.data, message.size);
    crypto_generichash_blake2b_final(&state, key, XT_KEY_BYTES);
    sodium_memzero(&state, sizeof(state));
}

const struct xt_token_cipher *xt_live_token_cipher(const struct xt_live_sealer *sealer)
{
    return &sealer->tokens;
}

struct xt_hash xt_live_id_hash(const struct xt_live_sealer *sealer, struct xt_id id)
{
    return xt_key_hash(sealer->ids, id);
}
