/* net/serve: from the command line to a running supervisor. */
#include "net/serve.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "core/command.h"
#include "net/supervisor.h"
#include "net/upgrade.h"
#include "net/worker.h"

struct serving {
    char dir[XT_PATH_MAX], program[XT_PATH_MAX];
    struct xt_overrides overrides;
    struct xt_supervisor_plan plan;
};

static void help(FILE *out)
{
    fputs(
        "usage: xacthuc serve DIR [--listen ADDRESS:PORT] [--admin ADDRESS:PORT] [--workers N]\n\n"
        "Answers partners until SIGTERM or SIGINT, then drains and ends. SIGHUP reads settings,\n"
        "certificates and partners again; SIGUSR2 lets the program that is installed by now take\n"
        "over without refusing anybody.\n\n"
        "  --listen ADDRESS:PORT   where partners connect (mutual TLS); [IPv6]:PORT; port 0 picks "
        "one\n"
        "  --admin ADDRESS:PORT    /healthz, /readyz and /metrics, plain HTTP, loopback only\n"
        "  --workers N             processes that answer; 0: one for each processor\n\n"
        "All stand in DIR/xacthuc.conf, with every limit; the options here win. The log goes to\n"
        "stderr in JSON lines; the line with event \"listening\" names both addresses.\n",
        out);
}

/* ---- the command line ------------------------------------------------------------------------- */

static enum xt_status check_option(const char *option, const char *key, const char *value,
                                   const char *wanted, struct xt_failure *failure)
{
    struct xt_settings scratch;
    if (value == NULL || xt_settings_set(&scratch, "server", key, value, NULL) == XT_OK) {
        return XT_OK;
    }
    return xt_fail(failure, XT_INVALID, "%s takes %s", option, wanted);
}

static enum xt_status check_options(const struct xt_overrides *given, struct xt_failure *failure)
{
    static const char address[] = "ADDRESS:PORT or [IPv6]:PORT in numbers, such as 127.0.0.1:8443";
    enum xt_status status = check_option("--listen", "listen", given->listen, address, failure);
    if (status == XT_OK) {
        status = check_option("--admin", "admin_listen", given->admin, address, failure);
    }
    return status == XT_OK ? check_option("--workers", "workers", given->workers,
                                          "a whole number from 0 to 128", failure)
                           : status;
}

/* XT_OK, XT_INVALID (wrong usage), XT_CLOSED (help was asked for). */
static enum xt_status parse(int argc, char **argv, struct serving *serving, const char **dir,
                            struct xt_failure *failure)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},  {"admin", required_argument, NULL, 'a'},
        {"workers", required_argument, NULL, 'w'}, {XT_UPGRADE_OPTION + 2, no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    struct xt_overrides *given = &serving->overrides;
    int option = 0;
    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            given->listen = optarg;
            break;
        case 'a':
            given->admin = optarg;
            break;
        case 'w':
            given->workers = optarg;
            break;
        case 't':
            serving->plan.take_over = true;
            break;
        case 'h':
            help(stdout);
            return XT_CLOSED;
        case ':':
            return xt_fail(failure, XT_INVALID, "%s needs a value; see xacthuc serve --help",
                           argv[optind - 1]);
        default:
            return xt_fail(failure, XT_INVALID, "unknown option; see xacthuc serve --help");
        }
    }
    if (argc - optind != 1) {
        return xt_fail(failure, XT_INVALID, "give one DIR; see xacthuc serve --help");
    }
    *dir = argv[optind];
    return check_options(given, failure);
}

/* ---- paths ------------------------------------------------------------------------------------ */

static enum xt_status find_dir(struct serving *serving, const char *dir, struct xt_failure *failure)
{
    char resolved[PATH_MAX];
    if (realpath(dir, resolved) == NULL) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO,
                       "cannot open %s (%s): run xacthuc init %s", dir, strerror(errno), dir);
    }
    (void)snprintf(serving->dir, sizeof(serving->dir), "%s", resolved);
    serving->plan.dir = serving->dir;
    return XT_OK;
}

/* What an upgrade is to start: the path by which we were started. A link to the program itself may be
 * switched, below the folder of that path or /usr; a link in the place of the folder may not, since the
 * sandbox knows the folder that it meant at the start: put the new program into that folder. */
static enum xt_status find_program(struct serving *serving, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    ssize_t size = -1;
    serving->plan.program = serving->program;
    if (name != NULL && strncmp(name, "/proc/", 6) != 0 && strncmp(name, "/dev/", 5) != 0) {
        if (name[0] == '/' && strlen(name) < sizeof(serving->program)) {
            memcpy(serving->program, name, strlen(name) + 1);
            return XT_OK;
        }
        if (name[0] != '/' && getcwd(folder, sizeof(folder)) != NULL &&
            xt_path_join(serving->program, folder, name) == XT_OK) {
            return XT_OK;
        }
    }
    size = readlink("/proc/self/exe", serving->program, sizeof(serving->program) - 1);
    if (size <= 0) {
        return xt_fail(failure, XT_IO, "cannot find our own program: is /proc mounted?");
    }
    serving->program[size] = '\0';
    return XT_OK;
}

int xt_command_serve(int argc, char **argv)
{
    struct serving serving = {.plan = {.take_over = false}};
    struct xt_failure failure = {0};
    const char *dir = NULL;
    unsigned connections = 0;
    enum xt_status status = parse(argc, argv, &serving, &dir, &failure);
    if (status == XT_CLOSED) {
        return XT_EXIT_OK;
    }
    if (status != XT_OK) {
        fprintf(stderr, "xacthuc serve: %s\n", failure.text);
        return XT_EXIT_USAGE;
    }
    xt_process_harden();
    serving.plan.overrides = &serving.overrides;
    status = find_dir(&serving, dir, &failure);
    if (status == XT_OK) {
        status = find_program(&serving, &failure);
    }
    if (status == XT_OK) {
        status =
            xt_material_settings(serving.dir, &serving.overrides, &serving.plan.settings, &failure);
    }
    if (status == XT_OK) { /* raises the limit of descriptors for all our children, too */
        status = xt_worker_connections(&serving.plan.settings, &connections, &failure);
    }
    if (status == XT_OK) {
        status = xt_supervisor_run(&serving.plan, &failure);
    }
    if (status != XT_OK) {
        fprintf(stderr, "xacthuc serve: %s\n", failure.text);
    }
    return status == XT_OK ? XT_EXIT_OK : XT_EXIT_FAILED;
}
