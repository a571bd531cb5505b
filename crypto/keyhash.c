#include "crypto/keyhash.h"

#include <sodium.h>

#define ENCODED_BYTES 9 /* kind, value little endian */

static void encode(struct xt_id id, uint8_t bytes[ENCODED_BYTES])
{
    bytes[0] = (uint8_t)id.kind;
    for (unsigned i = 0; i < 8; i++) {
        bytes[1 + i] = (uint8_t)(id.value >> (8 * i));
    }
}

static uint64_t get64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

struct xt_hash xt_key_hash(const uint8_t key[32], struct xt_id id)
{
    uint8_t bytes[ENCODED_BYTES];
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    encode(id, bytes);
    crypto_shorthash_siphashx24(hash, bytes, sizeof(bytes), key);
    return (struct xt_hash){.high = get64(hash), .low = get64(hash + 8)};
}

void xt_pseudonym(const uint8_t key[32], struct xt_id id, uint8_t pseudonym[XT_PSEUDONYM_BYTES])
{
    uint8_t bytes[ENCODED_BYTES];
    encode(id, bytes);
    crypto_generichash_blake2b(pseudonym, XT_PSEUDONYM_BYTES, bytes, sizeof(bytes), key, 32);
}
