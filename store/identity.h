/* store/identity: the folder DIR/identity with its generations: names, lock, switch, clearing up.
 *
 * What may lie there is drawn in store/generation.h.
 */
#ifndef XT_STORE_IDENTITY_H
#define XT_STORE_IDENTITY_H

#include "crypto/file.h"

#define XT_GENERATION_NAME 16 /* bytes of "000007" and its NUL, with room for more digits */

void xt_identity_name(uint32_t number, char name[XT_GENERATION_NAME]);

/* DIR/identity/<name>; name may be "". */
XT_MUST_USE enum xt_status xt_identity_path(const char *dir, const char *name,
                                            char path[XT_PATH_MAX], struct xt_failure *failure);

/* A local file system? Maps of network ones go stale or stop under the reader. */
XT_MUST_USE enum xt_status xt_identity_is_local(const char *dir, struct xt_failure *failure);

/* Takes the lock that importers hold: XT_BUSY when somebody has it. The kernel lets go of it when the
 * process ends, however it ends. Release with close(*fd). */
XT_MUST_USE enum xt_status xt_identity_lock(const char *dir, int *fd, struct xt_failure *failure);

/* With the lock held: removes what killed imports left, and generations other than the served one
 * and the one before it. *next: a number that no generation has had lately. */
XT_MUST_USE enum xt_status xt_identity_clear(const char *dir, uint32_t *next,
                                             struct xt_failure *failure);

/* Switches to a generation whose folder is there and synced: durable once this gives XT_OK. */
XT_MUST_USE enum xt_status xt_identity_switch(const char *dir, uint32_t number,
                                              struct xt_failure *failure);

/* Removes a folder and the plain files in it, also where they are read-only. */
void xt_identity_remove(const char *folder);

#endif
