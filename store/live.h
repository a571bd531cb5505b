/* store/live: what changed since the served generation was made, and what must survive a restart.
 *
 *   DIR/live/
 *     live.mdb         LMDB, default sync: what a commit gave XT_OK for is on the disk
 *     live.mdb-lock    LMDB's reader table and its writers' mutex
 *     .lock            who has it (flock) is the one writer
 *
 *   table `header`   "header" -> magic, version, key id, salt, wrapped key of the hashes, MAC
 *   table `state`    keyed hash of kind and key (16 bytes) -> sealed record: kind, version, sequence
 *                    of the event that wrote it, fields
 *   table `log`      sequence, 8 bytes big endian -> sealed: hash of the event's id, hash of its
 *                    content, time, type
 *   table `due`      what is over one day, and when (store/live_account)
 *   tables `people`, `touched`    the overlay: people as they are now (store/live_overlay)
 *
 * Every event that is applied gets the next sequence number: no gap, no number twice. Its effect, its
 * line in the log and the position (the last number) are in one transaction, so after a crash an event
 * was applied whole or not at all, and replay from the position applies each once.
 * A new master key seals the whole store anew (xt_live_reseal), all or nothing. The key of the hashes goes
 * along, wrapped, and with it the key of the overlay's ids, which follows from it: hashes cannot be made
 * again, so whoever has an old copy and its master key can tell which of them stand in the new one as well
 * (by trying numbers also who is in the overlay), and nothing of what is sealed.
 * Idempotent: an event whose id is in the log is not applied again; the answer is that of the first
 * time. The log keeps an id for XT_LIVE_WINDOW_MS, but at most XT_LIVE_WINDOW_EVENTS of them (the newest
 * XT_LIVE_WINDOW_EVENTS - 2 * XT_LIVE_GROUP_MAX for certain): whoever sends an event again later than
 * that sends a new one.
 * Events of accounts that change no record (attempts, tokens, consents, requests of the back channel) are kept
 * apart, for XT_LIVE_ATTEMPTS_MS and at most XT_LIVE_ATTEMPTS_EVENTS of them: anybody can make thousands a second of
 * them come, and none of those pushes an event of the register out. So the log has gaps; the position tells how
 * many lines it has.
 *
 * Open it after fork(), and at most once in a process at a time (LMDB's file locks end when a process
 * closes the file elsewhere). LMDB trusts the pages of its own tree: who can write live.mdb can crash
 * its readers (not read it: records are sealed), and can put an older copy of the whole file there.
 * Thread:  one. Blocks: readers on a page fault only; the writer for the disk.
 */
#ifndef XT_STORE_LIVE_H
#define XT_STORE_LIVE_H

#include "crypto/keyring.h"
#include "store/live_event.h"

#define XT_LIVE_VERSION 2     /* 1: the key of the hashes is derived; xt_live_reseal makes it 2 */
#define XT_LIVE_GROUP_MAX 256 /* events in one transaction */
#define XT_LIVE_READERS                                                                            \
    1024 /* places in the reader table: processes at a time, upgrades included */

/* The window of idempotency. A day is longer than any client goes on trying; a million events are ten
 * times what a day brings, and take 48 MiB of the writer's memory.
 * A clock may leap: from one event to the next no more than XT_LIVE_GAP_MS are counted, and nothing when it
 * goes back. So a leap by a year forgets nothing, and where events are rare ids are kept for longer. */
#define XT_LIVE_WINDOW_MS (24ULL * 3600 * 1000)
#define XT_LIVE_GAP_MS (600ULL * 1000)
#define XT_LIVE_WINDOW_EVENTS (1U << 20)
/* Their ids are random, and whoever sends one again does so while a request waits for it (seconds): half a
 * minute at 4,000 a second; 6 MiB. */
#define XT_LIVE_ATTEMPTS_MS (600ULL * 1000)
#define XT_LIVE_ATTEMPTS_EVENTS (1U << 17)

/* Address space of the map, doubled when half of it is in use; readers follow by themselves. */
#define XT_LIVE_MAP_LEAST (256ULL << 20)
#define XT_LIVE_MAP_MOST (1ULL << 40)

struct xt_live; /* opaque */

/* ---- the writer ------------------------------------------------------------------------------ */

/* Takes DIR/live/.lock: XT_BUSY while another writer has it (the kernel lets go of it when that
 * process ends, however it ends). Keep *fd open. XT_NOT_FOUND: DIR has no folder live. */
XT_MUST_USE enum xt_status xt_live_lock(const char *dir, int *fd, struct xt_failure *failure);

/* Makes an empty store where there is none, under the lock, so that readers can be opened before the first
 * writer is there. XT_BUSY: none is there yet, and a writer has the lock. Else as xt_live_open_writer. */
XT_MUST_USE enum xt_status xt_live_make(const char *dir, const struct xt_keyring *keyring,
                                        struct xt_failure *failure);

/* With the lock held. Makes an empty store where there is none; forgets readers that were killed;
 * reads the window (about 1 us an event). XT_UNSUPPORTED: of another version, or not on a local disk;
 * XT_DENIED: sealed under a master key that the keyring has not; XT_CORRUPT; XT_DISK_FULL; XT_IO.
 * Before a sandbox and after RLIMIT_FSIZE was set: what that is now tells a full disk from a broken one
 * later. */
XT_MUST_USE enum xt_status xt_live_open_writer(const char *dir, const struct xt_keyring *keyring,
                                               struct xt_live **live, struct xt_failure *failure);

/* What became of an attempt (store/live_account). */
enum xt_attempt {
    XT_ATTEMPT_NONE, /* it was none, or one of before of which nobody knows any more */
    XT_ATTEMPT_PASSED,
    XT_ATTEMPT_FAILED,
    XT_ATTEMPT_UNUSABLE,
    XT_ATTEMPT_USED,
    XT_ATTEMPT_THROTTLED,
    XT_ATTEMPT_IN_VAIN, /* it passed; the change that it was shown for cannot be made: `conflict`, not in duplicates */
    XT_ATTEMPT_COUNT
};

/* What became of one event. status XT_OK: applied and durable, now or (duplicate) before. Else it
 * changed nothing: XT_INVALID, XT_UNSUPPORTED as xt_event_decode has them; XT_EXISTS: its id was used
 * for another event; XT_DENIED: against the rules of its type; XT_DISK_FULL; and of events about people
 * XT_BUSY: there is no base to apply it to; XT_CORRUPT: the person's record does not open. */
struct xt_live_outcome {
    enum xt_status status;
    enum xt_conflict conflict; /* with XT_DENIED of a registry event or one of an account: why */
    enum xt_attempt attempt;   /* with XT_OK of an attempt, duplicate or not */
    bool duplicate;
    uint64_t sequence;
};

/* Applies at most XT_LIVE_GROUP_MAX encoded events, in their order, in one transaction, and gives each
 * its outcome. now_ms: UTC.
 * XT_OK: the outcomes are final. XT_DISK_FULL: so they are, and every event that was to be applied is
 * refused with it; the store is as it was, go on. Anything else: nobody knows whether they were applied,
 * and the process must end (a new one finds out). */
XT_MUST_USE enum xt_status xt_live_apply(struct xt_live *live, uint64_t now_ms,
                                         const struct xt_span *events, unsigned count,
                                         struct xt_live_outcome *outcomes,
                                         struct xt_failure *failure);

/* Seals everything under keyring's current master key, in one transaction, unless it is so already:
 * *done. About 3 us a record (1.4 million changed people and a million lines: 7 s), and nothing is applied
 * meanwhile. XT_DISK_FULL: it is as it was, go on. Anything else: nobody knows, and the
 * process must end. */
XT_MUST_USE enum xt_status xt_live_reseal(struct xt_live *live, const struct xt_keyring *keyring,
                                          bool *done, struct xt_failure *failure);

/* The sealed generation that registry events are applied over, borrowed until another or NULL is set: the
 * one that is served. Without one they are refused. */
void xt_live_set_base(struct xt_live *live, struct xt_generation *base);
/* There is none, or generation_served has told of another since: registry events are refused until
 * xt_live_set_base. */
bool xt_live_wants_base(const struct xt_live *live);
/* A writer, between groups: xt_live_generation. */
XT_MUST_USE enum xt_status xt_live_look_up_generation(struct xt_live *live, uint32_t *number,
                                                      uint8_t digest[XT_GENERATION_DIGEST]);

/* Bytes that the store takes, and that it could grow by: of the disk, of the limit of files, of the map. A
 * reseal takes as many again as it has. XT_IO: the disk does not tell. */
XT_MUST_USE enum xt_status xt_live_room(const struct xt_live *live, uint64_t *used, uint64_t *left);

/* The number of the last transaction that was committed: for readers, who are told of it by memory that they
 * cannot write. */
uint64_t xt_live_committed(const struct xt_live *live);

/* Frees the places of readers that died; once in a while. Gives how many there were. */
XT_MUST_USE enum xt_status xt_live_check_readers(struct xt_live *live, unsigned *dead);

/* ---- readers --------------------------------------------------------------------------------- */

/* XT_NOT_FOUND: no writer has made it yet, so it is empty. Sees what is committed now. keyring must stay
 * as long as the reader, and have the keys that the writer seals under: the keys in it are looked up again
 * when the store was sealed anew. */
XT_MUST_USE enum xt_status xt_live_open_reader(const char *dir, const struct xt_keyring *keyring,
                                               struct xt_live **live, struct xt_failure *failure);

/* At the start of a turn: sees everything that was committed before `epoch` was read (net/writer.h);
 * costs nothing while it stays the same. commit: what the writer told of with it (xt_live_committed), read
 * after it: with a store that shows less it fails, whatever other readers wrote to the lock file; 0: not
 * known. A failure is XT_IO: close, open again. */
XT_MUST_USE enum xt_status xt_live_refresh(struct xt_live *live, uint64_t epoch, uint64_t commit);
/* Before a wait of unknown length: pages that this reader could see may be used again. What was found
 * is gone; xt_live_refresh comes first next time. */
void xt_live_rest(struct xt_live *live);

/* ---- both ------------------------------------------------------------------------------------ */

/* Leaves it. With LMDB 0.9.26 to 0.9.31 the map stays until the process ends, since closing it there
 * would destroy the mutex that other processes use. NULL is fine. */
void xt_live_close(struct xt_live *live);

/* Id of the master key that it is sealed under, as this side sees it. */
uint32_t xt_live_key_id(const struct xt_live *live);

/* Sequence of the last event applied that this side sees; 0: none yet. */
uint64_t xt_live_sequence(const struct xt_live *live);

/* Who holds a client certificate. XT_NOT_FOUND: nobody. XT_CORRUPT, XT_IO. */
XT_MUST_USE enum xt_status xt_live_holder(const struct xt_live *live,
                                          const uint8_t spki[XT_SPKI_DIGEST],
                                          char partner[XT_PARTNER_NAME_MAX + 1]);

/* The generation that was recorded as served last. XT_NOT_FOUND: none. XT_CORRUPT, XT_IO. */
XT_MUST_USE enum xt_status xt_live_generation(const struct xt_live *live, uint32_t *number,
                                              uint8_t digest[XT_GENERATION_DIGEST]);

/* May this generation be served, after the one on record? live NULL: nothing is on record.
 * XT_OK: yes, and *record tells whether a generation_served is to be sent, *rollback whether with that
 * mark. XT_DENIED: it is older than the one on record, or another of the same number, and allow_older is
 * not set. XT_CORRUPT, XT_IO: the record cannot be read. */
XT_MUST_USE enum xt_status xt_live_may_serve(const struct xt_live *live, uint32_t number,
                                             const uint8_t digest[XT_GENERATION_DIGEST],
                                             bool allow_older, bool *record, bool *rollback,
                                             struct xt_failure *failure);

#endif
