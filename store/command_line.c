#include "store/command_line.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "crypto/credential.h"

int xt_usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "xacthuc %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see xacthuc %s --help\n", command);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

int xt_option_error(const char *command, int result, char **argv)
{
    return result == ':' ? xt_usage_error(command, "%s needs a value", argv[optind - 1])
                         : xt_usage_error(command, "there is no option %s", argv[optind - 1]);
}

int xt_work_error(const char *command, const struct xt_failure *failure)
{
    fprintf(stderr, "xacthuc %s: %s\n", command, failure->text);
    return XT_EXIT_FAILED;
}

bool xt_parse_count(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t parsed = 0;
    if (*text == 0) {
        return false;
    }
    for (; *text != 0; text++) {
        unsigned digit = (unsigned)(unsigned char)*text - '0';
        if (digit > 9 || parsed > (max - digit) / 10) {
            return false;
        }
        parsed = parsed * 10 + digit;
    }
    *value = parsed;
    return true;
}

bool xt_parse_memory(const char *text, uint64_t least, uint64_t *bytes)
{
    char number[24];
    size_t size = strlen(text);
    unsigned shift = size > 0 && text[size - 1] == 'G'   ? 30
                     : size > 0 && text[size - 1] == 'M' ? 20
                                                         : 0;
    if (shift == 0 || size - 1 >= sizeof(number)) {
        return false;
    }
    memcpy(number, text, size - 1);
    number[size - 1] = 0;
    uint64_t count;
    if (!xt_parse_count(number, UINT32_MAX, &count)) {
        return false;
    }
    *bytes = count << shift;
    return *bytes >= least;
}

enum xt_status xt_deployment_keyring(const char *dir, struct xt_keyring **keyring,
                                     struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_key_path(dir, "master.keys", path, failure);
    if (status != XT_OK) {
        return status;
    }
    struct stat facts;
    if (stat(path, &facts) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return xt_fail(
            failure, XT_NOT_FOUND,
            "%s is no deployment, it has no keys/master.keys: make one with xacthuc init", dir);
    }
    return xt_keyring_open(path, keyring, failure);
}

int xt_finish_output(const char *command)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return XT_EXIT_OK;
    }
    struct xt_failure failure;
    (void)xt_fail(&failure, XT_IO, "cannot write the output: %s", strerror(errno));
    return xt_work_error(command, &failure);
}
