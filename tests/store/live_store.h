/* tests/store/live_store: an empty live store for each test (EACH), events for it, and how they are applied. */
#ifndef XT_TESTS_STORE_LIVE_STORE_H
#define XT_TESTS_STORE_LIVE_STORE_H

#include "store/live_internal.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define DAY_MS XT_LIVE_WINDOW_MS

extern struct xt_failure failure;

int make(void **state);
int remove_all(void **state);
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

struct xt_live *open_sized(bool writes, uint64_t map_bytes, uint32_t window_events);
struct xt_live *open_writer(void);
struct xt_live *open_reader(void);
/* Runs in a process of its own, as LMDB wants a file opened once in each. */
void in_child(void (*work)(void));
void spki_of(unsigned i, uint8_t spki[XT_SPKI_DIGEST]);
struct xt_event held_event(unsigned i, const char *partner);
struct xt_event served_event(uint32_t number, uint8_t digest, bool rollback);
struct xt_span encode(const struct xt_event *event, uint8_t memory[XT_EVENT_MAX]);
/* Applies some events in one group. */
enum xt_status apply(struct xt_live *live, uint64_t now_ms, const struct xt_event *events,
                     unsigned count, struct xt_live_outcome *outcomes);
struct xt_live_outcome apply_one(struct xt_live *live, const struct xt_event *event);
void assert_applied(struct xt_live_outcome outcome, uint64_t sequence, bool duplicate);
void assert_held_by(const struct xt_live *live, unsigned i, const char *partner);
unsigned count_log(void); /* its lines */

#endif
