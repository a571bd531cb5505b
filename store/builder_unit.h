/* store/builder_unit: one unit of a table on its way from the sorted streams to its pages. Private to
 * the builder.
 *
 * A unit is a run of pages (store/table_writer) and the parts of the table's stream that fall into
 * it. Filtered of whom the conflicts left out, in order, and merged where a record names several
 * people.
 */
#ifndef XT_STORE_BUILDER_UNIT_H
#define XT_STORE_BUILDER_UNIT_H

#include "store/builder_internal.h"
#include "store/table_writer.h"
#include "store/tally.h"

struct xt_unit {
    struct xt_spill_load load; /* what stays of the parts, sorted */
    struct xt_table_writer writer;
    uint64_t records;      /* that go into the table */
    uint64_t replaced;     /* of them, for the hot table: replaced numbers */
    struct xt_tally tally; /* of the hot table: who was sealed, in all units of this thread */
};

void xt_unit_free(struct xt_unit *unit);

/* Reads, filters and sorts parts from to to - 1 of a table's stream, and counts its records. */
XT_MUST_USE enum xt_status xt_unit_load(const struct xt_builder *builder, unsigned table,
                                        unsigned from, unsigned to, struct xt_unit *unit,
                                        struct xt_failure *failure);

/* Ordinals that sealing takes in pages first to end - 1 of page_count: one for each record, and one for
 * each page that none falls into. */
uint64_t xt_unit_ordinals(const struct xt_unit *unit, uint32_t page_count, uint32_t first,
                          uint32_t end);

/* Seals them into unit->writer, which was started. */
XT_MUST_USE enum xt_status xt_unit_seal(const struct xt_builder *builder, unsigned table,
                                        struct xt_unit *unit, struct xt_failure *failure);

/* How a table is divided, by what was spilled of it. That includes people who may be left out: the
 * table may come out a little smaller than foreseen. */
struct xt_unit_plan {
    uint64_t bytes;        /* of the table's records, not sealed */
    uint32_t pages, units; /* the former a multiple of the latter */
    uint64_t memory;       /* bytes that the largest unit needs, about */
};
struct xt_unit_plan xt_units_plan(const struct xt_builder *builder, unsigned table);

#endif
