/* DIR/keys/master.keys: reading, and writing it anew as a whole. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "crypto/file.h"
#include "crypto/hex.h"
#include "crypto/keyring_internal.h"

/* xxxxxxxx 2026-11-21T09:00:00Z 64 hex digits */
#define ID_DIGITS 8
#define LINE_SIZE (ID_DIGITS + 1 + XT_KEY_TIME + 1 + 2 * XT_KEY_BYTES + 1) /* with its newline */

bool xt_key_time_now(char text[XT_KEY_TIME + 1])
{
    time_t now = time(NULL);
    struct tm utc;
    return gmtime_r(&now, &utc) != NULL &&
           strftime(text, XT_KEY_TIME + 1, "%Y-%m-%dT%H:%M:%SZ", &utc) == XT_KEY_TIME;
}

bool xt_key_time_is(const uint8_t *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    for (size_t i = 0; i < XT_KEY_TIME; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != (uint8_t)shape[i]) {
            return false;
        }
    }
    return true;
}

/* Writes one line of the key file with a new key. */
static bool new_line(char line[LINE_SIZE + 1], uint32_t id)
{
    uint8_t key[XT_KEY_BYTES];
    char hex[2 * XT_KEY_BYTES + 1];
    char when[XT_KEY_TIME + 1];
    if (!xt_key_time_now(when)) {
        return false;
    }
    xt_random(key, sizeof(key));
    sodium_bin2hex(hex, sizeof(hex), key, sizeof(key));
    snprintf(line, LINE_SIZE + 1, "%08" PRIx32 " %s %s\n", id, when, hex);
    xt_wipe(key, sizeof(key));
    xt_wipe(hex, sizeof(hex));
    return true;
}

static uint32_t new_id(const struct xt_keyring *others)
{
    uint32_t id;
    do {
        xt_random(&id, sizeof(id));
    } while (id == 0 || (others != NULL && xt_keyring_has(others, id)));
    return id;
}

static enum xt_status no_clock(struct xt_failure *failure)
{
    return xt_fail(failure, XT_IO, "cannot make a key: the clock gives no usable date");
}

enum xt_status xt_keyring_create(const char *path, struct xt_failure *failure)
{
    char line[LINE_SIZE + 1];
    if (!new_line(line, new_id(NULL))) {
        return no_clock(failure);
    }
    enum xt_status status = xt_file_write(path, xt_span_of(line, LINE_SIZE), 0600, false, failure);
    xt_wipe(line, sizeof(line));
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static bool parse_line(const uint8_t line[LINE_SIZE], struct xt_master_key *key)
{
    const uint8_t *when = line + ID_DIGITS + 1;
    const uint8_t *hex = when + XT_KEY_TIME + 1;
    uint8_t id[4];
    if (!xt_hex_parse(line, id, sizeof(id)) || line[ID_DIGITS] != ' ' || !xt_key_time_is(when) ||
        when[XT_KEY_TIME] != ' ' || !xt_hex_parse(hex, key->bytes, XT_KEY_BYTES) ||
        line[LINE_SIZE - 1] != '\n') {
        return false;
    }
    key->id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    memcpy(key->made, when, XT_KEY_TIME);
    return key->id != 0;
}

static enum xt_status parse(const char *path, const uint8_t *content, struct xt_keyring *keyring,
                            struct xt_failure *failure)
{
    for (size_t i = 0; i < keyring->all->count; i++) {
        struct xt_master_key *key = &keyring->all->keys[i];
        if (!parse_line(content + i * LINE_SIZE, key)) {
            return xt_fail(failure, XT_INVALID,
                           "%s line %zu is not a key (id, time, 64 hex digits): restore the file "
                           "from its backup",
                           path, i + 1);
        }
        if (xt_keyring_find(keyring, i, key->id) != NULL) {
            return xt_fail(failure, XT_INVALID,
                           "%s line %zu repeats the id %08" PRIx32 ": take one of the two out",
                           path, i + 1, key->id);
        }
    }
    return XT_OK;
}

static enum xt_status parse_all(const char *path, const uint8_t *content, size_t size,
                                struct xt_keyring **keyring, struct xt_failure *failure)
{
    if (size == 0 || size % LINE_SIZE != 0) {
        return xt_fail(failure, XT_INVALID,
                       "%s is empty, cut short or no key file: restore it from its backup", path);
    }
    struct xt_keyring *made = xt_keyring_alloc(size / LINE_SIZE);
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path);
    }
    enum xt_status status = parse(path, content, made, failure);
    if (status != XT_OK) {
        xt_keyring_close(made);
        return status;
    }
    xt_keyring_seal_off(made);
    *keyring = made;
    return XT_OK;
}

enum xt_status xt_keyring_open(const char *path, struct xt_keyring **keyring,
                               struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read_secret(path, (size_t)XT_KEYRING_KEYS_MAX * LINE_SIZE,
                                                &content, &size, failure);
    if (status == XT_OK) {
        status = parse_all(path, content, size, keyring, failure);
        xt_file_release_secret(content);
    }
    return status;
}

/* ---- changing --------------------------------------------------------------------------------- */

enum xt_status xt_keyring_add(const char *path, uint32_t *id, struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    struct xt_keyring *present = NULL;
    enum xt_status status = xt_file_is_no_link(path, failure);
    if (status == XT_OK) {
        status = xt_file_read_secret(path, (size_t)XT_KEYRING_KEYS_MAX * LINE_SIZE, &content, &size,
                                     failure);
    }
    if (status != XT_OK) {
        return status;
    }
    char *text = NULL;
    status = parse_all(path, content, size, &present, failure);
    if (status == XT_OK && xt_keyring_count(present) == XT_KEYRING_KEYS_MAX) {
        status = xt_fail(failure, XT_TOO_LARGE,
                         "%s holds %d keys, which is all it can: retire those that nothing needs "
                         "(xacthuc keys list)",
                         path, XT_KEYRING_KEYS_MAX);
    }
    if (status == XT_OK && (text = xt_secret_alloc(size + LINE_SIZE + 1)) == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot write %s: out of memory", path);
    }
    if (status == XT_OK && text != NULL) {
        *id = new_id(present);
        memcpy(text, content, size);
        status = new_line(text + size, *id)
                     ? xt_file_write(path, xt_span_of(text, size + LINE_SIZE), 0600, true, failure)
                     : no_clock(failure);
    }
    xt_secret_free(text);
    xt_keyring_close(present);
    xt_file_release_secret(content);
    return status;
}

enum xt_status xt_keyring_remove(const char *path, uint32_t id, struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    struct xt_keyring *present = NULL;
    enum xt_status status = xt_file_is_no_link(path, failure);
    if (status == XT_OK) {
        status = xt_file_read_secret(path, (size_t)XT_KEYRING_KEYS_MAX * LINE_SIZE, &content, &size,
                                     failure);
    }
    if (status != XT_OK) {
        return status;
    }
    status = parse_all(path, content, size, &present, failure);
    if (status == XT_OK && xt_keyring_current(present) == id) {
        status = xt_fail(failure, XT_DENIED,
                         "%08" PRIx32 " is the current master key: rotate first", id);
    } else if (status == XT_OK && !xt_keyring_has(present, id)) {
        status = xt_fail(failure, XT_NOT_FOUND, "%s has no key %08" PRIx32, path, id);
    }
    size_t at = 0;
    for (size_t i = 0; status == XT_OK && present != NULL && i < xt_keyring_count(present); i++) {
        at = present->all->keys[i].id == id ? i * LINE_SIZE : at;
    }
    if (status == XT_OK) {
        memmove(content + at, content + at + LINE_SIZE, size - at - LINE_SIZE);
        status = xt_file_write(path, xt_span_of(content, size - LINE_SIZE), 0600, true, failure);
    }
    xt_keyring_close(present);
    xt_file_release_secret(content);
    return status;
}
