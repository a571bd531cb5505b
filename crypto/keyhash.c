#include "crypto/keyhash.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

#define ENCODED_BYTES 9 /* kind, value little endian */

/* Whole words at a time: what is written byte by byte and read as a word makes the processor wait. */
static inline void encode(struct xt_id id, uint8_t bytes[ENCODED_BYTES])
{
    uint64_t value = htole64(id.value);
    bytes[0] = (uint8_t)id.kind;
    memcpy(bytes + 1, &value, sizeof(value));
}

static inline uint64_t get64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
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
    _Static_assert(XT_PSEUDONYM_BYTES == crypto_shorthash_siphashx24_BYTES, "all of its bits");
    encode(id, bytes);
    crypto_shorthash_siphashx24(pseudonym, bytes, sizeof(bytes), key);
}
