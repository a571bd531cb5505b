/* tests/store/changes: registry events applied to the live store of the test's deployment. */
#ifndef XT_TESTS_STORE_CHANGES_H
#define XT_TESTS_STORE_CHANGES_H

#include "store/live.h"

#define CHANGES_MAX 8 /* in a group */

/* Applies lines of JSON as one group. Failures end the test, refusals do not. */
void apply_changes(struct xt_live *live, const char *const *lines, unsigned count,
                   struct xt_live_outcome *outcomes);
/* Opens the deployment's live store over the served generation, in a process of its own, applies one event
 * and ends. */
void change_once(const char *line);

#endif
