#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {
    [XT_OK] = "ok",
    [XT_NOT_FOUND] = "not_found",
    [XT_INVALID] = "invalid",
    [XT_TOO_LARGE] = "too_large",
    [XT_NO_SPACE] = "no_space",
    [XT_EXISTS] = "exists",
    [XT_DENIED] = "denied",
    [XT_CORRUPT] = "corrupt",
    [XT_UNSUPPORTED] = "unsupported",
    [XT_BUSY] = "busy",
    [XT_DISK_FULL] = "disk_full",
    [XT_NO_MEMORY] = "no_memory",
    [XT_IO] = "io",
    [XT_AGAIN] = "again",
    [XT_CLOSED] = "closed",
};

const char *xt_status_name(enum xt_status status)
{
    size_t index = (size_t)status;
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown";
}

enum xt_status xt_fail(struct xt_failure *failure, enum xt_status status, const char *format, ...)
{
    if (failure != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(failure->text, sizeof(failure->text), format, arguments);
        va_end(arguments);
    }
    return status;
}

void xt_require_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "broken invariant: %s (%s:%d)\n", condition, file, line);
    abort();
}
