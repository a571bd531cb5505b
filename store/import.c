#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/request.h" /* xt_json_write_string */
#include "crypto/file.h"
#include "store/builder.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/csv_rows.h"
#include "store/lines.h"
#include "store/progress.h"
#include "store/rejects.h"

static const char help[] =
    "usage: xacthuc import DIR FILE [OPTIONS]\n"
    "\n"
    "Builds a new sealed generation out of people and switches to it, or leaves the served one as\n"
    "it is. FILE is NDJSON, or CSV when it ends in .csv; - reads standard input.\n"
    "\n"
    "  --format ndjson|csv   in place of what the name of FILE says\n"
    "  --max-rejects N       lines that may be refused before the import fails (default 0)\n"
    "  --rejects FILE        where refused lines are told (default DIR/import-rejects.ndjson). A "
    "file\n"
    "                        that holds anything but rejects is never replaced or removed\n"
    "  --json                the summary as JSON\n"
    "  --quiet               no progress\n"
    "  --help, --version\n";

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

struct import {
    /* what was asked */
    const char *dir, *input, *rejects_path;
    char default_rejects[XT_PATH_MAX];
    bool is_csv, json, quiet;
    uint64_t max_rejects;
    /* the work */
    int fd;
    struct xt_keyring *keyring;
    struct xt_builder *builder;
    struct xt_rejects rejects;
    struct xt_lines lines;
    struct xt_csv *csv;
    struct xt_person_columns columns;
    bool has_columns;
    struct xt_memory arena; /* of the JSON parser: it holds people too */
    uint64_t people;
    struct xt_manifest manifest;
    struct timespec started;
    enum xt_status status; /* of callbacks that cannot give one */
    struct xt_failure failure;
};

static enum xt_status reject(struct import *import, const struct xt_reject *reject)
{
    return xt_rejects_add(&import->rejects, import->lines.number, 0, reject->code, reject->pointer,
                          &import->failure);
}

static enum xt_status read_csv(struct import *import, struct xt_span line, struct xt_person *person,
                               struct xt_reject *reject)
{
    const struct xt_span *fields = NULL;
    unsigned count = 0;
    reject->pointer[0] = 0;
    enum xt_status status = xt_csv_row(import->csv, line, &fields, &count, &reject->code);
    if (!import->has_columns) {
        if (status == XT_OK) {
            status = xt_person_csv_header(fields, count, &import->columns, reject);
        }
        if (status != XT_OK) {
            return xt_fail(&import->failure, XT_DENIED,
                           "the header of the CSV cannot be used: %s %s (line %llu): name the "
                           "members of a person as in the README",
                           reject->code, reject->pointer, (unsigned long long)import->lines.number);
        }
        import->has_columns = true;
        return XT_NOT_FOUND; /* no person on this line */
    }
    return status == XT_OK ? xt_person_from_csv(&import->columns, fields, count, person, reject)
                           : status;
}

/* One line: a person, a reject, or nothing (the header). Any status but XT_OK ends the import. */
/* Not every reject of line 1: a register of millions read in the wrong format is one mistake. */
static bool is_csv_header(const struct import *import, struct xt_span line)
{
    return import->lines.number == 1 && line.data[0] != '{' &&
           memmem(line.data, line.size, "full_name", 9) != NULL &&
           memchr(line.data, ',', line.size) != NULL;
}

static enum xt_status take_line(struct import *import, struct xt_span line)
{
    struct xt_person person;
    struct xt_reject refused = {.code = "", .pointer = ""};
    struct xt_json_arena arena = {import->arena.data, import->arena.size};
    enum xt_status status = import->is_csv ? read_csv(import, line, &person, &refused)
                                           : xt_person_from_json(line, arena, &person, &refused);
    if (status == XT_INVALID && !import->is_csv && is_csv_header(import, line)) {
        return xt_fail(&import->failure, XT_INVALID,
                       "the first line of %s is a CSV header: give --format csv", import->input);
    }
    if (status == XT_INVALID) {
        return reject(import, &refused);
    }
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    import->people++;
    return xt_builder_add(import->builder, &person, import->lines.number, &import->failure);
}

static enum xt_status interrupted(struct import *import)
{
    return xt_fail(&import->failure, XT_CLOSED, "interrupted; nothing was changed");
}

static enum xt_status read_people(struct import *import)
{
    struct stat facts;
    struct xt_progress progress;
    bool sized = fstat(import->fd, &facts) == 0 && S_ISREG(facts.st_mode);
    xt_progress_start(&progress, "reading", sized ? "bytes" : "people",
                      sized ? (uint64_t)facts.st_size : 0, import->quiet);
    enum xt_status status = XT_OK;
    while (status == XT_OK) {
        struct xt_span line;
        enum xt_status got = xt_lines_next(&import->lines, &line);
        if (stop != 0) {
            return interrupted(import);
        }
        if (got == XT_CLOSED) {
            break;
        }
        if (got == XT_IO) {
            return xt_fail(&import->failure, XT_IO, "cannot read %s: %s", import->input,
                           strerror(errno));
        }
        if (got == XT_TOO_LARGE) {
            status = reject(import, &(struct xt_reject){.code = "line_too_long", .pointer = ""});
        } else if (got == XT_OK && line.size > 0) {
            status = take_line(import, line);
        }
        xt_progress_set(&progress, sized ? import->lines.bytes : import->people);
    }
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    }
    return status;
}

static void on_duplicate(void *context, uint64_t line, uint64_t first_line, const char *code,
                         const char *pointer)
{
    struct import *import = context;
    import->people--;
    if (import->status == XT_OK) {
        import->status =
            xt_rejects_add(&import->rejects, line, first_line, code, pointer, &import->failure);
    }
}

static enum xt_status run_import(struct import *import)
{
    uint8_t *place;
    enum xt_status status = xt_deployment_keyring(import->dir, &import->keyring, &import->failure);
    if (status == XT_OK) {
        status = xt_builder_open(import->dir, import->keyring, &import->builder, &import->failure);
    }
    if (status == XT_OK) {
        status =
            xt_rejects_start(&import->rejects, import->rejects_path, import->fd, &import->failure);
    }
    if (status != XT_OK) {
        return status;
    }
    if (xt_memory_extend(&import->arena, XT_PERSON_JSON_ARENA, &place) != XT_OK ||
        xt_lines_start(&import->lines, import->fd) != XT_OK || xt_csv_open(&import->csv) != XT_OK) {
        return xt_fail(&import->failure, XT_NO_MEMORY, "out of memory");
    }
    status = read_people(import);
    if (status != XT_OK) {
        return status;
    }
    status = xt_builder_sort(import->builder, on_duplicate, import, &import->failure);
    if (status == XT_OK) {
        status = import->status;
    }
    if (status == XT_OK) {
        status = xt_rejects_finish(&import->rejects, &import->failure);
    }
    if (status != XT_OK) {
        return status;
    }
    import->people -= xt_builder_folded(import->builder);
    if (import->rejects.count > import->max_rejects) {
        return xt_fail(&import->failure, XT_INVALID,
                       "%llu lines were refused and --max-rejects allows %llu: see %s; the served "
                       "generation is as it was",
                       (unsigned long long)import->rejects.count,
                       (unsigned long long)import->max_rejects, import->rejects_path);
    }
    if (import->people == 0) {
        return xt_fail(&import->failure, XT_INVALID,
                       "there is nobody in %s; the served generation is as it was", import->input);
    }
    return xt_builder_seal(import->builder, import->quiet, &stop, &import->manifest,
                           &import->failure);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static double bytes_each(const struct xt_table_sizes *sizes)
{
    return sizes->records == 0 ? 0 : (double)sizes->disk_bytes / (double)sizes->records;
}

static void print_text(const struct import *import)
{
    const struct xt_manifest *manifest = &import->manifest;
    printf("generation %06u is served: %llu people, %llu rejects, %.1f s\n", manifest->number,
           (unsigned long long)manifest->people, (unsigned long long)import->rejects.count,
           seconds_since(&import->started));
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        const struct xt_table_sizes *sizes = &manifest->tables[i];
        printf("  %-6s %12llu records %8.1f bytes each on disk %10.1f MiB\n", xt_table_name(i),
               (unsigned long long)sizes->records, bytes_each(sizes),
               (double)sizes->disk_bytes / (1 << 20));
    }
    if (xt_builder_folded(import->builder) > 0) {
        printf("  %llu cancelled records were folded into their successors\n",
               (unsigned long long)xt_builder_folded(import->builder));
    }
    if (import->rejects.count > 0) {
        printf("  rejects: %s\n", import->rejects_path);
    }
}

static void print_json_string(const char *text)
{
    uint8_t quoted[XT_PATH_MAX * 6 + 2];
    struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
    xt_json_write_string(&writer, xt_span_of_string(text));
    fwrite(quoted, 1, writer.size, stdout);
}

static void print_json(const struct import *import, bool sealed)
{
    const struct xt_manifest *manifest = &import->manifest;
    char number[16] = "null";
    if (sealed) {
        snprintf(number, sizeof(number), "%u", manifest->number);
    }
    printf("{\"generation\":%s,\"people\":%llu,\"rejects\":%llu,\"rejects_file\":", number,
           (unsigned long long)(sealed ? manifest->people : import->people),
           (unsigned long long)import->rejects.count);
    if (import->rejects.count > 0) {
        print_json_string(import->rejects_path);
    } else {
        fputs("null", stdout);
    }
    printf(",\"seconds\":%.3f", seconds_since(&import->started));
    if (sealed) {
        printf(
            ",\"folded\":%llu,\"replaced\":%llu,\"aliases\":%llu,\"file_bytes\":%llu,\"tables\":{",
            (unsigned long long)xt_builder_folded(import->builder),
            (unsigned long long)manifest->replaced, (unsigned long long)manifest->aliases,
            (unsigned long long)manifest->file_bytes);
        for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
            const struct xt_table_sizes *sizes = &manifest->tables[i];
            printf("%s\"%s\":{\"records\":%llu,\"disk_bytes\":%llu,\"bytes_per_record\":%.1f}",
                   i == 0 ? "" : ",", xt_table_name(i), (unsigned long long)sizes->records,
                   (unsigned long long)sizes->disk_bytes, bytes_each(sizes));
        }
        putchar('}');
    }
    puts("}");
}

static void close_all(struct import *import)
{
    xt_csv_close(import->csv);
    xt_lines_end(&import->lines);
    xt_memory_free(&import->arena);
    xt_rejects_end(&import->rejects);
    xt_builder_close(import->builder);
    xt_keyring_close(import->keyring);
    if (import->fd > STDIN_FILENO) {
        close(import->fd);
    }
}

static bool ends_in(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* Fills import from the arguments; -1 to go on, else the exit status. */
static int parse(struct import *import, int argc, char **argv)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'},  {"max-rejects", required_argument, NULL, 'm'},
        {"rejects", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0}};
    const char *format = NULL;
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'f':
            format = optarg;
            break;
        case 'm':
            if (!xt_parse_count(optarg, UINT64_MAX / 2, &import->max_rejects)) {
                return xt_usage_error("import", "--max-rejects needs a number");
            }
            break;
        case 'r':
            import->rejects_path = optarg;
            break;
        case 'j':
            import->json = true;
            break;
        case 'q':
            import->quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("import", option, argv);
        }
    }
    if (argc - optind != 2) {
        return xt_usage_error("import", "give the deployment and one file of people");
    }
    import->dir = argv[optind];
    import->input = argv[optind + 1];
    import->is_csv = format != NULL ? strcmp(format, "csv") == 0 : ends_in(import->input, ".csv");
    if (format != NULL && !import->is_csv && strcmp(format, "ndjson") != 0) {
        return xt_usage_error("import", "--format is ndjson or csv");
    }
    if (import->rejects_path == NULL) {
        if (xt_path_join(import->default_rejects, import->dir, "import-rejects.ndjson") != XT_OK) {
            return xt_usage_error("import", "the path of the deployment is too long");
        }
        import->rejects_path = import->default_rejects;
    }
    return -1;
}

int xt_command_import(int argc, char **argv)
{
    struct import import = {.fd = -1};
    int exit_status = parse(&import, argc, argv);
    if (exit_status >= 0) {
        return exit_status;
    }
    clock_gettime(CLOCK_MONOTONIC, &import.started);
    bool from_stdin = strcmp(import.input, "-") == 0;
    import.fd = from_stdin ? STDIN_FILENO : open(import.input, O_RDONLY | O_CLOEXEC);
    if (import.fd < 0) {
        (void)xt_fail(&import.failure, XT_IO, "cannot read %s: %s", import.input, strerror(errno));
        return xt_work_error("import", &import.failure);
    }
    import.input = from_stdin ? "the standard input" : import.input;
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: reads wake up */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction before; /* nohup means it */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(SIGHUP, &action, NULL);
    }

    enum xt_status status = run_import(&import);
    if (import.json && (status == XT_OK || import.rejects.count > 0)) {
        print_json(&import, status == XT_OK);
    } else if (status == XT_OK) {
        print_text(&import);
    }
    close_all(&import);
    if (status != XT_OK) {
        (void)fflush(stdout);
        return xt_work_error("import", &import.failure);
    }
    return xt_finish_output("import");
}
