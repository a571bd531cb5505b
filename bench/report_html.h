/* bench/report_html: what every page of a report begins and ends with. */
#ifndef XT_BENCH_REPORT_HTML_H
#define XT_BENCH_REPORT_HTML_H

#include "bench/report_page.h"

/* Up to and with the heading; <header> is left open. */
void xt_report_html_head(const char *title, struct xt_report_page *page);
/* Closes <main>. program: of the result's writer; remark: HTML of ours, a sentence for the footer. */
void xt_report_html_end(const char *program, const char *remark, struct xt_report_page *page);

#endif
