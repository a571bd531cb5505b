/* crypto/audit_key: the Ed25519 keys (RFC 8032) that sign the audit log's checkpoints, the head they
 * name, and the digest that chains its batches.
 *
 *   DIR/keys/audit.key   mode 0600: id (8 hex digits), 32-byte seed in hex. Of several lines the last signs
 *   DIR/keys/audit.pub   what an auditor needs, and keeps a copy of; a public key a line, oldest first:
 *                        id, 32 bytes in hex, time made | the id of the key before, its signature in hex
 *
 *   A rotation appends a key that the one before vouches for, and replaces the seed: so what is in the log
 *   by then cannot be signed anew by whoever finds the new one alone, and who kept audit.pub from before
 *   still learns of every later key by a chain of signatures from those he trusts. (A key that was stolen
 *   can vouch for a thief's: then auditors must get the new audit.pub by hand.)
 *
 *   DIR/audit/head       which checkpoint is the last, replaced as a whole after each of them. Signed, so
 *                        that who cuts the list of checkpoints cannot name an earlier one himself. Made
 *                        together with the key and before anything is logged, so that it is never missing.
 *
 *     magic 8 | number 8 | end 8 | digest 32 | key id 4 | signature 64          integers little endian
 *
 * Who has kept an older head can put the whole folder back to its time: that shows only to somebody who
 * knows a later number from elsewhere.
 * Thread: read-only after open. Memory: seeds lie in locked pages (sodium_malloc), wiped on close.
 */
#ifndef XT_CRYPTO_AUDIT_KEY_H
#define XT_CRYPTO_AUDIT_KEY_H

#include "crypto/file.h"

#define XT_AUDIT_SIGNATURE 64
#define XT_AUDIT_DIGEST 32
#define XT_AUDIT_HEAD_BYTES 124

struct xt_audit_key;    /* opaque: all keys, the last of which signs */
struct xt_audit_public; /* opaque: what verifies */

/* ---- keys ------------------------------------------------------------------------------------- */

#define XT_AUDIT_KEY_TIME 20 /* XT_KEY_TIME */

/* First use: makes keys/audit.key, keys/audit.pub and audit/head of number 0 in dir; nothing where there is
 * a key. The key comes last, so that a crash half-way leaves what the next call begins anew.
 * XT_DENIED: there is no key, but a log that one has signed: restore the key from its backup. */
XT_MUST_USE enum xt_status xt_audit_key_make(const char *dir, struct xt_failure *failure);

/* Appends a key to keys/audit.pub and puts its seed in the place of the one before, in this order: killed in
 * between, the old one goes on. Hold xt_keys_lock. XT_TOO_LARGE: audit.pub is full. */
XT_MUST_USE enum xt_status xt_audit_key_rotate(const char *dir, uint32_t *id,
                                               struct xt_failure *failure);

/* path: keys/audit.key. XT_NOT_FOUND, XT_DENIED (its mode), XT_INVALID. */
XT_MUST_USE enum xt_status xt_audit_key_open(const char *path, struct xt_audit_key **key,
                                             struct xt_failure *failure);
void xt_audit_key_close(struct xt_audit_key *key); /* NULL is fine */

/* path: keys/audit.pub or a copy of it. */
XT_MUST_USE enum xt_status xt_audit_public_open(const char *path, struct xt_audit_public **keys,
                                                struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_audit_public_of(const struct xt_audit_key *key,
                                              struct xt_audit_public **keys);
/* What verifies the log that key goes on with: all of audit.pub, or what key alone knows where that is
 * missing or another's. */
XT_MUST_USE enum xt_status xt_audit_public_for(const char *dir, const struct xt_audit_key *key,
                                               struct xt_audit_public **keys,
                                               struct xt_failure *failure);
/* Trusts those of `more` as well for which a key of keys vouches, or one that is trusted so. */
void xt_audit_public_extend(struct xt_audit_public *keys, const struct xt_audit_public *more);
/* Place of a key among those of the log: later ones are greater. -1: there is none of that id. */
int xt_audit_public_order(const struct xt_audit_public *keys, uint32_t id);
/* Oldest first; gives the id, when it was made ("": not told) and who vouches for it (0: nobody). */
size_t xt_audit_public_count(const struct xt_audit_public *keys);
uint32_t xt_audit_public_at(const struct xt_audit_public *keys, size_t index,
                            char made[XT_AUDIT_KEY_TIME + 1], uint32_t *by);
void xt_audit_public_close(struct xt_audit_public *keys); /* NULL is fine */

/* Id of the key that signs. */
uint32_t xt_audit_key_id(const struct xt_audit_key *key);

/* label keeps signatures of one kind of thing from standing under another; 16 bytes are taken of it. */
void xt_audit_sign(const struct xt_audit_key *key, const char *label, struct xt_span message,
                   uint8_t signature[XT_AUDIT_SIGNATURE]);
/* XT_NOT_FOUND: no key of that id; XT_CORRUPT: not its signature. */
XT_MUST_USE enum xt_status xt_audit_check(const struct xt_audit_public *keys, uint32_t id,
                                          const char *label, struct xt_span message,
                                          const uint8_t signature[XT_AUDIT_SIGNATURE]);

/* ---- head ------------------------------------------------------------------------------------- */

struct xt_audit_head {
    uint64_t number;                 /* of the last checkpoint; 0: none yet */
    uint64_t end;                    /* bytes of the list up to and with it */
    uint8_t digest[XT_AUDIT_DIGEST]; /* of it; zeros: none yet */
    uint32_t key_id;                 /* that signed the head; not looked at when it is written */
};

/* Durable once it gives XT_OK. */
XT_MUST_USE enum xt_status xt_audit_head_write(const char *path, const struct xt_audit_key *key,
                                               const struct xt_audit_head *head,
                                               struct xt_failure *failure);
/* XT_CORRUPT: of the wrong size or form, or not signed by one of keys. */
XT_MUST_USE enum xt_status xt_audit_head_parse(struct xt_span bytes,
                                               const struct xt_audit_public *keys,
                                               struct xt_audit_head *head);
XT_MUST_USE enum xt_status xt_audit_head_read(const char *path, const struct xt_audit_public *keys,
                                              struct xt_audit_head *head,
                                              struct xt_failure *failure);

/* ---- chain ------------------------------------------------------------------------------------ */

/* BLAKE2b-256 over the digest before and the bytes; allocates nothing. next may be before. */
void xt_audit_chain(const uint8_t before[XT_AUDIT_DIGEST], struct xt_span bytes,
                    uint8_t next[XT_AUDIT_DIGEST]);

#endif
