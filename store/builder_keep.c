/* A builder's way in for records that were sealed before: they are dealt out as they are. */
#include "store/builder_internal.h"

/* Each person has one line, as in an import: nobody's records are left out for another's, and those of one
 * person stand together. */
static struct xt_builder_origin origin_of(uint64_t number, uint8_t marks)
{
    _Static_assert(XT_SPILL_LINE_MAX > 999999999999ULL, "a number and one more is a line");
    return (struct xt_builder_origin){.line = number + 1, .marks = marks};
}

static enum xt_status keep(struct xt_builder *builder, unsigned lane_number, unsigned table,
                           struct xt_id key, struct xt_builder_origin origin,
                           struct xt_span payload, struct xt_failure *failure)
{
    xt_require(!builder->sorted && lane_number < builder->options.threads);
    struct xt_builder_lane *lane = &builder->lanes[lane_number];
    enum xt_status status = xt_builder_spill(builder, lane, table, key, origin, payload, failure);
    return status == XT_OK ? xt_builder_look(builder, lane, failure) : status;
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

enum xt_status xt_builder_keep_hot(struct xt_builder *builder, unsigned lane, uint64_t number,
                                   struct xt_span record, struct xt_failure *failure)
{
    builder->lanes[lane].people++;
    return keep(builder, lane, XT_TABLE_HOT, personal(number), origin_of(number, 0), record,
                failure);
}

enum xt_status xt_builder_keep_cold(struct xt_builder *builder, unsigned lane, uint64_t number,
                                    struct xt_span record, struct xt_failure *failure)
{
    return record.size == builder->empty_cold ? XT_OK
                                              : keep(builder, lane, XT_TABLE_COLD, personal(number),
                                                     origin_of(number, 0), record, failure);
}

enum xt_status xt_builder_keep_replaced(struct xt_builder *builder, unsigned lane,
                                        uint64_t replaced, uint64_t number,
                                        struct xt_failure *failure)
{
    return keep(builder, lane, XT_TABLE_HOT, personal(replaced),
                origin_of(number, XT_MARK_REPLACED), xt_span_of(&number, sizeof(number)), failure);
}

enum xt_status xt_builder_keep_alias(struct xt_builder *builder, unsigned lane, struct xt_id alias,
                                     uint64_t number, struct xt_failure *failure)
{
    unsigned table = alias.kind == XT_ID_PHONE ? XT_TABLE_PHONE : XT_TABLE_ALIAS;
    return keep(builder, lane, table, alias, origin_of(number, 0),
                xt_span_of(&number, sizeof(number)), failure);
}

void xt_builder_set_folded(struct xt_builder *builder, uint64_t sequence,
                           const uint8_t live[XT_GENERATION_IDENTITY])
{
    builder->manifest.folded = sequence;
    builder->manifest.folded_base = builder->before;
    memcpy(builder->manifest.folded_live, live, XT_GENERATION_IDENTITY);
}

uint32_t xt_builder_before(const struct xt_builder *builder)
{
    return builder->before;
}
