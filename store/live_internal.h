/* store/live_internal: what the parts of the live store share. Private to it and to its tests. */
#ifndef XT_STORE_LIVE_INTERNAL_H
#define XT_STORE_LIVE_INTERNAL_H

#include "crypto/file.h"
#include "crypto/live_seal.h"
#include "store/live.h"
#include "store/live_filter.h"
#include "store/live_overlay.h"
#include "store/live_window.h"
#include "store/memory.h"

/* What a record of `state` is about; with its key it makes the keyed hash. Never change a number. */
enum xt_live_kind {
    XT_LIVE_POSITION = 1,           /* key "" -> struct xt_live_position, 8 each */
    XT_LIVE_CERTIFICATE_HOLDER = 2, /* key SPKI digest -> partner name */
    XT_LIVE_SERVED_GENERATION = 3,  /* key "" -> number 4 | digest 32 */
    XT_LIVE_PERSON = 4,             /* of `people`: store/live_overlay.h */
    XT_LIVE_ALIAS = 5,              /* the same */
    XT_LIVE_VERSION_OF = 6,         /* key number 5 | version 4 -> until 8 | as XT_LIVE_PERSON */
    XT_LIVE_FOLDED = 7,             /* key "" -> store/live_fold.c */
    XT_LIVE_CELL = 8,               /* of `statistics`: store/live_statistics.h */
    XT_LIVE_COUNTED_BASE = 9,       /* the same */
    XT_LIVE_TOLD = 10,              /* the same */
    XT_LIVE_CELL_CHANGE = 11,       /* the same; its key is the event's sequence */
    XT_LIVE_THROTTLE = 12,          /* from here on: store/live_account_internal.h */
    XT_LIVE_NONCE = 13,             /* of before they had a table */
    XT_LIVE_REVOKED_TOKEN = 14,
    XT_LIVE_LOCK_FACTS = 15,
    XT_LIVE_CONSENT = 16,
    XT_LIVE_CONSENTS_OF = 17,
    XT_LIVE_BACKCHANNEL = 18,
    XT_LIVE_BACKCHANNELS_OF = 19,
    XT_LIVE_BARRED_OF = 20,
    XT_LIVE_DEVICES_OF = 21,
    XT_LIVE_SIGNED = 22,
    XT_LIVE_EVENT_ID = 64, /* hashes only: an event's id, and its content */
    XT_LIVE_EVENT_CONTENT = 65,
    XT_LIVE_IDENTITY = 66, /* which store this is */
    XT_LIVE_FACTOR = 67,   /* hashes only: + the bit of a factor; up to 69 */
    XT_LIVE_DEVICE = 70,   /* hashes only: + enum xt_unlock of a device that has one; up to 74 */
};

#define XT_LIVE_WINDOW_LEAST (4 * XT_LIVE_GROUP_MAX)
/* Lines of the log that one group takes out of each window at most, more than it adds: the window shrinks in
 * the end, and no group pays for a whole day's. And as many of the others that it looks at. */
#define XT_LIVE_FORGET_MOST (2 * XT_LIVE_GROUP_MAX)
#define XT_LIVE_RECORD_MAX 4096         /* bytes of fields in a record */
#define XT_LIVE_RECORD_HEAD (1 + 1 + 8) /* kind, version, sequence */
/* A person in `people`, or an earlier one. */
#define XT_LIVE_ENTRY_HEAD (8 + 1 + 4 + 2)
#define XT_LIVE_ENTRY_MAX (XT_LIVE_RECORD_HEAD + XT_LIVE_ENTRY_HEAD + XT_HOT_MAX + XT_COLD_MAX)
#define XT_LIVE_LOG_RECORD (XT_LIVE_HASH + 8 + 8 + 2) /* id, content, time, type 1, attempt 1 */
#define XT_LIVE_DUE_KEY (4 + XT_LIVE_HASH)
#define XT_LIVE_NONCE_KEY (8 + XT_ACCOUNT_ID)

/* Those from PEOPLE on came later: a writer adds them to a store that lacks them. */
enum xt_live_table {
    XT_LIVE_HEADER_TABLE,
    XT_LIVE_STATE,
    XT_LIVE_LOG,
    XT_LIVE_PEOPLE,
    XT_LIVE_TOUCHED,
    XT_LIVE_STATISTICS,
    XT_LIVE_DUE,
    XT_LIVE_NONCES,
    XT_LIVE_TABLES
};

struct MDB_env;
struct MDB_txn;

struct xt_live {
    struct MDB_env *env;
    struct MDB_txn *txn; /* of the group under way; of a reader for good, reset while it rests */
    unsigned tables[XT_LIVE_TABLES];
    struct xt_live_sealer *sealer;
    const struct xt_keyring *keyring; /* of a reader, borrowed */
    uint32_t key_id, version;         /* of the header */
    uint8_t salt[XT_SALT_BYTES];
    bool writes, active; /* active: txn may be read through */
    uint64_t committed;  /* of a writer: LMDB's number of the last transaction, by the file */
    bool moved;          /* of a writer: somebody told LMDB of another one */
    uint64_t epoch;      /* of a reader's last renewal */
    uint64_t sequence;   /* of a writer: the last one, of the group under way as well */
    uint64_t time_ms;    /* of a writer: of the last event, UTC, as the clock was */
    uint64_t age_ms;     /* of a writer: the same since some beginning, without leaps */
    uint64_t swept_ms;   /* of a writer: what is over then was swept away; UTC, without leaps */
    uint64_t lines;      /* of a writer: in the log */
    uint64_t stray;      /* of a writer: .. of them in neither window */
    uint64_t stray_at;   /* of a writer: those up to this event were looked for and left the log */
    uint64_t dropped;    /* of a writer: up to this event changes of the overlay left the log */
    uint64_t file_limit; /* of a writer: RLIMIT_FSIZE when it was opened, bytes */
    struct xt_live_window window;   /* of a writer */
    struct xt_live_window attempts; /* of a writer: events of accounts that change no record */

    /* The overlay. */
    bool has_overlay;             /* its tables are there */
    bool unfiltered;              /* of a reader: there was no memory for the filter */
    struct xt_live_filter filter; /* of a reader: covers every event up to .. */
    size_t snapshot;           /* of LMDB's, 0: none; the last that was looked at for the filter */
    uint64_t filtered;         /* .. this one */
    struct xt_memory scratch;  /* what the next two stand in: wiped, and in no core dump */
    uint8_t *record;           /* the entry that was read last */
    struct xt_live_work *work; /* of a writer, for one event (store/live_registry.c) */
    bool base_is_old;          /* of a writer: another was served since */
    bool has_statistics;       /* its table is there */
    bool has_due, has_nonces;  /* the same */
    bool counted;              /* of a writer: the cells are over its base */
    struct xt_live_counting *counting; /* of a writer: the count under way; NULL: none */
    uint32_t count_most;               /* of a writer: records that a step of it takes */
    uint64_t unfolded;                 /* of a writer: changes that are not in the cells yet */
    struct xt_generation *base; /* of a writer, borrowed: what the overlay lies over; NULL: none */

    /* store/live_fold.c */
    uint32_t floor; /* of a reader: older generations lack what was dropped; 0: nothing was */
    uint64_t
        covered; /* entries of numbers up to this event are in what it lies over: they are not seen */
    uint8_t identity[XT_GENERATION_IDENTITY];
    bool fold_ended; /* of a writer: nothing is left to drop of what its base holds */
    bool fold_began; /* .. else: keys up to fold_at were looked at */
    uint8_t fold_at[XT_LIVE_HASH];
};

/* The clock shows now_ms. */
static inline void xt_live_advance(struct xt_live *live, uint64_t now_ms)
{
    uint64_t gap = now_ms > live->time_ms ? now_ms - live->time_ms : 0;
    live->age_ms += gap < XT_LIVE_GAP_MS ? gap : XT_LIVE_GAP_MS;
    live->time_ms = now_ms;
}

/* The window that an event's id goes into. attempt: what became of it. */
static inline bool xt_live_is_attempt(enum xt_event_type type, enum xt_attempt attempt)
{
    bool account = (unsigned)type >= XT_ACCOUNT_FIRST && (unsigned)type < XT_ACCOUNT_END;
    bool changed = attempt == XT_ATTEMPT_NONE || attempt == XT_ATTEMPT_PASSED;
    return account && !(changed && xt_account_changes_person((enum xt_account_type)type));
}

/* What may stay in a window when a group begins is this and what the group before added. Such a group
 * adds up to XT_LIVE_GROUP_MAX before it forgets, since it only forgets what is gone from the disk. */
static inline uint64_t xt_live_window_kept(const struct xt_live_window *window)
{
    return (uint64_t)window->mask + 1 - 2 * XT_LIVE_GROUP_MAX;
}

/* What xt_live_open_writer and xt_live_open_reader set by the constants of store/live.h. */
struct xt_live_sizes {
    uint64_t map_bytes;      /* to begin with */
    uint32_t window_events;  /* a power of 2, at least XT_LIVE_WINDOW_LEAST */
    uint32_t attempt_events; /* the same; 0: as usual */
};
XT_MUST_USE enum xt_status xt_live_open(const char *dir, const struct xt_keyring *keyring,
                                        bool writes, struct xt_live_sizes sizes,
                                        struct xt_live **live, struct xt_failure *failure);

/* Translates a code of LMDB's. */
enum xt_status xt_live_failed(struct xt_failure *failure, const char *what, int code);

/* The last commit, as a writer that has just opened the store reads it, is on the disk. Codes of LMDB's. */
XT_MUST_USE int xt_live_pin(struct xt_live *live);

/* LMDB tells of the last transaction in its lock file, which readers write as well. A code beside LMDB's: it
 * tells of another one there than the file does. */
#define XT_LIVE_MOVED (-30700)

/* A writer: keeps which transaction is the last, by the file. Codes of LMDB's, as all that follow. */
XT_MUST_USE int xt_live_note_commit(struct xt_live *live);
/* Begins live->txn behind that one and no other. XT_LIVE_MOVED: it cannot, and this process must end without
 * using the store again. It keeps the writers' mutex, so that LMDB sees that a writer died, and the next one
 * reads the right number in the file. */
XT_MUST_USE int xt_live_begin_write(struct xt_live *live);
/* Commits live->txn when code is 0, else gives it up; there is none after it. */
XT_MUST_USE int xt_live_end_write(struct xt_live *live, int code);

/* A writer's own look at the store, between groups. */
XT_MUST_USE enum xt_status xt_live_begin_look(struct xt_live *live);
void xt_live_end_look(struct xt_live *live);

/* Makes an empty store at path, whole or not at all. */
XT_MUST_USE enum xt_status xt_live_create(const char *folder, const char *path,
                                          const struct xt_keyring *keyring,
                                          struct xt_failure *failure);
/* Reads and checks the header through txn, and opens the sealer, unless the one there is of this header. */
XT_MUST_USE enum xt_status xt_live_read_header(struct xt_live *live,
                                               const struct xt_keyring *keyring,
                                               struct xt_failure *failure);

/* Writes the header in the transaction under way, for a sealer of key_id and salt. Codes of LMDB's. */
XT_MUST_USE int xt_live_put_header(struct xt_live *live, const struct xt_keyring *keyring,
                                   uint32_t key_id, const uint8_t salt[XT_SALT_BYTES],
                                   const struct xt_live_sealer *sealer);
/* Seals every record and line under another sealer, in the transaction under way. Codes of LMDB's. */
XT_MUST_USE int xt_live_records_reseal(struct xt_live *live, const struct xt_live_sealer *sealer);

/* The same for what could not be written when it is not known what came of it: never XT_DISK_FULL, with
 * which a writer would go on. */
enum xt_status xt_live_broken(struct xt_failure *failure, const char *what, int code);

/* Opens every record of `state`, `people` and `statistics`, counted, and looks at every line of `touched`, of
 * events up to `sequence`. XT_CORRUPT: one does not open, or is none. */
XT_MUST_USE enum xt_status xt_live_records_check(const struct xt_live *live, uint64_t sequence,
                                                 uint64_t *records);

/* Doubles the map when half of it is in use, or now. No transaction may be open. Codes of LMDB's. */
XT_MUST_USE int xt_live_grow(struct xt_live *live, bool now);
/* Whether a code of LMDB's means that there was no room, and nothing was changed. */
bool xt_live_lacks_room(struct xt_live *live, int code);

/* A record's fields, into memory of at least XT_LIVE_RECORD_MAX; sequence may be NULL. XT_NOT_FOUND,
 * XT_CORRUPT, XT_IO. */
XT_MUST_USE enum xt_status xt_live_get(const struct xt_live *live, enum xt_live_kind kind,
                                       struct xt_span key, uint8_t fields[XT_LIVE_RECORD_MAX],
                                       size_t *size, uint64_t *sequence);
/* In a group: writes or takes out a record. Codes of LMDB's. */
XT_MUST_USE int xt_live_put(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                            struct xt_span fields);
XT_MUST_USE int xt_live_delete(struct xt_live *live, enum xt_live_kind kind, struct xt_span key);
/* The same in a table that is kept by hash. */
XT_MUST_USE int xt_live_put_in(struct xt_live *live, enum xt_live_table table,
                               enum xt_live_kind kind, struct xt_span key, struct xt_span fields);
XT_MUST_USE int xt_live_delete_in(struct xt_live *live, enum xt_live_table table,
                                  enum xt_live_kind kind, struct xt_span key);

/* In any table and of any size. A record is begun, its fields are written, and it is put under
 * `key` of at most XT_LIVE_HASH bytes; opened it is in plain, and its fields are borrowed from there. */
void xt_live_record_begin(const struct xt_live *live, enum xt_live_kind kind,
                          struct xt_writer *writer);
XT_MUST_USE int xt_live_record_put(struct xt_live *live, enum xt_live_table table,
                                   struct xt_span key, struct xt_span record);
/* Whether there is one under the key: not opened. XT_NOT_FOUND; XT_IO. */
XT_MUST_USE enum xt_status xt_live_record_find(const struct xt_live *live, enum xt_live_table table,
                                               struct xt_span key);
XT_MUST_USE enum xt_status xt_live_record_get(const struct xt_live *live, enum xt_live_table table,
                                              enum xt_live_kind kind, struct xt_span key,
                                              uint8_t *plain, size_t capacity,
                                              struct xt_span *fields, uint64_t *sequence);
/* One that a cursor gave. */
struct xt_live_record {
    enum xt_live_kind kind;
    uint64_t sequence;     /* of the event that wrote it */
    struct xt_span fields; /* borrowed from plain */
};
XT_MUST_USE enum xt_status xt_live_record_open(const struct xt_live *live, enum xt_live_table table,
                                               struct xt_span key, struct xt_span sealed,
                                               uint8_t *plain, size_t capacity,
                                               struct xt_live_record *record);
/* Under which key of `state` a record stands. */
void xt_live_state_key(const struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                       uint8_t hash[XT_LIVE_HASH]);

/* A writer: makes the overlay's tables where they lack. A reader: opens them if they are there. */
XT_MUST_USE enum xt_status xt_live_open_overlay(struct xt_live *live, struct xt_failure *failure);
void xt_live_close_overlay(struct xt_live *live);
/* Of a reader that has just begun or renewed its transaction. */
XT_MUST_USE enum xt_status xt_live_catch_up(struct xt_live *live);
void xt_live_registry_close(struct xt_live *live); /* what a writer keeps for registry events */
/* Once the sealer is there; and what a reader's snapshot says of it. */
void xt_live_make_identity(struct xt_live *live);
XT_MUST_USE enum xt_status xt_live_look_at_floor(struct xt_live *live);
/* In a group: the operator goes back to an older generation. Codes of LMDB's. */
XT_MUST_USE int xt_live_forget_floor(struct xt_live *live);
/* Fields of its records, and where a version stands in `state`. */
void xt_live_write_person(struct xt_writer *writer, uint32_t versions,
                          const struct xt_person *person);
void xt_live_write_replaced(struct xt_writer *writer, uint64_t successor);
void xt_live_write_alias(struct xt_writer *writer, const struct xt_live_alias *alias);
void xt_live_version_key(const struct xt_live *live, uint64_t number, uint32_t version,
                         uint8_t hash[XT_LIVE_HASH]);
/* The bytes of a key in `people`. */
void xt_live_key_bytes(struct xt_hash hash, uint8_t key[XT_LIVE_HASH]);

/* The count of statistics that is under way is of no use any more. */
void xt_live_stop_counting(struct xt_live *live);
/* The same, if it holds a snapshot: before the map grows or the sealer changes. */
void xt_live_stop_walking(struct xt_live *live);

/* At most so many records of `people` from where a cursor of them stands. *ended: there are no more. */
struct MDB_cursor;
XT_MUST_USE enum xt_status xt_live_next_entries(struct xt_live *live, struct MDB_cursor *cursor,
                                                uint32_t most, xt_live_visit_entry visit,
                                                void *context, bool *ended);

/* In a group: somebody was `before` (NULL: nobody) and is `after` now. Codes of LMDB's. */
XT_MUST_USE int xt_live_count_change(struct xt_live *live, const struct xt_hot *before,
                                     const struct xt_person *after);

/* Applies a registry event: *refused XT_OK, or XT_INVALID, XT_BUSY (no base), XT_CORRUPT (the base's or
 * the overlay's record of the person), XT_DENIED with *conflict. Codes of LMDB's: the group is lost. */
XT_MUST_USE int xt_live_take_registry(struct xt_live *live, const struct xt_event *event,
                                      enum xt_status *refused, enum xt_conflict *conflict);

/* Under a number, as it is now: who it is, and *person, who may be changed (after xt_live_keep_before) and written
 * before anything else is asked of the overlay or its base. XT_BUSY: there is no base; XT_CORRUPT, XT_IO,
 * XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_live_load_person(struct xt_live *live, uint64_t number,
                                               enum xt_subject *subject, struct xt_person **person);
/* Does for a number that nobody has what loading somebody does; *person is somebody else, or nobody at all, and
 * nothing of him may count. Status as above. */
XT_MUST_USE enum xt_status xt_live_load_stand_in(struct xt_live *live, uint64_t number,
                                                 struct xt_person **person);
/* The person loaded last is going to be changed: keeps what he was before. XT_CORRUPT, XT_IO. */
XT_MUST_USE enum xt_status xt_live_keep_before(struct xt_live *live);
/* The person loaded last, changed in his account only. Codes of LMDB's: the group is lost. */
XT_MUST_USE int xt_live_write_account(struct xt_live *live);

/* What a registry event changed of somebody's locks and number. Codes of LMDB's: the group is lost. */
XT_MUST_USE int xt_live_follow_registry(struct xt_live *live, const struct xt_hot *before,
                                        const struct xt_person *after, uint64_t at_ms);
/* Applies an event of an account: the outcome's status, conflict and attempt. Codes of LMDB's: the group is
 * lost. */
XT_MUST_USE int xt_live_take_account(struct xt_live *live, const struct xt_event *event,
                                     struct xt_live_outcome *outcome);

/* Applies what one event says, after its rules were checked: the outcome's status XT_OK, or why it changed nothing.
 * Codes of LMDB's: the group is lost. */
XT_MUST_USE int xt_live_take_effect(struct xt_live *live, const struct xt_event *event,
                                    struct xt_live_outcome *outcome);

/* Where the store is, as its last transaction left it. */
struct xt_live_position {
    uint64_t sequence, time_ms; /* of the last event */
    uint64_t
        lines; /* in the log; UINT64_MAX: not told, and no number lacks in it (an older program's) */
    uint64_t
        dropped; /* up to this event changes of the overlay left the log; UINT64_MAX: the same */
};
/* Of no event yet all is 0. XT_CORRUPT, XT_IO. */
XT_MUST_USE enum xt_status xt_live_position(const struct xt_live *live,
                                            struct xt_live_position *position);

/* A line of the log. */
struct xt_live_line {
    struct xt_window_event event;
    enum xt_event_type type;
    enum xt_attempt attempt; /* what became of it, of one that was one */
};

/* Lines of the log: their time is the clock's. */
void xt_live_log_key(uint64_t sequence, uint8_t key[8]);
XT_MUST_USE int xt_live_log_append(struct xt_live *live, const struct xt_live_line *line);
/* What became of the attempt of that number; XT_ATTEMPT_NONE: it was none, or the line cannot be read. In a group. */
enum xt_attempt xt_live_log_attempt(const struct xt_live *live, uint64_t sequence);
/* touched: with what it changed of the overlay. */
XT_MUST_USE int xt_live_log_drop(struct xt_live *live, uint64_t sequence, bool touched);
/* Looks at XT_LIVE_FORGET_MOST lines behind live->stray_at and drops those that are in neither window. *at: how far
 * it came. Codes of LMDB's. */
XT_MUST_USE int xt_live_log_drop_strays(struct xt_live *live, uint64_t *at, uint64_t *dropped);
/* From the oldest; visit gives XT_OK to go on. XT_CORRUPT: a line does not open. */
typedef enum xt_status (*xt_live_visit)(void *context, uint64_t sequence,
                                        const struct xt_live_line *line);
XT_MUST_USE enum xt_status xt_live_log_each(struct xt_live *live, xt_live_visit visit,
                                            void *context);

#endif
