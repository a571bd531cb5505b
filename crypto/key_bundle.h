/* crypto/key_bundle: secret files in one file, encrypted under a passphrase: the keys of a deployment, for
 * a place that is apart from its data.
 *
 *   magic 8 | version 4 | Argon2id passes 4 | Argon2id memory, KiB 4 | salt 16 | stream header 24
 *   | check 32 | message | message | ...                                integers little endian
 *
 *   message   length of what is sealed 4 | sealed: name length 2 | name | content
 *   the last message is empty and marked final, so a file that was cut does not open
 *
 * Argon2id (RFC 9106) makes two keys of the passphrase and the salt, with libsodium's limits "moderate"
 * (256 MiB, 3 passes: most of a second for every guess): one for the stream of XChaCha20-Poly1305
 * (crypto_secretstream), which also keeps the messages in their order, and one for `check`, a MAC of all
 * before it: so a wrong passphrase can be told from a damaged file.
 * Memory: what is in it lies in locked pages that no core dump has, wiped on close.
 */
#ifndef XT_CRYPTO_KEY_BUNDLE_H
#define XT_CRYPTO_KEY_BUNDLE_H

#include "crypto/file.h"

#define XT_KEY_BUNDLE_VERSION 1
#define XT_KEY_BUNDLE_MAX (1U << 20) /* bytes of all names and contents together */
#define XT_KEY_BUNDLE_NAME_MAX 255   /* bytes */
#define XT_PASSPHRASE_LEAST 12       /* bytes, of a new one: a guess costs a second, not more */
#define XT_PASSPHRASE_MAX 1024

struct xt_key_bundle; /* opaque */

/* An empty one. XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_key_bundle_new(struct xt_key_bundle **bundle);
void xt_key_bundle_close(struct xt_key_bundle *bundle); /* wipes; NULL is fine */

/* A path inside a deployment that names one file there and nothing outside of it: parts of letters, digits,
 * '.', '_' and '-', none of which begins with '.', with '/' between them. */
bool xt_key_bundle_name_is_valid(struct xt_span name);

/* Copies a file into it. XT_TOO_LARGE; XT_INVALID: the name. */
XT_MUST_USE enum xt_status xt_key_bundle_add(struct xt_key_bundle *bundle, const char *name,
                                             struct xt_span content);

/* In the order in which they were added. false: there are no more. Borrowed from the bundle. */
bool xt_key_bundle_next(const struct xt_key_bundle *bundle, size_t *place, struct xt_span *name,
                        struct xt_span *content);
/* false: there is none of that name. */
bool xt_key_bundle_find(const struct xt_key_bundle *bundle, const char *name,
                        struct xt_span *content);

/* Writes it to a new file, 0600, whole or not at all. XT_EXISTS; XT_INVALID: the passphrase is too short or
 * too long; XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_key_bundle_write(const struct xt_key_bundle *bundle, const char *path,
                                               struct xt_span passphrase,
                                               struct xt_failure *failure);

/* XT_DENIED: the passphrase is another (or the file's first bytes were changed). XT_CORRUPT: it is damaged.
 * XT_UNSUPPORTED: a later version, or one that would take more than 1 GiB of memory. XT_INVALID: no such
 * file. */
XT_MUST_USE enum xt_status xt_key_bundle_read(const char *path, struct xt_span passphrase,
                                              struct xt_key_bundle **bundle,
                                              struct xt_failure *failure);

#endif
