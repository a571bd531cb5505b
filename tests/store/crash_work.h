/* tests/store/crash_work: what a writer of the live store does while its disk is recorded, and how a store
 * that a power cut left is looked at.
 *
 * Work is numbered: step k is always the same events, or a new key, whoever does it and when. Every step
 * begins with a certificate event, which nothing refuses, so that it can be sent again.
 */
#ifndef XT_TESTS_STORE_CRASH_WORK_H
#define XT_TESTS_STORE_CRASH_WORK_H

#include "store/live_internal.h"

#define WORK_PEOPLE 60 /* in the generation; the first is never renumbered */

/* All that is in the store, as it stands there. */
struct work_sight {
    uint64_t sequence;
    uint64_t tables[XT_LIVE_TABLES]; /* hashes of keys and sealed values */
    uint64_t log_lines;
};
/* Told once the step is done, or the store open: steps before `step` are done. */
struct work_told {
    uint32_t step, kind;     /* kind: 0 opened, 1 events, 2 sealed anew */
    uint64_t first_sequence; /* of the step's first event */
    struct work_sight sight;
};

/* false: it cannot be read. */
bool work_look(struct xt_live *live, struct work_sight *sight);
/* A step's first event, as bytes. */
struct xt_span work_first_event(uint32_t step, uint8_t memory[XT_EVENT_MAX]);
/* One that no step has: of a certificate, or of the register. */
struct xt_span work_other_event(bool of_register, uint8_t memory[XT_EVENT_MAX]);

/* Opens the store of `dir` and does steps from .. end-1; tells through dir/live/told. Ends the process. */
_Noreturn void work_run(const char *dir, uint32_t from, uint32_t end);

#endif
