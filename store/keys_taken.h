/* store/keys_taken: DIR/supervisor/keys.taken, by which a running server tells `xacthuc keys` what it has taken up.
 *
 *   master 0123abcd      current master key of every process
 *   tickets 4567cdef     0: none was ever asked for
 *   signing 89ab0123     that signs answers; 0: none does
 *   token cdef4567       the same for tokens
 *
 * Written once all of them have it, so that nobody seals under an older one any more; and gone when the
 * server has ended in order. Ids only, nothing secret.
 */
#ifndef XT_STORE_KEYS_TAKEN_H
#define XT_STORE_KEYS_TAKEN_H

#include "crypto/file.h"

struct xt_keys_taken {
    uint32_t master, tickets, signing, token;
};

XT_MUST_USE enum xt_status xt_keys_taken_write(const char *dir, const struct xt_keys_taken *taken,
                                               struct xt_failure *failure);
void xt_keys_taken_remove(const char *dir);

/* *runs: a server has DIR. Then *taken is what it has told; zeros: nothing so far. */
XT_MUST_USE enum xt_status xt_keys_taken_read(const char *dir, bool *runs,
                                              struct xt_keys_taken *taken,
                                              struct xt_failure *failure);

#endif
