#include "store/builder_unit.h"

#include "store/background.h"
#include "store/generation_internal.h"
#include "store/sort.h"
#include "store/table_page.h"

#define ALIAS_BYTES 12 /* of an alias of one person, core/record */

void xt_unit_free(struct xt_unit *unit)
{
    xt_spill_load_free(&unit->load);
    xt_table_writer_end(&unit->writer);
    xt_tally_free(&unit->tally);
}

/* Bytes of memory that a unit of parts from to to - 1 needs, about. */
static uint64_t unit_memory(const struct xt_spill *spill, unsigned from, unsigned to)
{
    uint64_t bytes = 0;
    for (unsigned part = from; part < to; part++) {
        bytes += xt_spill_part_bytes(spill, part);
    }
    /* Read, and sealed; both grow by doubling, and half of what a doubling gives may be in use. */
    return bytes * 3;
}

struct xt_unit_plan xt_units_plan(const struct xt_builder *builder, unsigned table)
{
    const struct xt_spill *spill = builder->spills[table];
    struct xt_spill_totals totals = xt_spill_totals(spill);
    bool merged = table == XT_TABLE_ALIAS || table == XT_TABLE_PHONE;
    /* Of those, what was spilled has a person's number where the table has a record around it. */
    struct xt_unit_plan plan = {.bytes =
                                    merged ? totals.records * ALIAS_BYTES : totals.payload_bytes};
    plan.pages = xt_table_page_count(totals.records, plan.bytes, XT_SPILL_PARTS, &plan.units);
    unsigned parts = XT_SPILL_PARTS / plan.units;
    for (unsigned from = 0; from < XT_SPILL_PARTS; from += parts) {
        uint64_t memory = unit_memory(spill, from, from + parts);
        plan.memory = memory > plan.memory ? memory : plan.memory;
    }
    return plan;
}

/* ---- filtering ---------------------------------------------------------------------------- */

/* Whether a record stays. A replaced number of somebody who was folded leads on to whom he was folded
 * into. */
static bool stays(const struct xt_builder *builder, unsigned table, struct xt_spill_load *load,
                  const struct xt_spilled *record)
{
    const struct xt_conflicts *conflicts = &builder->conflicts;
    uint64_t line = xt_spilled_line(record);
    uint8_t marks = xt_spilled_marks(record);
    uint64_t successor;
    if (xt_conflicts_rejected(conflicts, line)) {
        return false;
    }
    if (table == XT_TABLE_HOT && (marks & XT_MARK_REPLACED) != 0) {
        if (xt_conflicts_dropped(conflicts, line, record->key)) {
            return false;
        }
        if ((marks & XT_MARK_CANCELLED) != 0 && xt_conflicts_folded(conflicts, line, &successor)) {
            memcpy(xt_spill_payload(load, record), &successor, sizeof(successor));
        }
        return true;
    }
    return (marks & XT_MARK_CANCELLED) == 0 || !xt_conflicts_folded(conflicts, line, &successor);
}

/* The end of those that have the key of records[from]. */
static size_t same_key(const struct xt_spilled *records, size_t from, size_t count)
{
    size_t to = from + 1;
    while (to < count && records[to].high == records[from].high &&
           records[to].key == records[from].key) {
        to++;
    }
    return to;
}

/* All who hold one CMND or phone: the cancelled ones go unless there is nobody else, and who gives it
 * twice holds it once. Gives the end of those who stay, now together at `kept`. */
static size_t keep_holders(const struct xt_spill_load *load, struct xt_spilled *records,
                           size_t kept, size_t from, size_t to)
{
    size_t first = kept;
    bool in_force = false;
    for (size_t i = from; i < to; i++) {
        in_force = in_force || (xt_spilled_marks(&records[i]) & XT_MARK_CANCELLED) == 0;
    }
    for (size_t i = from; i < to; i++) {
        bool cancelled = (xt_spilled_marks(&records[i]) & XT_MARK_CANCELLED) != 0;
        bool again = kept > first && xt_payload_number(load, &records[kept - 1]) ==
                                         xt_payload_number(load, &records[i]);
        if (!(in_force && cancelled) && !again) {
            records[kept++] = records[i];
        }
    }
    return kept;
}

enum xt_status xt_unit_load(const struct xt_builder *builder, unsigned table, unsigned from,
                            unsigned to, struct xt_unit *unit, struct xt_failure *failure)
{
    size_t count;
    size_t kept = 0;
    enum xt_status status = xt_spill_read(builder->spills[table], from, to, &unit->load, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_spilled *records = xt_spill_records(&unit->load, &count);
    unit->records = 0;
    unit->replaced = 0;
    for (size_t i = 0; i < count; i++) {
        if ((i & 255) == 0) {
            xt_background_yield();
        }
        if (stays(builder, table, &unit->load, &records[i])) {
            unit->replaced += (xt_spilled_marks(&records[i]) & XT_MARK_REPLACED) != 0;
            records[kept++] = records[i];
        }
    }
    count = kept;
    xt_sort_entries(records, count, sizeof(*records));
    unit->records = count;
    if (table == XT_TABLE_ALIAS || table == XT_TABLE_PHONE) {
        unit->records = 0;
        kept = 0;
        for (size_t first = 0, end; first < count; first = end, unit->records++) {
            end = same_key(records, first, count);
            kept = keep_holders(&unit->load, records, kept, first, end);
        }
    }
    unit->load.records.size = kept * sizeof(*records);
    return XT_OK;
}

uint64_t xt_unit_ordinals(const struct xt_unit *unit, uint32_t page_count, uint32_t first,
                          uint32_t end)
{
    size_t count;
    const struct xt_spilled *records = xt_spill_records(&unit->load, &count);
    uint32_t used = 0;
    uint32_t last = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        uint32_t page = xt_page_place((struct xt_hash){.high = records[i].high}, page_count).page;
        used += page != last;
        last = page;
    }
    return unit->records + (end - first - used);
}

/* ---- sealing ------------------------------------------------------------------------------ */

/* What goes into the hot table for a replaced number. */
static size_t encode_redirect(const struct xt_spill_load *load, const struct xt_spilled *record,
                              uint8_t text[XT_ALIAS_MAX + 1])
{
    struct xt_alias alias = {.old = {.kind = XT_ID_PERSONAL, .value = record->key},
                             .count = 1,
                             .people = {xt_payload_number(load, record)}};
    struct xt_writer writer = xt_writer_over(text, XT_ALIAS_MAX + 1);
    xt_write_byte(&writer, XT_REDIRECT_MARK);
    xt_alias_encode(&alias, &writer);
    xt_require(!writer.overflow);
    return writer.size;
}

static size_t encode_holders(const struct xt_spill_load *load, const struct xt_spilled *records,
                             size_t count, enum xt_id_kind kind, uint8_t text[XT_ALIAS_MAX])
{
    struct xt_alias alias = {.old = {.kind = kind, .value = records[0].key}};
    for (size_t i = 0; i < count && alias.count < XT_ALIAS_PEOPLE_MAX; i++) {
        alias.people[alias.count++] = xt_payload_number(load, &records[i]);
    }
    struct xt_writer writer = xt_writer_over(text, XT_ALIAS_MAX);
    xt_alias_encode(&alias, &writer);
    xt_require(!writer.overflow);
    return writer.size;
}

/* Counts a person who goes into the hot table. */
static enum xt_status count_person(struct xt_unit *unit, struct xt_span record,
                                   struct xt_failure *failure)
{
    struct xt_hot hot;
    enum xt_status status = xt_hot_decode(record, &hot);
    if (status == XT_OK) {
        status = xt_tally_add(&unit->tally, xt_statistics_key(&hot), 1);
    }
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "cannot count people: %s", xt_status_name(status));
}

enum xt_status xt_unit_seal(const struct xt_builder *builder, unsigned table, struct xt_unit *unit,
                            struct xt_failure *failure)
{
    size_t count;
    const struct xt_spilled *records = xt_spill_records(&unit->load, &count);
    bool merged = table == XT_TABLE_ALIAS || table == XT_TABLE_PHONE;
    enum xt_id_kind kind = table == XT_TABLE_PHONE ? XT_ID_PHONE : XT_ID_CMND;
    enum xt_status status = XT_OK;
    for (size_t i = 0, end; i < count && status == XT_OK; i = end) {
        uint8_t text[XT_ALIAS_MAX + 1];
        struct xt_span record = xt_span_of(text, 0);
        if ((i & 15) == 0) {
            xt_background_yield();
        }
        end = merged ? same_key(records, i, count) : i + 1;
        if (merged) {
            record.size = encode_holders(&unit->load, &records[i], end - i, kind, text);
        } else if ((xt_spilled_marks(&records[i]) & XT_MARK_REPLACED) != 0) {
            record.size = encode_redirect(&unit->load, &records[i], text);
        } else {
            record = xt_span_of(xt_spill_payload(&unit->load, &records[i]),
                                xt_spilled_size(&records[i]));
            if (table == XT_TABLE_HOT) {
                status = count_person(unit, record, failure);
            }
        }
        if ((i & 1023) == 0 && xt_builder_stopped(builder)) {
            return xt_fail(failure, XT_CLOSED, "interrupted; nothing was changed");
        }
        if (status == XT_OK) {
            status = xt_table_writer_add(&unit->writer, records[i].high, record, failure);
        }
    }
    return status == XT_OK ? xt_table_writer_finish(&unit->writer, failure) : status;
}
