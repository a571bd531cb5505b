/* store/spill: people on their way through an import, on disk but sealed, dealt out by hash.
 *
 *   writers -> parts by the top bits of the hash -> each part read back on its own, and sorted
 *
 * One file without a name for each stream, written in blocks that belong to one part each; what does
 * not fill a block yet waits in memory. Blocks are sealed under a key that is drawn at open, lives in
 * locked memory and goes with the process: nobody can read what a killed import leaves on the disk.
 *
 *   record:  | high u64 | key u64 | line u40, size u16, marks u8 | payload |
 *
 * Hashes are uniform, so parts are equally large, unless many lines give the same number.
 *
 * Thread:  each writer belongs to one thread; parts are read by any number of threads once every
 *          writer was flushed.
 * Memory:  XT_SPILL_BLOCK for each part that a writer has met; left out of core dumps and wiped.
 */
#ifndef XT_STORE_SPILL_H
#define XT_STORE_SPILL_H

#include <stdatomic.h>

#include "core/span.h"
#include "core/status.h"
#include "store/memory.h"

#define XT_SPILL_PARTS 256 /* a power of two */
#define XT_SPILL_BLOCK (32U << 10)
#define XT_SPILL_LINE_MAX ((1ULL << 40) - 1)
#define XT_SPILL_PAYLOAD_MAX 65535U

/* A record read back. Sorted by its first three members: by hash, key and line. */
struct xt_spilled {
    uint64_t high;      /* of the hash of key */
    uint64_t key;       /* what was hashed: a number, a CMND, a phone */
    uint64_t line_size; /* line << 24 | size << 8 | marks */
    uint64_t payload;   /* where it lies in the part's memory */
};

static inline uint64_t xt_spilled_line(const struct xt_spilled *record)
{
    return record->line_size >> 24;
}

static inline size_t xt_spilled_size(const struct xt_spilled *record)
{
    return (record->line_size >> 8) & 0xffff;
}

static inline uint8_t xt_spilled_marks(const struct xt_spilled *record)
{
    return (uint8_t)record->line_size;
}

struct xt_spill;        /* opaque: one stream */
struct xt_spill_writer; /* opaque */

/* folder: where the file goes. */
XT_MUST_USE enum xt_status xt_spill_open(const char *folder, struct xt_spill **spill,
                                         struct xt_failure *failure);

/* All writers of it must be closed. Gives the room on the disk back. */
void xt_spill_close(struct xt_spill *spill);

XT_MUST_USE enum xt_status xt_spill_writer_open(struct xt_spill *spill,
                                                struct xt_spill_writer **writer,
                                                struct xt_failure *failure);
void xt_spill_writer_close(struct xt_spill_writer *writer);

/* XT_DISK_FULL, XT_IO. payload: at most XT_SPILL_PAYLOAD_MAX bytes. line: at most XT_SPILL_LINE_MAX. */
XT_MUST_USE enum xt_status xt_spill_add(struct xt_spill_writer *writer, uint64_t high, uint64_t key,
                                        uint64_t line, uint8_t marks, struct xt_span payload,
                                        struct xt_failure *failure);

/* Writes out what is still in memory; the writer may go on. */
XT_MUST_USE enum xt_status xt_spill_flush(struct xt_spill_writer *writer,
                                          struct xt_failure *failure);

/* Totals over all writers. */
struct xt_spill_totals {
    uint64_t records, payload_bytes, disk_bytes;
};
struct xt_spill_totals xt_spill_totals(const struct xt_spill *spill);

/* Bytes of memory that reading a part needs. */
uint64_t xt_spill_part_bytes(const struct xt_spill *spill, unsigned part);

/* What was read back of some parts. */
struct xt_spill_load {
    struct xt_memory block;   /* one block as it lies on disk */
    struct xt_memory text;    /* blocks, opened */
    struct xt_memory records; /* of struct xt_spilled */
};
void xt_spill_load_free(struct xt_spill_load *load);

/* Parts from to to - 1, in no order. Replaces what load held. XT_CORRUPT: the disk did not give back
 * what was written. */
XT_MUST_USE enum xt_status xt_spill_read(const struct xt_spill *spill, unsigned from, unsigned to,
                                         struct xt_spill_load *load, struct xt_failure *failure);

static inline struct xt_spilled *xt_spill_records(const struct xt_spill_load *load, size_t *count)
{
    *count = load->records.size / sizeof(struct xt_spilled);
    return (struct xt_spilled *)(void *)load->records.data;
}

static inline uint8_t *xt_spill_payload(const struct xt_spill_load *load,
                                        const struct xt_spilled *record)
{
    return load->text.data + record->payload;
}

#endif
