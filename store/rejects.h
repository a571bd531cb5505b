/* store/rejects: the file of what an import refused, NDJSON, never with personal data:
 *
 *   {"line":17,"code":"bad_date","pointer":"/date_of_birth"}
 *   {"line":18,"code":"bad_key","pointer":"/card/public_key","hint":"give the base64url text ..."}
 *   {"line":9,"first_line":3,"code":"duplicate_id","pointer":"/id"}
 *
 * It appears under its name when the import ends, replacing that of the last one; an import without
 * rejects removes it. Until then it is NAME.partial. What is not empty and does not begin as above is
 * somebody's data under a mistaken name: it is refused, never replaced or removed.
 */
#ifndef XT_STORE_REJECTS_H
#define XT_STORE_REJECTS_H

#include <stdio.h>

#include "crypto/file.h"

struct xt_rejects {
    char path[XT_PATH_MAX], partial[XT_PATH_MAX];
    FILE *file; /* NULL: no reject yet */
    int input;
    uint64_t count;
};

/* input: the open file that is being imported, which the rejects must not be written to. XT_INVALID:
 * another file is to be named. */
XT_MUST_USE enum xt_status xt_rejects_start(struct xt_rejects *rejects, const char *path, int input,
                                            struct xt_failure *failure);

/* first_line 0: none. code and pointer: static text and column or member names only. */
XT_MUST_USE enum xt_status xt_rejects_add(struct xt_rejects *rejects, uint64_t line,
                                          uint64_t first_line, const char *code,
                                          const char *pointer, struct xt_failure *failure);

/* Puts the file in its place, or removes the old one when there is nothing to tell. */
XT_MUST_USE enum xt_status xt_rejects_finish(struct xt_rejects *rejects,
                                             struct xt_failure *failure);

/* Leaves nothing of a file that was not finished. */
void xt_rejects_end(struct xt_rejects *rejects);

#endif
