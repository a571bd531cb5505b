/* bench/output: a big buffer in front of a file or standard output.
 *
 * A file is written beside its place and renamed when complete, so an interrupted job (also by
 * SIGINT, SIGTERM, SIGHUP) leaves nothing half-made. What is there already and is no regular file
 * (a pipe, /dev/null) is written to directly. One output at a time in a process.
 */
#ifndef XT_BENCH_OUTPUT_H
#define XT_BENCH_OUTPUT_H

#include "core/span.h"
#include "core/status.h"

#define XT_OUTPUT_BUFFER (1U << 20) /* bytes; large writes are what pipes and disks like */
#define XT_OUTPUT_PATH_MAX 4096

struct xt_output {
    int file;
    bool temporary;
    char path[XT_OUTPUT_PATH_MAX]; /* "" : standard output */
    struct xt_writer writer;       /* write lines here */
};

/* path: NULL or "-" for standard output. */
XT_MUST_USE enum xt_status xt_output_open(struct xt_output *output, const char *path,
                                          struct xt_failure *failure);

/* Makes room for at least `room` bytes in the writer. XT_CLOSED: the reader of the pipe went away. */
XT_MUST_USE enum xt_status xt_output_room(struct xt_output *output, size_t room,
                                          struct xt_failure *failure);

/* Writes the rest and puts the file in its place. */
XT_MUST_USE enum xt_status xt_output_commit(struct xt_output *output, struct xt_failure *failure);

/* Removes what is not committed; fine after commit as well. */
void xt_output_close(struct xt_output *output);

#endif
