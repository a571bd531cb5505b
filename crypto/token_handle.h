/* crypto/token_handle: ids of tokens that tell their maker, and nobody else, whose they are.
 *
 *   AES-128 (FIPS 197) of one block: number 5, little endian | random 11
 *
 * Two ids of a person have nothing in common; a block that was made elsewhere opens to some number as well.
 * Thread: any.
 */
#ifndef XT_CRYPTO_TOKEN_HANDLE_H
#define XT_CRYPTO_TOKEN_HANDLE_H

#include <stdint.h>

#include "core/status.h"

#define XT_TOKEN_HANDLE 16     /* bytes */
#define XT_TOKEN_HANDLE_KEY 16 /* bytes */

void xt_token_handle_make(const uint8_t key[XT_TOKEN_HANDLE_KEY], uint64_t number,
                          uint8_t handle[XT_TOKEN_HANDLE]);
/* XT_INVALID: there is no such number. */
XT_MUST_USE enum xt_status xt_token_handle_open(const uint8_t key[XT_TOKEN_HANDLE_KEY],
                                                const uint8_t handle[XT_TOKEN_HANDLE],
                                                uint64_t *number);

#endif
