/* xacthuc-bench standard: the standard set, for every version alike. */
#include "bench/standard.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/commands.h"
#include "core/command.h"

static const char help[] =
    "usage: xacthuc-bench standard --xacthuc PATH --out FILE [OPTION...]\n"
    "\n"
    "Measures the program at PATH with the standard set and writes a file for\n"
    "`xacthuc-bench compare`: importing, an open loop at two rates, keep-alive, pipelining, full "
    "and\n"
    "resumed handshakes, an idle server. Each round makes a deployment of synthetic people and a\n"
    "server of its own; server and client have one core each. Every answer is checked.\n"
    "about 7 minutes with the defaults; the machine should do nothing else meanwhile.\n"
    "\n"
    "  --xacthuc PATH   the program to measure\n"
    "  --out FILE       where the results go; - is standard output\n"
    "  --rounds N       1 to 64, default 16; under 8 nothing can be said about a difference\n"
    "  --seconds N      measured, of each run of a round; 1 to 600, default 2\n"
    "  --count N        people, 1000 to 10000000; default 200000\n"
    "  --rates A,B      of the open loops, requests a second; default 5000,20000. The machine "
    "must\n"
    "                   hold them: else the latencies are those of a queue\n"
    "  --commit TEXT    of the program, for the file: letters, digits and - . only\n"
    "  --quiet          no line per run\n"
    "\n"
    "Instructions and cycles per request are counted where the kernel has hardware counters for "
    "us\n"
    "(perf_event_open); instructions of gen and import where valgrind is installed. What is "
    "missing\n"
    "is named in the file. Ctrl-C stops the server and writes nothing.\n"
    "\n"
    "Exit status 0: every answer was there and right; 1: one was not (the file is written and "
    "says\n"
    "so), or the work failed (no file); 2: wrong usage.\n";

static int usage(const char *format, ...) XT_PRINTF(1, 2);
static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench standard: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench standard --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

static bool parse_number(const char *text, const char **end, uint64_t least, uint64_t most,
                         uint64_t *value)
{
    char *stopped;
    errno = 0;
    unsigned long long parsed = strtoull(text, &stopped, 10);
    *end = stopped;
    *value = parsed;
    return text[0] >= '0' && text[0] <= '9' && errno == 0 && parsed >= least && parsed <= most;
}

static bool parse_whole(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    const char *end;
    return parse_number(text, &end, least, most, value) && *end == '\0';
}

static bool parse_rates(const char *text, uint64_t rates[2])
{
    const char *end;
    return parse_number(text, &end, 1, XT_LOAD_RATE_MAX, &rates[0]) && *end == ',' &&
           parse_whole(end + 1, 1, XT_LOAD_RATE_MAX, &rates[1]);
}

static bool is_plain(const char *text)
{
    return strlen(text) < 64 && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.") == strlen(text);
}

enum { HELP = 256, PROGRAM, OUT, ROUNDS, SECONDS, COUNT, RATES, COMMIT, QUIET };

static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"xacthuc", required_argument, NULL, PROGRAM},
                                             {"out", required_argument, NULL, OUT},
                                             {"rounds", required_argument, NULL, ROUNDS},
                                             {"seconds", required_argument, NULL, SECONDS},
                                             {"count", required_argument, NULL, COUNT},
                                             {"rates", required_argument, NULL, RATES},
                                             {"commit", required_argument, NULL, COMMIT},
                                             {"quiet", no_argument, NULL, QUIET},
                                             {NULL, 0, NULL, 0}};

static int take(struct xt_standard_options *options, int option)
{
    uint64_t number = 0;
    switch (option) {
    case PROGRAM:
        options->program = optarg;
        return -1;
    case OUT:
        options->out = optarg;
        return -1;
    case ROUNDS:
        if (!parse_whole(optarg, 1, XT_STANDARD_ROUNDS_MAX, &number)) {
            return usage("--rounds takes a number from 1 to %u", XT_STANDARD_ROUNDS_MAX);
        }
        options->rounds = (unsigned)number;
        return -1;
    case SECONDS:
        if (!parse_whole(optarg, 1, XT_STANDARD_SECONDS_MAX, &number)) {
            return usage("--seconds takes a number from 1 to %u", XT_STANDARD_SECONDS_MAX);
        }
        options->seconds = (unsigned)number;
        return -1;
    case COUNT:
        return parse_whole(optarg, 1000, XT_STANDARD_COUNT_MAX, &options->count)
                   ? -1
                   : usage("--count takes a number from 1000 to %u", XT_STANDARD_COUNT_MAX);
    case RATES:
        return parse_rates(optarg, options->rates)
                   ? -1
                   : usage("--rates takes two rates, as in 5000,20000");
    case COMMIT:
        options->commit = optarg;
        return is_plain(optarg) ? -1 : usage("--commit takes letters, digits, - and . only");
    default: /* QUIET */
        options->quiet = true;
        return -1;
    }
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct xt_standard_options *options)
{
    int option;
    *options = (struct xt_standard_options){
        .commit = "", .rounds = 16, .seconds = 2, .count = 200000, .rates = {5000, 20000}};
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
    if (optind < argc) {
        return usage("takes no '%s'", argv[optind]);
    }
    if (options->program == NULL || options->out == NULL) {
        return usage("needs --xacthuc and --out");
    }
    if (strchr(options->program, '/') == NULL || access(options->program, X_OK) != 0) {
        return usage("%s is no program; --xacthuc takes a path, as in build/xacthuc",
                     options->program);
    }
    return -1;
}

/* ---- */

/* The first two cores that we may run on: the server's and the client's. */
static void choose_cores(struct xt_standard *set)
{
    cpu_set_t cores;
    set->server_core = set->client_core = -1;
    if (sched_getaffinity(0, sizeof(cores), &cores) == 0) {
        for (int core = 0; core < CPU_SETSIZE && set->client_core == -1; core++) {
            if (CPU_ISSET((unsigned)core, &cores)) {
                *(set->server_core == -1 ? &set->server_core : &set->client_core) = core;
            }
        }
    }
    set->server_core = set->server_core == -1 ? 0 : set->server_core;
    set->client_core = set->client_core == -1 ? set->server_core : set->client_core;
}

static enum xt_status prepare(struct xt_standard *set, struct xt_failure *failure)
{
    const char *base = getenv("TMPDIR");
    time_t now = time(NULL);
    struct tm utc;
    xt_machine_read(&set->machine);
    choose_cores(set);
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(set->date, sizeof(set->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    ssize_t size = readlink("/proc/self/exe", set->bench_program, sizeof(set->bench_program) - 1);
    if (size <= 0 || (size_t)size == sizeof(set->bench_program) - 1) {
        return xt_fail(failure, XT_IO, "cannot tell where xacthuc-bench is; is /proc mounted?");
    }
    set->bench_program[size] = '\0';
    for (unsigned i = 0; i < XT_STANDARD_RUNS; i++) {
        set->runs[i].seconds = calloc((size_t)set->options->rounds * set->options->seconds,
                                      sizeof(*set->runs[i].seconds));
        if (set->runs[i].seconds == NULL) {
            return xt_fail(failure, XT_NO_MEMORY, "not enough memory for the results");
        }
    }
    int length = snprintf(set->folder, sizeof(set->folder), "%s/xacthuc-standard-XXXXXX",
                          base != NULL && base[0] == '/' ? base : "/tmp");
    if (length <= 0 || length >= 160 || mkdtemp(set->folder) == NULL) {
        set->folder[0] = '\0';
        return xt_fail(failure, XT_IO, "cannot make a folder in %.200s; set TMPDIR to a short path",
                       base != NULL ? base : "/tmp");
    }
    return xt_standard_pin(set->client_core) ? XT_OK
                                             : xt_fail(failure, XT_IO, "cannot pin to core %d: %s",
                                                       set->client_core, strerror(errno));
}

static enum xt_status run_round(struct xt_standard *set, unsigned round, struct xt_failure *failure)
{
    struct xt_standard_server server;
    struct xt_failure at_end = {""};
    xt_standard_reference(set);
    enum xt_status status = xt_standard_deploy(set, round, &server, failure);
    if (status == XT_OK) {
        status = xt_standard_run_all(set, round, &server, failure);
    }
    enum xt_status ended = xt_standard_undeploy(set, round, &server, &at_end);
    if (status == XT_OK && ended != XT_OK) {
        return xt_fail(failure, ended, "xacthuc serve did not stop as it should: %.400s",
                       at_end.text);
    }
    return status;
}

static enum xt_status run_rounds(struct xt_standard *set, struct xt_failure *failure)
{
    enum xt_status status = xt_standard_instructions(set, failure);
    while (status == XT_OK && set->rounds_done < set->options->rounds) {
        status = xt_load_interrupted() ? xt_fail(failure, XT_CLOSED, "interrupted")
                                       : run_round(set, set->rounds_done, failure);
        set->rounds_done += status == XT_OK;
    }
    return status;
}

/* An open loop whose rate is not reached measures its own queue. */
static void warn_of_rates(const struct xt_standard *set)
{
    for (unsigned i = 0; i < XT_STANDARD_RUNS; i++) {
        const struct xt_standard_run *run = &set->runs[i];
        for (unsigned m = 0; run->rate > 0 && m < run->measures.count; m++) {
            const struct xt_standard_measure *measure = &run->measures.list[m];
            unsigned missed = 0;
            for (unsigned v = 0; v < measure->count; v++) {
                missed += measure->values[v] < 0.99 * (double)run->rate;
            }
            if (strcmp(measure->name, "requests") == 0 && missed > 0) {
                (void)fprintf(stderr,
                              "xacthuc-bench standard: %s: %llu/s was not reached in %u of %u "
                              "rounds; its latencies are those of a queue\n",
                              run->name, (unsigned long long)run->rate, missed, measure->count);
            }
        }
    }
}

static int conclude(const struct xt_standard *set, enum xt_status status,
                    struct xt_failure *failure)
{
    if (status == XT_OK) {
        status = xt_standard_write(set, failure);
    }
    if (status != XT_OK) {
        (void)fprintf(stderr, "xacthuc-bench standard: %s; nothing is written\n",
                      xt_load_interrupted() ? "interrupted" : failure->text);
        return XT_EXIT_FAILED;
    }
    warn_of_rates(set);
    if (set->errors > 0) {
        (void)fprintf(stderr,
                      "xacthuc-bench standard: %llu answers were wrong or missing; the first: %s\n",
                      (unsigned long long)set->errors, set->first_error);
    }
    return set->errors > 0 ? XT_EXIT_FAILED : XT_EXIT_OK;
}

int xt_bench_standard(int argc, char **argv)
{
    struct xt_standard_options options;
    struct xt_failure failure = {""};
    int exit_status = parse(argc, argv, &options);
    if (exit_status >= 0) {
        return exit_status;
    }
    struct xt_standard *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        (void)fputs("xacthuc-bench standard: not enough memory\n", stderr);
        return XT_EXIT_FAILED;
    }
    set->options = &options;
    xt_standard_runs_init(set);
    xt_load_watch_signals();
    enum xt_status status = prepare(set, &failure);
    if (status == XT_OK) {
        status = run_rounds(set, &failure);
    }
    if (set->folder[0] != '\0') {
        xt_standard_remove(set->folder);
    }
    exit_status = conclude(set, status, &failure);
    for (unsigned i = 0; i < XT_STANDARD_RUNS; i++) {
        free(set->runs[i].seconds);
    }
    free(set);
    return exit_status;
}
