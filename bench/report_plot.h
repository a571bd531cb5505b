/* bench/report_plot: one plot as inline SVG that fits any width.
 *
 *         _ x = 0 %                        x = 100 %
 *   100 ms|---------------------------------|  <- data: a nested <svg> that is stretched (strokes are
 *    10 ms|-----------/\--------------------|p99.9    not), 1000 units wide, height in pixels
 *     1 ms|__________/  \___________________|p99
 *         0 s       10 s        20 s     30 s  <- text: positions in per cent and pixels, never scaled
 *
 * So text keeps its size on a telephone, and no script is needed. Labels on both sides hang over the
 * SVG into the padding of its frame (report_style). Everything is drawn in the order of the calls.
 * Colours and dashes are classes of the style sheet: "s0" ... "s5", "d0" ... "d3".
 */
#ifndef XT_BENCH_REPORT_PLOT_H
#define XT_BENCH_REPORT_PLOT_H

#include "bench/report_number.h"
#include "bench/report_page.h"

#define XT_PLOT_LABELS_MAX 32
#define XT_PLOT_CLASS_MAX 24

struct xt_axis {
    double low, high; /* high above low; logarithmic: low above 0 */
    double step;      /* between ticks; linear ones */
    bool logarithmic;
    struct xt_number (*label)(double value); /* of a tick */
};

/* An axis from 0 to a round number at or above high. */
struct xt_axis xt_axis_linear(double high, struct xt_number (*label)(double));
/* One between round numbers around both, at least a decade. */
struct xt_axis xt_axis_logarithmic(double low, double high, struct xt_number (*label)(double));
/* Where value stands on the axis, 0 ... 1. */
double xt_axis_at(const struct xt_axis *axis, double value);

struct xt_plot {
    struct xt_report_page *page;
    const char *id; /* unique in the page */
    const char *title, *description;
    const char *table; /* id of the table whose rows a pointer reads out; NULL: none */
    unsigned height;   /* of the data, pixels */
    struct xt_axis x, y;
    bool time_axis; /* x in seconds */
    bool in_line;   /* the path has a point since its last gap */
    unsigned label_count;
    struct xt_plot_label {
        double at; /* pixels from the top */
        char text[24], class[XT_PLOT_CLASS_MAX];
    } labels[XT_PLOT_LABELS_MAX];
};

/* The frame, the grid and the ticks, from the plot's members. */
void xt_plot_begin(struct xt_plot *plot);
/* The labels, and what the horizontal axis is ("achieved rate, requests a second"). */
void xt_plot_end(struct xt_plot *plot, const char *axis);

/* A line through points; NAN as y makes a gap. */
void xt_plot_line_begin(struct xt_plot *plot, const char *class);
void xt_plot_line_to(struct xt_plot *plot, double x, double y);
void xt_plot_line_end(struct xt_plot *plot);

/* From the bottom of the plot to y, over x ... to. */
void xt_plot_column(struct xt_plot *plot, const char *class, double x, double to, double y);
/* The whole height over x ... to. */
void xt_plot_zone(struct xt_plot *plot, double x, double to, const char *text);
void xt_plot_dot(struct xt_plot *plot, const char *class, double x, double y);
void xt_plot_across(struct xt_plot *plot, const char *class, double y, const char *text);
void xt_plot_upright(struct xt_plot *plot, const char *class, double x, const char *text);

/* In the middle of an empty plot. */
void xt_plot_remark(struct xt_plot *plot, const char *text);

/* Names what was drawn and ends at x, y: right of the plot, where labels that are close are moved
 * apart, or beside its end when that is far from the edge. */
void xt_plot_name(struct xt_plot *plot, const char *class, double x, double y, const char *text);

#endif
