#include "store/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* What a line that is too long is cut off to: with its end of line taken off, it still is. */
#define CUT (XT_LINE_MAX + 2)

#define PIPE_BYTES (1 << 20) /* the most that Linux gives to everybody */

enum xt_status xt_lines_start(struct xt_lines *lines, int fd, int wake)
{
    uint8_t *place;
    *lines = (struct xt_lines){.fd = fd, .wake = wake};
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* whoever writes need not wait for each block */
    enum xt_status status = xt_memory_extend(&lines->rest, CUT, &place);
    lines->rest.size = 0;
    return status;
}

void xt_lines_end(struct xt_lines *lines)
{
    xt_memory_free(&lines->rest);
}

enum xt_status xt_line_block_start(struct xt_line_block *block)
{
    uint8_t *place;
    *block = (struct xt_line_block){.size = 0};
    enum xt_status status = xt_memory_extend(&block->memory, XT_LINE_BLOCK + CUT + 1, &place);
    block->memory.size = 0; /* bytes read into it: whole lines, and maybe more */
    return status;
}

void xt_line_block_end(struct xt_line_block *block)
{
    xt_memory_free(&block->memory);
}

/* Waits until there is something to read, or the end. A signal that comes just before a read would not
 * end it: what is to end it makes wake readable. */
static enum xt_status wait_for_more(const struct xt_lines *lines)
{
    struct pollfd both[2] = {{.fd = lines->fd, .events = POLLIN},
                             {.fd = lines->wake, .events = POLLIN}}; /* -1 is passed over */
    if (poll(both, 2, -1) < 0) {
        return errno == EINTR ? XT_AGAIN : XT_IO;
    }
    return both[1].revents != 0 ? XT_AGAIN : XT_OK;
}

/* Reads more behind what is there. XT_CLOSED at the end of the input. */
static enum xt_status read_more(struct xt_lines *lines, struct xt_line_block *block)
{
    struct xt_memory *memory = &block->memory;
    enum xt_status status = wait_for_more(lines);
    if (status != XT_OK) {
        return status;
    }
    ssize_t got = read(lines->fd, memory->data + memory->size, XT_LINE_BLOCK + CUT - memory->size);
    if (got < 0) {
        return errno == EINTR ? XT_AGAIN : XT_IO;
    }
    lines->at_end = got == 0;
    memory->size += (size_t)got;
    lines->bytes += (uint64_t)got;
    return got == 0 ? XT_CLOSED : XT_OK;
}

/* Takes what the block before left over, once. */
static void take_rest(struct xt_lines *lines, struct xt_line_block *block)
{
    if (lines->rest.size > 0) {
        xt_require(block->memory.size == 0);
        memcpy(block->memory.data, lines->rest.data, lines->rest.size);
        block->memory.size = lines->rest.size;
        lines->rest.size = 0;
    }
}

/* Skips a byte order mark, once its three bytes can be told. */
static void begin(struct xt_lines *lines, struct xt_line_block *block)
{
    struct xt_memory *memory = &block->memory;
    if (memory->size >= 3 && memcmp(memory->data, "\xef\xbb\xbf", 3) == 0) {
        memory->size -= 3;
        memmove(memory->data, memory->data + 3, memory->size);
    }
    lines->begun = true;
}

/* Throws away what is left of a line that is too long, as far as it is here. */
static void skip(struct xt_lines *lines, struct xt_line_block *block)
{
    struct xt_memory *memory = &block->memory;
    const uint8_t *newline = memchr(memory->data, '\n', memory->size);
    size_t gone = newline == NULL ? memory->size : (size_t)(newline - memory->data) + 1;
    lines->skipping = newline == NULL && !lines->at_end;
    memory->size -= gone;
    memmove(memory->data, memory->data + gone, memory->size);
}

/* Ends the block after its last whole line, and keeps what is after it for the next one. A line that
 * is already too long is cut off, and what else comes of it is skipped. Gives whether there is a line. */
static bool cut_block(struct xt_lines *lines, struct xt_line_block *block)
{
    struct xt_memory *memory = &block->memory;
    const uint8_t *newline = memory->size == 0 ? NULL : memrchr(memory->data, '\n', memory->size);
    size_t whole = newline == NULL ? 0 : (size_t)(newline - memory->data) + 1;
    size_t rest = memory->size - whole;
    if (rest >= CUT && !lines->at_end) {
        whole += CUT;
        memory->data[whole++] = '\n';
        lines->skipping = true;
        rest = 0;
    } else if (lines->at_end && rest > 0) {
        memory->data[memory->size] = '\n';
        whole = memory->size + 1;
        rest = 0;
    }
    if (whole == 0) {
        return false;
    }
    memcpy(lines->rest.data, memory->data + whole, rest); /* less than CUT */
    lines->rest.size = rest;
    block->size = whole;
    memory->size = 0; /* ready for the next filling */
    return true;
}

static void count_lines(struct xt_lines *lines, struct xt_line_block *block)
{
    const uint8_t *at = block->memory.data;
    const uint8_t *end = at + block->size;
    block->first_line = lines->number + 1;
    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        lines->number++;
        at = newline + 1;
    }
}

/* Whether to give what is there: whoever writes into the pipe has no more for the moment. */
static bool is_enough(const struct xt_lines *lines, const struct xt_line_block *block)
{
    struct pollfd more = {.fd = lines->fd, .events = POLLIN};
    return block->memory.size > 0 && poll(&more, 1, 0) == 0 &&
           memrchr(block->memory.data, '\n', block->memory.size) != NULL;
}

enum xt_status xt_lines_fill(struct xt_lines *lines, struct xt_line_block *block)
{
    enum xt_status status = XT_OK;
    take_rest(lines, block);
    while (status == XT_OK && block->memory.size < XT_LINE_BLOCK && !lines->at_end &&
           !is_enough(lines, block)) {
        status = read_more(lines, block);
        if (lines->skipping && (status == XT_OK || status == XT_CLOSED)) {
            skip(lines, block);
            if (lines->skipping) {
                return XT_AGAIN;
            }
        }
    }
    if (status == XT_AGAIN || status == XT_IO) {
        return status;
    }
    if (!lines->begun) {
        begin(lines, block);
    }
    if (!cut_block(lines, block)) {
        return XT_CLOSED;
    }
    count_lines(lines, block);
    return XT_OK;
}

enum xt_status xt_line_next(const struct xt_line_block *block, size_t *at, struct xt_span *line)
{
    if (*at >= block->size) {
        return XT_CLOSED;
    }
    const uint8_t *data = block->memory.data + *at;
    const uint8_t *newline = memchr(data, '\n', block->size - *at);
    size_t length = (size_t)(newline - data);
    *at += length + 1;
    if (length > 0 && data[length - 1] == '\r') {
        length--;
    }
    *line = xt_span_of(data, length);
    return length > XT_LINE_MAX ? XT_TOO_LARGE : XT_OK;
}
