/* core/little_endian: integers of 1 to 8 bytes in records and messages.
 *
 * Reading trusts nothing: past the end it gives zeros and sets `bad`, so that a decoder checks once, at
 * the end. (core/wire.h has the faster reader of hot records, whose sizes are constants.)
 */
#ifndef XT_CORE_LITTLE_ENDIAN_H
#define XT_CORE_LITTLE_ENDIAN_H

#include "core/span.h"

static inline void xt_put(struct xt_writer *writer, uint64_t value, size_t size)
{
    uint8_t *place = xt_write_reserve(writer, size);
    for (size_t i = 0; place != NULL && i < size; i++) {
        place[i] = (uint8_t)(value >> (8 * i));
    }
}

struct xt_taker {
    struct xt_span rest;
    bool bad;
};

static inline struct xt_taker xt_taker_over(struct xt_span span)
{
    return (struct xt_taker){.rest = span, .bad = false};
}

/* size bytes, borrowed; an empty span and `bad` where there are fewer. */
static inline struct xt_span xt_take_bytes(struct xt_taker *taker, size_t size)
{
    if (taker->bad || size > taker->rest.size) {
        taker->bad = true;
        return xt_span_of(NULL, 0);
    }
    struct xt_span bytes = xt_span_of(taker->rest.data, size);
    taker->rest = xt_span_of(taker->rest.data + size, taker->rest.size - size);
    return bytes;
}

/* size is at most 8. */
static inline uint64_t xt_take(struct xt_taker *taker, size_t size)
{
    struct xt_span bytes = xt_take_bytes(taker, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        value |= (uint64_t)bytes.data[i] << (8 * i);
    }
    return value;
}

/* Leaves data as it is where there are fewer. */
static inline void xt_take_copy(struct xt_taker *taker, void *data, size_t size)
{
    struct xt_span bytes = xt_take_bytes(taker, size);
    if (bytes.data != NULL && size > 0) {
        memcpy(data, bytes.data, size);
    }
}

/* Everything was there and nothing is left. */
static inline bool xt_taken_all(const struct xt_taker *taker)
{
    return !taker->bad && taker->rest.size == 0;
}

#endif
