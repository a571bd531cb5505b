/* bench/standard_window: what a server used between two moments that are known only afterwards.
 *
 * A load run says when its measured time began and how long it was. A thread reads the server's
 * counters 20 times a second with the time; the use of a window is the difference of two readings
 * interpolated at its edges, so half a reading's distance of a steady load is all that can be wrong.
 * Thread: its own, for the counters; the functions from one other.
 */
#ifndef XT_BENCH_STANDARD_WINDOW_H
#define XT_BENCH_STANDARD_WINDOW_H

#include "bench/counters.h"

struct xt_window; /* opaque */

struct xt_window_use { /* in the window */
    double cpu_us, user_us, system_us, switches, instructions, cycles;
};

/* NULL: there is no such process, or no memory. */
struct xt_window *xt_window_open(int pid);
/* Ends the reading. from: Unix seconds; seconds: its length. false: the readings do not cover it, or
 * a process of the server was replaced meanwhile. Frees the window. */
bool xt_window_close(struct xt_window *window, double from, double seconds,
                     struct xt_window_use *use);

#endif
