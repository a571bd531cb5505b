/* core/status: one closed set of outcomes for the whole program.
 *
 * Codes of other libraries (LMDB, OpenSSL, libuv, errno) are translated in the folder that owns
 * the library and never cross a header. net/problem maps statuses to HTTP problems.
 */
#ifndef XT_CORE_STATUS_H
#define XT_CORE_STATUS_H

#define XT_MUST_USE __attribute__((warn_unused_result))
#define XT_PRINTF(index, first) __attribute__((format(printf, index, first)))

enum xt_status {
    XT_OK = 0,
    XT_NOT_FOUND,   /* a normal answer: there is no such thing; never logged */
    XT_INVALID,     /* what the peer or the operator gave is malformed */
    XT_TOO_LARGE,   /* over a stated limit */
    XT_NO_SPACE,    /* the caller's buffer is too small; nothing useful was written */
    XT_EXISTS,      /* refuses to overwrite */
    XT_DENIED,      /* not permitted: file mode, signature, certificate */
    XT_CORRUPT,     /* stored data does not add up: wrong tag, digest or structure */
    XT_UNSUPPORTED, /* a version or feature this build does not know */
    XT_BUSY,        /* somebody else holds it; try later */
    XT_DISK_FULL,   /* no room on the file system or in the map */
    XT_NO_MEMORY,   /* an allocation failed */
    XT_IO,          /* the operating system said no */
    XT_AGAIN,       /* needs more input or an empty output buffer first; not an error */
    XT_CLOSED       /* the peer ended the stream cleanly */
};

/* A stable English word for logs ("not_found"); never personal data. */
const char *xt_status_name(enum xt_status status);

/* One line for the operator: what is wrong and what to do about it. Never personal data.
 * Functions that only programs call return a bare status; those whose failure a person must mend
 * also fill one of these. */
struct xt_failure {
    char text[512];
};

/* Formats text into failure (NULL is fine) and gives status back, so that an error path is one
 * line: return xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno)); */
enum xt_status xt_fail(struct xt_failure *failure, enum xt_status status, const char *format, ...)
    XT_PRINTF(3, 4);

/* Aborts when an invariant of ours is broken. Never for what a peer sent. */
#define xt_require(condition)                                                                      \
    ((condition) ? (void)0 : xt_require_failed(#condition, __FILE__, __LINE__))
__attribute__((noreturn)) void xt_require_failed(const char *condition, const char *file, int line);

#endif
