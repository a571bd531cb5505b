/* crypto/audit_key_internal: lines of audit.key and audit.pub. Private to crypto/audit_*. */
#ifndef XT_CRYPTO_AUDIT_KEY_INTERNAL_H
#define XT_CRYPTO_AUDIT_KEY_INTERNAL_H

#include "crypto/audit_key.h"
#include "crypto/keyring.h"

#define XT_AUDIT_ID_DIGITS 8
#define XT_AUDIT_PUBLIC 32                                               /* bytes, as of a seed */
#define XT_AUDIT_LINE (XT_AUDIT_ID_DIGITS + 1 + 2 * XT_AUDIT_PUBLIC + 1) /* id, key, newline */
#define XT_AUDIT_DATED_LINE (XT_AUDIT_LINE + 1 + XT_KEY_TIME)            /* and a time */
#define XT_AUDIT_VOUCHED_LINE                                                                      \
    (XT_AUDIT_DATED_LINE + 1 + XT_AUDIT_ID_DIGITS + 1 + 2 * XT_AUDIT_SIGNATURE)
#define XT_AUDIT_KEYS_MAX 256 /* a key a month for twenty years */

struct xt_audit_verifier {
    uint32_t id;
    uint8_t public[XT_AUDIT_PUBLIC];
    char made[XT_KEY_TIME + 1]; /* "": not told */
    uint32_t by;                /* who vouches for it; 0: nobody, it is to be trusted for itself */
    uint8_t signature[XT_AUDIT_SIGNATURE];
};

struct xt_audit_public {
    size_t count;
    struct xt_audit_verifier keys[XT_AUDIT_KEYS_MAX];
};

/* id, key and newline, the form of audit.key and of the oldest lines of audit.pub. */
bool xt_audit_line_parse(const uint8_t *line, uint32_t *id, uint8_t bytes[XT_AUDIT_PUBLIC]);
void xt_audit_line_format(uint32_t id, const uint8_t bytes[XT_AUDIT_PUBLIC],
                          char line[XT_AUDIT_LINE + 1]);

/* A line of audit.pub, whichever of the three forms it has; gives its bytes. */
size_t xt_audit_verifier_format(const struct xt_audit_verifier *verifier,
                                char line[XT_AUDIT_VOUCHED_LINE + 1]);

/* What the one before signs: id, key and time of the one that comes. */
#define XT_AUDIT_VOUCHED (4 + XT_AUDIT_PUBLIC + XT_KEY_TIME)
#define XT_AUDIT_VOUCH_LABEL "xt audit key 1"
void xt_audit_vouched(const struct xt_audit_verifier *verifier, uint8_t bytes[XT_AUDIT_VOUCHED]);

/* NULL: there is none of that id. */
const struct xt_audit_verifier *xt_audit_public_find(const struct xt_audit_public *keys,
                                                     uint32_t id);

enum xt_status xt_audit_bad_file(const char *path, struct xt_failure *failure);
/* Ed25519 signs a digest of label and message, both of which it covers: no copy of the message. */
void xt_audit_digest(const char *label, struct xt_span message, uint8_t digest[64]);

#endif
