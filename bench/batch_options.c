#include "bench/batch_options.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bench/population.h"
#include "core/command.h"
#include "store/command_line.h"

static void print_help(void)
{
    (void)fputs(
        "usage: xacthuc-bench batch --port N --cert FILE --key FILE --ca FILE --seed S --count N\n"
        "                           [--lines N] [--total N | --seconds N] [--connections N]\n"
        "                           [--cert2 FILE --key2 FILE] [--probe US] [--server PID]\n\n"
        "Sends lists to 127.0.0.1 (POST /v1/verify/batch; the partner needs the purpose\n"
        "demo.verify, every claim but documents and the right per_claim), checks every answer,\n"
        "and prints as one JSON object how many lines a second were answered.\n\n"
        "  --seed, --count   the population that was imported (gen)\n"
        "  --lines N         different lines, default 1000000; sent around and around\n"
        "  --total N         lines in all; else as many as there are in --seconds (default 10)\n"
        "  --connections N   lists at a time, default 2, at most 64\n"
        "  --cert2, --key2   another partner, whose is every second list\n"
        "  --probe US        meanwhile, single requests on a connection of their own, each US\n"
        "                    microseconds after the answer before (1: at once); the lists give\n"
        "                    way to them in this program\n"
        "  --server PID      tells the server's memory and CPU as well\n\n"
        "exit status: 0 every line was answered rightly, 1 one was not, 2 wrong usage\n",
        stdout);
}

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return xt_parse_count(text, most, value) && *value >= least;
}

static bool take_file(int option, struct xt_batch_options *options)
{
    switch (option) {
    case 'c':
        options->certificates[0] = optarg;
        return true;
    case 'k':
        options->keys[0] = optarg;
        return true;
    case 'd':
        options->certificates[1] = optarg;
        return true;
    case 'e':
        options->keys[1] = optarg;
        return true;
    case 'a':
        options->authority = optarg;
        return true;
    default:
        return false;
    }
}

static bool take_option(int option, struct xt_batch_options *options)
{
    switch (option) {
    case 'p':
        return take_number(optarg, 1, 65535, &options->port);
    case 's':
        return take_number(optarg, 0, UINT64_MAX, &options->seed);
    case 'n':
        return take_number(optarg, 1, XT_POPULATION_MAX, &options->count);
    case 'l':
        return take_number(optarg, 1000, 100000000, &options->lines);
    case 't':
        return take_number(optarg, 1, UINT64_MAX, &options->total);
    case 'S':
        return take_number(optarg, 1, 86400, &options->seconds);
    case 'C':
        return take_number(optarg, 1, XT_BATCH_CONNECTIONS_MAX, &options->connections);
    case 'P':
        return take_number(optarg, 1, 1000000, &options->probe_us);
    case 'v':
        return take_number(optarg, 1, INT32_MAX, &options->server);
    default:
        return take_file(option, options);
    }
}

int xt_batch_options_parse(int argc, char **argv, struct xt_batch_options *options)
{
    static const struct option table[] = {
        {"port", required_argument, NULL, 'p'},    {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},     {"ca", required_argument, NULL, 'a'},
        {"cert2", required_argument, NULL, 'd'},   {"key2", required_argument, NULL, 'e'},
        {"seed", required_argument, NULL, 's'},    {"count", required_argument, NULL, 'n'},
        {"lines", required_argument, NULL, 'l'},   {"total", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'S'}, {"connections", required_argument, NULL, 'C'},
        {"probe", required_argument, NULL, 'P'},   {"server", required_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    bool fine = true;
    opterr = 0;
    optind = 1;
    for (int option; fine && (option = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        if (option == 'h') {
            print_help();
            return XT_EXIT_OK;
        }
        fine = take_option(option, options);
    }
    options->partners = options->certificates[1] != NULL ? 2 : 1;
    if (!fine || optind != argc || options->port == 0 || options->count == 0 ||
        options->total % options->connections != 0 || options->connections < options->partners ||
        (options->certificates[1] == NULL) != (options->keys[1] == NULL)) {
        (void)fputs("xacthuc-bench batch: wrong usage; see xacthuc-bench batch --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    return -1;
}
