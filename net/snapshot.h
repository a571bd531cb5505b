/* net/snapshot: what the workers are given to serve by that is not secret, in one sealed memory file.
 *
 *   header   magic, counts, sizes (memory order: writer and readers are the same program)
 *   chain    PEM: our certificate and its intermediates
 *   authority PEM: who signs client certificates
 *   revocations PEM: empty when there are none
 *   partners each: rate cell, size, JSON as xt_partner_to_json writes it, in the order of their names
 *
 * The supervisor writes one at every change and seals it (F_SEAL_WRITE, _GROW, _SHRINK, _SEAL): from
 * then on nobody can change it, so a worker may trust what it mapped. The set of partners in it is
 * settled: which certificate is whose has been decided with the set before at hand, once, and not by
 * each worker for itself.
 * Limits: the texts of XT_PARTNERS_MAX partners and three PEM files.
 */
#ifndef XT_NET_SNAPSHOT_H
#define XT_NET_SNAPSHOT_H

#include "store/partners.h"

struct xt_snapshot_parts {
    struct xt_span chain, authority, revocations;
    const struct xt_partners *partners;
    const uint32_t *cells; /* the rate cell of each partner (net/rates), in the order of the set */
};

/* Writes a sealed memory file; *fd is cloexec. XT_NO_MEMORY, XT_IO. */
XT_MUST_USE enum xt_status xt_snapshot_write(const struct xt_snapshot_parts *parts, int *fd,
                                             struct xt_failure *failure);

/* One that was received. */
struct xt_snapshot {
    struct xt_span chain, authority, revocations; /* borrowed from the map */
    struct xt_partners *partners; /* owned: take it and leave NULL, or it is freed */
    uint32_t *cells;              /* owned in the same way */
    const uint8_t *map;
    size_t size;
};

/* Maps it and parses the partners; fd stays the caller's. XT_DENIED: not sealed; XT_CORRUPT: not a
 * snapshot; XT_NO_MEMORY. xt_snapshot_close after every status. */
XT_MUST_USE enum xt_status xt_snapshot_open(int fd, struct xt_snapshot *snapshot,
                                            struct xt_failure *failure);
void xt_snapshot_close(struct xt_snapshot *snapshot);

#endif
