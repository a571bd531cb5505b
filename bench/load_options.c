#include "bench/load_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/population.h"
#include "core/command.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)
#define DAY (86400 * SECOND)

static const char help[] =
    "usage: xacthuc-bench load --server URL [--cert FILE --key FILE] [--ca FILE] --seed S --count "
    "N\n"
    "                          [--rate R] [OPTION...]\n"
    "       xacthuc-bench load --server URL --path /PATH [OPTION...]\n"
    "\n"
    "Drives a server and says how fast it answers, and whether it answers right: every verdict\n"
    "and every claim's result is compared with what the synthetic people demand.\n"
    "\n"
    "where to\n"
    "  --server URL      https://127.0.0.1:8443, or http:// for plain\n"
    "  --cert, --key     PEM files of the partner (mutual TLS)\n"
    "  --ca FILE         who signed the server's certificate; or --insecure: do not check it\n"
    "\n"
    "how much\n"
    "  --rate R          open loop: R requests a second, come what may. Latency counts from when\n"
    "                    a request was due, so a pause of the server is seen by every request\n"
    "                    that would have come meanwhile. This is how callers experience it.\n"
    "                    Without --rate the loop is closed: each connection sends its next\n"
    "                    request when the last one is answered. That shows the most a server can\n"
    "                    do, but its latencies HIDE PAUSES: while the server stands still, so "
    "does\n"
    "                    the load (coordinated omission). Never quote percentiles from it.\n"
    "  --find-knee       steps the rate (from --rate, or 1000) until p99 passes --slo (1ms) or\n"
    "                    the rate is not reached, then bisects; each step lasts --duration (5s)\n"
    "  --connections C   1 to 20000; default 64\n"
    "  --pipeline P      requests under way on one connection, 1 to 64; default 1\n"
    "  --threads T       1 to 64; default 1. Leave the server its own cores\n"
    "  --queue Q         open loop: how many may wait for a free connection; default 100000.\n"
    "                    Past that the longest waiting are dropped and counted as errors\n"
    "  --ramp TIME       the rate rises evenly from 0 (closed loop: connections join); default 0s\n"
    "  --warmup TIME     not measured; default 2s\n"
    "  --duration TIME   measured; default 10s. Ctrl-C ends it early, with the results so far\n"
    "  --timeout TIME    of a connection, handshake or answer; default 10s\n"
    "  --handshake H     keep-alive (default), resume (a connection per request, with a session\n"
    "                    ticket), per-request (a full handshake each)\n"
    "\n"
    "what\n"
    "  --seed S --count N   as given to `xacthuc-bench gen` for the people that are imported;\n"
    "                    --full if they were, --purpose, --claims, --mix as in gen --help\n"
    "  --requests M      distinct requests, 1 to 1000000, made beforehand; default 100000\n"
    "  --verdict-only    the partner lacks the right per_claim\n"
    "  --signed FILE     ask for signed answers (RFC 9421): each must have a signature, and of "
    "one\n"
    "                    in 16 it is verified. FILE: the server's /.well-known/jwks.json\n"
    "  --unchecked       any answer with status 200 is right (for a floor like nginx `return "
    "200`)\n"
    "  --path /PATH      plain GET, status 200, instead of verify\n"
    "  --scenario FILE   a mix by weight; sections may be repeated:\n"
    "                      [verify]              [get]\n"
    "                      weight = 95           weight = 5\n"
    "                      mix = right=60,...    path = /openapi.json\n"
    "                                            status = 200\n"
    "\n"
    "results\n"
    "  --slo TIME        for --find-knee: the most p99 may be; default 1ms\n"
    "  --server-pid PID  CPU per request and memory of that process and its children\n"
    "  --out FILE        everything as JSON (- for standard output)\n"
    "  --hdr FILE        percentiles in HdrHistogram's text format\n"
    "  --quiet           no view while it runs\n"
    "\n"
    "TIME is a number with ms, s or m. Exit status 0: every answer was there and right;\n"
    "1: one was wrong or missing; 2: wrong usage.\n"
    "\n"
    "example: xacthuc-bench load --server https://127.0.0.1:8443 --cert demo.crt --key demo.key "
    "\\\n"
    "             --ca ca.crt --seed 1 --count 1000000 --rate 5000 --duration 30s --out run.json\n";

const char *xt_load_handshake_name(enum xt_load_handshake handshake)
{
    static const char *const names[] = {"keep-alive", "resume", "per-request"};
    return names[handshake];
}

int xt_load_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench load: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench load --help\n", stderr);
    va_end(arguments);
    return XT_EXIT_USAGE;
}

static bool parse_integer(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || parsed < least ||
        parsed > most) {
        return false;
    }
    *value = parsed;
    return true;
}

static bool parse_count(const char *text, unsigned most, unsigned *value)
{
    uint64_t parsed;
    if (!parse_integer(text, 1, most, &parsed)) {
        return false;
    }
    *value = (unsigned)parsed;
    return true;
}

/* "500ms", "10s", "1.5s", "2m": nanoseconds. */
static bool parse_time(const char *text, uint64_t least, uint64_t most, uint64_t *ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}};
    size_t digits = strspn(text, "0123456789.");
    char *end;
    double value = strtod(text, &end);
    if (digits == 0 || digits > 12 || end != text + digits) {
        return false;
    }
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            double scaled = value * units[i].ns;
            if (scaled < (double)least || scaled > (double)most) {
                return false;
            }
            *ns = (uint64_t)(scaled + 0.5);
            return true;
        }
    }
    return false;
}

/* https://host:port, https://[::1]:8443, a trailing slash is fine; ports default to 443 and 80. */
static bool parse_server(const char *text, struct xt_load_options *options)
{
    options->server = text;
    options->tls = strncmp(text, "https://", 8) == 0;
    if (!options->tls && strncmp(text, "http://", 7) != 0) {
        return false;
    }
    const char *host = text + (options->tls ? 8 : 7);
    bool bracket = *host == '[';
    host += bracket;
    size_t size = strcspn(host, bracket ? "]" : ":/");
    if (size == 0 || size >= sizeof(options->host) || (bracket && host[size] != ']')) {
        return false;
    }
    memcpy(options->host, host, size);
    options->host[size] = '\0';
    const char *rest = host + size + bracket;
    uint64_t port = options->tls ? 443 : 80;
    if (*rest == ':') {
        char digits[8];
        size_t length = strcspn(++rest, "/");
        if (length == 0 || length >= sizeof(digits)) {
            return false;
        }
        memcpy(digits, rest, length);
        digits[length] = '\0';
        if (!parse_integer(digits, 1, 65535, &port)) {
            return false;
        }
        rest += length;
    }
    (void)snprintf(options->port, sizeof(options->port), "%u", (unsigned)port);
    return *rest == '\0' || strcmp(rest, "/") == 0;
}

static bool parse_handshake(const char *text, enum xt_load_handshake *handshake)
{
    for (unsigned i = XT_LOAD_KEEP_ALIVE; i <= XT_LOAD_PER_REQUEST; i++) {
        if (strcmp(text, xt_load_handshake_name((enum xt_load_handshake)i)) == 0) {
            *handshake = (enum xt_load_handshake)i;
            return true;
        }
    }
    return false;
}

enum {
    HELP = 256,
    SERVER,
    CERT,
    KEY,
    CA,
    INSECURE,
    RATE,
    FIND_KNEE,
    CONNECTIONS,
    PIPELINE,
    THREADS,
    QUEUE,
    RAMP,
    WARMUP,
    DURATION,
    TIMEOUT,
    HANDSHAKE,
    SEED,
    COUNT,
    FULL,
    PURPOSE,
    CLAIMS,
    MIX,
    REQUESTS,
    VERDICT_ONLY,
    SIGNED,
    UNCHECKED,
    PATH,
    SCENARIO,
    SLO,
    SERVER_PID,
    OUT,
    HDR,
    QUIET
};

static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"server", required_argument, NULL, SERVER},
                                             {"cert", required_argument, NULL, CERT},
                                             {"key", required_argument, NULL, KEY},
                                             {"ca", required_argument, NULL, CA},
                                             {"insecure", no_argument, NULL, INSECURE},
                                             {"rate", required_argument, NULL, RATE},
                                             {"find-knee", no_argument, NULL, FIND_KNEE},
                                             {"connections", required_argument, NULL, CONNECTIONS},
                                             {"pipeline", required_argument, NULL, PIPELINE},
                                             {"threads", required_argument, NULL, THREADS},
                                             {"queue", required_argument, NULL, QUEUE},
                                             {"ramp", required_argument, NULL, RAMP},
                                             {"warmup", required_argument, NULL, WARMUP},
                                             {"duration", required_argument, NULL, DURATION},
                                             {"timeout", required_argument, NULL, TIMEOUT},
                                             {"handshake", required_argument, NULL, HANDSHAKE},
                                             {"seed", required_argument, NULL, SEED},
                                             {"count", required_argument, NULL, COUNT},
                                             {"full", no_argument, NULL, FULL},
                                             {"purpose", required_argument, NULL, PURPOSE},
                                             {"claims", required_argument, NULL, CLAIMS},
                                             {"mix", required_argument, NULL, MIX},
                                             {"requests", required_argument, NULL, REQUESTS},
                                             {"verdict-only", no_argument, NULL, VERDICT_ONLY},
                                             {"signed", required_argument, NULL, SIGNED},
                                             {"unchecked", no_argument, NULL, UNCHECKED},
                                             {"path", required_argument, NULL, PATH},
                                             {"scenario", required_argument, NULL, SCENARIO},
                                             {"slo", required_argument, NULL, SLO},
                                             {"server-pid", required_argument, NULL, SERVER_PID},
                                             {"out", required_argument, NULL, OUT},
                                             {"hdr", required_argument, NULL, HDR},
                                             {"quiet", no_argument, NULL, QUIET},
                                             {NULL, 0, NULL, 0}};

/* Which of them were given. */
struct given {
    bool seed, count, duration, slo;
};

static int take_work(struct xt_load_options *options, struct given *given, int option)
{
    switch (option) {
    case SEED:
        given->seed = true;
        return parse_integer(optarg, 0, UINT64_MAX, &options->seed)
                   ? XT_EXIT_OK
                   : xt_load_usage("--seed takes a number from 0 to 18446744073709551615");
    case COUNT:
        given->count = true;
        return parse_integer(optarg, 1, XT_POPULATION_MAX, &options->count)
                   ? XT_EXIT_OK
                   : xt_load_usage("--count takes a number from 1 to %u", XT_POPULATION_MAX);
    case FULL:
        options->full = true;
        return XT_EXIT_OK;
    case PURPOSE:
        options->purpose = optarg;
        return XT_EXIT_OK;
    case CLAIMS:
        options->claims = optarg;
        return XT_EXIT_OK;
    case MIX:
        options->mix = optarg;
        return XT_EXIT_OK;
    case REQUESTS:
        return parse_count(optarg, XT_LOAD_REQUESTS_MAX, &options->requests)
                   ? XT_EXIT_OK
                   : xt_load_usage("--requests takes a number from 1 to %u", XT_LOAD_REQUESTS_MAX);
    case VERDICT_ONLY:
        options->verdict_only = true;
        return XT_EXIT_OK;
    case SIGNED:
        options->signed_keys = optarg;
        return XT_EXIT_OK;
    case UNCHECKED:
        options->unchecked = true;
        return XT_EXIT_OK;
    case PATH:
        options->path = optarg;
        return XT_EXIT_OK;
    default: /* SCENARIO */
        options->scenario = optarg;
        return XT_EXIT_OK;
    }
}

static int take_amount(struct xt_load_options *options, struct given *given, int option)
{
    uint64_t ns = 0;
    switch (option) {
    case RATE:
        return parse_integer(optarg, 1, XT_LOAD_RATE_MAX, &options->rate)
                   ? XT_EXIT_OK
                   : xt_load_usage("--rate takes requests a second, 1 to %u", XT_LOAD_RATE_MAX);
    case CONNECTIONS:
        return parse_count(optarg, XT_LOAD_CONNECTIONS_MAX, &options->connections)
                   ? XT_EXIT_OK
                   : xt_load_usage("--connections takes a number from 1 to %u",
                                   XT_LOAD_CONNECTIONS_MAX);
    case PIPELINE:
        return parse_count(optarg, XT_LOAD_PIPELINE_MAX, &options->pipeline)
                   ? XT_EXIT_OK
                   : xt_load_usage("--pipeline takes a number from 1 to %u", XT_LOAD_PIPELINE_MAX);
    case THREADS:
        return parse_count(optarg, XT_LOAD_THREADS_MAX, &options->threads)
                   ? XT_EXIT_OK
                   : xt_load_usage("--threads takes a number from 1 to %u", XT_LOAD_THREADS_MAX);
    case QUEUE:
        return parse_integer(optarg, 0, XT_LOAD_QUEUE_MAX, &options->queue)
                   ? XT_EXIT_OK
                   : xt_load_usage("--queue takes a number from 0 to %u", XT_LOAD_QUEUE_MAX);
    case RAMP:
        return parse_time(optarg, 0, DAY, &options->ramp_ns)
                   ? XT_EXIT_OK
                   : xt_load_usage("--ramp takes a time up to 1440m, as in 5s");
    case WARMUP:
        return parse_time(optarg, 0, DAY, &options->warmup_ns)
                   ? XT_EXIT_OK
                   : xt_load_usage("--warmup takes a time up to 1440m, as in 5s");
    case DURATION:
        given->duration = true;
        return parse_time(optarg, 100 * MS, DAY, &options->duration_ns)
                   ? XT_EXIT_OK
                   : xt_load_usage("--duration takes a time from 100ms to 1440m, as in 30s");
    case TIMEOUT:
        return parse_time(optarg, 10 * MS, 60 * SECOND, &options->timeout_ns)
                   ? XT_EXIT_OK
                   : xt_load_usage("--timeout takes a time from 10ms to 60s");
    case HANDSHAKE:
        return parse_handshake(optarg, &options->handshake)
                   ? XT_EXIT_OK
                   : xt_load_usage("--handshake takes keep-alive, resume or per-request");
    default: /* SLO */
        given->slo = true;
        if (!parse_time(optarg, 1000, 60 * SECOND, &ns)) {
            return xt_load_usage("--slo takes a time from 1us to 60s, as in 1ms");
        }
        options->slo_us = ns / 1000;
        return XT_EXIT_OK;
    }
}

static int take(struct xt_load_options *options, struct given *given, int option)
{
    uint64_t pid = 0;
    switch (option) {
    case SERVER:
        return parse_server(optarg, options)
                   ? XT_EXIT_OK
                   : xt_load_usage("--server takes https://HOST:PORT or http://HOST:PORT");
    case CERT:
        options->certificate = optarg;
        return XT_EXIT_OK;
    case KEY:
        options->key = optarg;
        return XT_EXIT_OK;
    case CA:
        options->authority = optarg;
        return XT_EXIT_OK;
    case INSECURE:
        options->insecure = true;
        return XT_EXIT_OK;
    case FIND_KNEE:
        options->find_knee = true;
        return XT_EXIT_OK;
    case SERVER_PID:
        if (!parse_integer(optarg, 1, 1U << 30, &pid)) {
            return xt_load_usage("--server-pid takes the number of a process");
        }
        options->server_pid = (int)pid;
        return XT_EXIT_OK;
    case OUT:
        options->out = optarg;
        return XT_EXIT_OK;
    case HDR:
        options->hdr = optarg;
        return XT_EXIT_OK;
    case QUIET:
        options->quiet = true;
        return XT_EXIT_OK;
    case SEED:
    case COUNT:
    case FULL:
    case PURPOSE:
    case CLAIMS:
    case MIX:
    case REQUESTS:
    case VERDICT_ONLY:
    case SIGNED:
    case UNCHECKED:
    case PATH:
    case SCENARIO:
        return take_work(options, given, option);
    default:
        return take_amount(options, given, option);
    }
}

/* What does not go together. */
static int check(struct xt_load_options *options, const struct given *given)
{
    if (options->server == NULL) {
        return xt_load_usage("needs --server");
    }
    if ((options->certificate == NULL) != (options->key == NULL)) {
        return xt_load_usage("--cert and --key go together");
    }
    if (!options->tls && (options->certificate != NULL || options->authority != NULL ||
                          options->insecure || options->handshake == XT_LOAD_RESUME)) {
        return xt_load_usage("--cert, --ca, --insecure and --handshake resume need https://");
    }
    if (options->tls && (options->authority == NULL) != options->insecure) {
        return xt_load_usage("https:// needs --ca, or else --insecure");
    }
    if (given->seed != given->count) {
        return xt_load_usage("--seed and --count go together");
    }
    options->has_people = given->seed;
    if (options->path != NULL && (options->scenario != NULL || options->has_people)) {
        return xt_load_usage("--path stands alone; a mix is for --scenario");
    }
    if (options->path == NULL && options->scenario == NULL && !options->has_people) {
        return xt_load_usage("needs --seed and --count (verify), or --path, or --scenario");
    }
    if (options->mix != NULL && options->scenario != NULL) {
        return xt_load_usage("with --scenario, the mix stands in the file");
    }
    if (options->handshake != XT_LOAD_KEEP_ALIVE && options->pipeline > 1) {
        return xt_load_usage("--pipeline needs --handshake keep-alive");
    }
    if (options->threads > options->connections) {
        return xt_load_usage("--threads may not be more than --connections");
    }
    if (options->hdr != NULL && options->out != NULL && strcmp(options->hdr, options->out) == 0) {
        return xt_load_usage("--out and --hdr need two files");
    }
    if (given->slo && !options->find_knee) {
        return xt_load_usage("--slo needs --find-knee");
    }
    if (options->find_knee) {
        options->rate = options->rate == 0 ? 1000 : options->rate;
        options->duration_ns = given->duration ? options->duration_ns : 5 * SECOND;
    }
    return -1;
}

int xt_load_options_parse(int argc, char **argv, struct xt_load_options *options)
{
    struct given given = {0};
    int option;
    *options = (struct xt_load_options){.connections = 64,
                                        .threads = 1,
                                        .pipeline = 1,
                                        .queue = 100000,
                                        .warmup_ns = 2 * SECOND,
                                        .duration_ns = 10 * SECOND,
                                        .timeout_ns = 10 * SECOND,
                                        .requests = 100000,
                                        .slo_us = 1000};
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", option_table, NULL)) != -1) {
        if (option == HELP) {
            (void)fputs(help, stdout);
            return fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
        }
        if (option == ':') {
            return xt_load_usage("%s needs a value", argv[optind - 1]);
        }
        if (option == '?') {
            return xt_load_usage("does not know %s", argv[optind - 1]);
        }
        int wrong = take(options, &given, option);
        if (wrong != XT_EXIT_OK) {
            return wrong;
        }
    }
    if (optind < argc) {
        return xt_load_usage("takes no '%s'", argv[optind]);
    }
    return check(options, &given);
}
