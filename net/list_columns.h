/* net/list_columns: what the columns of an operator's table hold. */
#ifndef XT_NET_LIST_COLUMNS_H
#define XT_NET_LIST_COLUMNS_H

#include "core/person.h"
#include "net/question.h"

/* The members of a request (net/question) by column; XT_ASK_COUNT: nothing that is asked. */
struct xt_list_columns {
    unsigned count;
    uint8_t member[XT_PERSON_CSV_COLUMNS_MAX];
};

/* header: the names of the columns. map: "so_dien_thoai=phone,ho_ten=full_name", or NULL; columns that it
 * does not name hold what they are called. XT_INVALID: a column of the map that is not there, a member that
 * is none or in two columns, no column to ask by. */
XT_MUST_USE enum xt_status xt_list_columns_read(const struct xt_span *header, unsigned count,
                                                const char *map, struct xt_list_columns *columns,
                                                struct xt_failure *failure);

#endif
