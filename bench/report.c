/* xacthuc-bench report: result files of load, or of micro, as a page, a table, CSV or JSON. */
#include "bench/report.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/commands.h"
#include "bench/report_micro.h"
#include "core/command.h"

static const char help[] =
    "usage: xacthuc-bench report RUN.json [MORE.json...] [OPTION...]\n"
    "\n"
    "Shows what `xacthuc-bench load --out RUN.json` measured. With several runs their curves are\n"
    "laid over each other first, then each has a section of its own. Without an option for an\n"
    "output, the Markdown table is printed.\n"
    "\n"
    "Results of `xacthuc-bench micro --json` are shown as well, several of them as one growth "
    "curve;\n"
    "the two kinds do not mix.\n"
    "\n"
    "  --html FILE      one page with every plot. It needs no network and no script, follows the\n"
    "                   reader's light or dark scheme, and prints\n"
    "  --markdown FILE  the table to paste into a merge request\n"
    "  --csv FILE       every second and the percentiles; see below\n"
    "  --json FILE      the figures for scripts, \"format\":\"xacthuc-report/1\"\n"
    "  --title TEXT     heading; default: the runs' names\n"
    "FILE may be - for standard output, for one of them; RUN.json may be - for standard input.\n"
    "\n"
    "CSV: a header, then for each run\n"
    "  run,second,N,right,errors,p50_us,p90_us,p99_us,p99.9_us,max_us,    one row for each second "
    "N\n"
    "  run,percentile,P,,,,,,,,latency_us         P: 0 (least), 50, 75, 90, 99, ... 100 (most)\n"
    "Latencies of a second without a right answer are empty. Of micro: people,part,round,wall_ns,\n"
    "cpu_ns, one row for each round of each part.\n"
    "\n"
    "Exit status 0: written; 1: a file cannot be read, is no result of load, or cannot be "
    "written;\n"
    "2: wrong usage. Errors that a run had are shown, and are no failure here.\n"
    "\n"
    "example: xacthuc-bench report open.json closed.json --html report.html --markdown -\n";

enum output { HTML, MARKDOWN, CSV, JSON, OUTPUTS };

struct options {
    const char *paths[OUTPUTS]; /* NULL: not asked for */
    const char *title;
    char **files;
    int file_count;
};

static int usage(const char *format, ...) XT_PRINTF(1, 2);

static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench report ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench report --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

static int fail(const struct xt_failure *failure)
{
    (void)fprintf(stderr, "xacthuc-bench report: %s\n", failure->text);
    return XT_EXIT_FAILED;
}

enum { HELP = 256, TITLE };
static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"html", required_argument, NULL, HTML},
                                             {"markdown", required_argument, NULL, MARKDOWN},
                                             {"csv", required_argument, NULL, CSV},
                                             {"json", required_argument, NULL, JSON},
                                             {"title", required_argument, NULL, TITLE},
                                             {NULL, 0, NULL, 0}};

static int check(struct options *options)
{
    unsigned standard = 0;
    unsigned asked = 0;
    unsigned standard_inputs = 0;
    for (unsigned i = 0; i < OUTPUTS; i++) {
        asked += options->paths[i] != NULL;
        standard += options->paths[i] != NULL && strcmp(options->paths[i], "-") == 0;
        for (unsigned j = 0; j < i; j++) {
            if (options->paths[i] != NULL && options->paths[j] != NULL &&
                strcmp(options->paths[i], "-") != 0 &&
                strcmp(options->paths[i], options->paths[j]) == 0) {
                return usage("cannot write two kinds to %s", options->paths[i]);
            }
        }
    }
    for (int i = 0; i < options->file_count; i++) {
        standard_inputs += strcmp(options->files[i], "-") == 0;
    }
    if (standard > 1) {
        return usage("can write one kind only to standard output");
    }
    if (standard_inputs > 1) {
        return usage("can read standard input only once");
    }
    if (options->file_count == 0) {
        return usage("needs a result file of xacthuc-bench load --out, or of micro --json");
    }
    if ((unsigned)options->file_count > XT_REPORT_RUNS_MAX) {
        return usage("takes at most %u result files", XT_REPORT_RUNS_MAX);
    }
    if (asked == 0) {
        options->paths[MARKDOWN] = "-";
    }
    return -1;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", option_table, NULL)) != -1) {
        if (option == HELP) {
            (void)fputs(help, stdout);
            return fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
        }
        if (option == ':') {
            return usage("%s needs a value", argv[optind - 1]);
        }
        if (option == '?') {
            return usage("does not know %s", argv[optind - 1]);
        }
        if (optarg[0] == '\0') {
            return usage("%s needs a value that is not empty", argv[optind - 2]);
        }
        if (option == TITLE) {
            options->title = optarg;
        } else {
            options->paths[option] = optarg;
        }
    }
    options->files = argv + optind; /* getopt has moved them to the end */
    options->file_count = argc - optind;
    return check(options);
}

/* "runs/open.json" as "open". */
static void name_run(struct xt_report_run *run, unsigned index)
{
    const char *label = run->result->label;
    const char *slash = strrchr(label, '/');
    xt_page_clean(slash != NULL && slash[1] != '\0' ? slash + 1 : label, run->name,
                  sizeof(run->name));
    size_t size = strlen(run->name);
    if (size > 5 && strcmp(run->name + size - 5, ".json") == 0) {
        run->name[size - 5] = '\0';
    }
    run->letter = (char)('A' + index);
}

static void name_report(struct xt_report *report, const char *title)
{
    char made[XT_REPORT_TITLE_MAX] = "Load test";
    size_t size = strlen(made);
    for (unsigned i = 0; i < report->count; i++) {
        int wrote = snprintf(made + size, sizeof(made) - size, "%s%s", i == 0 ? ": " : ", ",
                             report->runs[i].name);
        size += wrote > 0 ? (size_t)wrote : 0;
        if (size >= sizeof(made)) {
            break;
        }
    }
    /* snprintf may have cut a character in two. */
    xt_page_clean(title != NULL ? title : made, report->title, sizeof(report->title));
}

/* What there is to show: runs of load, or results of micro. */
struct shown {
    struct xt_report runs;
    struct xt_report_micro micro;
};

static void clear(struct shown *shown)
{
    for (unsigned i = 0; i < shown->runs.count; i++) {
        xt_result_free(shown->runs.runs[i].result);
    }
    xt_report_micro_clear(&shown->micro);
}

static enum xt_status add_run(const struct xt_json_value *root, const char *label,
                              struct xt_report *report, struct xt_failure *failure)
{
    struct xt_report_run *run = &report->runs[report->count];
    enum xt_status status = xt_result_read(root, label, &run->result, failure);
    if (status == XT_OK) {
        char clean[XT_RESULT_TEXT_MAX];
        xt_page_clean(run->result->label, clean, sizeof(clean));
        memcpy(run->result->label, clean, sizeof(clean));
        name_run(run, report->count++);
    }
    return status;
}

static enum xt_status read_one(const char *path, struct shown *shown, struct xt_failure *failure)
{
    struct xt_json_document *document = NULL;
    const char *label = strcmp(path, "-") == 0 ? "standard input" : path;
    enum xt_status status = xt_result_document(path, &document, failure);
    if (status != XT_OK) {
        return status;
    }
    const struct xt_json_value *root = xt_json_document_root(document);
    bool micro = xt_span_is(xt_json_text(xt_json_member_of(root, "format")), "xacthuc-micro/1");
    if (micro ? shown->runs.count > 0 : shown->micro.count > 0) {
        status = xt_fail(failure, XT_INVALID,
                         "%.200s: results of load and of micro do not go into one report", label);
    } else {
        status = micro ? xt_report_micro_add(&shown->micro, root, label, failure)
                       : add_run(root, label, &shown->runs, failure);
    }
    xt_json_document_free(document);
    return status;
}

static enum xt_status read_all(const struct options *options, struct shown *shown,
                               struct xt_failure *failure)
{
    for (int i = 0; i < options->file_count; i++) {
        enum xt_status status = read_one(options->files[i], shown, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    name_report(&shown->runs, options->title);
    xt_page_clean(options->title != NULL ? options->title : "Parts of a verify, in process",
                  shown->micro.title, sizeof(shown->micro.title));
    return XT_OK;
}

static int write_all(const struct options *options, const struct shown *shown)
{
    static void (*const micro_writers[OUTPUTS])(const struct xt_report_micro *,
                                                struct xt_report_page *) = {
        [HTML] = xt_report_micro_html,
        [MARKDOWN] = xt_report_micro_markdown,
        [CSV] = xt_report_micro_csv,
        [JSON] = xt_report_micro_json};
    static void (*const writers[OUTPUTS])(const struct xt_report *, struct xt_report_page *) = {
        [HTML] = xt_report_html,
        [MARKDOWN] = xt_report_markdown,
        [CSV] = xt_report_csv,
        [JSON] = xt_report_json};
    for (unsigned i = 0; i < OUTPUTS; i++) {
        if (options->paths[i] != NULL) {
            struct xt_report_page page;
            struct xt_failure failure = {""};
            xt_page_open(&page, options->paths[i], &failure);
            if (page.status == XT_OK && shown->micro.count > 0) {
                micro_writers[i](&shown->micro, &page);
            } else if (page.status == XT_OK) {
                writers[i](&shown->runs, &page);
            }
            if (xt_page_close(&page) != XT_OK) {
                return fail(&failure);
            }
        }
    }
    return XT_EXIT_OK;
}

int xt_bench_report(int argc, char **argv)
{
    struct options options = {0};
    struct xt_failure failure = {""};
    int status = parse(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    struct shown *shown = calloc(1, sizeof(*shown));
    if (shown == NULL) {
        (void)xt_fail(&failure, XT_NO_MEMORY, "not enough memory; free some");
        return fail(&failure);
    }
    status =
        read_all(&options, shown, &failure) == XT_OK ? write_all(&options, shown) : fail(&failure);
    clear(shown);
    free(shown);
    return status;
}
