/* net/ring: doubly linked lists of things that hold their own links. */
#ifndef XT_NET_RING_H
#define XT_NET_RING_H

#include <stdbool.h>
#include <stddef.h>

struct xt_ring {
    struct xt_ring *previous, *next;
};

#define xt_ring_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* A list's head, or a thing in no list. */
static inline void xt_ring_open(struct xt_ring *ring)
{
    ring->previous = ring->next = ring;
}

static inline bool xt_ring_is_empty(const struct xt_ring *ring)
{
    return ring->next == ring;
}

/* Takes it out of the list it is in, if any. */
static inline void xt_ring_remove(struct xt_ring *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    xt_ring_open(link);
}

/* Moves it to the end of a list. */
static inline void xt_ring_append(struct xt_ring *list, struct xt_ring *link)
{
    xt_ring_remove(link);
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

#endif
