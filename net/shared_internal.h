/* net/shared_internal: the layout, for shared.c (memory and processes) and shared_cells.c (partners). */
#ifndef XT_NET_SHARED_INTERNAL_H
#define XT_NET_SHARED_INTERNAL_H

#include "net/rates.h"
#include "net/shared.h"

#define XT_SHARED_PAGE 65536U /* bytes: the largest page size of the machines we build for */
#define XT_SHARED_PLACES_MAX (XT_SHARED_WORKERS_MAX + 2)
#define XT_CELL_NAME_WORDS (XT_PARTNER_NAME_MAX / 8)
#define XT_CELL_SLOTS (4 * XT_CELLS)

/* One partner's name, as the supervisor writes it. Read by workers while it is written: version is odd
 * meanwhile, and a reader that saw it change looks again. */
struct xt_shared_cell {
    uint64_t version;
    uint64_t epoch;      /* 0: never used; one more for each name that gets it */
    uint64_t retired_ms; /* 0: in use */
    uint64_t name_size;
    uint64_t name[XT_CELL_NAME_WORDS];
    struct xt_rate rate; /* as of the last assignment; the supervisor's alone */
};

struct xt_shared_header {
    uint64_t magic, layout, size;
    uint64_t started_unix_ms;
    uint32_t workers; /* places */
    uint32_t slots;
    struct xt_process processes[XT_SHARED_PLACES_MAX];
    struct xt_shared_cell cells[XT_CELLS];
};

/* Each in a cache line of its own: workers change those of different partners at the same time. */
struct xt_shared_rates {
    struct {
        _Alignas(64) uint64_t word;
    } cells[XT_CELLS];
};

/* Each on pages of its own. */
struct xt_shared_last {
    union {
        struct xt_writer_counters writer;
        uint8_t writer_page[XT_SHARED_PAGE];
    };
    union {
        struct xt_vitals supervisor;
        uint8_t supervisor_page[XT_SHARED_PAGE];
    };
};

struct xt_shared {
    uint8_t *map;
    size_t size;
    unsigned workers;
    /* The supervisor's: cells by name, open addressing, cell + 1; built anew with each assignment. */
    uint16_t slots[XT_CELL_SLOTS];
};

_Static_assert(XT_PARTNER_NAME_MAX % 8 == 0, "names are kept in words");
_Static_assert(XT_CELLS < UINT16_MAX, "cells fit in slots");
_Static_assert(sizeof(struct xt_partner_counters) % 64 == 0, "no two partners share a cache line");

struct xt_shared_header *xt_shared_header_of(const struct xt_shared *shared);
struct xt_shared_rates *xt_shared_rates_of(const struct xt_shared *shared);

#endif
