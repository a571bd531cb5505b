#include <getopt.h>
#include <stdio.h>

#include "core/province.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/generation.h"
#include "store/progress.h"

static const char help[] =
    "usage: xacthuc stats DIR [OPTIONS]\n"
    "\n"
    "Counts and sizes of the served generation, and how many people there are by province of\n"
    "address, sex, life, card and account level. Counts under 10 are not told.\n"
    "\n"
    "  --json    as JSON\n"
    "  --quiet   no progress\n"
    "  --help, --version\n";

#define CODE_MAX 16      /* bytes of "cancelled" and any other value */
#define SMALLEST_TOLD 10 /* a smaller cell could point at a person */
#define VALUES_MAX (XT_PROVINCE_COUNT + 1)

struct dimension {
    const char *name;
    unsigned values;
    const char *const *value_names; /* NULL: provinces */
    uint64_t counts[VALUES_MAX];
};

enum { PROVINCE, SEX, LIFE, CARD, ACCOUNT, DIMENSIONS };

static const char *const sexes[] = {"unknown", "male", "female"};
static const char *const lives[] = {"alive", "deceased", "missing", "cancelled"};
static const char *const cards[] = {"none", "active", "lost", "revoked"};
static const char *const accounts[] = {"none", "1", "2"};

struct stats {
    struct dimension dimensions[DIMENSIONS];
    struct xt_progress progress;
    uint64_t done;
};

static enum xt_status count_person(void *context, const struct xt_hot *hot)
{
    struct stats *stats = context;
    stats->dimensions[PROVINCE].counts[hot->province]++;
    stats->dimensions[SEX].counts[hot->sex]++;
    stats->dimensions[LIFE].counts[hot->life]++;
    stats->dimensions[CARD].counts[hot->card_state]++;
    stats->dimensions[ACCOUNT].counts[hot->account_level]++;
    xt_progress_set(&stats->progress, ++stats->done);
    return XT_OK;
}

/* Code and name of a value: "079" and "TP. Hồ Chí Minh", or "male" and "". */
static const char *value_of(const struct dimension *dimension, unsigned value, char code[CODE_MAX])
{
    if (dimension->value_names != NULL) {
        snprintf(code, CODE_MAX, "%s", dimension->value_names[value]);
        return "";
    }
    if (value == XT_PROVINCE_NONE) {
        snprintf(code, CODE_MAX, "unknown");
        return "";
    }
    const struct xt_province *province = xt_province_at(value);
    snprintf(code, CODE_MAX, "%03u", (unsigned)province->code);
    return province->name;
}

static void print_text(const struct xt_manifest *manifest, const struct stats *stats)
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
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        const struct dimension *dimension = &stats->dimensions[i];
        printf("by %s\n", dimension->name);
        for (unsigned value = 0; value < dimension->values; value++) {
            char code[CODE_MAX];
            char count[24] = "<10";
            const char *name = value_of(dimension, value, code);
            if (dimension->counts[value] >= SMALLEST_TOLD) {
                snprintf(count, sizeof(count), "%llu",
                         (unsigned long long)dimension->counts[value]);
            }
            printf("  %12s  %s%s%s\n", count, code, name[0] != 0 ? " " : "", name);
        }
    }
}

static void print_json(const struct xt_manifest *manifest, const struct stats *stats)
{
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
    fputs("},\"suppressed_below\":10,\"by\":{", stdout);
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        const struct dimension *dimension = &stats->dimensions[i];
        printf("%s\"%s\":[", i == 0 ? "" : ",", dimension->name);
        for (unsigned value = 0; value < dimension->values; value++) {
            char code[CODE_MAX];
            char count[24] = "\"<10\"";
            (void)value_of(dimension, value, code);
            if (dimension->counts[value] >= SMALLEST_TOLD) {
                snprintf(count, sizeof(count), "%llu",
                         (unsigned long long)dimension->counts[value]);
            }
            printf("%s{\"value\":\"%s\",\"count\":%s}", value == 0 ? "" : ",", code, count);
        }
        putchar(']');
    }
    puts("}}");
}

static int run(const char *dir, bool json, bool quiet)
{
    struct xt_failure failure;
    struct xt_keyring *keyring = NULL;
    struct xt_generation *generation = NULL;
    uint32_t number;
    struct stats stats = {.dimensions = {
                              [PROVINCE] = {.name = "province", .values = XT_PROVINCE_COUNT + 1},
                              [SEX] = {.name = "sex", .values = 3, .value_names = sexes},
                              [LIFE] = {.name = "life", .values = 4, .value_names = lives},
                              [CARD] = {.name = "card", .values = 4, .value_names = cards},
                              [ACCOUNT] = {.name = "account", .values = 3, .value_names = accounts},
                          }};
    enum xt_status status = xt_deployment_keyring(dir, &keyring, &failure);
    if (status == XT_OK) {
        status = xt_generation_current(dir, &number, &failure);
    }
    if (status == XT_OK) {
        status = xt_generation_open(dir, number, keyring, &generation, &failure);
    }
    xt_keyring_close(keyring);
    if (status != XT_OK) {
        return xt_work_error("stats", &failure);
    }
    const struct xt_manifest *manifest = xt_generation_manifest(generation);
    xt_progress_start(&stats.progress, "counting", "people", manifest->people, quiet);
    status = xt_generation_each(generation, count_person, &stats);
    if (status == XT_OK) {
        xt_progress_finish(&stats.progress);
        if (json) {
            print_json(manifest, &stats);
        } else {
            print_text(manifest, &stats);
        }
    } else {
        (void)xt_fail(&failure, status, "generation %06u is damaged: run xacthuc check %s", number,
                      dir);
    }
    xt_generation_close(generation);
    return status == XT_OK ? xt_finish_output("stats") : xt_work_error("stats", &failure);
}

int xt_command_stats(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    bool json = false;
    bool quiet = false;
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'q':
            quiet = true;
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
    return run(argv[optind], json, quiet);
}
