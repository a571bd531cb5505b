/* store/backup_manifest: the file that says what a backup is: every file in it, signed.
 *
 *   xacthuc backup
 *   version = 1
 *   made_unix_ms = 1795314245000
 *   generation = 7                  0: nothing was imported yet
 *   sequence = 1234                 of the live store's last event in it
 *   checkpoint = 88                 of the audit log: the last in it
 *   files = 12
 *   0400 15032385536 <BLAKE2b-256 in hex> identity/000007/data.mdb
 *   ...
 *   key = 0a1b2c3d
 *   signature = <128 hex digits>
 *
 * Signed with the audit key (Ed25519, over the BLAKE2b-256 of all lines before), not under a MAC of the
 * master key: so whoever keeps backups can check them with keys/audit.pub, and has no key that opens
 * anything. What the files say is under the master key besides: each of them has MACs of its own.
 * Nothing of it is believed, no path opened, before the signature is right.
 */
#ifndef XT_STORE_BACKUP_MANIFEST_H
#define XT_STORE_BACKUP_MANIFEST_H

#include "crypto/audit_key.h"
#include "crypto/key_bundle.h"
#include "crypto/seal.h"

#define XT_BACKUP_VERSION 1
#define XT_BACKUP_MANIFEST "manifest"         /* OUT/manifest */
#define XT_BACKUP_FILES "files"               /* OUT/files/<path> */
#define XT_BACKUP_MANIFEST_MAX (256U << 20)   /* bytes: some million files */
#define XT_BACKUP_PATH XT_KEY_BUNDLE_NAME_MAX /* bytes of a path in a deployment */

struct xt_backup_file {
    char path[XT_BACKUP_PATH + 1]; /* as xt_key_bundle_name_is_valid has it */
    uint32_t mode;                 /* permissions */
    uint64_t size;
    uint8_t digest[XT_DIGEST_BYTES];
};

struct xt_backup_manifest {
    uint64_t made_unix_ms, generation, sequence, checkpoint;
    struct xt_backup_file *files;
    size_t count, room;
};

void xt_backup_manifest_free(struct xt_backup_manifest *manifest);
/* XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_backup_manifest_add(struct xt_backup_manifest *manifest,
                                                  const struct xt_backup_file *file);
/* In the order of the paths, as write leaves it and read found it. NULL: there is no such file in it. */
const struct xt_backup_file *xt_backup_manifest_find(const struct xt_backup_manifest *manifest,
                                                     const char *path);

/* Sorts the files, writes OUT/manifest, signed and durable. */
XT_MUST_USE enum xt_status xt_backup_manifest_write(const char *out,
                                                    struct xt_backup_manifest *manifest,
                                                    const struct xt_audit_key *key,
                                                    struct xt_failure *failure);
/* XT_NOT_FOUND: OUT is no backup. XT_DENIED: signed by a key that is not among keys. XT_CORRUPT: not its
 * signature. XT_UNSUPPORTED: of a later version. manifest is the caller's to free on XT_OK. */
XT_MUST_USE enum xt_status xt_backup_manifest_read(const char *out,
                                                   const struct xt_audit_public *keys,
                                                   struct xt_backup_manifest *manifest,
                                                   struct xt_failure *failure);

#endif
