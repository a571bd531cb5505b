/* crypto/answer_key: the Ed25519 keys (RFC 8032) that sign answers and tokens, and what partners know them by.
 *
 *   DIR/keys/signing.key   (answers), token.key (tokens): two families of the same form
 *   mode 0600, one key a line: state, time made (UTC), 32-byte seed in hex
 *
 *     previous 2026-03-01T00:00:00Z 9d61...   signs no more; published, so that what it signed verifies
 *     current  2026-09-01T00:00:00Z 4ccd...   signs
 *     next     2027-03-01T00:00:00Z c5aa...   published only: whoever keeps the list has it by the time
 *                                             it signs
 *   In this order: any number of previous ones, one current, at most one next. The key after the next is
 *   the next one once they are rotated; of the previous ones the newest XT_ANSWER_PREVIOUS_MAX stay.
 *   The key after the next is made when they are rotated, so its time is when the one before it retired.
 *
 * A key's name (kid) is the SHA-256 thumbprint of its JWK (RFC 7638, RFC 8037 appendix A.3).
 * Signing takes some 25 us, allocates nothing and takes the same time whatever is signed.
 * Thread: read-only after open. Memory: keys lie in locked pages (xt_secret_alloc), wiped on close.
 */
#ifndef XT_CRYPTO_ANSWER_KEY_H
#define XT_CRYPTO_ANSWER_KEY_H

#include "crypto/file.h"

#define XT_ANSWER_SIGNATURE 64
#define XT_ANSWER_PUBLIC 32
#define XT_ANSWER_KEY_ID 43 /* characters of a kid: base64url of 32 bytes */
#define XT_ANSWER_PREVIOUS_MAX 4
#define XT_ANSWER_KEYS_MAX (XT_ANSWER_PREVIOUS_MAX + 2)
#define XT_ANSWER_KEY_TIME 20       /* characters: YYYY-MM-DDThh:mm:ssZ */
#define XT_ANSWER_KEYS_TEXT_MAX 570 /* bytes of the largest file */
#define XT_ANSWER_JWKS_MAX 1200     /* bytes of all keys as JWK */

/* ---- the file --------------------------------------------------------------------------------- */

/* Makes the file with a current and a next key; XT_EXISTS where there is one. */
XT_MUST_USE enum xt_status xt_answer_key_make(const char *path, struct xt_failure *failure);

/* The next key becomes the current one, and another is made to be the next. Replaces the file whole.
 * XT_NOT_FOUND: there is none; make it. */
XT_MUST_USE enum xt_status xt_answer_key_rotate(const char *path, struct xt_failure *failure);

/* The text of the file, checked, for a process that may not read it (xt_answer_keys_open). Give it back
 * with xt_file_release_secret, which wipes it. XT_NOT_FOUND, XT_DENIED (its mode), XT_INVALID. */
XT_MUST_USE enum xt_status xt_answer_key_read(const char *path, uint8_t **text, size_t *size,
                                              struct xt_failure *failure);

/* ---- the keys --------------------------------------------------------------------------------- */

enum xt_answer_key_state { XT_ANSWER_PREVIOUS, XT_ANSWER_CURRENT, XT_ANSWER_NEXT };

struct xt_answer_key_facts {
    enum xt_answer_key_state state;
    char made[XT_ANSWER_KEY_TIME + 1];
    char id[XT_ANSWER_KEY_ID + 1];
    uint32_t number; /* the first four bytes of what id says, for commands and logs */
    int64_t
        retired_s; /* Unix seconds: it signs nothing since then; INT64_MAX: it does, or nobody knows */
    uint8_t public[XT_ANSWER_PUBLIC];
};

struct xt_answer_keys; /* opaque */

/* XT_INVALID: not the text of such a file. */
XT_MUST_USE enum xt_status xt_answer_keys_open(struct xt_span text, struct xt_answer_keys **keys);
void xt_answer_keys_close(struct xt_answer_keys *keys); /* NULL is fine */

unsigned xt_answer_keys_count(const struct xt_answer_keys *keys);
/* In the order of the file. */
const struct xt_answer_key_facts *xt_answer_keys_at(const struct xt_answer_keys *keys,
                                                    unsigned index);
/* The one that signs. */
const struct xt_answer_key_facts *xt_answer_keys_current(const struct xt_answer_keys *keys);

void xt_answer_sign(const struct xt_answer_keys *keys, struct xt_span message,
                    uint8_t signature[XT_ANSWER_SIGNATURE]);

/* The public keys as members of a JWK set (RFC 8037), separated by commas: current, next, previous. */
void xt_answer_keys_to_json(const struct xt_answer_keys *keys, struct xt_writer *writer);
/* The same without those that retired before since_s: what they signed counts no more. */
void xt_answer_keys_to_json_since(const struct xt_answer_keys *keys, int64_t since_s,
                                  struct xt_writer *writer);

/* The key of that name that has not retired before since_s; NULL: there is none. */
const struct xt_answer_key_facts *xt_answer_keys_find(const struct xt_answer_keys *keys,
                                                      struct xt_span id, int64_t since_s);

/* ---- for whoever verifies --------------------------------------------------------------------- */

/* id gets a NUL as well. */
void xt_answer_key_id(const uint8_t public[XT_ANSWER_PUBLIC], char id[XT_ANSWER_KEY_ID + 1]);
bool xt_answer_signature_is_right(const uint8_t public[XT_ANSWER_PUBLIC], struct xt_span message,
                                  const uint8_t signature[XT_ANSWER_SIGNATURE]);

/* Digests of contents (RFC 9530). */
#define XT_SHA256 32
#define XT_SHA512 64
void xt_sha256(struct xt_span content, uint8_t digest[XT_SHA256]);
void xt_sha512(struct xt_span content, uint8_t digest[XT_SHA512]);

#endif
