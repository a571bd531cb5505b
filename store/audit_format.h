/* store/audit_format: what stands in a segment of the audit log.
 *
 *   DIR/audit/
 *     20261122T030405Z-w0-89abcdef.seg   one worker's entries; time of its start (UTC), worker, id
 *     checkpoints                        what had been written when, signed (store/audit_checkpoint.h)
 *     head                               which checkpoint is the last (crypto/audit_key.h)
 *
 *   segment = header | batch | batch | ...                              integers little endian
 *
 *   header  magic 8 | version 4 | worker 4 | id 16 | time 8 | key id 4 | zero 4 | salt 32
 *           | before: id 16, digest 32 (what this worker's chain ended in; zeros: a chain's first)
 *           | MAC 32 under a key of the segment's
 *   batch   magic 4 | length of what is sealed 4 | number 8 | entries 4 | first time 8 | last time 8
 *           | entries, each with its length 2, sealed                   at most 64 KiB, 4096 entries
 *           | chain digest 32
 *
 *   digest(header) = BLAKE2b-256(zeros | header)
 *   digest(batch)  = BLAKE2b-256(digest before | plain header of the batch | what is sealed)
 *
 * Sealed with AES-256-GCM under a key of the segment alone (master key and random salt), nonce = number
 * of the batch, associated data = the batch's plain header and the digest before. A segment is written by
 * one process and never gone on with by another, so no nonce is used twice.
 * Whoever changes, drops, doubles or moves a batch breaks the chain; who cuts its end contradicts the
 * checkpoints. Names, numbers and texts are in the sealed part only; the plain part tells how much was
 * asked when.
 */
#ifndef XT_STORE_AUDIT_FORMAT_H
#define XT_STORE_AUDIT_FORMAT_H

#include "crypto/audit_key.h"
#include "crypto/keyring.h"
#include "crypto/seal.h"
#include "store/audit_entry.h"

#define XT_AUDIT_SEGMENT_VERSION 1
#define XT_AUDIT_ID 16 /* bytes, random */
#define XT_AUDIT_HEADER_BYTES 160
#define XT_AUDIT_BATCH_HEADER 36   /* bytes */
#define XT_AUDIT_BATCH_PLAIN 65536 /* bytes of entries with their lengths */
#define XT_AUDIT_BATCH_ENTRIES 4096
#define XT_AUDIT_BATCH_MAX                                                                         \
    (XT_AUDIT_BATCH_HEADER + XT_AUDIT_BATCH_PLAIN + XT_SEAL_OVERHEAD + XT_AUDIT_DIGEST)
#define XT_AUDIT_WORKERS_MAX 1024
#define XT_AUDIT_NAME 48 /* bytes of a file's name with its NUL */

/* Where a chain stood: the segment, and the digest of its last batch. */
struct xt_audit_link {
    uint8_t id[XT_AUDIT_ID]; /* zeros: nothing before */
    uint8_t digest[XT_AUDIT_DIGEST];
};

struct xt_audit_header {
    uint32_t worker;
    uint8_t id[XT_AUDIT_ID];
    uint64_t unix_ms;
    uint32_t key_id;
    uint8_t salt[XT_SALT_BYTES];
    struct xt_audit_link before;
};

/* How far a segment has come: whole batches only. Eight-byte fields first, no padding. */
struct xt_audit_state {
    uint64_t bytes, batches, entries; /* bytes with the header */
    uint64_t first_ms, last_ms;       /* least and greatest time of an entry; both 0: no entry */
    uint64_t start_ms;                /* of the header; in its name */
    uint32_t worker;
    uint32_t closed; /* 1: nothing follows */
    uint8_t id[XT_AUDIT_ID];
    uint8_t digest[XT_AUDIT_DIGEST];
};

struct xt_audit_batch {
    uint32_t sealed; /* bytes, tag included */
    uint32_t entries;
    uint64_t number;
    uint64_t first_ms, last_ms; /* least and greatest */
};

/* The keys of one segment. */
struct xt_audit_keys {
    struct xt_sealer *sealer;
    uint8_t *secrets; /* xt_secret_alloc: MAC of the header, pseudonyms */
};

/* XT_NOT_FOUND: the keyring has no such master key. */
XT_MUST_USE enum xt_status xt_audit_keys_open(const struct xt_keyring *keyring, uint32_t key_id,
                                              const uint8_t salt[XT_SALT_BYTES],
                                              struct xt_audit_keys *keys);
void xt_audit_keys_close(struct xt_audit_keys *keys); /* fine on zeros */
/* A subject's pseudonym: the same in all segments under one master key. */
void xt_audit_keys_subject(const struct xt_audit_keys *keys, struct xt_id id,
                           uint8_t subject[XT_PSEUDONYM_BYTES]);

/* The MAC is of keys. */
void xt_audit_header_write(const struct xt_audit_header *header, const struct xt_audit_keys *keys,
                           uint8_t bytes[XT_AUDIT_HEADER_BYTES]);
/* Without its MAC. XT_CORRUPT; XT_UNSUPPORTED: a later version. */
XT_MUST_USE enum xt_status xt_audit_header_parse(struct xt_span bytes,
                                                 struct xt_audit_header *header);
/* Parses, finds the keys, checks the MAC. XT_NOT_FOUND: sealed under a master key that the keyring has
 * not. keys are the caller's on XT_OK. */
XT_MUST_USE enum xt_status xt_audit_header_open(struct xt_span bytes,
                                                const struct xt_keyring *keyring,
                                                struct xt_audit_header *header,
                                                struct xt_audit_keys *keys);
/* The state of a segment that has its header only. */
void xt_audit_state_begin(struct xt_audit_state *state, const struct xt_audit_header *header,
                          const uint8_t bytes[XT_AUDIT_HEADER_BYTES]);

/* Seals plain (entries with their lengths) as the next batch after state into out, which has room for
 * XT_AUDIT_BATCH_MAX; gives its bytes and goes on to the state after it. */
size_t xt_audit_batch_seal(const struct xt_audit_keys *keys, struct xt_audit_state *state,
                           const struct xt_audit_batch *batch, struct xt_span plain, uint8_t *out);

/* The plain header at the start of bytes. XT_AGAIN: too few bytes for one. XT_CORRUPT: no batch that may
 * follow `number` others. Its whole size is xt_audit_batch_size. */
XT_MUST_USE enum xt_status xt_audit_batch_parse(struct xt_span bytes, uint64_t number,
                                                struct xt_audit_batch *batch);
static inline size_t xt_audit_batch_size(const struct xt_audit_batch *batch)
{
    return XT_AUDIT_BATCH_HEADER + (size_t)batch->sealed + XT_AUDIT_DIGEST;
}

/* Checks the whole batch (bytes: exactly it) against the chain, unseals it into plain (room for
 * XT_AUDIT_BATCH_PLAIN) and goes on to the state after it. keys NULL: the chain alone, without the master
 * key. XT_CORRUPT: *what says why. */
XT_MUST_USE enum xt_status xt_audit_batch_open(const struct xt_audit_keys *keys,
                                               struct xt_audit_state *state, struct xt_span bytes,
                                               const struct xt_audit_batch *batch, uint8_t *plain,
                                               const char **what);

/* Entry after entry of what was unsealed. *rest is what follows. XT_NOT_FOUND: no more; XT_CORRUPT,
 * XT_UNSUPPORTED. */
XT_MUST_USE enum xt_status xt_audit_entry_next(struct xt_span *rest, struct xt_audit_entry *entry);
/* All of them, and that they are as many and as old as the header says. */
XT_MUST_USE enum xt_status xt_audit_entries_check(struct xt_span plain,
                                                  const struct xt_audit_batch *batch);

void xt_audit_name(uint64_t start_ms, uint32_t worker, const uint8_t id[XT_AUDIT_ID],
                   char name[XT_AUDIT_NAME]);
/* Whether a file's name has the form of one. */
bool xt_audit_is_name(const char *name);

#endif
