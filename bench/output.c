/* bench/output: see the header. */
#include "bench/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* For the signal handler: the file to remove; empty for none. */
static char temporary_path[XT_OUTPUT_PATH_MAX + 32];
static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

static void remove_and_die(int signal_number)
{
    if (temporary_path[0] != '\0') {
        (void)unlink(temporary_path);
    }
    /* SA_RESETHAND: the second one ends the process with the right status. */
    (void)raise(signal_number);
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = remove_and_die, .sa_flags = SA_RESETHAND};
    for (unsigned i = 0; i < sizeof(ending_signals) / sizeof(ending_signals[0]); i++) {
        struct sigaction before;
        /* One that is ignored (nohup) stays so. */
        if (sigaction(ending_signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            (void)sigaction(ending_signals[i], &action, NULL);
        }
    }
}

static enum xt_status open_file(struct xt_output *output, const char *path,
                                struct xt_failure *failure)
{
    struct stat there;
    char *resolved = realpath(path, NULL); /* a link stays a link: its target is replaced */
    size_t size = (size_t)snprintf(output->path, sizeof(output->path), "%s",
                                   resolved != NULL ? resolved : path);
    free(resolved);
    if (size >= sizeof(output->path)) {
        return xt_fail(failure, XT_TOO_LARGE, "the path given to --out is too long; shorten it");
    }
    output->temporary = stat(output->path, &there) != 0 || S_ISREG(there.st_mode);
    if (!output->temporary) {
        output->file = open(output->path, O_WRONLY | O_CLOEXEC);
    } else {
        (void)snprintf(temporary_path, sizeof(temporary_path), "%s.%ld.part", output->path,
                       (long)getpid());
        output->file = open(temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (output->file < 0) {
        int error = errno;
        temporary_path[0] = '\0';
        output->temporary = false;
        return xt_fail(failure, XT_IO, "cannot write to %s: %s; choose another --out", path,
                       strerror(error));
    }
    return XT_OK;
}

enum xt_status xt_output_open(struct xt_output *output, const char *path,
                              struct xt_failure *failure)
{
    *output = (struct xt_output){.file = STDOUT_FILENO};
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an answer of write */
    watch_signals();
    if (path != NULL && strcmp(path, "-") != 0) {
        enum xt_status status = open_file(output, path, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    void *buffer = malloc(XT_OUTPUT_BUFFER);
    if (buffer == NULL) {
        xt_output_close(output);
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory for a buffer; free some");
    }
    output->writer = xt_writer_over(buffer, XT_OUTPUT_BUFFER);
    return XT_OK;
}

static enum xt_status flush(struct xt_output *output, struct xt_failure *failure)
{
    const uint8_t *at = output->writer.data;
    size_t left = output->writer.size;
    xt_require(!output->writer.overflow);
    while (left > 0) {
        ssize_t wrote = write(output->file, at, left);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            const char *where = output->path[0] != '\0' ? output->path : "standard output";
            if (errno == EPIPE) {
                return xt_fail(failure, XT_CLOSED, "the reader of %s went away before the end",
                               where);
            }
            enum xt_status status = errno == ENOSPC || errno == EDQUOT ? XT_DISK_FULL : XT_IO;
            return xt_fail(failure, status, "cannot write to %s: %s; nothing was kept", where,
                           strerror(errno));
        }
        at += wrote;
        left -= (size_t)wrote;
    }
    output->writer.size = 0;
    return XT_OK;
}

enum xt_status xt_output_room(struct xt_output *output, size_t room, struct xt_failure *failure)
{
    if (output->writer.capacity - output->writer.size >= room) {
        return XT_OK;
    }
    return flush(output, failure);
}

enum xt_status xt_output_commit(struct xt_output *output, struct xt_failure *failure)
{
    enum xt_status status = flush(output, failure);
    if (status != XT_OK || !output->temporary) {
        return status;
    }
    if (fsync(output->file) != 0 || rename(temporary_path, output->path) != 0) {
        return xt_fail(failure, XT_IO, "cannot put %s in its place: %s; nothing was kept",
                       output->path, strerror(errno));
    }
    temporary_path[0] = '\0';
    return XT_OK;
}

void xt_output_close(struct xt_output *output)
{
    if (temporary_path[0] != '\0') {
        (void)unlink(temporary_path);
        temporary_path[0] = '\0';
    }
    if (output->file > STDERR_FILENO) {
        (void)close(output->file);
        output->file = -1;
    }
    free(output->writer.data);
    output->writer = xt_writer_over(NULL, 0);
}
