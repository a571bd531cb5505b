#include "net/stream.h"

static bool is_blank(const uint8_t *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* false: it is not taken now. */
static bool give_line(struct xt_stream *stream, uint8_t *line, size_t size, bool too_long)
{
    if (!too_long && is_blank(line, size)) {
        stream->lines++;
        stream->blank++;
        return true;
    }
    size_t content = size > 0 && line[size - 1] == '\r' ? size - 1 : size;
    if (!stream->kind->take_line(stream, stream->lines + 1, line, too_long ? 0 : content,
                                 too_long)) {
        stream->no_room = true;
        return false;
    }
    stream->lines++;
    return true;
}

/* The rest of a line that was too long. */
static size_t skip(struct xt_stream *stream, const uint8_t *data, size_t size, bool ended)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    stream->skipping = end == NULL && !ended;
    return end == NULL ? size : (size_t)(end - data) + 1;
}

size_t xt_stream_feed(struct xt_stream *stream, uint8_t *data, size_t size, bool ended, bool full,
                      unsigned most, unsigned *taken)
{
    size_t used = stream->skipping ? skip(stream, data, size, ended) : 0;
    *taken = 0;
    while (used < size && *taken < most && !stream->skipping) {
        uint8_t *line = data + used;
        uint8_t *end = memchr(line, '\n', size - used);
        bool too_long = end == NULL && !ended && full && used == 0;
        if (end == NULL && !ended && !too_long) {
            break;
        }
        size_t length = end == NULL ? size - used : (size_t)(end - line);
        if (!give_line(stream, line, length, too_long)) {
            break;
        }
        stream->skipping = too_long;
        used += length + (end != NULL ? 1 : 0);
        (*taken)++;
    }
    return used;
}

void xt_stream_wake(struct xt_stream *stream)
{
    stream->no_room = false;
    if (stream->wake != NULL) {
        stream->wake(stream->context);
    }
}
