/* crypto/token_handle: ids of tokens that tell their maker, and nobody else, whose they are.
 *
 *   AES-128 (FIPS 197) of one block: number 5, little endian | random 11
 *
 * Two ids of a person have nothing in common; a block that was made elsewhere opens to some number as well.
 * The key is expanded once: that takes longer than a block.
 * Thread: any.
 */
#ifndef XT_CRYPTO_TOKEN_HANDLE_H
#define XT_CRYPTO_TOKEN_HANDLE_H

#include <stdint.h>

#include "core/status.h"

#define XT_TOKEN_HANDLE 16     /* bytes */
#define XT_TOKEN_HANDLE_KEY 16 /* bytes */

/* A key, expanded. A secret: it stands in locked memory (crypto/live_seal). */
struct xt_token_cipher {
    uint64_t to_make[32], to_open[32]; /* an AES_KEY each */
};
void xt_token_cipher_set(struct xt_token_cipher *cipher, const uint8_t key[XT_TOKEN_HANDLE_KEY]);

void xt_token_handle_make(const struct xt_token_cipher *cipher, uint64_t number,
                          uint8_t handle[XT_TOKEN_HANDLE]);
/* XT_INVALID: there is no such number. */
XT_MUST_USE enum xt_status xt_token_handle_open(const struct xt_token_cipher *cipher,
                                                const uint8_t handle[XT_TOKEN_HANDLE],
                                                uint64_t *number);

#endif
