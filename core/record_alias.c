#include "core/record.h"

#include "core/wire.h"

/* version 1 | kind 1 | the old number 5 | people 5 each, as many as there are */
#define ALIAS_VERSION 1
#define ALIAS_FIXED 7

void xt_alias_encode(const struct xt_alias *alias, struct xt_writer *writer)
{
    xt_write_byte(writer, ALIAS_VERSION);
    xt_write_byte(writer, (uint8_t)alias->old.kind);
    xt_wire_write(writer, alias->old.value, XT_WIRE_NUMBER);
    for (unsigned i = 0; i < alias->count; i++) {
        xt_wire_write(writer, alias->people[i], XT_WIRE_NUMBER);
    }
}

enum xt_status xt_alias_decode(struct xt_span record, struct xt_alias *alias)
{
    if (record.size > 0 && record.data[0] != ALIAS_VERSION) {
        return XT_UNSUPPORTED;
    }
    if (record.size <= ALIAS_FIXED || (record.size - ALIAS_FIXED) % XT_WIRE_NUMBER != 0 ||
        record.size > ALIAS_FIXED + XT_ALIAS_PEOPLE_MAX * XT_WIRE_NUMBER ||
        record.data[1] > XT_ID_PHONE) {
        return XT_CORRUPT;
    }
    alias->old.kind = (enum xt_id_kind)record.data[1];
    alias->old.value = xt_wire_integer(record.data + 2, XT_WIRE_NUMBER);
    alias->count = (unsigned)((record.size - ALIAS_FIXED) / XT_WIRE_NUMBER);
    bool sound = alias->old.value <
                 (alias->old.kind == XT_ID_PERSONAL ? XT_WIRE_NUMBER_END : XT_WIRE_NINE_DIGITS_END);
    /* At least two rounds: one and two people take the same time. */
    for (unsigned i = 0; i < 2 || i < alias->count; i++) {
        unsigned place = i < alias->count ? i : 0;
        alias->people[i] =
            xt_wire_integer(record.data + ALIAS_FIXED + place * XT_WIRE_NUMBER, XT_WIRE_NUMBER);
        sound &= alias->people[i] < XT_WIRE_NUMBER_END;
    }
    return sound ? XT_OK : XT_CORRUPT;
}
