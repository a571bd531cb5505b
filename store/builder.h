/* store/builder: makes a sealed generation out of people, all or nothing.
 *
 *   open -> add, add, ... -> sort (find duplicates) -> seal (write, verify, fsync, switch) -> close
 *   closing without seal removes every trace.
 *
 *   add    encodes a person and deals his records out by hash into sealed files (store/spill)
 *   sort   goes through the numbers part by part, and decides about those given more than once
 *   seal   goes through the parts again, table by table: filters, sorts, packs and seals pages
 *
 * So memory is bounded whatever the number of people; only the numbers that several lines give are
 * held at once. All of it is done on several threads.
 *
 * Numbers that several lines give, as registers export them:
 *   - Of two with the same number of their own the first line stays, whatever they are.
 *   - A number in somebody's replaced_numbers may also be the own number of a cancelled record. That
 *     record is then folded into its successor: nothing of it is stored, and its number answers as the
 *     successor, as do the numbers that it replaced itself; of its CMND and phones only what the
 *     successor's own record states is kept. Over several steps the last successor counts.
 *   - A replaced number that both a cancelled record and one in force list is the latter's.
 *   - Everything else that two lines claim is a reject, a ring of successors too.
 *   - A CMND of several people names nobody; but cancelled people do not count where somebody else
 *     holds it. So with phones, where all who hold one are told.
 *
 * One builder at a time per deployment (flock on DIR/identity/.lock: XT_BUSY for the second). Opening
 * removes what a killed import left, and no generation that was ever served. Memory that holds people
 * is left out of core dumps and wiped.
 */
#ifndef XT_STORE_BUILDER_H
#define XT_STORE_BUILDER_H

#include <signal.h>

#include "store/generation.h"

struct xt_builder; /* opaque */

#define XT_BUILDER_MEMORY_DEFAULT (2ULL << 30)
#define XT_BUILDER_MEMORY_MIN (256ULL << 20)

struct xt_builder_options {
    uint64_t memory;  /* bytes that it may take, about; 0: XT_BUILDER_MEMORY_DEFAULT */
    unsigned threads; /* 0: one per processor */
    uint64_t
        foreseen; /* bytes that the generation will take on disk, about; 0: not known. Refused at
                           once when there is no room for them */
    bool quiet;   /* no progress */
    const volatile sig_atomic_t *stop; /* becomes true: end with XT_CLOSED, nothing changed. May be
                                          NULL */
};

/* options: NULL for all defaults, quiet. */
XT_MUST_USE enum xt_status xt_builder_open(const char *dir, const struct xt_keyring *keyring,
                                           const struct xt_builder_options *options,
                                           struct xt_builder **builder, struct xt_failure *failure);

/* How many threads may add at once: lanes 0 to n - 1, one thread each. */
unsigned xt_builder_lanes(const struct xt_builder *builder);

/* line: where the person stands in the input, from 1; each person has another. XT_DISK_FULL comes
 * early, while there is still room for others. */
XT_MUST_USE enum xt_status xt_builder_add(struct xt_builder *builder, unsigned lane,
                                          const struct xt_person *person, uint64_t line,
                                          struct xt_failure *failure);

/* Called, in the order of the lines, for each person that is left out because an earlier line (or the
 * same) already gave one of his numbers. code is "duplicate_id" (the number itself) or
 * "replaced_number_in_use" (a replaced number and a living one, or two replaced ones); pointer is
 * "/id" or "/replaced_numbers": which of the later line's numbers it is. */
typedef void (*xt_builder_duplicate)(void *context, uint64_t line, uint64_t first_line,
                                     const char *code, const char *pointer);

/* Finds duplicates; call once, before seal, so that the caller can decide by the count. People count
 * as if added one after the other in the order of their lines, whatever the order of the calls: a
 * line that was itself left out holds no number. XT_NO_MEMORY: so many lines give the same numbers
 * that they do not fit into options.memory. */
XT_MUST_USE enum xt_status xt_builder_sort(struct xt_builder *builder,
                                           xt_builder_duplicate duplicate, void *context,
                                           struct xt_failure *failure);

/* How many cancelled records were folded into their successors; once sorted. */
uint64_t xt_builder_folded(const struct xt_builder *builder);

/* Writes, verifies (every record opened, count, whole-file digest), fsyncs, makes read-only and
 * switches. XT_CLOSED: stopped in time; nothing was switched. */
XT_MUST_USE enum xt_status xt_builder_seal(struct xt_builder *builder, struct xt_manifest *manifest,
                                           struct xt_failure *failure);
void xt_builder_close(struct xt_builder *builder);

#endif
