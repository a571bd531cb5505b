/* store/import_read: the lines of an input become people in a builder, on several threads.
 *
 *   the caller's thread   reads blocks of lines; writes the rejects, in the order of the lines
 *   a thread per lane     parses the lines of a block and adds the people
 *
 * Blocks go around in a ring, so that memory is bounded: one is read into only once its lines were
 * parsed and its rejects written.
 */
#ifndef XT_STORE_IMPORT_READ_H
#define XT_STORE_IMPORT_READ_H

#include "store/builder.h"
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

/* Gives in *people how many were added. Rejects do not fail it. */
XT_MUST_USE enum xt_status xt_import_read(const struct xt_import_input *input,
                                          struct xt_builder *builder, struct xt_rejects *rejects,
                                          uint64_t *people, struct xt_failure *failure);

#endif
