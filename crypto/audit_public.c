/* Public keys of the audit log: reading them, whom they vouch for, checking signatures. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/little_endian.h"
#include "crypto/audit_key_internal.h"
#include "crypto/hex.h"

#define LABEL 16
#define MESSAGE_MAX (1U << 20)

_Static_assert(XT_AUDIT_PUBLIC == crypto_sign_PUBLICKEYBYTES, "the size of a key");
_Static_assert(XT_AUDIT_SIGNATURE == crypto_sign_BYTES, "the size of a signature");

/* ---- lines ------------------------------------------------------------------------------------ */

static bool parse_id(const uint8_t *digits, uint32_t *id)
{
    uint8_t number[4];
    if (!xt_hex_parse(digits, number, sizeof(number))) {
        return false;
    }
    *id = (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 |
          number[3];
    return *id != 0;
}

bool xt_audit_line_parse(const uint8_t *line, uint32_t *id, uint8_t bytes[XT_AUDIT_PUBLIC])
{
    return parse_id(line, id) && line[XT_AUDIT_ID_DIGITS] == ' ' &&
           xt_hex_parse(line + XT_AUDIT_ID_DIGITS + 1, bytes, XT_AUDIT_PUBLIC);
}

void xt_audit_line_format(uint32_t id, const uint8_t bytes[XT_AUDIT_PUBLIC],
                          char line[XT_AUDIT_LINE + 1])
{
    snprintf(line, XT_AUDIT_LINE + 1, "%08" PRIx32 " ", id);
    sodium_bin2hex(line + XT_AUDIT_ID_DIGITS + 1, 2 * XT_AUDIT_PUBLIC + 1, bytes, XT_AUDIT_PUBLIC);
    line[XT_AUDIT_LINE - 1] = '\n';
    line[XT_AUDIT_LINE] = 0;
}

size_t xt_audit_verifier_format(const struct xt_audit_verifier *verifier,
                                char line[XT_AUDIT_VOUCHED_LINE + 1])
{
    xt_audit_line_format(verifier->id, verifier->public, line);
    size_t size = XT_AUDIT_LINE - 1;
    if (verifier->made[0] != 0) {
        size += (size_t)snprintf(line + size, 2 + XT_KEY_TIME, " %s", verifier->made);
    }
    if (verifier->by != 0) {
        char hex[2 * XT_AUDIT_SIGNATURE + 1];
        sodium_bin2hex(hex, sizeof(hex), verifier->signature, XT_AUDIT_SIGNATURE);
        size += (size_t)snprintf(line + size, XT_AUDIT_VOUCHED_LINE + 1 - size, " %08" PRIx32 " %s",
                                 verifier->by, hex);
    }
    line[size++] = '\n';
    line[size] = 0;
    return size;
}

/* size: with the newline. */
static bool parse_verifier(const uint8_t *line, size_t size, struct xt_audit_verifier *verifier)
{
    const uint8_t *when = line + XT_AUDIT_LINE;
    const uint8_t *by = when + XT_KEY_TIME + 1;
    bool dated = size == XT_AUDIT_DATED_LINE || size == XT_AUDIT_VOUCHED_LINE;
    *verifier = (struct xt_audit_verifier){.by = 0};
    if ((size != XT_AUDIT_LINE && !dated) ||
        !xt_audit_line_parse(line, &verifier->id, verifier->public)) {
        return false;
    }
    if (dated) {
        if (line[XT_AUDIT_LINE - 1] != ' ' || !xt_key_time_is(when)) {
            return false;
        }
        memcpy(verifier->made, when, XT_KEY_TIME);
    }
    return size != XT_AUDIT_VOUCHED_LINE ||
           (when[XT_KEY_TIME] == ' ' && parse_id(by, &verifier->by) &&
            by[XT_AUDIT_ID_DIGITS] == ' ' &&
            xt_hex_parse(by + XT_AUDIT_ID_DIGITS + 1, verifier->signature, XT_AUDIT_SIGNATURE));
}

enum xt_status xt_audit_bad_file(const char *path, struct xt_failure *failure)
{
    return xt_fail(
        failure, XT_INVALID,
        "%s is no file of audit keys (id and 64 hex digits a line, no id twice): restore "
        "it from its backup",
        path);
}

/* ---- trust ------------------------------------------------------------------------------------ */

const struct xt_audit_verifier *xt_audit_public_find(const struct xt_audit_public *keys,
                                                     uint32_t id)
{
    int at = xt_audit_public_order(keys, id);
    return at < 0 ? NULL : &keys->keys[at];
}

int xt_audit_public_order(const struct xt_audit_public *keys, uint32_t id)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

void xt_audit_vouched(const struct xt_audit_verifier *verifier, uint8_t bytes[XT_AUDIT_VOUCHED])
{
    struct xt_writer writer = xt_writer_over(bytes, XT_AUDIT_VOUCHED);
    xt_put(&writer, verifier->id, 4);
    xt_write(&writer, verifier->public, XT_AUDIT_PUBLIC);
    xt_write(&writer, verifier->made, XT_KEY_TIME);
}

static bool is_vouched_for(const struct xt_audit_verifier *verifier,
                           const struct xt_audit_public *keys)
{
    uint8_t bytes[XT_AUDIT_VOUCHED];
    xt_audit_vouched(verifier, bytes);
    return verifier->by != 0 &&
           xt_audit_check(keys, verifier->by, XT_AUDIT_VOUCH_LABEL,
                          xt_span_of(bytes, sizeof(bytes)), verifier->signature) == XT_OK;
}

void xt_audit_public_extend(struct xt_audit_public *keys, const struct xt_audit_public *more)
{
    for (size_t i = 0; i < more->count && keys->count < XT_AUDIT_KEYS_MAX; i++) {
        const struct xt_audit_verifier *verifier = &more->keys[i];
        if (xt_audit_public_find(keys, verifier->id) == NULL && is_vouched_for(verifier, keys)) {
            keys->keys[keys->count++] = *verifier;
        }
    }
}

/* ---- files ------------------------------------------------------------------------------------ */

static bool parse_all(struct xt_span text, struct xt_audit_public *keys)
{
    while (text.size > 0 && keys->count < XT_AUDIT_KEYS_MAX) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end == NULL ? 0 : (size_t)(end - text.data) + 1;
        struct xt_audit_verifier verifier;
        if (end == NULL || !parse_verifier(text.data, size, &verifier) ||
            xt_audit_public_find(keys, verifier.id) != NULL ||
            /* A signature that is there must be right; one of a key that was taken out of this copy
             * cannot be looked at. */
            (xt_audit_public_find(keys, verifier.by) != NULL && !is_vouched_for(&verifier, keys))) {
            return false;
        }
        keys->keys[keys->count++] = verifier;
        text = xt_span_of(text.data + size, text.size - size);
    }
    return text.size == 0 && keys->count > 0;
}

enum xt_status xt_audit_public_open(const char *path, struct xt_audit_public **keys,
                                    struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read(path, (size_t)XT_AUDIT_KEYS_MAX * XT_AUDIT_VOUCHED_LINE,
                                         &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_audit_public *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path);
    } else if (!parse_all(xt_span_of(content, size), made)) {
        status = xt_audit_bad_file(path, failure);
    }
    xt_file_release(content, size);
    if (status != XT_OK) {
        free(made);
        return status;
    }
    *keys = made;
    return XT_OK;
}

void xt_audit_public_close(struct xt_audit_public *keys)
{
    free(keys);
}

size_t xt_audit_public_count(const struct xt_audit_public *keys)
{
    return keys->count;
}

uint32_t xt_audit_public_at(const struct xt_audit_public *keys, size_t index,
                            char made[XT_AUDIT_KEY_TIME + 1], uint32_t *by)
{
    xt_require(index < keys->count);
    memcpy(made, keys->keys[index].made, XT_AUDIT_KEY_TIME + 1);
    *by = keys->keys[index].by;
    return keys->keys[index].id;
}

/* ---- signatures ------------------------------------------------------------------------------- */

void xt_audit_digest(const char *label, struct xt_span message, uint8_t digest[64])
{
    char fixed[LABEL] = {0};
    size_t size = strlen(label);
    memcpy(fixed, label, size < LABEL ? size : LABEL);
    crypto_generichash_blake2b_state state;
    xt_require(message.size <= MESSAGE_MAX);
    crypto_generichash_blake2b_init(&state, NULL, 0, 64);
    crypto_generichash_blake2b_update(&state, (const uint8_t *)fixed, LABEL);
    crypto_generichash_blake2b_update(&state, message.data, message.size);
    crypto_generichash_blake2b_final(&state, digest, 64);
}

enum xt_status xt_audit_check(const struct xt_audit_public *keys, uint32_t id, const char *label,
                              struct xt_span message, const uint8_t signature[XT_AUDIT_SIGNATURE])
{
    const struct xt_audit_verifier *verifier = xt_audit_public_find(keys, id);
    uint8_t digest[64];
    if (verifier == NULL) {
        return XT_NOT_FOUND;
    }
    xt_audit_digest(label, message, digest);
    return crypto_sign_verify_detached(signature, digest, sizeof(digest), verifier->public) == 0
               ? XT_OK
               : XT_CORRUPT;
}

void xt_audit_chain(const uint8_t before[XT_AUDIT_DIGEST], struct xt_span bytes,
                    uint8_t next[XT_AUDIT_DIGEST])
{
    crypto_generichash_blake2b_state state;
    crypto_generichash_blake2b_init(&state, NULL, 0, XT_AUDIT_DIGEST);
    crypto_generichash_blake2b_update(&state, before, XT_AUDIT_DIGEST);
    crypto_generichash_blake2b_update(&state, bytes.data, bytes.size);
    crypto_generichash_blake2b_final(&state, next, XT_AUDIT_DIGEST);
}
