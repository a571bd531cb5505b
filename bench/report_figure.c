/* What the figures of one run and of all runs share. */
#include "bench/report_figures.h"

#include <math.h>
#include <stdio.h>

#define SHARE_DECADES 5.0 /* 99.999 % */
#define SHARE_STEPS 50U   /* points of the curve in each decade */
#define BAR_STEP 30U      /* pixels */
#define BAR_THICK 14U
#define BAR_LONGEST 68.0 /* per cent of the width: behind it stands the text */

void xt_figure_begin(struct xt_report_page *page, const char *heading, const char *reading)
{
    xt_page_put(page, "<figure><figcaption><h3>%s</h3>", heading);
    if (reading != NULL) {
        xt_page_put(page, "<p>%s</p>", reading);
    }
    xt_page_raw(page, "</figcaption>\n");
}

void xt_figure_end(struct xt_report_page *page)
{
    xt_page_raw(page, "</figure>\n");
}

void xt_figure_table_begin(struct xt_report_page *page, const char *id, const char *const *head)
{
    xt_page_put(page, "<details><summary>Data</summary><table class=\"data\" id=\"%s\"><thead><tr>",
                id);
    for (; *head != NULL; head++) {
        bool wide = (*head)[0] == '-';
        xt_page_put(page, "<th scope=\"col\"%s>%s</th>", wide ? " class=\"wide\"" : "",
                    wide ? *head + 1 : *head);
    }
    xt_page_raw(page, "</tr></thead><tbody>\n");
}

void xt_figure_table_end(struct xt_report_page *page)
{
    xt_page_raw(page, "</tbody></table></details>\n");
}

static void time_point(struct xt_plot *plot, const struct xt_bench_result *result, unsigned row,
                       enum xt_report_row what)
{
    /* In the middle of its second, or of what there was of it. */
    double from = result->seconds[row].second;
    double to = fmin(from + 1, plot->x.high);
    xt_plot_line_to(plot, (from + to) / 2, xt_report_row(result, row, what));
}

void xt_figure_time_line(struct xt_plot *plot, const struct xt_bench_result *result,
                         enum xt_report_row what, const char *class)
{
    unsigned group = xt_report_group(result);
    unsigned rows = xt_report_rows(result);
    xt_plot_line_begin(plot, class);
    for (unsigned row = 0; row < rows; row += group) {
        unsigned least = row;
        unsigned most = row;
        unsigned end = row + group < rows ? row + group : rows;
        for (unsigned i = row; i < end; i++) {
            double value = xt_report_row(result, i, what);
            if (!isnan(value)) {
                least = !(value >= xt_report_row(result, least, what)) ? i : least;
                most = !(value <= xt_report_row(result, most, what)) ? i : most;
            }
        }
        if (row > 0 && result->seconds[row].second != result->seconds[row - 1].second + 1) {
            xt_plot_line_to(plot, 0, NAN);
        }
        time_point(plot, result, least < most ? least : most, what);
        if (least != most) {
            time_point(plot, result, least < most ? most : least, what);
        }
    }
    xt_plot_line_end(plot);
}

struct xt_axis xt_figure_share_axis(void)
{
    return (struct xt_axis){.low = 0, .high = SHARE_DECADES};
}

void xt_figure_share_ticks(struct xt_plot *plot)
{
    static const struct {
        double at;
        const char *text;
        bool wide;
    } ticks[] = {{0, "0", false},    {0.30103, "50", true}, {1, "90", false},    {2, "99", false},
                 {3, "99.9", false}, {4, "99.99", false},   {5, "99.999", false}};
    for (unsigned i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
        double at = 100 * ticks[i].at / SHARE_DECADES;
        const char *wide = ticks[i].wide ? " wide" : "";
        xt_page_put(plot->page,
                    "<line class=\"base%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%u\" y2=\"%u\"/>"
                    "<text class=\"tick%s\" x=\"%.2f%%\" y=\"%u\" text-anchor=\"middle\">%s</text>",
                    wide, at, at, plot->height + 12, plot->height + 16, wide, at, plot->height + 30,
                    ticks[i].text);
    }
}

void xt_figure_percentile_line(struct xt_plot *plot, const struct xt_histogram *histogram,
                               const char *class)
{
    /* Past one in count there is no answer any more; the last point is the maximum's. */
    double end = fmin(SHARE_DECADES, log10((double)histogram->count));
    unsigned steps = (unsigned)ceil(end * SHARE_STEPS);
    xt_plot_line_begin(plot, class);
    for (unsigned i = 0; i <= steps; i++) {
        double at = fmin(end, (double)i / SHARE_STEPS);
        xt_plot_line_to(plot, at, xt_report_quantile(histogram, 1 - pow(10, -at)));
    }
    xt_plot_line_end(plot);
}

void xt_figure_bars(struct xt_report_page *page, const char *id, const char *title,
                    const char *description, const struct xt_bar *bars, unsigned count)
{
    double most = 0;
    for (unsigned i = 0; i < count; i++) {
        most = fmax(most, bars[i].value);
    }
    xt_page_put(page,
                "<div class=\"area bars\"><svg role=\"img\" aria-labelledby=\"%s-t %s-d\" "
                "height=\"%u\"><title id=\"%s-t\">%s</title><desc id=\"%s-d\">",
                id, id, count * BAR_STEP, id, title, id);
    xt_page_html(page, description);
    xt_page_raw(page, "</desc>");
    for (unsigned i = 0; i < count; i++) {
        double width = most > 0 ? BAR_LONGEST * bars[i].value / most : 0;
        unsigned middle = i * BAR_STEP + BAR_STEP / 2;
        xt_page_put(page, "<text class=\"name\" x=\"-10\" y=\"%u\" text-anchor=\"end\">",
                    middle + 4);
        xt_page_html(page, bars[i].label);
        xt_page_put(page,
                    "</text><rect class=\"bar %s\" x=\"0\" y=\"%u\" width=\"%.2f%%\" "
                    "height=\"%u\"/><text class=\"figure\" x=\"%.2f%%\" dx=\"8\" y=\"%u\">",
                    bars[i].class, middle - BAR_THICK / 2, width, BAR_THICK, width, middle + 4);
        xt_page_html(page, bars[i].text);
        xt_page_raw(page, "</text>\n");
    }
    xt_page_raw(page, "</svg></div>\n");
}
