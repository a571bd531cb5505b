#include "store/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/request.h" /* xt_json_write_string */

#define BEGINNING "{\"line\":"

/* Whether an open file holds rejects, or nothing. */
static bool holds_rejects(int fd, const struct stat *facts)
{
    char text[sizeof(BEGINNING) - 1];
    if (facts->st_size == 0) {
        return true;
    }
    return pread(fd, text, sizeof(text), 0) == (ssize_t)sizeof(text) &&
           memcmp(text, BEGINNING, sizeof(text)) == 0;
}

/* Refuses a path where something stands that is not ours to replace or remove. */
static enum xt_status check_path(const struct xt_rejects *rejects, const char *path,
                                 struct xt_failure *failure)
{
    struct stat input;
    struct stat facts;
    if (lstat(path, &facts) != 0) {
        return XT_OK; /* whatever is wrong, writing tells */
    }
    if (!S_ISREG(facts.st_mode)) {
        return xt_fail(failure, XT_INVALID,
                       "%s is not a plain file: give another one with --rejects", path);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool read = fd >= 0 && fstat(fd, &facts) == 0;
    bool is_input = read && fstat(rejects->input, &input) == 0 && facts.st_dev == input.st_dev &&
                    facts.st_ino == input.st_ino;
    bool ours = read && !is_input && S_ISREG(facts.st_mode) && holds_rejects(fd, &facts);
    if (fd >= 0) {
        close(fd);
    }
    if (ours) {
        return XT_OK;
    }
    return xt_fail(failure, XT_INVALID,
                   is_input ? "%s is what is to be imported: give another file with --rejects"
                            : "%s does not hold the rejects of an import and is not overwritten: "
                              "give another file with --rejects, or move it away",
                   path);
}

enum xt_status xt_rejects_start(struct xt_rejects *rejects, const char *path, int input,
                                struct xt_failure *failure)
{
    *rejects = (struct xt_rejects){.file = NULL, .input = input};
    int size = snprintf(rejects->partial, sizeof(rejects->partial), "%s.partial", path);
    if (size < 0 || (size_t)size >= sizeof(rejects->partial)) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the reject file is too long");
    }
    memcpy(rejects->path, path, strlen(path) + 1);
    enum xt_status status = check_path(rejects, path, failure);
    if (status == XT_OK) {
        status = check_path(rejects, rejects->partial, failure);
    }
    if (status == XT_OK) {
        (void)unlink(rejects->partial); /* of a killed import */
    }
    return status;
}

static enum xt_status fail_write(const struct xt_rejects *rejects, struct xt_failure *failure)
{
    return xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO,
                   "cannot write the reject file %s: %s; give another one with --rejects",
                   rejects->path, strerror(errno));
}

enum xt_status xt_rejects_add(struct xt_rejects *rejects, uint64_t line, uint64_t first_line,
                              const char *code, const char *pointer, struct xt_failure *failure)
{
    if (rejects->file == NULL) {
        int fd = open(rejects->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        rejects->file = fd < 0 ? NULL : fdopen(fd, "w");
        if (rejects->file == NULL) {
            enum xt_status status = fail_write(rejects, failure);
            if (fd >= 0) {
                close(fd);
            }
            return status;
        }
    }
    uint8_t quoted[2][512];
    const char *const texts[2] = {code, pointer};
    size_t sizes[2];
    for (unsigned i = 0; i < 2; i++) {
        struct xt_writer writer = xt_writer_over(quoted[i], sizeof(quoted[i]));
        xt_json_write_string(&writer, xt_span_of_string(texts[i]));
        xt_require(!writer.overflow);
        sizes[i] = writer.size;
    }
    char first[48] = "";
    if (first_line > 0) {
        snprintf(first, sizeof(first), "\"first_line\":%llu,", (unsigned long long)first_line);
    }
    const char *hint = xt_reject_hint(code); /* needs no escapes */
    rejects->count++;
    int written =
        fprintf(rejects->file, "{\"line\":%llu,%s\"code\":%.*s,\"pointer\":%.*s%s%s%s}\n",
                (unsigned long long)line, first, (int)sizes[0], (const char *)quoted[0],
                (int)sizes[1], (const char *)quoted[1], hint == NULL ? "" : ",\"hint\":\"",
                hint == NULL ? "" : hint, hint == NULL ? "" : "\"");
    return written > 0 ? XT_OK : fail_write(rejects, failure);
}

enum xt_status xt_rejects_finish(struct xt_rejects *rejects, struct xt_failure *failure)
{
    /* Once more: what was not there at the start may be somebody's by now. */
    enum xt_status checked = check_path(rejects, rejects->path, failure);
    if (checked != XT_OK) {
        return checked;
    }
    if (rejects->file == NULL) {
        return unlink(rejects->path) == 0 || errno == ENOENT ? XT_OK : fail_write(rejects, failure);
    }
    bool written = fflush(rejects->file) == 0 && fsync(fileno(rejects->file)) == 0;
    written = fclose(rejects->file) == 0 && written;
    rejects->file = NULL;
    if (!written || rename(rejects->partial, rejects->path) != 0) {
        enum xt_status status = fail_write(rejects, failure);
        (void)unlink(rejects->partial);
        return status;
    }
    return XT_OK;
}

void xt_rejects_end(struct xt_rejects *rejects)
{
    if (rejects->file != NULL) {
        fclose(rejects->file);
        (void)unlink(rejects->partial);
        rejects->file = NULL;
    }
}
