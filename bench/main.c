/* xacthuc-bench: the load testers' front door: a table of commands, nothing else. */
#include "bench/commands.h"
#include "core/command.h"
#include "crypto/keyring.h"

#include <stdio.h>
#include <string.h>

static const struct xt_command commands[] = {
    {"gen", "make a synthetic population, or verify requests about it", xt_bench_gen},
    {"load", "drive a server: how fast it answers, and whether right", xt_bench_load},
    {"batch", "send a server lists: how fast they are answered, and whether right", xt_bench_batch},
    {"events", "tell a server what has changed: how fast it is durable", xt_bench_events},
    {"auth", "authenticate people: how many a second, and how fast", xt_bench_auth},
    {"micro", "what the parts of a verify cost, without a network", xt_bench_micro},
    {"timing", "whether the time of an answer tells what it must not", xt_bench_timing},
    {"peers", "the same work on other software, side by side", xt_bench_peers},
    {"report", "results as a page with plots, a table, CSV or JSON", xt_bench_report},
    {"standard", "measure a build with the standard set, for compare", xt_bench_standard},
    {"compare", "two results side by side, and what of it is noise", xt_bench_compare},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
    (void)fputs("usage: xacthuc-bench COMMAND [OPTION...]\n\n"
                "Finds, proves and shows what a deployment of xacthuc can do.\n\ncommands:\n",
                out);
    for (unsigned i = 0; i < COMMANDS; i++) {
        (void)fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fputs("\n  xacthuc-bench COMMAND --help   what a command takes\n"
                "  xacthuc-bench --version\n\n"
                "exit status: 0 fine, 1 the work failed, 2 wrong usage\n",
                out);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fputs("xacthuc-bench: no command given; see xacthuc-bench --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("xacthuc-bench " XT_VERSION);
        return fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            xt_crypto_start();
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "xacthuc-bench: no command '%s'; see xacthuc-bench --help\n", argv[1]);
    return XT_EXIT_USAGE;
}
