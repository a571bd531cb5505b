/* store/memory: growing memory for people on their way to the disk.
 *
 * One piece that may move when it grows (keep offsets, not pointers), left out of core dumps, given
 * back wiped. Growing leaves no copy behind: the pages themselves move.
 */
#ifndef XT_STORE_MEMORY_H
#define XT_STORE_MEMORY_H

#include "core/span.h"
#include "core/status.h"

struct xt_memory {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes there are */
    size_t touched;  /* the most that size was since it began: what is wiped */
};

/* Gives a place for size more bytes at the end; valid until the next call. */
XT_MUST_USE enum xt_status xt_memory_extend(struct xt_memory *memory, size_t size, uint8_t **place);

/* Wipes and frees; fine on an empty one, and leaves it empty. */
void xt_memory_free(struct xt_memory *memory);

#endif
