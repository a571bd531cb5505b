#include "store/lines.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK (1U << 20)

enum xt_status xt_lines_start(struct xt_lines *lines, int fd)
{
    uint8_t *place;
    *lines = (struct xt_lines){.fd = fd};
    return xt_memory_extend(&lines->buffer, XT_LINE_MAX + 2 + BLOCK, &place);
}

void xt_lines_end(struct xt_lines *lines)
{
    xt_memory_free(&lines->buffer);
}

/* Reads more behind what is there. XT_CLOSED at the end of the input. */
static enum xt_status fill(struct xt_lines *lines)
{
    if (lines->begin > 0) {
        memmove(lines->buffer.data, lines->buffer.data + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    ssize_t got = read(lines->fd, lines->buffer.data + lines->end, lines->buffer.size - lines->end);
    if (got < 0) {
        return errno == EINTR ? XT_AGAIN : XT_IO;
    }
    lines->at_end = got == 0;
    lines->end += (size_t)got;
    lines->bytes += (uint64_t)got;
    return got == 0 ? XT_CLOSED : XT_OK;
}

/* Throws away what is left of a line that is too long, a block at a time. */
static enum xt_status skip(struct xt_lines *lines)
{
    uint8_t *data = lines->buffer.data + lines->begin;
    uint8_t *newline = memchr(data, '\n', lines->end - lines->begin);
    lines->skipping = newline == NULL && !lines->at_end;
    lines->begin = newline != NULL ? lines->begin + (size_t)(newline - data) + 1 : lines->end;
    if (!lines->skipping) {
        return XT_TOO_LARGE;
    }
    enum xt_status status = fill(lines);
    return status == XT_IO ? XT_IO : XT_AGAIN;
}

/* Skips a byte order mark, once its three bytes can be told. */
static enum xt_status begin(struct xt_lines *lines)
{
    while (lines->end < 3 && !lines->at_end) {
        enum xt_status status = fill(lines);
        if (status != XT_OK && status != XT_CLOSED) {
            return status;
        }
    }
    if (lines->end >= 3 && memcmp(lines->buffer.data, "\xef\xbb\xbf", 3) == 0) {
        lines->begin = 3;
    }
    lines->begun = true;
    return XT_OK;
}

enum xt_status xt_lines_next(struct xt_lines *lines, struct xt_span *line)
{
    size_t searched = 0;
    if (!lines->begun) {
        enum xt_status status = begin(lines);
        if (status != XT_OK) {
            return status;
        }
    }
    if (lines->skipping) {
        return skip(lines);
    }
    for (;;) {
        uint8_t *data = lines->buffer.data + lines->begin;
        size_t size = lines->end - lines->begin;
        uint8_t *newline = memchr(data + searched, '\n', size - searched);
        size_t length = newline != NULL ? (size_t)(newline - data) : size;
        size_t ended = newline != NULL ? 1 : 0;
        if (length > XT_LINE_MAX + 1) {
            lines->number++;
            return skip(lines);
        }
        if (newline == NULL && !lines->at_end) {
            searched = size;
            enum xt_status status = fill(lines);
            if (status != XT_OK && status != XT_CLOSED) {
                return status;
            }
            continue;
        }
        if (newline == NULL && size == 0) {
            return XT_CLOSED;
        }
        lines->begin += length + ended;
        lines->number++;
        if (length > 0 && data[length - 1] == '\r') {
            length--;
        }
        *line = xt_span_of(data, length);
        return length > XT_LINE_MAX ? XT_TOO_LARGE : XT_OK;
    }
}
