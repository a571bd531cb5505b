/* store/csv_rows: the fields of one line of CSV (RFC 4180, comma or what is asked for, double quotes), by libcsv, strict.
 *
 * A row is a line: a line break inside quotes is refused, since no text of a person may hold one, and
 * so a forgotten quote spoils one line and not the rest of the file. Spaces around a field that is
 * not quoted are dropped.
 */
#ifndef XT_STORE_CSV_ROWS_H
#define XT_STORE_CSV_ROWS_H

#include "core/person.h"

struct xt_csv; /* opaque: csv.h stays inside store/ */

XT_MUST_USE enum xt_status xt_csv_open(struct xt_csv **csv);
void xt_csv_close(struct xt_csv *csv);
/* Fields are separated by this byte from now on; a comma at first. */
void xt_csv_separate_by(struct xt_csv *csv, char separator);

/* line, of at most XT_PERSON_JSON_MAX bytes -> its fields, borrowed until the next call. XT_INVALID
 * with a code: "malformed_csv", "too_many_fields". */
XT_MUST_USE enum xt_status xt_csv_row(struct xt_csv *csv, struct xt_span line,
                                      const struct xt_span **fields, unsigned *count,
                                      const char **code);

#endif
