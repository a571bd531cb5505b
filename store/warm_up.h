/* store/warm_up: brings the register into the page cache, in the order of the file: first what nearly every lookup
 * needs, the hot table and the one of CMND; then, where the machine has the memory, the rest: the one that links of
 * people are looked up in. Not that of phones, which lookups for answers do not go to.
 *
 * After a start of the machine each lookup of a page that is not there would wait for the disk, some 100 us; read
 * in order the same pages come a hundred times faster. The page cache is all processes', so that
 * one of them does it for all, and the others map what it has read (xt_warm_map) before they are asked for it: a
 * page fault for every 64 KiB is some 0.3 us a lookup until all have happened.
 *
 * Thread: one at a time, any. Memory: none stays resident in the process that reads.
 */
#ifndef XT_STORE_WARM_UP_H
#define XT_STORE_WARM_UP_H

#include "store/generation.h"

/* For all of it. What of it is there in how many bytes is a matter of the order, which both sides have. */
struct xt_warm_place {
    unsigned table; /* what comes next */
    uint32_t page;
    uint64_t done; /* bytes */
};

struct xt_warm_up {
    struct xt_generation *generation; /* NULL: there is nothing to do */
    struct xt_warm_place at;
    uint64_t reserve; /* bytes that have to be left of the memory for the rest to be read */
    uint64_t wanted;  /* bytes */
    uint64_t all;     /* the rest as well */
    uint64_t
        room; /* bytes that there were when the rest was looked at last; 0: the machine does not tell */
    unsigned small; /* steps in a row that did not come in pieces of 2 MiB */
    bool partly;    /* there is no room for the rest */
};

#define XT_WARM_HOT_ONLY UINT64_MAX /* as reserve */

/* Takes the generation; xt_warm_up_end closes it. */
void xt_warm_up_begin(struct xt_warm_up *warm_up, struct xt_generation *generation,
                      uint64_t reserve);

/* Reads about so many bytes on, at least one page; blocks on the disk, but on Linux before 5.14, which
 * only begins to read them. XT_NOT_FOUND: that was all; also when there is no more room for the rest, which is
 * looked at before each step of it: wanted is then what was read. XT_IO: the disk, or a file that was cut off. */
XT_MUST_USE enum xt_status xt_warm_up_step(struct xt_warm_up *warm_up, uint64_t bytes);

void xt_warm_up_end(struct xt_warm_up *warm_up);

/* How many bytes to read at once, and how many milliseconds from one such read to the next, for a rate of
 * at most 65536 MiB a second (0: 0 bytes). Whoever waits for a read under way waits for no more than
 * XT_WARM_UP_SLICE_MOST, which a slow disk gives in a second. */
#define XT_WARM_UP_PERIOD_MS 100
#define XT_WARM_UP_SLICE_MOST (64U << 20) /* bytes */
uint64_t xt_warm_up_slice(uint64_t mib_per_s, uint64_t *period_ms);

/* ---- in the processes that look up ---- */

/* Maps some 2 MiB more of the generation's pages, of those below so many bytes of the order: to be what a warm-up
 * of the same generation has done. Takes 0.01 to 0.2 ms, and waits for no disk: what is no longer in memory is
 * left out, and comes when it is looked up. Zeros begin.
 * XT_AGAIN: that was all of them so far. XT_NOT_FOUND: all there is, or this system cannot do it. */
XT_MUST_USE enum xt_status xt_warm_map_step(struct xt_warm_place *at,
                                            struct xt_generation *generation, uint64_t below);

#endif
