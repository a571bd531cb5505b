/* crypto/credential: keys that the service manager gives instead of DIR/keys.
 *
 * systemd puts what LoadCredential=, LoadCredentialEncrypted= and the like name into the folder
 * $CREDENTIALS_DIRECTORY: in memory that is not swapped, for this service alone, immutable while it
 * runs (systemd.exec(5), systemd.io/CREDENTIALS). A file there belongs to the service's user, or to
 * root with a right for that user (an ACL, which shows as readable by the group).
 */
#ifndef XT_CRYPTO_CREDENTIAL_H
#define XT_CRYPTO_CREDENTIAL_H

#include <sys/stat.h>

#include "crypto/file.h"

/* Where a deployment's key file `name` ("master.keys") is read: the credential of that name where there
 * is one, else DIR/keys/name. XT_DENIED: the variable names a folder that is not as the service manager
 * makes it; DIR/keys is not fallen back to then, since its keys may be older ones. */
XT_MUST_USE enum xt_status xt_key_path(const char *dir, const char *name, char path[XT_PATH_MAX],
                                       struct xt_failure *failure);

/* The folder of the credentials; NULL: there is none, or it is not as the service manager makes it. */
const char *xt_credential_folder(void);

/* Whether path names a file right in that folder. */
bool xt_is_credential(const char *path);

/* Whether nobody else can read or write a credential with these facts. */
bool xt_credential_is_private(const struct stat *facts);

#endif
