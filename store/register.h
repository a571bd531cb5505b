/* store/register: the register as it is now: the overlay of the live store, and under it the sealed
 * generation. The one place where people are looked up while changes are taken.
 *
 *   id -> store/generation -> may the overlay hold it? --no--> what the generation said
 *                               (a filter of its keys)   --yes-> overlay --nothing--> the same
 *                                                                   |
 *                                 the person as he is now; for a CMND, people of the generation and
 *                                 changes of the overlay together
 *
 * Who is found through an alias is asked for in the overlay as well. live NULL, or an overlay with nothing
 * in it: costs nothing.
 * Work: a number that nobody has, and everybody who did not change, cost one look at the filter more than
 * without an overlay, the same for both, and any CMND two, whoever it names or nobody; what the generation
 * does for a miss is done all the same. Somebody who changed costs a lookup in the overlay as well, some 1
 * to 3 us: to who can measure that he shows to have changed since the last compaction, and so to exist; nothing
 * else of him shows. `./dev bench timing` measures without an overlay.
 * Thread: that of the generation and of the live store's reader. Refresh the reader first.
 */
#ifndef XT_STORE_REGISTER_H
#define XT_STORE_REGISTER_H

#include "store/generation.h"
#include "store/live_overlay.h"

struct xt_register { /* both borrowed */
    struct xt_generation *generation;
    struct xt_live *live; /* a reader, refreshed; NULL: nothing changed */
};

/* As xt_generation_find. XT_IO: the live store cannot be read (answer 503, open it again). All of these:
 * XT_BUSY: what a later generation holds was dropped from the overlay, and this one lacks it (answer 503,
 * open the generation that is current). */
XT_MUST_USE enum xt_status xt_register_find(const struct xt_register *as, struct xt_id id,
                                            struct xt_found *found);

/* As xt_generation_find_batch. */
void xt_register_find_batch(const struct xt_register *as, struct xt_lookup *const *lookups,
                            size_t count);

/* As xt_generation_expect_links and xt_generation_links: of the person found. */
void xt_register_expect_links(const struct xt_register *as, const uint64_t *numbers,
                              unsigned count);
XT_MUST_USE enum xt_status xt_register_links(const struct xt_register *as, uint64_t number,
                                             struct xt_links *links);

/* Whom a CMND or a phone names now. people: at most XT_ALIAS_PEOPLE_MAX are given; *count may be more:
 * then they are several, and nobody knows who. XT_OK also for nobody. */
XT_MUST_USE enum xt_status xt_register_people(const struct xt_register *as, struct xt_id id,
                                              uint64_t people[XT_ALIAS_PEOPLE_MAX],
                                              unsigned *count);

/* The whole of a person whose number this is. person borrows texts until the next lookup. XT_NOT_FOUND:
 * nobody has it (it may be a replaced one). */
XT_MUST_USE enum xt_status xt_register_person(const struct xt_register *as, uint64_t number,
                                              struct xt_person *person);

/* Does for a number that nobody has what xt_register_person does for somebody's: another record of the same page is
 * opened and read. person: somebody else, or nobody at all; nothing of him may count or be told. */
void xt_register_stand_in(const struct xt_register *as, uint64_t number, struct xt_person *person);

#endif
