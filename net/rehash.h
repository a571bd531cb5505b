/* net/rehash: the hash of a passcode is made anew once its holder has passed (crypto/passcode: outdated).
 *
 *   ATTEMPT -> verdict: passed -> a thread (net/hashing) -> PASSCODE_REHASHED to the writer -> answer
 *                      |
 *                      +- not -> answer: what the other way takes tells nothing that the answer does not
 *
 * The answer waits for it: whoever comes again behind it is compared with the new hash; an attempt that was
 * compared with the old one would be refused. The writer takes it only in place of the hash that was compared. Where
 * it cannot be made (a full queue, no memory, no writer) nothing is done: there will be another success.
 * Thread: the loop's.
 */
#ifndef XT_NET_REHASH_H
#define XT_NET_REHASH_H

#include "core/authenticate.h"
#include "net/deferred.h"

/* In the deferred's memory, where it stays until that is done. */
struct xt_rehash {
    struct xt_deferred *deferred;
    uint64_t number;
    uint8_t digest[XT_ACCOUNT_DIGEST]; /* of the hash that was compared (xt_live_factor_digest) */
    size_t passcode_size;
    uint8_t passcode[XT_PASSCODE_MAX];
};

/* In `decided` of a kind: true: it is under way, and the deferred is done with XT_OK after it. */
XT_MUST_USE bool xt_rehash_begin(struct xt_rehash *rehash, const struct xt_service *service);

#endif
