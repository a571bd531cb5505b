/* tests/crypto/hex: known answers are written in hex. */
#ifndef XT_TESTS_CRYPTO_HEX_H
#define XT_TESTS_CRYPTO_HEX_H

#include <stdio.h>

#include "core/span.h"

/* text must have room for 2 * size + 1. */
static inline const char *to_hex(char *text, const uint8_t *data, size_t size)
{
    text[0] = 0;
    for (size_t i = 0; i < size; i++) {
        sprintf(text + 2 * i, "%02x", data[i]);
    }
    return text;
}

/* 0, 1, 2, ... */
static inline void fill_counting(uint8_t *data, size_t size, unsigned from)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(from + i);
    }
}

#endif
