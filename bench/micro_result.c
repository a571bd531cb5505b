/* Figures of rounds, as a table and as a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "bench/report_number.h"
#include "bench/report_page.h"

static int by_value(const void *a, const void *b)
{
    double first = *(const double *)a;
    double second = *(const double *)b;
    return first < second ? -1 : first > second;
}

/* Between neighbours in proportion; sorted: ascending. */
static double quantile(const double *sorted, unsigned count, double share)
{
    double at = share * (count - 1);
    unsigned below = (unsigned)at;
    unsigned above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

void xt_micro_measure_settle(struct xt_micro_measure *measure)
{
    double sorted[XT_MICRO_ROUNDS_MAX];
    measure->has = measure->count > 0;
    if (!measure->has) {
        return;
    }
    memcpy(sorted, measure->wall, measure->count * sizeof(sorted[0]));
    qsort(sorted, measure->count, sizeof(sorted[0]), by_value);
    measure->median = quantile(sorted, measure->count, 0.5);
    measure->low = quantile(sorted, measure->count, 0.25);
    measure->high = quantile(sorted, measure->count, 0.75);
    memcpy(sorted, measure->cpu, measure->count * sizeof(sorted[0]));
    qsort(sorted, measure->count, sizeof(sorted[0]), by_value);
    measure->cpu_median = quantile(sorted, measure->count, 0.5);
}

/* ---- for people ---- */

static void print_size(const struct xt_micro_size *size)
{
    printf("%s people; hot table %s, all tables %s", xt_number_count(size->count).text,
           xt_number_bytes(size->hot_bytes).text, xt_number_bytes(size->file_bytes).text);
    if (size->plain_bytes > 0) {
        printf(", the plain layout %s", xt_number_bytes(size->plain_bytes).text);
    }
    printf("\n  %-42s %10s %17s %10s\n", "", "median ns", "quartiles", "CPU ns");
    for (unsigned i = 0; i < XT_MICRO_PARTS; i++) {
        const struct xt_micro_measure *measure = &size->measures[i];
        if (measure->has) {
            printf("  %-42s %10.1f %8.1f %8.1f %10.1f\n",
                   xt_micro_part_title((enum xt_micro_part)i), measure->median, measure->low,
                   measure->high, measure->cpu_median);
        }
    }
    const struct xt_micro_measure *plain = &size->measures[XT_MICRO_PLAIN_HIT];
    const struct xt_micro_measure *hit = &size->measures[XT_MICRO_HIT];
    const struct xt_micro_measure *batch = &size->measures[XT_MICRO_HIT_BATCH];
    if (plain->has && plain->median > 0 && hit->has && batch->has) {
        printf("  packed against plain: %.2f of its time singly, %.2f in batches\n",
               hit->median / plain->median, batch->median / plain->median);
    }
}

void xt_micro_print(const struct xt_micro_result *result)
{
    printf("%s, one thread; %u rounds of %u keys and %u requests, batches of %u; seed %llu\n",
           result->machine.processor, result->rounds, result->keys, result->requests, result->group,
           (unsigned long long)result->seed);
    for (unsigned i = 0; i < result->size_count; i++) {
        putchar('\n');
        print_size(&result->sizes[i]);
    }
}

/* ---- the file ---- */

static void put_values(struct xt_report_page *page, const char *name, const double *values,
                       unsigned count)
{
    xt_page_put(page, ",\"%s\":[", name);
    for (unsigned i = 0; i < count; i++) {
        xt_page_put(page, "%s%.5g", i > 0 ? "," : "", values[i]);
    }
    xt_page_raw(page, "]");
}

static void put_measure(struct xt_report_page *page, const char *name,
                        const struct xt_micro_measure *measure)
{
    xt_page_put(page,
                "\n  \"%s\":{\"unit\":\"ns\",\"better\":\"less\",\"operations\":%llu,"
                "\"median\":%.5g,\"low\":%.5g,\"high\":%.5g,\"cpu\":%.5g",
                name, (unsigned long long)measure->operations, measure->median, measure->low,
                measure->high, measure->cpu_median);
    put_values(page, "values", measure->wall, measure->count);
    put_values(page, "cpu_values", measure->cpu, measure->count);
    xt_page_raw(page, "}");
}

static void put_size(struct xt_report_page *page, const struct xt_micro_size *size)
{
    const char *before = "";
    xt_page_put(page,
                " {\"count\":%llu,\"hot_bytes\":%llu,\"file_bytes\":%llu,\"plain_bytes\":%llu,"
                "\"measures\":{",
                (unsigned long long)size->count, (unsigned long long)size->hot_bytes,
                (unsigned long long)size->file_bytes, (unsigned long long)size->plain_bytes);
    for (unsigned i = 0; i < XT_MICRO_PARTS; i++) {
        if (size->measures[i].has) {
            xt_page_raw(page, before);
            put_measure(page, xt_micro_part_name((enum xt_micro_part)i), &size->measures[i]);
            before = ",";
        }
    }
    xt_page_raw(page, "}}");
}

enum xt_status xt_micro_write(const struct xt_micro_result *result, const char *path,
                              struct xt_failure *failure)
{
    struct xt_report_page page;
    xt_page_open(&page, path, failure);
    if (page.status != XT_OK) {
        return page.status;
    }
    xt_page_raw(&page, "{\"format\":\"xacthuc-micro/1\",\"program\":");
    xt_page_json(&page, result->program);
    xt_page_raw(&page, ",\"commit\":");
    xt_page_json(&page, result->commit);
    xt_page_raw(&page, ",\"date\":");
    xt_page_json(&page, result->date);
    xt_page_put(&page,
                ",\n\"command\":\"xacthuc-bench micro --seed %llu --rounds %u --keys %u "
                "--requests %u\",\n",
                (unsigned long long)result->seed, result->rounds, result->keys, result->requests);
    xt_page_put(
        &page,
        "\"settings\":{\"seed\":%llu,\"rounds\":%u,\"keys\":%u,\"requests\":%u,\"group\":%u},"
        "\n\"machine\":{\"processor\":",
        (unsigned long long)result->seed, result->rounds, result->keys, result->requests,
        result->group);
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
