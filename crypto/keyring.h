/* crypto/keyring: the master keys of a deployment and the keys derived from them.
 *
 * DIR/keys/master.keys, mode 0600, one key a line: id (8 hex digits), time made (UTC), 32 bytes in
 * hex. The last line is the current key; older ones only open what was sealed under them.
 * Memory: keys live in locked pages left out of core dumps (sodium_malloc) and are wiped on close.
 * Thread: read-only but for xt_keyring_take, which nobody may read beside.
 */
#ifndef XT_CRYPTO_KEYRING_H
#define XT_CRYPTO_KEYRING_H

#include "core/span.h"
#include "core/status.h"

#define XT_KEY_BYTES 32
#define XT_SALT_BYTES 32

struct xt_keyring; /* opaque */

/* Once per process before anything else of crypto/; aborts where the libraries cannot start. */
void xt_crypto_start(void);

/* Makes a new key file with one key; XT_EXISTS when there is one. */
XT_MUST_USE enum xt_status xt_keyring_create(const char *path, struct xt_failure *failure);

XT_MUST_USE enum xt_status xt_keyring_open(const char *path, struct xt_keyring **keyring,
                                           struct xt_failure *failure);
void xt_keyring_close(struct xt_keyring *keyring); /* NULL is fine */

/* keyring has the keys of `other` from now on, which is closed; those it had are wiped. Whoever borrowed
 * keyring goes on with it and derives from the new ones. */
void xt_keyring_take(struct xt_keyring *keyring, struct xt_keyring *other);

/* Appends a new key to the file, which is the current one from then on; old ids still open. The file is
 * replaced as a whole. Hold xt_keys_lock. XT_TOO_LARGE: it is full; and as xt_keyring_open. */
XT_MUST_USE enum xt_status xt_keyring_add(const char *path, uint32_t *id,
                                          struct xt_failure *failure);
/* Takes a key out for good, whatever was sealed under it. Hold xt_keys_lock. XT_DENIED: it is the current
 * one. XT_NOT_FOUND: there is none of that id. */
XT_MUST_USE enum xt_status xt_keyring_remove(const char *path, uint32_t id,
                                             struct xt_failure *failure);

/* The time at which a key was made, as it stands in files: 2026-11-21T09:00:00Z. */
#define XT_KEY_TIME 20 /* bytes without a NUL */
/* Of now; false: the clock gives no usable date. */
bool xt_key_time_now(char text[XT_KEY_TIME + 1]);
/* The shape of one; its value is for the operator only. */
bool xt_key_time_is(const uint8_t *text);

/* All keys as bytes, for a process that may not read the file: into locked memory that is wiped
 * (xt_secret_alloc), and over a channel that nobody else reads. */
#define XT_KEYRING_EXPORT_MAX 9220 /* bytes */
void xt_keyring_export(const struct xt_keyring *keyring, struct xt_writer *writer);
/* XT_INVALID: not from xt_keyring_export. */
XT_MUST_USE enum xt_status xt_keyring_import(struct xt_span exported, struct xt_keyring **keyring);

/* Id of the key that new things are sealed under. */
uint32_t xt_keyring_current(const struct xt_keyring *keyring);
bool xt_keyring_has(const struct xt_keyring *keyring, uint32_t id);

/* Oldest first; gives the id, and when it was made ("" where the keyring was imported). */
size_t xt_keyring_count(const struct xt_keyring *keyring);
uint32_t xt_keyring_at(const struct xt_keyring *keyring, size_t index, char made[XT_KEY_TIME + 1]);
/* The same keys in the same order. */
bool xt_keyring_is_same(const struct xt_keyring *a, const struct xt_keyring *b);

/* What a derived key is for. A key is never used for two purposes. */
enum xt_key_use {
    XT_USE_GENERATION_HASH, /* table keys -> 128-bit hashes */
    XT_USE_GENERATION_SEAL, /* records; + table number */
    XT_USE_GENERATION_MANIFEST,
    XT_USE_PSEUDONYM, /* subjects in the audit log */
    XT_USE_TICKET,    /* TLS session tickets */
    XT_USE_SPILL,
    XT_USE_LIVE_SEAL,  /* records of the live store */
    XT_USE_LIVE_HASH,  /* its keys; + 1: the MAC of its header */
    XT_USE_AUDIT_SEAL, /* batches of an audit segment; + 1: the MAC of its header */
    XT_USE_QUOTA,      /* what each partner asked in a day */
    XT_USE_CHALLENGE   /* what citizens sign to show that they are there */
};

/* Derives 32 bytes from master key `id` for a use, a number within the use (a table, a worker) and a
 * salt (XT_SALT_BYTES, zeros where the use has none). Keyed BLAKE2b over a fixed-length encoding.
 * XT_NOT_FOUND: no key of that id: restore the key file that holds it. */
XT_MUST_USE enum xt_status xt_keyring_derive(const struct xt_keyring *keyring, uint32_t id,
                                             enum xt_key_use use, uint32_t number,
                                             const uint8_t salt[XT_SALT_BYTES],
                                             uint8_t key[XT_KEY_BYTES]);

/* Random bytes from the operating system's generator (buffered per process, safe after fork). */
void xt_random(void *data, size_t size);

/* Memory for secrets: locked (where the limit allows) and in no core dump, between guard pages; NULL
 * when memory is short. xt_secret_free wipes; NULL is fine. Costs three pages or more each. */
void *xt_secret_alloc(size_t size);
void xt_secret_free(void *secret);

/* Wipes; the compiler does not take it out. */
void xt_wipe(void *data, size_t size);

/* Wipes what copies of keys leave in the processor's wide registers, where it can: a signal, or a function
 * that is bound when it is first called, would put them on the stack. One that comes between the copy and
 * this still does: the stack of a process with keys may hold one, which is why such processes write no core
 * (xt_process_hide_memory). */
void xt_wipe_registers(void);

/* Equal, in a time that depends on size only. */
bool xt_secret_equal(const void *a, const void *b, size_t size);

#endif
