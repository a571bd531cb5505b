/* net/shared_internal: the layout, for shared.c (memory), shared_processes.c (who serves) and
 * shared_cells.c (partners). */
#ifndef XT_NET_SHARED_INTERNAL_H
#define XT_NET_SHARED_INTERNAL_H

#include "net/rates.h"
#include "net/shared.h"

#define XT_SHARED_PAGE 65536U /* bytes: the largest page size of the machines we build for */
#define XT_SHARED_PLACES_MAX (XT_SHARED_WORKERS_MAX + 2)
#define XT_CELL_NAME_WORDS (XT_PARTNER_NAME_MAX / 8)
#define XT_CELL_SLOTS (4 * XT_CELLS)

/* One partner's name, as the supervisor publishes it. Read by workers while it is written: version is odd
 * meanwhile, and a reader that saw it change looks again. */
struct xt_shared_cell {
    uint64_t version;
    uint64_t epoch;      /* 0: never used; one more for each name that gets it */
    uint64_t retired_ms; /* 0: in use */
    uint64_t name_size;
    uint64_t name[XT_CELL_NAME_WORDS];
};

struct xt_shared_header {
    struct xt_shared_start {
        uint64_t magic, layout;
        uint64_t started_unix_ms;
        uint32_t workers; /* places */
        uint32_t slots;
    } start;
    struct xt_process processes[XT_SHARED_PLACES_MAX];
    struct xt_vitals supervisor;
    struct xt_counter warm_generation, warm_done, warm_wanted;
    struct xt_counter checkpoint, checkpoint_unix_s;
    struct xt_shared_cell cells[XT_CELLS];
};

/* Each in a cache line of its own: workers change those of different partners at the same time. */
struct xt_shared_rates {
    struct {
        _Alignas(64) uint64_t word;
    } cells[XT_CELLS];
    uint64_t polls[XT_SHARED_POLLS];
};

/* What the supervisor knows of the cells, by which it decides; no other process sees it. */
struct xt_shared_book {
    struct xt_booked_cell {
        uint64_t epoch, retired_ms; /* as in struct xt_shared_cell */
        size_t name_size;
        char name[XT_PARTNER_NAME_MAX];
        struct xt_rate rate; /* as of the last assignment */
    } cells[XT_CELLS];
    /* Cells by name, open addressing, cell + 1; built anew with each assignment. */
    uint16_t slots[XT_CELL_SLOTS];
};

/* One process's view. What is a number here was checked when it was opened and is not read again. */
struct xt_shared {
    unsigned workers, slots;
    unsigned place;
    uint64_t started_unix_ms;
    struct xt_shared_header *header; /* read only but in the supervisor */
    struct xt_shared_rates *rates;   /* NULL: the writer has no use for them */
    uint8_t *rows;                   /* of all, read only */
    uint8_t *own;                    /* the row of this place, to write; NULL: the supervisor */
    struct xt_shared_book *book;     /* the supervisor's; NULL in a child */
    int fds[XT_SHARED_FDS];          /* the supervisor's; -1 in a child */
};

_Static_assert(XT_PARTNER_NAME_MAX % 8 == 0, "names are kept in words");
_Static_assert(XT_CELLS < UINT16_MAX, "cells fit in slots");
_Static_assert(sizeof(struct xt_partner_counters) % 64 == 0, "no two partners share a cache line");

#endif
