/* store/import_read: the lines of an input, parsed on several threads.
 *
 *   the caller's thread   reads blocks of lines; writes the rejects, in the order of the lines
 *   a thread per lane     parses the lines of a block and hands on what they say
 *
 * Blocks go around in a ring, so that memory is bounded: one is read into only once its lines were
 * parsed and its rejects written.
 */
#ifndef XT_STORE_IMPORT_READ_H
#define XT_STORE_IMPORT_READ_H

#include <signal.h>

#include "core/person.h"
#include "store/rejects.h"

struct xt_import_input {
    int fd;
    const char *name; /* for messages */
    bool is_csv;
    uint64_t bytes; /* of the input, for progress; 0: not known */
    bool quiet;
    const volatile sig_atomic_t *stop; /* interrupted: XT_CLOSED */
    int wake; /* an eventfd (not blocking) that is written to after stop became true: who waits for
                 input looks again. Also written to here; never read */
};

/* One line, on its lane's thread. Everything is borrowed until the call is over. */
struct xt_import_line {
    unsigned lane;
    uint64_t number; /* from 1 */
    struct xt_span text;
    struct xt_json_arena arena;   /* the lane's */
    const struct xt_span *fields; /* of a CSV's row; NULL: it is NDJSON */
    unsigned field_count;
};

/* What the lines are about. */
struct xt_import_taker {
    void *context;
    unsigned lanes;   /* threads that may take lines at once */
    const char *what; /* one of them, for messages: "person" */
    const char
        *column; /* in every header and in few NDJSON lines: read in the wrong format it is one
                           mistake, not as many as there are lines */
    /* A CSV's header, before any line. XT_INVALID fills *reject. */
    enum xt_status (*header)(void *context, const struct xt_span *fields, unsigned count,
                             struct xt_reject *reject);
    /* XT_INVALID fills *reject: the line is refused and the next is read. Anything else ends the
     * reading, with the words in *failure where there are any. */
    enum xt_status (*take)(void *context, const struct xt_import_line *line,
                           struct xt_reject *reject, struct xt_failure *failure);
};

/* Gives in *taken how many lines were. Rejects do not fail it. */
XT_MUST_USE enum xt_status xt_import_read(const struct xt_import_input *input,
                                          const struct xt_import_taker *taker,
                                          struct xt_rejects *rejects, uint64_t *taken,
                                          struct xt_failure *failure);

#endif
