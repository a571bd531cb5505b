#include "tests/crypto/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "crypto/keyring.h"
#include "tests/test.h"

static char folder[64];

int scratch_make(void **state)
{
    (void)state;
    umask(022);
    xt_crypto_start();
    strcpy(folder, "/tmp/xacthuc-test-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)type;
    (void)where;
    return remove(path);
}

int scratch_remove(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch(const char *name)
{
    static char paths[8][XT_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, XT_PATH_MAX, "%s/%s", folder, name);
    return path;
}

void scratch_write(const char *name, const void *data, size_t size, unsigned mode)
{
    const char *path = scratch(name);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (int)size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

size_t scratch_count(const char *name)
{
    size_t count = 0;
    DIR *list = opendir(scratch(name));
    assert_non_null(list);
    const struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(list);
    return count;
}

static void read_until_end(int fd, char text[SHELL_TEXT_MAX])
{
    size_t size = 0;
    ssize_t got;
    while (size < SHELL_TEXT_MAX - 1 &&
           (got = read(fd, text + size, SHELL_TEXT_MAX - 1 - size)) > 0) {
        size += (size_t)got;
    }
    text[size] = 0;
}

bool scratch_shell(char text[SHELL_TEXT_MAX], const char *format, ...)
{
    char command[4096];
    int ends[2], how;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    assert_true(size > 0 && (size_t)size < sizeof(command));
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (chdir(folder) == 0 && dup2(ends[1], 1) == 1 && dup2(ends[1], 2) == 2) {
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        }
        _exit(127);
    }
    close(ends[1]);
    read_until_end(ends[0], text);
    close(ends[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

bool have_openssl(void)
{
    char text[SHELL_TEXT_MAX];
    return scratch_shell(text, "command -v openssl");
}
