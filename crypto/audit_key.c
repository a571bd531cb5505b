#include "crypto/audit_key.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "crypto/hex.h"
#include "crypto/keyring.h"

#define SEED crypto_sign_SEEDBYTES
#define PUBLIC crypto_sign_PUBLICKEYBYTES
#define ID_DIGITS 8
#define LINE_SIZE (ID_DIGITS + 1 + 2 * SEED + 1) /* of either file, with its newline */
#define KEYS_MAX 64
#define LABEL 16
#define MESSAGE_MAX (1U << 20)

_Static_assert(SEED == PUBLIC, "both files have lines of one size");
_Static_assert(XT_AUDIT_SIGNATURE == crypto_sign_BYTES, "the size of a signature");

struct pair {
    uint32_t id;
    uint8_t public[PUBLIC];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
};

struct xt_audit_key {
    size_t count; /* at least 1 */
    struct pair pairs[];
};

struct verifier {
    uint32_t id;
    uint8_t public[PUBLIC];
};

struct xt_audit_public {
    size_t count;
    struct verifier keys[];
};

/* ---- files of keys ---------------------------------------------------------------------------- */

static bool parse_line(const uint8_t *line, uint32_t *id, uint8_t bytes[SEED])
{
    uint8_t number[4];
    if (!xt_hex_parse(line, number, sizeof(number)) || line[ID_DIGITS] != ' ' ||
        !xt_hex_parse(line + ID_DIGITS + 1, bytes, SEED) || line[LINE_SIZE - 1] != '\n') {
        return false;
    }
    *id = (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 |
          number[3];
    return *id != 0;
}

static void format_line(uint32_t id, const uint8_t bytes[SEED], char line[LINE_SIZE + 1])
{
    snprintf(line, LINE_SIZE + 1, "%08" PRIx32 " ", id);
    sodium_bin2hex(line + ID_DIGITS + 1, 2 * SEED + 1, bytes, SEED);
    line[LINE_SIZE - 1] = '\n';
    line[LINE_SIZE] = 0;
}

static enum xt_status bad_file(const char *path, struct xt_failure *failure)
{
    return xt_fail(
        failure, XT_INVALID,
        "%s is no file of audit keys (id and 64 hex digits a line, no id twice): restore "
        "it from its backup",
        path);
}

static bool parse_pairs(const uint8_t *content, struct xt_audit_key *key)
{
    for (size_t i = 0; i < key->count; i++) {
        struct pair *pair = &key->pairs[i];
        uint8_t seed[SEED];
        bool fine = parse_line(content + i * LINE_SIZE, &pair->id, seed);
        if (fine) {
            fine = crypto_sign_seed_keypair(pair->public, pair->secret, seed) == 0;
        }
        sodium_memzero(seed, sizeof(seed));
        for (size_t j = 0; fine && j < i; j++) {
            fine = key->pairs[j].id != pair->id;
        }
        if (!fine) {
            return false;
        }
    }
    return true;
}

enum xt_status xt_audit_key_open(const char *path, struct xt_audit_key **key,
                                 struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status =
        xt_file_read_secret(path, (size_t)KEYS_MAX * LINE_SIZE, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_audit_key *made = NULL;
    if (size == 0 || size % LINE_SIZE != 0) {
        status = bad_file(path, failure);
    } else {
        size_t count = size / LINE_SIZE;
        made = xt_secret_alloc(sizeof(*made) + count * sizeof(made->pairs[0]));
        if (made == NULL) {
            status = xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path);
        } else {
            made->count = count;
            status = parse_pairs(content, made) ? XT_OK : bad_file(path, failure);
        }
    }
    xt_file_release(content, size);
    if (status != XT_OK) {
        xt_secret_free(made);
        return status;
    }
    *key = made;
    return XT_OK;
}

void xt_audit_key_close(struct xt_audit_key *key)
{
    xt_secret_free(key);
}

static struct xt_audit_public *allocate(size_t count)
{
    struct xt_audit_public *made = calloc(1, sizeof(*made) + count * sizeof(made->keys[0]));
    if (made != NULL) {
        made->count = count;
    }
    return made;
}

enum xt_status xt_audit_public_open(const char *path, struct xt_audit_public **keys,
                                    struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status =
        xt_file_read(path, (size_t)KEYS_MAX * LINE_SIZE, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    size_t count = size / LINE_SIZE;
    struct xt_audit_public *made = allocate(count);
    bool fine = made != NULL && count > 0 && size % LINE_SIZE == 0;
    for (size_t i = 0; fine && i < count; i++) {
        fine = parse_line(content + i * LINE_SIZE, &made->keys[i].id, made->keys[i].public);
        for (size_t j = 0; fine && j < i; j++) {
            fine = made->keys[j].id != made->keys[i].id;
        }
    }
    xt_file_release(content, size);
    if (!fine) {
        status = made == NULL
                     ? xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path)
                     : bad_file(path, failure);
        free(made);
        return status;
    }
    *keys = made;
    return XT_OK;
}

enum xt_status xt_audit_public_of(const struct xt_audit_key *key, struct xt_audit_public **keys)
{
    struct xt_audit_public *made = allocate(key->count);
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    for (size_t i = 0; i < key->count; i++) {
        made->keys[i].id = key->pairs[i].id;
        memcpy(made->keys[i].public, key->pairs[i].public, PUBLIC);
    }
    *keys = made;
    return XT_OK;
}

void xt_audit_public_close(struct xt_audit_public *keys)
{
    free(keys);
}

uint32_t xt_audit_key_id(const struct xt_audit_key *key)
{
    return key->pairs[key->count - 1].id;
}

/* ---- signing ---------------------------------------------------------------------------------- */

/* Ed25519 over a digest of label and message, both of which it covers: no copy of the message. */
static void digest_labelled(const char *label, struct xt_span message, uint8_t digest[64])
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

void xt_audit_sign(const struct xt_audit_key *key, const char *label, struct xt_span message,
                   uint8_t signature[XT_AUDIT_SIGNATURE])
{
    uint8_t digest[64];
    digest_labelled(label, message, digest);
    int result = crypto_sign_detached(signature, NULL, digest, sizeof(digest),
                                      key->pairs[key->count - 1].secret);
    xt_require(result == 0);
}

enum xt_status xt_audit_check(const struct xt_audit_public *keys, uint32_t id, const char *label,
                              struct xt_span message, const uint8_t signature[XT_AUDIT_SIGNATURE])
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].id == id) {
            uint8_t digest[64];
            digest_labelled(label, message, digest);
            return crypto_sign_verify_detached(signature, digest, sizeof(digest),
                                               keys->keys[i].public) == 0
                       ? XT_OK
                       : XT_CORRUPT;
        }
    }
    return XT_NOT_FOUND;
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

/* ---- first use -------------------------------------------------------------------------------- */

static bool make_paths(const char *dir, char key[XT_PATH_MAX], char public[XT_PATH_MAX],
                       char head[XT_PATH_MAX], char list[XT_PATH_MAX])
{
    return xt_path_join(key, dir, "keys/audit.key") == XT_OK &&
           xt_path_join(public, dir, "keys/audit.pub") == XT_OK &&
           xt_path_join(head, dir, "audit/head") == XT_OK &&
           xt_path_join(list, dir, "audit/checkpoints") == XT_OK;
}

static enum xt_status make_files(struct xt_audit_key *key, const char *key_path,
                                 const char *public_path, const char *head_path,
                                 struct xt_failure *failure)
{
    char line[LINE_SIZE + 1];
    uint8_t seed[SEED];
    struct pair *pair = &key->pairs[0];
    struct xt_audit_head none = {.number = 0};
    do {
        xt_random(&pair->id, sizeof(pair->id));
    } while (pair->id == 0);
    xt_random(seed, sizeof(seed));
    xt_require(crypto_sign_seed_keypair(pair->public, pair->secret, seed) == 0);
    enum xt_status status = xt_audit_head_write(head_path, key, &none, failure);
    if (status == XT_OK) {
        format_line(pair->id, pair->public, line);
        status = xt_file_write(public_path, xt_span_of(line, LINE_SIZE), 0644, true, failure);
    }
    if (status == XT_OK) {
        format_line(pair->id, seed, line);
        status = xt_file_write(key_path, xt_span_of(line, LINE_SIZE), 0600, false, failure);
    }
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(line, sizeof(line));
    return status;
}

enum xt_status xt_audit_key_make(const char *dir, struct xt_failure *failure)
{
    char key_path[XT_PATH_MAX], public_path[XT_PATH_MAX], head[XT_PATH_MAX], list[XT_PATH_MAX];
    struct stat facts;
    if (!make_paths(dir, key_path, public_path, head, list)) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    if (lstat(key_path, &facts) == 0) {
        return XT_OK;
    }
    if (errno != ENOENT) {
        return xt_fail(failure, XT_IO, "cannot use %s: %s", key_path, strerror(errno));
    }
    if (lstat(list, &facts) == 0) {
        return xt_fail(failure, XT_DENIED,
                       "%s is missing, but there is an audit log that it signed: restore it from "
                       "its backup",
                       key_path);
    }
    struct xt_audit_key *key = xt_secret_alloc(sizeof(*key) + sizeof(key->pairs[0]));
    if (key == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot make %s: out of memory", key_path);
    }
    key->count = 1;
    enum xt_status status = make_files(key, key_path, public_path, head, failure);
    xt_audit_key_close(key);
    return status;
}
