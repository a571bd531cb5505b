/* bench/report_page: text on its way into one file of a report.
 *
 * After a failure nothing more is written and page->status keeps the first one, so that the writers of
 * a page need no error paths of their own: look once, at the end.
 * Whatever comes from a result file or the command line goes through one of the escapes.
 */
#ifndef XT_BENCH_REPORT_PAGE_H
#define XT_BENCH_REPORT_PAGE_H

#include "bench/output.h"

struct xt_report_page {
    struct xt_output output;
    enum xt_status status;
    struct xt_failure *failure;
};

/* path: "-" for standard output. */
void xt_page_open(struct xt_report_page *page, const char *path, struct xt_failure *failure);
/* Puts the file in its place, or removes what there is of it; gives the page's status. */
XT_MUST_USE enum xt_status xt_page_close(struct xt_report_page *page);

/* At most XT_PRINT_MAX bytes: never with text of others that is not bounded. */
void xt_page_put(struct xt_report_page *page, const char *format, ...) XT_PRINTF(2, 3);
/* Text of ours, of any length, as it is. */
void xt_page_raw(struct xt_report_page *page, const char *text);

void xt_page_html(struct xt_report_page *page, const char *text);     /* also inside "attributes" */
void xt_page_markdown(struct xt_report_page *page, const char *text); /* in a table's cell */
void xt_page_csv(struct xt_report_page *page, const char *text);      /* quoted; never a formula */
void xt_page_json(struct xt_report_page *page, const char *text);     /* with its quotes */

/* Copies text and makes it valid UTF-8 without control characters (both become U+FFFD or a space):
 * names of files are bytes. Cut where it does not fit. */
void xt_page_clean(const char *text, char *to, size_t capacity);

#endif
