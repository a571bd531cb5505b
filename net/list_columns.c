#include "net/list_columns.h"

/* The name of a column that the map gives a meaning; at is moved behind the pair. false: malformed. */
static bool next_pair(const char **at, struct xt_span *column, struct xt_span *member)
{
    size_t size = strcspn(*at, ",");
    const char *equals = memrchr(*at, '=', size);
    if (equals == NULL || equals == *at) {
        return false;
    }
    *column = xt_span_of(*at, (size_t)(equals - *at));
    *member = xt_span_of(equals + 1, (size_t)(*at + size - (equals + 1)));
    *at += size + ((*at)[size] == ',');
    return true;
}

static enum xt_status apply_map(const struct xt_span *header, const char *map,
                                struct xt_list_columns *columns, struct xt_failure *failure)
{
    while (map != NULL && *map != 0) {
        struct xt_span column;
        struct xt_span name;
        if (!next_pair(&map, &column, &name)) {
            return xt_fail(failure, XT_INVALID, "--map is COLUMN=NAME,...");
        }
        unsigned member = xt_question_member(name);
        unsigned at = 0;
        while (at < columns->count && !xt_span_equal(header[at], column)) {
            at++;
        }
        if (member == XT_ASK_COUNT) {
            return xt_fail(failure, XT_INVALID, "--map: a request has no %.*s", (int)name.size,
                           (const char *)name.data);
        }
        if (at == columns->count) {
            return xt_fail(failure, XT_INVALID, "--map: the list has no column %.*s",
                           (int)column.size, (const char *)column.data);
        }
        for (unsigned i = 0; i < columns->count; i++) { /* the map's meaning goes before a name's */
            if (columns->member[i] == member) {
                columns->member[i] = XT_ASK_COUNT;
            }
        }
        columns->member[at] = (uint8_t)member;
    }
    return XT_OK;
}

enum xt_status xt_list_columns_read(const struct xt_span *header, unsigned count, const char *map,
                                    struct xt_list_columns *columns, struct xt_failure *failure)
{
    unsigned seen[XT_ASK_COUNT + 1] = {0};
    *columns = (struct xt_list_columns){.count = count};
    for (unsigned i = 0; i < count; i++) {
        columns->member[i] = (uint8_t)xt_question_member(header[i]);
    }
    enum xt_status status = apply_map(header, map, columns, failure);
    for (unsigned i = 0; status == XT_OK && i < count; i++) {
        unsigned member = columns->member[i];
        if (member < XT_ASK_COUNT && ++seen[member] > 1) {
            status = xt_fail(failure, XT_INVALID, "two columns are %s: name one of them in --map",
                             xt_question_name(member));
        }
    }
    if (status == XT_OK && seen[XT_ASK_ID] + seen[XT_ASK_QR] == 0) {
        status = xt_fail(failure, XT_INVALID,
                         "no column is id (or qr): say which by --map COLUMN=id,...");
    }
    return status;
}
