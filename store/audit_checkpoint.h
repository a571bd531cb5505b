/* store/audit_checkpoint: how far every segment of the audit log had come when, signed.
 *
 *   DIR/audit/checkpoints = checkpoint | checkpoint | ...               integers little endian
 *
 *   checkpoint  length of the body 4 | body | Ed25519 signature over length and body 64
 *   body        magic 4 | number 8 (from 1) | time 8 | flags 4 | key id 4 | digest of the one before 32
 *               | rows 4 | rows
 *   row         id 16 | worker 4 | kind 4 | bytes 8 | batches 8 | entries 8 | first time 8 | last time 8
 *               | start 8 | digest 32 | bytes cut 8
 *
 *   digest(checkpoint) = BLAKE2b-256(digest of the one before | length, body, signature)
 *
 * So the last signature vouches for all of them, and DIR/audit/head names the last (crypto/audit_key.h). A
 * segment stands in every checkpoint while it is open, and in one more when it is closed, repaired or
 * expired: from the list alone one knows which segments there must be and how long they are.
 * It is also the index by time: entries after T begin where a checkpoint says that all before are older.
 *
 * Several processes may append (an upgrade, `audit expire`): each takes the file's lock for the moment and
 * first reads what others have appended. About 170 bytes and 112 for each open segment; two fsyncs.
 */
#ifndef XT_STORE_AUDIT_CHECKPOINT_H
#define XT_STORE_AUDIT_CHECKPOINT_H

#include "store/audit.h"

#define XT_AUDIT_ROWS_MAX 2048 /* of one checkpoint: every worker's segment and the one before */
#define XT_AUDIT_ROW_BYTES 112
#define XT_AUDIT_CHECKPOINT_FIXED 64 /* bytes of a body without rows */
#define XT_AUDIT_CHECKPOINT_MAX                                                                    \
    (4 + XT_AUDIT_CHECKPOINT_FIXED + XT_AUDIT_ROWS_MAX * XT_AUDIT_ROW_BYTES + XT_AUDIT_SIGNATURE)

enum xt_audit_flag {                                  /* of a checkpoint: a set */
                     XT_AUDIT_FLAG_START = 1 << 0,    /* a server began */
                     XT_AUDIT_FLAG_ROTATION = 1 << 1, /* segments were opened or closed */
                     XT_AUDIT_FLAG_END = 1 << 2,      /* an orderly end of the server */
                     XT_AUDIT_FLAG_REPAIRED =
                         1 << 3, /* torn tails were cut off: the rows say how many bytes */
                     XT_AUDIT_FLAG_EXPIRED =
                         1 << 4, /* segments were removed by the operator: tombstones */
                     XT_AUDIT_FLAG_RESTORED =
                         1 << 5, /* the log before it came out of a backup: the chain forked here */
                     XT_AUDIT_FLAG_ALL = (1 << 6) - 1
};

enum xt_audit_kind { XT_AUDIT_OPEN, XT_AUDIT_CLOSED, XT_AUDIT_EXPIRED };

struct xt_audit_row {
    struct xt_audit_state state; /* closed: not used, see kind */
    enum xt_audit_kind kind;
    uint64_t cut; /* bytes of a torn tail that were cut off after state.bytes */
};

/* ---- one checkpoint, as bytes ----------------------------------------------------------------- */

struct xt_audit_checkpoint {
    uint64_t number, unix_ms;
    uint32_t flags, key_id, rows;
    uint8_t before[XT_AUDIT_DIGEST];
    struct xt_span bytes; /* all of it, borrowed */
};

/* The one at the start of bytes. XT_AGAIN: not all of it is there. XT_CORRUPT. The signature and the
 * chain are not looked at. */
XT_MUST_USE enum xt_status xt_audit_checkpoint_parse(struct xt_span bytes,
                                                     struct xt_audit_checkpoint *checkpoint);
/* index is below rows. XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_audit_checkpoint_row(const struct xt_audit_checkpoint *checkpoint,
                                                   uint32_t index, struct xt_audit_row *row);
/* XT_NOT_FOUND: there is no such key; XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_audit_checkpoint_check(const struct xt_audit_checkpoint *checkpoint,
                                                     const struct xt_audit_public *keys);

/* ---- what is known of all segments ------------------------------------------------------------ */

struct xt_audit_known {
    struct xt_audit_row *rows; /* the last of each segment, in the order in which they first came */
    size_t count, room;
};
void xt_audit_known_free(struct xt_audit_known *known);
struct xt_audit_row *xt_audit_known_find(const struct xt_audit_known *known,
                                         const uint8_t id[XT_AUDIT_ID]);
/* By a file's name. */
const struct xt_audit_row *xt_audit_known_by_name(const struct xt_audit_known *known,
                                                  const char *name);
/* Whether row may follow what is known: segments only grow, and nothing comes after their end. */
bool xt_audit_known_allows(const struct xt_audit_known *known, const struct xt_audit_row *row);
/* XT_CORRUPT: it may not; XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_audit_known_apply(struct xt_audit_known *known,
                                                const struct xt_audit_row *row);

/* ---- reading the list ------------------------------------------------------------------------- */

/* Head and length of the list at one moment, also while a server appends. XT_CORRUPT: *failure and *file
 * ("head", "checkpoints") say which is missing or damaged. */
struct xt_audit_snapshot {
    int fd; /* of the list; close it. -1: none, no checkpoint was ever written */
    uint64_t size;
    struct xt_audit_head head;
};
XT_MUST_USE enum xt_status xt_audit_snapshot_take(const char *dir,
                                                  const struct xt_audit_public *keys,
                                                  struct xt_audit_snapshot *snapshot,
                                                  const char **file, struct xt_failure *failure);

/* Called for every checkpoint with its place in the list, known not yet moved on by it. */
typedef void (*xt_audit_visit)(void *context, const struct xt_audit_checkpoint *checkpoint,
                               uint64_t offset);

struct xt_audit_walk {
    struct xt_audit_known known;
    uint64_t number, end; /* of the last checkpoint that is sound, and its end in the file */
    uint64_t unix_ms;
    uint8_t digest[XT_AUDIT_DIGEST]; /* of it */
    uint32_t key_id;                 /* that signed it */
    uint64_t fault;                  /* offset of the first that is not; only after XT_CORRUPT */
    bool torn;                       /* the list ends within a checkpoint */
};
/* Reads the list from where the walk is (zeros: its start) to `size`: forms, numbers, chain, rows, the
 * signature of the last, that no key signs after another has taken its place, and that the head names one
 * of the last two. XT_CORRUPT: *failure says what is
 * wrong at walk->fault; what came before counts. keys NULL: believes the list as it is (search). */
XT_MUST_USE enum xt_status xt_audit_walk(struct xt_audit_walk *walk,
                                         const struct xt_audit_snapshot *snapshot,
                                         const struct xt_audit_public *keys, xt_audit_visit visit,
                                         void *context, struct xt_failure *failure);

/* ---- writing ---------------------------------------------------------------------------------- */

struct xt_audit_checkpoints; /* opaque */

/* Opens the list to append to it; makes keys and list at first use. Finishes what a crash left half-way: a
 * torn checkpoint at the end, a head that is one behind. XT_CORRUPT: anything else that is wrong, which
 * `xacthuc audit verify` shows. Reads the whole list (about 1 GB/s). Before the sandbox: it reads DIR/keys. */
XT_MUST_USE enum xt_status xt_audit_checkpoints_open(const char *dir,
                                                     struct xt_audit_checkpoints **checkpoints,
                                                     struct xt_failure *failure);
void xt_audit_checkpoints_close(struct xt_audit_checkpoints *checkpoints); /* NULL is fine */

/* Signs and appends one; durable, and named by the head, once it gives XT_OK. A new key in keys/audit.key
 * (xt_audit_key_rotate) signs from then on, and gets a checkpoint also where nothing else is new. Rows of segments of which
 * nothing is new may be left out, and nothing is written when none is left and flags is 0.
 * XT_CORRUPT: a row says that a segment shrank or goes on after its end: whoever says so is broken or
 * hostile; nothing is written, the caller leaves that row out, tells the operator and replaces the worker.
 * XT_DISK_FULL: nothing is written, or not named yet; the next one makes up for it. XT_IO: end. */
XT_MUST_USE enum xt_status xt_audit_checkpoint_write(struct xt_audit_checkpoints *checkpoints,
                                                     uint64_t unix_ms, uint32_t flags,
                                                     const struct xt_audit_row *rows, size_t count,
                                                     struct xt_failure *failure);

/* Whether a row can stand in the next checkpoint; to find the one that made it XT_CORRUPT. */
bool xt_audit_checkpoints_takes(const struct xt_audit_checkpoints *checkpoints,
                                const struct xt_audit_row *row);

/* The rows of one worker's progress (a copy of xt_audit_progress_read). given: the segments that this worker
 * was given, as xt_audit_create filled them: the one it writes, and the one before while it may still be in
 * progress. What it says of any other is left out, since a worker may be in a stranger's hands. */
#define XT_AUDIT_PROGRESS_ROWS 2
size_t xt_audit_progress_rows(const struct xt_audit_progress *progress,
                              const struct xt_audit_header *given, size_t given_count,
                              struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS]);

/* Where a worker's chain ended, for the header of its next segment: its last closed segment; zeros where
 * there is none, or where one of its segments is still open (an upgrade: the one before still writes). */
void xt_audit_checkpoints_link(const struct xt_audit_checkpoints *checkpoints, uint32_t worker,
                               struct xt_audit_link *link);
const struct xt_audit_known *
xt_audit_checkpoints_known(const struct xt_audit_checkpoints *checkpoints);
const char *xt_audit_checkpoints_dir(const struct xt_audit_checkpoints *checkpoints);
/* Number of the last one, and its time (UTC, milliseconds); 0: there is none. */
uint64_t xt_audit_checkpoints_number(const struct xt_audit_checkpoints *checkpoints);
uint64_t xt_audit_checkpoints_time(const struct xt_audit_checkpoints *checkpoints);

#endif
