/* The command line of `xacthuc-bench micro`. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "core/command.h"

static const char help[] =
    "usage: xacthuc-bench micro [--dir DIR --count N | --count N | --growth N,N,...] [OPTION...]\n"
    "\n"
    "Measures what a verify is made of, in this process and on one thread: hashing a number, "
    "looking\n"
    "people up (there and not there, one by one and in batches), opening a sealed record, "
    "comparing\n"
    "names at every level, JSON in and out, and all of it together, JSON in to JSON out with "
    "policy.\n"
    "Keys are random and new in every round, so at a large N they are in no cache.\n"
    "\n"
    "  --count N        people, 1000 to 150000000; default 1000000; as 3M or 500k too\n"
    "  --dir DIR        measure this deployment, read only; it must hold the people of --count "
    "and\n"
    "                   --seed (xacthuc-bench gen, without --full). Without it they are made and\n"
    "                   imported into a temporary folder first, and removed afterwards\n"
    "  --growth N,N,... several sizes, one after the other, in one result: the growth curve\n"
    "  --seed S         default 1\n"
    "  --plain          also make the plain layout (a record under each LMDB key) of the same "
    "people in\n"
    "                   a temporary folder, and look the same keys up in it\n"
    "  --overlay N      also change N people (at most half of them) by events of the live store, "
    "and\n"
    "                   look people up with that overlay; not with --dir\n"
    "  --rounds N       1 to 100, default 10; one more is done first and not counted\n"
    "  --keys N         looked up in each round, 1000 to 10000000; default 300000\n"
    "  --requests N     answered in each round, 1000 to 1000000; default 100000\n"
    "  --parts A,B,...  only these, by their names in the result: lookup_hit,verify_batch\n"
    "  --core N         run on this core only\n"
    "  --temp DIR       for what is temporary; default: TMPDIR, or /tmp. 450 bytes a person made "
    "here,\n"
    "                   100 a person for --plain\n"
    "  --xacthuc PATH   the program that imports; default: the one beside this one\n"
    "  --json FILE      the result, for `xacthuc-bench report`; - is standard output, and then\n"
    "                   there is no table\n"
    "  --commit TEXT    of the program, for the file: letters, digits and - . only\n"
    "  --quiet          no progress\n"
    "\n"
    "Median and quartiles are those of the rounds. A file of 100,000,000 people wants 16 GB of "
    "memory\n"
    "for itself and its plain layout: less, and what is measured is the disk. The first look "
    "through\n"
    "a register that is not in memory takes as long as reading it.\n"
    "\n"
    "Exit status 0: measured, and every answer was right; 1: not; 2: wrong usage.\n"
    "\n"
    "example: xacthuc-bench micro --growth 1M,3M,10M --plain --json micro.json\n";

static int usage(const char *format, ...) XT_PRINTF(1, 2);
static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench micro: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench micro --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

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

#define COUNT_LEAST 1000U

static bool parse_growth(const char *text, struct xt_micro_options *options)
{
    for (options->size_count = 0; options->size_count < XT_MICRO_SIZES_MAX; text++) {
        uint64_t *count = &options->counts[options->size_count];
        if (!parse_number(text, &text, COUNT_LEAST, XT_POPULATION_MAX, count) ||
            (options->size_count > 0 && *count <= count[-1])) {
            return false;
        }
        options->size_count++;
        if (*text != ',') {
            return *text == '\0';
        }
    }
    return false;
}

static int parse_parts(const char *text, uint32_t *parts)
{
    *parts = 0;
    for (;; text++) {
        char name[32];
        enum xt_micro_part part;
        size_t size = strcspn(text, ",");
        (void)snprintf(name, sizeof(name), "%.*s", (int)size, text);
        if (size >= sizeof(name) || xt_micro_part_by_name(name, &part) != XT_OK) {
            return usage("--parts has no part '%.*s'", (int)(size < 64 ? size : 64), text);
        }
        *parts |= 1U << part;
        text += size;
        if (*text == '\0') {
            return -1;
        }
    }
}

static bool is_plain_text(const char *text)
{
    return strlen(text) < 64 && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.") == strlen(text);
}

enum {
    HELP = 256,
    DIR_OPTION,
    COUNT,
    GROWTH,
    SEED,
    PLAIN,
    OVERLAY,
    ROUNDS,
    KEYS,
    REQUESTS,
    CORE,
    TEMP,
    PARTS,
    PROGRAM,
    JSON,
    COMMIT,
    QUIET
};
static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"dir", required_argument, NULL, DIR_OPTION},
                                             {"count", required_argument, NULL, COUNT},
                                             {"growth", required_argument, NULL, GROWTH},
                                             {"seed", required_argument, NULL, SEED},
                                             {"plain", no_argument, NULL, PLAIN},
                                             {"overlay", required_argument, NULL, OVERLAY},
                                             {"rounds", required_argument, NULL, ROUNDS},
                                             {"keys", required_argument, NULL, KEYS},
                                             {"requests", required_argument, NULL, REQUESTS},
                                             {"core", required_argument, NULL, CORE},
                                             {"temp", required_argument, NULL, TEMP},
                                             {"parts", required_argument, NULL, PARTS},
                                             {"xacthuc", required_argument, NULL, PROGRAM},
                                             {"json", required_argument, NULL, JSON},
                                             {"commit", required_argument, NULL, COMMIT},
                                             {"quiet", no_argument, NULL, QUIET},
                                             {NULL, 0, NULL, 0}};

static int take_number(struct xt_micro_options *options, int option)
{
    uint64_t number = 0;
    switch (option) {
    case SEED:
        return parse_whole(optarg, 0, UINT64_MAX, &options->seed) ? -1
                                                                  : usage("--seed takes a number");
    case OVERLAY:
        return parse_whole(optarg, 1, XT_POPULATION_MAX / 2, &options->overlay)
                   ? -1
                   : usage("--overlay takes a number of people");
    case ROUNDS:
        if (!parse_whole(optarg, 1, XT_MICRO_ROUNDS_MAX, &number)) {
            return usage("--rounds takes a number from 1 to %u", XT_MICRO_ROUNDS_MAX);
        }
        options->rounds = (unsigned)number;
        return -1;
    case KEYS:
        if (!parse_whole(optarg, 1000, 10000000, &number)) {
            return usage("--keys takes a number from 1000 to 10000000");
        }
        options->keys = (uint32_t)number;
        return -1;
    case REQUESTS:
        if (!parse_whole(optarg, 1000, 1000000, &number)) {
            return usage("--requests takes a number from 1000 to 1000000");
        }
        options->requests = (uint32_t)number;
        return -1;
    default: /* CORE */
        if (!parse_whole(optarg, 0, 1023, &number)) {
            return usage("--core takes a number from 0 to 1023");
        }
        options->core = (int)number;
        return -1;
    }
}

struct seen {
    bool count, growth;
};

static int take(struct xt_micro_options *options, struct seen *seen, int option)
{
    switch (option) {
    case DIR_OPTION:
        options->dir = optarg;
        return optarg[0] != '\0' ? -1 : usage("--dir needs a folder");
    case COUNT:
        seen->count = true;
        options->size_count = 1;
        return parse_whole(optarg, COUNT_LEAST, XT_POPULATION_MAX, &options->counts[0])
                   ? -1
                   : usage("--count takes a number from %u to %u", COUNT_LEAST, XT_POPULATION_MAX);
    case GROWTH:
        seen->growth = true;
        return parse_growth(optarg, options)
                   ? -1
                   : usage("--growth takes up to %u ascending numbers from %u to %u, as in "
                           "1M,3M,10M",
                           XT_MICRO_SIZES_MAX, COUNT_LEAST, XT_POPULATION_MAX);
    case PLAIN:
        options->plain = true;
        return -1;
    case TEMP:
        options->folder = optarg;
        return optarg[0] != '\0' ? -1 : usage("--temp needs a folder");
    case PARTS:
        return parse_parts(optarg, &options->parts);
    case PROGRAM:
        options->program = optarg;
        return strchr(optarg, '/') != NULL ? -1
                                           : usage("--xacthuc takes a path, as in build/xacthuc");
    case JSON:
        options->out = optarg;
        return optarg[0] != '\0' ? -1 : usage("--json needs a file");
    case COMMIT:
        options->commit = optarg;
        return is_plain_text(optarg) ? -1 : usage("--commit takes letters, digits, - and . only");
    case QUIET:
        options->quiet = true;
        return -1;
    default:
        return take_number(options, option);
    }
}

int xt_micro_parse(int argc, char **argv, struct xt_micro_options *options)
{
    int option;
    struct seen seen = {false, false};
    *options = (struct xt_micro_options){.commit = "",
                                         .seed = 1,
                                         .counts = {1000000},
                                         .size_count = 1,
                                         .rounds = 10,
                                         .keys = 300000,
                                         .requests = 100000,
                                         .parts = UINT32_MAX,
                                         .core = -1};
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
        int status = take(options, &seen, option);
        if (status >= 0) {
            return status;
        }
    }
    if (optind < argc) {
        return usage("takes no '%s'", argv[optind]);
    }
    if (seen.growth && (seen.count || options->dir != NULL)) {
        return usage("--growth makes its own people: leave out %s",
                     seen.count ? "--count" : "--dir");
    }
    if (options->overlay > 0 && options->dir != NULL) {
        return usage("--overlay changes its own people: leave out --dir");
    }
    if (options->dir != NULL && !seen.count) {
        return usage("--dir needs the --count that its people were made with");
    }
    return -1;
}
