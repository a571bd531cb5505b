/* net/sandbox: what each process of `serve` gives up for good before it meets a peer.
 *
 *                 files (Landlock)                     calls (seccomp)             privileges
 *   supervisor    reads DIR, runs its own program,     no tracing, no mounting,    no new ones
 *                 its children write live and audit    no modules, ...
 *   worker        reads DIR/identity, nothing else     no exec, no fork, no new    none at all,
 *                                                      socket, no writable file,   no capability
 *                                                      no executable memory
 *   writer        reads and writes DIR/live,           as the worker, but opens    none at all
 *                 reads DIR/identity                   files for writing
 *
 * Descriptors that are open already stay usable: sockets, the log, shared memory, a worker's audit
 * segment. A call that only an attacker would make ends the process (SIGSYS, core dumps are off) and
 * the supervisor replaces it; any other that is not on the list fails with EPERM.
 * What is restricted is inherited and cannot be taken back, so each layer only takes away more.
 * Sources: landlock(7), seccomp(2); where the kernel has no Landlock (before 5.13) the calls alone are
 * restricted, and the report says so.
 * Under AddressSanitizer the calls that ends a process are kept, the rest is let through: its run-time
 * needs more than we do.
 */
#ifndef XT_NET_SANDBOX_H
#define XT_NET_SANDBOX_H

#include "core/status.h"

/* For the log. */
/* Before the first loop: from now on no io_uring is made by this process and its children, which take
 * ENOSYS for an old kernel. libuv asks for one from 1.45 on, and what it does through a ring no filter
 * of system calls sees. */
XT_MUST_USE enum xt_status xt_sandbox_without_rings(struct xt_failure *failure);

struct xt_sandbox_report {
    int landlock; /* version of its interface that is in force; 0: this kernel has none */
};

/* dir: the deployment, absolute. program: our own, absolute; it and what it loads stay runnable, so
 * that children can be started and the program be upgraded in place. */
XT_MUST_USE enum xt_status xt_sandbox_supervisor(const char *dir, const char *program,
                                                 struct xt_sandbox_report *report,
                                                 struct xt_failure *failure);

/* After everything is open and before the first accept. Generations below DIR/identity can still be
 * opened. Also drops every capability. */
XT_MUST_USE enum xt_status xt_sandbox_worker(const char *dir, struct xt_sandbox_report *report,
                                             struct xt_failure *failure);

/* The same for the process that writes DIR/live. */
XT_MUST_USE enum xt_status xt_sandbox_writer(const char *dir, struct xt_sandbox_report *report,
                                             struct xt_failure *failure);

#endif
