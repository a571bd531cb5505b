/* What else an open generation knows of people: the rest of a record, and whom an alias names. */
#include "store/generation_internal.h"

enum xt_status xt_generation_cold(struct xt_generation *generation, uint64_t number,
                                  struct xt_span *record)
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    struct xt_hash hash = xt_key_hash(generation->hash_key, id);
    uint32_t cursor = 0;
    for (;;) {
        size_t size = 0;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_COLD], hash, &cursor,
                                             generation->record, &size);
        *record = xt_span_of(generation->record, size);
        if (status != XT_OK) {
            return status;
        }
        uint64_t held = 0;
        struct xt_links links;
        if (xt_cold_links(*record, &held, &links) != XT_OK) {
            return XT_CORRUPT;
        }
        if (held == number) {
            return XT_OK;
        }
    }
}

enum xt_status xt_generation_people(struct xt_generation *generation, struct xt_id id,
                                    struct xt_alias *alias)
{
    struct xt_hash hash = xt_key_hash(generation->hash_key, id);
    enum xt_table_number table = id.kind == XT_ID_PHONE ? XT_TABLE_PHONE : XT_TABLE_ALIAS;
    uint32_t cursor = 0;
    xt_require(id.kind != XT_ID_PERSONAL);
    for (;;) {
        size_t size = 0;
        enum xt_status status =
            xt_table_get(generation->tables[table], hash, &cursor, generation->record, &size);
        if (status != XT_OK) {
            return status;
        }
        if (xt_alias_decode(xt_span_of(generation->record, size), alias) != XT_OK) {
            return XT_CORRUPT;
        }
        if (alias->old.kind == id.kind && alias->old.value == id.value) {
            return XT_OK;
        }
    }
}
