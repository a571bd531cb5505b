/* store/check_records: what must hold of a record beside that it opens: it decodes, it is where its key
 * belongs, and the other tables agree with it. Private to the check.
 *
 * A record of another table that does not open is not held against this one: the walk over its own table
 * tells of it, with its own place.
 *
 * Thread: one reader each.
 */
#ifndef XT_STORE_CHECK_RECORDS_H
#define XT_STORE_CHECK_RECORDS_H

#include "store/generation_internal.h"
#include "store/tally.h"

/* Records wait in groups until what their comparison will need in other tables has been fetched, all at
 * once: at 100 M people that is most of the time. Larger ones do not wait. */
#define XT_CHECK_GROUP 16
#define XT_CHECK_WAITS_MOST XT_HOT_MAX /* bytes */

struct xt_check_waiting {
    struct xt_table_place place;
    size_t size;
    uint8_t bytes[XT_CHECK_WAITS_MOST];
};

/* Told of a record that something is wrong with, in words. */
typedef void (*xt_check_told)(void *context, struct xt_table_place place, const char *what);

struct xt_check_reader {
    struct xt_generation *generation; /* for lookups; of this thread alone */
    struct xt_memory memory;          /* that it and the records that wait stand in */
    xt_check_told told;
    void *context;
    unsigned table; /* that is being walked */
    struct xt_table_place place;
    uint64_t people, replaced; /* counted */
    struct xt_tally tally;     /* the same people by what statistics tell */
    bool untold;               /* there was no memory for all of it */
    unsigned waits;
    struct xt_check_waiting *waiting;
};

/* A reader of an open generation, which must stay open. XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_check_reader_open(const struct xt_generation *generation,
                                                xt_check_told told, void *context,
                                                struct xt_check_reader *reader);
void xt_check_reader_close(struct xt_check_reader *reader); /* also of zeros */

/* Looks at one record of reader's table, now or at a later one's turn. */
void xt_check_record(struct xt_check_reader *reader, struct xt_table_place place,
                     struct xt_span record);

/* Looks at all that still wait; before the table is another, and at the end. */
void xt_check_flush(struct xt_check_reader *reader);

#endif
