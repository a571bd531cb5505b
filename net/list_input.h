/* net/list_input: the lines of a list, NDJSON or CSV, and the verify request that each of them is.
 *
 *   NDJSON  a request a line; purpose, legal basis, consent reference and match where it has none
 *   CSV     a header, then a row a line (store/csv_rows); separated by commas, or by semicolons where
 *           the header has no comma; columns are known by their names or by the map
 *
 * Blank lines are none. Thread: one. Memory: constant; out of core dumps and wiped.
 */
#ifndef XT_NET_LIST_INPUT_H
#define XT_NET_LIST_INPUT_H

#include "core/verify_list.h"
#include "net/question.h"

#define XT_LIST_ROW_MAX 32768 /* bytes of a CSV's row: results repeat it */
#define XT_LIST_REQUEST_MAX (XT_VERIFY_BODY_MAX + 512)

struct xt_list_options {
    const char *path;
    bool is_csv;
    const char *map, *date_format;      /* NULL: none; YYYY-MM-DD */
    const struct xt_question *question; /* what every line has unless it says so */
};

/* A line; everything is borrowed until the next one. */
struct xt_list_item {
    uint64_t number;    /* in the file, from 1 */
    struct xt_span row; /* as it stands there, without its end; size 0: too long */
    const char *code;   /* not NULL: it cannot be asked, and why */
    unsigned fields;    /* of a CSV's row; 0: it cannot be told, or there are too many */
    struct xt_span request;
    struct xt_span id, phone, date_of_birth;
};

struct xt_list_input;

/* XT_INVALID: a map, date format or header that cannot be. */
XT_MUST_USE enum xt_status xt_list_input_open(const struct xt_list_options *options,
                                              struct xt_list_input **input,
                                              struct xt_failure *failure);
void xt_list_input_close(struct xt_list_input *input);

/* The CSV's header as it stands, and what separates its columns. */
struct xt_span xt_list_input_header(const struct xt_list_input *input);
char xt_list_input_separator(const struct xt_list_input *input);
unsigned xt_list_input_columns(const struct xt_list_input *input);
/* How far it has been read, and all of it. */
uint64_t xt_list_input_bytes(const struct xt_list_input *input);
uint64_t xt_list_input_size(const struct xt_list_input *input);
/* Of its size, beginning and end: another list has another one. */
void xt_list_input_digest(const struct xt_list_input *input, uint8_t digest[32]);

/* The next line, without its request. XT_CLOSED: there is none. XT_IO: *failure. */
XT_MUST_USE enum xt_status xt_list_input_skip(struct xt_list_input *input,
                                              struct xt_list_item *item,
                                              struct xt_failure *failure);
/* The same with it. */
XT_MUST_USE enum xt_status xt_list_input_next(struct xt_list_input *input,
                                              struct xt_list_item *item,
                                              struct xt_failure *failure);

#endif
