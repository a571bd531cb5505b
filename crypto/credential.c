#include "crypto/credential.h"

#include <stdlib.h>
#include <unistd.h>

#define VARIABLE "CREDENTIALS_DIRECTORY"

static bool is_ours(const struct stat *facts)
{
    return facts->st_uid == 0 || facts->st_uid == geteuid();
}

/* NULL: no variable, or an empty one. */
static const char *given_folder(void)
{
    const char *folder = secure_getenv(VARIABLE);
    return folder != NULL && folder[0] != '\0' ? folder : NULL;
}

/* What is wrong with the folder; NULL: nothing. Who else could write there could give us keys of his own. */
static const char *fault_of(const char *folder)
{
    struct stat facts;
    if (folder[0] != '/') {
        return "it is no absolute path";
    }
    if (lstat(folder, &facts) != 0) {
        return "it cannot be read";
    }
    return !S_ISDIR(facts.st_mode) ? "it is no folder"
           : !is_ours(&facts)      ? "it belongs to another user"
           : (facts.st_mode & (S_IWGRP | S_IRWXO)) != 0
               ? "others can enter or write it: run chmod 500 on it"
               : NULL;
}

const char *xt_credential_folder(void)
{
    const char *folder = given_folder();
    return folder != NULL && fault_of(folder) == NULL ? folder : NULL;
}

bool xt_is_credential(const char *path)
{
    const char *folder = xt_credential_folder();
    const char *slash = strrchr(path, '/');
    char expected[XT_PATH_MAX];
    return folder != NULL && slash != NULL && slash[1] != 0 &&
           xt_path_join(expected, folder, slash + 1) == XT_OK && strcmp(expected, path) == 0;
}

bool xt_credential_is_private(const struct stat *facts)
{
    /* The group's bits are the mask of the ACL; the group itself is root's, or the service's own. */
    bool readable_by_group = (facts->st_mode & S_IRGRP) != 0;
    return is_ours(facts) && (facts->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0 &&
           (!readable_by_group || facts->st_gid == 0 || facts->st_gid == getegid());
}

enum xt_status xt_key_path(const char *dir, const char *name, char path[XT_PATH_MAX],
                           struct xt_failure *failure)
{
    char keys[XT_PATH_MAX];
    struct stat facts;
    const char *folder = given_folder();
    const char *fault = folder == NULL ? NULL : fault_of(folder);
    if (fault != NULL) { /* the keys meant are there; those of DIR/keys may be older ones */
        return xt_fail(failure, XT_DENIED, "$" VARIABLE " is %s, which is not used: %s", folder,
                       fault);
    }
    if (folder != NULL && xt_path_join(path, folder, name) == XT_OK && lstat(path, &facts) == 0) {
        return XT_OK;
    }
    if (xt_path_join(keys, dir, "keys") != XT_OK || xt_path_join(path, keys, name) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    return XT_OK;
}
