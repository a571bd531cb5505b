#include "crypto/keyring.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "crypto/file.h"
#include "crypto/hex.h"

/* xxxxxxxx 2026-11-21T09:00:00Z 64 hex digits */
#define ID_DIGITS 8
#define TIME_SIZE 20
#define LINE_SIZE (ID_DIGITS + 1 + TIME_SIZE + 1 + 2 * XT_KEY_BYTES + 1) /* with its newline */
#define KEYS_MAX 256 /* a key a month for twenty years */

struct master_key {
    uint32_t id;
    uint8_t bytes[XT_KEY_BYTES];
};

struct xt_keyring {
    size_t count;             /* at least 1; the last is the current one */
    struct master_key keys[]; /* in the file's order */
};

static void put32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get32(const uint8_t *bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value |= (uint32_t)bytes[i] << (8 * i);
    }
    return value;
}

static struct xt_keyring *allocate(size_t count)
{
    struct xt_keyring *made = xt_secret_alloc(sizeof(*made) + count * sizeof(made->keys[0]));
    if (made != NULL) {
        made->count = count;
    }
    return made;
}

/* Writes one line of the key file with a new key. */
static bool new_line(char line[LINE_SIZE + 1])
{
    uint32_t id;
    uint8_t key[XT_KEY_BYTES];
    char hex[2 * XT_KEY_BYTES + 1];
    char when[TIME_SIZE + 1];
    do {
        xt_random(&id, sizeof(id));
    } while (id == 0);
    time_t now = time(NULL);
    struct tm utc;
    bool dated = gmtime_r(&now, &utc) != NULL &&
                 strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc) == TIME_SIZE;
    xt_random(key, sizeof(key));
    sodium_bin2hex(hex, sizeof(hex), key, sizeof(key));
    if (dated) {
        snprintf(line, LINE_SIZE + 1, "%08" PRIx32 " %s %s\n", id, when, hex);
    }
    xt_wipe(key, sizeof(key));
    xt_wipe(hex, sizeof(hex));
    return dated;
}

enum xt_status xt_keyring_create(const char *path, struct xt_failure *failure)
{
    char line[LINE_SIZE + 1];
    if (!new_line(line)) {
        return xt_fail(failure, XT_IO, "cannot make a key: the clock gives no usable date");
    }
    enum xt_status status = xt_file_write(path, xt_span_of(line, LINE_SIZE), 0600, false, failure);
    xt_wipe(line, sizeof(line));
    return status;
}

/* The shape of a time; its value is for the operator only. */
static bool is_time(const uint8_t *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    for (size_t i = 0; i < TIME_SIZE; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != (uint8_t)shape[i]) {
            return false;
        }
    }
    return true;
}

static bool parse_line(const uint8_t line[LINE_SIZE], struct master_key *key)
{
    const uint8_t *when = line + ID_DIGITS + 1;
    const uint8_t *hex = when + TIME_SIZE + 1;
    uint8_t id[4];
    if (!xt_hex_parse(line, id, sizeof(id)) || line[ID_DIGITS] != ' ' || !is_time(when) ||
        when[TIME_SIZE] != ' ' || !xt_hex_parse(hex, key->bytes, XT_KEY_BYTES) ||
        line[LINE_SIZE - 1] != '\n') {
        return false;
    }
    key->id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    return key->id != 0;
}

static const struct master_key *find(const struct xt_keyring *keyring, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (keyring->keys[i].id == id) {
            return &keyring->keys[i];
        }
    }
    return NULL;
}

static enum xt_status parse(const char *path, const uint8_t *content, struct xt_keyring *keyring,
                            struct xt_failure *failure)
{
    for (size_t i = 0; i < keyring->count; i++) {
        struct master_key *key = &keyring->keys[i];
        if (!parse_line(content + i * LINE_SIZE, key)) {
            return xt_fail(failure, XT_INVALID,
                           "%s line %zu is not a key (id, time, 64 hex digits): restore the file "
                           "from its backup",
                           path, i + 1);
        }
        if (find(keyring, i, key->id) != NULL) {
            return xt_fail(failure, XT_INVALID,
                           "%s line %zu repeats the id %08" PRIx32 ": take one of the two out",
                           path, i + 1, key->id);
        }
    }
    return XT_OK;
}

enum xt_status xt_keyring_open(const char *path, struct xt_keyring **keyring,
                               struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status =
        xt_file_read_secret(path, (size_t)KEYS_MAX * LINE_SIZE, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_keyring *made = NULL;
    if (size == 0 || size % LINE_SIZE != 0) {
        status = xt_fail(failure, XT_INVALID,
                         "%s is empty, cut short or no key file: restore it from its backup", path);
        goto fail;
    }
    size_t count = size / LINE_SIZE;
    made = allocate(count);
    if (made == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path);
        goto fail;
    }
    status = parse(path, content, made, failure);
    if (status != XT_OK) {
        goto fail;
    }
    xt_file_release(content, size);
    xt_require(sodium_mprotect_readonly(made) == 0);
    *keyring = made;
    return XT_OK;

fail:
    xt_file_release(content, size);
    xt_secret_free(made);
    return status;
}

void xt_keyring_close(struct xt_keyring *keyring)
{
    xt_secret_free(keyring);
}

/* count 4 | id 4, key 32 | ... */
#define EXPORTED_KEY (4 + XT_KEY_BYTES)
_Static_assert(XT_KEYRING_EXPORT_MAX == 4 + KEYS_MAX * EXPORTED_KEY, "room for every key");

void xt_keyring_export(const struct xt_keyring *keyring, struct xt_writer *writer)
{
    uint8_t number[4];
    put32(number, (uint32_t)keyring->count);
    xt_write(writer, number, sizeof(number));
    for (size_t i = 0; i < keyring->count; i++) {
        put32(number, keyring->keys[i].id);
        xt_write(writer, number, sizeof(number));
        xt_write(writer, keyring->keys[i].bytes, XT_KEY_BYTES);
    }
}

enum xt_status xt_keyring_import(struct xt_span exported, struct xt_keyring **keyring)
{
    size_t count = exported.size < 4 ? 0 : get32(exported.data);
    if (count == 0 || count > KEYS_MAX || exported.size != 4 + count * EXPORTED_KEY) {
        return XT_INVALID;
    }
    struct xt_keyring *made = allocate(count);
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t *from = exported.data + 4 + i * EXPORTED_KEY;
        made->keys[i].id = get32(from);
        memcpy(made->keys[i].bytes, from + 4, XT_KEY_BYTES);
        if (made->keys[i].id == 0 || find(made, i, made->keys[i].id) != NULL) {
            xt_secret_free(made);
            return XT_INVALID;
        }
    }
    xt_require(sodium_mprotect_readonly(made) == 0);
    *keyring = made;
    return XT_OK;
}

uint32_t xt_keyring_current(const struct xt_keyring *keyring)
{
    return keyring->keys[keyring->count - 1].id;
}

enum xt_status xt_keyring_derive(const struct xt_keyring *keyring, uint32_t id, enum xt_key_use use,
                                 uint32_t number, const uint8_t salt[XT_SALT_BYTES],
                                 uint8_t key[XT_KEY_BYTES])
{
    const struct master_key *master = find(keyring, keyring->count, id);
    if (master == NULL) {
        return XT_NOT_FOUND;
    }
    /* label 16 | use 4 | number 4 | salt 32, all of fixed length */
    uint8_t message[16 + 4 + 4 + XT_SALT_BYTES] = "xacthuc key v1";
    put32(message + 16, (uint32_t)use);
    put32(message + 20, number);
    memcpy(message + 24, salt, XT_SALT_BYTES);
    int result = crypto_generichash_blake2b(key, XT_KEY_BYTES, message, sizeof(message),
                                            master->bytes, XT_KEY_BYTES);
    xt_require(result == 0);
    return XT_OK;
}
