#include "net/list_results.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json_document.h"
#include "crypto/file.h"
#include "crypto/keyring.h"

#define BUFFER_BYTES (256U << 10)
#define STATE_MAX 4096
#define STATE_FORMAT "xacthuc-verify-state/1"
_Static_assert(BUFFER_BYTES >= 2 * XT_LIST_RESULT_MAX, "any line fits");

struct xt_list_results {
    struct xt_list_form form;
    struct xt_list_counts counts;
    uint64_t taken_up, durable, bytes; /* bytes: of the part, with what is still in the buffer */
    int fd;
    char list[65]; /* the fingerprint in hexadecimal digits */
    char path[XT_PATH_MAX], part[XT_PATH_MAX], state[XT_PATH_MAX];
    struct xt_json_arena arena;
    size_t waiting; /* in buffer */
    uint8_t buffer[BUFFER_BYTES];
};

/* ---- the state ---------------------------------------------------------------------------------- */

static enum xt_status write_state(struct xt_list_results *results, struct xt_failure *failure)
{
    char text[256];
    int size = snprintf(text, sizeof(text),
                        "{\"format\":\"" STATE_FORMAT "\",\"list\":\"%s\",\"bytes\":%llu}\n",
                        results->list, (unsigned long long)results->durable);
    return xt_file_write(results->state, xt_span_of(text, (size_t)size), 0600, true, failure);
}

static bool read_members(struct xt_list_results *results, struct xt_span text, bool *same)
{
    struct xt_json_document *document = NULL;
    if (xt_json_document_parse(text, &document, NULL) != XT_OK) {
        return false;
    }
    const struct xt_json_value *root = xt_json_document_root(document);
    bool fine = xt_span_is(xt_json_text(xt_json_member_of(root, "format")), STATE_FORMAT);
    *same = xt_span_is(xt_json_text(xt_json_member_of(root, "list")), results->list);
    results->durable = xt_json_integer(xt_json_member_of(root, "bytes"));
    xt_json_document_free(document);
    return fine;
}

/* XT_NOT_FOUND: there is none. */
static enum xt_status read_state(struct xt_list_results *results, struct xt_failure *failure)
{
    uint8_t *text = NULL;
    size_t size = 0;
    bool same = false;
    if (access(results->state, F_OK) != 0 && errno == ENOENT) {
        return XT_NOT_FOUND;
    }
    enum xt_status status = xt_file_read(results->state, STATE_MAX, &text, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    bool fine = read_members(results, xt_span_of(text, size), &same);
    xt_file_release(text, size);
    if (!fine) {
        return xt_fail(failure, XT_CORRUPT,
                       "%s cannot be read: remove it and the .part to ask anew", results->state);
    }
    return same ? XT_OK
                : xt_fail(failure, XT_INVALID,
                          "%s is of another list, or was asked with other options: give the same "
                          "ones, or remove it and its .state to ask anew",
                          results->part);
}

/* ---- writing ------------------------------------------------------------------------------------ */

enum xt_status xt_list_results_write(struct xt_list_results *results, struct xt_failure *failure)
{
    for (size_t at = 0; at < results->waiting;) {
        ssize_t wrote = write(results->fd, results->buffer + at, results->waiting - at);
        if (wrote < 0 && errno != EINTR) {
            return xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO, "cannot write %s: %s",
                           results->part, strerror(errno));
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    results->waiting = 0;
    return XT_OK;
}

enum xt_status xt_list_results_sync(struct xt_list_results *results, struct xt_failure *failure)
{
    enum xt_status status = xt_list_results_write(results, failure);
    if (status != XT_OK || results->durable == results->bytes) {
        return status;
    }
    if (fdatasync(results->fd) != 0) {
        return xt_fail(failure, XT_IO, "cannot write %s: %s", results->part, strerror(errno));
    }
    results->durable = results->bytes;
    return write_state(results, failure);
}

/* Room for one more line. */
static enum xt_status make_room(struct xt_list_results *results, struct xt_failure *failure)
{
    return sizeof(results->buffer) - results->waiting < XT_LIST_RESULT_MAX
               ? xt_list_results_write(results, failure)
               : XT_OK;
}

static void took(struct xt_list_results *results, const struct xt_writer *writer)
{
    results->waiting += writer->size;
    results->bytes += writer->size;
}

enum xt_status xt_list_results_add(struct xt_list_results *results, const struct xt_list_row *row,
                                   struct xt_span answer, struct xt_list_answer *read,
                                   struct xt_failure *failure)
{
    enum xt_status status = make_room(results, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_writer writer = xt_writer_over(results->buffer + results->waiting,
                                             sizeof(results->buffer) - results->waiting);
    status = xt_list_line_write(&results->form, row, answer, read, &writer);
    if (status != XT_OK) {
        return xt_fail(failure, status, "the server's answer to line %llu is none",
                       (unsigned long long)row->number);
    }
    took(results, &writer);
    xt_list_count(&results->counts, read);
    return XT_OK;
}

/* ---- taking up ---------------------------------------------------------------------------------- */

/* The results of the lines of input, as far as they are whole; *kept: their bytes. */
static enum xt_status pair_lines(struct xt_list_results *results, struct xt_span part,
                                 struct xt_list_input *input, struct xt_progress *progress,
                                 uint64_t *kept, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    bool header = results->form.is_csv;
    size_t at = 0;
    for (;;) {
        struct xt_list_answer read;
        struct xt_list_item item;
        const uint8_t *end = at == part.size ? NULL : memchr(part.data + at, '\n', part.size - at);
        if (end == NULL) {
            break;
        }
        struct xt_span line = xt_span_of(part.data + at, (size_t)(end - (part.data + at)));
        if (memchr(line.data, 0, line.size) != NULL) {
            break;
        }
        if (!header) {
            if (xt_list_line_read(&results->form, line, results->arena, &read) != XT_OK) {
                break;
            }
            status = xt_list_input_skip(input, &item, failure);
            if (status == XT_CLOSED ||
                (status == XT_OK && !results->form.is_csv && read.line != item.number)) {
                return xt_fail(failure, XT_CORRUPT,
                               "%s does not fit the list: remove it and its .state to ask anew",
                               results->part);
            }
            if (status != XT_OK) {
                return status;
            }
            xt_list_count(&results->counts, &read);
            xt_progress_set(progress, results->counts.lines);
        }
        header = false;
        at += line.size + 1;
        if (xt_progress_interrupted(progress)) {
            return xt_fail(failure, XT_CLOSED, "interrupted");
        }
    }
    *kept = at;
    return XT_OK;
}

static enum xt_status take_up(struct xt_list_results *results, struct xt_list_input *input,
                              struct xt_progress *progress, struct xt_failure *failure)
{
    struct stat facts;
    uint64_t kept = 0;
    if (fstat(results->fd, &facts) != 0) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", results->part, strerror(errno));
    }
    size_t size = (size_t)facts.st_size;
    if (size > 0) {
        void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, results->fd, 0);
        if (map == MAP_FAILED) {
            return xt_fail(failure, XT_IO, "cannot read %s: %s", results->part, strerror(errno));
        }
        (void)madvise(map, size, MADV_SEQUENTIAL);
        (void)madvise(map, size, MADV_DONTDUMP);
        enum xt_status status =
            pair_lines(results, xt_span_of(map, size), input, progress, &kept, failure);
        (void)munmap(map, size);
        if (status != XT_OK) {
            return status;
        }
    }
    if (kept < results->durable) {
        return xt_fail(failure, XT_CORRUPT, "%s is damaged: remove it and its .state to ask anew",
                       results->part);
    }
    if (ftruncate(results->fd, (off_t)kept) != 0 || lseek(results->fd, 0, SEEK_END) < 0) {
        return xt_fail(failure, XT_IO, "cannot write %s: %s", results->part, strerror(errno));
    }
    results->bytes = kept;
    results->taken_up = results->counts.lines;
    return XT_OK;
}

/* ---- opening ------------------------------------------------------------------------------------ */

static enum xt_status name_files(struct xt_list_results *results, const char *path,
                                 struct xt_failure *failure)
{
    int size = snprintf(results->path, XT_PATH_MAX, "%s", path);
    int part = snprintf(results->part, XT_PATH_MAX, "%s.part", path);
    int state = snprintf(results->state, XT_PATH_MAX, "%s.state", path);
    return size < XT_PATH_MAX && part < XT_PATH_MAX && state < XT_PATH_MAX
               ? XT_OK
               : xt_fail(failure, XT_TOO_LARGE, "the list's path is too long");
}

/* The state comes first: a part without one is not ours. */
static enum xt_status open_part(struct xt_list_results *results, struct xt_failure *failure)
{
    struct stat facts;
    if (access(results->path, F_OK) == 0) {
        if (access(results->part, F_OK) != 0) {
            (void)unlink(results->state); /* the run that made it ended just before doing so */
        }
        return xt_fail(failure, XT_EXISTS, "%s is there already: move it away to ask again",
                       results->path);
    }
    bool has_part = lstat(results->part, &facts) == 0;
    enum xt_status status = has_part ? read_state(results, failure) : XT_NOT_FOUND;
    bool fresh = status == XT_NOT_FOUND;
    if (fresh && has_part && facts.st_size > 0) {
        return xt_fail(failure, XT_EXISTS, "%s has no .state: move it away", results->part);
    }
    if (fresh) { /* a state without a part is of results that were finished */
        status = write_state(results, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    results->fd = open(results->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (results->fd < 0) {
        return xt_fail(failure, XT_IO, "cannot write %s: %s", results->part, strerror(errno));
    }
    if (flock(results->fd, LOCK_EX | LOCK_NB) != 0) {
        return xt_fail(failure, XT_BUSY, "another xacthuc verify writes %s", results->part);
    }
    if (fchmod(results->fd, 0600) != 0) {
        return xt_fail(failure, XT_IO, "cannot write %s: %s", results->part, strerror(errno));
    }
    if (access(results->path, F_OK) == 0) { /* the one that had the part has just finished it */
        return xt_fail(failure, XT_EXISTS, "%s is there already", results->path);
    }
    /* Or it ended since its state was read. */
    return fresh ? XT_OK : read_state(results, failure);
}

static enum xt_status begin(struct xt_list_results *results, struct xt_list_input *input,
                            struct xt_failure *failure)
{
    if (results->bytes > 0 || !results->form.is_csv) {
        return XT_OK;
    }
    struct xt_writer writer = xt_writer_over(results->buffer, sizeof(results->buffer));
    xt_list_header_write(&results->form, xt_list_input_header(input), &writer);
    took(results, &writer);
    return xt_list_results_write(results, failure);
}

enum xt_status xt_list_results_open(const char *path, const uint8_t fingerprint[32],
                                    struct xt_list_input *input, struct xt_progress *progress,
                                    struct xt_list_results **opened, struct xt_failure *failure)
{
    struct xt_list_results *results = calloc(1, sizeof(*results));
    if (results == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    results->fd = -1;
    results->form.columns = xt_list_input_columns(input);
    results->form.is_csv = results->form.columns > 0;
    results->form.separator = xt_list_input_separator(input);
    for (unsigned i = 0; i < 32; i++) {
        (void)snprintf(results->list + 2 * (size_t)i, 3, "%02x", fingerprint[i]);
    }
    results->arena = (struct xt_json_arena){malloc(XT_VERIFY_ARENA), XT_VERIFY_ARENA};
    enum xt_status status = name_files(results, path, failure);
    if (status == XT_OK && results->arena.memory == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    if (status == XT_OK) {
        status = open_part(results, failure);
    }
    if (status == XT_OK) {
        status = take_up(results, input, progress, failure);
    }
    if (status == XT_OK) {
        status = begin(results, input, failure);
    }
    if (status != XT_OK) {
        xt_list_results_close(results);
        return status;
    }
    *opened = results;
    return XT_OK;
}

void xt_list_results_close(struct xt_list_results *results)
{
    if (results == NULL) {
        return;
    }
    if (results->fd >= 0) {
        close(results->fd);
    }
    if (results->arena.memory != NULL) {
        xt_wipe(results->arena.memory, results->arena.size);
        free(results->arena.memory);
    }
    xt_wipe(results, sizeof(*results));
    free(results);
}

struct xt_list_counts *xt_list_results_counts(struct xt_list_results *results)
{
    return &results->counts;
}

uint64_t xt_list_results_taken_up(const struct xt_list_results *results)
{
    return results->taken_up;
}

enum xt_status xt_list_results_finish(struct xt_list_results *results, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    enum xt_status status = xt_list_results_sync(results, failure);
    if (status != XT_OK) {
        return status;
    }
    if (rename(results->part, results->path) != 0) {
        return xt_fail(failure, XT_IO, "cannot name %s: %s", results->path, strerror(errno));
    }
    (void)snprintf(folder, sizeof(folder), "%s", results->path);
    status = xt_folder_sync(dirname(folder), failure);
    if (status == XT_OK && unlink(results->state) != 0) {
        return xt_fail(failure, XT_IO, "cannot remove %s: %s", results->state, strerror(errno));
    }
    return status;
}
