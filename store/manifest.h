/* store/manifest: the file that says what a generation is, under a MAC of the master key.
 *
 * One "key = value" a line, in a fixed order, nothing else: an operator can read it, and there is one
 * way only to write a manifest, so the MAC covers its bytes.
 */
#ifndef XT_STORE_MANIFEST_H
#define XT_STORE_MANIFEST_H

#include "store/generation.h"
#include "store/table_file.h"

#define XT_MANIFEST_VERSION 3       /* 2 says nothing of compactions */
#define XT_MANIFEST_VERSION_LEAST 2 /* the oldest that is read */
#define XT_MANIFEST_NAME "manifest"
#define XT_MANIFEST_MAX (4U << 20) /* bytes; 100 M people need about 20 KiB */

/* Writes folder/manifest, 0400 and synced. */
XT_MUST_USE enum xt_status xt_manifest_write(const char *folder, const struct xt_manifest *manifest,
                                             const struct xt_structure *structure,
                                             const struct xt_keyring *keyring,
                                             struct xt_failure *failure);

/* Reads it and checks its MAC. XT_CORRUPT, XT_UNSUPPORTED (a later version), XT_NOT_FOUND (no file),
 * XT_DENIED (the keyring lacks the master key it was made under). structure is of the caller: xt_structure_free. */
XT_MUST_USE enum xt_status xt_manifest_read(const char *folder, const struct xt_keyring *keyring,
                                            struct xt_manifest *manifest,
                                            struct xt_structure *structure,
                                            struct xt_failure *failure);

#endif
