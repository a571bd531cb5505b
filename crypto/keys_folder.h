/* crypto/keys_folder: DIR/keys while somebody changes what is in it.
 *
 * Every file there is replaced as a whole (crypto/file), so that a reader needs no lock and a killed
 * command leaves the old or the new one; beside it may lie a temporary file with keys in it, which the
 * next one that takes the lock removes.
 */
#ifndef XT_CRYPTO_KEYS_FOLDER_H
#define XT_CRYPTO_KEYS_FOLDER_H

#include "crypto/file.h"

/* Takes DIR/keys for this process until close(*fd), or until it ends however it ends; clears what killed
 * ones left. XT_BUSY: another has it. XT_DENIED: it belongs to another user, whom the server runs as:
 * files made now would not be his. XT_NOT_FOUND: there is no such folder. */
XT_MUST_USE enum xt_status xt_keys_lock(const char *dir, int *fd, struct xt_failure *failure);

#endif
