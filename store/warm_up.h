/* store/warm_up: brings what nearly every lookup needs into the page cache: the hot table and the one of
 * CMND, in the order of the file.
 *
 * After a start of the machine each lookup of a cold page would wait for the disk, some 100 us; read in
 * order the same pages come a hundred times faster. The page cache is all processes', so that
 * one of them does it for all.
 *
 * Thread: one at a time, any. Memory: none stays resident in the process that does it.
 */
#ifndef XT_STORE_WARM_UP_H
#define XT_STORE_WARM_UP_H

#include "store/generation.h"

struct xt_warm_up {
    struct xt_generation *generation; /* NULL: there is nothing to do */
    unsigned table;                   /* what comes next */
    uint32_t page;
    uint64_t done, wanted; /* bytes */
};

/* Takes the generation; xt_warm_up_end closes it. */
void xt_warm_up_begin(struct xt_warm_up *warm_up, struct xt_generation *generation);

/* Reads about so many bytes on, at least one page; blocks on the disk, but on Linux before 5.14, which
 * only begins to read them. XT_NOT_FOUND: that was all. XT_IO: the disk, or a file that was cut off. */
XT_MUST_USE enum xt_status xt_warm_up_step(struct xt_warm_up *warm_up, uint64_t bytes);

void xt_warm_up_end(struct xt_warm_up *warm_up);

/* How many bytes to read at once, and how many milliseconds from one such read to the next, for a rate of
 * at most 65536 MiB a second (0: 0 bytes). Whoever waits for a read under way waits for no more than
 * XT_WARM_UP_SLICE_MOST, which a slow disk gives in a second. */
#define XT_WARM_UP_PERIOD_MS 100
#define XT_WARM_UP_SLICE_MOST (64U << 20) /* bytes */
uint64_t xt_warm_up_slice(uint64_t mib_per_s, uint64_t *period_ms);

#endif
