/* net/writer: the process that alone writes the live store (store/live).
 *
 *   worker 0 ──┐  SOCK_SEQPACKET, one packet an event
 *   worker N ──┼──> read what there is (<= 256) -> one transaction, synced -> epoch -> answers ──> each
 *   supervisor ┘
 *
 * Grouping: a turn of the loop takes what has come, at most XT_LIVE_GROUP_MAX events, and commits it at
 * once. Nobody waits for company: while one group goes to the disk the next gathers in the sockets, so
 * groups grow with the load by themselves, and a single event has the disk for itself.
 * Order: an answer leaves after the commit and after the new epoch stands in shared memory, so who has
 * the answer, and whoever hears of it from him, sees the change in every process.
 * Bounds: a channel is not read while XT_WRITER_ANSWERS of its answers wait for their receiver; nothing
 * else is kept but the group at hand. What is not read waits in the kernel's buffers and then with the
 * sender, who is told XT_AGAIN (net/writer_channel).
 * Who may send what: the supervisor everything. A worker talks to strangers: of it only registry events and those
 * of accounts are taken, and only with the name of an active partner who has the right to tell them
 * (net/writer_rights); anything else is refused (XT_DENIED). The partners come from the supervisor, not from workers. A worker that was taken over can
 * still name such a partner where there is one, and tell the register what it likes in his name, count attempts
 * that nobody made, or end somebody's failures, and change accounts (net/writer_rights has all of it). Sequence
 * numbers that the audit log lacks are a sign of it (but for better hashes of passcodes, which have no entry) and no
 * proof, since it writes its entries itself. What undoes
 * such events is live/ from a backup of before; an import anew does not. An empty live/ and the registry's events
 * once more does as well, but loses the pepper and with it every passcode hashed here, devices and locks that were
 * set since the import, failures in a row (whoever was stopped may guess anew), what was revoked, and the key of
 * `sub`: partners then know nobody again.
 * The register: registry events are applied over the generation on record, which this process opens at its
 * start and after every generation_served; for that it keeps the master keys, and takes those that come
 * after them. Until it is open they are refused (XT_BUSY).
 * Compaction (store/live_fold): once the supervisor says that nobody reads another generation than the base,
 * entries of the overlay that the base holds are dropped, some hundred between two groups.
 * What is over (challenges, tokens, consents) is swept away, some hundred between two groups.
 * Full disk: the events are refused (XT_DISK_FULL) and nothing of them is applied; it goes on when there
 * is room. Any other failure to write ends the process: the supervisor starts another, and who had no
 * answer sends again with the same id.
 * The end: DRAIN: takes what was sent, answers, ends. The supervisor gone, or SIGTERM: goes on until
 * every channel has been closed by its other side, at most limits.drain_timeout, and ends.
 * One writer: it waits for DIR/live/.lock, that of the one before it (an upgrade), before it is READY.
 */
#ifndef XT_NET_WRITER_H
#define XT_NET_WRITER_H

#include "net/shared.h"

#define XT_WRITER_ANSWERS 1024

/* The child's command: START comes over XT_CONTROL_FD. Not for operators. */
int xt_command_serve_writer(int argc, char **argv);

/* Changes with every commit: what xt_live_refresh wants. Read it first, then the commit, then refresh. */
static inline uint64_t xt_writer_epoch(struct xt_shared *shared)
{
    return __atomic_load_n(&xt_shared_writer_counters(shared)->sequence.value, __ATOMIC_ACQUIRE);
}

/* The transaction that a reader who has read the epoch must see, at least; workers cannot write it. */
static inline uint64_t xt_writer_commit(struct xt_shared *shared)
{
    return __atomic_load_n(&xt_shared_writer_counters(shared)->commit.value, __ATOMIC_ACQUIRE);
}

#endif
