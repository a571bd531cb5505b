/* tests/crash_states: every state that a power cut could leave, from a recording (tests/preload).
 *
 *   recording -> for each sync: what was not on the disk before it -> subsets of that -> folder
 *
 * The disk keeps single sectors of 512 bytes: of all that was written since the last sync of a file any
 * sectors may be there and any not, in any order, and a file may be as long as it was, or already longer,
 * with zeros where nothing came. A write with O_DSYNC makes itself lasting and nothing else. Names (made,
 * renamed, gone) are lasting once their folder was synced; before that any of them may be. That is less
 * than any file system promises.
 * What is lasting just before a sync, with any subset of the rest, is all that a cut at any time since the sync
 * before could leave, so states are made there.
 * Where there are few subsets all are made; else none, all, and drawn ones (beginnings, endings, whole
 * pages, one sector missing, one alone, at random) by a fixed seed.
 *
 * A write to a file named `told` is what the program has told others by then: it is counted, and is no part
 * of a state.
 */
#ifndef XT_TESTS_CRASH_STATES_H
#define XT_TESTS_CRASH_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crash_recording; /* opaque */

struct crash_recording *crash_recording_open(const char *path);
void crash_recording_close(struct crash_recording *recording); /* NULL is fine */

/* The bytes told as the nth (0 ..). NULL: there are fewer. */
const void *crash_told(const struct crash_recording *recording, size_t n, size_t *size);

struct crash_plan {
    const char *folder; /* an empty one; each state is laid out in it */
    unsigned at_each;   /* states at a sync, at most; equal ones are made once */
    uint64_t seed;
};
/* told: so many had been told before the cut, and the next perhaps. */
typedef void (*crash_visit)(void *context, size_t told);
/* Gives how many different states there were. */
size_t crash_each_state(struct crash_recording *recording, const struct crash_plan *plan,
                        crash_visit visit, void *context);

#endif
