/* crypto/hex: bytes from hexadecimal digits, lower case only: one way to write a key. Private to
 * crypto/. */
#ifndef XT_CRYPTO_HEX_H
#define XT_CRYPTO_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline int xt_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* text: twice as many digits as there are bytes. false: one of them is none. */
static inline bool xt_hex_parse(const uint8_t *text, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = xt_hex_digit(text[2 * i]);
        int low = xt_hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

#endif
