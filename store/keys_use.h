/* store/keys_use: what in a deployment is sealed under which master key: the generations, the live store,
 * the segments of the audit log, the days of quotas. (Spill files of an import have a key of their own, in memory only.)
 */
#ifndef XT_STORE_KEYS_USE_H
#define XT_STORE_KEYS_USE_H

#include "crypto/keyring.h"

/* Of one master key. */
struct xt_key_use_count {
    uint32_t id;
    uint32_t generations, first_generation,
        last_generation; /* the latter two of these, by number */
    bool live_store;
    uint64_t segments;   /* of the audit log */
    uint32_t quota_days; /* whose ids are counted under it: today, and the next for a while */
};

struct xt_keys_use {
    size_t count;
    struct xt_key_use_count *keys; /* oldest key first, then those that the keyring has not */
};

/* Reads the manifest of every generation, the live store's header and every segment's. Anything that
 * cannot be read is an error, since it may need any key: XT_CORRUPT, XT_IO, XT_DENIED (the live store is
 * under a key that the keyring has not). */
XT_MUST_USE enum xt_status xt_keys_use_read(const char *dir, const struct xt_keyring *keyring,
                                            struct xt_keys_use *use, struct xt_failure *failure);
void xt_keys_use_free(struct xt_keys_use *use);

/* Of one key, whether it is used or not. */
struct xt_key_use_count xt_keys_use_of(const struct xt_keys_use *use, uint32_t id);
bool xt_key_is_used(const struct xt_key_use_count *count);

#endif
