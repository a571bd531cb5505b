#include "store/live_window.h"

#include <sys/mman.h>

/* Not malloc: most of it is never touched, and pages from mmap are only there when they are. */
static void *reserve(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t ring_size(const struct xt_live_window *window)
{
    return ((size_t)window->mask + 1) * sizeof(*window->events);
}

static size_t slots_size(const struct xt_live_window *window)
{
    return ((size_t)window->mask + 1) * 2 * sizeof(*window->slots);
}

enum xt_status xt_live_window_open(struct xt_live_window *window, uint32_t capacity)
{
    xt_require(capacity >= 2 && (capacity & (capacity - 1)) == 0 && capacity <= 1U << 30);
    *window = (struct xt_live_window){.mask = capacity - 1};
    window->events = reserve(ring_size(window));
    window->slots = reserve(slots_size(window));
    if (window->events == NULL || window->slots == NULL) {
        xt_live_window_close(window);
        return XT_NO_MEMORY;
    }
    return XT_OK;
}

void xt_live_window_close(struct xt_live_window *window)
{
    if (window->events != NULL) {
        (void)munmap(window->events, ring_size(window));
    }
    if (window->slots != NULL) {
        (void)munmap(window->slots, slots_size(window));
    }
    *window = (struct xt_live_window){.events = NULL};
}

static uint32_t home_of(const struct xt_live_window *window, const uint8_t id[16])
{
    uint32_t home;
    memcpy(&home, id, sizeof(home));
    return home & (window->mask * 2 + 1);
}

static struct xt_window_event *at(const struct xt_live_window *window, uint64_t number)
{
    return &window->events[number & window->mask];
}

/* The slot of an id, or the free one where it belongs. */
static uint32_t slot_of(const struct xt_live_window *window, const uint8_t id[16])
{
    uint32_t last = window->mask * 2 + 1;
    for (uint32_t slot = home_of(window, id);; slot = (slot + 1) & last) {
        uint32_t place = window->slots[slot];
        if (place == 0 || memcmp(window->events[place - 1].id, id, 16) == 0) {
            return slot;
        }
    }
}

void xt_live_window_add(struct xt_live_window *window, const struct xt_window_event *event)
{
    xt_require(xt_live_window_count(window) <= window->mask);
    uint32_t slot = slot_of(window, event->id);
    xt_require(window->slots[slot] == 0);
    *at(window, window->next) = *event;
    window->slots[slot] = (uint32_t)(window->next & window->mask) + 1;
    window->next++;
}

/* Frees a slot and moves those behind it that would no longer be found (Knuth 6.4, algorithm R). */
static void remove_slot(struct xt_live_window *window, uint32_t free)
{
    uint32_t last = window->mask * 2 + 1;
    for (uint32_t slot = free;;) {
        window->slots[free] = 0;
        for (;;) {
            slot = (slot + 1) & last;
            if (window->slots[slot] == 0) {
                return;
            }
            uint32_t home = home_of(window, window->events[window->slots[slot] - 1].id);
            /* It may move into the gap if its home does not lie behind the gap, up to where it is. */
            if (((slot - home) & last) >= ((slot - free) & last)) {
                break;
            }
        }
        window->slots[free] = window->slots[slot];
        free = slot;
    }
}

void xt_live_window_take_back(struct xt_live_window *window)
{
    xt_require(window->next > window->first);
    remove_slot(window, slot_of(window, at(window, window->next - 1)->id));
    window->next--;
}

void xt_live_window_forget(struct xt_live_window *window)
{
    xt_require(window->next > window->first);
    remove_slot(window, slot_of(window, at(window, window->first)->id));
    window->first++;
}

const struct xt_window_event *xt_live_window_at(const struct xt_live_window *window, uint64_t older)
{
    xt_require(older < xt_live_window_count(window));
    return at(window, window->first + older);
}

const struct xt_window_event *xt_live_window_find(const struct xt_live_window *window,
                                                  const uint8_t id[16])
{
    uint32_t place = window->slots[slot_of(window, id)];
    return place == 0 ? NULL : &window->events[place - 1];
}
