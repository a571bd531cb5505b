/* store/builder: makes a sealed generation out of people, all or nothing.
 *
 *   open -> add, add, ... -> sort (find duplicates) -> seal (write, verify, fsync, switch) -> close
 *   closing without seal removes every trace.
 *
 *   add    encodes a person and deals his records out by hash into sealed files (store/spill)
 *   sort   goes through the numbers part by part, and decides about those given more than once
 *   seal   goes through the parts again, table by table: filters, sorts, packs and seals pages
 *
 * What is held of people at once is buffers while adding, then a few parts of a stream (up to a 256th
 * of it each); and the numbers that several lines give. Parts are by hash, so they are alike, unless
 * very many lines give one number, CMND or phone: all those fall into one part. Whether the largest
 * part fits into options.memory is known when adding is over, and told before it is read back. All of
 * it is done on several threads.
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

/* The share of what was foreseen without which there is no use in beginning. How much disk a byte of
 * input takes was measured: escapes (six bytes for a letter of two or three) and indented or spaced
 * members make it less, about half. Input that is mostly white space would be refused wrongly; through
 * a pipe nothing is foreseen of it. */
#define XT_BUILDER_CERTAIN 0.4

struct xt_builder_options {
    uint64_t memory;   /* bytes that it may take, about; 0: XT_BUILDER_MEMORY_DEFAULT. Below
                         XT_BUILDER_MEMORY_MIN one thread's buffers may take more */
    unsigned threads;  /* 0: one per processor */
    uint64_t foreseen; /* bytes that it will take on disk at its peak, an estimate; 0: not known.
                          Refused at once when there is no room for XT_BUILDER_CERTAIN of them */
    struct xt_failure *warning; /* told at open when there is room for that but not for all that was
                                   foreseen: text "" or one line. May be NULL */
    bool quiet;                 /* no progress */
    const volatile sig_atomic_t *stop; /* becomes true: end with XT_CLOSED, nothing changed. May be
                                          NULL */
};

/* options: NULL for all defaults, quiet. XT_AGAIN: the current master key of the deployment is no longer that
 * of keyring. */
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

/* ---- out of what was sealed before (store/compact) ----------------------------------------------
 *
 * Records as they are, in place of xt_builder_add: nothing is derived from them, so the caller gives each
 * person's hot record, his cold one where he has one, each number that leads to him and each CMND and
 * phone that names him, the latter also once per person that they name. */
XT_MUST_USE enum xt_status xt_builder_keep_hot(struct xt_builder *builder, unsigned lane,
                                               uint64_t number, struct xt_span record,
                                               struct xt_failure *failure);
/* One that holds nothing is left out. */
XT_MUST_USE enum xt_status xt_builder_keep_cold(struct xt_builder *builder, unsigned lane,
                                                uint64_t number, struct xt_span record,
                                                struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_builder_keep_replaced(struct xt_builder *builder, unsigned lane,
                                                    uint64_t replaced, uint64_t number,
                                                    struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_builder_keep_alias(struct xt_builder *builder, unsigned lane,
                                                 struct xt_id alias, uint64_t number,
                                                 struct xt_failure *failure);

/* What the manifest will say of it. */
void xt_builder_set_folded(struct xt_builder *builder, uint64_t sequence,
                           const uint8_t live[XT_GENERATION_IDENTITY]);
/* The generation that was served when this was opened, and the lock taken; 0: none. */
uint32_t xt_builder_before(const struct xt_builder *builder);

/* Called, in the order of the lines, for each person that is left out because an earlier line (or the
 * same) already gave one of his numbers. code is "duplicate_id" (the number itself) or
 * "replaced_number_in_use" (a replaced number and a living one, or two replaced ones); pointer is
 * "/id" or "/replaced_numbers": which of the later line's numbers it is. */
typedef void (*xt_builder_duplicate)(void *context, uint64_t line, uint64_t first_line,
                                     const char *code, const char *pointer);

/* Finds duplicates; call once, before seal, so that the caller can decide by the count. People count
 * as if added one after the other in the order of their lines, whatever the order of the calls: a
 * line that was itself left out holds no number. XT_NO_MEMORY, before anything is read
 * back: what sorting and sealing hold at once does not fit into options.memory; the text names what
 * does, and with as much xt_builder_seal does not fail for options.memory. XT_NO_MEMORY, later: the
 * numbers that several lines give do not fit into a quarter of it. */
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
