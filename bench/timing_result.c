/* Pairs of classes judged, as a table and as a file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report_number.h"
#include "bench/report_page.h"
#include "bench/timing.h"

static const struct xt_timing_pair pairs[] = {
    {.a = XT_TIMING_WRONG, .b = XT_TIMING_CONTROL, .need = XT_TIMING_DIFFERENT},
    {.a = XT_TIMING_WRONG, .b = XT_TIMING_UNKNOWN},
    {.a = XT_TIMING_WRONG, .b = XT_TIMING_DECEASED},
    {.a = XT_TIMING_UNKNOWN, .b = XT_TIMING_DECEASED},
    {.a = XT_TIMING_NAME_FAR, .b = XT_TIMING_NAME_NEAR},
    {.a = XT_TIMING_CMND_WRONG, .b = XT_TIMING_CMND_UNKNOWN},
    {.a = XT_TIMING_PAPER_WRONG, .b = XT_TIMING_PAPER_UNKNOWN},
    {.a = XT_TIMING_FUZZY_WRONG, .b = XT_TIMING_FUZZY_UNKNOWN},
    {.a = XT_TIMING_TOKEN_NOBODY, .b = XT_TIMING_TOKEN_REVOKED},
    {.a = XT_TIMING_TOKEN_NOBODY, .b = XT_TIMING_TOKEN_DECEASED},
    {.a = XT_TIMING_TOKEN_NOBODY, .b = XT_TIMING_TOKEN_OVER},
    {.a = XT_TIMING_TOKEN_NOBODY, .b = XT_TIMING_TOKEN_FOREIGN},
    /* Few people: what is seen may be these people's and not their class's. */
    {.a = XT_TIMING_FEW_WRONG, .b = XT_TIMING_MISSING, .need = XT_TIMING_TOLD},
    {.a = XT_TIMING_FEW_WRONG, .b = XT_TIMING_CANCELLED, .need = XT_TIMING_TOLD},
    {.a = XT_TIMING_CMND_FEW_WRONG, .b = XT_TIMING_CMND_SHARED, .need = XT_TIMING_TOLD},
    /* The dead are older than others and have other documents; a name that is right is compared with
     * itself, which a processor that has just seen it does faster; a second lookup. */
    {.a = XT_TIMING_FUZZY_WRONG, .b = XT_TIMING_FUZZY_DECEASED, .need = XT_TIMING_TOLD},
    {.a = XT_TIMING_PAPER_WRONG, .b = XT_TIMING_PAPER_DECEASED, .need = XT_TIMING_TOLD},
    {.a = XT_TIMING_FEW_WRONG, .b = XT_TIMING_REPLACED, .need = XT_TIMING_TOLD},
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))
_Static_assert(PAIRS <= XT_TIMING_PAIRS_MAX, "a run holds all pairs");

static const char *const run_names[2] = {"in_process", "over_tls"};
static const char *const run_titles[2] = {"in this process", "over TLS on loopback"};

bool xt_timing_pair_passes(const struct xt_timing_pair *pair)
{
    return pair->need == XT_TIMING_TOLD ||
           (pair->welch.worst < XT_WELCH_LIMIT) == (pair->need == XT_TIMING_ALIKE);
}

double xt_timing_resolution(const struct xt_timing_run *run, const struct xt_timing_pair *pair)
{
    return XT_WELCH_LIMIT * pair->welch.error * run->ns;
}

static struct xt_welch_class class_of(const struct xt_timing_samples *samples,
                                      const struct xt_timing_cases *cases,
                                      enum xt_timing_class class)
{
    return (struct xt_welch_class){.values = samples->list[class],
                                   .cases = samples->cases[class],
                                   .count = samples->counts[class],
                                   .case_count = cases->counts[class]};
}

enum xt_status xt_timing_judge(const struct xt_timing_samples *samples,
                               const struct xt_timing_cases *cases, double resolves,
                               struct xt_timing_run *run, struct xt_failure *failure)
{
    *run = (struct xt_timing_run){.ns = samples->ns, .resolves = resolves};
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        run->requests += samples->counts[i];
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        struct xt_timing_pair *pair = &run->pairs[run->pair_count];
        *pair = pairs[i];
        if (samples->counts[pair->a] < XT_WELCH_LEAST ||
            samples->counts[pair->b] < XT_WELCH_LEAST) {
            continue;
        }
        struct xt_welch_class a = class_of(samples, cases, pair->a);
        struct xt_welch_class b = class_of(samples, cases, pair->b);
        if (!xt_welch_compare(&a, &b, &pair->welch)) {
            return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
        }
        run->pair_count++;
    }
    return XT_OK;
}

/* It seems alike, but no more was looked for than what everybody would see. */
static bool is_unseen(const struct xt_timing_run *run, const struct xt_timing_pair *pair)
{
    return pair->need == XT_TIMING_ALIKE && run->resolves > 0 &&
           XT_WELCH_LIMIT * pair->welch.error > run->resolves * pair->welch.mean;
}

unsigned xt_timing_failures(const struct xt_timing_result *result, bool *blind)
{
    unsigned failures = 0;
    *blind = false;
    for (unsigned i = 0; i < result->size_count; i++) {
        for (unsigned r = 0; r < 2; r++) {
            const struct xt_timing_run *run = &result->sizes[i].runs[r];
            for (unsigned p = 0; p < run->pair_count; p++) {
                const struct xt_timing_pair *pair = &run->pairs[p];
                bool passes = xt_timing_pair_passes(pair), unseen = is_unseen(run, pair);
                failures += !passes || unseen;
                *blind |= unseen || (!passes && pair->need == XT_TIMING_DIFFERENT);
            }
        }
    }
    return failures;
}

/* ---- for people ---- */

static const char *verdict(const struct xt_timing_run *run, const struct xt_timing_pair *pair)
{
    bool passes = xt_timing_pair_passes(pair);
    switch (pair->need) {
    case XT_TIMING_ALIKE:
        return !passes ? "DIFFERENT" : is_unseen(run, pair) ? "NOT SEEN" : "alike";
    case XT_TIMING_DIFFERENT:
        return passes ? "found, as it must be" : "NOT FOUND";
    case XT_TIMING_TOLD:
        break;
    }
    return pair->welch.worst < XT_WELCH_LIMIT ? "(alike)" : "(different)";
}

static void print_run(const struct xt_timing_run *run, const char *title)
{
    if (run->pair_count == 0) {
        return;
    }
    printf(" %s, %s requests\n", title, xt_number_count(run->requests).text);
    printf("  %-32s %9s %7s %9s %9s %9s %9s %9s\n", "", "ns apart", "+-", "t raw", "cropped",
           "t2 raw", "cropped", "naive");
    for (unsigned i = 0; i < run->pair_count; i++) {
        const struct xt_timing_pair *pair = &run->pairs[i];
        const struct xt_welch *welch = &pair->welch;
        char name[64];
        (void)snprintf(name, sizeof(name), "%s - %s", xt_timing_class_name(pair->a),
                       xt_timing_class_name(pair->b));
        printf("  %-32s %9.1f %7.1f %9.2f %9.2f %9.2f %9.2f %9.2f  %s\n", name,
               welch->difference * run->ns, xt_timing_resolution(run, pair), welch->raw,
               welch->cropped, welch->raw_second, welch->cropped_second, welch->naive,
               verdict(run, pair));
    }
}

void xt_timing_print(const struct xt_timing_result *result)
{
    bool blind;
    unsigned failures = xt_timing_failures(result, &blind);
    printf("%s; seed %llu; |t| below %.1f is alike; +-: a difference that would have been seen\n",
           result->machine.processor, (unsigned long long)result->seed, XT_WELCH_LIMIT);
    for (unsigned i = 0; i < result->size_count; i++) {
        const struct xt_timing_size *size = &result->sizes[i];
        printf("\n%s people, %u of a class\n", xt_number_count(size->count).text, size->pool);
        for (unsigned r = 0; r < 2; r++) {
            print_run(&size->runs[r], run_titles[r]);
        }
    }
    printf(
        "\n%s\n",
        blind
            ? "failed: the control was not found, or too little could be seen: this proves nothing"
        : failures ? "failed: classes can be told apart by time"
                   : "passed: the control was found, and nothing else");
}

/* ---- the file ---- */

static double bounded(double t)
{
    return fmax(-1e9, fmin(1e9, t)); /* JSON has no infinity */
}

static void put_pair(struct xt_report_page *page, const struct xt_timing_run *run,
                     const struct xt_timing_pair *pair)
{
    static const char *const needs[] = {"alike", "different", "told"};
    const struct xt_welch *welch = &pair->welch;
    xt_page_put(page,
                "   {\"a\":\"%s\",\"b\":\"%s\",\"needed\":\"%s\",\"passes\":%s,\"count_a\":%llu,"
                "\"count_b\":%llu,",
                xt_timing_class_name(pair->a), xt_timing_class_name(pair->b), needs[pair->need],
                xt_timing_pair_passes(pair) ? "true" : "false", (unsigned long long)welch->count_a,
                (unsigned long long)welch->count_b);
    xt_page_put(page,
                "\"difference_ns\":%.5g,\"error_ns\":%.5g,\"t\":%.5g,\"t_cropped\":%.5g,"
                "\"crop\":%.3f,\"t2\":%.5g,\"t2_cropped\":%.5g,\"crop2\":%.3f,\"naive\":%.5g}",
                welch->difference * run->ns, welch->error * run->ns, bounded(welch->raw),
                bounded(welch->cropped), welch->crop / 1000.0, bounded(welch->raw_second),
                bounded(welch->cropped_second), welch->crop_second / 1000.0, bounded(welch->naive));
}

static void put_size(struct xt_report_page *page, const struct xt_timing_size *size)
{
    const char *before = "";
    xt_page_put(page, " {\"count\":%llu,\"pool\":%u,\"runs\":{", (unsigned long long)size->count,
                size->pool);
    for (unsigned r = 0; r < 2; r++) {
        const struct xt_timing_run *run = &size->runs[r];
        if (run->pair_count == 0) {
            continue;
        }
        xt_page_put(page, "%s\n  \"%s\":{\"requests\":%llu,\"pairs\":[\n", before, run_names[r],
                    (unsigned long long)run->requests);
        for (unsigned i = 0; i < run->pair_count; i++) {
            xt_page_raw(page, i > 0 ? ",\n" : "");
            put_pair(page, run, &run->pairs[i]);
        }
        xt_page_raw(page, "]}");
        before = ",";
    }
    xt_page_raw(page, "}}");
}

enum xt_status xt_timing_write(const struct xt_timing_result *result, const char *path,
                               struct xt_failure *failure)
{
    struct xt_report_page page;
    bool blind;
    xt_page_open(&page, path, failure);
    if (page.status != XT_OK) {
        return page.status;
    }
    xt_page_raw(&page, "{\"format\":\"xacthuc-timing/1\",\"program\":");
    xt_page_json(&page, result->program);
    xt_page_raw(&page, ",\"commit\":");
    xt_page_json(&page, result->commit);
    xt_page_raw(&page, ",\"date\":");
    xt_page_json(&page, result->date);
    xt_page_put(&page, ",\"seed\":%llu,\"limit\":%.1f,\"passes\":%s,\n\"machine\":{\"processor\":",
                (unsigned long long)result->seed, XT_WELCH_LIMIT,
                xt_timing_failures(result, &blind) == 0 ? "true" : "false");
    xt_page_json(&page, result->machine.processor);
    xt_page_put(&page, ",\"cores\":%u,\"memory_bytes\":%llu,\"kernel\":", result->machine.cores,
                (unsigned long long)result->machine.memory_bytes);
    xt_page_json(&page, result->machine.kernel);
    xt_page_raw(&page, ",\"architecture\":");
    xt_page_json(&page, result->machine.architecture);
    xt_page_put(&page, ",\"load_average_before\":%.2f},\n\"sizes\":[\n",
                result->machine.load_average);
    for (unsigned i = 0; i < result->size_count; i++) {
        xt_page_raw(&page, i > 0 ? ",\n" : "");
        put_size(&page, &result->sizes[i]);
    }
    xt_page_raw(&page, "\n]}\n");
    return xt_page_close(&page);
}
