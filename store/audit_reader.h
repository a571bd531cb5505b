/* store/audit_reader: one segment, batch after batch, in constant memory. Trusts nothing that it reads.
 *
 * Thread: one each. Memory: 256 KiB, opaque; what is unsealed is in no core dump and
 * wiped on close.
 */
#ifndef XT_STORE_AUDIT_READER_H
#define XT_STORE_AUDIT_READER_H

#include "store/audit_format.h"

struct xt_audit_reader; /* opaque */

/* fd: of a segment, with reading; taken over, also on failure. keyring NULL: the chain alone is checked and
 * nothing unsealed. XT_AGAIN: shorter than a header; XT_CORRUPT: its header; XT_NOT_FOUND: no such master
 * key; XT_UNSUPPORTED; XT_IO; XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_audit_reader_open(int fd, const struct xt_keyring *keyring,
                                                struct xt_audit_reader **reader);
void xt_audit_reader_close(struct xt_audit_reader *reader); /* NULL is fine */

const struct xt_audit_header *xt_audit_reader_header(const struct xt_audit_reader *reader);
/* NULL without a keyring. */
const struct xt_audit_keys *xt_audit_reader_keys(const struct xt_audit_reader *reader);
/* Up to where it was read. */
const struct xt_audit_state *xt_audit_reader_state(const struct xt_audit_reader *reader);
/* Goes on from there: a state of this segment. */
void xt_audit_reader_seek(struct xt_audit_reader *reader, const struct xt_audit_state *state);

/* The next batch's plain header, without going on. XT_NOT_FOUND: the file ends here, between batches.
 * XT_AGAIN: it ends within a batch. XT_CORRUPT: no batch. XT_IO. */
XT_MUST_USE enum xt_status xt_audit_reader_peek(struct xt_audit_reader *reader,
                                                struct xt_audit_batch *batch);
/* After peek: checks and unseals it and goes on. *plain: its entries (xt_audit_entry_next), until the next
 * call; empty without a keyring. XT_CORRUPT, XT_UNSUPPORTED: *what says why. */
XT_MUST_USE enum xt_status xt_audit_reader_take(struct xt_audit_reader *reader,
                                                const struct xt_audit_batch *batch,
                                                struct xt_span *plain, const char **what);
/* After peek: goes on without looking at it. The digest in it is believed; a wrong one makes the next
 * take fail. */
void xt_audit_reader_skip(struct xt_audit_reader *reader, const struct xt_audit_batch *batch);

/* Whether the file, from where the reader stands, could be the rest of a write that a crash tore: it ends
 * within a batch, or from some point within this batch to its end there are zeros only (a file that grew
 * before its data came to the disk). */
XT_MUST_USE enum xt_status xt_audit_reader_is_torn(struct xt_audit_reader *reader, bool *torn,
                                                   uint64_t *size);

#endif
