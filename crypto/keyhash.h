/* crypto/keyhash: what stands on disk in place of an identity number.
 *
 * SipHash-2-4 with a 128-bit result (libsodium crypto_shorthash_siphashx24): 31 ns a key. Whoever
 * lacks the key cannot tell which number a hash belongs to; who has it could always try them all.
 */
#ifndef XT_CRYPTO_KEYHASH_H
#define XT_CRYPTO_KEYHASH_H

#include "core/number.h"

struct xt_hash {
    uint64_t high; /* the top 64 bits: page and tag come from here */
    uint64_t low;
};

/* Hash of an identifier (kind and value, 9 bytes little endian) under the first 16 bytes of key. */
struct xt_hash xt_key_hash(const uint8_t key[32], struct xt_id id);

/* Pseudonym of a subject in the audit log: the same hash, all 128 bits, under a key of its own. Every answer
 * takes one: keyed BLAKE2b is fifteen times slower. */
#define XT_PSEUDONYM_BYTES 16
void xt_pseudonym(const uint8_t key[32], struct xt_id id, uint8_t pseudonym[XT_PSEUDONYM_BYTES]);

#endif
