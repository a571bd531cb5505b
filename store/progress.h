/* store/progress: how far long work has come, on stderr.
 *
 * On a terminal a bar (rate, share done, time left) renewed 5 times a second; elsewhere a plain line
 * every 10 s. Colours only on a terminal and never with NO_COLOR. Silent where nothing was due yet.
 */
#ifndef XT_STORE_PROGRESS_H
#define XT_STORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct xt_progress {
    const char *phase; /* "reading people" */
    const char *unit;  /* "people", "bytes" */
    uint64_t total;    /* 0: not known */
    uint64_t done;
    uint64_t started_ms, shown_ms, checked; /* private */
    bool terminal, quiet;                   /* private; quiet: NULL output */
};

void xt_progress_start(struct xt_progress *progress, const char *phase, const char *unit,
                       uint64_t total, bool quiet);
/* Cheap enough to call for every item: looks at the clock once in a while only. */
void xt_progress_set(struct xt_progress *progress, uint64_t done);
/* Clears the bar; ends with one line (phase, count, rate, time) unless quiet. */
void xt_progress_finish(struct xt_progress *progress);

#endif
