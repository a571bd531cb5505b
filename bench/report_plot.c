#include "bench/report_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WIDE 1000.0     /* units of the stretched part */
#define TOP 12.0        /* pixels above the data, for the highest label */
#define BOTTOM 24.0     /* and below, for the ticks' text */
#define LABEL_STEP 14.0 /* pixels between names */
#define Y_TICKS 5
#define LOW_TICKS 2 /* for a plot lower than LOW pixels */
#define LOW 120
#define X_TICKS 8
#define LOG_TICKS_MAX 64
#define SHORT_SPAN 500.0 /* a logarithmic axis up to this has room for 2 and 5 */
#define BESIDE 85.0      /* per cent: what ends before is named where it ends */

/* The smallest of 1, 2, 5 times a power of ten at or above value. */
static double round_up(double value)
{
    double power = pow(10, floor(log10(value)));
    static const double steps[] = {1, 2, 5, 10};
    for (unsigned i = 0; i < 4; i++) {
        if (value <= steps[i] * power * (1 + 1e-9)) {
            return steps[i] * power;
        }
    }
    return 10 * power;
}

struct xt_axis xt_axis_linear(double high, struct xt_number (*label)(double))
{
    double top = high > 0 ? high : 1;
    double step = round_up(top / Y_TICKS);
    return (struct xt_axis){
        .low = 0, .high = step * ceil(top / step - 1e-9), .step = step, .label = label};
}

struct xt_axis xt_axis_logarithmic(double low, double high, struct xt_number (*label)(double))
{
    struct xt_axis axis = {.logarithmic = true, .label = label};
    if (!(low > 0) || !isfinite(low) || !(high >= low)) { /* nothing to show: any decades do */
        low = 10;
        high = 10000;
    }
    axis.low = 1 / round_up(1 / low);
    axis.high = round_up(high);
    while (axis.high / axis.low < 10) {
        axis.high = round_up(axis.high * 1.01);
    }
    return axis;
}

double xt_axis_at(const struct xt_axis *axis, double value)
{
    double at = axis->logarithmic
                    ? log(fmax(value, axis->low) / axis->low) / log(axis->high / axis->low)
                    : (value - axis->low) / (axis->high - axis->low);
    return fmin(fmax(at, 0), 1);
}

static double across(const struct xt_plot *plot, double x)
{
    return 100 * xt_axis_at(&plot->x, x);
}

static double down(const struct xt_plot *plot, double y)
{
    return TOP + (1 - xt_axis_at(&plot->y, y)) * plot->height;
}

/* ---- frame, grid and ticks ---- */

static void y_tick(struct xt_plot *plot, double value, bool named)
{
    double at = down(plot, value);
    xt_page_put(plot->page, "<line class=\"%s\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>",
                value == plot->y.low ? "base" : "grid", at, at);
    if (named) {
        xt_page_put(plot->page,
                    "<text class=\"tick\" x=\"-8\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                    at + 4, plot->y.label(value).text);
    }
}

struct ticks {
    unsigned count;
    double values[LOG_TICKS_MAX];
};

/* Powers of ten, and their doubles and fives where the axis is short enough. */
static struct ticks logarithmic_ticks(const struct xt_axis *axis, bool few)
{
    static const double parts[] = {1, 2, 5};
    struct ticks ticks = {0};
    int last = (int)floor(log10(axis->high * 1.001));
    for (int decade = (int)floor(log10(axis->low) + 1e-9); decade <= last; decade++) {
        for (unsigned i = 0; i < (few ? 3 : 1); i++) {
            double value = parts[i] * pow(10, decade);
            if (value >= axis->low * 0.999 && value <= axis->high * 1.001 &&
                ticks.count < LOG_TICKS_MAX) {
                ticks.values[ticks.count++] = value;
            }
        }
    }
    return ticks;
}

static bool is_short(const struct xt_axis *axis)
{
    return axis->high / axis->low < SHORT_SPAN;
}

static void y_ticks(struct xt_plot *plot)
{
    const struct xt_axis *axis = &plot->y;
    if (!axis->logarithmic) {
        double step = plot->height < LOW ? round_up(axis->high / LOW_TICKS) : axis->step;
        for (unsigned i = 0; i * step <= axis->high * (1 + 1e-9); i++) {
            y_tick(plot, i * step, true);
        }
        return;
    }
    struct ticks ticks = logarithmic_ticks(axis, is_short(axis));
    for (unsigned i = 0; i < ticks.count; i++) {
        y_tick(plot, ticks.values[i], true);
    }
    if (ticks.count > 0 && ticks.values[0] > axis->low * 1.001) { /* the bottom line */
        y_tick(plot, axis->low, down(plot, axis->low) - down(plot, ticks.values[0]) > 18);
    }
}

/* `wide`: shown only where there is room for it. */
static void x_tick(struct xt_plot *plot, double value, bool wide, const char *text)
{
    double at = across(plot, value);
    xt_page_put(plot->page,
                "<line class=\"base%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick%s\" x=\"%.2f%%\" y=\"%.1f\" text-anchor=\"middle\">%s</text>",
                wide ? " wide" : "", at, at, TOP + plot->height, TOP + plot->height + 4,
                wide ? " wide" : "", at, TOP + plot->height + 18, text);
}

static void time_ticks(struct xt_plot *plot)
{
    static const double steps[] = {0.05, 0.1, 0.2, 0.5, 1,    2,    5,    10,   20,    30,
                                   60,   120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600};
    unsigned chosen = 0;
    while (chosen + 1 < sizeof(steps) / sizeof(steps[0]) &&
           plot->x.high / steps[chosen] > X_TICKS) {
        chosen++;
    }
    double step = steps[chosen];
    bool hours = step >= 3600;
    bool minutes = !hours && step >= 60;
    for (unsigned i = 0; i < 1000 && i * step <= plot->x.high * (1 + 1e-9); i++) {
        char text[48];
        double value = i * step;
        (void)snprintf(text, sizeof(text), "%g\xc2\xa0%s",
                       hours     ? value / 3600
                       : minutes ? value / 60
                                 : value,
                       hours     ? "h"
                       : minutes ? "min"
                                 : "s");
        x_tick(plot, value, i % 2 == 1, text);
    }
}

static void x_ticks(struct xt_plot *plot)
{
    const struct xt_axis *axis = &plot->x;
    if (plot->time_axis) {
        time_ticks(plot);
        return;
    }
    if (axis->label == NULL) {
        return; /* the caller draws its own */
    }
    if (!axis->logarithmic) {
        for (unsigned i = 0; i * axis->step <= axis->high * (1 + 1e-9); i++) {
            x_tick(plot, i * axis->step, i % 2 == 1, axis->label(i * axis->step).text);
        }
        return;
    }
    struct ticks ticks = logarithmic_ticks(axis, is_short(axis));
    for (unsigned i = 0; i < ticks.count; i++) {
        double tens = log10(ticks.values[i]);
        bool wide = fabs(tens - round(tens)) > 1e-6 && axis->high / axis->low > 50;
        x_tick(plot, ticks.values[i], wide, axis->label(ticks.values[i]).text);
    }
}

void xt_plot_begin(struct xt_plot *plot)
{
    struct xt_report_page *page = plot->page;
    plot->label_count = 0;
    xt_page_raw(page, "<div class=\"area\"");
    if (plot->table != NULL) {
        xt_page_put(page, " data-table=\"%s\"", plot->table);
    }
    xt_page_put(page,
                "><svg role=\"img\" aria-labelledby=\"%s-t %s-d\" height=\"%.0f\">"
                "<title id=\"%s-t\">",
                plot->id, plot->id, TOP + plot->height + BOTTOM, plot->id);
    xt_page_html(page, plot->title);
    xt_page_put(page, "</title><desc id=\"%s-d\">", plot->id);
    xt_page_html(page, plot->description);
    xt_page_raw(page, "</desc>");
    y_ticks(plot);
    x_ticks(plot);
    xt_page_raw(page, "\n");
}

static int by_place(const void *a, const void *b)
{
    double first = ((const struct xt_plot_label *)a)->at;
    double second = ((const struct xt_plot_label *)b)->at;
    return first < second ? -1 : first > second;
}

/* From top to bottom each at least a step below the one before; then back up from the bottom edge. */
static void spread_labels(struct xt_plot *plot)
{
    struct xt_plot_label *labels = plot->labels;
    double bottom = TOP + plot->height;
    double step = fmin(LABEL_STEP, (double)plot->height / fmax(plot->label_count, 1));
    qsort(labels, plot->label_count, sizeof(*labels), by_place);
    for (unsigned i = 1; i < plot->label_count; i++) {
        labels[i].at = fmax(labels[i].at, labels[i - 1].at + step);
    }
    for (unsigned i = plot->label_count; i > 0; i--) {
        labels[i - 1].at = fmin(labels[i - 1].at, bottom);
        bottom = labels[i - 1].at - step;
    }
}

void xt_plot_end(struct xt_plot *plot, const char *axis)
{
    spread_labels(plot);
    for (unsigned i = 0; i < plot->label_count; i++) {
        xt_page_put(plot->page, "<text class=\"name %s\" x=\"100%%\" dx=\"7\" y=\"%.1f\">",
                    plot->labels[i].class, plot->labels[i].at + 4);
        xt_page_html(plot->page, plot->labels[i].text);
        xt_page_raw(plot->page, "</text>");
    }
    xt_page_put(plot->page, "</svg><p class=\"axis\">%s</p></div>\n", axis);
}

/* ---- what is drawn ---- */

static void stretched_begin(struct xt_plot *plot)
{
    xt_page_put(plot->page,
                "<svg class=\"in\" viewBox=\"0 0 %.0f %.0f\" preserveAspectRatio=\"none\" "
                "width=\"100%%\" height=\"%.0f\">",
                WIDE, TOP + plot->height, TOP + plot->height);
}

void xt_plot_line_begin(struct xt_plot *plot, const char *class)
{
    stretched_begin(plot);
    xt_page_put(plot->page, "<path class=\"line %s\" d=\"", class);
    plot->in_line = false;
}

void xt_plot_line_to(struct xt_plot *plot, double x, double y)
{
    if (isnan(y)) {
        plot->in_line = false;
        return;
    }
    /* h0: a point between two gaps is a dot, by its round cap. */
    xt_page_put(plot->page, "%s%.1f %.1f%s", plot->in_line ? "L" : "M",
                WIDE * xt_axis_at(&plot->x, x), down(plot, y), plot->in_line ? "" : "h0");
    plot->in_line = true;
}

void xt_plot_line_end(struct xt_plot *plot)
{
    xt_page_raw(plot->page, "\"/></svg>\n");
}

void xt_plot_column(struct xt_plot *plot, const char *class, double x, double to, double y)
{
    double from = across(plot, x);
    double top = down(plot, y);
    xt_page_put(plot->page,
                "<rect class=\"column %s\" x=\"%.3f%%\" y=\"%.1f\" width=\"%.3f%%\" "
                "height=\"%.1f\"/>",
                class, from, top, across(plot, to) - from, TOP + plot->height - top);
}

void xt_plot_zone(struct xt_plot *plot, double x, double to, const char *text)
{
    double from = across(plot, x);
    double width = across(plot, to) - from;
    xt_page_put(plot->page,
                "<rect class=\"zone\" x=\"%.2f%%\" y=\"%.0f\" width=\"%.2f%%\" height=\"%u\"/>",
                from, TOP, width, plot->height);
    if (text != NULL) {
        xt_page_put(plot->page,
                    "<text class=\"inside\" x=\"100%%\" dx=\"-4\" y=\"%.0f\" "
                    "text-anchor=\"end\">%s</text>",
                    TOP + plot->height - 7, text);
    }
}

void xt_plot_dot(struct xt_plot *plot, const char *class, double x, double y)
{
    if (!isnan(y)) {
        xt_page_put(plot->page, "<circle class=\"dot %s\" cx=\"%.2f%%\" cy=\"%.1f\" r=\"3\"/>",
                    class, across(plot, x), down(plot, y));
    }
}

void xt_plot_across(struct xt_plot *plot, const char *class, double y, const char *text)
{
    double at = down(plot, y);
    xt_page_put(plot->page,
                "<line class=\"mark %s\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>", class,
                at, at);
    if (text != NULL) {
        xt_page_put(plot->page, "<text class=\"remark %s\" x=\"0\" dx=\"4\" y=\"%.1f\">%s</text>",
                    class, at - 5, text);
    }
}

void xt_plot_upright(struct xt_plot *plot, const char *class, double x, const char *text)
{
    double at = across(plot, x);
    xt_page_put(plot->page,
                "<line class=\"mark %s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%.0f\" y2=\"%.0f\"/>"
                "<text class=\"remark %s\" x=\"%.2f%%\" dx=\"%d\" y=\"%.0f\" "
                "text-anchor=\"%s\">%s</text>",
                class, at, at, TOP, TOP + plot->height, class, at, at > 50 ? -5 : 5, TOP + 9,
                at > 50 ? "end" : "start", text);
}

void xt_plot_name(struct xt_plot *plot, const char *class, double x, double y, const char *text)
{
    if (isnan(y)) {
        return;
    }
    if (across(plot, x) < BESIDE) {
        xt_page_put(plot->page, "<text class=\"name beside %s\" x=\"%.2f%%\" dx=\"8\" y=\"%.1f\">",
                    class, across(plot, x), down(plot, y) + 4);
        xt_page_html(plot->page, text);
        xt_page_raw(plot->page, "</text>");
    } else if (plot->label_count < XT_PLOT_LABELS_MAX) {
        struct xt_plot_label *label = &plot->labels[plot->label_count++];
        label->at = down(plot, y);
        (void)snprintf(label->class, sizeof(label->class), "%s", class);
        (void)snprintf(label->text, sizeof(label->text), "%s", text);
    }
}

void xt_plot_remark(struct xt_plot *plot, const char *text)
{
    xt_page_put(plot->page,
                "<text class=\"inside\" x=\"50%%\" y=\"%.0f\" text-anchor=\"middle\">%s</text>",
                TOP + plot->height / 2.0, text);
}
