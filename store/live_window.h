/* store/live_window: the ids of the events that were applied lately, in the writer's memory: the same as
 * the log in the live store. There are two: attempts have their own, so that however many come they push no
 * event of the register out (store/live.h). Private to it.
 *
 * Kept in memory since a table of random keys on the disk would write a page for every event, twice.
 * Ids are keyed hashes, so they are spread evenly whoever chose them. The memory is reserved at once
 * and touched as it is used.
 */
#ifndef XT_STORE_LIVE_WINDOW_H
#define XT_STORE_LIVE_WINDOW_H

#include "core/span.h"
#include "core/status.h"

struct xt_window_event {
    uint8_t id[16];   /* keyed hash of the event's id */
    uint64_t content; /* keyed hash of the whole event */
    uint64_t time_ms; /* when it was applied: by xt_live.age_ms; in a line of the log UTC */
    uint64_t sequence;
};

struct xt_live_window {
    struct xt_window_event *events; /* a ring: the one added as number n is at n modulo its size */
    uint32_t *slots;                /* open addressing: place in the ring plus 1; 0 is free */
    uint32_t mask;                  /* of the ring; the slots are twice as many */
    uint64_t first, next; /* numbers: first .. next - 1 are there; sequences may have gaps */
};

/* capacity: a power of 2. */
XT_MUST_USE enum xt_status xt_live_window_open(struct xt_live_window *window, uint32_t capacity);
void xt_live_window_close(struct xt_live_window *window);

static inline uint64_t xt_live_window_count(const struct xt_live_window *window)
{
    return window->next - window->first;
}

/* There must be room: fewer than capacity; and none of this id. */
void xt_live_window_add(struct xt_live_window *window, const struct xt_window_event *event);
/* Takes the newest, or the oldest, out again; there must be one. */
void xt_live_window_take_back(struct xt_live_window *window);
void xt_live_window_forget(struct xt_live_window *window);

/* The one behind so many that are older; there must be one. */
const struct xt_window_event *xt_live_window_at(const struct xt_live_window *window,
                                                uint64_t older);
/* The event of this id; NULL: there is none. */
const struct xt_window_event *xt_live_window_find(const struct xt_live_window *window,
                                                  const uint8_t id[16]);

#endif
