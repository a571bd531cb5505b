/* store/progress: how far long work has come, on stderr.
 *
 * On a terminal a bar (rate, share done, time left) renewed 5 times a second; elsewhere a plain line
 * every 10 s. Colours only on a terminal and never with NO_COLOR. Silent where nothing was due yet.
 */
#ifndef XT_STORE_PROGRESS_H
#define XT_STORE_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct xt_progress {
    const char *phase; /* "reading people" */
    const char *unit;  /* "people", "bytes" */
    uint64_t total;    /* 0: not known */
    uint64_t done;
    uint64_t started_ms, shown_ms, checked; /* private */
    bool terminal, quiet;                   /* private; quiet: NULL output */
    /* Set by a signal's handler, for work that shows progress to look at. After start; NULL: never. */
    const volatile sig_atomic_t *interrupted;
};

void xt_progress_start(struct xt_progress *progress, const char *phase, const char *unit,
                       uint64_t total, bool quiet);
/* Cheap enough to call for every item: looks at the clock once in a while only. */
void xt_progress_set(struct xt_progress *progress, uint64_t done);
/* The same for who calls a few times a second only: looks at the clock each time. */
void xt_progress_look(struct xt_progress *progress, uint64_t done);
/* Whether the work is to be given up. progress may be NULL. */
static inline bool xt_progress_interrupted(const struct xt_progress *progress)
{
    return progress != NULL && progress->interrupted != NULL && *progress->interrupted != 0;
}
/* Clears the bar and says nothing: the work failed, or was interrupted. */
void xt_progress_break(struct xt_progress *progress);
/* Clears the bar; ends with one line (phase, count, rate, time) unless quiet. */
void xt_progress_finish(struct xt_progress *progress);

#endif
