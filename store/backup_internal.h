/* store/backup_internal: one backup at work, between the parts of store/backup only. */
#ifndef XT_STORE_BACKUP_INTERNAL_H
#define XT_STORE_BACKUP_INTERNAL_H

#include "crypto/keyring.h"
#include "store/backup.h"
#include "store/backup_file.h"
#include "store/backup_manifest.h"
#include "store/live.h"
#include "store/manifest.h"

#define XT_BACKUP_TRIES 8 /* of what changed while it was taken */

struct xt_backup_job {
    const struct xt_backup_plan *plan;
    char partial[XT_PATH_MAX];                  /* OUT.partial-XXXXXX */
    char files[XT_PATH_MAX];                    /* its folder `files` */
    char since[XT_PATH_MAX];                    /* the same of the earlier backup; "": none */
    struct xt_backup_manifest manifest, before; /* before: of the earlier backup */
    struct xt_keyring *keyring;                 /* that `live` was opened with */
    struct xt_live *live;                       /* opened once: LMDB wants it so; NULL: not yet */
    uint64_t bytes, linked;
};

/* How to take a file. */
struct xt_backup_taking {
    uint64_t size;                /* bytes from its beginning, or XT_BACKUP_ANY */
    const uint8_t *digest;        /* what it must be; NULL: not known */
    bool sealed;                  /* it never changes: a further name for it is as good as a copy */
    bool grows;                   /* only at its end: of the same size it is the same */
    struct xt_progress *progress; /* NULL: none */
};

/* DIR/path into the backup. XT_NOT_FOUND: there is none; XT_CORRUPT: it is another than it must be. */
XT_MUST_USE enum xt_status xt_backup_take(struct xt_backup_job *job, const char *path,
                                          const struct xt_backup_taking *taking,
                                          struct xt_failure *failure);
/* Bytes as a file of the backup. */
XT_MUST_USE enum xt_status xt_backup_take_bytes(struct xt_backup_job *job, const char *path,
                                                struct xt_span content, uint32_t mode,
                                                struct xt_failure *failure);
/* A file that was made in the backup itself. */
XT_MUST_USE enum xt_status xt_backup_take_made(struct xt_backup_job *job, const char *path,
                                               struct xt_failure *failure);
/* Takes the files since `count` out of the manifest again, and a folder out of the backup. */
void xt_backup_forget(struct xt_backup_job *job, size_t count, const char *folder);

/* The generation and the live store over it. */
XT_MUST_USE enum xt_status xt_backup_take_register(struct xt_backup_job *job,
                                                   struct xt_failure *failure);
/* A copy of the live store, and whether it belongs over generation `over`; NULL: there is none. Statuses of
 * xt_live_inspect. */
XT_MUST_USE enum xt_status xt_backup_look_at_live(const char *path,
                                                  const struct xt_keyring *keyring,
                                                  const struct xt_manifest *over,
                                                  uint64_t *sequence, struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_backup_take_audit(struct xt_backup_job *job,
                                                struct xt_failure *failure);
/* Partners, settings, certificates, quotas. */
XT_MUST_USE enum xt_status xt_backup_take_rest(struct xt_backup_job *job,
                                               struct xt_failure *failure);

/* All keys of plan->dir, to a new file. */
XT_MUST_USE enum xt_status xt_backup_write_keys(const struct xt_backup_plan *plan, const char *path,
                                                struct xt_failure *failure);
/* The keys of a bundle as files below dir. */
XT_MUST_USE enum xt_status xt_backup_put_keys(const struct xt_key_bundle *bundle, const char *dir,
                                              struct xt_failure *failure);

/* "NAME.partial-XXXXXX", made. path: without slashes at its end. */
XT_MUST_USE enum xt_status xt_backup_make_partial(const char *path, char partial[XT_PATH_MAX],
                                                  struct xt_failure *failure);

#endif
