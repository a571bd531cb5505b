/* bench/report_micro: results of `xacthuc-bench micro` as a page, a table, CSV or JSON.
 *
 * All sizes of all files stand in one list by their number of people, so that a growth curve may be
 * measured in one run or in several. Files are of one version of the program on one machine where the
 * curve is to say anything; where they are not, each form of the report says so.
 */
#ifndef XT_BENCH_REPORT_MICRO_H
#define XT_BENCH_REPORT_MICRO_H

#include "bench/micro.h"
#include "bench/report.h"

#define XT_REPORT_POINTS_MAX 64U

struct xt_report_point {
    const struct xt_micro_result *result; /* that it is out of */
    const struct xt_micro_size *size;
};

struct xt_report_micro {
    char title[XT_REPORT_TITLE_MAX];
    unsigned result_count;
    struct xt_micro_result *results[XT_REPORT_RUNS_MAX];
    unsigned count;
    struct xt_report_point points[XT_REPORT_POINTS_MAX]; /* ascending by people */
};

/* Adds a checked file. XT_TOO_LARGE: more sizes than can be shown. */
XT_MUST_USE enum xt_status xt_report_micro_add(struct xt_report_micro *report,
                                               const struct xt_json_value *root, const char *label,
                                               struct xt_failure *failure);
void xt_report_micro_clear(struct xt_report_micro *report);

void xt_report_micro_html(const struct xt_report_micro *report, struct xt_report_page *page);
void xt_report_micro_markdown(const struct xt_report_micro *report, struct xt_report_page *page);
void xt_report_micro_csv(const struct xt_report_micro *report, struct xt_report_page *page);
void xt_report_micro_json(const struct xt_report_micro *report, struct xt_report_page *page);

#endif
