/* net/list_line: one line of a list's results.
 *
 *   NDJSON  the server's line, with the number of the list's line, and suggestions
 *   CSV     the list's own row, then ten columns: verdict, mismatch, not_held, reason, card, name, error,
 *           suggestion, answer_id, answered_at. What stands in them has no separator and no quote in it.
 *
 * Thread: pure functions.
 */
#ifndef XT_NET_LIST_LINE_H
#define XT_NET_LIST_LINE_H

#include "core/verify_list.h"
#include "net/list_input.h"

/* Bytes that a line of results has at most; a row that is made one field doubles its quotes. */
#define XT_LIST_RESULT_MAX                                                                         \
    (2 * XT_LIST_ROW_MAX + XT_PERSON_CSV_COLUMNS_MAX + 2 * XT_VERIFY_ANSWER_MAX)

struct xt_list_form {
    bool is_csv;
    char separator;
    unsigned columns; /* of the list */
};

/* What the request itself tells of what may be wrong with it. */
enum {
    XT_HINT_CMND = 1,     /* asked by the 9-digit number */
    XT_HINT_ID_SHORT = 2, /* digits, a few too few for a number */
    XT_HINT_SWAP = 4      /* the date of birth is another one with day and month exchanged */
};
unsigned xt_list_hints(const struct xt_list_item *item);

/* What stays of an item until it is answered. */
struct xt_list_row {
    uint64_t number;
    struct xt_span row;
    const char *code; /* static; not NULL: it was not asked */
    unsigned fields, hints;
};

/* The header of the results of a CSV, with its line feed. */
void xt_list_header_write(const struct xt_list_form *form, struct xt_span header,
                          struct xt_writer *writer);

/* The line, with its line feed. answer: the server's, size 0 where row has a code. read: the same read, the
 * suggestions are added to it. XT_INVALID: an answer that does not belong into results. */
XT_MUST_USE enum xt_status xt_list_line_write(const struct xt_list_form *form,
                                              const struct xt_list_row *row, struct xt_span answer,
                                              struct xt_list_answer *read,
                                              struct xt_writer *writer);

/* Reads a line of results, without its line feed, back. XT_INVALID: it is none. */
XT_MUST_USE enum xt_status xt_list_line_read(const struct xt_list_form *form, struct xt_span line,
                                             struct xt_json_arena arena,
                                             struct xt_list_answer *read);

#endif
