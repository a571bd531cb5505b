/* How far a run's figures may be trusted, in words. */
#include "bench/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "bench/report_number.h"

#define ENOUGH_BEYOND 10U     /* answers a percentile should at least rest on */
#define ACHIEVED_SHARE 0.99   /* of the wanted rate: as the search for the knee has it */
#define CLIENT_BUSY_SHARE 0.9 /* of its threads: then it measured itself */

void xt_report_statement(const struct xt_bench_result *result, char *text, size_t capacity)
{
    if (result->open_loop) {
        (void)snprintf(text, capacity,
                       "%s requests a second were due whatever the server did, and each latency "
                       "counts from when its request was due. If the server pauses, these "
                       "percentiles show it.",
                       xt_number_count(result->wanted_rate).text);
        return;
    }
    (void)snprintf(text, capacity,
                   "Each of %s connections waited for its answer before it asked again, so while "
                   "the server pauses the load pauses too: these percentiles hide pauses. Read the "
                   "throughput and the CPU here; quote percentiles from open loops only.",
                   xt_number_count(result->connections_wanted).text);
}

struct list {
    struct xt_report_note *notes;
    unsigned count;
};

static void note(struct list *list, bool warning, const char *format, ...) XT_PRINTF(3, 4);

static void note(struct list *list, bool warning, const char *format, ...)
{
    xt_require(list->count < XT_REPORT_NOTES_MAX);
    struct xt_report_note *made = &list->notes[list->count++];
    va_list arguments;
    va_start(arguments, format);
    made->warning = warning;
    (void)vsnprintf(made->text, sizeof(made->text), format, arguments);
    va_end(arguments);
}

static bool is_unchecked(const struct xt_bench_result *result)
{
    for (unsigned i = 0; i < result->configuration.count; i++) {
        const struct xt_result_pair *pair = &result->configuration.list[i];
        if (strcmp(pair->name, "checked") == 0) {
            return strcmp(pair->value, "status") == 0;
        }
    }
    return false;
}

static void note_answers(const struct xt_bench_result *result, struct list *list)
{
    if (result->right == 0) {
        note(list, true, "Not one answer was right, so there is no latency to show.");
    } else if (result->errors > 0) {
        note(list, true,
             "%s of %s requests failed. Latency is that of right answers only: read the two "
             "together.",
             xt_number_count(result->errors).text,
             xt_number_count(result->errors + result->right).text);
    }
    if (result->early_errors > 0) {
        note(list, true, "%s errors fell into ramp and warm-up, which the figures leave out.",
             xt_number_count(result->early_errors).text);
    }
    if (is_unchecked(result)) {
        note(list, true,
             "Only the status of answers was checked, not what they say: a fast wrong answer "
             "counts as right here.");
    }
}

static void note_percentiles(const struct xt_bench_result *result, struct list *list)
{
    const struct xt_histogram *latency = &result->latency;
    static const uint32_t told[] = {99000, 99900, 99990, 99999};
    if (latency->saturated > 0) {
        note(list, true, "%s answers took longer than a minute and are counted as one minute.",
             xt_number_count(latency->saturated).text);
    }
    for (unsigned i = 0; latency->count > 0 && i < sizeof(told) / sizeof(told[0]); i++) {
        uint64_t beyond = xt_report_beyond(latency, told[i]);
        if (beyond < ENOUGH_BEYOND) {
            note(list, told[i] <= 99900,
                 "From %s on, percentiles rest on fewer than ten answers (%s): quote them only "
                 "from a longer run.",
                 xt_number_percentile(told[i]).text, xt_number_count(beyond).text);
            return;
        }
    }
}

static void note_knee(const struct xt_bench_result *result, struct list *list)
{
    if (result->knee.rate > 0) {
        note(list, false,
             "The knee is at %s requests a second, the fastest with p99 within %s. All other "
             "figures are those of that step.",
             xt_number_count(result->knee.rate).text,
             xt_number_axis_us((double)result->slo_us).text);
    } else {
        note(list, true,
             "No rate that was tried kept p99 within %s; figures are those of the last step.",
             xt_number_axis_us((double)result->slo_us).text);
    }
}

unsigned xt_report_notes(const struct xt_bench_result *result,
                         struct xt_report_note notes[XT_REPORT_NOTES_MAX])
{
    struct list list = {.notes = notes};
    double threads_us = (double)result->threads * result->measured * 1e6;
    if (result->interrupted) {
        note(&list, true, "The run was interrupted after %s; %s were wanted.",
             xt_number_seconds(result->measured).text, xt_number_seconds(result->duration_s).text);
    }
    note_answers(result, &list);
    if (result->open_loop && result->achieved_rate < ACHIEVED_SHARE * (double)result->wanted_rate) {
        note(&list, true, "The rate was not reached: %s a second of %s wanted.",
             xt_number_rate(result->achieved_rate).text, xt_number_count(result->wanted_rate).text);
    }
    if (threads_us > 0 && (double)result->client_cpu_us > CLIENT_BUSY_SHARE * threads_us) {
        note(&list, true,
             "The client used %.0f %% of its threads: it may have measured itself. Give it more "
             "--threads and cores of its own.",
             100 * (double)result->client_cpu_us / threads_us);
    }
    if (result->has_knee) {
        note_knee(result, &list);
    }
    note_percentiles(result, &list);
    if (!result->has_server) {
        note(&list, false, "The server's CPU was not read (--server-pid).");
    }
    return list.count;
}
