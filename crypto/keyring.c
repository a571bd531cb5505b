#include <sodium.h>
#include <stdlib.h>

#include "core/little_endian.h"
#include "crypto/keyring_internal.h"

struct xt_keyring *xt_keyring_alloc(size_t count)
{
    struct xt_keyring *made = malloc(sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    made->all = xt_secret_alloc(sizeof(*made->all) + count * sizeof(made->all->keys[0]));
    if (made->all == NULL) {
        free(made);
        return NULL;
    }
    memset(made->all, 0, sizeof(*made->all) + count * sizeof(made->all->keys[0]));
    made->all->count = count;
    return made;
}

void xt_keyring_seal_off(struct xt_keyring *keyring)
{
    xt_require(sodium_mprotect_readonly(keyring->all) == 0);
}

void xt_keyring_close(struct xt_keyring *keyring)
{
    if (keyring != NULL) {
        xt_secret_free(keyring->all);
        free(keyring);
    }
}

void xt_keyring_take(struct xt_keyring *keyring, struct xt_keyring *other)
{
    struct xt_master_keys *before = keyring->all;
    keyring->all = other->all;
    other->all = before;
    xt_keyring_close(other);
}

const struct xt_master_key *xt_keyring_find(const struct xt_keyring *keyring, size_t count,
                                            uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (keyring->all->keys[i].id == id) {
            return &keyring->all->keys[i];
        }
    }
    return NULL;
}

/* ---- looking ---------------------------------------------------------------------------------- */

uint32_t xt_keyring_current(const struct xt_keyring *keyring)
{
    return keyring->all->keys[keyring->all->count - 1].id;
}

bool xt_keyring_has(const struct xt_keyring *keyring, uint32_t id)
{
    return xt_keyring_find(keyring, keyring->all->count, id) != NULL;
}

size_t xt_keyring_count(const struct xt_keyring *keyring)
{
    return keyring->all->count;
}

uint32_t xt_keyring_at(const struct xt_keyring *keyring, size_t index, char made[XT_KEY_TIME + 1])
{
    xt_require(index < keyring->all->count);
    memcpy(made, keyring->all->keys[index].made, XT_KEY_TIME + 1);
    return keyring->all->keys[index].id;
}

bool xt_keyring_is_same(const struct xt_keyring *a, const struct xt_keyring *b)
{
    bool same = a->all->count == b->all->count;
    for (size_t i = 0; same && i < a->all->count; i++) {
        same = a->all->keys[i].id == b->all->keys[i].id &&
               xt_secret_equal(a->all->keys[i].bytes, b->all->keys[i].bytes, XT_KEY_BYTES);
    }
    xt_wipe_registers();
    return same;
}

/* ---- to other processes ----------------------------------------------------------------------- */

/* count 4 | id 4, key 32 | ... */
#define EXPORTED_KEY (4 + XT_KEY_BYTES)
_Static_assert(XT_KEYRING_EXPORT_MAX == 4 + XT_KEYRING_KEYS_MAX * EXPORTED_KEY,
               "room for every key");

void xt_keyring_export(const struct xt_keyring *keyring, struct xt_writer *writer)
{
    xt_put(writer, keyring->all->count, 4);
    for (size_t i = 0; i < keyring->all->count; i++) {
        xt_put(writer, keyring->all->keys[i].id, 4);
        xt_write(writer, keyring->all->keys[i].bytes, XT_KEY_BYTES);
    }
    xt_wipe_registers();
}

enum xt_status xt_keyring_import(struct xt_span exported, struct xt_keyring **keyring)
{
    struct xt_taker taker = xt_taker_over(exported);
    size_t count = (size_t)xt_take(&taker, 4);
    if (taker.bad || count == 0 || count > XT_KEYRING_KEYS_MAX ||
        exported.size != 4 + count * EXPORTED_KEY) {
        return XT_INVALID;
    }
    struct xt_keyring *made = xt_keyring_alloc(count);
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        struct xt_master_key *key = &made->all->keys[i];
        key->id = (uint32_t)xt_take(&taker, 4);
        xt_take_copy(&taker, key->bytes, XT_KEY_BYTES);
        if (key->id == 0 || xt_keyring_find(made, i, key->id) != NULL) {
            xt_keyring_close(made);
            return XT_INVALID;
        }
    }
    xt_wipe_registers();
    xt_keyring_seal_off(made);
    *keyring = made;
    return XT_OK;
}

/* ---- derived keys ----------------------------------------------------------------------------- */

#define STACK_USED 4096 /* bytes below us, more than any BLAKE2b of libsodium takes */

enum xt_status xt_keyring_derive(const struct xt_keyring *keyring, uint32_t id, enum xt_key_use use,
                                 uint32_t number, const uint8_t salt[XT_SALT_BYTES],
                                 uint8_t key[XT_KEY_BYTES])
{
    const struct xt_master_key *master = xt_keyring_find(keyring, keyring->all->count, id);
    if (master == NULL) {
        return XT_NOT_FOUND;
    }
    /* label 16 | use 4 | number 4 | salt 32, all of fixed length */
    uint8_t message[16 + 4 + 4 + XT_SALT_BYTES] = "xacthuc key v1";
    struct xt_writer writer = xt_writer_over(message + 16, sizeof(message) - 16);
    xt_put(&writer, (uint64_t)use, 4);
    xt_put(&writer, number, 4);
    xt_write(&writer, salt, XT_SALT_BYTES);
    int result = crypto_generichash_blake2b(key, XT_KEY_BYTES, message, sizeof(message),
                                            master->bytes, XT_KEY_BYTES);
    xt_require(result == 0);
    xt_wipe_registers();
    sodium_stackzero(
        STACK_USED); /* the hash works on copies of the master key, and leaves them there */
    return XT_OK;
}
