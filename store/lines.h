/* store/lines: the lines of a file or pipe, in blocks of whole lines, in constant memory.
 *
 *   one thread fills blocks; any thread steps through the lines of a full one
 *
 * Ends of line are LF or CRLF; a byte order mark at the start is skipped. Memory is left out of core
 * dumps and wiped: it holds people.
 */
#ifndef XT_STORE_LINES_H
#define XT_STORE_LINES_H

#include "core/person.h"
#include "store/memory.h"

#define XT_LINE_MAX XT_PERSON_JSON_MAX /* bytes without the end of line */
#define XT_LINE_BLOCK (256U << 10)     /* bytes of a block, about */

struct xt_line_block {
    struct xt_memory memory;
    size_t size;         /* bytes of whole lines, filled in */
    uint64_t first_line; /* number of the first, from 1 */
};

struct xt_lines {
    int fd;                /* borrowed */
    int wake;              /* borrowed */
    struct xt_memory rest; /* the beginning of a line that a block had no room for */
    bool at_end, begun;
    bool skipping;   /* the rest of a line that is too long */
    uint64_t number; /* of the line given last */
    uint64_t bytes;  /* read so far */
};

/* wake: a descriptor (an eventfd) that ends the wait for more input once it is readable; -1: none. */
XT_MUST_USE enum xt_status xt_lines_start(struct xt_lines *lines, int fd, int wake);
void xt_lines_end(struct xt_lines *lines);

/* A zeroed block is made ready; free with xt_line_block_end. */
XT_MUST_USE enum xt_status xt_line_block_start(struct xt_line_block *block);
void xt_line_block_end(struct xt_line_block *block);

/* Fills block with the next lines, one at least. XT_CLOSED: there are none. XT_AGAIN: look at
 * what may have come in meanwhile and call again with the same block: wake is readable, there was a
 * signal, or a line is being skipped that may never end. XT_IO: see errno. Of a line longer than XT_LINE_MAX the block holds a beginning that is too
 * long as well. */
XT_MUST_USE enum xt_status xt_lines_fill(struct xt_lines *lines, struct xt_line_block *block);

/* Steps through a block: *at is 0 at first. Gives the next line, borrowed from the block. XT_TOO_LARGE:
 * it is longer than XT_LINE_MAX. XT_CLOSED: there are no more. */
XT_MUST_USE enum xt_status xt_line_next(const struct xt_line_block *block, size_t *at,
                                        struct xt_span *line);

#endif
