/* core/span: borrowed bytes, and a bounded writer over memory of the caller.
 *
 * Memory: neither owns anything. Writers never allocate; a write that does not fit sets `overflow`
 *         and writes nothing, later writes are ignored: check once at the end.
 */
#ifndef XT_CORE_SPAN_H
#define XT_CORE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct xt_span {
    const uint8_t *data; /* borrowed; may be NULL when size is 0 */
    size_t size;         /* bytes */
};

static inline struct xt_span xt_span_of(const void *data, size_t size)
{
    return (struct xt_span){.data = data, .size = size};
}

static inline struct xt_span xt_span_of_string(const char *text)
{
    return (struct xt_span){.data = (const uint8_t *)text, .size = strlen(text)};
}

/* Not for secrets: ends at the first difference. */
static inline bool xt_span_equal(struct xt_span a, struct xt_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool xt_span_is(struct xt_span a, const char *text)
{
    return xt_span_equal(a, xt_span_of_string(text));
}

struct xt_writer {
    uint8_t *data;
    size_t size;     /* bytes written */
    size_t capacity; /* bytes there are */
    bool overflow;
};

static inline struct xt_writer xt_writer_over(void *data, size_t capacity)
{
    return (struct xt_writer){.data = data, .size = 0, .capacity = capacity, .overflow = false};
}

/* Gives a place for size bytes and counts them as written; NULL on overflow. */
static inline uint8_t *xt_write_reserve(struct xt_writer *writer, size_t size)
{
    if (writer->overflow || size > writer->capacity - writer->size) {
        writer->overflow = true;
        return NULL;
    }
    uint8_t *place = writer->data + writer->size;
    writer->size += size;
    return place;
}

static inline void xt_write(struct xt_writer *writer, const void *data, size_t size)
{
    uint8_t *place = xt_write_reserve(writer, size);
    if (place != NULL && size > 0) {
        memcpy(place, data, size);
    }
}

static inline void xt_write_byte(struct xt_writer *writer, uint8_t byte)
{
    uint8_t *place = xt_write_reserve(writer, 1);
    if (place != NULL) {
        *place = byte;
    }
}

static inline void xt_write_span(struct xt_writer *writer, struct xt_span span)
{
    xt_write(writer, span.data, span.size);
}

#define xt_write_literal(writer, literal) xt_write((writer), "" literal, sizeof(literal) - 1)

static inline void xt_write_string(struct xt_writer *writer, const char *text)
{
    xt_write(writer, text, strlen(text));
}

/* In decimal, at most 20 digits. */
static inline void xt_write_digits(struct xt_writer *writer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    xt_write(writer, digits + at, sizeof(digits) - at);
}

static inline struct xt_span xt_written(const struct xt_writer *writer)
{
    return xt_span_of(writer->data, writer->size);
}

#endif
