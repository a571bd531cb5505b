#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/statistics.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/generation.h"
#include "store/live_statistics.h"
#include "store/statistics_file.h"

static const char help[] =
    "usage: xacthuc stats DIR [OPTIONS]\n"
    "\n"
    "Sizes of the served generation, and how many living people with a number in force there\n"
    "are by province of address, unit, age, sex, card and account: what GET /v1/statistics tells,\n"
    "or, where no server has run yet, what the generation holds. Counts under 10 are not told, "
    "nor\n"
    "others from which they could be had.\n"
    "\n"
    "  --by NAMES  one table: one or two of province, unit, age, sex, card, account, or\n"
    "              province,age,sex or unit,age,sex\n"
    "  --json      as JSON\n"
    "  --quiet     no progress\n"
    "  --help, --version\n";

struct stats {
    struct xt_manifest manifest;
    struct xt_statistics statistics;
    xt_date as_of;
    bool published;
    struct xt_statistics_work work;
    uint32_t cube[XT_STATISTICS_CUBE_MAX];
};

/* ---- reading ----------------------------------------------------------------------------------- */

static xt_date today(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return xt_date_of_unix_ms((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* XT_NOT_FOUND: nothing was published yet. */
static enum xt_status read_published(const char *dir, const struct xt_keyring *keyring,
                                     struct stats *stats, struct xt_failure *failure)
{
    struct xt_live *live = NULL;
    enum xt_status status = xt_live_open_reader(dir, keyring, &live, failure);
    if (status == XT_OK) {
        status = xt_live_statistics(live, &stats->statistics, &stats->as_of);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "statistics cannot be read: %s", xt_status_name(status));
        }
    }
    xt_live_close(live);
    return status;
}

static enum xt_status make_tables(const char *dir, const struct xt_keyring *keyring,
                                  struct stats *stats, struct xt_failure *failure)
{
    struct xt_tally people = {.places = 0};
    struct xt_statistics_shape shape;
    enum xt_status status =
        xt_generation_statistics(dir, &stats->manifest, keyring, &people, failure);
    if (status == XT_NOT_FOUND) {
        return xt_fail(failure, status,
                       "generation %06u is of an older program, which did not count: import again",
                       stats->manifest.number);
    }
    if (status != XT_OK) {
        return status;
    }
    stats->as_of = today();
    if (xt_tally_to_cube(&people, stats->as_of, stats->cube)) {
        xt_statistics_shape(&shape);
        xt_statistics_publish(&stats->statistics, &shape, stats->cube, NULL, &stats->work, NULL,
                              NULL);
    } else {
        status = xt_fail(failure, XT_CORRUPT, "the statistics of generation %06u do not add up",
                         stats->manifest.number);
    }
    xt_tally_free(&people);
    return status;
}

static enum xt_status read_all(const char *dir, struct stats *stats, struct xt_failure *failure)
{
    struct xt_keyring *keyring = NULL;
    struct xt_generation *generation = NULL;
    uint32_t number;
    enum xt_status status = xt_deployment_keyring(dir, &keyring, failure);
    if (status == XT_OK) {
        status = xt_generation_current(dir, &number, failure);
    }
    if (status == XT_OK) {
        status = xt_generation_open(dir, number, keyring, &generation, failure);
    }
    if (status == XT_OK) {
        stats->manifest = *xt_generation_manifest(generation);
        xt_generation_close(generation);
        status = read_published(dir, keyring, stats, failure);
        stats->published = status == XT_OK;
        if (status == XT_NOT_FOUND) {
            status = make_tables(dir, keyring, stats, failure);
        }
    }
    xt_keyring_close(keyring);
    return status;
}

/* ---- text -------------------------------------------------------------------------------------- */

static void print_sizes(const struct xt_manifest *manifest)
{
    printf("generation %06u: %llu people, %llu replaced numbers, %llu CMND\n", manifest->number,
           (unsigned long long)manifest->people, (unsigned long long)manifest->replaced,
           (unsigned long long)manifest->aliases);
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        const struct xt_table_sizes *sizes = &manifest->tables[i];
        printf("  %-6s %12llu records %8llu pages %10.1f MiB\n", xt_table_name(i),
               (unsigned long long)sizes->records, (unsigned long long)sizes->pages,
               (double)sizes->disk_bytes / (1 << 20));
    }
}

static void print_when(const struct stats *stats)
{
    char date[XT_DATE_TEXT_MAX];
    size_t size = xt_date_format(stats->as_of, date);
    printf("living people with a number in force, %s %.*s\n",
           stats->published ? "published" : "in the generation, on", (int)size, date);
}

static void print_cell(const struct xt_statistics *statistics, uint32_t cell)
{
    if (statistics->marks[cell] == XT_CELL_TOLD) {
        printf("  %12lu", (unsigned long)statistics->counts[cell]);
    } else {
        printf("  %12s", "-");
    }
}

/* One line for each combination of values. */
static void print_table(const struct xt_statistics *statistics, unsigned by)
{
    enum xt_dimension list[XT_DIMENSIONS];
    unsigned count = xt_dimension_list(by, list);
    const struct xt_statistics_table *table = xt_statistics_table(statistics, by);
    unsigned at[XT_DIMENSIONS] = {0};
    if (table->withdrawn) {
        puts("  withheld: too few people");
        return;
    }
    for (unsigned d = 0; d < count; d++) {
        at[d] = xt_dimension_first(statistics, list[d]);
    }
    for (unsigned d = 1; d > 0;) {
        uint32_t cell = table->offset;
        for (unsigned i = 0; i < count; i++) {
            cell += at[i] * table->strides[list[i] == XT_BY_UNIT ? XT_BY_PROVINCE : list[i]];
        }
        print_cell(statistics, cell);
        for (unsigned i = 0; i < count; i++) {
            char code[XT_STATISTICS_CODE];
            const char *name = xt_dimension_value(list[i], at[i], code);
            printf("  %s%s%s", code, name[0] != 0 ? " " : "", name);
        }
        putchar('\n');
        for (d = count; d > 0 && ++at[d - 1] == xt_statistics_values(statistics, list[d - 1]);
             d--) {
            at[d - 1] = xt_dimension_first(statistics, list[d - 1]);
        }
    }
}

static const enum xt_dimension each[] = {XT_BY_PROVINCE, XT_BY_UNIT, XT_BY_AGE,
                                         XT_BY_SEX,      XT_BY_CARD, XT_BY_ACCOUNT};
#define EACH (sizeof(each) / sizeof(each[0]))

static void print_text(const struct stats *stats)
{
    print_sizes(&stats->manifest);
    print_when(stats);
    print_table(&stats->statistics, 0);
    for (size_t i = 0; i < EACH; i++) {
        printf("by %s\n", xt_dimension_name(each[i]));
        print_table(&stats->statistics, XT_BY_BIT(each[i]));
    }
}

/* ---- JSON -------------------------------------------------------------------------------------- */

/* What the API answers. */
static enum xt_status print_table_json(const struct stats *stats, unsigned by)
{
    uint8_t *text = malloc(XT_STATISTICS_JSON_MAX);
    if (text == NULL) {
        return XT_NO_MEMORY;
    }
    struct xt_writer writer = xt_writer_over(text, XT_STATISTICS_JSON_MAX);
    xt_statistics_to_json(&stats->statistics, by, stats->as_of, &writer);
    xt_require(!writer.overflow);
    (void)fwrite(text, 1, writer.size, stdout);
    free(text);
    return XT_OK;
}

static enum xt_status print_json(const struct stats *stats)
{
    const struct xt_manifest *manifest = &stats->manifest;
    printf("{\"generation\":%u,\"made_unix_ms\":%llu,\"people\":%llu,\"replaced\":%llu,"
           "\"aliases\":%llu,\"file_bytes\":%llu,\"tables\":{",
           manifest->number, (unsigned long long)manifest->made_unix_ms,
           (unsigned long long)manifest->people, (unsigned long long)manifest->replaced,
           (unsigned long long)manifest->aliases, (unsigned long long)manifest->file_bytes);
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        const struct xt_table_sizes *sizes = &manifest->tables[i];
        printf("%s\"%s\":{\"records\":%llu,\"pages\":%llu,\"disk_bytes\":%llu}", i == 0 ? "" : ",",
               xt_table_name(i), (unsigned long long)sizes->records,
               (unsigned long long)sizes->pages, (unsigned long long)sizes->disk_bytes);
    }
    printf("},\"published\":%s,\"total\":", stats->published ? "true" : "false");
    enum xt_status status = print_table_json(stats, 0);
    fputs(",\"by\":{", stdout);
    for (size_t i = 0; i < EACH && status == XT_OK; i++) {
        printf("%s\"%s\":", i == 0 ? "" : ",", xt_dimension_name(each[i]));
        status = print_table_json(stats, XT_BY_BIT(each[i]));
    }
    puts("}}");
    return status;
}

/* ---- the command ------------------------------------------------------------------------------- */

struct asked {
    bool json, one;
    unsigned by;
};

static enum xt_status print(const struct stats *stats, const struct asked *asked)
{
    if (asked->json && asked->one) {
        enum xt_status status = print_table_json(stats, asked->by);
        putchar('\n');
        return status;
    }
    if (asked->json) {
        return print_json(stats);
    }
    if (asked->one) {
        print_when(stats);
        print_table(&stats->statistics, asked->by);
    } else {
        print_text(stats);
    }
    return XT_OK;
}

static int run(const char *dir, const struct asked *asked)
{
    struct xt_failure failure;
    struct stats *stats = calloc(1, sizeof(*stats));
    if (stats == NULL) {
        (void)xt_fail(&failure, XT_NO_MEMORY, "out of memory");
        return xt_work_error("stats", &failure);
    }
    enum xt_status status = read_all(dir, stats, &failure);
    if (status == XT_OK) {
        status = print(stats, asked);
        if (status != XT_OK) {
            (void)xt_fail(&failure, status, "out of memory");
        }
    }
    free(stats);
    return status == XT_OK ? xt_finish_output("stats") : xt_work_error("stats", &failure);
}

static int refuse_names(enum xt_status status)
{
    return xt_usage_error("stats", status == XT_DENIED
                                       ? "these dimensions are not offered together"
                                       : "--by takes names of dimensions, each once");
}

int xt_command_stats(int argc, char **argv)
{
    static const struct option options[] = {
        {"by", required_argument, NULL, 'b'}, {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},    {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},  {NULL, 0, NULL, 0}};
    struct asked asked = {.json = false};
    enum xt_status status;
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'b':
            status = xt_statistics_by_parse(xt_span_of_string(optarg), &asked.by);
            asked.one = true;
            if (status != XT_OK) {
                return refuse_names(status);
            }
            break;
        case 'j':
            asked.json = true;
            break;
        case 'q': /* nothing takes long any more; scripts have it */
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("stats", option, argv);
        }
    }
    if (argc - optind != 1) {
        return xt_usage_error("stats", "give one deployment");
    }
    return run(argv[optind], &asked);
}
