/* Files of results as text; what they must hold is checked in result_file.c. */
#include "bench/result_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_READ (1U << 16) /* bytes */

/* All of file, up to one byte more than may be. */
static enum xt_status read_all(int file, const char *path, uint8_t **text, size_t *size,
                               struct xt_failure *failure)
{
    size_t capacity = 0;
    for (*size = 0;;) {
        if (*size == capacity) {
            capacity = capacity == 0 ? FIRST_READ : 2 * capacity;
            uint8_t *grown = realloc(*text, capacity);
            if (grown == NULL) {
                return xt_fail(failure, XT_NO_MEMORY, "%.200s: not enough memory to read it", path);
            }
            *text = grown;
        }
        ssize_t got = read(file, *text + *size, capacity - *size);
        if (got == 0) {
            return XT_OK;
        }
        if (got < 0 && errno != EINTR) {
            return xt_fail(failure, XT_IO, "cannot read %.200s: %s", path, strerror(errno));
        }
        *size += got > 0 ? (size_t)got : 0;
        if (*size > XT_RESULT_FILE_MAX) {
            return xt_fail(failure, XT_TOO_LARGE, "%.200s: more than 64 MiB, so no result file",
                           path);
        }
    }
}

enum xt_status xt_result_document(const char *path, struct xt_json_document **document,
                                  struct xt_failure *failure)
{
    bool standard = strcmp(path, "-") == 0;
    int file = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot read %.200s: %s",
                       path, strerror(errno));
    }
    uint8_t *text = NULL;
    size_t size = 0;
    enum xt_status status = read_all(file, path, &text, &size, failure);
    if (!standard) {
        (void)close(file);
    }
    if (status == XT_OK) {
        struct xt_failure why = {""};
        status = xt_json_document_parse(xt_span_of(text, size), document, &why);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "%.200s: %.200s", path, why.text);
        }
    }
    free(text);
    return status;
}

enum xt_status xt_result_load(const char *path, struct xt_bench_result **result,
                              struct xt_failure *failure)
{
    struct xt_json_document *document = NULL;
    *result = NULL;
    enum xt_status status = xt_result_document(path, &document, failure);
    if (status == XT_OK) {
        status = xt_result_read(xt_json_document_root(document),
                                strcmp(path, "-") == 0 ? "standard input" : path, result, failure);
        xt_json_document_free(document);
    }
    return status;
}
