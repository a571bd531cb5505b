/* store/backup_file: files of a backup: copied with their digest, linked, read again, removed.
 * Private to store/backup*.
 */
#ifndef XT_STORE_BACKUP_FILE_H
#define XT_STORE_BACKUP_FILE_H

#include "crypto/file.h"
#include "crypto/seal.h"
#include "store/progress.h"

#define XT_BACKUP_ANY UINT64_MAX /* as many bytes as there are */

struct xt_backup_content {
    uint64_t size; /* bytes; asked, or XT_BACKUP_ANY; then what there is */
    uint32_t mode; /* permissions of what was read */
    uint8_t digest[XT_DIGEST_BYTES];
};

/* Copies the first content->size bytes of a plain file to a new one with the permissions `mode`,
 * not durable yet; what was written is what the digest is of. XT_NOT_FOUND; XT_CORRUPT: it is shorter, or no
 * plain file; XT_CLOSED: interrupted; XT_DISK_FULL, XT_IO. to NULL: reads only. progress: goes on by what is
 * read. */
XT_MUST_USE enum xt_status xt_backup_copy(const char *from, const char *to, uint32_t mode,
                                          struct xt_backup_content *content,
                                          struct xt_progress *progress, struct xt_failure *failure);

/* A further name for a file. false: there can be none here, so copy. */
bool xt_backup_link(const char *from, const char *to);

/* Makes the folders that lead to root/path, 0700; root is there. */
XT_MUST_USE enum xt_status xt_backup_make_folders(const char *root, const char *path,
                                                  struct xt_failure *failure);

/* Makes all that is in a folder durable, itself last. */
XT_MUST_USE enum xt_status xt_backup_sync(const char *path, struct xt_failure *failure);

/* Removes a folder with all that is in it; follows no link. */
void xt_backup_remove(const char *path);

/* Renames a folder, or a file, to a name that nobody has, durably. XT_EXISTS. replace_empty: it may be that of an empty
 * folder. */
XT_MUST_USE enum xt_status xt_backup_name(const char *partial, const char *path, bool replace_empty,
                                          struct xt_failure *failure);

#endif
