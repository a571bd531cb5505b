/* store/identity: the folder DIR/identity with its generations: names, lock, switch, clearing up.
 *
 * What may lie there is drawn in store/generation.h.
 */
#ifndef XT_STORE_IDENTITY_H
#define XT_STORE_IDENTITY_H

#include "crypto/file.h"

#define XT_GENERATION_NAME 16 /* bytes of "000007" and its NUL, with room for more digits */
#define XT_IDENTITY_SWITCHING ".switching" /* the link `current` before it is in its place */

void xt_identity_name(uint32_t number, char name[XT_GENERATION_NAME]);

/* DIR/identity/<name>; name may be "". */
XT_MUST_USE enum xt_status xt_identity_path(const char *dir, const char *name,
                                            char path[XT_PATH_MAX], struct xt_failure *failure);

/* A local file system? Maps of network ones go stale or stop under the reader. */
XT_MUST_USE enum xt_status xt_identity_is_local(const char *dir, struct xt_failure *failure);

/* Takes the lock that importers hold: XT_BUSY when somebody has it. The kernel lets go of it when the
 * process ends, however it ends. Release with close(*fd). */
XT_MUST_USE enum xt_status xt_identity_lock(const char *dir, int *fd, struct xt_failure *failure);

/* With the lock held, before an import: removes what killed ones left (building-*, a link that is not
 * in its place yet), and no numbered generation that may ever have been served.
 *   *next    a number above all that are there
 *   *before  the generation served now, or the newest when its folder is gone; 0: none
 * XT_CORRUPT: there are generations but no `current`, so that nobody can tell which of them counts; the
 * operator links one. XT_TOO_LARGE: the numbers are used up.
 *
 * A switch is: link .switching -> N, rename the folder to N, rename .switching to current. So a
 * .switching that is still there names a generation that was never served: a first import that was
 * killed in between is cleared away without asking anybody. */
XT_MUST_USE enum xt_status xt_identity_prepare(const char *dir, uint32_t *next, uint32_t *before,
                                               struct xt_failure *failure);

/* With the lock held, after a switch: removes what is left over, and every generation but these. */
XT_MUST_USE enum xt_status xt_identity_clear(const char *dir, uint32_t served, uint32_t before,
                                             struct xt_failure *failure);

/* The first step of a switch: writes down, durably, which number is to be served. */
XT_MUST_USE enum xt_status xt_identity_intend(const char *dir, uint32_t number,
                                              struct xt_failure *failure);

/* The last step, once the folder is there and synced: durable once this gives XT_OK. */
XT_MUST_USE enum xt_status xt_identity_switch(const char *dir, struct xt_failure *failure);

/* A reader, which sees a switch before whoever makes it has it on the disk: what `current` was when it was read
 * stays so over a power cut. Waits for the disk. */
XT_MUST_USE enum xt_status xt_identity_sync(const char *dir, struct xt_failure *failure);

/* The highest number that has a folder; 0: none, or the folder cannot be read. */
uint32_t xt_identity_highest(const char *dir);

/* Removes DIR/identity/<name>: a folder and the plain files in it, also where they are read-only. A
 * symbolic link is removed itself, whatever it points to. */
void xt_identity_remove(const char *dir, const char *name);

#endif
