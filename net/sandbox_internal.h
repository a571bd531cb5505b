/* net/sandbox_internal: the two mechanisms under net/sandbox. Internal to net/. */
#ifndef XT_NET_SANDBOX_INTERNAL_H
#define XT_NET_SANDBOX_INTERNAL_H

#include "net/sandbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What may be done below a folder (or with a file). */
enum xt_sandbox_access { XT_SANDBOX_READ, XT_SANDBOX_RUN, XT_SANDBOX_WRITE };

struct xt_sandbox_place {
    const char *path;
    enum xt_sandbox_access access;
    bool optional; /* may be missing */
};

/* Landlock: nothing but these places, no TCP port to bind or connect to, no signal to other
 * processes where `scoped`. *version: 0 when the kernel has none, which is not a failure. */
XT_MUST_USE enum xt_status xt_sandbox_files(const struct xt_sandbox_place *places, size_t count,
                                            bool scoped, int *version, struct xt_failure *failure);

enum xt_sandbox_calls { XT_SANDBOX_SUPERVISOR, XT_SANDBOX_WORKER, XT_SANDBOX_WRITER };

/* seccomp, for every thread that is started from now on. */
XT_MUST_USE enum xt_status xt_sandbox_calls(enum xt_sandbox_calls who, struct xt_failure *failure);

#endif
