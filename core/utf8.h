/* core/utf8: strict UTF-8, one code point at a time (RFC 3629: no overlong forms, no surrogates,
 * nothing above U+10FFFF). */
#ifndef XT_CORE_UTF8_H
#define XT_CORE_UTF8_H

#include "core/span.h"

#define XT_UTF8_MAX 4 /* bytes of one code point */

/* Reads the code point at data, of which size bytes are there. Gives its length, 0 when it is
 * malformed or size is 0. */
static inline size_t xt_utf8_read(const uint8_t *data, size_t size, uint32_t *code_point)
{
    if (size == 0) {
        return 0;
    }
    uint32_t lead = data[0];
    if (lead < 0x80) {
        *code_point = lead;
        return 1;
    }
    if (lead < 0xC2 || size < 2 || (data[1] & 0xC0) != 0x80) {
        return 0;
    }
    if (lead < 0xE0) {
        *code_point = (lead & 0x1F) << 6 | (data[1] & 0x3FU);
        return 2;
    }
    if (size < 3 || (data[2] & 0xC0) != 0x80) {
        return 0;
    }
    if (lead < 0xF0) {
        *code_point = (lead & 0x0F) << 12 | (data[1] & 0x3FU) << 6 | (data[2] & 0x3FU);
        return *code_point >= 0x800 && (*code_point < 0xD800 || *code_point > 0xDFFF) ? 3 : 0;
    }
    if (lead > 0xF4 || size < 4 || (data[3] & 0xC0) != 0x80) {
        return 0;
    }
    *code_point =
        (lead & 0x07) << 18 | (data[1] & 0x3FU) << 12 | (data[2] & 0x3FU) << 6 | (data[3] & 0x3FU);
    return *code_point >= 0x10000 && *code_point <= 0x10FFFF ? 4 : 0;
}

/* Writes a code point (a valid one) and gives its length. */
static inline size_t xt_utf8_write(uint32_t code_point, uint8_t data[XT_UTF8_MAX])
{
    if (code_point < 0x80) {
        data[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        data[0] = (uint8_t)(0xC0 | code_point >> 6);
        data[1] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        data[0] = (uint8_t)(0xE0 | code_point >> 12);
        data[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
        data[2] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 3;
    }
    data[0] = (uint8_t)(0xF0 | code_point >> 18);
    data[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3F));
    data[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
    data[3] = (uint8_t)(0x80 | (code_point & 0x3F));
    return 4;
}

#endif
