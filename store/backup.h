/* store/backup: a copy of a deployment that belongs together, taken while it serves; and back.
 *
 *   OUT/
 *     manifest           every file with its size and digest, signed (store/backup_manifest)
 *     files/             as in DIR:
 *       xacthuc.conf, *.crt, *.crl ...   settings and certificates, also in further folders
 *       keys/audit.pub                   what signatures are checked with; no other key
 *       partners/            the files of partners
 *       identity/000007/                 the served generation, its counts too
 *       live/live.mdb                    LMDB's own copy (store/live_copy)
 *       supervisor/quota-*                     what each partner has asked today
 *       audit/                           up to a checkpoint: the list, its head, segments so far
 *
 * What belongs together: the live store's overlay lies over the generation that is served while it is
 * copied: a compaction folds its entries into another and then drops them. So the generation is taken first,
 * then the live store, and if another generation is served by then, both are taken again.
 * Acknowledged events are in the live store: all that were acknowledged before the backup began are in it.
 * Keys are never in OUT: whoever has it alone can open nothing. They go into a file of their own
 * (crypto/key_bundle), which has no use without OUT.
 *
 * What is not certificates or settings for sure (`.key`, or neither certificate nor list) goes with the keys.
 *
 * OUT and DIR appear under their names whole and durable, and the file of keys after OUT; until then, and after a
 * process was killed, there is NAME.partial-XXXXXX beside them.
 */
#ifndef XT_STORE_BACKUP_H
#define XT_STORE_BACKUP_H

#include <signal.h>

#include "core/span.h"
#include "core/status.h"

struct xt_backup_plan {
    const char *dir, *out; /* the deployment, the backup */
    const char *since; /* an earlier backup, whose files are linked where they are the same; NULL */
    const char *keys;  /* the file of the keys; NULL: none */
    struct xt_span passphrase;          /* with keys */
    bool quiet;                         /* no progress */
    volatile sig_atomic_t *interrupted; /* set by a signal's handler; NULL: never */
};

struct xt_backup_facts {
    uint64_t made_unix_ms, generation, sequence, checkpoint; /* 0: none */
    uint64_t files, bytes;
    uint64_t linked; /* bytes of them that no copy was made of */
};

/* Makes plan->out. XT_EXISTS: there is something of that name, or of the keys'. XT_CORRUPT: what is to be
 * backed up is damaged, nothing was made. XT_BUSY: the generation changed again and again. XT_CLOSED:
 * interrupted. XT_INVALID: the passphrase, OUT is inside DIR, something that cannot be taken, or a generation that the
 * live store must not lie over. The deployment's user must run it: it reads its keys. */
XT_MUST_USE enum xt_status xt_backup_make(const struct xt_backup_plan *plan,
                                          struct xt_backup_facts *facts,
                                          struct xt_failure *failure);

/* Makes plan->dir, which must not exist or be an empty folder, of plan->out; keys from plan->keys, or
 * those that the service manager gives (crypto/credential.h). Checks the signature, every byte, then opens
 * every record of the generation and the live store and verifies the audit log, as `check` and `audit verify`
 * do; the restore is then written down in the audit log (XT_AUDIT_FLAG_RESTORED).
 * XT_EXISTS; XT_DENIED: the passphrase, or keys of another deployment; XT_CORRUPT; XT_CLOSED. */
XT_MUST_USE enum xt_status xt_backup_restore(const struct xt_backup_plan *plan,
                                             struct xt_backup_facts *facts,
                                             struct xt_failure *failure);

#endif
