#include "store/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_EVERY_MS 200
#define PLAIN_EVERY_MS 10000
#define CALLS_BETWEEN_LOOKS 256 /* at the clock; a power of two */
#define BAR_WIDTH 24

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool stderr_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

/* 12.3 k, 4.56 M: short enough for a bar that is rewritten in place. */
static void format_count(char *text, size_t size, double value)
{
    const char *const units[] = {"", " k", " M", " G", " T"};
    unsigned unit = 0;
    while (value >= 1000 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        value /= 1000;
        unit++;
    }
    int decimals = unit == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    snprintf(text, size, "%.*f%s", decimals, value, units[unit]);
}

static void format_time(char *text, size_t size, double seconds)
{
    uint64_t whole = seconds > 0 ? (uint64_t)seconds : 0;
    if (whole >= 3600) {
        snprintf(text, size, "%u h %02u min", (unsigned)(whole / 3600),
                 (unsigned)(whole % 3600 / 60));
    } else if (whole >= 60) {
        snprintf(text, size, "%u min %02u s", (unsigned)(whole / 60), (unsigned)(whole % 60));
    } else {
        snprintf(text, size, "%u s", (unsigned)whole);
    }
}

static void show(const struct xt_progress *progress, uint64_t now)
{
    double seconds = (double)(now - progress->started_ms) / 1000;
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    char done[32];
    char per_second[32];
    char left[64] = "";
    char bar[BAR_WIDTH + 16] = "";
    format_count(done, sizeof(done), (double)progress->done);
    format_count(per_second, sizeof(per_second), rate);
    if (progress->total > 0) {
        double share = (double)progress->done / (double)progress->total;
        share = share > 1 ? 1 : share;
        char time[48] = "?";
        if (rate > 0) {
            format_time(time, sizeof(time), (1 - share) * (double)progress->total / rate);
        }
        snprintf(left, sizeof(left), ", %s left", time);
        char marks[BAR_WIDTH + 1];
        unsigned full = (unsigned)(share * BAR_WIDTH);
        memset(marks, '.', BAR_WIDTH);
        memset(marks, '#', full);
        marks[BAR_WIDTH] = 0;
        if (progress->terminal) {
            snprintf(bar, sizeof(bar), "[%s] %3.0f%% ", marks, share * 100);
        } else {
            snprintf(bar, sizeof(bar), "%.0f%%, ", share * 100);
        }
    }
    fprintf(stderr, "%s%s: %s%s %s, %s/s%s%s", progress->terminal ? "\r" : "", progress->phase, bar,
            done, progress->unit, per_second, left, progress->terminal ? "\033[K" : "\n");
    fflush(stderr);
}

void xt_progress_start(struct xt_progress *progress, const char *phase, const char *unit,
                       uint64_t total, bool quiet)
{
    uint64_t now = now_ms();
    *progress = (struct xt_progress){.phase = phase,
                                     .unit = unit,
                                     .total = total,
                                     .started_ms = now,
                                     .shown_ms = now,
                                     .terminal = !quiet && stderr_is_terminal(),
                                     .quiet = quiet};
}

void xt_progress_set(struct xt_progress *progress, uint64_t done)
{
    progress->done = done;
    if ((++progress->checked & (CALLS_BETWEEN_LOOKS - 1)) == 0) {
        xt_progress_look(progress, done);
    }
}

void xt_progress_look(struct xt_progress *progress, uint64_t done)
{
    progress->done = done;
    if (progress->quiet) {
        return;
    }
    uint64_t now = now_ms();
    uint64_t every = progress->terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    if (now - progress->shown_ms >= every) {
        progress->shown_ms = now;
        show(progress, now);
    }
}

void xt_progress_break(struct xt_progress *progress)
{
    if (progress->terminal && !progress->quiet) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

void xt_progress_finish(struct xt_progress *progress)
{
    if (progress->quiet) {
        return;
    }
    double seconds = (double)(now_ms() - progress->started_ms) / 1000;
    char done[32];
    char per_second[32];
    format_count(done, sizeof(done), (double)progress->done);
    format_count(per_second, sizeof(per_second),
                 (double)progress->done / (seconds > 0.001 ? seconds : 0.001));
    fprintf(stderr, "%s%s: %s %s, %s/s, %.1f s\n", progress->terminal ? "\r\033[K" : "",
            progress->phase, done, progress->unit, per_second, seconds);
    fflush(stderr);
}
