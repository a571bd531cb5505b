/* store/audit_internal: what the parts of the audit log share. Private to store/audit*. */
#ifndef XT_STORE_AUDIT_INTERNAL_H
#define XT_STORE_AUDIT_INTERNAL_H

#include "store/audit_format.h"

/* Appends to a file of `size` bytes, all or nothing. XT_DISK_FULL: not all could be written, and the file is
 * as it was; XT_IO: it is not. */
XT_MUST_USE enum xt_status xt_audit_append(int fd, uint64_t size, const uint8_t *bytes,
                                           size_t count);

/* DIR/audit/<name>; "" is the folder. */
XT_MUST_USE enum xt_status xt_audit_path(const char *dir, const char *name, char path[XT_PATH_MAX],
                                         struct xt_failure *failure);

/* Reads up to size bytes at offset; fewer at the end of the file. XT_IO. */
XT_MUST_USE enum xt_status xt_audit_read_at(int fd, uint64_t offset, uint8_t *bytes, size_t size,
                                            size_t *got);

/* The segments in DIR/audit, sorted by name. *names is freed by the caller, in one piece. */
struct xt_audit_file {
    char name[XT_AUDIT_NAME];
};
XT_MUST_USE enum xt_status xt_audit_files(const char *dir, struct xt_audit_file **files,
                                          size_t *count, struct xt_failure *failure);

static inline bool xt_audit_id_is_none(const uint8_t id[XT_AUDIT_ID])
{
    static const uint8_t none[XT_AUDIT_ID];
    return memcmp(id, none, XT_AUDIT_ID) == 0;
}

#endif
