#include "core/link_line.h"

#include <stdio.h>

#include "core/person_object.h"
#include "core/plain_text.h"

enum { ID, TYPE, NUMBER, FROM, UNTIL, COUNT };
_Static_assert(COUNT == XT_LINK_LINE_COLUMNS, "a column for each member");
#define REQUIRED 3U /* the first of them */

static const struct xt_json_member MEMBERS[COUNT] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("type", TYPE),
    XT_JSON_MEMBER("number", NUMBER),
    XT_JSON_MEMBER("valid_from", FROM),
    XT_JSON_MEMBER("valid_until", UNTIL),
};

static enum xt_status refuse(struct xt_reject *reject, const char *code, unsigned member)
{
    reject->code = code;
    (void)snprintf(reject->pointer, sizeof reject->pointer, "/%s", MEMBERS[member].name);
    return XT_INVALID;
}

static const char *read_id(struct xt_span text, uint64_t *number)
{
    uint64_t cmnd;
    if (xt_number_parse(text, number) == XT_OK) {
        return NULL;
    }
    return xt_cmnd_parse(text, &cmnd) == XT_OK ? "old_number" : "bad_id";
}

/* NULL when fine, else the reject's code. */
static const char *set(struct xt_link_line *read, unsigned member, struct xt_span text)
{
    struct xt_link *link = &read->link;
    switch (member) {
    case ID:
        return read_id(text, &read->number);
    case TYPE:
        return xt_link_type_by_name(text, &link->type) == XT_OK ? NULL : "bad_value";
    case NUMBER:
        return xt_document_parse(text, &link->number) == XT_OK ? NULL : "bad_document";
    case FROM:
        return xt_date_parse(text, &link->valid_from) == XT_OK ? NULL : "bad_date";
    default:
        return xt_date_parse(text, &link->valid_until) == XT_OK ? NULL : "bad_date";
    }
}

static void clear(struct xt_link_line *read)
{
    memset(read, 0, sizeof(*read)); /* it is kept as bytes: no padding of anybody else's */
    read->link.valid_from = read->link.valid_until = XT_DATE_NONE;
}

static enum xt_status finish(unsigned seen, struct xt_reject *reject)
{
    for (unsigned i = 0; i < REQUIRED; i++) {
        if ((seen & 1U << i) == 0) {
            return refuse(reject, "missing_member", i);
        }
    }
    return XT_OK;
}

enum xt_status xt_link_line_from_json(struct xt_span line, struct xt_json_arena arena,
                                      struct xt_link_line *read, struct xt_reject *reject)
{
    const char *code = "too_long";
    unsigned seen = 0;
    unsigned next = 0;
    yyjson_val *root = line.size > XT_PERSON_JSON_MAX ? NULL : xt_json_read(line, arena, &code);
    if (root == NULL) {
        return xt_reject_fill(reject, code, "");
    }
    clear(read);
    yyjson_obj_iter iterator = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(MEMBERS, COUNT, key, &next);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (member == NULL) {
            return xt_reject_fill(reject, "unknown_member", "");
        }
        code = (seen & 1U << member->what) != 0 ? "duplicate_member"
               : !yyjson_is_str(value)          ? "wrong_type"
               : yyjson_get_len(value) == 0     ? "empty"
                                                : set(read, member->what, xt_json_string(value));
        if (code != NULL) {
            return refuse(reject, code, member->what);
        }
        seen |= 1U << member->what;
    }
    return finish(seen, reject);
}

/* ---- CSV -------------------------------------------------------------------------------------- */

static enum xt_status refuse_column(struct xt_reject *reject, const char *code, unsigned index)
{
    reject->code = code;
    (void)snprintf(reject->pointer, sizeof reject->pointer, "/column/%u", index + 1);
    return XT_INVALID;
}

enum xt_status xt_link_csv_header(const struct xt_span *fields, unsigned count,
                                  struct xt_link_columns *columns, struct xt_reject *reject)
{
    unsigned seen = 0;
    columns->count = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned member = 0;
        while (member < COUNT && !xt_span_is(fields[i], MEMBERS[member].name)) {
            member++;
        }
        if (member == COUNT || (seen & 1U << member) != 0) {
            return refuse_column(reject, member == COUNT ? "unknown_column" : "duplicate_column",
                                 i);
        }
        seen |= 1U << member;
        columns->member[columns->count++] = (uint8_t)member;
    }
    for (unsigned i = 0; i < REQUIRED; i++) {
        if ((seen & 1U << i) == 0) {
            return refuse(reject, "missing_column", i);
        }
    }
    return XT_OK;
}

enum xt_status xt_link_line_from_csv(const struct xt_link_columns *columns,
                                     const struct xt_span *fields, unsigned count,
                                     struct xt_link_line *read, struct xt_reject *reject)
{
    unsigned seen = 0;
    if (count != columns->count) {
        return xt_reject_fill(reject, "column_count", "");
    }
    clear(read);
    for (unsigned i = 0; i < count; i++) {
        unsigned member = columns->member[i];
        if (fields[i].size == 0) {
            continue;
        }
        const char *code =
            xt_text_is_utf8(fields[i]) ? set(read, member, fields[i]) : "invalid_utf8";
        if (code != NULL) {
            return refuse(reject, code, member);
        }
        seen |= 1U << member;
    }
    return finish(seen, reject);
}
