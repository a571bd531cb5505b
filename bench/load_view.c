#include "bench/load_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load_signed.h"

#define BAR_WIDTH 32U
#define PLAIN_EVERY_S 10U
#define BAR_LEAST_US 10.0 /* an empty bar; each further decade is as long as the next */
#define BAR_DECADES 6.0   /* up to 10 s */

void xt_load_view_init(struct xt_load_view *view, const struct xt_load_options *options)
{
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    *view = (struct xt_load_view){.options = options, .quiet = options->quiet};
    view->terminal = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
    view->colour = view->terminal && (no_colour == NULL || no_colour[0] == '\0');
}

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

/* 0.085 ms, 12.3 ms, 1.20 s */
static void format_latency(char *text, size_t size, uint32_t us)
{
    double ms = (double)us / 1000;
    if (us >= 1000000) {
        (void)snprintf(text, size, "%.2f s", ms / 1000);
    } else {
        (void)snprintf(text, size, "%.*f ms", us >= 100000 ? 0 : us >= 10000 ? 1 : 3, ms);
    }
}

static unsigned latency_eighths(uint32_t us)
{
    double decades = us > 0 ? log10((double)us / BAR_LEAST_US) : 0;
    double share = decades < 0 ? 0 : decades > BAR_DECADES ? 1 : decades / BAR_DECADES;
    return (unsigned)(share * BAR_WIDTH * 8);
}

static void draw_bar(unsigned eighths)
{
    static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned whole = eighths / 8;
    for (unsigned i = 0; i < whole; i++) {
        (void)fputs("█", stderr);
    }
    (void)fputs(parts[eighths % 8], stderr);
    for (unsigned i = whole + (eighths % 8 > 0); i < BAR_WIDTH; i++) {
        (void)fputc(' ', stderr);
    }
}

static void draw_latency(const struct xt_load_view *view, const char *name, uint32_t us)
{
    char text[32];
    const char *colour = us >= 100000 ? "\033[31m" : us >= 10000 ? "\033[33m" : "\033[32m";
    format_latency(text, sizeof(text), us);
    (void)fprintf(stderr, "  %-7s %s", name, view->colour ? colour : "");
    draw_bar(latency_eighths(us));
    (void)fprintf(stderr, "%s %s\033[K\n", view->colour ? "\033[0m" : "", text);
}

static void draw_history(const struct xt_load_figures *figures)
{
    static const char *const heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned first = figures->second_count > XT_LOAD_VIEW_HISTORY
                         ? figures->second_count - XT_LOAD_VIEW_HISTORY
                         : 0;
    uint64_t most = 1;
    for (unsigned i = first; i < figures->second_count; i++) {
        most = figures->seconds[i].right > most ? figures->seconds[i].right : most;
    }
    (void)fputs("  rate    ", stderr);
    for (unsigned i = first; i < figures->second_count; i++) {
        (void)fputs(heights[figures->seconds[i].right * 7 / most], stderr);
    }
}

static void draw_panel(struct xt_load_view *view, const struct xt_load_figures *figures)
{
    const struct xt_load_second *row = &figures->seconds[figures->second_count - 1];
    const char *red = view->colour && figures->error_count > 0 ? "\033[31m" : "";
    if (view->lines > 0) {
        (void)fprintf(stderr, "\033[%uA", view->lines);
    }
    (void)fprintf(stderr, "\r%s%s%s  ", view->colour ? "\033[1m" : "", view->options->server,
                  view->colour ? "\033[0m" : "");
    if (figures->rate > 0) {
        (void)fprintf(stderr, "open loop, %llu/s wanted", (unsigned long long)figures->rate);
    } else {
        (void)fputs("closed loop: latencies hide pauses", stderr);
    }
    (void)fprintf(stderr, "  second %u of %.0f\033[K\n", figures->second_count,
                  (double)view->options->duration_ns / 1e9);
    draw_history(figures);
    (void)fprintf(stderr, " %llu/s\033[K\n", (unsigned long long)row->right);
    draw_latency(view, "p50", row->p50);
    draw_latency(view, "p99", row->p99);
    draw_latency(view, "p99.9", row->p999);
    (void)fprintf(stderr, "  errors  %s%llu%s\033[K\n", red,
                  (unsigned long long)figures->error_count, *red != '\0' ? "\033[0m" : "");
    view->lines = 6;
}

void xt_load_view_watch(void *data, const struct xt_load_figures *so_far)
{
    struct xt_load_view *view = data;
    if (view->quiet) {
        return;
    }
    if (view->terminal) {
        draw_panel(view, so_far);
    } else if (so_far->second_count % PLAIN_EVERY_S == 0) {
        const struct xt_load_second *row = &so_far->seconds[so_far->second_count - 1];
        (void)fprintf(stderr, "second %u: %llu/s, %llu errors, p50 %u us, p99 %u us, p99.9 %u us\n",
                      so_far->second_count, (unsigned long long)row->right,
                      (unsigned long long)so_far->error_count, row->p50, row->p99, row->p999);
    }
    (void)fflush(stderr);
}

void xt_load_view_end(struct xt_load_view *view)
{
    if (view->lines > 0) {
        (void)fprintf(stderr, "\033[%uA\r\033[J", view->lines);
        view->lines = 0;
    }
}

static void summarise_errors(const struct xt_load_figures *figures, FILE *out)
{
    if (figures->error_count + figures->early_errors == 0) {
        (void)fputs("errors       none\n", out);
        return;
    }
    (void)fprintf(out, "errors       %llu, and %llu before the measured time\n",
                  (unsigned long long)figures->error_count,
                  (unsigned long long)figures->early_errors);
    for (unsigned kind = 0; kind < XT_LOAD_ERRORS; kind++) {
        if (figures->details[kind][0] != '\0') {
            (void)fprintf(out, "  %-10s %llu; the first: %s\n",
                          xt_load_error_name((enum xt_load_error)kind),
                          (unsigned long long)figures->errors[kind], figures->details[kind]);
        }
    }
}

void xt_load_summary(const struct xt_load_options *options, const struct xt_load_figures *figures,
                     FILE *out)
{
    static const struct {
        const char *name;
        uint32_t thousandths;
    } lines[] = {{"p50", 50000},    {"p90", 90000},     {"p99", 99000}, {"p99.9", 99900},
                 {"p99.99", 99990}, {"p99.999", 99999}, {"max", 100000}};
    double rate = per_second(figures->in_time, figures->measured);
    (void)fprintf(out, "%s\n", options->server);
    if (figures->interrupted) {
        (void)fputs("interrupted: the results so far\n", out);
    }
    (void)fprintf(out, "right        %llu answers, %.0f/s over %.1f s",
                  (unsigned long long)figures->latency.count, rate, figures->measured);
    if (figures->rate > 0) {
        (void)fprintf(out, " (wanted %llu/s)", (unsigned long long)figures->rate);
    }
    (void)fputc('\n', out);
    summarise_errors(figures, out);
    (void)fprintf(out, "latency      %s\n",
                  figures->rate > 0 ? "from the scheduled time (open loop)"
                                    : "from sending: closed loop, HIDES PAUSES (see --help)");
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[32];
        format_latency(text, sizeof(text),
                       xt_histogram_percentile(&figures->latency, lines[i].thousandths));
        (void)fprintf(out, "  %-10s %s\n", lines[i].name, text);
    }
    (void)fprintf(out, "connections  %llu made, %llu by a ticket\n",
                  (unsigned long long)figures->connections, (unsigned long long)figures->resumed);
    if (options->signed_keys != NULL) {
        (void)fprintf(out, "signatures   %llu verified, of one answer in %u\n",
                      (unsigned long long)figures->signatures, XT_LOAD_SIGNED_SAMPLE);
    }
    if (figures->in_time > 0) {
        (void)fprintf(out, "client CPU   %.2f us a request",
                      (double)figures->client_cpu_us / (double)figures->in_time);
        double share =
            figures->measured > 0 ? (double)figures->client_cpu_us / 1e6 / figures->measured : 0;
        (void)fprintf(out, ", %.0f %% of a core%s\n", share * 100,
                      share > 0.9 * options->threads
                          ? ": the client is the limit, give it more --threads"
                          : "");
    }
    if (figures->has_server && figures->in_time > 0) {
        (void)fprintf(out, "server CPU   %.2f us a request; %u processes, %.1f MiB resident\n",
                      (double)figures->server_cpu_us / (double)figures->in_time,
                      figures->server.processes, (double)figures->server.resident_bytes / 1048576);
    }
}
