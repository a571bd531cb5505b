/* tests/store/crash_work: what a writer of the live store does while its disk is recorded, and how a store
 * that a power cut left is looked at.
 *
 * Work is numbered: step k is always the same events, a new key, a fold of what changed the statistics into
 * their cells, or a compaction with all that follows from it, whoever does it and when. A step of events begins
 * with one of a certificate, which nothing refuses, so that it can be sent again.
 */
#ifndef XT_TESTS_STORE_CRASH_WORK_H
#define XT_TESTS_STORE_CRASH_WORK_H

#include "store/live_internal.h"

#define WORK_PEOPLE 60   /* in the generation; the first is never renumbered, and does not die */
#define WORK_NUMBERS 400 /* PERSON_NUMBER(0 ..): whoever is there has one of these */

/* All that is in the store, as it stands there. */
struct work_sight {
    uint64_t sequence;
    uint64_t tables[XT_LIVE_TABLES]; /* hashes of keys and sealed values */
    uint64_t log_lines;
};
enum work_kind { WORK_OPENED, WORK_EVENTS, WORK_SEALED_ANEW, WORK_SETTLED };
/* Told after each transaction, and once the store is open: steps before `step` are done. */
struct work_told {
    uint32_t step, kind;
    uint32_t counted;        /* the statistics are those of the generation on record */
    uint64_t first_sequence; /* of the step's first event */
    struct work_sight sight;
};

/* false: it cannot be read. */
bool work_look(struct xt_live *live, struct work_sight *sight);
/* A step's first event, as bytes. */
struct xt_span work_first_event(uint32_t step, uint8_t memory[XT_EVENT_MAX]);
/* Puts generation `number` of `dir` under dir/kept as well: later ones take the place of old ones, which states
 * from before are looked at over. */
void work_keep(const char *dir, uint32_t number);
/* The generation on record, of `dir`; the first where there is none. NULL: it cannot be opened. */
struct xt_generation *work_base(struct xt_live *live, const char *dir,
                                const struct xt_keyring *keyring);
/* Whether the statistics are those of the people who are there, looked up one by one. XT_BUSY: they are of
 * another generation; XT_CORRUPT: they are not. */
enum xt_status work_recount(struct xt_live *live, struct xt_generation *base, const char *dir,
                            const struct xt_keyring *keyring);
/* Folds what is not in the cells yet. */
enum xt_status work_fold(struct xt_live *live);
/* One that no step has: of a certificate, or of the register. */
struct xt_span work_other_event(bool of_register, uint8_t memory[XT_EVENT_MAX]);

/* Opens the store of `dir` and does steps from .. end-1; tells through dir/live/told. Ends the process. */
_Noreturn void work_run(const char *dir, uint32_t from, uint32_t end);

#endif
