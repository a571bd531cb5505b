#include "crypto/token_handle.h"

#include <openssl/aes.h>

#include "core/little_endian.h"
#include "crypto/keyring.h"

#define NUMBER_SIZE 5
#define NUMBER_END 1000000000000ULL

_Static_assert(sizeof(AES_KEY) <= sizeof(((struct xt_token_cipher *)0)->to_make), "it has room");
_Static_assert(_Alignof(AES_KEY) <= _Alignof(struct xt_token_cipher), "and lies right");

void xt_token_cipher_set(struct xt_token_cipher *cipher, const uint8_t key[XT_TOKEN_HANDLE_KEY])
{
    AES_KEY schedule;
    xt_require(AES_set_encrypt_key(key, 8 * XT_TOKEN_HANDLE_KEY, &schedule) == 0);
    memcpy(cipher->to_make, &schedule, sizeof(schedule));
    xt_require(AES_set_decrypt_key(key, 8 * XT_TOKEN_HANDLE_KEY, &schedule) == 0);
    memcpy(cipher->to_open, &schedule, sizeof(schedule));
    xt_wipe(&schedule, sizeof(schedule));
}

void xt_token_handle_make(const struct xt_token_cipher *cipher, uint64_t number,
                          uint8_t handle[XT_TOKEN_HANDLE])
{
    uint8_t block[XT_TOKEN_HANDLE];
    struct xt_writer writer = xt_writer_over(block, sizeof(block));
    xt_require(number < NUMBER_END);
    xt_put(&writer, number, NUMBER_SIZE);
    xt_random(block + NUMBER_SIZE, sizeof(block) - NUMBER_SIZE);
    AES_encrypt(block, handle, (const AES_KEY *)cipher->to_make);
    xt_wipe(block, sizeof(block));
}

enum xt_status xt_token_handle_open(const struct xt_token_cipher *cipher,
                                    const uint8_t handle[XT_TOKEN_HANDLE], uint64_t *number)
{
    uint8_t block[XT_TOKEN_HANDLE];
    AES_decrypt(handle, block, (const AES_KEY *)cipher->to_open);
    struct xt_taker taker = xt_taker_over(xt_span_of(block, sizeof(block)));
    *number = xt_take(&taker, NUMBER_SIZE);
    xt_wipe(block, sizeof(block));
    return *number < NUMBER_END ? XT_OK : XT_INVALID;
}
