/* core/wall_clock: whether the time of day can be believed, for who throws away what is old.
 *
 *   leap      the time of day is more than XT_WALL_CLOCK_LEAP_MS elsewhere than the time that passed says:
 *             compared with a clock that nobody sets and that goes on while the machine sleeps, and at the
 *             start with the last time that was written down
 *   believed  once it has gone on without a leap for XT_WALL_CLOCK_TRIAL_MS: who set it wrong has had a day to see it
 *
 * Small steps are added up for as long as the trial lasts, so a clock that creeps there leaps as well. A stop of more
 * than an hour looks like a leap, and costs a day.
 *
 * Pure: the caller reads the clocks.
 */
#ifndef XT_CORE_WALL_CLOCK_H
#define XT_CORE_WALL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define XT_WALL_CLOCK_LEAP_MS 3600000U   /* more than summer time or a wrong zone's half hour */
#define XT_WALL_CLOCK_TRIAL_MS 86400000U /* a day: somebody looks at the machine */

struct xt_wall_clock {    /* zeros: not begun */
    uint64_t lead_ms;     /* unix less steady, modulo 2^64, when .. */
    uint64_t since_ms;    /* .. steady was this */
    uint64_t believed_ms; /* steady: from then on, if it does not leap; 0: now */
};

/* last_ms: when something was written down last; 0: never. Gives whether it has leapt since. All in
 * milliseconds; unix: UTC, steady: since some beginning. */
bool xt_wall_clock_begin(struct xt_wall_clock *clock, uint64_t last_ms, uint64_t unix_ms,
                         uint64_t steady_ms);
/* As after a leap, whatever the clock says. */
void xt_wall_clock_doubt(struct xt_wall_clock *clock, uint64_t steady_ms);
/* Now and then; gives whether it has leapt. */
bool xt_wall_clock_look(struct xt_wall_clock *clock, uint64_t unix_ms, uint64_t steady_ms);
/* As of the last look. */
bool xt_wall_clock_is_believed(const struct xt_wall_clock *clock, uint64_t steady_ms);

#endif
