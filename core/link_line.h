/* core/link_line: a document of somebody's, as sector databases list them for `import --links`.
 *
 *   {"id":"001099012345","type":"passport","number":"C1234567","valid_from":"2024-01-01",
 *    "valid_until":"2033-12-31"}
 *
 * or CSV with these names as header, in any order; an empty field is an absent member. id, type and
 * number are required. The rules of a value are those of a person's `links` (core/person).
 */
#ifndef XT_CORE_LINK_LINE_H
#define XT_CORE_LINK_LINE_H

#include "core/person.h"

struct xt_link_line {
    uint64_t number; /* whose it is */
    struct xt_link link;
};

/* XT_INVALID fills *reject: codes of core/person, and
 *   old_number   id is a CMND: a list of documents needs the number in force */
XT_MUST_USE enum xt_status xt_link_line_from_json(struct xt_span line, struct xt_json_arena arena,
                                                  struct xt_link_line *read,
                                                  struct xt_reject *reject);

#define XT_LINK_LINE_COLUMNS 5
struct xt_link_columns {
    unsigned count;
    uint8_t member[XT_LINK_LINE_COLUMNS]; /* private numbering */
};
XT_MUST_USE enum xt_status xt_link_csv_header(const struct xt_span *fields, unsigned count,
                                              struct xt_link_columns *columns,
                                              struct xt_reject *reject);
XT_MUST_USE enum xt_status xt_link_line_from_csv(const struct xt_link_columns *columns,
                                                 const struct xt_span *fields, unsigned count,
                                                 struct xt_link_line *read,
                                                 struct xt_reject *reject);

#endif
