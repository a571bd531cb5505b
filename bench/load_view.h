/* bench/load_view: a run as people see it: live on stderr, and the figures at its end.
 *
 * On a terminal a panel that is redrawn every second (colours never with NO_COLOR); elsewhere a plain
 * line every 10 s.
 */
#ifndef XT_BENCH_LOAD_VIEW_H
#define XT_BENCH_LOAD_VIEW_H

#include <stdio.h>

#include "bench/load_run.h"

#define XT_LOAD_VIEW_HISTORY 48 /* seconds */

struct xt_load_view {
    const struct xt_load_options *options;
    bool quiet, terminal, colour;
    unsigned lines; /* drawn, to be drawn over */
};

void xt_load_view_init(struct xt_load_view *view, const struct xt_load_options *options);
/* xt_load_watcher; data: the view. */
void xt_load_view_watch(void *data, const struct xt_load_figures *so_far);
/* Clears the panel. */
void xt_load_view_end(struct xt_load_view *view);

/* The figures of a run. */
void xt_load_summary(const struct xt_load_options *options, const struct xt_load_figures *figures,
                     FILE *out);

#endif
