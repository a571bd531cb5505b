/* crypto/keyring_internal: what a keyring is. Private to crypto/keyring*. */
#ifndef XT_CRYPTO_KEYRING_INTERNAL_H
#define XT_CRYPTO_KEYRING_INTERNAL_H

#include "crypto/keyring.h"

#define XT_KEYRING_KEYS_MAX 256 /* a key a month for twenty years */

struct xt_master_key {
    uint32_t id;
    char made[XT_KEY_TIME + 1]; /* "": it came without */
    uint8_t bytes[XT_KEY_BYTES];
};

/* In locked memory, read-only once it is filled. */
struct xt_master_keys {
    size_t count;                /* at least 1; the last is the current one */
    struct xt_master_key keys[]; /* in the file's order */
};

/* A handle of its own, so that whoever borrowed it sees the keys that came meanwhile. */
struct xt_keyring {
    struct xt_master_keys *all;
};

/* With room for count keys; NULL: out of memory. */
struct xt_keyring *xt_keyring_alloc(size_t count);
/* Filled: nothing writes to it any more. */
void xt_keyring_seal_off(struct xt_keyring *keyring);
/* Among the first `count` keys; NULL: none. */
const struct xt_master_key *xt_keyring_find(const struct xt_keyring *keyring, size_t count,
                                            uint32_t id);

#endif
