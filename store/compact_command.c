#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "store/background.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/compact.h"

static const char help[] =
    "usage: xacthuc compact DIR [OPTIONS]\n"
    "\n"
    "Makes a new sealed generation of the served one and of all that changed since, and switches "
    "to\n"
    "it, or leaves everything as it is. Meanwhile verifies are answered and events taken. Once "
    "all\n"
    "workers have the new generation the writer drops from the live store what is in it.\n"
    "\n"
    "  --memory SIZE   that it may take, about: 512M, 4G (default 2G, at least 256M), beside 64 "
    "bytes\n"
    "                  for each change\n"
    "  --json          the summary as JSON\n"
    "  --quiet         no progress\n"
    "  --help, --version\n";

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void listen_to_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before; /* nohup means it */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(SIGHUP, &action, NULL);
    }
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, no death */
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void print_text(const struct xt_compact_report *report, double seconds)
{
    if (!report->made) {
        printf("nothing has changed since generation %06u: nothing to do\n", report->base);
        return;
    }
    printf("generation %06u is served: %llu people, of them %llu changed since %06u (events up to "
           "%llu), %.1f s\n",
           report->manifest.number, (unsigned long long)report->manifest.people,
           (unsigned long long)report->changed, report->base, (unsigned long long)report->sequence,
           seconds);
}

static void print_json(const struct xt_compact_report *report, double seconds)
{
    const struct xt_manifest *manifest = &report->manifest;
    if (!report->made) {
        printf("{\"generation\":null,\"base\":%u,\"seconds\":%.3f}\n", report->base, seconds);
        return;
    }
    printf("{\"generation\":%u,\"base\":%u,\"sequence\":%llu,\"changed\":%llu,\"people\":%llu,"
           "\"replaced\":%llu,\"aliases\":%llu,\"phones\":%llu,\"file_bytes\":%llu,"
           "\"seconds\":%.3f}\n",
           manifest->number, report->base, (unsigned long long)report->sequence,
           (unsigned long long)report->changed, (unsigned long long)manifest->people,
           (unsigned long long)manifest->replaced, (unsigned long long)manifest->aliases,
           (unsigned long long)manifest->phones, (unsigned long long)manifest->file_bytes, seconds);
}

static int run(const char *dir, const struct xt_builder_options *options, bool json)
{
    struct xt_compact_report report;
    struct xt_failure failure = {.text = ""};
    struct xt_keyring *keyring = NULL;
    struct timespec started;
    clock_gettime(CLOCK_MONOTONIC, &started);
    listen_to_signals();
    xt_background_enter(); /* who verifies comes first */
    enum xt_status status = xt_deployment_keyring(dir, &keyring, &failure);
    if (status == XT_OK) {
        status = xt_compact(dir, keyring, options, &report, &failure);
    }
    xt_keyring_close(keyring);
    if (status != XT_OK) {
        return xt_work_error("compact", &failure);
    }
    if (json) {
        print_json(&report, seconds_since(&started));
    } else {
        print_text(&report, seconds_since(&started));
    }
    return xt_finish_output("compact");
}

int xt_command_compact(int argc, char **argv)
{
    static const struct option options[] = {
        {"memory", required_argument, NULL, 'M'}, {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0}};
    struct xt_builder_options plan = {.stop = &stop};
    bool json = false;
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'M':
            if (!xt_parse_memory(optarg, XT_BUILDER_MEMORY_MIN, &plan.memory)) {
                return xt_usage_error("compact", "--memory needs a size of 256M or more: 512M, 4G");
            }
            break;
        case 'j':
            json = true;
            break;
        case 'q':
            plan.quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("compact", option, argv);
        }
    }
    if (argc - optind != 1) {
        return xt_usage_error("compact", "give one deployment");
    }
    return run(argv[optind], &plan, json);
}
