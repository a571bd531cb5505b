/* xacthuc-bench compare: two results side by side. */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench/commands.h"
#include "bench/compare.h"
#include "core/command.h"

#define CONFIDENCE_LEAST 80.0
#define CONFIDENCE_MOST 99.99
#define SMALLEST_MOST 50.0

static const char help[] =
    "usage: xacthuc-bench compare A B [OPTION...]\n"
    "\n"
    "Two results of `xacthuc-bench load --out`, or two sets of `xacthuc-bench standard`: what is\n"
    "better or worse in B, by how much, and what is only noise.\n"
    "\n"
    "  --confidence P   per cent of the intervals and of all verdicts together; 80 to 99.99,\n"
    "                   default 95\n"
    "  --smallest P     effects below P per cent are of no interest; 0 to 50, default 2\n"
    "  --force          compare although settings that matter differ\n"
    "  --json           for scripts\n"
    "  --markdown       as a table\n"
    "\n"
    "A and B must have been measured the same way (rate, connections, people, TLS ...): what\n"
    "differs is listed, and refused where it matters. Each slice (a second of a run, a round of a\n"
    "set) is one measurement; the intervals allow for neighbouring slices being alike, and the\n"
    "verdicts for there being many measures. With under 8 slices nothing can be said.\n"
    "\n"
    "Exit status 0: nothing is worse; 1: something is worse beyond noise; 2: wrong usage, or they\n"
    "cannot be compared.\n";

struct options {
    double confidence, smallest; /* per cent */
    bool force, json, markdown;
    const char *files[2];
};

static int usage(const char *format, ...) XT_PRINTF(1, 2);
static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench compare: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench compare --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

static bool parse_percent(const char *text, double least, double most, double *value)
{
    char *end;
    size_t digits = strspn(text, "0123456789.");
    *value = strtod(text, &end);
    return digits > 0 && digits < 12 && end == text + digits && *end == '\0' && *value >= least &&
           *value <= most;
}

enum { HELP = 256, CONFIDENCE, SMALLEST, FORCE, JSON, MARKDOWN };

static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"confidence", required_argument, NULL, CONFIDENCE},
                                             {"smallest", required_argument, NULL, SMALLEST},
                                             {"force", no_argument, NULL, FORCE},
                                             {"json", no_argument, NULL, JSON},
                                             {"markdown", no_argument, NULL, MARKDOWN},
                                             {NULL, 0, NULL, 0}};

static int take(struct options *options, int option)
{
    switch (option) {
    case CONFIDENCE:
        return parse_percent(optarg, CONFIDENCE_LEAST, CONFIDENCE_MOST, &options->confidence)
                   ? -1
                   : usage("--confidence takes per cent, 80 to 99.99");
    case SMALLEST:
        return parse_percent(optarg, 0, SMALLEST_MOST, &options->smallest)
                   ? -1
                   : usage("--smallest takes per cent, 0 to 50");
    case FORCE:
        options->force = true;
        return -1;
    case JSON:
        options->json = true;
        return -1;
    default: /* MARKDOWN */
        options->markdown = true;
        return -1;
    }
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    int option;
    *options = (struct options){.confidence = 95, .smallest = 2};
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
        int status = take(options, option);
        if (status >= 0) {
            return status;
        }
    }
    if (argc - optind != 2) {
        return usage("takes two files");
    }
    if (options->json && options->markdown) {
        return usage("takes --json or --markdown, not both");
    }
    options->files[0] = argv[optind];
    options->files[1] = argv[optind + 1];
    return -1;
}

static int refuse(const struct xt_comparison *comparison)
{
    xt_compare_print_differences(comparison, stderr);
    (void)fputs("xacthuc-bench compare: A and B were not measured the same way (DIFFERS above); "
                "measure again alike, or --force\n",
                stderr);
    return XT_EXIT_USAGE;
}

static int show(const struct options *options, const struct xt_comparison *comparison)
{
    if (options->json) {
        xt_compare_print_json(comparison, stdout);
    } else if (options->markdown) {
        xt_compare_print_markdown(comparison, stdout);
    } else {
        xt_compare_print(comparison, stdout);
    }
    if (fflush(stdout) != 0) {
        (void)fputs("xacthuc-bench compare: cannot write the result\n", stderr);
        return XT_EXIT_USAGE;
    }
    return comparison->worse > 0 ? XT_EXIT_FAILED : XT_EXIT_OK;
}

int xt_bench_compare(int argc, char **argv)
{
    struct options options;
    struct xt_failure failure = {""};
    struct xt_compare_input *inputs[2] = {NULL, NULL};
    struct xt_comparison *comparison = NULL;
    int status = parse(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    status = XT_EXIT_USAGE; /* 1 is taken: worse */
    if (xt_compare_input_load(options.files[0], &inputs[0], &failure) != XT_OK ||
        xt_compare_input_load(options.files[1], &inputs[1], &failure) != XT_OK) {
        (void)fprintf(stderr, "xacthuc-bench compare: %s\n", failure.text);
    } else if (inputs[0]->standard != inputs[1]->standard) {
        (void)fputs("xacthuc-bench compare: one is a single run, the other a standard set\n",
                    stderr);
    } else if ((comparison = malloc(sizeof(*comparison))) == NULL) {
        (void)fputs("xacthuc-bench compare: not enough memory\n", stderr);
    } else {
        xt_compare(inputs[0], inputs[1], options.confidence / 100, options.smallest / 100,
                   comparison);
        status = comparison->comparable || options.force ? show(&options, comparison)
                                                         : refuse(comparison);
    }
    free(comparison);
    xt_compare_input_free(inputs[0]);
    xt_compare_input_free(inputs[1]);
    return status;
}
