#include "bench/batch_options.h"

#include <getopt.h>
#include <stdio.h>

#include "bench/population.h"
#include "core/command.h"

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

static bool take_option(int option, struct xt_batch_options *options)
{
    switch (option) {
    case 'd':
        options->server.certificates[1] = optarg;
        return true;
    case 'e':
        options->server.keys[1] = optarg;
        return true;
    case 's':
        return xt_crowd_number(optarg, 0, UINT64_MAX, &options->seed);
    case 'n':
        return xt_crowd_number(optarg, 1, XT_POPULATION_MAX, &options->count);
    case 'l':
        return xt_crowd_number(optarg, 1000, 100000000, &options->lines);
    case 't':
        return xt_crowd_number(optarg, 1, UINT64_MAX, &options->total);
    case 'P':
        return xt_crowd_number(optarg, 1, 1000000, &options->probe_us);
    case 'v':
        return xt_crowd_number(optarg, 1, INT32_MAX, &options->pid);
    default:
        return xt_crowd_take_option(option, optarg, XT_BATCH_CONNECTIONS_MAX, &options->server);
    }
}

int xt_batch_options_parse(int argc, char **argv, struct xt_batch_options *options)
{
    static const struct option table[] = {XT_CROWD_OPTIONS,
                                          {"cert2", required_argument, NULL, 'd'},
                                          {"key2", required_argument, NULL, 'e'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"lines", required_argument, NULL, 'l'},
                                          {"total", required_argument, NULL, 't'},
                                          {"probe", required_argument, NULL, 'P'},
                                          {"server", required_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
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
    const struct xt_crowd_options *server = &options->server;
    options->partners = server->certificates[1] != NULL ? 2 : 1;
    if (!fine || optind != argc || server->port == 0 || options->count == 0 ||
        options->total % server->connections != 0 || server->connections < options->partners ||
        (server->certificates[1] == NULL) != (server->keys[1] == NULL)) {
        (void)fputs("xacthuc-bench batch: wrong usage; see xacthuc-bench batch --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    return -1;
}
