/* store/live_copy: a copy of the live store as it was at one moment, and a look at such a copy.
 *
 * The copy is LMDB's own: of one snapshot, without free pages, while the writer goes on. Until it is done
 * no page that the snapshot shows is used again, so the store grows by what changes meanwhile.
 */
#ifndef XT_STORE_LIVE_COPY_H
#define XT_STORE_LIVE_COPY_H

#include "store/live.h"

/* Writes the copy to a new file. live: of a reader, which rests after this. XT_DISK_FULL, XT_IO; the file
 * is then not whole. */
XT_MUST_USE enum xt_status xt_live_copy(struct xt_live *live, const char *path,
                                        struct xt_failure *failure);

struct xt_live_facts {
    uint64_t sequence;   /* of the last event; 0: none yet */
    uint32_t generation; /* recorded as served last; 0: none */
    uint64_t records;    /* that were opened: every one there is */
    uint64_t window;     /* events that are known by their id */
};

/* Opens every record of a store at path that nobody writes (a copy), without a lock file. over: of the
 * generation that it is to lie over; NULL: that is not looked at. XT_CORRUPT: a record does not open, or the log
 * does not end at the position. XT_DENIED: sealed under a master key that the keyring has not. XT_INVALID: it may
 * not lie over that generation (store/live_fold). LMDB trusts its pages: only for a file that is known to be what
 * a copy wrote. */
XT_MUST_USE enum xt_status xt_live_inspect(const char *path, const struct xt_keyring *keyring,
                                           const struct xt_manifest *over,
                                           struct xt_live_facts *facts, struct xt_failure *failure);

#endif
