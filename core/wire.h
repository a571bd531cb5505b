/* core/wire: little-endian integers and dates in stored records. Private to core/.
 *
 * A reader over bytes that may be anything: reading past the end gives zeros and sets `bad`, so that
 * a decoder checks once at the end.
 */
#ifndef XT_CORE_WIRE_H
#define XT_CORE_WIRE_H

#include "core/date.h"

#define XT_WIRE_NUMBER 5                    /* bytes of a personal number: 10^12 < 2^40 */
#define XT_WIRE_DATE 3                      /* bytes of a date: 2200 << 9 < 2^21 */
#define XT_WIRE_NUMBER_END 1000000000000ULL /* 12 digits are below this */
#define XT_WIRE_NINE_DIGITS_END 1000000000U /* CMND and phones are below this */

static inline void xt_wire_write(struct xt_writer *writer, uint64_t value, size_t size)
{
    uint8_t *place = xt_write_reserve(writer, size);
    for (size_t i = 0; place != NULL && i < size; i++) {
        place[i] = (uint8_t)(value >> (8 * i));
    }
}

/* size bytes at data, which must be there. Inlined with a constant size it is a load or two: written
 * out, since compilers leave the loop over odd sizes as it is. */
static inline uint64_t xt_wire_integer(const uint8_t *data, size_t size)
{
    uint64_t value = 0;
    switch (size) {
    case 5:
        value |= (uint64_t)data[4] << 32; /* fall through */
    case 4:
        value |= (uint64_t)data[3] << 24; /* fall through */
    case 3:
        value |= (uint64_t)data[2] << 16; /* fall through */
    case 2:
        value |= (uint64_t)data[1] << 8; /* fall through */
    case 1:
        value |= data[0];
        break;
    default:
        break;
    }
    return value;
}

/* Whether value could have come from xt_date_make, but for days past a month's end (cheap: records
 * are authenticated, this only keeps nonsense from travelling on). */
static inline bool xt_wire_date_is_sound(xt_date value)
{
    unsigned year = xt_date_year(value);
    unsigned month = xt_date_month(value);
    unsigned day = xt_date_day(value);
    return (year >= 1800) & (year <= 2200) & (month <= 12) & ((day == 0) | (month != 0));
}

struct xt_wire {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct xt_wire xt_wire_over(struct xt_span span)
{
    return (struct xt_wire){.at = span.data, .end = span.data + span.size, .bad = false};
}

/* size bytes, borrowed; an empty span and `bad` where there are fewer. */
static inline struct xt_span xt_wire_bytes(struct xt_wire *wire, size_t size)
{
    if (wire->bad || size > (size_t)(wire->end - wire->at)) {
        wire->bad = true;
        return xt_span_of(NULL, 0);
    }
    struct xt_span bytes = xt_span_of(wire->at, size);
    wire->at += size;
    return bytes;
}

static inline uint64_t xt_wire_read(struct xt_wire *wire, size_t size)
{
    struct xt_span bytes = xt_wire_bytes(wire, size);
    return xt_wire_integer(bytes.data, bytes.size);
}

static inline bool xt_wire_is_done(const struct xt_wire *wire)
{
    return !wire->bad && wire->at == wire->end;
}

#endif
