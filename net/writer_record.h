/* net/writer_record: what the supervisor has the writer put on record, and reads from there: who holds
 * which client certificate, and the last generation that was served.
 *
 *   load    xt_writer_record_live(record, &live), xt_partners_load_held(dir, previous, live, ...)
 *   settle  xt_writer_record_partners(record, previous, settled)
 *   switch  xt_writer_record_may_serve(record, number, digest, allow_older)  then let the workers open it
 *           xt_writer_record_generation(record, number, digest, rollback)
 *   tick    xt_writer_record_tick(record)    about once a second, and when a new writer has come
 *
 * It compares what ought to be on record with what is there and sends what differs, until nothing does:
 * an event that was lost with a writer is simply sent again. That nobody holds a certificate any more is
 * sent once; if it is lost, the record names who held it last, which decides only who of several that
 * claim it anew gets it.
 * Thread: the supervisor's loop. Blocks: for page faults of the live store.
 */
#ifndef XT_NET_WRITER_RECORD_H
#define XT_NET_WRITER_RECORD_H

#include "net/shared.h"
#include "net/writer_channel.h"
#include "store/live_fold.h"

struct xt_writer_record {
    const char *dir; /* borrowed, like all of these */
    const struct xt_keyring *keyring;
    struct xt_shared *shared;
    struct xt_writer_channel *channel;
    const struct xt_partners *partners; /* that ought to be on record; NULL: none yet */
    struct xt_live *live;               /* NULL: there is no store yet */
    bool partners_due, generation_due, rollback;
    uint32_t generation;
    uint8_t digest[XT_GENERATION_DIGEST];
    unsigned under_way;
    enum xt_status refused; /* the last answer that was not XT_OK; for the log */
};

/* Opens the live store to read, if there is one already. channel: as administrator (the supervisor's
 * place). XT_CORRUPT, XT_DENIED, XT_UNSUPPORTED, XT_IO: it cannot be opened. */
XT_MUST_USE enum xt_status xt_writer_record_open(struct xt_writer_record *record, const char *dir,
                                                 const struct xt_keyring *keyring,
                                                 struct xt_shared *shared,
                                                 struct xt_writer_channel *channel,
                                                 struct xt_failure *failure);
/* Close the channel first. */
void xt_writer_record_close(struct xt_writer_record *record);

/* As of now; *live NULL: nothing is on record yet. Valid until the loop waits. Statuses as with open:
 * there is a record and it cannot be read. */
XT_MUST_USE enum xt_status xt_writer_record_live(struct xt_writer_record *record,
                                                 const struct xt_live **live,
                                                 struct xt_failure *failure);

/* partners are in force now in place of previous (NULL: none were). They must stay until the next call. */
void xt_writer_record_partners(struct xt_writer_record *record, const struct xt_partners *previous,
                               const struct xt_partners *partners);

/* As xt_live_may_serve. */
XT_MUST_USE enum xt_status xt_writer_record_may_serve(struct xt_writer_record *record,
                                                      uint32_t number,
                                                      const uint8_t digest[XT_GENERATION_DIGEST],
                                                      bool allow_older, bool *rollback,
                                                      struct xt_failure *failure);
/* As xt_live_may_lie_over. */
XT_MUST_USE enum xt_status xt_writer_record_may_lie_over(struct xt_writer_record *record,
                                                         const struct xt_manifest *manifest,
                                                         bool rollback, struct xt_failure *failure);
/* This generation is served now. */
void xt_writer_record_generation(struct xt_writer_record *record, uint32_t number,
                                 const uint8_t digest[XT_GENERATION_DIGEST], bool rollback);

/* Sends what is not on record yet. */
void xt_writer_record_tick(struct xt_writer_record *record);

/* Whether all of it is on record. */
bool xt_writer_record_is_done(const struct xt_writer_record *record);

#endif
