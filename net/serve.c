/* net/serve: from the command line to a running worker. What the supervisor will do stands here, what a
 * worker does in net/worker. */
#include "net/serve.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/command.h"
#include "net/config.h"
#include "net/worker.h"
#include "store/command_line.h"

#define DESCRIPTOR_RESERVE 128 /* for the loop, files, the admin listener */

struct serving {
    const char *dir;
    struct xt_settings settings;
    struct xt_keyring *keyring;
    struct xt_tls_context *tls;
    int api_socket, admin_socket;
    unsigned connections;
};

static void help(FILE *out)
{
    fputs(
        "usage: xacthuc serve DIR [--listen ADDRESS:PORT] [--admin ADDRESS:PORT]\n\n"
        "Answers partners until SIGTERM or SIGINT, then drains and ends.\n\n"
        "  --listen ADDRESS:PORT   where partners connect (mutual TLS); [IPv6]:PORT; port 0 picks "
        "one\n"
        "  --admin ADDRESS:PORT    /healthz and /readyz, plain HTTP, loopback only\n\n"
        "Both stand in DIR/xacthuc.conf, with every limit; the options here win. The log goes to\n"
        "stderr in JSON lines; the line with event \"listening\" names both addresses.\n",
        out);
}

static enum xt_status check_address(const char *option, const char *address,
                                    struct xt_failure *failure)
{
    struct xt_settings scratch;
    if (address == NULL || xt_settings_set(&scratch, "server", "listen", address, NULL) == XT_OK) {
        return XT_OK;
    }
    return xt_fail(failure, XT_INVALID,
                   "%s takes ADDRESS:PORT or [IPv6]:PORT in numbers, such as 127.0.0.1:8443",
                   option);
}

/* XT_OK, XT_INVALID (wrong usage), XT_CLOSED (help was asked for). */
static enum xt_status parse(int argc, char **argv, struct serving *serving, const char **listen,
                            const char **admin, struct xt_failure *failure)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option = 0;
    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            *listen = optarg;
            break;
        case 'a':
            *admin = optarg;
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
    serving->dir = argv[optind];
    enum xt_status status = check_address("--listen", *listen, failure);
    return status == XT_OK ? check_address("--admin", *admin, failure) : status;
}

static enum xt_status read_settings(struct serving *serving, const char *listen, const char *admin,
                                    struct xt_failure *failure)
{
    enum xt_status status = xt_config_read(serving->dir, &serving->settings, failure);
    if (status == XT_OK && listen != NULL) {
        status = xt_settings_set(&serving->settings, "server", "listen", listen, failure);
    }
    if (status == XT_OK && admin != NULL) {
        status = xt_settings_set(&serving->settings, "server", "admin_listen", admin, failure);
    }
    return status;
}

/* Keys and people are in our memory: no core dumps, no ptrace by others of the same user. */
static void harden(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* As many connections as file descriptors allow, less a reserve, unless the configuration says fewer. */
static enum xt_status count_connections(struct serving *serving, struct xt_failure *failure)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return xt_fail(failure, XT_IO, "cannot read RLIMIT_NOFILE: %s", strerror(errno));
    }
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < 2 * DESCRIPTOR_RESERVE) {
        return xt_fail(failure, XT_DENIED,
                       "only %lu file descriptors: raise ulimit -n to 1024 or more",
                       (unsigned long)files.rlim_cur);
    }
    rlim_t room = files.rlim_cur - DESCRIPTOR_RESERVE;
    serving->connections = room > 1000000 ? 1000000 : (unsigned)room;
    uint32_t wanted = serving->settings.connections;
    if (wanted != 0 && wanted < serving->connections) {
        serving->connections = wanted;
    }
    return XT_OK;
}

static enum xt_status open_sockets(struct serving *serving, struct xt_failure *failure)
{
    enum xt_status status = xt_listen(serving->settings.listen, &serving->api_socket, failure);
    if (status == XT_OK) {
        status = xt_listen(serving->settings.admin_listen, &serving->admin_socket, failure);
    }
    if (status == XT_OK && !xt_listening_on_loopback(serving->admin_socket)) {
        return xt_fail(failure, XT_DENIED,
                       "the admin listener has no authentication: %s is not loopback; use "
                       "127.0.0.1:PORT or [::1]:PORT",
                       serving->settings.admin_listen);
    }
    return status;
}

static enum xt_status open_keys(struct serving *serving, struct xt_failure *failure)
{
    char certificate[XT_PATH_MAX], key[XT_PATH_MAX], authority[XT_PATH_MAX];
    if (xt_path_join(certificate, serving->dir, "server.crt") != XT_OK ||
        xt_path_join(key, serving->dir, "keys/server.key") != XT_OK ||
        xt_path_join(authority, serving->dir, "ca.crt") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path %s is too long", serving->dir);
    }
    enum xt_status status = xt_deployment_keyring(serving->dir, &serving->keyring, failure);
    if (status == XT_OK) {
        struct xt_tls_server_files files = {
            .certificate = certificate,
            .key = key,
            .client_authority = authority,
            .allow_tls12 = strcmp(serving->settings.tls_min_version, "1.2") == 0};
        status = xt_tls_server(&files, &serving->tls, failure);
    }
    return status;
}

static void log_listening(const struct serving *serving)
{
    char api[XT_ADDRESS_TEXT], admin[XT_ADDRESS_TEXT];
    struct xt_log_line line;
    xt_listening_address(serving->api_socket, api);
    xt_listening_address(serving->admin_socket, admin);
    xt_log_begin(&line, XT_LOG_INFO, "listening");
    xt_log_text(&line, "listen", api);
    xt_log_text(&line, "admin", admin);
    xt_log_text(&line, "version", XT_VERSION);
    xt_log_number(&line, "connections", serving->connections);
    xt_log_end(&line);
}

static enum xt_status run(struct serving *serving, struct xt_failure *failure)
{
    struct xt_worker *worker = malloc(sizeof(*worker));
    if (worker == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory");
    }
    struct xt_worker_start start = {.dir = serving->dir,
                                    .settings = &serving->settings,
                                    .keyring = serving->keyring,
                                    .tls = serving->tls,
                                    .api_socket = serving->api_socket,
                                    .admin_socket = serving->admin_socket,
                                    .connections = serving->connections};
    enum xt_status status = xt_worker_open(worker, &start, failure);
    if (status != XT_OK) {
        return status; /* the process ends: nothing of it is worth taking apart */
    }
    log_listening(serving);
    serving->api_socket = serving->admin_socket = -1; /* the worker's now */
    bool clean = xt_worker_run(worker);
    xt_worker_close(worker);
    free(worker);
    return clean ? XT_OK : xt_fail(failure, XT_CLOSED, "cut off by a second signal");
}

int xt_command_serve(int argc, char **argv)
{
    struct serving serving = {.api_socket = -1, .admin_socket = -1};
    struct xt_failure failure = {0};
    const char *listen = NULL, *admin = NULL;
    enum xt_status status = parse(argc, argv, &serving, &listen, &admin, &failure);
    if (status == XT_CLOSED) {
        return XT_EXIT_OK;
    }
    if (status != XT_OK) {
        fprintf(stderr, "xacthuc serve: %s\n", failure.text);
        return XT_EXIT_USAGE;
    }
    harden();
    status = read_settings(&serving, listen, admin, &failure);
    if (status == XT_OK) {
        status = count_connections(&serving, &failure);
    }
    if (status == XT_OK) {
        status = open_keys(&serving, &failure);
    }
    if (status == XT_OK) {
        status = open_sockets(&serving, &failure);
    }
    if (status == XT_OK) {
        status = run(&serving, &failure);
    }
    if (status != XT_OK) {
        fprintf(stderr, "xacthuc serve: %s\n", failure.text);
    }
    xt_tls_context_close(serving.tls);
    xt_keyring_close(serving.keyring);
    if (serving.api_socket >= 0) {
        close(serving.api_socket);
    }
    if (serving.admin_socket >= 0) {
        close(serving.admin_socket);
    }
    return status == XT_OK ? XT_EXIT_OK : XT_EXIT_FAILED;
}
