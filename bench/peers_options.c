#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench/peers.h"
#include "core/command.h"

static const char help[] =
    "usage: xacthuc-bench peers [--count N] [--seed S] [--rounds R] [--seconds T] [--only LIST]\n"
    "                           [--install] [--json FILE] [--markdown FILE] [OPTION...]\n"
    "\n"
    "The same verify work on xacthuc and on other software, side by side: real servers from\n"
    "packages, each with its own configuration and data in a temporary folder, loaded with the\n"
    "same people, driven by the same client, which checks every answer. They share one core and\n"
    "take turns, so that a slow moment of the machine hits all alike; the client has another.\n"
    "\n"
    "  xacthuc    this product: mutual TLS, policy, sealed store\n"
    "  nginx      nginx `return 200` over mutual TLS: what HTTP and TLS cost without any work\n"
    "  redis      nginx + Lua + Redis with the same match\n"
    "  postgres   nginx + Lua + an indexed table of PostgreSQL with the same match\n"
    "  slapd      OpenLDAP with LMDB: compare operations over mutual TLS\n"
    "\n"
    "In each round and for each: a closed loop for --seconds (requests/s of one core, CPU per\n"
    "request), then an open loop at half of that rate (latency).\n"
    "\n"
    "  --xacthuc PATH    the program; default: beside this one, or in PATH\n"
    "  --count N         people, 1 to 150000000; default 1000000\n"
    "  --seed S          default 1\n"
    "  --rounds R        1 to 20; default 3\n"
    "  --seconds T       of each measurement, 1 to 600; default 10\n"
    "  --only LIST       as in xacthuc,nginx,redis\n"
    "  --install         installs missing packages with apt-get (as root); their services are\n"
    "                    not started. Otherwise the line to run is printed and those left out\n"
    "  --json FILE       all figures, per round (xacthuc-peers/1)\n"
    "  --markdown FILE   the tables\n"
    "  --keep DIR        work in DIR (empty or new) and leave it: configurations, logs, data\n"
    "  --quiet           no progress\n"
    "\n"
    "Nothing of it is left afterwards, also when interrupted. Exit status 1 when an answer was\n"
    "wrong, a server failed, or none could run; a peer whose packages are missing is no failure.\n"
    "\n"
    "example: xacthuc-bench peers --install --markdown peers.md\n";

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("xacthuc-bench peers: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("; see xacthuc-bench peers --help\n", stderr);
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

static int parse_only(const char *text, uint32_t *only)
{
    *only = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        unsigned name = 0;
        while (name < XT_PEER_COUNT && (strlen(xt_peer_kinds[name].name) != size ||
                                        memcmp(xt_peer_kinds[name].name, text, size) != 0)) {
            name++;
        }
        if (name == XT_PEER_COUNT) {
            return usage("--only takes some of xacthuc,nginx,redis,postgres,slapd");
        }
        *only |= 1U << name;
        if (text[size] == '\0') {
            return XT_EXIT_OK;
        }
        text += size + 1;
    }
}

enum {
    HELP = 256,
    XACTHUC,
    COUNT,
    SEED,
    ROUNDS,
    SECONDS,
    ONLY,
    INSTALL,
    JSON,
    MARKDOWN,
    KEEP,
    QUIET
};
static const struct option option_table[] = {{"help", no_argument, NULL, HELP},
                                             {"xacthuc", required_argument, NULL, XACTHUC},
                                             {"count", required_argument, NULL, COUNT},
                                             {"seed", required_argument, NULL, SEED},
                                             {"rounds", required_argument, NULL, ROUNDS},
                                             {"seconds", required_argument, NULL, SECONDS},
                                             {"only", required_argument, NULL, ONLY},
                                             {"install", no_argument, NULL, INSTALL},
                                             {"json", required_argument, NULL, JSON},
                                             {"markdown", required_argument, NULL, MARKDOWN},
                                             {"keep", required_argument, NULL, KEEP},
                                             {"quiet", no_argument, NULL, QUIET},
                                             {NULL, 0, NULL, 0}};

static int take_number(struct xt_peers_options *options, int option)
{
    uint64_t value;
    switch (option) {
    case COUNT:
        return parse_integer(optarg, 1, XT_POPULATION_MAX, &options->count)
                   ? XT_EXIT_OK
                   : usage("--count takes 1 to %u", XT_POPULATION_MAX);
    case SEED:
        return parse_integer(optarg, 0, UINT64_MAX, &options->seed)
                   ? XT_EXIT_OK
                   : usage("--seed takes 0 to 18446744073709551615");
    case ROUNDS:
        if (!parse_integer(optarg, 1, XT_PEERS_ROUNDS_MAX, &value)) {
            return usage("--rounds takes 1 to %u", XT_PEERS_ROUNDS_MAX);
        }
        options->rounds = (unsigned)value;
        return XT_EXIT_OK;
    default:
        if (!parse_integer(optarg, 1, 600, &value)) {
            return usage("--seconds takes 1 to 600");
        }
        options->seconds = (unsigned)value;
        return XT_EXIT_OK;
    }
}

static int take(struct xt_peers_options *options, int option)
{
    switch (option) {
    case XACTHUC:
        options->xacthuc = optarg;
        return XT_EXIT_OK;
    case ONLY:
        return parse_only(optarg, &options->only);
    case INSTALL:
        options->install = true;
        return XT_EXIT_OK;
    case JSON:
        options->json = optarg;
        return XT_EXIT_OK;
    case MARKDOWN:
        options->markdown = optarg;
        return XT_EXIT_OK;
    case KEEP:
        options->keep = optarg;
        return XT_EXIT_OK;
    case QUIET:
        options->quiet = true;
        return XT_EXIT_OK;
    default:
        return take_number(options, option);
    }
}

int xt_peers_options_parse(int argc, char **argv, struct xt_peers_options *options)
{
    int option;
    *options = (struct xt_peers_options){
        .count = 1000000, .seed = 1, .rounds = 3, .seconds = 10, .only = (1U << XT_PEER_COUNT) - 1};
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
    return optind < argc ? usage("takes no '%s'", argv[optind]) : -1;
}
