#include "core/person_member.h"
#include "core/plain_text.h"

#include <stdio.h>

static struct xt_span without_byte_order_mark(struct xt_span text)
{
    if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        return xt_span_of(text.data + 3, text.size - 3);
    }
    return text;
}

static enum xt_status refuse_column(struct xt_reject *reject, const char *code, unsigned index)
{
    reject->code = code;
    (void)snprintf(reject->pointer, sizeof reject->pointer, "/column/%u", index + 1);
    return XT_INVALID;
}

static enum xt_status refuse_member(struct xt_reject *reject, const char *code,
                                    enum xt_person_member member)
{
    reject->code = code;
    (void)snprintf(reject->pointer, sizeof reject->pointer, "/%s", xt_person_member_name(member));
    return XT_INVALID;
}

enum xt_status xt_person_csv_header(const struct xt_span *fields, unsigned count,
                                    struct xt_person_columns *columns, struct xt_reject *reject)
{
    if (count > XT_PERSON_CSV_COLUMNS_MAX) {
        return xt_reject_fill(reject, "too_many", "");
    }
    uint32_t seen = 0;
    columns->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct xt_span name = i == 0 ? without_byte_order_mark(fields[i]) : fields[i];
        unsigned member = 0;
        while (member < XT_MEMBER_COUNT &&
               !xt_span_is(name, xt_person_member_name((enum xt_person_member)member))) {
            member++;
        }
        if (member == XT_MEMBER_COUNT) {
            return refuse_column(reject, "unknown_column", i);
        }
        if ((seen & XT_MEMBER_BIT(member)) != 0) {
            return refuse_column(reject, "duplicate_column", i);
        }
        seen |= XT_MEMBER_BIT(member);
        columns->member[i] = (uint8_t)member;
    }
    struct xt_person unused;
    xt_person_clear(&unused); /* finish works on the dates of whoever it is given */
    enum xt_person_member missing = xt_person_finish(&unused, seen);
    return missing == XT_MEMBER_COUNT ? XT_OK : refuse_member(reject, "missing_column", missing);
}

static const char *set_list(struct xt_person *person, enum xt_person_member member,
                            struct xt_span field)
{
    for (size_t at = 0; at < field.size;) {
        size_t end = at;
        while (end < field.size && field.data[end] != ' ') {
            end++;
        }
        if (end > at) {
            const char *code =
                xt_person_member_set(person, member, xt_span_of(field.data + at, end - at));
            if (code != NULL) {
                return code;
            }
        }
        at = end + 1;
    }
    return NULL;
}

enum xt_status xt_person_from_csv(const struct xt_person_columns *columns,
                                  const struct xt_span *fields, unsigned count,
                                  struct xt_person *person, struct xt_reject *reject)
{
    if (count != columns->count) {
        return xt_reject_fill(reject, "column_count", "");
    }
    xt_person_clear(person);
    uint32_t seen = 0;
    for (unsigned i = 0; i < count; i++) {
        enum xt_person_member member = (enum xt_person_member)columns->member[i];
        if (fields[i].size == 0) {
            continue;
        }
        seen |= XT_MEMBER_BIT(member);
        const char *code = NULL;
        if (!xt_text_is_utf8(fields[i])) {
            code = "invalid_utf8";
        } else if ((XT_MEMBER_BIT(member) & XT_MEMBER_LISTS) != 0) {
            code = set_list(person, member, fields[i]);
        } else {
            code = xt_person_member_set(person, member, fields[i]);
        }
        if (code != NULL) {
            return refuse_member(reject, code, member);
        }
    }
    enum xt_person_member missing = xt_person_finish(person, seen);
    return missing == XT_MEMBER_COUNT ? XT_OK : refuse_member(reject, "missing_member", missing);
}
