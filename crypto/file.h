/* crypto/file: small private files written whole or not at all.
 *
 * The lowest layer that touches the disk; store/ and net/ use it too. Names are paths; a write goes
 * to a temporary name in the same folder, is fsynced, renamed, and the folder fsynced.
 */
#ifndef XT_CRYPTO_FILE_H
#define XT_CRYPTO_FILE_H

#include <sys/types.h>

#include "core/span.h"
#include "core/status.h"

/* XT_DENIED: path is a symbolic link, which a file written in its place would replace, so that what it led to
 * would not have the new keys. To be asked before keys are made anew. */
XT_MUST_USE enum xt_status xt_file_is_no_link(const char *path, struct xt_failure *failure);

/* Writes content to path atomically with the given mode (0600 for secrets). replace false: refuses
 * an existing file with XT_EXISTS. A symbolic link at path is replaced, never followed. */
XT_MUST_USE enum xt_status xt_file_write(const char *path, struct xt_span content, mode_t mode,
                                         bool replace, struct xt_failure *failure);

/* Reads a whole file of at most max bytes into memory of malloc, with a NUL (not counted) and 8 zero
 * bytes of padding after it; the caller gives it back with xt_file_release, which wipes it. */
XT_MUST_USE enum xt_status xt_file_read(const char *path, size_t max, uint8_t **content,
                                        size_t *size, struct xt_failure *failure);
void xt_file_release(uint8_t *content, size_t size);

/* The same, but refuses a file that others than its owner may read or write, or that is owned by
 * another user than root or the caller: XT_DENIED with the chmod to run. A credential of the service
 * manager may be readable by a right of its own (crypto/credential.h). Into locked memory that no core
 * dump has; the caller gives it back with xt_file_release_secret, which wipes it. */
XT_MUST_USE enum xt_status xt_file_read_secret(const char *path, size_t max, uint8_t **content,
                                               size_t *size, struct xt_failure *failure);
void xt_file_release_secret(uint8_t *content); /* NULL is fine */

/* In a deployment: what the supervisor of `serve` alone writes, so that neither a worker nor the writer that was
 * taken over can change it: quotas of the day, rates, which keys are in use. */
#define XT_SUPERVISOR_FOLDER "supervisor"

/* mkdir with mode; an existing folder is fine. */
XT_MUST_USE enum xt_status xt_folder_make(const char *path, mode_t mode,
                                          struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_folder_sync(const char *path, struct xt_failure *failure);

/* folder/name into path; XT_TOO_LARGE when it does not fit. */
#define XT_PATH_MAX 4096
XT_MUST_USE enum xt_status xt_path_join(char path[XT_PATH_MAX], const char *folder,
                                        const char *name);

#endif
