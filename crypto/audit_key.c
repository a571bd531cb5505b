/* Keys that sign the audit log: their file, first use, rotation. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "crypto/audit_key_internal.h"
#include "crypto/credential.h"

#define SEED crypto_sign_SEEDBYTES

_Static_assert(SEED == XT_AUDIT_PUBLIC, "both files have lines of one size");
_Static_assert(XT_AUDIT_KEY_TIME == XT_KEY_TIME, "one form of time");

struct pair {
    uint32_t id;
    uint8_t public[XT_AUDIT_PUBLIC];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
};

struct xt_audit_key {
    size_t count; /* at least 1; the last signs */
    struct pair pairs[];
};

static bool parse_pairs(const uint8_t *content, struct xt_audit_key *key)
{
    for (size_t i = 0; i < key->count; i++) {
        struct pair *pair = &key->pairs[i];
        const uint8_t *line = content + i * XT_AUDIT_LINE;
        uint8_t seed[SEED];
        bool fine = line[XT_AUDIT_LINE - 1] == '\n' && xt_audit_line_parse(line, &pair->id, seed) &&
                    crypto_sign_seed_keypair(pair->public, pair->secret, seed) == 0;
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

static struct xt_audit_key *allocate(size_t count)
{
    struct xt_audit_key *made = xt_secret_alloc(sizeof(*made) + count * sizeof(made->pairs[0]));
    if (made != NULL) {
        made->count = count;
    }
    return made;
}

enum xt_status xt_audit_key_open(const char *path, struct xt_audit_key **key,
                                 struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read_secret(path, (size_t)XT_AUDIT_KEYS_MAX * XT_AUDIT_LINE,
                                                &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_audit_key *made = NULL;
    if (size == 0 || size % XT_AUDIT_LINE != 0) {
        status = xt_audit_bad_file(path, failure);
    } else if ((made = allocate(size / XT_AUDIT_LINE)) == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path);
    } else {
        status = parse_pairs(content, made) ? XT_OK : xt_audit_bad_file(path, failure);
    }
    xt_file_release_secret(content);
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

static const struct pair *signer(const struct xt_audit_key *key)
{
    return &key->pairs[key->count - 1];
}

uint32_t xt_audit_key_id(const struct xt_audit_key *key)
{
    return signer(key)->id;
}

void xt_audit_sign(const struct xt_audit_key *key, const char *label, struct xt_span message,
                   uint8_t signature[XT_AUDIT_SIGNATURE])
{
    uint8_t digest[64];
    xt_audit_digest(label, message, digest);
    int result = crypto_sign_detached(signature, NULL, digest, sizeof(digest), signer(key)->secret);
    xt_require(result == 0);
}

enum xt_status xt_audit_public_of(const struct xt_audit_key *key, struct xt_audit_public **keys)
{
    struct xt_audit_public *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    made->count = key->count;
    for (size_t i = 0; i < key->count; i++) {
        made->keys[i].id = key->pairs[i].id;
        memcpy(made->keys[i].public, key->pairs[i].public, XT_AUDIT_PUBLIC);
    }
    *keys = made;
    return XT_OK;
}

enum xt_status xt_audit_public_for(const char *dir, const struct xt_audit_key *key,
                                   struct xt_audit_public **keys, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_audit_public *read = NULL;
    enum xt_status status = xt_key_path(dir, "audit.pub", path, failure);
    if (status == XT_OK && xt_audit_public_open(path, &read, NULL) == XT_OK) {
        const struct xt_audit_verifier *own = xt_audit_public_find(read, xt_audit_key_id(key));
        if (own != NULL && memcmp(own->public, signer(key)->public, XT_AUDIT_PUBLIC) == 0) {
            *keys = read;
            return XT_OK;
        }
        xt_audit_public_close(read); /* of another key: those that we have tell more */
    }
    if (status == XT_OK && (status = xt_audit_public_of(key, keys)) != XT_OK) {
        (void)xt_fail(failure, status, "out of memory");
    }
    return status;
}

/* ---- new keys --------------------------------------------------------------------------------- */

/* A key of one pair, and its seed. */
static struct xt_audit_key *generate(uint8_t seed[SEED])
{
    struct xt_audit_key *key = allocate(1);
    if (key == NULL) {
        return NULL;
    }
    struct pair *pair = &key->pairs[0];
    do {
        xt_random(&pair->id, sizeof(pair->id));
    } while (pair->id == 0);
    xt_random(seed, SEED);
    xt_require(crypto_sign_seed_keypair(pair->public, pair->secret, seed) == 0);
    return key;
}

static enum xt_status write_key(const char *path, const struct xt_audit_key *key,
                                const uint8_t seed[SEED], bool replace, struct xt_failure *failure)
{
    char line[XT_AUDIT_LINE + 1];
    xt_audit_line_format(xt_audit_key_id(key), seed, line);
    enum xt_status status =
        xt_file_write(path, xt_span_of(line, XT_AUDIT_LINE), 0600, replace, failure);
    sodium_memzero(line, sizeof(line));
    return status;
}

static enum xt_status write_public(const char *path, const struct xt_audit_public *keys,
                                   struct xt_failure *failure)
{
    char *text = malloc(keys->count * XT_AUDIT_VOUCHED_LINE + 1);
    size_t size = 0;
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot write %s: out of memory", path);
    }
    for (size_t i = 0; i < keys->count; i++) {
        size += xt_audit_verifier_format(&keys->keys[i], text + size);
    }
    enum xt_status status = xt_file_write(path, xt_span_of(text, size), 0644, true, failure);
    free(text);
    return status;
}

/* ---- first use -------------------------------------------------------------------------------- */

static enum xt_status make_paths(const char *dir, char key[XT_PATH_MAX], char public[XT_PATH_MAX],
                                 char head[XT_PATH_MAX], char list[XT_PATH_MAX],
                                 struct xt_failure *failure)
{
    enum xt_status status = xt_key_path(dir, "audit.key", key, failure);
    if (status == XT_OK && (xt_path_join(public, dir, "keys/audit.pub") != XT_OK ||
                            xt_path_join(head, dir, "audit/head") != XT_OK ||
                            xt_path_join(list, dir, "audit/checkpoints") != XT_OK)) {
        status = xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    return status;
}

static enum xt_status make_files(const char *key_path, const char *public_path,
                                 const char *head_path, struct xt_failure *failure)
{
    uint8_t seed[SEED];
    struct xt_audit_head none = {.number = 0};
    struct xt_audit_public *keys = NULL;
    struct xt_audit_key *key = generate(seed);
    enum xt_status status = key != NULL ? xt_audit_public_of(key, &keys) : XT_NO_MEMORY;
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "cannot make %s: out of memory", key_path);
    } else if (!xt_key_time_now(keys->keys[0].made)) {
        keys->keys[0].made[0] = 0;
    }
    if (status == XT_OK) {
        status = xt_audit_head_write(head_path, key, &none, failure);
    }
    if (status == XT_OK) {
        status = write_public(public_path, keys, failure);
    }
    if (status == XT_OK) {
        status = write_key(key_path, key, seed, false, failure);
    }
    sodium_memzero(seed, sizeof(seed));
    xt_audit_public_close(keys);
    xt_audit_key_close(key);
    return status;
}

enum xt_status xt_audit_key_make(const char *dir, struct xt_failure *failure)
{
    char key_path[XT_PATH_MAX], public_path[XT_PATH_MAX], head[XT_PATH_MAX], list[XT_PATH_MAX];
    struct stat facts;
    enum xt_status status = make_paths(dir, key_path, public_path, head, list, failure);
    if (status != XT_OK) {
        return status;
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
    return make_files(key_path, public_path, head, failure);
}

/* ---- rotation --------------------------------------------------------------------------------- */

/* The next key after key, vouched for by it. Keys after it are of rotations that were killed before
 * they signed anything. */
static enum xt_status append(struct xt_audit_public *keys, const struct xt_audit_key *key,
                             const struct xt_audit_key *next, struct xt_failure *failure)
{
    uint8_t bytes[XT_AUDIT_VOUCHED];
    size_t own = (size_t)xt_audit_public_order(keys, xt_audit_key_id(key));
    keys->count = own + 1;
    if (keys->count == XT_AUDIT_KEYS_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "keys/audit.pub holds %d keys, which is all it can",
                       XT_AUDIT_KEYS_MAX);
    }
    struct xt_audit_verifier *added = &keys->keys[keys->count++];
    *added = (struct xt_audit_verifier){.id = xt_audit_key_id(next), .by = xt_audit_key_id(key)};
    memcpy(added->public, signer(next)->public, XT_AUDIT_PUBLIC);
    if (!xt_key_time_now(added->made)) {
        return xt_fail(failure, XT_IO, "cannot make a key: the clock gives no usable date");
    }
    xt_audit_vouched(added, bytes);
    xt_audit_sign(key, XT_AUDIT_VOUCH_LABEL, xt_span_of(bytes, sizeof(bytes)), added->signature);
    return XT_OK;
}

enum xt_status xt_audit_key_rotate(const char *dir, uint32_t *id, struct xt_failure *failure)
{
    char key_path[XT_PATH_MAX], public_path[XT_PATH_MAX], head[XT_PATH_MAX], list[XT_PATH_MAX];
    uint8_t seed[SEED];
    struct xt_audit_key *key = NULL, *next = NULL;
    struct xt_audit_public *keys = NULL;
    enum xt_status status = make_paths(dir, key_path, public_path, head, list, failure);
    if (status == XT_OK) {
        status = xt_file_is_no_link(key_path, failure);
    }
    if (status == XT_OK) {
        status = xt_file_is_no_link(public_path, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_key_make(dir, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_key_open(key_path, &key, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_public_for(dir, key, &keys, failure);
    }
    if (status == XT_OK) {
        do {
            xt_audit_key_close(next);
            next = generate(seed);
        } while (next != NULL && xt_audit_public_find(keys, xt_audit_key_id(next)) != NULL);
        status = next != NULL ? append(keys, key, next, failure)
                              : xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    /* Who verifies must know the key before it signs anything. */
    if (status == XT_OK) {
        status = write_public(public_path, keys, failure);
    }
    if (status == XT_OK) {
        status = write_key(key_path, next, seed, true, failure);
    }
    if (status == XT_OK) {
        *id = xt_audit_key_id(next);
    }
    sodium_memzero(seed, sizeof(seed));
    xt_audit_public_close(keys);
    xt_audit_key_close(next);
    xt_audit_key_close(key);
    return status;
}
