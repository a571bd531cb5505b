/* The command line of `xacthuc-bench timing`. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "core/command.h"

static const char help[] =
    "usage: xacthuc-bench timing [OPTION...]\n"
    "\n"
    "Can somebody who times the answers tell an unknown number from a wrong claim, or from a dead\n"
    "person? Asks for all of them in random order and compares their times by Welch's t-test, as\n"
    "dudect does: in this process (JSON to JSON), and over mutual TLS on one connection kept "
    "alive\n"
    "to a server that it starts on loopback. |t| below 4.5 is alike. A control that takes a "
    "little\n"
    "longer on purpose must be found, or nothing is proved.\n"
    "\n"
    "  --count N[,N...]   people, 5000 to 10000000, up to 4 sizes; default 50k,1M\n"
    "  --seed S           default 1\n"
    "  --requests N       of unknown, wrong and deceased together, in process; default 1M. Each "
    "of\n"
    "                     the other classes gets as many as one of these\n"
    "  --tls-requests N   the same over TLS, where only these, the control and introspections of\n"
    "                     tokens that do not count are asked for; default 100k; 0: none\n"
    "  --core N           run on this core only; the server is where the kernel puts it\n"
    "  --temp DIR         for the people, 1 KB each; default: TMPDIR, or /tmp\n"
    "  --xacthuc PATH     the program that imports and serves; default: the one beside this one\n"
    "  --json FILE        the result; - is standard output, and then there is no table\n"
    "  --commit TEXT      of the program, for the file: letters, digits and - . only\n"
    "  --quiet            no progress\n"
    "\n"
    "Exit status 0: alike, and the control was found; 1: not; 2: wrong usage.\n"
    "\n"
    "example: xacthuc-bench timing --count 1M --json timing.json\n";

static int usage(const char *format, ...) XT_PRINTF(1, 2);
static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench timing: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench timing --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

#define COUNT_LEAST 5000U
#define COUNT_MOST 10000000U
#define REQUESTS_LEAST 3000U
#define REQUESTS_MOST 100000000U

/* "3M", "500k" or digits. */
static bool parse_number(const char *text, const char **end, uint64_t least, uint64_t most,
                         uint64_t *value)
{
    char *stopped;
    uint64_t unit = 1;
    errno = 0;
    unsigned long long parsed = strtoull(text, &stopped, 10);
    if (*stopped == 'k' || *stopped == 'M') {
        unit = *stopped == 'k' ? 1000 : 1000000;
        stopped++;
    }
    *end = stopped;
    *value = parsed * unit;
    return text[0] >= '0' && text[0] <= '9' && errno == 0 && parsed <= most / unit &&
           *value >= least;
}

static bool parse_whole(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    const char *end;
    return parse_number(text, &end, least, most, value) && *end == '\0';
}

static bool parse_counts(const char *text, struct xt_micro_options *options)
{
    for (options->size_count = 0; options->size_count < XT_TIMING_SIZES_MAX; text++) {
        uint64_t *count = &options->counts[options->size_count++];
        if (!parse_number(text, &text, COUNT_LEAST, COUNT_MOST, count)) {
            return false;
        }
        if (*text != ',') {
            return *text == '\0';
        }
    }
    return false;
}

static bool is_plain_text(const char *text)
{
    return strlen(text) < 64 && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.") == strlen(text);
}

enum { HELP = 256, COUNT, SEED, REQUESTS, TLS_REQUESTS, CORE, TEMP, PROGRAM, JSON, COMMIT, QUIET };
static const struct option option_table[] = {
    {"help", no_argument, NULL, HELP},
    {"count", required_argument, NULL, COUNT},
    {"seed", required_argument, NULL, SEED},
    {"requests", required_argument, NULL, REQUESTS},
    {"tls-requests", required_argument, NULL, TLS_REQUESTS},
    {"core", required_argument, NULL, CORE},
    {"temp", required_argument, NULL, TEMP},
    {"xacthuc", required_argument, NULL, PROGRAM},
    {"json", required_argument, NULL, JSON},
    {"commit", required_argument, NULL, COMMIT},
    {"quiet", no_argument, NULL, QUIET},
    {NULL, 0, NULL, 0}};

static int take_number(struct xt_timing_options *options, int option)
{
    uint64_t number = 0;
    switch (option) {
    case SEED:
        return parse_whole(optarg, 0, UINT64_MAX, &options->deploy.seed)
                   ? -1
                   : usage("--seed takes a number");
    case REQUESTS:
        if (!parse_whole(optarg, REQUESTS_LEAST, REQUESTS_MOST, &number)) {
            return usage("--requests takes a number from %u to %u", REQUESTS_LEAST, REQUESTS_MOST);
        }
        options->requests = (uint32_t)number;
        return -1;
    case TLS_REQUESTS:
        if (!parse_whole(optarg, 0, REQUESTS_MOST, &number) ||
            (number > 0 && number < REQUESTS_LEAST)) {
            return usage("--tls-requests takes 0 or a number from %u to %u", REQUESTS_LEAST,
                         REQUESTS_MOST);
        }
        options->tls_requests = (uint32_t)number;
        return -1;
    default: /* CORE */
        if (!parse_whole(optarg, 0, 1023, &number)) {
            return usage("--core takes a number from 0 to 1023");
        }
        options->deploy.core = (int)number;
        return -1;
    }
}

static int take(struct xt_timing_options *options, int option)
{
    struct xt_micro_options *deploy = &options->deploy;
    switch (option) {
    case COUNT:
        return parse_counts(optarg, deploy)
                   ? -1
                   : usage("--count takes up to %u numbers from %u to %u, as in 50k,1M",
                           XT_TIMING_SIZES_MAX, COUNT_LEAST, COUNT_MOST);
    case TEMP:
        deploy->folder = optarg;
        return optarg[0] != '\0' ? -1 : usage("--temp needs a folder");
    case PROGRAM:
        deploy->program = optarg;
        return strchr(optarg, '/') != NULL ? -1
                                           : usage("--xacthuc takes a path, as in build/xacthuc");
    case JSON:
        deploy->out = optarg;
        return optarg[0] != '\0' ? -1 : usage("--json needs a file");
    case COMMIT:
        deploy->commit = optarg;
        return is_plain_text(optarg) ? -1 : usage("--commit takes letters, digits, - and . only");
    case QUIET:
        deploy->quiet = true;
        return -1;
    default:
        return take_number(options, option);
    }
}

int xt_timing_parse(int argc, char **argv, struct xt_timing_options *options)
{
    int option;
    *options = (struct xt_timing_options){.deploy = {.commit = "",
                                                     .seed = 1,
                                                     .counts = {50000, 1000000},
                                                     .size_count = 2,
                                                     .full = true,
                                                     .core = -1},
                                          .requests = 1000000,
                                          .tls_requests = 100000};
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
    return optind < argc ? usage("takes no '%s'", argv[optind]) : -1;
}
