/* xacthuc-bench gen: people in the import format, or verify requests with their answers. */
#include "bench/commands.h"
#include "bench/output.h"
#include "bench/requests.h"
#include "bench/resident_text.h"
#include "core/command.h"
#include "core/policy.h"
#include "store/progress.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUESTS_MAX 100000000000U

struct options {
    uint64_t seed, count, requests;
    bool has_seed, has_count, has_requests;
    bool csv, has_format, full;
    const char *out, *mix, *purpose, *claims;
};

static const char help[] =
    "usage: xacthuc-bench gen --count N --seed S [--format ndjson|csv] [--full] [--out FILE]\n"
    "       xacthuc-bench gen --requests M --count N --seed S [--full] [--mix MIX]\n"
    "                         [--purpose NAME] [--claims LIST] [--out FILE]\n"
    "\n"
    "Makes a synthetic Viet Nam for `xacthuc import`, or verify requests about it with the\n"
    "answer that each must get. The same seed and count give the same people everywhere.\n"
    "No real person's data is in it.\n"
    "\n"
    "  --count N       how many people, 1 to 150000000\n"
    "  --seed S        0 to 18446744073709551615\n"
    "  --format F      ndjson (default) or csv (no links and devices)\n"
    "  --full          also ethnicity, home town, place of birth, parents, documents, devices\n"
    "                  and public keys (right in form only: nobody holds their private keys)\n"
    "  --out FILE      written beside its place and renamed when complete; default: standard "
    "output\n"
    "\n"
    "  --requests M    how many requests, one JSON object a line:\n"
    "                  {\"request\":{body of POST "
    "/v1/verify},\"expect\":{\"verdict\":...,\"claims\":{...},\n"
    "                   \"kind\":...,\"form\":...}}; --full, --seed and --count as given for the "
    "people\n"
    "  --mix MIX       weights by kind; default:\n"
    "                  right=60,variant=15,wrong=10,misspelt=6,unknown=5,ambiguous=1,inactive=3\n"
    "                    right      everything as registered                      verified\n"
    "                    variant    right in another legal form: capitals, NFD, moved tone,\n"
    "                               i/y, spaces, phone as 0... and 84..., QR text, CMND or\n"
    "                               replaced number as id                         verified\n"
    "                    wrong      one or more claims of another value           not_verified\n"
    "                    misspelt   a mistake in the name, no accents             not_verified\n"
    "                    unknown    a number or CMND that nobody has              all mismatch\n"
    "                    ambiguous  a CMND that two people hold                   all mismatch\n"
    "                    inactive   deceased, missing or cancelled                all mismatch\n"
    "  --purpose NAME  of every request; default demo.verify\n"
    "  --claims LIST   only ask for these, as in full_name,date_of_birth,phone\n"
    "\n"
    "example: xacthuc-bench gen --count 1000000 --seed 1 | xacthuc import DIR -\n";

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench gen: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench gen --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

static bool parse_integer(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || parsed > most) {
        return false;
    }
    *value = parsed;
    return true;
}

static int parse_claims(const char *text, uint32_t *claims)
{
    *claims = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        enum xt_claim claim;
        if (xt_claim_by_name(xt_span_of(text, size), &claim) != XT_OK) {
            return usage("--claims has no claim '%.*s'", (int)size, text);
        }
        *claims |= XT_CLAIM_BIT(claim);
        if (text[size] == '\0') {
            return XT_EXIT_OK;
        }
        text += size + 1;
    }
}

enum { HELP = 256, COUNT, SEED, REQUESTS, FORMAT, FULL, OUT, MIX, PURPOSE, CLAIMS };
static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"count", required_argument, NULL, COUNT},
                                             {"seed", required_argument, NULL, SEED},
                                             {"requests", required_argument, NULL, REQUESTS},
                                             {"format", required_argument, NULL, FORMAT},
                                             {"full", no_argument, NULL, FULL},
                                             {"out", required_argument, NULL, OUT},
                                             {"mix", required_argument, NULL, MIX},
                                             {"purpose", required_argument, NULL, PURPOSE},
                                             {"claims", required_argument, NULL, CLAIMS},
                                             {NULL, 0, NULL, 0}};

/* Takes one option; 0, or the exit status of wrong usage. */
static int take(struct options *options, int option)
{
    switch (option) {
    case COUNT:
        options->has_count = true;
        return parse_integer(optarg, XT_POPULATION_MAX, &options->count) && options->count > 0
                   ? XT_EXIT_OK
                   : usage("--count takes 1 to %u", XT_POPULATION_MAX);
    case SEED:
        options->has_seed = true;
        return parse_integer(optarg, UINT64_MAX, &options->seed)
                   ? XT_EXIT_OK
                   : usage("--seed takes 0 to 18446744073709551615");
    case REQUESTS:
        options->has_requests = true;
        return parse_integer(optarg, REQUESTS_MAX, &options->requests) && options->requests > 0
                   ? XT_EXIT_OK
                   : usage("--requests takes 1 to %llu", (unsigned long long)REQUESTS_MAX);
    case FORMAT:
        options->has_format = true;
        options->csv = strcmp(optarg, "csv") == 0;
        return options->csv || strcmp(optarg, "ndjson") == 0
                   ? XT_EXIT_OK
                   : usage("--format takes ndjson or csv");
    case FULL:
        options->full = true;
        return XT_EXIT_OK;
    case OUT:
        options->out = optarg;
        return optarg[0] != '\0' ? XT_EXIT_OK : usage("--out takes a file's path");
    case MIX:
        options->mix = optarg;
        return XT_EXIT_OK;
    case PURPOSE:
        options->purpose = optarg;
        return xt_policy_name_is_valid(xt_span_of_string(optarg))
                   ? XT_EXIT_OK
                   : usage("--purpose takes 1 to 64 of a-z 0-9 . _ -");
    default:
        options->claims = optarg;
        return XT_EXIT_OK;
    }
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
        int wrong = take(options, option);
        if (wrong != XT_EXIT_OK) {
            return wrong;
        }
    }
    if (optind < argc) {
        return usage("takes no '%s'", argv[optind]);
    }
    if (!options->has_count || !options->has_seed) {
        return usage("needs --count and --seed");
    }
    if (options->has_requests && options->has_format) {
        return usage("--format is for people; requests are always NDJSON");
    }
    if (!options->has_requests &&
        (options->mix != NULL || options->purpose != NULL || options->claims != NULL)) {
        return usage("--mix, --purpose and --claims need --requests");
    }
    return -1;
}

static int plan_requests(const struct options *options, const struct xt_population *population,
                         struct xt_request_plan *plan)
{
    struct xt_failure failure;
    xt_request_plan_defaults(plan, population);
    plan->full = options->full;
    if (options->full) {
        plan->claims = XT_CLAIM_ALL;
    }
    if (options->purpose != NULL) {
        plan->purpose = options->purpose;
    }
    if (options->mix != NULL && xt_request_plan_set_mix(plan, options->mix, &failure) != XT_OK) {
        return usage("%s", failure.text);
    }
    if (options->claims != NULL) {
        int wrong = parse_claims(options->claims, &plan->claims);
        if (wrong != XT_EXIT_OK) {
            return wrong;
        }
        if (!options->full && (plan->claims & XT_CLAIM_DOCUMENTS) != 0) {
            return usage("--claims about documents need --full, since only then people have them");
        }
    }
    return XT_EXIT_OK;
}

static enum xt_status write_people(const struct options *options,
                                   const struct xt_population *population, struct xt_output *output,
                                   struct xt_progress *progress, struct xt_failure *failure)
{
    struct xt_resident person;
    struct xt_resident_more more;
    if (options->csv) {
        xt_resident_csv_header(options->full, &output->writer);
    }
    for (uint64_t index = 0; index < options->count; index++) {
        enum xt_status status = xt_output_room(output, XT_RESIDENT_LINE_MAX, failure);
        if (status != XT_OK) {
            return status;
        }
        xt_population_person(population, index, &person);
        if (options->full) {
            xt_population_more(population, &person, &more);
        }
        const struct xt_resident_more *with = options->full ? &more : NULL;
        if (options->csv) {
            xt_resident_to_csv(&person, with, &output->writer);
        } else {
            xt_resident_to_json(&person, with, &output->writer);
        }
        xt_progress_set(progress, index + 1);
    }
    return XT_OK;
}

static enum xt_status write_requests(const struct options *options,
                                     const struct xt_request_plan *plan, struct xt_output *output,
                                     struct xt_progress *progress, struct xt_failure *failure)
{
    struct xt_generated_request request;
    for (uint64_t index = 0; index < options->requests; index++) {
        enum xt_status status = xt_output_room(output, XT_REQUEST_LINE_MAX, failure);
        if (status != XT_OK) {
            return status;
        }
        xt_request_make(plan, index, &request);
        xt_request_to_json(&request, &output->writer);
        xt_progress_set(progress, index + 1);
    }
    return XT_OK;
}

static int fail(const char *text)
{
    (void)fprintf(stderr, "xacthuc-bench gen: %s\n", text);
    return XT_EXIT_FAILED;
}

/* Beside standard output only where nobody else draws on that terminal: not with lines on it, and
 * not into a pipe, whose reader (xacthuc import) shows its own progress. */
static bool shows_progress(void)
{
    struct stat out;
    return isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) && fstat(STDOUT_FILENO, &out) == 0 &&
           !S_ISFIFO(out.st_mode);
}

static int run(const struct options *options, const struct xt_population *population,
               const struct xt_request_plan *plan)
{
    struct xt_failure failure = {""};
    struct xt_output output;
    struct xt_progress progress;
    if (xt_output_open(&output, options->out, &failure) != XT_OK) {
        return fail(failure.text);
    }
    bool quiet = output.path[0] == '\0' && !shows_progress();
    uint64_t total = options->has_requests ? options->requests : options->count;
    xt_progress_start(&progress, "generating", options->has_requests ? "requests" : "people", total,
                      quiet);
    enum xt_status status = options->has_requests
                                ? write_requests(options, plan, &output, &progress, &failure)
                                : write_people(options, population, &output, &progress, &failure);
    if (status == XT_OK) {
        status = xt_output_commit(&output, &failure);
    }
    xt_output_close(&output);
    if (status != XT_OK) {
        if (!quiet && isatty(STDERR_FILENO)) {
            (void)fputc('\n', stderr); /* the bar stays as far as it came */
        }
        return fail(failure.text);
    }
    xt_progress_finish(&progress);
    return XT_EXIT_OK;
}

int xt_bench_gen(int argc, char **argv)
{
    struct options options = {0};
    struct xt_population *population = NULL;
    struct xt_request_plan plan = {0};
    int status = parse(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    if (xt_population_open(options.seed, options.count, &population) != XT_OK) {
        return fail("not enough memory for the tables (250 KiB); free some");
    }
    status = options.has_requests ? plan_requests(&options, population, &plan) : XT_EXIT_OK;
    if (status == XT_EXIT_OK) {
        status = run(&options, population, &plan);
    }
    xt_population_close(population);
    return status;
}
