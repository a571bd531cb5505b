/* store/sweep: all pages of some tables, in parts, by all processors.
 *
 *   next part -> the disk reads the part that will be next -> work on it -> give its memory back
 *
 * Parts are given out in the order of the file, so that the disk reads in order; what one thread keeps
 * resident is a few parts (XT_SWEEP_PAGES pages each, some 4 MiB), however large the tables are.
 *
 * Thread: the caller's works too; the others are joined before xt_sweep_run is over (store/crew).
 */
#ifndef XT_STORE_SWEEP_H
#define XT_STORE_SWEEP_H

#include "store/progress.h"
#include "store/table_file.h"

#define XT_SWEEP_PAGES 64

/* Works on pages from <= page < to of a table. thread: which one asks, from 0. Anything but XT_OK given
 * back ends the sweep with it, once the others have ended their parts. */
typedef enum xt_status (*xt_sweep_part)(void *context, unsigned thread, unsigned table,
                                        uint32_t from, uint32_t to);

struct xt_sweep {
    const struct xt_table_file *file;
    uint32_t pages[XT_TABLE_COUNT]; /* of each table; 0: it is left out */
    unsigned threads;               /* 1 to XT_CREW_MAX */
    xt_sweep_part part;
    void *context;
    struct xt_progress *progress; /* begun by the caller, may interrupt; NULL: none */
    uint64_t done;                /* see xt_sweep_add */
};

/* XT_CLOSED: interrupted. */
XT_MUST_USE enum xt_status xt_sweep_run(struct xt_sweep *sweep);

/* Counts something done, for the progress. Any thread. */
static inline void xt_sweep_add(struct xt_sweep *sweep, uint64_t count)
{
    (void)__atomic_fetch_add(&sweep->done, count, __ATOMIC_RELAXED);
}

#endif
