/* store/lines: the lines of a file or pipe, in blocks, in constant memory.
 *
 * Ends of line are LF or CRLF; a byte order mark at the start is skipped. The buffer is left out of
 * core dumps and wiped: it holds people.
 */
#ifndef XT_STORE_LINES_H
#define XT_STORE_LINES_H

#include "core/person.h"
#include "store/memory.h"

#define XT_LINE_MAX XT_PERSON_JSON_MAX /* bytes without the end of line */

struct xt_lines {
    int fd; /* borrowed */
    struct xt_memory buffer;
    size_t begin, end; /* of what is read and not yet given */
    bool at_end, begun;
    bool skipping;   /* the rest of a line that is too long */
    uint64_t number; /* of the line given last, from 1 */
    uint64_t bytes;  /* read so far, for progress */
};

XT_MUST_USE enum xt_status xt_lines_start(struct xt_lines *lines, int fd);

/* Gives the next line, borrowed until the next call. XT_CLOSED: there is none. XT_TOO_LARGE: it is
 * longer than XT_LINE_MAX and was skipped; go on. XT_AGAIN: look at your signals and call again: one
 * came in, or a line is being skipped that may never end. XT_IO: see errno. */
XT_MUST_USE enum xt_status xt_lines_next(struct xt_lines *lines, struct xt_span *line);

void xt_lines_end(struct xt_lines *lines);

#endif
